"""The live view in a real JupyterLab: how soon it shows what happens, what it costs, how soon it answers a click."""

from __future__ import annotations

import json
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median, quantiles
from typing import Any, Final

from bench.measure import NO_BOUND, PAIRS, Pairs, Row, seconds, spread
from labkit.errors import LabError

#: From a line in a task's body to the frame that shows it, in seconds.
SOON: Final = 0.05
#: A chord with a view beside the same without.
COST: Final = 1.3
#: From a click to the frame that answers it, while the chord runs, in seconds.
ANSWER: Final = 0.1
#: What the view may send to the page for each task, in bytes, all that Jupyter adds included.
WEIGHT: Final = 1_200
SIZE: Final = 1000
#: Chords that are clicked at, and the milliseconds between two clicks: as fast as a person can, throughout.
CLICKED: Final = 12
BETWEEN: Final = 100
#: Clicks between two looks whether the chords have ended.
LOOK: Final = 10
#: Unfold the stack, fold it again, and fit the drawing: each changes what the page shows.
BUTTONS: Final = ("svg .stack", ".sheet header button", ".zoom button:last-child")
#: More like steps in a row would fold into one box.
STEPS: Final = 24

_SETUP: Final = """
import json, time, labkit
from celery import chain, chord
from IPython.display import display
lab = labkit.start()

@lab.app.task
def stamp(*_):
    now = time.time()
    time.sleep(0.1)
    return now

@lab.app.task
def add(x, y):
    return x + y

@lab.app.task
def xsum(numbers):
    return sum(numbers)

async def timed(shown):
    run = labkit.run(chord([add.s(n, n) for n in range(SIZE)], xsum.s()))
    began = time.perf_counter()
    if shown:
        display(run)
    await run
    return time.perf_counter() - began
""".replace("SIZE", str(SIZE))

_STAMPS: Final = f"run = labkit.run(chain(*[stamp.s() for _ in range({STEPS})]))\nrun"
_BODIES: Final = "await run\nprint('BODIES', json.dumps([node.value for node in run.graph.nodes.values()]))"
_COSTS: Final = f"""
costs = [[], []]
for turn in range({PAIRS} + 1):
    for shown in ((True, False), (False, True))[turn % 2]:
        taken = await timed(shown)
        if turn:
            costs[shown].append(taken)
print('COSTS', json.dumps(costs))
"""

_CLICKED: Final = f"""
for turn in range({CLICKED}):
    await timed(True)
print('CLICKED', json.dumps([{CLICKED}]))
"""

#: In the page: when each box first was shown running, in the frame after the one that changed it.
_WATCH: Final = """
window.shown = {};
new MutationObserver((changes) => {
  for (const { target } of changes) {
    const name = target.dataset?.name;
    if (name && /running|succeeded/.test(target.getAttribute("class")) && !(name in shown)) {
      shown[name] = null;
      requestAnimationFrame(() => { shown[name] = (performance.timeOrigin + performance.now()) / 1000; });
    }
  }
}).observe(document.body, { subtree: true, attributes: true, attributeFilter: ["class"] });
"""

#: In the page: from each click, as the browser stamped it, until the next frame is on the screen, as the browser
#: itself tells it (Event Timing, rounded to 8 ms). It does not tell of those that took less than 16 ms.
QUICK: Final = 0.016
_LISTEN: Final = """
window.clicked = 0;
window.answers = [];
addEventListener("click", () => { window.clicked += 1; }, true);
new PerformanceObserver((told) => {
  for (const { name, duration } of told.getEntries()) if (name === "click") window.answers.push(duration / 1000);
}).observe({ type: "event", durationThreshold: 16 });
"""

#: Where to click, in the newest view.
_TARGET: Final = """(button) => {
  const target = [...document.querySelectorAll(".labkit")].at(-1)?.querySelector(button);
  const { x, y, width, height } = target?.getBoundingClientRect() ?? {};
  const [across, down] = [x + width / 2, y + height / 2];
  if (width && target.contains(document.elementFromPoint(across, down))) return [across, down];
  target?.closest(".labkit").scrollIntoView({ block: "nearest" });
  return null;
}"""


def live() -> Iterator[Row]:
    """Latency, cost, and bytes of the view, in a browser."""
    found = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if not found:
        yield Row("live view: no Chromium here", "", "", "", "", 0)
        return
    from playwright.sync_api import sync_playwright  # loads when it is measured

    from tests.jupyter import Jupyter

    with (
        tempfile.TemporaryDirectory() as folder,
        Jupyter(Path(folder)) as jupyter,
        sync_playwright() as playwright,
        playwright.chromium.launch(executable_path=found, args=["--no-sandbox"]) as browser,
    ):
        for measured in (_latency, _cost, _clicks, _tasks):
            page = browser.new_page()
            yield from measured(jupyter, page)
            page.close()


