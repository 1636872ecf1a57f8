"""Write notebooks/NN_name.ipynb from lessons/NN_name.md; with --execute, run them too and keep the outputs.

    python tools/notebooks.py [--execute] [NN_name ...]
    python tools/notebooks.py --html FOLDER [NN_name ...]     # run them, leave web pages, change no notebook

What is stored must read well where nothing runs: progress bars and live widgets are left out, their still pictures stay. A
page needs no network: it holds its mathematics' typesetting (tools/page), and speaks of no controls that it has not.
"""

import argparse
import copy
import itertools
import re
import sys
from pathlib import Path

import jupytext
import nbformat
from nbclient import NotebookClient
from nbconvert import HTMLExporter

from attnprune_edu.report.checkpoints import atomic_write

ROOT = Path(__file__).resolve().parent.parent
LESSONS, NOTEBOOKS = ROOT / "lessons", ROOT / "notebooks"
WIDGET = "application/vnd.jupyter.widget-view+json"
CELL_TIMEOUT = 600  # seconds
ABOUT_CONTROLS = re.compile(r"[^.?!\n]*\b(?:sliders?|arrow keys)\b[^.?!\n]*[.?!] ?")
STILL = "(This page has a still picture; in JupyterLab, which `make lab` opens, it has controls.)"


def write(lesson: Path, execute: bool) -> None:
    """Bring one notebook up to date with its lesson; outputs of unchanged cells stay."""
    target = NOTEBOOKS / f"{lesson.stem}.ipynb"
    notebook = jupytext.read(lesson, config=jupytext.config.load_jupytext_config(str(lesson)))
    if target.exists():
        notebook = jupytext.combine.combine_inputs_with_outputs(notebook, nbformat.read(target, as_version=4), fmt="md")
    else:
        # Ids that follow the position are the same on every machine; jupytext would draw them at random.
        for number, cell in enumerate(notebook.cells):
            cell.id = f"{lesson.stem[:2]}-{number:03}"
    notebook.metadata.pop("jupytext", None)  # pyproject.toml says how they pair; a copy here would outlive a change there
    if execute:
        run(notebook, lesson.stem)
    with atomic_write(target) as unfinished:
        nbformat.write(notebook, unfinished)


def write_page(lesson: Path, folder: Path) -> None:
    """Run one lesson and write it as a web page into ``folder``."""
    notebook = jupytext.read(lesson)
    run(notebook, lesson.stem)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{lesson.stem}.html").write_text(as_page(notebook, lesson.stem), encoding="utf-8")


def as_page(notebook: nbformat.NotebookNode, name: str) -> str:
    """One web page of a notebook that was run, for a reader without a network."""
    exporter = HTMLExporter(template_name="page", extra_template_basedirs=[str(ROOT / "tools")])
    return exporter.from_notebook_node(without_controls(notebook), {"metadata": {"name": name}})[0]


def without_controls(notebook: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """A copy that says before each widget that it is a still picture, instead of how its controls are moved."""
    notebook = copy.deepcopy(notebook)
    for text, code in itertools.pairwise(notebook.cells):
        if code.cell_type == "code" and "ap.widgets." in code.source:
            text.source = f"{ABOUT_CONTROLS.sub('', text.source).rstrip()} {STILL}"
    return notebook


def run(notebook: nbformat.NotebookNode, name: str) -> None:
    """Run a notebook from top to bottom, in place."""
    print(f"{name}: running", flush=True)
    NotebookClient(notebook, timeout=CELL_TIMEOUT, resources={"metadata": {"path": str(NOTEBOOKS)}}).execute()
    tidy(notebook)


def tidy(notebook: nbformat.NotebookNode) -> None:
    """Drop what means nothing without the kernel that made it: live widgets, progress bars, times, versions."""
    notebook.metadata.pop("widgets", None)
    notebook.metadata.language_info = {"name": "python"}
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)
        if cell.cell_type == "code":
            for output in cell.outputs:
                had_widget = output.get("data", {}).pop(WIDGET, None)
                if had_widget and "image/png" not in output.data:
                    output.data.clear()
            cell.outputs = [output for output in cell.outputs if output.get("data", True)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NN_name")
    parser.add_argument("--execute", action="store_true", help="run them and keep the outputs")
    parser.add_argument("--html", type=Path, metavar="FOLDER", help="run them and leave web pages there instead")
    arguments = parser.parse_args()
    lessons = [LESSONS / f"{name}.md" for name in arguments.names] or sorted(LESSONS.glob("[0-9][0-9]_*.md"))
    if missing := [lesson.name for lesson in lessons if not lesson.is_file()]:
        sys.exit(f"no such lesson: {', '.join(missing)}")
    for lesson in lessons:
        if arguments.html:
            write_page(lesson, arguments.html)
        else:
            write(lesson, arguments.execute)


if __name__ == "__main__":
    main()
