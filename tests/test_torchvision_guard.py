"""The guard must work in an interpreter in which nothing has imported torchvision yet."""

import subprocess
import sys


def run(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.strip()


def test_what_the_course_needs_of_torchvision_works_after_the_package_was_imported():
    out = run(
        "import attnprune_edu, torch\n"
        "from torchvision import datasets, models, transforms, utils\n"
        "grid = utils.make_grid(torch.zeros(4, 3, 8, 8), nrow=2, padding=0)\n"
        "print(*grid.shape, *models.resnet18().eval()(torch.zeros(1, 3, 32, 32)).shape)\n"
        "print(hasattr(torch.ops.torchvision, 'nms'), attnprune_edu._torchvision.declare_missing_operators())"
    )
    shapes, declared = out.split("\n")
    assert shapes == "3 16 16 1 1000"
    assert declared == "True False", "nothing is declared twice, or over working operators"


def test_operators_are_declared_exactly_when_the_compiled_ones_do_not_load():
    out = run(
        "import importlib.util, pathlib, torch\n"
        "folder = pathlib.Path(importlib.util.find_spec('torchvision').origin).parent\n"
        "try:\n"
        "    [torch.ops.load_library(str(file)) for file in folder.glob('_C*')]; loads = True\n"
        "except OSError:\n"
        "    loads = False\n"
        "package = importlib.util.find_spec('attnprune_edu').submodule_search_locations[0]\n"
        "spec = importlib.util.spec_from_file_location('guard', package + '/_torchvision.py')\n"
        "guard = importlib.util.module_from_spec(spec); spec.loader.exec_module(guard)\n"
        "print(guard.declare_missing_operators() != loads)"
    )
    assert out == "True"
