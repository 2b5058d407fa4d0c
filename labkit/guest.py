"""A worker as a guest in somebody's process: what it would print, log and forbid there is kept to its own threads."""

from __future__ import annotations

import io
import logging
import sys
import threading
from collections.abc import Callable
from typing import Any, Final

import celery.result
from celery import _state

#: The loggers that Celery and its libraries write to.
_LOGGERS: Final = ("celery", "kombu", "amqp", "vine", "billiard")


class Guest:
    """Marks threads as the worker's. While it is in, their output and Celery's logs go to ``tell``.

    ``tell(kind, text)`` gets ``"printed"`` or ``"logged"`` and the text.
    """

    def __init__(self, tell: Callable[[str, str], None]) -> None:
        self._tell = tell
        self._local = threading.local()
        self._handler = _Handler(tell)
        self._undo: list[Callable[[], None]] = []

    @property
    def is_worker_thread(self) -> bool:
        """Whether this code runs in a thread of the worker."""
        return getattr(self._local, "marked", False)

    def enter_thread(self) -> None:
        """The current thread is the worker's from now on."""
        self._local.marked = True
        self._local.refuses = True

    def come_in(self) -> None:
        """Route output, logs and the guard against waiting inside a task by thread."""
        for name in ("stdout", "stderr"):
            self._route(name)
        for name in _LOGGERS:
            logger = logging.getLogger(name)
            self._undo.append(self._restore_logger(logger, logger.propagate))
            logger.propagate = False
            logger.addHandler(self._handler)
        self._guard()

    def leave(self) -> None:
        """Put everything back as it was, unless somebody else has changed it since."""
        while self._undo:
            self._undo.pop()()
        self._tell = _nobody  # a handler made meanwhile may keep the routed stream, and by it all of the lab

    def _restore_logger(self, logger: logging.Logger, propagate: bool) -> Callable[[], None]:
        def restore() -> None:
            logger.removeHandler(self._handler)
            logger.propagate = propagate

        return restore

    def _route(self, name: str) -> None:
        original = getattr(sys, name)
        if original is None:
            return
        routed = _Routed(original, self)
        setattr(sys, name, routed)

        def restore() -> None:
            if getattr(sys, name) is routed:
                setattr(sys, name, original)

        self._undo.append(restore)

    def told(self, text: str) -> None:
        """A worker's thread has written ``text``: told line by line."""
        *lines, rest = (getattr(self._local, "begun", "") + text).split("\n")
        self._local.begun = rest
        for line in lines:
            self._tell("printed", line)

    def end_line(self) -> None:
        """The task of this thread is over: what it wrote without an end of line is a line too."""
        if getattr(self._local, "begun", ""):
            self.told("\n")

    def _guard(self) -> None:
        """Waiting for a result is refused in the worker's threads, as Celery does, and nowhere else.

        Celery keeps one flag for the whole process (``celery/_state.py``), set when a worker starts.
        """
        blocks, set_blocks = celery.result.task_join_will_block, celery.result._set_task_join_will_block
        before = _state._task_join_will_block

        def will_block() -> bool:
            return bool(self._local.refuses) if self.is_worker_thread else bool(blocks())

        def set_will_block(value: bool) -> None:
            if self.is_worker_thread:
                self._local.refuses = value
            else:
                set_blocks(value)

        celery.result.task_join_will_block = will_block
        celery.result._set_task_join_will_block = set_will_block

        def restore() -> None:
            celery.result.task_join_will_block = blocks
            celery.result._set_task_join_will_block = set_blocks
            _state._set_task_join_will_block(before)

        self._undo.append(restore)

    def allow_waiting(self) -> None:
        """The worker has just set Celery's flag for all of the process: take it back."""
        _state._set_task_join_will_block(False)


def _nobody(kind: str, text: str) -> None:
    """The lab is over: what a task that could not be stopped still writes is dropped."""


class _Handler(logging.Handler):
    def __init__(self, tell: Callable[[str, str], None]) -> None:
        super().__init__()
        self._tell = tell

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self._tell("logged", f"{record.levelname}: {record.getMessage()}")
        except Exception:  # a log line that cannot be formatted is no reason to fail
            self._tell("logged", f"{record.levelname}: {record.msg!r}")


class _Routed(io.TextIOBase):
    """A stream that gives what the worker's threads write to the guest, and all else to the original."""

    def __init__(self, original: Any, guest: Guest) -> None:
        self._original = original
        self._guest = guest

    def write(self, text: str) -> int:
        if self._guest.is_worker_thread:
            self._guest.told(text)
            return len(text)
        return int(self._original.write(text) or 0)

    def flush(self) -> None:
        if not self._guest.is_worker_thread:
            self._original.flush()

    def writelines(self, lines: Any) -> None:
        for line in lines:
            self.write(line)

    def isatty(self) -> bool:
        return bool(self._original.isatty())

    def fileno(self) -> int:
        return int(self._original.fileno())

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return getattr(self._original, "encoding", "utf-8")

    @property
    def errors(self) -> str:  # type: ignore[override]
        return getattr(self._original, "errors", "strict")

    def __getattr__(self, name: str) -> Any:
        return getattr(self._original, name)
