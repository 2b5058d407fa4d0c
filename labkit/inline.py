"""An errback that Celery calls inline, and what recording needs to say of an error without failing itself."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Any, Final

from celery.canvas import Signature
from celery.exceptions import TaskRevokedError

from labkit.record import snapshot

_log: Final = logging.getLogger("labkit.listen")


def safe(function: Callable[..., Any]) -> Callable[..., None]:
    """``function`` with its errors logged: recording never harms what it records."""

    def call(*args: Any, **kwargs: Any) -> None:
        try:
            function(*args, **kwargs)
        except Exception:
            _log.debug("a fact was lost", exc_info=True)

    return call


def of_errback(error: BaseException) -> bool:
    """Whether an error was raised while Celery called or sent the errbacks of a task that had failed."""
    place = error.__traceback__
    while place is not None and place.tb_frame.f_code.co_name != "_call_task_errbacks":
        place = place.tb_next
    return place is not None


def error_text(exception: BaseException | Any) -> str:
    """``ValueError: boom``, bounded."""
    try:
        text = str(exception)
    except Exception:  # a broken __str__ must not hide the failure itself
        text = "<its str raises>"
    if isinstance(exception, TaskRevokedError):
        text = str(exception.args[0]) if exception.args else text
    return str(snapshot(f"{type(exception).__name__}: {text}" if text else type(exception).__name__))


class Watched(Signature):
    """An errback that tells when it is called inline. Celery clones it before it calls it: it stays itself.

    ``told`` is `Recording.add`; while it runs, ``local.failed`` is the id of the task that ``failed`` with ``exc``.
    """

    def __init__(
        self, signature: Signature, told: Callable[..., Any], local: threading.local, failed: str, exc: Any
    ) -> None:
        super().__init__(signature, app=signature._app)
        self._watch = (signature, told, local, failed, exc)
        self._app = signature._app

    def clone(self, *args: Any, **kwargs: Any) -> Signature:
        """Itself, unless it is given something."""
        return self if not args and not kwargs else self._watch[0].clone(*args, **kwargs)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the errback, and tell."""
        signature, told, local, failed, exc = self._watch
        started, error = time.time(), None
        local.failed = failed
        try:
            return signature(*args, **kwargs)
        except Exception as raised:
            error = error_text(raised)
            raise
        finally:
            local.failed = None
            safe(told)("errback", failed, task=self.task, exception=type(exc).__name__, error=error, at=started)

    def apply_async(self, *args: Any, **kwargs: Any) -> Any:
        """Send the errback: the message tells by itself."""
        return self._watch[0].apply_async(*args, **kwargs)
