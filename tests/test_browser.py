"""Each lesson as a reader uses it: in JupyterLab, in a real browser, with the keyboard."""

import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import nbformat
import pytest
from conftest import ROOT

import attnprune_edu as ap
import course
import notebooks
from attnprune_edu import workbook

LESSONS = sorted(path.stem for path in (ROOT / "notebooks").glob("*.ipynb"))
# What a lesson runs on, where it is not the drawn shapes.
EMBEDDED = {"12_other_networks": "names", "13_faces": "drawn", "15_capstone": "glyphs-15"}
BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
SCREENSHOTS = ROOT / "build" / "screenshots"
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
TOKEN = "for-tests-only"
# The models of the code cells of the open notebook, and its kernel, as the running JupyterLab knows them.
CELLS = "[...window.jupyterapp.shell.currentWidget.content.model.cells].filter(cell => cell.type === 'code')"
KERNEL = "window.jupyterapp?.shell.currentWidget?.sessionContext?.session?.kernel"
PATIENCE = 240  # seconds without another finished cell before a lesson counts as stuck

pytestmark = pytest.mark.skipif(BROWSER is None, reason="no Chromium on this machine (Debian: apt install chromium)")


def free_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def wait_for(address, server, log):
    for _ in range(240):
        try:
            urllib.request.urlopen(address, timeout=5)
            return
        except OSError:
            assert server.poll() is None, Path(log.name).read_text()
            time.sleep(0.25)
    raise AssertionError(f"no answer from {address}: {Path(log.name).read_text()}")


@pytest.fixture(scope="module")
def jupyter(tmp_path_factory):
    """A JupyterLab on a copy of the course, its stored outputs removed, started as `make lab` starts it: address, folder."""
    folder = tmp_path_factory.mktemp("course")
    shutil.copytree(ROOT / "lessons", folder / "lessons")
    shutil.copy(ROOT / "pyproject.toml", folder)
    (folder / "notebooks").mkdir()
    for name in LESSONS:
        notebook = nbformat.read(ROOT / "notebooks" / f"{name}.ipynb", as_version=4)
        for cell in notebook.cells:
            if cell.cell_type == "code":
                cell.outputs, cell.execution_count = [], None
        nbformat.write(notebook, folder / "notebooks" / f"{name}.ipynb")
    assert len(list(workbook.copy_lessons(course=folder))) == len(LESSONS)
    port = free_port()
    command = [sys.executable, *course.jupyterlab(port, folder), "--no-browser"]
    command += [f"--IdentityProvider.token={TOKEN}", "--expose-app-in-browser"]
    environment = course.surroundings(os.environ) | {
        "ATTNPRUNE_DATA": "shapes",
        "JUPYTER_CONFIG_DIR": str(folder / "config"),
    }
    with open(folder / "server.log", "w+") as log:
        server = subprocess.Popen(command, cwd=folder, env=environment, stdout=log, stderr=subprocess.STDOUT)
        address = f"http://127.0.0.1:{port}"
        try:
            wait_for(f"{address}/api?token={TOKEN}", server, log)
            yield address, folder
        finally:
            server.terminate()
            server.wait(timeout=20)


@pytest.fixture(scope="module")
def browser():
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=BROWSER, args=FLAGS)
        yield chromium
        chromium.close()


@pytest.fixture(scope="module", params=[pytest.param(name, marks=pytest.mark.xdist_group(name)) for name in LESSONS])
def lesson(request, jupyter, browser):
    """The reader's copy of a lesson, all its cells run: name, page, and the addresses elsewhere that it asked for."""
    from playwright.sync_api import TimeoutError as TooSlow

    address, _ = jupyter
    context = browser.new_context(viewport={"width": 1280, "height": 1000})
    page = context.new_page()
    outside = []
    page.on(
        "request",
        lambda r: outside.append(r.url) if not re.match(r"(http|ws)s?://127\.0\.0\.1|data:|blob:", r.url) else None,
    )
    page.goto(f"{address}/lab/tree/workbook/{request.param}.ipynb?token={TOKEN}&reset")
    # The indicator in the toolbar says "idle" before there is a kernel at all; a cell run then asks for one in a dialog.
    ready = f"{KERNEL}?.connectionStatus === 'connected' && {KERNEL}.status === 'idle'"
    try:
        page.wait_for_function(ready, timeout=90_000)
    except TooSlow:  # on a busy machine the first page of a fresh server has come up without a kernel
        page.reload()
        page.wait_for_function(ready, timeout=120_000)
    page.wait_for_timeout(1000)
    assert page.locator(".jp-Dialog").count() == 0, "no dialog stands in the way"
    assert page.get_by_text("Jupyter news").count() == 0, "no news either; `make lab` turns them off"
    page.locator(".lm-MenuBar-itemLabel").get_by_text("Run", exact=True).click()
    page.locator("#jp-mainmenu-run").get_by_text("Run All Cells", exact=True).click()
    # Cells far from the window are not in the page, so the application itself is asked which have run.
    done, deadline = 0, time.monotonic() + PATIENCE
    while done < page.evaluate(f"{CELLS}.length"):
        page.wait_for_timeout(1000)
        assert page.locator(".jp-Dialog").count() == 0, page.locator(".jp-Dialog").first.inner_text()
        if (finished := page.evaluate(f"{CELLS}.filter(cell => cell.executionCount).length")) > done:
            done, deadline = finished, time.monotonic() + PATIENCE
        assert time.monotonic() < deadline, f"stuck after {done} cells"
    page.wait_for_timeout(1000)
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    yield request.param, page, outside
    context.close()


