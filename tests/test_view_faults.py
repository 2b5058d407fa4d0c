"""Faults and steps pressed in the live view, in a real JupyterLab: each is a fact, is seen, and is undone."""

import re
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.jupyter import Jupyter, run_all, screenshot, states, theme, view, wait_for_states

pytestmark = pytest.mark.timeout(240)  # a JupyterLab on a busy machine

SETUP = """
import labkit
from celery import chain, group
from tasks import add, app, ident, mul, noarg, power, slow, sub

lab = labkit.start(slots=1)


def paused(canvas):
    lab.pause()
    return labkit.run(canvas)


def faults(run):
    return [fact["text"] for fact in run.recording.facts if fact["kind"] == "fault"]
"""


def press(page: Page, live: Locator, fault: str, task: str = "", times: int = 1) -> None:
    """Press an entry of the faults menu, and wait until the view says that it was done."""
    live.locator(".faults summary").click()
    if task:
        live.locator(".faults select").select_option(task)
        live.locator(".faults .times").fill(str(times))
    live.locator(".faults").get_by_role("button", name=fault, exact=True).click()
    expect(live.locator(".faults .menu")).to_be_hidden()


def said(live: Locator, text: str) -> None:
    expect(live.locator(".meaning")).to_contain_text(text)


def answer(page: Page, place: int) -> Locator:
    """The text output of a code cell."""
    return page.locator(".jp-CodeCell").nth(place).locator(".jp-OutputArea-output pre").last


def box(live: Locator, number: int) -> Locator:
    return live.locator(f"svg [data-name=n{number}]")


def test_messages_and_calls(jupyter: Jupyter, page: Page, screenshots: Path) -> None:
    canvas = "chain(ident.s(3), group(add.s(1), mul.s(2), mul.s(3), power.s(2), sub.s(1)))"
    jupyter.open(
        page,
        "messages",
        SETUP,
        f"run = paused({canvas})\nrun",
        "await run",
        "print(*faults(run), sep=' | ')\nprint(lab.faults)",
        "lab.faults.lose(add, 5); lab.faults.fail(sub, 5)\nprint(lab.faults)\nlab.reset()\nprint(lab.faults)",
        f"run = labkit.run({canvas})\nrun",
        "await run",
    )
    run_all(page)
    live = view(page)
    wait_for_states(live, "received", *["planned"] * 5)
    press(page, live, "lose its next messages", "tasks.add")
    said(live, "the next message of tasks.add will be lost")
    press(page, live, "deliver its next messages twice", "tasks.power")
    said(live, "the next message of tasks.power will be delivered twice")
    press(page, live, "make its next calls fail", "tasks.mul", times=2)
    said(live, "the next 2 calls of tasks.mul will fail")
    press(page, live, "slow the backend by 0.5 s")
    said(live, "storing a result takes 0.5 s longer")
    live.locator(".go").click()

    wait_for_states(live, "succeeded", "lost", "failed", "failed", "succeeded", "succeeded")
    expect(box(live, 2).locator(".outcome")).to_contain_text("lost")
    expect(box(live, 2).locator("title")).to_contain_text("a fault made it so")
    expect(box(live, 3).locator(".outcome")).to_contain_text("Injected")
    expect(box(live, 5).locator("title")).to_contain_text("delivered twice")
    # Storing took so long: of what nothing follows, that cannot be told from the body.
    assert float(re.findall(r"ran ([\d.]+) s", box(live, 6).locator("title").text_content() or "")[0]) >= 0.5
    assert " ms" in (box(live, 1).locator("title").text_content() or "").partition("ran ")[2].partition("\n")[0]
    for text in ("tasks.add will be lost", "delivered twice", "2 calls of tasks.mul will fail", "0.5 s longer"):
        expect(answer(page, 3)).to_contain_text(text)

    # Everything that is armed is undone, and the same canvas runs as it should.
    expect(answer(page, 4)).to_contain_text("lose tasks.add × 5")
    expect(answer(page, 4)).to_contain_text("faults: none armed")
    wait_for_states(view(page, 1), *["succeeded"] * 6)


