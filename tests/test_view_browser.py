"""The live view where people see it: in a real JupyterLab, and as a file without kernel and network."""

import re
import time
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from celery import Celery, chord
from playwright.sync_api import Page, expect

import labkit
from tests.jupyter import (
    PATIENCE,
    Jupyter,
    menu,
    read,
    ready,
    run_all,
    screenshot,
    states,
    theme,
    view,
    wait_for_states,
)

SETUP = """
import pathlib, time
import labkit
from celery import chain, chord, group

lab = labkit.start()

@lab.app.task
def add(x, y):
    return x + y

@lab.app.task
def xsum(numbers):
    return sum(numbers)

@lab.app.task
def fail(x):
    raise ValueError("no <b>good</b>")

@lab.app.task
def wait_for(name, *_):
    while not pathlib.Path(name).exists():
        time.sleep(0.01)
    return "there"
"""

app = Celery("page")
app.conf.update(task_serializer="json", result_serializer="json", accept_content=["json"])


@app.task
def add(x: int, y: int) -> int:
    """Add."""
    return x + y


@app.task
def xsum(numbers: list[int]) -> int:
    """Add all."""
    return sum(numbers)


@app.task
def fail(x: int) -> None:
    """Fail."""
    raise ValueError("no <b>good</b>")


def test_it_is_live_and_its_buttons_reach_the_lab_while_a_cell_awaits(
    jupyter: Jupyter, page: Page, screenshots: Path
) -> None:
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    go = jupyter.folder / "go"
    jupyter.open(
        page,
        "live",
        SETUP,
        f"run = labkit.run(chain(add.s(1, 1), wait_for.si({str(go)!r}), add.si(2, 3), *[add.s(1)] * 5))\nrun",
        "await run",
        "lab.paused, time.sleep(2)",
        "run",
    )
    run_all(page)
    live = view(page)

    # Live: what is held back here is running there, and goes on only when it is let go.
    wait_for_states(live, "succeeded", "running", *["planned"] * 6)
    # Celery tells of a step's end a little after it has sent the next one, which may have begun by then.
    expect(live.locator(".meaning")).to_have_text(re.compile("the worker acknowledged #2 before|#1 returned 2"))
    expect(live.locator(".running-part li")).to_have_text("▶ #2")
    page.wait_for_timeout(500)
    assert states(live)[1] == "running"
    live.locator(".go").click()
    expect(live.locator(".mode")).to_contain_text("live, paused")
    screenshot(page, live, screenshots, "view-live-light")
    go.touch()

    # Paused: the one that ran ends, the next is held; each step lets one task go.
    wait_for_states(live, "succeeded", "succeeded", "received", *["planned"] * 5)
    expect(live.locator(".fetched-part li")).to_have_text("◑ #3")
    for _ in range(3):
        live.locator(".next").click()
    wait_for_states(live, *["succeeded"] * 5, "received", "planned", "planned")
    page.wait_for_timeout(400)
    assert states(live)[5:] == ["received", "planned", "planned"]

    live.locator(".go").click()
    wait_for_states(live, *["succeeded"] * 8)

    # The next cell blocks the kernel: the view says so, and answers when the cell is done.
    live.locator("svg .box").nth(0).click()
    expect(live.locator(".meaning")).to_contain_text("The kernel is busy with a cell")
    expect(live.locator(".panel .why")).to_contain_text("returned")
    live.locator(".panel .close").click()
    expect(live.locator(".panel")).to_be_hidden()

    # The same run shown again, when all is over.
    again = view(page, 1)
    wait_for_states(again, *["succeeded"] * 8)
    assert errors == []


