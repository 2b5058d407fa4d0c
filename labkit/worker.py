"""The embedded worker: Celery's own, in a thread of this process, with its pool behind the gate."""

from __future__ import annotations

import logging
import socket
import sys
import threading
import time
import types
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any

from celery import Celery, _state, signals
from celery.app.trace import build_tracer
from celery.worker import WorkController
from celery.worker import state as worker_state
from kombu.asynchronous import get_event_loop, set_event_loop

from labkit.errors import LabError
from labkit.gate import Gate, GatedPool
from labkit.guest import Guest

_log = logging.getLogger("labkit.worker")


class EmbeddedWorker:
    """A threads-pool worker for ``app`` that serves ``queues`` with ``slots`` threads until `stop`.

    A task defined (or defined again) while it runs is what runs from then on.
    """

    def __init__(self, app: Celery, gate: Gate, guest: Guest, *, slots: int, queues: list[str], name: str) -> None:
        self.app, self.gate, self.guest = app, gate, guest
        self.slots, self.queues, self.name = slots, queues, name
        self.still_running: tuple[str, ...] = ()
        self._controller: Any = None
        self._thread: threading.Thread | None = None
        self._wake: socket.socket | None = None
        self._undo: list[Callable[[], object]] = []
        self._error: BaseException | None = None

    @property
    def alive(self) -> bool:
        """Whether its thread runs."""
        return self._thread is not None and self._thread.is_alive()

    def start(self, timeout: float = 5.0) -> None:
        """Start, and return when it takes tasks. Raises ``LabError`` if it does not within ``timeout`` seconds."""
        app, ready = self.app, threading.Event()
        self._undo.append(worker_state.reset_state)
        self._undo.append(partial(set_event_loop, get_event_loop()))
        for name in ("should_stop", "should_terminate"):
            setattr(worker_state, name, None)
            self._undo.append(partial(setattr, worker_state, name, None))
        shutdown = list(signals.worker_shutdown.receivers or ())
        self._undo.append(lambda: setattr(signals.worker_shutdown, "receivers", shutdown))
        app.finalize()
        self._see_new_tasks()
        ours, self._wake = socket.socketpair()
        ours.setblocking(False)

        def enter() -> None:
            self.guest.enter_thread()
            app.set_current()

        def woken() -> None:
            with suppress(OSError):
                ours.recv(1)

        def run() -> None:
            enter()
            try:
                pool = type("LabPool", (GatedPool,), {"gate": self.gate, "enter_thread": staticmethod(enter)})
                self._controller = WorkController(
                    app=app,
                    hostname=self.name,
                    pool=pool,
                    concurrency=self.slots,
                    queues=self.queues,
                    loglevel=logging.WARNING,
                    without_heartbeat=True,
                    without_mingle=True,
                    without_gossip=True,
                    task_events=False,
                    ready_callback=lambda consumer: ready.set(),
                )
                if self._controller.use_eventloop:
                    self._controller.hub.add_reader(ours, woken)
                self._controller.start()
            except BaseException as error:
                self._error = error
            finally:
                ours.close()
                ready.set()

        self._thread = threading.Thread(target=run, name="labkit worker", daemon=True)
        self._thread.start()
        came = ready.wait(timeout)
        self.guest.allow_waiting()
        if not came or not self.alive:
            error = self._error
            self.stop(timeout=1.0)
            raise LabError(
                f"the worker did not start within {timeout:g} s"
                + (f": {type(error).__name__}: {error}." if error else ".")
                + " Is the broker still there? Call labkit.stop(), then labkit.start()."
            )

    def stop(self, timeout: float = 4.0, *, alone: bool = False) -> None:
        """Stop within ``timeout`` seconds; a task that cannot be stopped is named in ``still_running``.

        With ``alone`` nobody else is on the broker, and it is told to answer at once: a consumer that closes first
        reads the answer to its last request, which the broker may hold back for a second.
        """
        channels = self._channels()
        if self.alive and self._controller is not None and self._wake is not None:
            worker_state.should_stop = 0
            with suppress(OSError):
                self._wake.send(b".")
            until = time.monotonic() + timeout
            while self._thread and self._thread.is_alive() and time.monotonic() < until:
                self._thread.join(0.02)
                if alone and self._thread.is_alive():
                    _unblock(self.app)
        self.still_running = self.gate.running
        hub = getattr(self._controller, "hub", None)
        if hub is not None and not self.alive:
            hub.close()
            for channel in channels:
                with suppress(Exception):
                    channel._disconnect_pools()
        self._controller = None
        pool, self.gate.pool = self.gate.pool, None
        if pool is not None and not pool.executor._shutdown:
            pool.on_stop()  # a worker that fell over did not
        if self._wake is not None:
            self._wake.close()
            self._wake = None
        while self._undo:
            self._undo.pop()()

    def _channels(self) -> list[Any]:
        """The worker's channels.

        One that closes with messages not acknowledged opens a connection to give them back, and leaves it open
        (kombu/transport/redis.py: Channel.close).
        """
        with suppress(Exception):  # there is no consumer yet, or another transport
            return list(self._controller.consumer.connection.transport.channels)
        return []

    # --- tasks defined in cells -----------------------------------------------------------------------------

    def _see_new_tasks(self) -> None:
        """Plain Celery neither tells a running worker of a new task nor replaces one of the same name."""
        original = Celery._task_from_fun

        def task_from_fun(app: Celery, fun: Any, name: str | None = None, *args: Any, **options: Any) -> Any:
            full = name or app.gen_task_name(fun.__name__, fun.__module__)
            known = app._tasks.get(full)
            if known is not None and _is_newer(known, fun):
                app._tasks.unregister(full)
                _forget(_function(known))
            task = original(app, fun, name, *args, **options)
            if task is not known and app is self.app:
                self.teach(task)
            return task

        Celery._task_from_fun = task_from_fun  # for all apps: a shared task is defined again for each of them
        self._undo.append(partial(setattr, Celery, "_task_from_fun", original))

    def teach(self, task: Any) -> None:
        """Have the running worker know a task as it is now."""
        consumer = getattr(self._controller, "consumer", None)
        if consumer is None or not hasattr(consumer, "strategies"):
            return
        consumer.strategies[task.name] = task.start_strategy(self.app, consumer)
        consumer.task_buckets[task.name] = consumer.bucket_for_task(task)  # its rate limit
        task.__trace__ = build_tracer(task.name, task, self.app.loader, consumer.hostname, app=self.app)


