"""Hold, step, release: a threads pool that queues tasks while its gate is closed."""

from __future__ import annotations

import ctypes
import gc
import sys
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Collection
from concurrent.futures import thread as futures_thread
from types import FrameType
from typing import Any, Final

from celery.concurrency.base import apply_target
from celery.concurrency.thread import ApplyResult, TaskPool

_AROUND_BODIES: Final = ("celery.app.task", "celery.app.autoretry", "celery.app.builtins")


class Stopped(BaseException):
    """Raised in a task that still runs when its lab stops; no ``except Exception`` holds it up."""


class Gate:
    """Decides when a task that was received may start.

    While it is closed, tasks are held in the order in which they came. Whoever releases them decides the order of
    a workflow. ``ended(task_id)`` is called when a task and all that Celery does after it is over.
    """

    def __init__(self, ended: Callable[[str], None] | None = None) -> None:
        self.closed = False
        self.delay = 0.0
        self.pool: GatedPool | None = None
        self._ended = ended
        self._held: deque[tuple[str, Callable[[], Any]]] = deque()
        self._running: dict[int, str] = {}
        self._busy: Counter[str] = Counter()
        self._single: set[str] = set()
        self._between: dict[int, str] = {}
        self._lock = threading.Condition()

    def submit(self, task_id: str, start: Callable[[], Any]) -> Any:
        """Start now, or hold."""
        with self._lock:
            if self.closed:
                self._held.append((task_id, start))
                self._lock.notify_all()
                return None
            self._busy[task_id] += 1
        return start()

    @property
    def held(self) -> tuple[str, ...]:
        """The ids of the tasks that are held, oldest first."""
        with self._lock:
            return tuple(task_id for task_id, _ in self._held)

    @property
    def between(self) -> tuple[str, ...]:
        """The ids of the tasks that stand still behind a message they have sent, in that order."""
        with self._lock:
            return tuple(self._between.values())

    def behind_message(self) -> None:
        """The task of this thread has sent a message: one that was let go for a single message stands still here."""
        ident = threading.get_ident()
        with self._lock:
            task_id = self._running.get(ident)
            if self.closed and task_id in self._single:
                self._between[ident] = task_id
                self._lock.notify_all()
                self._lock.wait_for(lambda: ident not in self._between)

    def current(self) -> str | None:
        """The id of the task that this thread runs, if it does."""
        return self._running.get(threading.get_ident())

    @property
    def running(self) -> tuple[str, ...]:
        """The ids of the tasks that run."""
        with self._lock:
            return tuple(self._running.values())

    def close(self) -> None:
        """Hold all tasks from now on; those that run go on."""
        with self._lock:
            self.closed = True

    def open(self) -> None:
        """Let all held tasks go, in order, and hold no more."""
        with self._lock:
            self._go_on()
            waiting, self._held = list(self._held), deque()
            self._busy.update(task_id for task_id, _ in waiting)
        for _, start in waiting:
            start()

    def drop(self) -> None:
        """Forget what is held (its messages were not acknowledged, the broker still has them), and hold no more."""
        with self._lock:
            self._go_on()
            self._held.clear()

    def _go_on(self) -> None:
        self.closed = False
        self._single.clear()
        self._between.clear()
        self._lock.notify_all()

    def release(self, task_id: str | None = None, *, message: bool = False) -> str | None:
        """Let one held task go, this one or the oldest, and return its id; ``None`` if there is no such one.

        With ``message`` it goes as far as the next message it sends. One that stands still there comes first.
        """
        with self._lock:
            standing = next((n for n, id in self._between.items() if task_id in (None, id)), None)
            if standing is not None:
                gone = self._between.pop(standing)
                if not message:
                    self._single.discard(gone)
                self._lock.notify_all()
                return gone
            place = next((n for n, (held, _) in enumerate(self._held) if task_id in (None, held)), None)
            if place is None:
                return None
            held, start = self._held[place]
            del self._held[place]
            self._busy[held] += 1
            if message:
                self._single.add(held)
        start()
        return held

    def wait_held(self, timeout: float) -> bool:
        """Wait until a task is held, at most ``timeout`` seconds; false if none came."""
        with self._lock:
            return self._lock.wait_for(lambda: bool(self._held), timeout)

    def wait_change(self, timeout: float) -> None:
        """Wait until a task is held or ends, at most ``timeout`` seconds."""
        with self._lock:
            self._lock.wait(timeout)

    def wait_ended(self, task_id: str, timeout: float) -> bool:
        """Wait until a task that was let go has ended, or stands still behind a message; false after ``timeout``."""
        with self._lock:
            return self._lock.wait_for(lambda: not self._busy[task_id] or task_id in self._between.values(), timeout)

    def enter(self, task_id: str) -> None:
        """A pool thread begins with a task."""
        with self._lock:
            self._running[threading.get_ident()] = task_id

    def leave(self, task_id: str) -> None:
        """A pool thread is done with a task."""
        try:
            if self._ended:
                self._ended(task_id)
        finally:
            with self._lock:
                self._running.pop(threading.get_ident(), None)
                self._busy[task_id] -= 1
                if self._busy[task_id] <= 0:
                    del self._busy[task_id]
                    self._single.discard(task_id)
                self._lock.notify_all()

    def raise_in_running(self, seconds: float = 1.0, only: Collection[str] | None = None) -> tuple[str, ...]:
        """Raise ``Stopped`` in every task that runs (with ``only``: of these), and return the ids of those that go on.

        A thread sees it between two byte codes, so one that waits inside C code (``time.sleep``) sees it late. It is
        not raised in what Celery does after the body, nor where Python would only print it.
        """

        def going_on() -> dict[int, str]:
            return {ident: id for ident, id in self._running.items() if only is None or id in only}

        until = time.monotonic() + seconds
        with self._lock:
            while (left := going_on()) and time.monotonic() < until:
                frames = sys._current_frames()
                for ident in left:
                    if _may_raise(frames.get(ident)):
                        ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(ident), ctypes.py_object(Stopped))
                del frames
                self._lock.wait_for(lambda: not going_on(), 0.05)
            return tuple(left.values())


