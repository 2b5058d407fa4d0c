"""How planning, folding and drawing grow: chords of 10, 100, 1,000 and 10,000 headers."""

from __future__ import annotations

import gc
import re
import sys
import time
from collections.abc import Callable, Iterator
from statistics import median
from types import FunctionType, ModuleType
from typing import Any, Final

import labkit
from bench.measure import NO_BOUND, PAIRS, Row, alternate, seconds, spread
from bench.side import SLOTS, app, canvas
from labkit.happened import fold

SIZES: Final = (10, 100, 1_000, 10_000)
LARGEST: Final = SIZES[-1]
#: After so many seconds nothing more is repeated (but twice at least).
LONG: Final = 5.0

#: What planning may take, as a multiple of Celery's own `clone` and `freeze`, at the largest size.
PLAN: Final = 2.0
#: How much longer a task may take in the largest chord than in the one a tenth as large. For folding, that is beside
#: a plain copy of the same facts: what no longer fits the caches and what Python's garbage collector walks through
#: grows for both.
LINEAR: Final = 1.5
#: What folding the largest recording may take, in seconds.
FOLD: Final = 1.0
#: What drawing it folded may take, in seconds.
DRAW: Final = 0.05
#: How wide the drawing may be, in pixels.
WIDTH: Final = 1_500


def _timed(work: Callable[[], Any]) -> float:
    gc.collect()
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def _growth(what: str, taken: dict[int, float], plain: dict[int, float] | None = None) -> Row:
    """Time per task at the largest size beside that at a tenth of it; ``plain``: how that grows for a plain copy."""
    smaller, larger = (taken[size] / size for size in SIZES[-2:])
    ratio, most = larger / smaller, f"≤ {LINEAR:.2f} ×"
    ours = theirs = ""
    if plain:
        few, many = (plain[size] / size for size in SIZES[-2:])
        ours, theirs = f"{ratio:.2f} ×", f"{many / few:.2f} ×"
        ratio /= many / few
    spread = f"{smaller * 1e6:.0f} → {larger * 1e6:.0f} µs"
    return Row(what, ours, theirs, f"{ratio:.2f} ×", spread, 1, most, ratio <= LINEAR)


def _copied(made: labkit.Recording) -> dict[str, list[dict[str, Any]]]:
    """The facts of a recording, by task: the least that a fold would have to do."""
    lives: dict[str, list[dict[str, Any]]] = {}
    for fact in made.facts:
        lives.setdefault(fact["id"], []).append(dict(fact))
    return lives


def plan() -> Iterator[Row]:
    """Plan a chord, beside Celery's own `clone()` and `freeze()` of it."""
    taken = {}
    for size in SIZES:
        workflow = canvas(f"chord {size}")
        pairs = alternate(
            lambda workflow=workflow: _timed(lambda: labkit.plan(workflow)),  # type: ignore[misc]
            lambda workflow=workflow: _timed(lambda: workflow.clone().freeze()),  # type: ignore[misc]
        )
        taken[size] = median(pairs.ours)
        yield pairs.ratio(f"plan a chord of {size:,}", PLAN if size == LARGEST else None)
    yield _growth("  per task, 10,000 beside 1,000", taken)


def recording() -> Iterator[Row]:
    """Fold a recording of a chord that really ran, draw what it folds to, and weigh it."""
    folds, copies = {}, {}
    for size in SIZES:
        made = _recorded(f"chord {size}")
        copies[size] = median(_timed(lambda made=made: _copied(made)) for _ in range(PAIRS))  # type: ignore[misc]
        times = [_timed(lambda made=made: fold(made.plan, made.facts)) for _ in range(PAIRS)]  # type: ignore[misc]
        folds[size] = median(times)
        yield _alone(f"fold a recording of {size:,} tasks", times, FOLD if size == LARGEST else None)
        graph = made.graph
        labkit.draw(graph).svg.encode()  # loads Graphviz
        times = [_timed(lambda graph=graph: labkit.draw(graph).svg) for _ in range(PAIRS)]  # type: ignore[misc]
        yield _alone("  draw it, folded, as SVG", times, DRAW if size == LARGEST else None)
        yield _width(labkit.draw(graph).svg)
        yield _weight(made, size)
    yield _growth("fold, per task, 10,000 beside 1,000; and a copy", folds, copies)


def unplanned() -> Iterator[Row]:
    """Fold a recording of a chord that a task sent while it ran: no message of it was planned."""
    folds, copies = {}, {}
    for size in SIZES[-2:]:
        made = _recorded(f"spread {size}")
        copies[size] = median(_timed(lambda made=made: _copied(made)) for _ in range(PAIRS))  # type: ignore[misc]
        times: list[float] = []
        until = time.monotonic() + LONG
        while len(times) < PAIRS and (len(times) < 2 or time.monotonic() < until):
            times.append(_timed(lambda made=made: fold(made.plan, made.facts)))  # type: ignore[misc]
        folds[size] = median(times)
        yield _alone(f"fold {size:,} tasks that a task sent", times, FOLD if size == LARGEST else None)
    yield _growth("  per task, 10,000 beside 1,000; and a copy", folds, copies)


def _recorded(workflow: str) -> labkit.Recording:
    """The recording of a workflow that ran on the embedded worker."""
    with labkit.start(app, slots=SLOTS):
        run = labkit.run(canvas(workflow))
        run.wait(timeout=180)
        return run.recording


def _alone(what: str, times: list[float], most: float | None) -> Row:
    middle = median(times)
    bound, met = (NO_BOUND, None) if most is None else (f"≤ {seconds(most)}", middle <= most)
    return Row(what, seconds(middle), "", seconds(middle), spread(times, seconds), len(times), bound, met)


def _width(svg: str) -> Row:
    found = re.search(r'width="(\d+)"', svg)
    width = int(found[1]) if found else sys.maxsize
    return Row("  its width", f"{width} px", "", f"{width} px", "", 1, f"≤ {WIDTH} px", width <= WIDTH)


def _weight(made: labkit.Recording, size: int) -> Row:
    weight = f"{_bytes(made.facts) / size:,.0f} B"
    return Row("  its facts, in memory, per task", weight, "", weight, "", 1)


def _bytes(thing: Any) -> int:
    """All that hangs together with an object, each once, without code."""
    seen, total, waiting = set(), 0, [thing]
    while waiting:
        each = waiting.pop()
        if id(each) not in seen and not isinstance(each, type | ModuleType | FunctionType):
            seen.add(id(each))
            total += sys.getsizeof(each)
            waiting += gc.get_referents(each)
    return total
