"""Twenty views of finished runs in one page: they do nothing until somebody does something, and take little room."""

import json
from typing import Any

import pytest
from celery import Celery, chord
from playwright.sync_api import Page, expect

import labkit
from labkit.view import assets
from labkit.view.feed import Feed

VIEWS = 20
TASKS = 100
#: What one view may keep in the page, in bytes of the script's heap and in nodes of the document.
HEAP = 1_500_000
NODES = 1_500

app = Celery("light")
app.conf.update(task_serializer="json", result_serializer="json", accept_content=["json"])

#: All timers and frames that are still to come, and how many were ever asked for.
COUNTING = """
window.timers = new Set();
window.asked = 0;
for (const [start, stop] of [["setTimeout", "clearTimeout"], ["requestAnimationFrame", "cancelAnimationFrame"]]) {
  const [begin, end] = [window[start], window[stop]];
  window[start] = (act, ...more) => {
    window.asked += 1;
    const number = begin(() => { window.timers.delete(start + number); act(performance.now()); }, ...more);
    window.timers.add(start + number);
    return number;
  };
  window[stop] = (number) => { window.timers.delete(start + number); end(number); };
}
window.setInterval = () => { throw new Error("a view needs no interval"); };
"""


@app.task
def add(x: int, y: int) -> int:
    """Add."""
    return x + y


@app.task
def xsum(numbers: list[int]) -> int:
    """Add all."""
    return sum(numbers)


@pytest.fixture(scope="module")
def record() -> dict[str, Any]:
    with labkit.start(app) as lab:
        run = lab.run(chord([add.s(place, 1) for place in range(TASKS)], xsum.s()))
        run.wait()
        return Feed(run.recording).all()


def weight(page: Page) -> tuple[int, int]:
    """Bytes of the script's heap and nodes of the document, without what is garbage."""
    devtools = page.context.new_cdp_session(page)
    devtools.send("HeapProfiler.collectGarbage")
    heap = devtools.send("Runtime.getHeapUsage")["usedSize"]
    nodes = devtools.send("Memory.getDOMCounters")["nodes"]
    devtools.detach()
    return heap, nodes


def test_twenty_views_of_finished_runs_rest(page: Page, record: dict[str, Any]) -> None:
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.add_init_script(COUNTING)
    page.goto("about:blank")
    page.add_style_tag(content=assets.style())
    page.add_script_tag(content=f"{assets.script()}\nwindow.replay = replay;", type="module")
    page.wait_for_function("!!window.replay")
    before = weight(page)
    page.evaluate(
        """([text, many]) => {
            const host = () => document.body.appendChild(document.createElement("div"));
            window.views = Array.from({ length: many }, () => replay(host(), JSON.parse(text)));
        }""",
        [json.dumps(record), VIEWS],
    )
    expect(page.locator(".labkit[data-over=true]")).to_have_count(VIEWS)
    page.wait_for_function("!window.timers.size", timeout=10_000)
    asked = page.evaluate("window.asked")
    page.wait_for_timeout(1500)
    assert page.evaluate("window.asked") == asked, "something goes on in a view at rest"

    heap, nodes = (after - first for after, first in zip(weight(page), before, strict=True))
    assert heap < VIEWS * HEAP
    assert nodes < VIEWS * NODES

    # They still answer, and the last closed lets everything go.
    last = page.locator(".labkit").last
    last.focus()
    page.keyboard.press("Home")
    expect(last).to_have_attribute("data-cursor", "0")
    page.evaluate(
        "for (const view of window.views) view.close(); window.views = null; document.body.replaceChildren();"
    )
    assert page.evaluate("window.timers.size") == 0
    left = weight(page)
    assert left[0] - before[0] < 0.2 * VIEWS * HEAP
    assert left[1] - before[1] < NODES
    assert errors == []