def test_killed_workers_and_a_broker_that_stops(jupyter: Jupyter, page: Page, screenshots: Path) -> None:
    ways = ["middle", "after", "before"]
    canvas = "chain(noarg.si(), slow.si(0.5), noarg.si())"
    cells = [cell for way in ways for cell in (f"{way} = paused({canvas})\n{way}", f"await {way}")]
    broker = ["run = paused(group(add.s(n, n) for n in range(6)))\nrun", "await run", "print(*faults(run), sep=' | ')"]
    jupyter.open(page, "killed", SETUP, *cells, *broker, "lab.reset()\nprint((await labkit.run(add.s(1, 1))).text)")
    run_all(page)
    for place, (way, fault) in enumerate(
        {
            "middle": "kill its worker in the middle",
            "after": "kill its worker once it has acknowledged",
            "before": "kill its worker before it acknowledges",
        }.items()
    ):
        live = view(page, place)
        wait_for_states(live, "received", "planned", "planned")
        press(page, live, fault, "tasks.slow")
        said(live, "ready: the next call of tasks.slow kills it")
        live.locator(".go").click()
        if way == "before":
            # Nobody had acknowledged it: the broker still has the message, and it comes back.
            expect(box(live, 2).locator("title")).to_contain_text("killed before it acknowledged")
            assert states(live) == ["succeeded", "sent", "planned"]
            said(live, "the broker keeps the message")
            press(page, live, "undo all faults")
            wait_for_states(live, "succeeded", "succeeded", "succeeded")
        else:
            wait_for_states(live, "succeeded", "lost", "never-ran")
            expect(box(live, 3).locator(".outcome")).to_contain_text("never ran")
            if way == "middle":
                expect(box(live, 2).locator("title")).to_contain_text("worker1")
                screenshot(page, live, screenshots, "view-killed-light")
            press(page, live, "undo all faults")
            said(live, "all faults are undone")

    live = view(page, 3)
    wait_for_states(live, *["received"] * 4, "sent", "sent")
    press(page, live, "stop the broker")
    wait_for_states(live, *["received"] * 4, "lost", "lost")
    expect(box(live, 6).locator("title")).to_contain_text("it lay in the broker when that was stopped")
    theme(page, "Dark")
    live.locator(".faults summary").click()
    screenshot(page, live, screenshots, "view-faults-dark")
    page.keyboard.press("Escape")
    live.locator(".next").click()
    said(live, "a fault has stopped the broker")
    press(page, live, "start the broker again")
    said(live, "the broker was started again, empty")
    live.locator(".go").click()
    wait_for_states(live, *["succeeded"] * 4, "lost", "lost")
    expect(answer(page, 9)).to_contain_text("the broker was stopped | the broker was started again, empty")
    expect(answer(page, 10)).to_contain_text("✓ 2")
    theme(page, "Light")


FAN = """
from pathlib import Path
from time import sleep

@app.task
def fan(name, n):
    while not Path(name).exists():
        sleep(0.01)
    for number in range(n):
        add.delay(number, number)
"""


# A box takes a colour only when its state changes, also when the drawing is laid out again, which makes each box anew.
FLASHES = """(view) => {
    const states = new Map(), changes = new Map(), runs = new Map();
    const add = (counts, key) => counts.set(key, (counts.get(key) ?? 0) + 1);
    const look = () => {
        for (const box of view.querySelectorAll("svg .box")) {
            const { name } = box.dataset, state = box.getAttribute("class").split(" ")[1];
            if (states.get(name) !== state) add(changes, name);
            states.set(name, state);
        }
    };
    look();
    changes.clear();
    const painted = () => requestAnimationFrame(() => setTimeout(() => { look(); painted(); }));
    painted();
    view.addEventListener("transitionrun", ({ propertyName, target }) => {
        const box = target.closest("svg .box");
        if (propertyName === "fill" && box)
            add(runs, `${box.dataset.name} ${[...box.querySelectorAll("*")].indexOf(target)}`);
    });
    view.flashes = () => [...runs].filter(([key, times]) => times > (changes.get(key.split(" ")[0]) ?? 0));
}"""


def test_what_a_task_sends_grows_in_message_by_message(jupyter: Jupyter, page: Page, screenshots: Path) -> None:
    go = jupyter.folder / "go"
    jupyter.open(page, "fan", SETUP + FAN, f"run = paused(chain(fan.s({str(go)!r}, 5), ident.si(0)))\nrun", "await run")
    run_all(page)
    live = view(page)
    wait_for_states(live, "received", "planned")

    live.focus()
    page.keyboard.press("ArrowRight")  # on by one message
    wait_for_states(live, "running", "planned")
    page.wait_for_timeout(300)
    assert states(live) == ["running", "planned"]
    go.touch()
    # It has sent one, and stands still behind it: that one is in the queue.
    wait_for_states(live, "running", "planned", "received")
    page.keyboard.press("ArrowRight")
    wait_for_states(live, "running", "planned", "received", "received")
    live.evaluate(FLASHES)
    live.locator(".message").click()
    wait_for_states(live, "running", "planned", *["received"] * 3)
    assert live.evaluate("(view) => view.flashes()") == [], "what was drawn anew came from black"
    assert live.locator("svg .box").count() == 5
    screenshot(page, live, screenshots, "view-fan-light")

    # On by one task: it goes on to its end.
    page.keyboard.press("s")
    wait_for_states(live, "succeeded", "sent", *["received"] * 4, "sent")
    live.locator(".go").click()
    wait_for_states(live, *["succeeded"] * 7)
