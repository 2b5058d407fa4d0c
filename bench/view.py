"""The live view in a real JupyterLab: how soon it shows what happens, what it costs, how long the page is deaf."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from statistics import median, quantiles
from typing import Any, Final

from bench.measure import NO_BOUND, PAIRS, Pairs, Row, seconds, spread
from labkit.errors import LabError

#: From a line in a task's body to the frame that shows it, in seconds.
SOON: Final = 0.05
#: A chord with a view beside the same without.
COST: Final = 1.3
#: How long one task of the page may keep it from answering a click, in seconds.
DEAF: Final = 0.1
SIZE: Final = 1000
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

#: In the page: when each box first was shown running, and the longest task that kept it from answering.
_WATCH: Final = """
window.shown = {}; window.deaf = 0;
new MutationObserver((changes) => {
  for (const { target } of changes) {
    const name = target.dataset?.name;
    if (name && /running|succeeded/.test(target.getAttribute("class")) && !(name in shown)) {
      shown[name] = null;
      requestAnimationFrame(() => { shown[name] = (performance.timeOrigin + performance.now()) / 1000; });
    }
  }
}).observe(document.body, { subtree: true, attributes: true, attributeFilter: ["class"] });
new PerformanceObserver((seen) => {
  for (const { duration } of seen.getEntries()) window.deaf = Math.max(window.deaf, duration / 1000);
}).observe({ entryTypes: ["longtask"] });
"""


def live() -> Iterator[Row]:
    """Latency, cost, and bytes of the view, in a browser."""
    found = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if not found:
        yield Row("live view: no Chromium here", "", "", "", "", 0)
        return
    from playwright.sync_api import sync_playwright  # loads when it is measured

    from tests.jupyter import Jupyter

    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        jupyter = Jupyter(Path(folder))
        browser = playwright.chromium.launch(executable_path=found, args=["--no-sandbox"])
        try:
            yield from _latency(jupyter, browser.new_page())
            yield from _cost(jupyter, browser.new_page())
        finally:
            browser.close()
            jupyter.stop()


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
    page.evaluate(_WATCH)
    before = sum(received)
    plain, ours = _printed(page, "COSTS", 600_000)
    yield Pairs(ours, plain).ratio(f"a chord of {SIZE:,}, with a view beside without", COST)
    deaf = page.evaluate("window.deaf")
    yield Row(
        "  the longest task of the page", seconds(deaf), "", seconds(deaf), "", 1, f"≤ {seconds(DEAF)}", deaf <= DEAF
    )
    weight = f"{(sum(received) - before) / (PAIRS + 1) / (SIZE + 1):,.0f} B"
    yield Row("  sent to the page, per task", weight, "", weight, "", 1)


def _printed(page: Any, word: str, patience: int) -> Any:
    """Run all cells; what one of them prints behind ``word``."""
    from tests.jupyter import run_all

    run_all(page)
    line = page.locator(".jp-OutputArea-output pre", has_text=f"{word} [").first
    line.wait_for(timeout=patience)
    return json.loads(line.inner_text().partition(word)[2])
