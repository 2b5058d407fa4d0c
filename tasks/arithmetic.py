"""Small tasks: their results can be checked in the head."""

import time
from collections.abc import Iterable
from typing import Any

from tasks.app import app


@app.task(name="tasks.add")
def add(x: float, y: float) -> float:
    """Return x + y."""
    return x + y


@app.task(name="tasks.sub")
def sub(x: float, y: float) -> float:
    """Return x - y."""
    return x - y


@app.task(name="tasks.mul")
def mul(x: float, y: float) -> float:
    """Return x * y."""
    return x * y


@app.task(name="tasks.power")
def power(x: float, n: float) -> float:
    """Return x to the power of n."""
    result: float = x**n
    return result


@app.task(name="tasks.xsum")
def xsum(numbers: Iterable[float]) -> float:
    """Return the sum of the numbers."""
    return sum(numbers)


@app.task(name="tasks.ident")
def ident(value: Any) -> Any:
    """Return the value as it came."""
    return value


@app.task(name="tasks.noarg")
def noarg() -> str:
    """Take nothing and return a word."""
    return "done"


@app.task(name="tasks.note")
def note(*args: Any) -> list[Any]:
    """Return the arguments as a list: what a step was given."""
    return list(args)


@app.task(name="tasks.slow")
def slow(seconds: float, value: Any = None) -> Any:
    """Wait so many seconds, then return the value."""
    time.sleep(seconds)
    return value


@app.task(name="tasks.count")
def count(n: int) -> int:
    """Count to n, one by one, and return it: keeps a processor busy."""
    reached = 0
    while reached < n:
        reached += 1
    return reached


@app.task(name="tasks.fail")
def fail(*args: Any) -> None:
    """Raise ValueError, whatever the arguments."""
    raise ValueError("boom")


@app.task(name="tasks.report_error")
def report_error(task_id: str) -> str:
    """Say which task failed: an errback of one argument, sent as a message."""
    return f"task {task_id} failed"


@app.task(name="tasks.report_failure")
def report_failure(request: Any, exc: Exception, traceback: Any) -> str:
    """Say which task failed and why: an errback of three arguments, called where the task failed."""
    return f"task {request.id} failed: {exc!r}"
