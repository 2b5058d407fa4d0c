"""start and stop, run and draw: the only place that ties broker, worker, gate and recording together."""

from __future__ import annotations

import atexit
import os
import secrets
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final

from celery import Celery, _state, signals
from celery.result import GroupResult
from celery.utils import uuid

from labkit import canvas
from labkit.borrow import Loan, real
from labkit.broker import Broker
from labkit.errors import LabError
from labkit.faults import Faults
from labkit.gate import Gate
from labkit.guest import Guest
from labkit.listen import Listener
from labkit.pace import Pace
from labkit.plan import prepare
from labkit.queues import Queue, look
from labkit.record import Recording
from labkit.redact import Redact, Redaction
from labkit.remote import MEMORY, choose, own_queue, reach
from labkit.run import Run
from labkit.sending import belongs, half_way, inspect, refusal, sent_before
from labkit.staff import Staff
from labkit.worker import EmbeddedWorker, queues_of
from labkit.workers import Workers

#: Threads of the embedded worker.
SLOTS: Final = 4

#: How many lines of what tasks print and Celery logs are kept in ``lab.log``.
KEPT_LINES: Final = 1000

_GONE: Final = "the {} is gone. Call labkit.stop(), then labkit.start(); the app and its tasks stay."


class Lab(Pace):
    """A broker, a worker and a recorder around one Celery app. Made by `start`, ended by `stop`.

    ``app`` is the app; ``url`` the broker's; ``slots`` the worker's threads; ``queues`` what the worker serves.
    ``cut_short`` is the `Run` of the last canvas that was refused, or interrupted, when a part had been sent.
    """

    def __init__(self, app: Celery, *, slots: int, port: int | None, redact: Redact | None) -> None:
        self.app = app
        self.slots = slots
        self.running = False
        self.broker: Broker | None = None
        self.log: list[str] = []
        self.cut_short: Run | None = None
        self.redaction = Redaction(redact)
        self._active: list[Recording] = []
        self.staff = Staff(self)
        self.faults = Faults(self)
        self._stack: list[Callable[[], Any]] = []
        self._lock = threading.Lock()
        started = False
        try:
            self.broker, url, backend, self.kind = choose(port)
            if self.broker is not None:
                self._stack.append(self.broker.stop)
            self.url, self.backend_url = url, backend
            settings: dict[str, Any] = {"broker_url": url, "broker_read_url": url, "broker_write_url": url}
            settings |= {"result_backend": backend, "task_always_eager": False}
            if not url.startswith("rediss"):
                settings |= {"broker_use_ssl": False, "redis_backend_use_ssl": None}
            if url == MEMORY:
                settings["broker_transport_options"] = {"polling_interval": 0.02}
            own: list[str] = []
            if self.broker is None and url != MEMORY:
                place = own_queue(app, url)
                own, settings = [place.name], {**settings, **place.settings}
                self.staff.others = place.others
                self.kind += " with its own workers" if place.others else ""
                self._stack.append(place.forget)
            self.loan = Loan(app, settings)
            self._stack.append(self.loan.end)
            self.queues = own or queues_of(app)
            self.listener = Listener(app, self.redaction.call)
            self.listener.apart.redaction = self.redaction
            self.listener.queues = self.queues
            self.listener.connect()
            self._stack.append(self.listener.disconnect)
            Listener.heard.add(app)
            self._stack.append(lambda: Listener.heard.discard(app))
            self.gate = Gate(self._over)
            signals.after_task_publish.connect(self._sent, weak=False)
            self._stack.append(lambda: signals.after_task_publish.disconnect(self._sent))
            self.guest = Guest(self._told)
            self.guest.come_in()
            self._stack.append(self.guest.leave)
            name = f"lab{os.getpid()}-{secrets.token_hex(2)}@kernel"
            self.worker = EmbeddedWorker(app, self.gate, self.guest, slots=slots, queues=self.queues, name=name)
            self._stack.append(lambda: self.worker.stop(alone=self.broker is not None and self.broker.running))
            self.worker.start()
            if self.staff.others:
                self.staff.receive()
            self.running = started = True
        finally:
            if not started:
                self._unwind()

    def _told(self, kind: str, text: str) -> None:
        id = self.gate.current()
        self.log.append(text)
        del self.log[:-KEPT_LINES]
        if id is not None:
            self.listener.recording_of(id).add(kind, id, text=text)

    def _sent(self, **_: Any) -> None:
        self.gate.behind_message()

    def _over(self, id: str) -> None:
        self.guest.end_line()
        self.listener.closed(id)

    # --- life -----------------------------------------------------------------------------------------------

    def stop(self) -> None:
        """Stop worker and broker, and give the app and the process back as they were. Calling it twice is no error.

        A task that still runs is told to stop; raises ``LabError`` that names it if it does not (all else is done).
        """
        global _current
        with self._lock:
            if not self.running:
                return
            self.running = False
            if _current is self:
                _current = None
            self._tell()
            self.faults.reset()
            self.staff.stop()
            self.gate.drop()
            self.loan.quiet()
            self._unwind()
        if self.worker.still_running:
            names = ", ".join(sorted({self._name(id) for id in self.worker.still_running}))
            raise LabError(
                f"the lab has stopped, but {names} could not be stopped and still runs in this process. "
                "Restart the kernel to be rid of it."
            )

    def _unwind(self) -> None:
        failures = []
        while self._stack:
            undo = self._stack.pop()
            try:
                undo()
            except Exception as error:  # one part that fails must not keep the others from being undone
                failures.append(error)
        if failures:
            self.log.append(f"while stopping: {failures!r}")

    def _name(self, id: str) -> str:
        for fact in self.listener.recording_of(id).facts:
            if fact["kind"] == "published" and fact["id"] == id:
                return str(fact["task"])
        return "a task"

    def __enter__(self) -> Lab:
        return self

    def __exit__(self, *_: Any) -> None:
        self.stop()

    def __repr__(self) -> str:
        if not self.running:
            return "the lab has stopped; labkit.start() starts one"
        queue = self.app.conf.task_default_queue if self.broker or self.url == MEMORY else "one of this kernel's own"
        return (
            f"lab for the app {self.app.main!r}\n"
            f"  broker   {self.kind}\n"
            f"  worker   embedded in this kernel, threads pool, {self.slots} slots\n"
            f"  queue    {queue}"
        )

    def workers(self, n: int = 1, **options: Any) -> Workers:
        """``n`` real worker processes on this lab's app, as a context; see `labkit.workers.Workers`.

        ``queues`` are those they serve (by default this lab's), ``pool`` Celery's name of a pool, ``concurrency``
        the slots of each. With ``soon=False`` a killed worker's messages come back as late as Redis has it by default.
        Raises ``LabError`` if the app cannot be imported by another process, or a worker does not start.
        """
        self._check()
        return self.staff.hire(n, **options)

    # --- looking --------------------------------------------------------------------------------------------

    def queue(self, *names: str) -> Queue:
        """What lies in the queues with these names (none given: those that the embedded worker serves) right now."""
        self._check()
        return look(self.app, names or self.queues)

    def check_worker(self) -> None:
        """Raises ``LabError`` if the lab has stopped, or its worker or server is gone."""
        self._check()
        if not self.worker.alive:
            raise LabError(_GONE.format("worker"))

    def _check(self) -> None:
        self._check_running()
        if self.faults.broker_away:
            raise LabError(
                "a fault has stopped the broker. lab.reset() starts it again, lab.faults.start_broker() too."
            )
        if self.broker is not None and not self.broker.running:
            raise LabError(_GONE.format("broker"))

    def active(self) -> list[Recording]:
        """The recordings of runs that are not over."""
        return [each for each in self._active if not each.over.is_set()]

    # --- sending --------------------------------------------------------------------------------------------

    def run(self, signature: Any, *, check: bool = True) -> Run:
        """Send a canvas, as a fresh copy, and return its `Run`.

        With ``check=False`` task names that nobody here knows are sent all the same.
        Raises ``LabError``, before anything is sent, for what cannot be sent. What only Celery finds out can come when
        a part has been sent: the error says so, and ``cut_short`` is the `Run` of that part.
        """
        self.check_worker()
        if self.broker is None and self.url != MEMORY:
            reach(self.url)
        fresh, graph = prepare(signature)
        if not graph.nodes and canvas.kind(fresh) != "group":
            raise LabError("there is nothing to send: this canvas has no task in it.")
        belongs(fresh, self.app)
        inspect(fresh, graph, self.app, registered=check)
        self.redaction.plan(graph)
        recording = Recording(graph, redaction=self.redaction)
        if any(not recording.known.isdisjoint(each.known) for each in self.active()):
            raise LabError(
                "this signature has a fixed id (freeze(), or task_id=), and a run with that id is not over yet. "
                "Wait for that run, or run a clone that was made before."
            )
        self._active = [*self.active(), recording]
        self.listener.own(recording)
        recording.sending()
        try:
            try:
                result = fresh.apply_async()
            finally:
                self.listener.unsent()
                recording.sent()
        except BaseException as error:
            if sent := sent_before(recording, error):
                results = [self.app.AsyncResult(id) for id in sent]
                self.cut_short = Run(self, recording, GroupResult(uuid(), results, app=self.app))
            else:
                self._active.remove(recording)
            if not isinstance(error, Exception):
                raise
            raise LabError(refusal(error) + half_way(graph, sent)) from error
        return Run(self, recording, result)