def scroll_to(page, locator):
    """JupyterLab keeps only the cells near the window in the page: scroll until ``locator`` is among them."""
    panel = page.locator(".jp-WindowedPanel-outer").first
    panel.evaluate("panel => panel.scrollTop = 0")
    for _ in range(60):
        if locator.count() and locator.first.is_visible():
            locator.first.scroll_into_view_if_needed()
            page.wait_for_timeout(300)
            return locator.first
        panel.evaluate("panel => panel.scrollBy(0, 500)")
        page.wait_for_timeout(150)
    raise AssertionError(f"not found on the page: {locator}")


def every_screen(page):
    """Yield once for every screenful of the notebook, from the top to the bottom."""
    panel = page.locator(".jp-WindowedPanel-outer").first
    panel.evaluate("panel => panel.scrollTop = 0")
    for number in range(60):
        page.wait_for_timeout(300)
        yield number
        before = panel.evaluate("panel => panel.scrollTop")
        panel.evaluate("panel => panel.scrollBy(0, panel.clientHeight - 100)")
        page.wait_for_timeout(100)
        if panel.evaluate("panel => panel.scrollTop") == before:
            return


@pytest.mark.xdist_group(LESSONS[0])  # where there is a server anyway
def test_the_first_page_is_the_readers_copy_of_lesson_00(jupyter):
    address, folder = jupyter
    first = urllib.request.urlopen(f"{address}/?token={TOKEN}", timeout=30).url
    assert first.split("?")[0] == f"{address}/lab/tree/workbook/{LESSONS[0]}.ipynb"
    assert (folder / "workbook" / f"{LESSONS[0]}.ipynb").is_file()


@pytest.mark.xdist_group(LESSONS[0])
def test_a_page_shows_its_mathematics_without_a_network(browser, tmp_path):
    cells = [nbformat.v4.new_markdown_cell("A share $e^{w} / \\sum e^{w}$ and\n\n$$\\frac{1}{2} < 1$$")]
    (tmp_path / "page.html").write_text(notebooks.as_page(nbformat.v4.new_notebook(cells=cells), "page"), encoding="utf-8")
    page, asked, said = browser.new_page(), [], []
    page.on("request", lambda request: asked.append(request.url) if not request.url.startswith("data:") else None)
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.goto((tmp_path / "page.html").as_uri())
    page.locator("mjx-container svg").nth(1).wait_for(timeout=20_000)
    assert "$" not in page.locator("main").inner_text()
    assert asked == [page.url] and not said
    page.close()


@pytest.mark.xdist_group(LESSONS[0])
def test_tensorboard_shows_what_the_callback_wrote(browser, tmp_path):
    pytest.importorskip("tensorboard", reason="tensorboard is not installed; `make extras` installs it")
    callback = ap.to_tensorboard(tmp_path / "run")
    for epoch, accuracy in enumerate([0.4, 0.6], start=1):
        callback(None, {"epoch": epoch, "held_accuracy": accuracy})
    port = free_port()
    command = [sys.executable, "-m", "tensorboard.main", "--logdir", tmp_path, "--host", "127.0.0.1", "--port", str(port)]
    with open(tmp_path / "server.log", "w+") as log:
        server = subprocess.Popen([*command, "--load_fast", "false"], stdout=log, stderr=subprocess.STDOUT)
        try:
            wait_for(f"http://127.0.0.1:{port}/", server, log)
            page = browser.new_page()
            page.goto(f"http://127.0.0.1:{port}/#timeseries")
            page.get_by_text("held_accuracy").first.wait_for(timeout=60_000)
            page.close()
        finally:
            server.terminate()
            server.wait(timeout=20)


