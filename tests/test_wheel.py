"""The wheel holds the course: lessons, notebooks, networks and results, so that nobody needs the repository."""

import email
import importlib.util
import sys
import zipfile

import pytest
from conftest import ROOT
from hatchling.builders.sdist import SdistBuilder
from hatchling.builders.wheel import WheelBuilder

import attnprune_edu as ap
from attnprune_edu import _course, workbook
from attnprune_edu.grading.release import write_release
from hatch_build import LessonsInWheel
from tools import release_check

LESSONS = sorted((ROOT / "notebooks").glob("*.ipynb"))


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The wheel, unpacked as an installation would have it."""
    folder = tmp_path_factory.mktemp("wheel")
    (built,) = WheelBuilder(str(ROOT)).build(directory=str(folder), versions=["standard"])
    with zipfile.ZipFile(built) as archive:
        archive.extractall(folder / "site-packages")
    return folder / "site-packages"


@pytest.fixture(scope="module")
def metadata(wheel):
    (folder,) = wheel.glob("*.dist-info")
    return email.message_from_string((folder / "METADATA").read_text(encoding="utf-8"))


def files(folder):
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("name", ["lessons", "notebooks"])
def test_the_wheel_holds_what_lies_beside_the_package(wheel, name):
    ours = {path.relative_to(ROOT / name): path.read_bytes() for path in (ROOT / name).glob("*.*") if path.is_file()}
    assert files(wheel / "attnprune_edu" / "course" / name) == ours


def test_the_wheel_holds_the_whole_package_and_nothing_else(wheel):
    package = {
        path: content
        for path, content in files(ROOT / "attnprune_edu").items()
        if path.suffix != ".pyc" and not {"__pycache__", ".ipynb_checkpoints"} & set(path.parts)
    }
    packed = {path: content for path, content in files(wheel / "attnprune_edu").items() if path.parts[0] != "course"}
    assert packed == package
    assert {".safetensors", ".csv", ".json", ".j2", ".pyi"} <= {path.suffix for path in packed}
    (information,) = wheel.glob("*.dist-info")
    assert {path.name for path in wheel.iterdir()} == {"attnprune_edu", "attnprune_edu_command.py", information.name}


def test_the_wheel_says_what_it_is(wheel, metadata):
    assert metadata["Version"] == ap.__version__ and metadata["Requires-Python"] == ">=3.10"
    (information,) = wheel.glob("*.dist-info")
    for name in ("LICENSE", "LICENSE-lessons", "attnprune_edu/data/LICENSE-faker"):
        assert (information / "licenses" / name).read_bytes() == (ROOT / name).read_bytes()
    assert {"lab", "grading", "test"} <= set(metadata.get_all("Provides-Extra"))


def test_the_page_of_the_wheel_leads_to_the_repository(metadata):
    page = metadata.get_payload()
    links = [part.split(")", 1)[0] for part in page.split("](")[1:]]
    assert len(links) > 20 and all(link.startswith(("https://", "#")) for link in links)
    pictures = [link for link in links if link.endswith(".png")]
    assert pictures and all(link.startswith("https://raw.githubusercontent.com/") for link in pictures)
    for link in links:  # what is said of main must be there
        _, found, place = link.partition("/attnprune_edu/blob/main/")
        assert not found or (ROOT / place.partition("#")[0]).exists(), link


def test_what_the_wheel_holds_is_found_there(wheel, tmp_path):
    spec = importlib.util.spec_from_file_location("installed", wheel / "attnprune_edu" / "_course.py")
    installed = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(installed)
    course = installed.COURSE
    assert course == wheel / "attnprune_edu" / "course"
    assert len(list(workbook.copy_lessons((), tmp_path / "mine", course=course))) == len(LESSONS)
    written = write_release(["02"], tmp_path / "out", course=course)
    assert [path.name for path in written] == ["02_coursework.ipynb", "README.md"]


def test_an_editable_installation_has_the_lessons_of_the_checkout():
    for version, number in {"standard": 3, "editable": 0}.items():
        build_data = {"force_include": {}}
        LessonsInWheel.initialize(None, version, build_data)
        assert len(build_data["force_include"]) == number
    assert _course.COURSE == ROOT


def test_the_source_archive_holds_all_that_tests_and_steps_need():
    packed = {file.distribution_path for file in SdistBuilder(str(ROOT)).recurse_included_files()}
    tracked = {"course.py", "Makefile", "hatch_build.py", "requirements.lock", "constraints.txt", "tests/conftest.py"}
    tracked |= {f"lessons/{path.name}" for path in (ROOT / "lessons").glob("*.md")}
    assert tracked <= packed
    assert not [name for name in packed if name.startswith((".venv", "build/", "workbook/")) or name.endswith(".key")]


def test_a_release_check_stops_where_something_fails():
    release_check.run([sys.executable, "-c", ""])
    with pytest.raises(SystemExit, match=r"failed with status 3: .*raise SystemExit\(3\)"):
        release_check.run([sys.executable, "-c", "raise SystemExit(3)"])
