"""The package is a house of floors: a module imports only from floors below its own, and never in a circle."""

import ast
import subprocess
import sys

import pytest
from conftest import ROOT

import attnprune_edu as ap

PACKAGE = ROOT / "attnprune_edu"
FLOORS = ("data", "networks", "pruning", "report", "experiments")  # from the ground up; all other folders stand on these
MODULES = sorted(path.relative_to(PACKAGE) for path in PACKAGE.rglob("*.py"))
FOLDERS = sorted({path.parts[0] for path in MODULES if len(path.parts) > 1})


def floor_of(folder: str) -> int:
    return FLOORS.index(folder) if folder in FLOORS else len(FLOORS)


def imported(module) -> set[str]:
    """The modules of the package that ``module`` imports, as paths without a suffix such as ``data/images``."""
    here = ["attnprune_edu", *module.parts[:-1]]
    found = set()
    for node in ast.walk(ast.parse((PACKAGE / module).read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            start = here[: len(here) + 1 - node.level] if node.level else []
            base = [*start, *(node.module or "").split(".")] if node.module else start
            names = [[*base, alias.name] for alias in node.names]
        elif isinstance(node, ast.Import):
            names = [alias.name.split(".") for alias in node.names]
        else:
            continue
        for name in names:
            if name[0] != "attnprune_edu":
                continue
            while len(name) > 1 and not (PACKAGE.joinpath(*name[1:]).with_suffix(".py")).is_file():
                if PACKAGE.joinpath(*name[1:]).is_dir():
                    break
                name = name[:-1]
            found.add("/".join(name[1:]))
    return found


@pytest.mark.parametrize("module", [path for path in MODULES if len(path.parts) > 1], ids=str)
def test_no_arrow_points_upwards(module):
    folder = module.parts[0]
    for target in imported(module):
        other = target.split("/")[0]
        below = floor_of(other) < floor_of(folder) or other == folder
        assert other and (below or floor_of(folder) == len(FLOORS)), f"{module} imports {target or 'the whole package'}"


def test_nobody_imports_in_a_circle():
    arrows = {str(path.with_suffix("")).removesuffix("/__init__"): imported(path) for path in MODULES if len(path.parts) > 1}

    def visit(name, trail):
        assert name not in trail, f"a circle: {' → '.join([*trail[trail.index(name) :], name])}"
        for target in arrows.get(name, ()):
            if target != name:
                visit(target, [*trail, name])

    for name in arrows:
        visit(name, [])


def test_each_floor_has_its_folder_of_tests_and_a_sentence_about_itself():
    for floor in FLOORS:
        assert list((ROOT / "tests" / floor).glob("test_*.py")), f"tests/{floor}"
        assert ast.get_docstring(ast.parse((PACKAGE / floor / "__init__.py").read_text(encoding="utf-8")))


def test_a_module_never_hides_behind_a_public_function_of_its_name():
    for name in ap.__all__:
        as_module = [path for path in (PACKAGE / f"{name}.py", PACKAGE / name) if path.exists()]
        assert bool(as_module) == (type(getattr(ap, name)).__name__ == "module"), name


def test_importing_the_package_loads_only_what_every_lesson_needs():
    code = "import sys, attnprune_edu; print(*sorted({name.split('.')[0] for name in sys.modules}))"
    loaded = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split()
    assert "torch" in loaded
    assert not {"IPython", "ipywidgets", "matplotlib", "pandas", "pooch", "scipy", "torchvision"} & set(loaded)


def test_what_is_public_can_be_had_at_once_and_one_by_one():
    code = "from attnprune_edu import *; import attnprune_edu.pruning.importance as module; print(type(module), importance)"
    answer = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert answer.startswith("<class 'module'> <function importance")
    with pytest.raises(AttributeError, match="nothing_of_the_kind"):
        _ = ap.nothing_of_the_kind
