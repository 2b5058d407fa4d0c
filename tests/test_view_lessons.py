"""A lesson as a learner has it, in a real JupyterLab: run, held, stepped, broken, scrubbed, reloaded, started anew."""

import re
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import nbformat
import nbformat.reader
import pytest
from nbformat.v4 import new_code_cell
from playwright.sync_api import Locator, Page, expect

from labkit import classroom
from tests.jupyter import PATIENCE, Jupyter, menu, ready, run_all, screenshot, states, theme, wait_for_states

pytestmark = pytest.mark.timeout(240)  # a JupyterLab on a busy machine

#: What a learner may write in between, below the imports.
OWN = """
from tasks import slow

many = labkit.run(chord([add.s(n, n) for n in range(1000)], xsum.s()))
many
---
await many
---
steps = labkit.run(chain(slow.s(3, 1), *[add.s(1)] * 7))
steps
---
await steps
---
lab.pause()
broken = labkit.run(chain(noarg.si(), chord([add.si(1, 1), slow.si(30)], xsum.s())))
broken
---
await broken
---
lab.reset()
"""

#: Each change of a box's state in any view, in order: `window.seen`.
WATCH = """
window.seen = [];
new MutationObserver((changes) => {
  for (const { target } of changes) {
    if (!target.matches(".labkit svg .box")) continue;
    const cell = target.closest(".jp-CodeCell")?.querySelector(".cm-content")?.textContent ?? "";
    window.seen.push([cell, Number(target.dataset.name.slice(1)), target.getAttribute("class").split(" ")[1]]);
  }
}).observe(document, { subtree: true, attributes: true, attributeFilter: ["class"] });
"""

LIFE = ["planned", "sent", "received", "running", "succeeded"]


def changes(page: Page, text: str) -> list[tuple[int, str]]:
    """The changes of state in the view below the cell with this text: which box, and to what."""
    return [(number, state) for cell, number, state in page.evaluate("window.seen") if text in cell]


def below(page: Page, text: str) -> Locator:
    """The view below the cell with this text. JupyterLab keeps only cells near the window: scroll until it is there."""
    found = page.locator(".jp-CodeCell", has_text=text).first.locator(".labkit")
    until = time.monotonic() + PATIENCE / 1000
    while not found.count():
        assert time.monotonic() < until, f"no view below {text!r}"
        page.evaluate(
            """() => {
                const outer = document.querySelector(".jp-WindowedPanel-outer");
                const end = outer.scrollTop + outer.clientHeight >= outer.scrollHeight - 2;
                outer.scrollTop = end ? 0 : outer.scrollTop + outer.clientHeight / 2;
            }"""
        )
        page.wait_for_timeout(50)
    found.scroll_into_view_if_needed()
    return found


