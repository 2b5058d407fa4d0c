"""What a worker process reports: the same facts as in the kernel, sent as Celery events. Works in any project's worker.

Call ``labkit.report.report(app)`` where the app is made, or load the bootstep:
``app.steps["worker"].add("labkit.report:Reports")``.
"""

from __future__ import annotations

import os
import threading
import time
import uuid
from collections import deque
from collections.abc import Iterable
from contextlib import suppress
from typing import Any, Final

from celery import Celery, bootsteps
from kombu.utils.json import dumps

from labkit.listen import Listener
from labkit.record import Fact, Recording

#: The type of the events that carry facts.
EVENT: Final = "labkit-facts"

#: Facts of these kinds are sent at once, with those that wait: after them a task runs, or is over.
_AT_ONCE: Final = frozenset(
    {"received", "started", "succeeded", "failed", "retried", "ended", "revoked", "unregistered", "rejected", "errback"}
)

#: Ids that a worker remembers, so as not to send the rest of a canvas with every message of it.
_REMEMBERED: Final = 50_000


#: Facts that are kept while the broker cannot be reached, and seconds until it is tried again.
_KEPT: Final = 10_000
_PAUSE: Final = 1.0


class Outbox(Recording):
    """A recording that keeps nothing: it sends what it is given. In a process whose lab listens it sends nothing."""

    def __init__(self, app: Celery) -> None:
        super().__init__()
        self._app = app
        self._number = 0
        self._begin()
        if hasattr(os, "register_at_fork"):  # not on Windows
            os.register_at_fork(after_in_child=self._begin)

    def _begin(self) -> None:
        """A process begins: a forked child can use neither its parent's connection nor a lock that is held there."""
        self._lock = threading.RLock()
        self._sends = threading.Lock()
        self._waiting: deque[Fact] = deque(maxlen=_KEPT)
        self._sender: Any = None
        self._not_before = 0.0
        self._box = uuid.uuid4().hex

    def add(self, kind: str, id: str | None, **more: Any) -> Fact:
        """Send a fact, or keep it until the next that is sent at once."""
        fact = super().add(kind, id, **more, pid=os.getpid())
        self.facts.clear()
        if self._app in Listener.heard:
            return fact
        with self._sends:
            self._number += 1
            fact["n"] = self._number
            self._waiting.append(fact)
            if kind in _AT_ONCE and time.monotonic() >= self._not_before:
                self._send()
            if len(self.known) > _REMEMBERED:
                self.known.clear()
        return fact

    def opened(self, id: str) -> None:
        """The kernel keeps count."""

    def closed(self, id: str) -> None:
        """The kernel keeps count."""

    def _send(self) -> None:
        """Send what waits. Without a broker that takes one attempt to connect, not the minutes Celery would try."""
        try:
            self._dispatcher().send(EVENT, box=self._box, facts=[_plain(fact) for fact in self._waiting], retry=False)
            self._waiting.clear()
        except Exception:
            sender, self._sender = self._sender, None
            with suppress(Exception):
                sender.connection.release()
            self._not_before = time.monotonic() + _PAUSE
            raise

    def _dispatcher(self) -> Any:
        if self._sender is None:
            connection = self._app.connection_for_write(transport_options={"max_retries": 0})
            self._sender = self._app.events.Dispatcher(connection, enabled=True, buffer_while_offline=False)
        return self._sender


def _plain(fact: Fact) -> Fact:
    """The fact if JSON knows all of it, else without what it does not know."""
    try:
        dumps(fact)
    except Exception:  # a signature with an argument that only pickle knows: the rest of the fact still counts
        return {**fact, "chain": None, "chord": None, "link": None, "link_error": None}
    return fact


class Reporter(Listener):
    """A listener whose facts go to whoever listens to the broker's events."""

    carried = 0

    def __init__(self, app: Celery) -> None:
        super().__init__(app)
        self.outbox = Outbox(app)

    def recording_of(self, *ids: str | None) -> Recording:
        """All facts go to the outbox."""
        return self.outbox

    def claim(self, recording: Recording, ids: Iterable[str]) -> None:
        """There is one outbox for all: it need not be known whose an id is, only which came up lately."""
        recording.known.update(ids)

    def _broken(self, task_id: str, exception: BaseException, sender: Any = None, **more: Any) -> None:
        super()._broken(task_id, exception, sender, **more)
        self._failed(task_id, exception, sender)


_reporters: dict[int, Reporter] = {}


def report(app: Celery) -> None:
    """Have this worker process report what it publishes, runs and calls to the labs that listen on its broker.

    Costs some small event messages a task; an error in reporting never reaches a task. While the broker is away what
    there is to tell waits, up to 10,000 facts. Where a lab runs on the app in this process, the lab itself listens.
    Calling it twice is no error.
    """
    if id(app) not in _reporters:
        _reporters[id(app)] = Reporter(app)
        _reporters[id(app)].connect()


class Reports(bootsteps.StartStopStep):
    """A Celery bootstep that does the same: ``app.steps["worker"].add("labkit.report:Reports")``."""

    def __init__(self, parent: Any, **kwargs: Any) -> None:
        super().__init__(parent, **kwargs)
        if parent.app not in Listener.heard:
            report(parent.app)
