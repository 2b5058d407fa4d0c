"""Facts from other processes: a thread that receives the events of workers, and tells them to the right recording."""

from __future__ import annotations

import secrets
import threading
import time
from typing import Any, Final

from celery import Celery

from labkit.embed import ids_in
from labkit.errors import LabError
from labkit.listen import Listener
from labkit.record import Fact
from labkit.report import EVENT

#: Facts after which a message has been dealt with.
_ENDS: Final = frozenset({"succeeded", "failed", "retried", "revoked", "unregistered", "rejected"})

#: Of how many tasks the facts are kept that nobody is known to have sent yet.
_EARLY: Final = 10_000

#: What Celery's own events (a worker with ``-E``) tell, for workers that do not report.
_EVENTS: Final = {
    "task-received": "received",
    "task-started": "started",
    "task-succeeded": "succeeded",
    "task-failed": "failed",
    "task-revoked": "revoked",
}


class Receiver:
    """Listens to the events on a lab's broker from `start` to `stop`, with a connection of its own."""

    def __init__(self, app: Celery, listener: Listener) -> None:
        self.app, self.listener = app, listener
        self._thread: threading.Thread | None = None
        self._receiver: Any = None
        self._hello = secrets.token_hex(8)
        self._heard = threading.Event()
        self._early: dict[str, list[Fact]] = {}
        self._boxes: dict[str, int] = {}

    def start(self, timeout: float = 5.0) -> None:
        """Start, and return when events arrive. Raises ``LabError`` if none does within ``timeout`` seconds."""
        self._thread = threading.Thread(target=self._run, name="labkit receiver", daemon=True)
        self._thread.start()
        until = time.monotonic() + timeout
        with self.app.connection_for_write() as connection, self.app.events.Dispatcher(connection) as dispatcher:
            while not self._heard.wait(0.05):
                dispatcher.send("labkit-hello", token=self._hello)
                if time.monotonic() > until:
                    self.stop()
                    raise LabError(f"no event came back from the broker within {timeout:g} s. Is it still there?")

    def stop(self) -> None:
        """Stop, within a second."""
        if self._receiver is not None:
            self._receiver.should_stop = True
        if self._thread is not None:
            self._thread.join(2.0)

    def _run(self) -> None:
        try:
            with self.app.connection_for_read() as connection:
                self._receiver = self.app.events.Receiver(connection, handlers={"*": self._hear})
                for _ in self._receiver.consume(limit=None, timeout=None, wakeup=False, safety_interval=0.1):
                    pass
        except Exception as error:  # a thread of ours never prints; the lab sees that it has ended
            self.listener.trouble(f"receiving events has ended: {type(error).__name__}: {error}")

    def _hear(self, event: dict[str, Any]) -> None:
        try:
            if event["type"] == EVENT:
                for fact in self._new(event):
                    self.take(fact)
            elif event["type"] == "labkit-hello" and event.get("token") == self._hello:
                self._heard.set()
            elif event["type"] in _EVENTS:
                self._take_event(event)
        except Exception as error:  # one event that cannot be read must not end the listening
            self.listener.trouble(f"an event was lost: {type(error).__name__}: {error}")

    def _new(self, event: dict[str, Any]) -> list[Fact]:
        """The facts of an event that were not heard yet: what a sender is not sure of it sends again."""
        box = event["box"]
        last = self._boxes.pop(box, 0)
        facts = [fact for fact in event["facts"] if fact["n"] > last]
        self._boxes[box] = facts[-1]["n"] if facts else last
        if len(self._boxes) > _EARLY:
            self._boxes.pop(next(iter(self._boxes)))
        return facts

    def take(self, fact: Fact) -> None:
        """One fact of another process."""
        id, kind = fact["id"], fact["kind"]
        recording = self.listener.recording_of(id, fact.get("parent"))
        if recording is self.listener.apart and kind != "published" and id not in recording.known:
            # The process that ran it was faster to tell than the one that sent it.
            self._early.setdefault(id, []).append(fact)
            if len(self._early) > _EARLY:
                self._early.pop(next(iter(self._early)))
            return
        if kind == "published":
            if fact["id"] in recording.known:
                fact["link"] = fact["link_error"] = None
            self.listener.claim(recording, [id, *ids_in(fact["chain"], fact["chord"])])
            recording.opened(id)
        recording.take(fact)
        if kind in _ENDS or (kind == "ended" and not fact.get("requeued")):
            recording.closed(id)
        if kind == "published":
            for early in self._early.pop(id, ()):
                self.take(early)

    def _take_event(self, event: dict[str, Any]) -> None:
        """Celery's own event, of a worker that does not report itself."""
        id, kind = event["uuid"], _EVENTS[event["type"]]
        recording = self.listener.recording_of(id)
        if recording is self.listener.apart or any(f["id"] == id and "pid" in f for f in recording.facts[-200:]):
            return
        fact: Fact = {"kind": kind, "id": id, "at": event["timestamp"], "worker": event.get("hostname")}
        fact |= {"value": event.get("result"), "error": event.get("exception"), "why": "revoked before it was run"}
        recording.take(fact)
        if kind in _ENDS:
            recording.closed(id)