def test_lesson_07(jupyter: Jupyter, page: Page, screenshots: Path) -> None:
    lesson = classroom.fresh_copy("07", target=jupyter.folder)
    notebook = nbformat.read(lesson, as_version=4)
    notebook.cells[2:2] = [new_code_cell(cell.strip()) for cell in OWN.split("---")]
    notebook.cells.append(new_code_cell("Path('done').touch()"))
    nbformat.write(notebook, lesson)
    assert not any(cell.get("outputs") for cell in notebook.cells)
    page.add_init_script(WATCH)
    jupyter.visit(page, lesson.stem)
    run_all(page)

    # A run that a cell awaits: paused, stepped, resumed.
    steps = below(page, "steps = ")
    steps.locator(".go").click()
    expect(steps.locator(".mode")).to_have_text("live, paused")
    wait_for_states(steps, "running", *["planned"] * 7)
    wait_for_states(steps, "succeeded", "received", *["planned"] * 6)
    for ended in (2, 3, 4):
        steps.locator(".next").click()
        wait_for_states(steps, *["succeeded"] * ended, "received", *["planned"] * (7 - ended))
    page.wait_for_timeout(300)  # nothing more happens: that cannot be waited for
    assert states(steps).count("succeeded") == 4
    steps.locator(".go").click()
    wait_for_states(steps, *["succeeded"] * 8)
    for number in range(1, 9):
        life = [LIFE.index(state) for each, state in changes(page, "steps = ") if each == number]
        assert life == sorted(life), f"#{number} went back"
        assert len(set(life)) > 2 or number not in (2, 3, 4), "each that was held was seen so"
    ends = [number for number, state in changes(page, "steps = ") if state == "succeeded"]
    assert list(dict.fromkeys(ends)) == list(range(1, 9))

    # A worker process is killed in the middle of a task, from the view.
    broken = below(page, "broken = ")
    wait_for_states(broken, "received", *["planned"] * 3)
    broken.locator(".faults summary").click()
    broken.locator(".faults select").select_option("tasks.slow")
    broken.get_by_role("button", name="kill its worker in the middle").click()
    expect(broken.locator(".meaning")).to_contain_text("ready: the next call of tasks.slow kills it")
    broken.locator(".go").click()
    wait_for_states(broken, "succeeded", "succeeded", "lost", "never-ran")
    expect(broken.locator("[data-name=n3] title")).to_contain_text("its worker was killed")
    broken.locator(".faults summary").click()
    broken.get_by_role("button", name="undo all faults").click()
    expect(broken.locator(".meaning")).to_contain_text("all faults are undone")
    theme(page, "Dark")
    screenshot(page, broken, screenshots, "view-lesson-dark")
    theme(page, "Light")

    # The lesson itself went through behind that: what fails in it is meant to.
    until = time.monotonic() + 3 * PATIENCE / 1000
    while not (jupyter.folder / "done").exists():
        assert time.monotonic() < until
        time.sleep(0.1)
    page.get_by_text("Python 3 (ipykernel) | Idle").wait_for()

    # Scrub back and forth: by the slider, and to both ends.
    broken.scroll_into_view_if_needed()
    track = broken.locator(".scrubber").bounding_box()
    assert track
    page.mouse.move(track["x"] + track["width"] - 9, track["y"] + 8)
    page.mouse.down()
    page.mouse.move(track["x"] + 2, track["y"] + 8, steps=6)
    expect(broken.locator(".count")).to_have_text(re.compile("^[01] of"))
    assert states(broken)[1:] == ["planned"] * 3
    page.mouse.move(track["x"] + track["width"] - 1, track["y"] + 8, steps=6)
    page.mouse.up()
    wait_for_states(broken, "succeeded", "succeeded", "lost", "never-ran")

    # A stack of 1,000, by keyboard alone.
    many = below(page, "many = ")
    wait_for_states(many, "succeeded", "succeeded")
    many.focus()
    for _ in range(30):
        if many.locator("svg .box:focus").count():
            break
        page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(many.locator(".cell")).to_have_count(1000)
    expect(many.locator(".cell").last).to_have_class("cell succeeded")
    for key in ("ArrowRight", "ArrowRight", "ArrowDown", "Enter"):
        page.keyboard.press(key)
    expect(many.locator(".panel h4")).to_have_text(re.compile(r"^#\d+ add\((\d+), \1\)$"))
    page.keyboard.press("Escape")
    page.keyboard.press("Escape")
    expect(many.locator(".sheet")).to_be_hidden()
    expect(many.locator("svg .stack:focus")).to_have_count(1)

    # Saved and opened again: the pictures are there. A kernel started anew: the view is back.
    expect(many).to_have_attribute("data-kept", "true")
    page.locator('[data-jp-item-name="save"]').first.click()
    until = time.monotonic() + PATIENCE / 1000
    cells: list[Any] = []
    while not cells or "✓ 1000" not in str(cells[2].get("outputs")):
        assert time.monotonic() < until
        time.sleep(0.1)
        with suppress(nbformat.reader.NotJSONError):  # it is just being written
            cells = nbformat.read(lesson, as_version=4).cells
    wrong = [cell for cell in cells if any(each.output_type == "error" for each in cell.get("outputs", []))]
    assert [cell.metadata.tags for cell in wrong] == [["raises-exception"]] * len(wrong)
    unrun = [cell.source for cell in cells if cell.cell_type == "code" and not cell.execution_count]
    assert not unrun
    page.reload()
    ready(page)
    page.locator(".jp-OutputArea-output img").first.wait_for()
    assert page.get_by_text("model not found").count() == 0
    page.locator(".jp-CodeCell", has_text="await many").first.locator(".cm-content").click()
    menu(page, "Kernel", "Restart Kernel and Run up to Selected Cell…")
    page.locator(".jp-Dialog .jp-mod-accept").click()
    wait_for_states(below(page, "many = "), "succeeded", "succeeded")


PLAYGROUND = """
import labkit
from celery import chain, group
from tasks import add, fail, noarg

lab = labkit.start()


def build(n, breaks=False):
    return chain(group(add.s(k, n) for k in range(n)), noarg.si()) if not breaks else chain(add.s(n, n), fail.s())


ground = labkit.playground(build, n=range(1, 12))
ground
"""


def test_the_playground(jupyter: Jupyter, page: Page, screenshots: Path) -> None:
    jupyter.open(
        page,
        "playground",
        PLAYGROUND,
        "sent = [run.recording.facts[0]['at'] for run in ground.runs]\n"
        "[len(run.plan.nodes) for run in ground.runs], sent == sorted(sent), all(run.over for run in ground.runs)",
    )
    page.locator(".jp-CodeCell").first.locator(".cm-content").click()
    page.keyboard.press("Control+Enter")
    ground = page.locator(".jp-OutputArea-output .widget-vbox").first
    ground.wait_for()
    readout = ground.locator(".widget-readout")
    expect(ground).to_contain_text("not sent yet")
    run = ground.get_by_role("button", name="Run", exact=True)
    readout.fill("4")
    readout.press("Enter")
    expect(ground.locator("svg")).to_contain_text("header · 4")
    for _ in range(10):
        run.click()
    expect(ground).to_contain_text("run 10: over")
    screenshot(page, ground, screenshots, "playground-light")

    # A run that fails shows its error in place, and the rest of the page stands.
    ground.get_by_role("checkbox").check()
    run.click()
    expect(ground).to_contain_text("run 11: over")
    expect(ground.locator("svg")).to_contain_text("ValueError: boom")
    page.locator(".jp-CodeCell").nth(1).locator(".cm-content").click()
    page.keyboard.press("Control+Enter")
    expect(page.locator(".jp-CodeCell").nth(1).locator(".jp-OutputArea-output pre")).to_have_text(
        f"({[5] * 10 + [2]}, True, True)"
    )
