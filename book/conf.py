"""How Sphinx makes the book from its sources; `make book` writes these into build/book/source first."""

import re
import sys
from pathlib import Path

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.transforms import SphinxTransform

sys.path.insert(0, str(Path(__file__).parent))

from sources import ROOT, as_read

import attnprune_edu as ap

PYPROJECT = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
REPOSITORY = re.search(r'^Source = "(.+)"$', PYPROJECT, flags=re.MULTILINE)[1]

project = "attnprune_edu"
author = "the authors of attnprune_edu"
copyright = "the authors of attnprune_edu; lessons CC BY 4.0, code MIT"
version = release = ap.__version__
language = "en"
extensions = ["myst_nb", "sphinx.ext.mathjax"]

nb_execution_mode = "off"  # what is stored is shown
nb_code_prompt_show = "Show the {type}"
nb_code_prompt_hide = "Hide the {type}"
myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 4
python_maximum_signature_line_length = 80
toc_object_entries_show_parents = "hide"

html_theme = "sphinx_book_theme"
html_title = "attnprune_edu"
html_static_path = ["static", *(str(ROOT / "tools" / "page" / name) for name in ("tex-svg.js", "LICENSE-MathJax"))]
html_css_files = ["book.css"]
html_use_index = False  # the search finds all of it
html_assets_policy = "always"  # else jupyterquiz would fetch MathJax from elsewhere on a page without formulas
mathjax_path = "tex-svg.js"
html_sourcelink_suffix = ""
html_theme_options = {
    "repository_url": REPOSITORY,
    "repository_branch": "main",
    "path_to_docs": "workbook",  # where Binder has the lessons
    "launch_buttons": {"binderhub_url": "https://mybinder.org", "notebook_interface": "jupyterlab"},
    "use_repository_button": True,
    "use_download_button": True,
    "show_toc_level": 2,
    "navbar_persistent": [],  # search stands in the sidebar
}


class WithoutEmptyHeads(SphinxTransform):
    """A table whose heads are all empty has none: a screen reader would read them out."""

    default_priority = 400

    def apply(self) -> None:
        """Drop these heads."""
        for head in list(self.document.findall(nodes.thead)):
            if not head.astext().strip():
                head.parent.remove(head)


def read_source(app: Sphinx, name: str, content: list[str]) -> None:
    """Change the text of a page as the book needs it."""
    content[0] = as_read(name, content[0], REPOSITORY)


def without_lists_in_headers(app: Sphinx, name: str, template: str, context: dict, doctree: nodes.document) -> None:
    """A signature on several lines is a `dl` of which nothing is a term: tell screen readers to take it as plain text."""
    context["body"] = re.sub(r'<dl>(?=\s*<dd><em class="sig-param)', '<dl role="none">', context.get("body", ""))


def setup(app: Sphinx) -> None:
    """Called by Sphinx."""
    app.connect("source-read", read_source)
    app.connect("html-page-context", without_lists_in_headers)
    app.add_transform(WithoutEmptyHeads)
