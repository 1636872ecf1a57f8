"""The book: it is built without a warning, all that it leads to is there, and it reads well on any screen."""

import inspect
import re
import shutil
import subprocess
import sys
from functools import cache
from urllib.parse import unquote

import nbformat
import pytest
from bs4 import BeautifulSoup
from conftest import ROOT

import attnprune_edu as ap

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
LESSONS = sorted(path.stem for path in (ROOT / "notebooks").glob("[0-9][0-9]_*.ipynb"))
OUTSIDE = re.compile(r"(?:https?:)?//")

pytestmark = pytest.mark.xdist_group("book")  # one process builds it


@pytest.fixture(scope="module")
def book(tmp_path_factory):
    """The folder of the pages."""
    folder = tmp_path_factory.mktemp("book")
    built = subprocess.run([sys.executable, "book/build.py", folder], cwd=ROOT, capture_output=True, text=True)
    assert (built.returncode, built.stderr) == (0, ""), "a warning is an error"
    return folder / "html"


@pytest.fixture(scope="module")
def page(book):
    """A function that returns a page by its name, parsed."""
    return cache(lambda name: BeautifulSoup((book / f"{name}.html").read_text(encoding="utf-8"), "html.parser"))


@pytest.fixture(scope="module")
def pages(book, page):
    """{file name: page} of all pages."""
    return {path.name: page(path.stem) for path in sorted(book.glob("*.html"))}


def notebook(name):
    return nbformat.read(ROOT / "notebooks" / f"{name}.ipynb", as_version=4)


def test_one_can_read_from_the_start_page_through_all_lessons(page):
    read, address = [], "index.html"
    while len(read) < len(LESSONS):
        following = page(address.removesuffix(".html")).select_one("a.right-next")
        address = following["href"]
        read.append(address.removesuffix(".html"))
        assert page(read[-1]).select_one("a.left-prev")
    assert read == LESSONS


def test_all_links_lead_somewhere(book, pages):
    anchors = {name: {tag["id"] for tag in page.select("[id]")} for name, page in pages.items()}
    checked = 0
    for name, page in pages.items():
        for tag in page.select("[href], [src]"):
            address = tag.get("href") or tag.get("src")
            if re.match(r"[a-z]+:|//", address) or address == "#":
                continue
            path, _, anchor = unquote(address).partition("#")
            path = path.split("?")[0] or name
            assert (book / path).is_file(), f"{name}: {address}"
            assert not anchor or anchor in anchors.get(path, ()), f"{name}: {address}"
            checked += 1
    assert checked > 100 * len(LESSONS)


def test_no_page_needs_another_machine(pages):
    for name, page in pages.items():
        needed = page.select("script[src], img[src], iframe[src], link[href]:not([rel=canonical])")
        assert not [str(tag) for tag in needed if OUTSIDE.match(tag.get("src") or tag.get("href"))], name


def test_every_picture_says_what_it_shows(page, pages):
    assert not [(name, image["src"]) for name, page in pages.items() for image in page.select("img") if not image.get("alt")]
    for name in LESSONS:
        outputs = [output for cell in notebook(name).cells for output in cell.get("outputs", [])]
        told = [output.get("metadata", {}).get("image/png", {}).get("alt") for output in outputs]
        assert [image["alt"] for image in page(name).select(".cell_output img")] == [text for text in told if text]


def test_what_a_reader_should_find_alone_is_folded(page):
    for name in LESSONS:
        lesson = notebook(name)
        hidden = [cell for cell in lesson.cells if cell.metadata.get("jupyter", {}).get("outputs_hidden") and cell.outputs]
        written = sum(cell.source.count("<details>") for cell in lesson.cells if cell.cell_type == "markdown")
        folds = page(name).select("article details")
        assert len(folds) == len(hidden) + written > 0, name
        assert not [fold for fold in folds if fold.has_attr("open")]
        assert all(fold.select_one("summary").text.strip() for fold in folds)


def test_a_lesson_can_be_run(book, page):
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    binder = re.search(r"https://mybinder\.org/\S+(?=\))", readme)[0]
    for name in LESSONS:
        links = {link["href"] for link in page(name).select("main a[href]")}
        assert binder.replace(LESSONS[0], name) in links
        assert {link for link in links if "mybinder" in link} == {binder.replace(LESSONS[0], name)}
        (download,) = (link for link in links if link.startswith("_downloads"))
        assert (book / download).read_bytes() == (ROOT / "notebooks" / f"{name}.ipynb").read_bytes()


def test_no_text_speaks_of_controls_that_a_page_has_not(page):
    for name in LESSONS:
        text = page(name).select_one("article").text
        assert not re.search(r"slider|arrow key|click on the three dots", text, flags=re.IGNORECASE), name


def test_the_reference_knows_every_public_name(page):
    entries = {}
    for folder in ("data", "networks", "pruning", "report", "experiments", "plots", "widgets", "checks", "quizzes"):
        entries |= {tag["id"]: tag for tag in page(f"reference_{folder}").select("dt[id^='ap.']")}
    modules = {"plots", "widgets", "checks"}
    assert {f"ap.{name}" for name in set(ap.__all__) - modules} <= entries.keys()
    for module in modules:
        members = vars(getattr(ap, module))
        functions = [name for name in members["__all__"] if inspect.isfunction(members[name]) and name not in ap.__all__]
        assert {f"ap.{module}.{name}" for name in functions} <= entries.keys()
    # The types stand as the code has them, and a docstring is no raw text.
    assert "criterion: Criterion = 'attention'" in re.sub(r"\s+", " ", entries["ap.AttentionPruner"].text)
    text = entries["ap.importance"].find_next_sibling("dd")
    assert text.select("ul > li code") and "``" not in text.text


def test_the_picture_of_the_loop_is_that_of_its_text():
    text = (ROOT / "lessons" / "questions.md").read_text(encoding="utf-8")
    diagram = re.search(r"```mermaid\n(.*?)```", text, flags=re.DOTALL)[1]
    picture = BeautifulSoup((ROOT / "book" / "loop.svg").read_text(encoding="utf-8"), "html.parser")
    edges = {f"L_{start}_{end}_0" for start, end in re.findall(r"^ +(\w+).*-->\s*(\w+)", diagram, flags=re.MULTILINE)}
    assert {path["data-id"] for path in picture.select("path[data-id]")} == edges
    drawn = {re.sub(r"\s+", "", node.text) for node in picture.select("g.node")}
    assert drawn == {re.sub(r"\s+", "", label) for label in re.findall(r'"([^"]+)"', diagram)}


@pytest.mark.skipif(BROWSER is None, reason="no Chromium on this machine (Debian: apt install chromium)")
def test_pages_fit_a_narrow_screen_and_ask_for_nothing_outside(book, pages):
    from playwright.sync_api import sync_playwright
    from test_browser import FLAGS

    asked, wide = set(), []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=BROWSER, args=FLAGS)
        page = browser.new_page(viewport={"width": 360, "height": 800})
        page.on("request", lambda request: asked.add(request.url))
        for name in pages:
            page.goto((book / name).as_uri())
            if page.evaluate("document.documentElement.scrollWidth > innerWidth"):
                wide.append(name)
        page.goto((book / f"{LESSONS[0]}.html").as_uri())
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.textContent.trim()") == "Skip to main content"
        fold = page.locator("article details").first
        fold.locator("summary").press("Enter")
        assert fold.evaluate("fold => fold.open"), "a fold opens by the keyboard"
        browser.close()
    assert not wide
    assert {re.match(r"\w+:", address)[0] for address in asked} <= {"file:", "data:", "blob:"}