_current: Lab | None = None
_own: Celery | None = None
_starting = threading.Lock()


def start(
    app: Celery | None = None, *, slots: int = SLOTS, port: int | None = None, redact: Redact | None = None
) -> Lab:
    """Start an embedded broker and worker, or return the lab that runs already.

    ``app`` is the app to use: by default the current Celery app (that of ``tasks`` once it is imported), else a new
    one. ``slots`` is the number of threads of the worker, ``port`` a TCP port on 127.0.0.1 for the broker (by default
    it listens on a private unix socket). With ``LABKIT_BROKER_URL`` in the environment that broker is used, with
    ``LABKIT_RESULT_BACKEND`` that backend.

    ``redact(task, args, kwargs)`` returns the arguments to record: of the calls in a plan (without what is still to
    come in front) and in messages, of each item of a map, and of a value that a task returned as the one argument.
    Where it raises, ``***`` is recorded. Texts of errors, and what tasks print and Celery logs, are recorded as they
    are; broker and backend hold all. Given to a lab that runs already, it is used from now on.

    Raises ``LabError``, within 5 seconds, if there is no broker there, the port is taken, or a lab with another app
    or other slots runs already.
    """
    global _current, _own
    app = real(app)
    with _starting:
        if _current is not None and _current.running:
            if (app is None or app is _current.app) and slots in (SLOTS, _current.slots):
                _current.check_worker()
                _current.redaction.redact = redact or _current.redaction.redact
                return _current
            raise LabError(
                f"a lab for the app {_current.app.main!r} with {_current.slots} slots runs already. "
                "Call labkit.stop() first, then labkit.start(…) again."
            )
        if slots < 1:
            raise LabError(f"a worker needs at least one slot, not {slots}.")
        chosen = app or _state._tls.current_app or _state.default_app or _own
        if chosen is None:
            before = _state._tls.current_app
            chosen = _own = Celery("lab")
            chosen.conf.update(task_serializer="json", result_serializer="json", accept_content=["json"])
            _state._set_current_app(before)
        _current = Lab(chosen, slots=slots, port=port, redact=redact)
        return _current


def running() -> Lab | None:
    """The lab that runs, if one does."""
    return _current


def current() -> Lab:
    """The lab that runs. Raises ``LabError`` if none does."""
    if _current is None:
        raise LabError("no lab is running. Start one first: lab = labkit.start()")
    return _current


def stop() -> None:
    """Stop the lab that runs, if one does; see `Lab.stop`."""
    if _current is not None:
        _current.stop()


def _at_exit() -> None:
    with suppress(LabError):
        stop()


atexit.register(_at_exit)


def run(signature: Any, *, check: bool = True) -> Run:
    """Send a canvas through the lab and return its `Run`: shown, it is the live view; ``await`` it for its end.

    A fresh copy is sent, ``signature`` stays as it is and can be run again. ``check=False`` sends tasks that are not
    registered here all the same.
    Raises ``LabError`` if no lab runs, or if ``signature`` cannot be sent: nothing is then, or the error says what was.
    """
    return current().run(signature, check=check)
