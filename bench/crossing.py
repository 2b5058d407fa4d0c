"""Recording across processes: a chord on a worker process that reports to the lab, beside the same on a plain one.

``python -m bench.crossing lab`` and ``python -m bench.crossing plain`` are the two sides; see `bench.side`.
"""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any, Final

from bench.measure import Row, alternate
from bench.side import PATIENCE, app, canvas

#: What recording may cost a chord of 1,000 that runs in another process.
MOST: Final = 1.25

#: Processes of each worker's prefork pool.
SLOTS: Final = 2


def reporting() -> Callable[[Any], Any]:
    """Through a lab and a worker process of its own."""
    import labkit

    lab = labkit.start(app)
    lab.workers(n=1, concurrency=SLOTS, app="bench.side").start()
    return lambda workflow: labkit.run(workflow).get(timeout=PATIENCE)


def plain() -> Callable[[Any], Any]:
    """Plainly, through a worker process that knows nothing of labkit, on the server in ``BENCH_BROKER``."""
    url = os.environ["BENCH_BROKER"]
    app.conf.update(broker_url=url, result_backend=url)
    subprocess.Popen(
        [sys.executable, "-m", "celery", "-A", "bench.side", "worker", "-c", str(SLOTS), "-l", "INFO"],
        env=os.environ | {"CELERY_BROKER_URL": url, "CELERY_RESULT_BACKEND": url},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    return lambda workflow: workflow.delay().get(timeout=PATIENCE)


def chord() -> Iterator[Row]:
    """A chord of 1,000 on a worker process."""
    from bench.sending import Side
    from labkit.broker import Broker

    with ExitStack() as stack:
        lab = Side("lab", module="bench.crossing")
        stack.callback(lab.end)
        server = Broker.start()
        stack.callback(server.stop)
        other = Side("plain", server.url, module="bench.crossing")
        stack.callback(other.end)
        alternate(lambda: lab.seconds("chord 1000"), lambda: other.seconds("chord 1000"), 1)
        pairs = alternate(lambda: lab.seconds("chord 1000"), lambda: other.seconds("chord 1000"))
        yield pairs.ratio("chord of 1,000 on a worker process", MOST)


def main() -> None:
    """Answer until standard input ends, then end the worker too."""
    value_of = {"lab": reporting, "plain": plain}[sys.argv[1]]()
    value_of(canvas("chain"))
    print("ready", flush=True)
    for line in sys.stdin:
        workflow = canvas(line.strip())
        gc.collect()
        began = time.perf_counter()
        value_of(workflow)
        print(time.perf_counter() - began, flush=True)
    if sys.argv[1] == "plain":
        app.control.shutdown()
    else:
        import labkit

        labkit.stop()


if __name__ == "__main__":
    main()