def test_the_record_by_keyboard_alone_and_by_mouse(jupyter: Jupyter, page: Page, screenshots: Path) -> None:
    jupyter.open(
        page,
        "record",
        SETUP,
        "run = labkit.run(chord([add.s(1, 1), fail.s(2), add.s(3, 3)], xsum.s()) | add.s(1))\nawait run\nrun",
    )
    run_all(page)
    record = view(page)
    wait_for_states(record, "succeeded", "failed", "succeeded", "never-ran", "never-ran")
    expect(record.locator(".mode")).to_have_text("recorded")
    expect(record.locator(".box.failed .outcome")).to_contain_text("ValueErro")
    assert record.locator("b").count() == 0, "an error became markup"

    # By keyboard: to the beginning, on by one fact, back, to the end; play; and why.
    record.focus()
    page.keyboard.press("Home")
    wait_for_states(record, *["planned"] * 5)
    expect(record.locator(".meaning")).to_contain_text("this is the plan")
    page.keyboard.press("ArrowRight")
    expect(record.locator(".count")).to_have_text(re.compile("^1 of"))
    expect(record.locator(".waiting-part li")).to_have_text("◔ #1")
    page.keyboard.press("ArrowLeft")
    wait_for_states(record, *["planned"] * 5)
    page.keyboard.press("Space")
    expect(record.locator(".go")).to_have_text("Pause")
    page.keyboard.press("Space")
    expect(record.locator(".go")).to_have_text("Play")
    page.keyboard.press("End")
    wait_for_states(record, "succeeded", "failed", "succeeded", "never-ran", "never-ran")
    record.locator("svg .box[tabindex='0']").focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    expect(record.locator("svg .box:focus")).to_have_attribute("aria-label", re.compile("^#4 xsum.*never ran"))
    page.keyboard.press("Enter")
    expect(record.locator(".panel .why")).to_contain_text("It is the body of a chord")
    screenshot(page, record, screenshots, "view-why-light")
    page.keyboard.press("Escape")
    expect(record.locator(".panel")).to_be_hidden()
    expect(record.locator("svg .box:focus")).to_have_count(1)

    # By mouse: the scrubber, a fact at a time, a task at a time.
    bar = record.locator(".scrubber").bounding_box()
    assert bar
    page.mouse.move(bar["x"] + bar["width"] - 9, bar["y"] + bar["height"] / 2)
    page.mouse.down()
    page.mouse.move(bar["x"] + bar["width"] / 3, bar["y"] + bar["height"] / 2, steps=5)
    middle = int(record.get_attribute("data-cursor") or -1)
    page.mouse.move(bar["x"] + 1, bar["y"] + bar["height"] / 2, steps=5)
    page.mouse.up()
    expect(record.locator(".count")).to_have_text(re.compile("^[01] of"))
    assert 0 < middle < int(record.get_attribute("data-facts") or 0)
    record.locator(".next").click()
    assert states(record).count("planned") < 5
    record.locator(".message").click()
    record.locator(".back").click()
    title = record.locator("svg .box title").first.text_content() or ""
    assert re.match(r"#\d \w+\(", title)
    assert re.search(r"id [0-9a-f]{8}-", title)

    theme(page, "Dark")
    record.focus()
    page.keyboard.press("End")
    paper = record.evaluate("(view) => getComputedStyle(view).backgroundColor")
    assert paper == "rgb(27, 30, 36)"
    page.wait_for_timeout(400)
    screenshot(page, record, screenshots, "view-record-dark")
    theme(page, "Light")


def test_a_stack_unfolds_and_a_saved_notebook_shows_the_picture(
    jupyter: Jupyter, page: Page, screenshots: Path
) -> None:
    send = "run = labkit.run(chord([add.s(n, n) for n in range(1000)], xsum.s()))\nrun"
    jupyter.open(page, "stack", SETUP, send, "await run")
    run_all(page)
    stack = view(page)
    wait_for_states(stack, "succeeded", "succeeded")
    stack.locator("svg .stack").click()
    expect(stack.locator(".cell")).to_have_count(1000)
    expect(stack.locator(".cell.succeeded")).to_have_count(1000)
    stack.focus()
    page.keyboard.press("Home")
    expect(stack.locator(".cell.planned")).to_have_count(1000)
    page.keyboard.press("End")
    stack.locator(".cell").nth(500).click()
    expect(stack.locator(".panel h4")).to_have_text("#501 add(500, 500)")
    screenshot(page, stack, screenshots, "view-stack-light")
    page.keyboard.press("Escape")

    page.keyboard.press("Control+s")
    until = time.monotonic() + PATIENCE / 1000
    path = jupyter.folder / "stack.ipynb"
    while not (outputs := read(path).cells[1].outputs):
        assert time.monotonic() < until
        time.sleep(0.1)
    assert set(outputs[0].data) == {"image/svg+xml", "text/plain"}
    assert "✓ 1000" in outputs[0].data["text/plain"]
    page.reload()
    ready(page)
    picture = page.locator(".jp-OutputArea-output img").first
    picture.wait_for()
    assert page.get_by_text("model not found").count() == 0

    # Restart the kernel and run again: the view is back.
    menu(page, "Kernel", "Restart Kernel and Run All Cells…")
    page.locator(".jp-Dialog .jp-mod-accept").click()
    wait_for_states(view(page), "succeeded", "succeeded")


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_an_exported_page_replays_offline(page: Page, tmp_path: Path, screenshots: Path, theme: str) -> None:
    with labkit.start(app) as lab:
        run = lab.run(chord([add.s(1, 1), fail.s(2), add.s(3, 3)], xsum.s()) | add.s(1))
        run.wait()
        run.save(tmp_path / "run.html")
    errors: list[str] = []
    asked: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    page.on("request", lambda request: asked.append(urlsplit(request.url).scheme))
    page.context.set_offline(True)
    page.emulate_media(color_scheme="dark" if theme == "dark" else "light", reduced_motion="reduce")
    page.goto((tmp_path / "run.html").as_uri())
    shown = view(page)
    wait_for_states(shown, "succeeded", "failed", "succeeded", "never-ran", "never-ran")
    shown.focus()
    page.keyboard.press("Home")
    wait_for_states(shown, *["planned"] * 5)
    shown.locator(".speed select").select_option("16")
    page.keyboard.press("Space")
    wait_for_states(shown, "succeeded", "failed", "succeeded", "never-ran", "never-ran")
    shown.locator("[data-name=n5]").click()
    expect(shown.locator(".panel .why")).to_contain_text("never ran")
    assert shown.locator(".faults").is_hidden()
    motion = shown.locator(".box path").first.evaluate("(path) => getComputedStyle(path).transitionDuration")
    assert motion == "0s"
    page.screenshot(path=screenshots / f"view-page-{theme}.png")
    assert asked == ["file"]
    assert errors == []
