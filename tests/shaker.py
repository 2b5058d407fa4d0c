"""Shakes the order in which things happen: each publish and each task is put off a little, the slots are 1 to 8.

It is installed into the kernels of the lessons by a startup file of IPython's, so that no product code knows of it:
``environment(folder, log)`` gives the variables for that.
"""

import os
import random
import time
from collections import deque
from functools import wraps
from pathlib import Path
from typing import Any, Final

#: Longest delay, in seconds.
LONGEST: Final = 0.05
#: After so many delays in `WHILE` seconds they are a tenth as long: a lesson may send thousands.
MANY: Final = 400
WHILE: Final = 10.0
SLOTS: Final = (1, 8)
LOG: Final = "LABKIT_SHAKER_LOG"


def environment(folder: Path, log: Path) -> dict[str, str]:
    """The variables for a pytest whose kernels are to be shaken; ``folder`` is filled, ``log`` tells what was done."""
    startup = folder / "profile_default" / "startup"
    startup.mkdir(parents=True)
    (startup / "00-shaker.py").write_text(f"import runpy; runpy.run_path({__file__!r})['shake'](); del runpy\n")
    return {"IPYTHONDIR": str(folder), LOG: str(log)}


def shake() -> None:
    """From now on, in this process."""
    from celery import signals
    from celery.concurrency.thread import TaskPool

    import labkit

    recent: deque[float] = deque(maxlen=MANY)
    asked: dict[str, Any] = {}

    def delay(**_: Any) -> None:
        now = time.monotonic()
        stormy = len(recent) == MANY and now - recent[0] < WHILE
        recent.append(now)
        time.sleep(random.uniform(0, LONGEST / 10 if stormy else LONGEST))
        _tell("delay")

    signals.before_task_publish.connect(delay, weak=False)
    signals.task_prerun.connect(delay, weak=False)

    start, make = labkit.start, TaskPool.__init__

    @wraps(start)
    def start_remembered(*args: Any, **options: Any) -> labkit.Lab:
        asked.update(slots=options.get("slots"))
        return start(*args, **options)

    def make_shaken(pool: Any, *args: Any, **options: Any) -> None:
        make(pool, *args, **options)
        if asked.get("slots") is None:  # a lesson that asks for a number gets it
            pool.executor._max_workers = random.randint(*SLOTS)
            _tell(f"slots {pool.executor._max_workers}")

    labkit.start = start_remembered
    TaskPool.__init__ = make_shaken


def _tell(line: str) -> None:
    with Path(os.environ[LOG]).open("a", encoding="utf-8") as log:
        log.write(f"{line}\n")


def told(log: Path) -> str:
    """What was done, for people; raises ``AssertionError`` if nothing was."""
    lines = log.read_text(encoding="utf-8").splitlines() if log.exists() else []
    slots = sorted(int(line.split()[1]) for line in lines if line.startswith("slots"))
    assert slots, "no kernel was shaken"
    return f"{lines.count('delay')} delays, slots {' '.join(map(str, slots))}"
