"""What can be sent: looked at before anything is, and refused in words that help."""

from __future__ import annotations

from collections.abc import Collection

from celery import Celery
from celery.canvas import Signature
from kombu import serialization
from kombu.exceptions import EncodeError, OperationalError

from labkit import canvas
from labkit.errors import LabError
from labkit.graph import Graph


def belongs(signature: Signature, app: Celery) -> None:
    """Raise ``LabError`` if a task of a canvas belongs to another app than ``app``: it would go to another broker."""
    for other in canvas.apps(signature):
        if other is not app:
            raise LabError(
                f"a task of this canvas belongs to the app {other.main!r}, and the lab runs {app.main!r}. "
                f"Call labkit.stop(), then labkit.start(…) with the app {other.main!r}."
            )


def inspect(graph: Graph, app: Celery, *, registered: bool = True) -> None:
    """Raise ``LabError`` if a plan has a task that the app does not know, or arguments that its serializer refuses.

    With ``registered=False`` task names are not looked at.
    """
    serializer = app.conf.task_serializer
    for node in graph.nodes.values():
        if node.role == "map":
            continue
        if registered and node.task not in app._tasks:
            raise LabError(_unregistered(graph.number(node.key), node.task, app._tasks))
        try:
            serialization.dumps((node.args, node.kwargs), serializer)
        except EncodeError as error:
            raise LabError(
                f"the arguments of {graph.number(node.key)} {node.task} cannot be sent as {serializer}: {error}. "
                "Send what JSON knows: numbers, text, lists, dicts; list(…) for a range, a set or a generator."
            ) from error


def _unregistered(number: str, name: str, names: Collection[str]) -> str:
    known = sorted(each for each in names if not each.startswith("celery."))
    alike = [each for each in known if each.rpartition(".")[2] == name.rpartition(".")[2]]
    hint = f"Did you mean {alike[0]!r}?" if alike else f"Registered are: {', '.join(known[:12]) or 'none'}."
    return (
        f"{number}: no task {name!r} is registered with this app. {hint} Run the cell that defines it first; "
        "to send it for a worker elsewhere, use labkit.run(…, check=False)."
    )


def refusal(error: BaseException) -> str:
    """What Celery's refusal to send means, and what to do.

    >>> refusal(TypeError("add() missing 1 required positional argument: 'y'"))
    "Celery refuses to send this canvas: TypeError: add() missing 1 required positional argument: 'y'"
    """
    text = f"{type(error).__name__}: {error}".strip()
    if isinstance(error, OperationalError):
        return f"the broker does not answer ({text}). Call labkit.stop(), then labkit.start()."
    return f"Celery refuses to send this canvas: {text}"
