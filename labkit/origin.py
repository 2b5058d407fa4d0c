"""Who sends a message: the body of a task, or Celery itself once the body has returned."""

from __future__ import annotations

import sys
from typing import Final

from celery.app import trace
from celery.backends import base

#: Where Celery sends what comes after a body: callbacks, errbacks, the next step, the body of a chord.
_AFTER: Final = frozenset({trace.__file__, base.__file__})


def in_body() -> bool:
    """Whether the body of a task, in this thread, sends what is being published.

    No signal tells where a body ends (``celery/app/trace.py: trace_task``), so it is read off the stack.
    """
    frame, below = sys._getframe(1), ""
    while frame.f_code.co_name != "trace_task":
        if frame.f_back is None:
            return False
        frame, below = frame.f_back, frame.f_code.co_filename
    return below not in _AFTER
