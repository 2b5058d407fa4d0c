"""The app of a worker process that a lab started: the project's own; it reports, and the process ends with the lab.

Run as ``celery -A labkit.hired worker …`` with ``LABKIT_APP`` (the project's app, as for ``-A``), ``LABKIT_LIFELINE``
(a pipe that closes when the lab's process ends) and ``LABKIT_READY`` (a pipe to write to when the worker is ready).
"""

from __future__ import annotations

import json
import os
import signal
import threading
from typing import Any

from celery import signals
from celery.app.utils import find_app

from labkit.report import report


def _hold_on(lifeline: int) -> None:
    """Wait for the end of the lab's process, then end this one and its children, whatever they do."""
    while True:
        try:
            if not os.read(lifeline, 1):
                break
        except InterruptedError:
            continue
        except OSError:
            break
    os.killpg(os.getpgid(0), signal.SIGKILL)


def _ready(**_: Any) -> None:
    os.write(int(os.environ["LABKIT_READY"]), b"ready\n")


def _die(**_: Any) -> None:
    os.killpg(os.getpgid(0), signal.SIGKILL)


def _received(request: Any, **_: Any) -> None:
    if request.name == doomed:
        _die()


def _started(sender: Any, **_: Any) -> None:
    if sender.name != doomed:
        return
    if when == "middle":
        threading.Timer(0.2, _die).start()
    else:
        _die()


def _begin() -> Any:
    app = find_app(os.environ["LABKIT_APP"])
    app.conf.broker_transport_options = {
        **(app.conf.broker_transport_options or {}),
        **json.loads(os.environ.get("LABKIT_TRANSPORT", "{}")),
    }
    report(app)
    if when == "before":
        signals.task_received.connect(_received, weak=False)
    elif when:
        signals.task_prerun.connect(_started, weak=False)
    signals.worker_ready.connect(_ready, weak=False)
    threading.Thread(target=_hold_on, args=(int(os.environ["LABKIT_LIFELINE"]),), daemon=True).start()
    return app


when, _, doomed = os.environ.get("LABKIT_DOOM", "").partition(":")
app = _begin() if "LABKIT_APP" in os.environ else None
