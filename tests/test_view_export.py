"""The view without its lab: a loaded recording, a saved notebook without a kernel, its HTML; and a kernel too busy."""

import re
import subprocess
import sys
import time
from pathlib import Path

import nbformat
import pytest
from playwright.sync_api import Locator, Page, expect

from tests.jupyter import PATIENCE, Jupyter, read, run_all, screenshot, states, view, wait_for_states

pytestmark = pytest.mark.timeout(240)  # a JupyterLab on a busy machine

SETUP = """
import labkit
from celery import chain, chord
from tasks import add, app, fail, slow, xsum

lab = labkit.start()
"""
ENDED = ("succeeded", "failed", "succeeded", "never-ran", "never-ran")


def placed(shown: Locator) -> str:
    """Where the drawing stands, and how large."""
    return str(shown.locator("svg > g").first.get_attribute("transform"))


def width(shown: Locator) -> float:
    bounds = shown.locator("svg .box").first.bounding_box()
    assert bounds
    return bounds["width"]


def test_a_loaded_recording_replays_without_a_lab_and_can_be_looked_at_closely(jupyter: Jupyter, page: Page) -> None:
    jupyter.open(
        page,
        "loaded",
        SETUP,
        "run = labkit.run(chord([add.s(1, 1), fail.s(2), add.s(3, 3)], xsum.s()) | add.s(1))\n"
        "_ = await run\nrun.save('run.json')\nlabkit.stop()",
        "labkit.load('run.json')",
    )
    run_all(page)
    loaded = view(page)
    wait_for_states(loaded, *ENDED)
    expect(loaded.locator(".faults")).to_be_hidden()
    loaded.focus()
    page.keyboard.press("Home")
    wait_for_states(loaded, *["planned"] * 5)
    loaded.locator(".speed select").select_option("16")
    loaded.locator(".go").click()
    wait_for_states(loaded, *ENDED)
    loaded.locator("[data-name=n5]").click()
    expect(loaded.locator(".panel")).to_contain_text("never ran")
    expect(loaded.locator(".panel")).to_contain_text("What failed is #2 fail(2): ValueError: boom")
    page.keyboard.press("Escape")

    # Zoom, pan and fit by keyboard.
    loaded.focus()
    page.keyboard.press("0")
    fitted, wide, cursor = placed(loaded), width(loaded), loaded.get_attribute("data-cursor")
    page.keyboard.press("+")
    assert width(loaded) == pytest.approx(1.3 * wide, rel=0.01)
    page.keyboard.press("-")
    assert width(loaded) == pytest.approx(wide, rel=0.01)
    before = placed(loaded)
    for key in ("Shift+ArrowLeft", "Shift+ArrowUp"):
        page.keyboard.press(key)
        assert placed(loaded) != before
        before = placed(loaded)
    assert loaded.get_attribute("data-cursor") == cursor, "what pans must not step"
    page.keyboard.press("0")
    assert placed(loaded) == fitted

    # A box that gets the focus comes into sight.
    for _ in range(6):
        page.keyboard.press("+")
    loaded.locator("svg .box[tabindex='0']").focus()
    for _ in range(4):
        page.keyboard.press("ArrowDown")
    last, room = loaded.locator("svg .box:focus").bounding_box(), loaded.locator(".canvas").bounding_box()
    assert last
    assert room
    assert last["x"] < room["x"] + room["width"]
    assert last["y"] < room["y"] + room["height"]

    # By mouse: buttons, wheel and ctrl, dragging; a drag presses no box.
    loaded.locator(".zoom").get_by_text("fit").click()
    assert placed(loaded) == fitted
    loaded.locator(".zoom").get_by_text("+").click()
    assert width(loaded) == pytest.approx(1.3 * wide, rel=0.01)
    loaded.locator(".zoom").get_by_text("fit").click()
    at = loaded.locator("[data-name=n1]").bounding_box()
    assert at
    page.mouse.move(at["x"] + 20, at["y"] + 10)
    page.keyboard.down("Control")
    page.mouse.wheel(0, -120)
    page.keyboard.up("Control")
    page.wait_for_function(f"document.querySelector('.labkit svg .box').getBoundingClientRect().width > {1.2 * wide}")
    under = loaded.locator("[data-name=n1]").bounding_box()
    assert under
    assert under["x"] <= at["x"] + 20 <= under["x"] + under["width"], "what is under the mouse stays there"
    page.mouse.down()
    page.mouse.move(at["x"] + 90, at["y"] + 50, steps=4)
    page.mouse.up()
    moved = loaded.locator("[data-name=n1]").bounding_box()
    assert moved
    assert moved["x"] - under["x"] == pytest.approx(70, abs=2)
    expect(loaded.locator(".panel")).to_be_hidden()


