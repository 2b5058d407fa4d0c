"""Errbacks that were not called: which of them a drawing shows as one, and which it leaves out."""

from __future__ import annotations

from collections import Counter
from typing import Any

from labkit.graph import Edge, Graph, Node
from labkit.labels import TOOLTIP, Labels


def calls(graph: Graph, edge: Edge) -> bool:
    """Whether an errback's edge is worth drawing: not once it was called, with another task's id in front."""
    target = graph.nodes.get(edge.target)
    if edge.kind != "errback" or target is None or target.state in ("planned", "never ran") or not target.args:
        return True
    callers = graph.by_id(target.args[0]) if isinstance(target.args[0], str) else ()
    return not callers or edge.source in {node.key for node in callers}


def uncalled(graph: Graph, labels: Labels) -> dict[str, str | None]:
    """The nodes of errbacks that need no box of their own.

    One that was never called is left out (``None``) where the same call was made for another task; of many that
    were planned or never called alike, the first stands for all (its key).
    """
    sources = {edge.source for edge in graph.edges}
    called: set[tuple[Any, ...]] = set()
    waiting: list[tuple[tuple[Any, ...], Node]] = []
    for node in graph.nodes.values():
        if node.role != "errback":
            continue
        args = [labels.literal(value, TOOLTIP) for value in node.args]
        rest = (node.task, *(f"{name}={labels.literal(value, TOOLTIP)}" for name, value in node.kwargs.items()))
        if node.state not in ("planned", "never ran"):
            # In front of its own arguments stands the id, or the request, the error and its traceback.
            called |= {(*rest, tuple(args[given:])) for given in (0, 1, 3)}
        elif node.key not in sources:
            waiting.append(((*rest, tuple(args)), node))
    first: dict[tuple[Any, ...], str] = {}
    stands: dict[str, str | None] = {}
    groups = {member: key for key, frame in graph.frames.items() for member in frame.members}
    alike: Counter[tuple[Any, ...]] = Counter()  # in one group each is called
    for call, node in waiting:
        look = (*call, node.state)
        place = alike[look, groups.get(node.key)]
        if node.key in groups:
            alike[look, groups[node.key]] += 1
        if node.state == "never ran" and call in called:
            stands[node.key] = None
        elif (kept := first.setdefault((*look, place), node.key)) != node.key:
            stands[node.key] = kept
    return stands
