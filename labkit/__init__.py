"""See Celery workflows: plan, record and draw any canvas, before, while and after it runs.

>>> import labkit
>>> from celery import signature
>>> print(labkit.plan(signature("tasks.add", (2, 2))))
<Graph: 1 planned>
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from labkit.draw import Drawing  # now: imported later, the module would take the place of the function draw
from labkit.errors import LabError
from labkit.graph import Attempt, Edge, Frame, Graph, Node
from labkit.lab import Lab, run, start, stop
from labkit.plan import plan
from labkit.playground import playground
from labkit.practice import check, hint, progress
from labkit.predict import predict
from labkit.record import Recording, load
from labkit.results import graph_of, why
from labkit.run import Run

__all__ = [
    "Attempt",
    "Drawing",
    "Edge",
    "Frame",
    "Graph",
    "Lab",
    "LabError",
    "Node",
    "Recording",
    "Run",
    "check",
    "draw",
    "hint",
    "load",
    "plan",
    "playground",
    "predict",
    "progress",
    "run",
    "start",
    "stop",
    "why",
]


def draw(thing: Any, *, theme: str = "light", unfold: Collection[str] = ()) -> Drawing:
    """A `Drawing` of a signature (its plan), a `Run` or recording (as it is now), or a result that Celery gave.

    ``theme`` is ``"light"`` or ``"dark"``; ``unfold`` names stacks to open, by a number in them (``"#2"``).
    Needs no lab. Raises ``LabError`` if there is nothing in ``thing`` to draw.
    """
    return Drawing(graph_of(thing), theme=theme, unfold=unfold)