def _latency(jupyter: Any, page: Any) -> Iterator[Row]:
    jupyter.open(page, "latency", _SETUP, _STAMPS, _BODIES)
    page.evaluate(_WATCH)
    bodies = _printed(page, "BODIES", 60_000)
    shown = page.evaluate("window.shown")
    late = [shown[f"n{place}"] - body for place, body in enumerate(bodies, 1) if shown.get(f"n{place}")]
    if len(late) < len(bodies) / 2:
        raise LabError(f"the page showed {len(late)} of {len(bodies)} tasks.")
    middle, most = median(late), f"≤ {seconds(SOON)}"
    said = spread(late, seconds)
    yield Row(
        "from a task's body to the frame", seconds(middle), "", seconds(middle), said, len(late), most, middle <= SOON
    )
    slow = quantiles(late, n=20, method="inclusive")[-1]
    yield Row("  the 95th percentile", seconds(slow), "", seconds(slow), "", len(late), NO_BOUND)


def _cost(jupyter: Any, page: Any) -> Iterator[Row]:
    received: list[int] = []
    page.on("websocket", lambda socket: socket.on("framereceived", lambda frame: received.append(len(frame))))
    jupyter.open(page, "cost", _SETUP, _COSTS)
    before = sum(received)
    plain, ours = _printed(page, "COSTS", 600_000)
    yield Pairs(ours, plain).ratio(f"a chord of {SIZE:,}, with a view beside without", COST)
    weight = (sum(received) - before) / (PAIRS + 1) / (SIZE + 1)
    said = f"{weight:,.0f} B"
    yield Row("  sent to the page, per task", said, "", said, "", 1, f"≤ {WEIGHT:,} B", weight <= WEIGHT)


def _begin_to_click(jupyter: Any, page: Any, name: str) -> None:
    from tests.jupyter import run_all

    jupyter.open(page, name, _SETUP, _CLICKED)
    run_all(page)
    page.locator(".labkit").first.wait_for()


def _click(page: Any) -> None:
    """Click until the chords have ended."""
    until = time.monotonic() + 180
    place = 0
    ended = page.locator(".jp-OutputArea-output pre", has_text="CLICKED [")
    while place % LOOK or not ended.count():  # to look takes the page itself some milliseconds
        if time.monotonic() > until:
            raise LabError("the chords that were clicked at did not end.")
        if target := page.evaluate(_TARGET, BUTTONS[place % len(BUTTONS)]):
            page.mouse.click(*target)
        page.wait_for_timeout(BETWEEN)
        place += 1


def _clicks(jupyter: Any, page: Any) -> Iterator[Row]:
    _begin_to_click(jupyter, page, "clicks")
    page.evaluate(_LISTEN)
    _click(page)
    clicked, answers = page.evaluate("[window.clicked, window.answers]")
    if clicked < 10 * CLICKED:
        raise LabError(f"only {clicked} clicks reached the page.")
    answers += [QUICK] * (clicked - len(answers))
    middle, slow, most = median(answers), quantiles(answers, n=20, method="inclusive")[-1], max(answers)
    bound, said = f"≤ {seconds(ANSWER)}", spread(answers, seconds)
    yield Row("  a click meanwhile, to the screen", seconds(middle), "", seconds(middle), said, len(answers))
    yield Row("  the 95th percentile", seconds(slow), "", seconds(slow), "", len(answers), bound, slow <= ANSWER)
    yield Row("  the slowest", seconds(most), "", seconds(most), "", len(answers), bound, most <= ANSWER)


def _tasks(jupyter: Any, page: Any) -> Iterator[Row]:
    # By itself: a browser that writes down what it does answers later.
    _begin_to_click(jupyter, page, "tasks")
    with _traced(page) as spent:
        _click(page)
    longest = max(spent)
    yield Row(
        "  the page's longest task (processor time)",
        *(seconds(longest), "", seconds(longest), "", len(spent), f"≤ {seconds(ANSWER)}"),
        met=longest <= ANSWER,
    )


@contextmanager
def _traced(page: Any) -> Iterator[list[float]]:
    """The processor time of each task of the page's main thread, in seconds: the same on a busy machine."""
    devtools = page.context.new_cdp_session(page)
    events: list[dict[str, Any]] = []
    ended: list[Any] = []
    devtools.on("Tracing.dataCollected", lambda data: events.extend(data["value"]))
    devtools.on("Tracing.tracingComplete", lambda data: ended.append(data))
    categories = ["toplevel", "disabled-by-default-devtools.timeline"]
    devtools.send("Tracing.start", {"traceConfig": {"includedCategories": categories}})
    spent: list[float] = []
    yield spent
    devtools.send("Tracing.end")
    until = time.monotonic() + 60
    while not ended and time.monotonic() < until:
        page.wait_for_timeout(50)
    mains = {
        (event["pid"], event["tid"])
        for event in events
        if event["name"] == "thread_name" and event["args"]["name"] == "CrRendererMain"
    }
    tasks = [event for event in events if event["name"] == "RunTask" and (event["pid"], event["tid"]) in mains]
    spent += [event["tdur"] / 1e6 for event in tasks if "tdur" in event]


def _printed(page: Any, word: str, patience: int) -> Any:
    """Run all cells; what one of them prints behind ``word``."""
    from tests.jupyter import run_all

    run_all(page)
    line = page.locator(".jp-OutputArea-output pre", has_text=f"{word} [").first
    line.wait_for(timeout=patience)
    return json.loads(line.inner_text().partition(word)[2])
