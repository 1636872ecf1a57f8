"""The sources of the book: which files of the repository become its pages, and what changes on the way.

Files are copied as they are, so that a notebook downloaded from the book is that of the repository; what a page needs beyond
that happens when Sphinx reads it (``as_read``).
"""

import posixpath
import re
import shutil
import sys
from pathlib import Path

import nbformat
from pybtex.database import parse_file

ROOT = Path(__file__).resolve().parent.parent
sys.path.append(str(ROOT / "tools"))

from reference import FOLDERS, reference_pages  # noqa: E402

from notebooks import without_controls  # noqa: E402

LESSONS = {f"lessons/{path.stem}.md": path.stem for path in sorted((ROOT / "notebooks").glob("[0-9][0-9]_*.ipynb"))}
TEXTS = {
    "README.md": "index",
    "lessons/questions.md": "questions",
    "lessons/glossary.md": "glossary",
    "lessons/references.bib": "references",
    "attnprune_edu": "reference",
    "TEACHING.md": "teaching",
    "CHANGELOG.md": "changelog",
}
PAGES = LESSONS | TEXTS  # {path in the repository: name of the page}
PATHS = {name: path for path, name in PAGES.items()}
CARD = re.compile(r"(?:^\| \*\*.+\|\n)+", flags=re.MULTILINE)  # the table at the head of a lesson: its time, what it needs
BINDER = re.search(r"https://mybinder\.org/\S+(?=\))", (ROOT / "README.md").read_text(encoding="utf-8"))[0]
IDENTIFIERS = (("eprint", "arXiv:", "https://arxiv.org/abs/"), ("doi", "doi:", "https://doi.org/"))
LINK = re.compile(r"(?<=\]\()(?!https?:|mailto:|#)([^)#\s]+)(#[^)\s]*)?(?=\))")
ELSEWHERE = re.compile(r"!\[([^]]*)\]\(https?:[^)]*\)")  # a picture that another machine has, such as a badge
MERMAID = re.compile(r"^```mermaid\n(.*?)^```$", flags=re.MULTILINE | re.DOTALL)


def write_sources(folder: Path) -> None:
    """Write the sources of all pages into the new ``folder``."""
    folder.mkdir(parents=True)
    for name in LESSONS.values():
        shutil.copy(ROOT / "notebooks" / f"{name}.ipynb", folder)
    for path, name in TEXTS.items():
        if path.endswith(".md"):
            shutil.copy(ROOT / path, folder / f"{name}.md")
    shutil.copytree(ROOT / "benchmarks" / "pictures", folder / "benchmarks" / "pictures")
    shutil.copy(ROOT / "book" / "loop.svg", folder)
    for name, text in (reference_pages() | {"references": references()}).items():
        (folder / f"{name}.md").write_text(text, encoding="utf-8")


def as_read(name: str, text: str, repository: str) -> str:
    """The ``text`` of the page ``name``, Markdown or a notebook, as the book wants it; ``repository`` is its address."""
    path = PATHS.get(name, "")
    if path in LESSONS:
        return lesson_as_read(name, text, repository)
    if path.endswith(".md"):
        text = MERMAID.sub(loop, relinked(text, posixpath.dirname(path), repository))
    return text + contents() if name == "index" else text


def lesson_as_read(name: str, text: str, repository: str) -> str:
    """The notebook of the lesson ``name`` without talk of controls, with links to run it, and with the pictures'
    alternative texts where MyST-NB looks for them."""
    notebook = without_controls(nbformat.reads(text, as_version=4))
    binder = re.sub(r"\w+(?=\.ipynb$)", name, BINDER)
    links = f"[open in Binder]({binder}) · {{download}}`download the notebook <{name}.ipynb>`"
    notebook.cells[0].source = CARD.sub(rf"\g<0>| **Run it** | {links} |\n", f"{notebook.cells[0].source}\n", count=1)
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            text = re.sub(r"(?<=lick on )the three dots", "“Show the output”", cell.source)
            cell.source = relinked(text, "lessons", repository)
            continue
        for output in cell.outputs:
            if alternative := output.get("metadata", {}).get("image/png", {}).get("alt"):
                cell.metadata["mystnb"] = {"image": {"alt": alternative}}
    return nbformat.writes(notebook)


def relinked(text: str, folder: str, repository: str) -> str:
    """``text`` of a file in ``folder`` with its links to other files led to the book's pages, or else to the repository.

    A picture that is fetched from elsewhere becomes its text.
    """

    def target(match: re.Match) -> str:
        path = posixpath.normpath(posixpath.join(folder, match[1]))
        anchor = match[2] or ""
        if path in PAGES:
            return PAGES[path] + (".ipynb" if path in LESSONS else ".md") + anchor
        if path.endswith(".png"):
            return path
        kind = "tree" if (ROOT / path).is_dir() else "blob"
        return f"{repository}/{kind}/main/{path}{anchor}"

    return LINK.sub(target, ELSEWHERE.sub(r"\1", text))


def references() -> str:
    """The page of all papers that the lessons cite, by first author, written as under the lessons' "Read on"."""
    lines = []
    for entry in parse_file(ROOT / "lessons" / "references.bib").entries.values():
        fields = entry.fields
        people = [" ".join(who.first_names + who.middle_names + who.last_names) for who in entry.persons["author"]]
        place = " ".join(fields[name] for name in ("booktitle", "journal", "volume") if name in fields)
        links = [f"[{text}{fields[name]}]({site}{fields[name]})" for name, text, site in IDENTIFIERS if name in fields]
        lines.append(", ".join([f"- {', '.join(people)}: *{fields['title']}*", f"{place} {fields['year']}".strip(), *links]))
    return "# References\n\nEvery paper that the lessons cite.\n\n" + "\n".join(lines) + "\n"


def loop(match: re.Match) -> str:
    """The picture that stands for a mermaid diagram, of which there is one.

    After a change of the diagram, `npx @mermaid-js/mermaid-cli -c '{"htmlLabels": false}' -i lessons/questions.md -o
    loop.svg` draws it; a test compares the two.
    """
    boxes = re.findall(r'"([^"]+)"', match[1])
    return f"![The loop as a diagram: {'; '.join(boxes)}.](loop.svg)"


def contents() -> str:
    """The tables of contents that come behind the start page's text."""
    parts = {
        "Lessons": LESSONS.values(),
        "Beside the lessons": [TEXTS[f"lessons/{name}"] for name in ("questions.md", "glossary.md", "references.bib")],
        "The library": ["reference", *(f"reference_{folder}" for folder in FOLDERS)],
        "The project": ["teaching", "changelog"],
    }
    lists = [
        "\n".join(["```{toctree}", ":hidden:", f":caption: {title}", "", *names, "```"]) for title, names in parts.items()
    ]
    return "\n\n" + "\n\n".join(lists) + "\n"