def queues_of(app: Celery) -> list[str]:
    """The names of all queues that messages of this app may go to, as far as is known now; the default one first."""
    names = [str(app.conf.task_default_queue or "celery"), *app.amqp.queues]
    for name, task in app.tasks.items():
        own = getattr(task, "queue", None)
        with suppress(Exception):  # a router of the app's own that wants to know more
            route = app.amqp.router.route({"queue": own} if own else {}, name, task_type=task)
            names += [route["queue"].name] if "queue" in route else []
    return list(dict.fromkeys(names))


def _unblock(app: Celery) -> None:
    """Have the broker answer at once whoever waits for a message."""
    with suppress(Exception), app.connection_for_write() as connection:
        client = connection.default_channel.client
        for each in client.client_list():
            if each["cmd"] == "brpop":
                client.client_unblock(each["id"])


def _is_newer(known: Any, fun: types.FunctionType) -> bool:
    """Whether ``fun`` was written again, in a cell or in a module that was reloaded, since ``known`` was registered."""
    before = _function(known)
    module = sys.modules.get(fun.__module__)
    same_place = getattr(before, "__module__", None) == fun.__module__
    return before is not fun and (fun.__module__ == "__main__" or (same_place and module is not None))


def _function(task: Any) -> Any:
    """The function that a task was made of."""
    run = getattr(task, "__wrapped__", None) or task.run
    return getattr(run, "__func__", run)


def _forget(function: Any) -> None:
    """Apps that are made later do not get this version of a task (celery/_state.py keeps each that was defined)."""
    for callback in list(_state._on_app_finalizers):
        if any(cell.cell_contents is function for cell in callback.__closure__ or ()):
            _state._on_app_finalizers.discard(callback)