def _may_raise(frame: FrameType | None) -> bool:
    """Whether a pool thread is in the body of a task (or waits in front of it), and in nothing that swallows errors."""
    if frame is not None and frame.f_globals.get("__name__") == __name__ and frame.f_code.co_name == "run":
        return True
    collecting = [getattr(callback, "__code__", None) for callback in gc.callbacks]
    while frame is not None and (before := frame.f_back) is not None:
        module, name = str(frame.f_globals.get("__name__")), frame.f_code.co_name
        if name == "__del__" or module in ("weakref", "_weakrefset") or frame.f_code in collecting:
            return False
        if before.f_code.co_name == "trace_task":
            return module.partition(".")[0] != "celery" or module in _AROUND_BODIES
        frame = before
    return False


class GatedPool(TaskPool):
    """Celery's threads pool behind a gate. Each thread has the app as its current one, so that results are stored.

    Subclass it with ``gate`` and ``enter_thread`` set (Celery makes the instance).
    """

    gate: Gate
    enter_thread: Callable[[], None]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.gate.pool = self
        self.executor._thread_name_prefix = "slot"
        self.executor._initializer = type(self).enter_thread
        self.executor._initargs = ()
        # All threads now, from the worker's: one that is first needed by `release` would be the caller's kind, not a
        # daemon, and keep the interpreter from ending.
        for _ in range(self.executor._max_workers):
            self.executor._adjust_thread_count()

    def on_apply(
        self,
        target: Any,
        args: Any = None,
        kwargs: Any = None,
        callback: Any = None,
        accept_callback: Any = None,
        **_: Any,
    ) -> Any:
        """Start a task in a thread, or hold it."""
        task_id = args[1] if args and len(args) > 1 else ""

        def run() -> None:
            self.gate.enter(task_id)
            try:
                if self.gate.delay:
                    time.sleep(self.gate.delay)
                apply_target(target, args, kwargs, callback, accept_callback)
            finally:
                self.gate.leave(task_id)

        return self.gate.submit(task_id, lambda: self._start(run))

    def _start(self, run: Callable[[], None]) -> ApplyResult:
        future = self.executor.submit(run)
        for each in list(self.executor._threads):
            # Else the interpreter would wait for the thread at its end, for ever if its task never ends.
            futures_thread._threads_queues.pop(each, None)  # type: ignore[attr-defined]  # a WeakKeyDictionary
        return ApplyResult(future)

    def on_stop(self) -> None:
        """End soon: what has not started goes back to the queue, what runs is told to stop."""
        self.executor.shutdown(wait=False, cancel_futures=True)
        still = self.gate.raise_in_running(seconds=2.0)
        for each in () if still else list(self.executor._threads):
            each.join(timeout=0.5)
