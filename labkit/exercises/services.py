"""Services for the tasks of exercises: a shop that tells a price, a bank that charges; a check decides what they do."""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Iterable
from typing import Any, Final

from celery.result import AsyncResult

from labkit.lab import Lab

#: What a service does next for a name: values to return and exceptions to raise. The last one is for ever.
_next: dict[str, list[Any]] = {}
_charges: dict[str, list[float]] = defaultdict(list)
_lock: Final = threading.Lock()


def _answer(name: str, usual: Any) -> Any:
    with _lock:
        todo = _next.get(name, [usual])
        said = todo.pop(0) if len(todo) > 1 else todo[0]
    if isinstance(said, Exception):
        raise type(said)(*said.args)
    return said


def ask(shop: str) -> Any:
    """The price of a shop. Raises ``ConnectionError`` while the shop does not answer; ``None``: it is not ready."""
    return _answer(shop, 7)


def charge(order: str, amount: float) -> None:
    """Take money for an order."""
    with _lock:
        _charges[order].append(amount)


def charged(order: str) -> bool:
    """Whether money was taken for an order."""
    return bool(_charges.get(order))


def confirm(order: str) -> Any:
    """The receipt of an order that was charged. Raises ``ConnectionError`` while the bank does not answer."""
    if not charged(order):
        raise LookupError(f"{order} was not charged")
    return _answer(order, f"receipt of {order}")


def script(name: str, todo: Iterable[Any]) -> None:
    """From now on a shop or an order does this: one after the other, the last for ever."""
    with _lock:
        _next[name] = list(todo)


def charges(order: str) -> list[float]:
    """What was charged for an order so far."""
    with _lock:
        return list(_charges.get(order, ()))


def quiet(lab: Lab, queue: str, results: Iterable[AsyncResult[Any]], workers: int) -> None:
    """Return when workers of one slot each, held back by a rate limit, run nothing and fetch nothing more."""
    results = list(results)
    full = workers * lab.app.conf.worker_prefetch_multiplier
    while sum(result.ready() for result in results) < workers or len(lab.queue(queue).unacknowledged) < full:
        time.sleep(0.05)


def forget(order: str) -> None:
    """Nothing was charged for an order."""
    with _lock:
        _charges.pop(order, None)
