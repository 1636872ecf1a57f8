"""pyproject.toml, the lock file and environment.yml must tell the same story; Binder must understand the last."""

import os
import re
import subprocess
import sys

import pytest
import yaml
from conftest import ROOT
from packaging.requirements import Requirement
from packaging.version import Version

import attnprune_edu as ap
import course

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
CONDA_NAMES = {"lazy_loader": "lazy-loader", "matplotlib-base": "matplotlib", "pytorch-cpu": "torch"}
NEEDED = [Requirement(text) for text in PROJECT["dependencies"] + PROJECT["optional-dependencies"]["lab"]]


def environment() -> tuple[dict[str, str], list[str]]:
    """{PyPI name: range} of what environment.yml lists, and the other lines of its pip part."""
    listed, others = {}, []
    for line in yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))["dependencies"]:
        for entry in line["pip"] if isinstance(line, dict) else [line]:
            if entry.startswith("-"):
                others.append(entry)
                continue
            name, bounds = re.fullmatch(r"([\w.-]+)(.*)", entry).groups()
            listed[CONDA_NAMES.get(name, name)] = bounds
    return listed, others


def test_environment_holds_just_what_the_package_and_jupyterlab_need_in_the_same_ranges():
    listed, others = environment()
    assert Requirement("python" + PROJECT["requires-python"]).specifier.contains(listed.pop("python").removeprefix("="))
    assert listed.pop("pip") == ""
    assert listed == {requirement.name: str(requirement.specifier) for requirement in NEEDED}
    assert others == ["-e ."]


def test_lock_file_has_one_fitting_exact_version_of_everything_asked_for():
    locked = [
        Requirement(line)
        for line in (ROOT / "requirements.lock").read_text(encoding="utf-8").splitlines()
        if line and not line.startswith("#")
    ]
    assert all(re.fullmatch(r"==[^*]+", str(requirement.specifier)) for requirement in locked)
    # A name may come several times, each for other versions of Python or another system.
    here = {
        requirement.name: requirement for requirement in locked if not requirement.marker or requirement.marker.evaluate()
    }
    for wanted in NEEDED + [Requirement(text) for text in PROJECT["optional-dependencies"]["test"]]:
        version = str(here[wanted.name].specifier).removeprefix("==")
        assert wanted.specifier.contains(version), f"{wanted} is locked at {version}"
    assert here["torch"].specifier.contains(Version("2.13.0+cpu")), "the lock admits the CPU build of the same release"
    assert not [name for name in here if name.startswith(("nvidia", "cuda", "triton"))]


@pytest.mark.skipif("PYTEST_XDIST_WORKER" not in os.environ, reason="there are groups only where tests run side by side")
@pytest.mark.xdist_group("together")
def test_tests_of_a_group_stay_together(request):
    # Where pytest and pytest-xdist do not fit, groups are ignored in silence: each browser test then runs its whole lesson.
    assert request.node.nodeid.endswith("@together")


def test_binder_understands_the_repository():
    pytest.importorskip("repo2docker")
    rendered = subprocess.run(
        [sys.executable, "-m", "repo2docker", "--no-build", "--debug", "."],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
    )
    dockerfile = rendered.stdout + rendered.stderr
    assert rendered.returncode == 0, dockerfile[-2000:]
    assert "Building conda environment for python=3.12" in dockerfile, "the version that environment.yml asks for"
    assert re.search(r"env update .*--file \"environment\.yml\"", dockerfile)
    assert "RUN ./postBuild" in dockerfile


def test_what_binder_runs_is_there_and_can_be_executed():
    script = ROOT / "postBuild"
    assert script.stat().st_mode & 0o111
    subprocess.run(["bash", "-n", script], check=True)
    assert {"attnprune-edu data", "attnprune-edu lesson"} <= set(
        re.findall(r"attnprune-edu \w+", script.read_text(encoding="utf-8"))
    )


def test_the_badge_opens_on_binder_what_make_lab_opens():
    badge = r'\[!\[Binder\]\(https://mybinder\.org/badge_logo\.svg ".+?"\)\]\((.+?)\)'
    (link,) = re.findall(badge, (ROOT / "README.md").read_text(encoding="utf-8"))
    github = PROJECT["urls"]["Source"].removeprefix("https://github.com/")
    assert link == f"https://mybinder.org/v2/gh/{github}/main?urlpath={course.FIRST_PAGE.removeprefix('/')}"


def test_what_is_cited_is_this_version_of_this_day():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["version"] == ap.__version__ and citation["license"] == PROJECT["license"].split(" AND ")
    newest = re.search(r"^## (.+)$", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)[1]
    assert newest == f"{citation['version']}, {citation['date-released']}"