def saved(path: Path, text: str) -> nbformat.NotebookNode:
    """The notebook, once this text is in the outputs that are saved."""
    until = time.monotonic() + PATIENCE / 1000
    while True:
        notebook = read(path)
        if text in str([cell.get("outputs") for cell in notebook.cells]):
            return notebook
        assert time.monotonic() < until
        time.sleep(0.1)


def test_a_blocked_kernel_and_what_a_saved_notebook_shows_without_one(
    jupyter: Jupyter, page: Page, tmp_path: Path, screenshots: Path
) -> None:
    jupyter.open(
        page,
        "kept",
        SETUP,
        "run = labkit.run(chain(slow.si(2), add.si(1, 1), add.si(2, 2)))\nrun",
        "run.get()",
        "lab.reset()\nfailed = labkit.run(chord([add.s(5, 5), fail.s(2)], xsum.s()))\nfailed",
        "_ = await failed",
    )
    run_all(page)
    live = view(page)
    # While a cell blocks the kernel the view says so, and no more when that has ended.
    live.locator(".go").click()
    expect(live.locator(".meaning")).to_contain_text("The kernel is busy with a cell")
    expect(live.locator(".meaning")).to_contain_text("await run")
    expect(live.locator(".unseen")).to_contain_text("The kernel is busy")
    screenshot(page, live, screenshots, "view-busy-light")
    wait_for_states(live, *["succeeded"] * 3)
    expect(live.locator(".meaning")).not_to_contain_text("The kernel is busy")
    failed = view(page, 1)
    wait_for_states(failed, "succeeded", "failed", "never-ran")
    assert states(live) == ["succeeded"] * 3

    for shown in (live, failed):
        expect(shown).to_have_attribute("data-kept", "true")
    page.locator('[data-jp-item-name="save"]').first.click()
    notebook = saved(jupyter.folder / "kept.ipynb", "never ran")
    outputs = [output for cell in notebook.cells for output in cell.outputs if "data" in output]
    assert "application/vnd.jupyter.widget-view+json" not in str(outputs)

    # Opened again where no kernel starts: the pictures.
    page.goto("about:blank")
    page.route(re.compile("/api/(kernels|sessions)"), lambda route: route.abort())
    page.goto(f"http://127.0.0.1:{jupyter.port}/lab/workspaces/bare/tree/kept.ipynb?token={jupyter.token()}")
    pictures = page.locator(".jp-OutputArea-output img")
    expect(pictures).to_have_count(2)
    assert pictures.nth(1).evaluate("(image) => image.complete && image.naturalWidth > 100")
    assert page.locator(".labkit").count() == 0
    assert page.get_by_text("Python 3 (ipykernel) | Idle").count() == 0
    page.screenshot(path=screenshots / "notebook-no-kernel.png")

    # As HTML, from disk, with the network off.
    command = [sys.executable, "-m", "nbconvert", "--to", "html", "--output-dir", str(tmp_path)]
    subprocess.run([*command, str(jupyter.folder / "kept.ipynb")], check=True, timeout=100, capture_output=True)
    page.goto("about:blank")
    page.context.set_offline(True)
    page.goto((tmp_path / "kept.html").as_uri(), wait_until="commit")
    drawn = page.locator(".jp-OutputArea-output").locator("img, svg").filter(visible=True)
    expect(drawn).to_have_count(2)
    source = drawn.nth(1).evaluate("(each) => each.outerHTML")
    assert len(source) > 500
    page.locator(".jp-OutputArea-output").nth(1).scroll_into_view_if_needed()
    page.screenshot(path=screenshots / "notebook-html.png")
    assert re.search("No module|model not found|Error displaying", page.content()) is None