def test_all_cells_run_without_an_error(lesson):
    name, page, outside = lesson
    for number in every_screen(page):
        page.screenshot(path=SCREENSHOTS / f"{name}-{number:02}.png")
    outputs = page.evaluate(f"{CELLS}.flatMap(cell => cell.outputs.toJSON())")
    assert not [output for output in outputs if output["output_type"] == "error"]
    data = EMBEDDED.get(name, "shapes")
    assert any(f"Data in use: {data}" in str(output.get("text")) for output in outputs)
    assert not outside, f"the lesson asked for addresses outside this machine: {outside}"


# How each kind of control is moved by keyboard: what is focused, and the keys pressed there one after the other.
KEYS = {
    ".widget-toggle-button": ["Space"],
    ".noUi-handle": ["ArrowRight"],
    "input[type=number]": ["ArrowUp", "Enter"],
    "input[type=checkbox]": ["Space"],
}
WIDGETS = """[...window.jupyterapp.shell.currentWidget.content.model.cells].flatMap(
    (cell, place) => cell.type === "code" && cell.sharedModel.source.includes("ap.widgets.") ? [place] : [])"""

# By how many pixels a picture reaches beyond the output it stands in.
OVERHANG = """picture => picture.getBoundingClientRect().right
    - picture.closest(".jp-OutputArea-output").getBoundingClientRect().right"""


def test_each_widget_is_moved_by_keyboard_and_its_picture_changes(lesson):
    from playwright.sync_api import expect

    name, page, _ = lesson
    places = page.evaluate(WIDGETS)
    assert places, "every lesson has a widget"
    for number, place in enumerate(places):
        widget = scroll_to(page, page.locator(f'[data-windowed-list-index="{place}"] .picture-widget'))
        picture = widget.locator(".widget-html img")
        # What is pressed already comes last, when another one of its row has been pressed.
        controls = [(control, keys) for kind, keys in KEYS.items() for control in widget.locator(kind).all()]
        controls.sort(key=lambda pair: "mod-active" in (pair[0].get_attribute("class") or ""))
        assert controls
        for control, keys in controls:
            source, sentence = picture.get_attribute("src"), picture.get_attribute("alt")
            control.focus()
            at_the_end = control.get_attribute("aria-valuenow") == (control.get_attribute("aria-valuemax") or "none")
            for key in ["ArrowLeft"] if at_the_end and keys == ["ArrowRight"] else keys:
                page.keyboard.press(key)
            expect(picture).not_to_have_attribute("alt", sentence, timeout=60_000)
            changed = picture.get_attribute("src") != source
            assert changed, "the picture changes with its words"
            assert picture.evaluate("picture => picture.complete && picture.naturalWidth") > 100
            assert picture.evaluate(OVERHANG) <= 1, "nothing of the picture is cut off"
            if control.get_attribute("type") == "checkbox":  # tick it again: with all of them empty there is no picture
                page.keyboard.press("Space")
                expect(picture).to_have_attribute("alt", sentence, timeout=60_000)
        widget.screenshot(path=SCREENSHOTS / f"{name}-widget-{number}.png")


def test_saving_changes_the_readers_copy_alone(lesson, jupyter):
    name, page, _ = lesson
    _, folder = jupyter

    def course_files():
        return {path: path.read_bytes() for part in ("lessons", "notebooks") for path in (folder / part).glob("*.*")}

    before = course_files()
    page.evaluate("window.jupyterapp.commands.execute('docmanager:save')")
    page.wait_for_function("!window.jupyterapp.shell.currentWidget.context.model.dirty", timeout=60_000)
    saved = nbformat.read(folder / "workbook" / f"{name}.ipynb", as_version=4)
    assert next(cell.execution_count for cell in saved.cells if cell.cell_type == "code") == 1
    assert course_files() == before
    assert {path.suffix for path in (folder / "workbook").iterdir() if path.is_file()} == {".ipynb"}


def test_a_quiz_question_is_answered_and_explained(lesson):
    name, page, _ = lesson
    answer = scroll_to(page, page.locator("label.MCButton"))
    answer.click()
    feedback = page.locator(".Feedback").filter(has_text=re.compile(r"\w{3}")).first
    feedback.wait_for(timeout=10_000)
    assert len(feedback.inner_text()) > 20
    feedback.scroll_into_view_if_needed()
    page.screenshot(path=SCREENSHOTS / f"{name}-quiz.png")
