"""One side of a comparison: a process that sends workflows when told to, and says how long each took.

``python -m bench.side lab`` runs them through labkit; ``python -m bench.side plain`` through the same worker (Celery's
own in a thread of the process, threads pool, four slots) on a server of its own, at the URL in ``BENCH_BROKER``, and
never imports labkit. Each line of standard input names a workflow; the answer is a line of seconds.
"""

from __future__ import annotations

import gc
import os
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

from celery import Celery, chain, chord, group

SLOTS = 4
PATIENCE = 120.0  # seconds

app = Celery("bench")
app.conf.update(task_serializer="json", result_serializer="json", accept_content=["json"], result_expires=3600)


@app.task
def add(x: int, y: int) -> int:
    """Return x + y."""
    return x + y


@app.task
def xsum(numbers: list[int]) -> int:
    """Return the sum of the numbers."""
    return sum(numbers)


@app.task
def spread(size: int) -> None:
    """Send a chord of so many headers: nobody planned it."""
    canvas(f"chord {size}").delay()


def canvas(name: str) -> Any:
    """The workflow called ``chain`` (of three), ``chord 1000`` (headers), or ``spread 1000`` (sent by a task)."""
    kind, _, size = name.partition(" ")
    if kind == "chain":
        return chain(add.s(1, 1), add.s(2), add.s(3))
    if kind == "spread":
        return spread.si(int(size))
    return chord(group(add.s(place, 1) for place in range(int(size))), xsum.s())


def lab() -> Callable[[Any], Any]:
    """How labkit gets the value of a workflow."""
    import labkit

    labkit.start(app, slots=SLOTS)
    return lambda workflow: labkit.run(workflow).get(timeout=PATIENCE)


def plain(**options: bool) -> Callable[[Any], Any]:
    """How Celery gets it; ``options`` are those of ``AsyncResult.get``."""
    from celery.worker import WorkController

    app.conf.update(broker_url=os.environ["BENCH_BROKER"], result_backend=os.environ["BENCH_BROKER"])
    app.set_default()  # a thread of the pool has no other app
    ready = threading.Event()
    worker = WorkController(
        app=app,
        pool="threads",
        concurrency=SLOTS,
        loglevel="WARNING",
        without_heartbeat=True,
        without_mingle=True,
        without_gossip=True,
        task_events=False,
        ready_callback=lambda consumer: ready.set(),
    )
    threading.Thread(target=worker.start, daemon=True).start()
    ready.wait(PATIENCE)
    # A worker in this process has forbidden all of it to wait.
    return lambda workflow: workflow.delay().get(timeout=PATIENCE, disable_sync_subtasks=False, **options)


def plain_quick() -> Callable[[Any], Any]:
    """How Celery gets it without asking all parents of the result, again and again, whether they have failed."""
    return plain(follow_parents=False)


def main() -> None:
    """Answer until standard input ends."""
    value_of = {"lab": lab, "plain": plain, "quick": plain_quick}[sys.argv[1]]()
    print("ready", flush=True)
    for line in sys.stdin:
        workflow = canvas(line.strip())
        gc.collect()
        began = time.perf_counter()
        value_of(workflow)
        print(time.perf_counter() - began, flush=True)
    os._exit(0)  # neither side is measured while it stops


if __name__ == "__main__":
    main()
