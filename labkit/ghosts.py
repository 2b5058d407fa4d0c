"""What will never run, and why: concluded as soon as it is certain, from the states of what comes before."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import Final

from labkit.graph import FINAL, FLOW, RETURNED, UNTOLD, Edge, Graph, Node

#: The notes of a task that ran where nobody reports, and of one that another was put in the place of.
ASKED: Final = "as the backend answers"
REPLACED: Final = "replaced itself"

_UNDER_WAY: Final = ("sent", "received", "running", "retrying")

_Ends = Mapping[str, list[Edge]]


def conclude(graph: Graph) -> None:
    """Give each node that can no longer run its state and reason, as soon as that is certain."""
    incoming: dict[str, list[Edge]] = defaultdict(list)
    for edge in graph.edges:
        incoming[edge.target].append(edge)
    outgoing: dict[str, list[Edge]] = defaultdict(list)
    if any(node.note == REPLACED for node in graph.nodes.values()):
        for edge in graph.edges:
            outgoing[edge.source].append(edge)
    waiting = [node for node in graph.nodes.values() if node.state == "planned" and node.role != "map"]
    moved = True
    while waiting and moved:
        left = []
        for node in waiting:
            reason = _why_not(graph, node, incoming, outgoing)
            if reason is None:
                left.append(node)
            else:
                node.state, node.reason = "never ran", reason
        moved = len(left) < len(waiting)
        waiting = left


def _sources(graph: Graph, edge: Edge, incoming: _Ends) -> list[Node]:
    if edge.source in graph.nodes:
        return [graph.nodes[edge.source]]
    into = [graph.nodes[each.source] for each in incoming.get(edge.source, ()) if each.source in graph.nodes]
    return into or [graph.nodes[key] for key in graph.leaves(edge.source)]


def _why_not(graph: Graph, node: Node, incoming: _Ends, outgoing: _Ends) -> str | None:
    sources = [(edge, source) for edge in incoming.get(node.key, ()) for source in _sources(graph, edge, incoming)]
    if not sources:
        return None
    if sources[0][0].kind == "errback":
        return _errback_not_called(graph, [source for _, source in sources])
    for edge, source in sources:
        if source.state in FINAL and source.state != "succeeded":
            name, did = graph.number(source.key), DID[source.state]
            if source.note == RETURNED and source.role != "header":
                return f"{name} returned, but what comes after it could not be sent"
            if edge.kind == "callback" and source.state != "never ran":
                return f"{name} {did}; a callback runs on success only"
            return f"{'header ' if source.role == 'header' else ''}{name} {did}"
    if all(source.state == "succeeded" for _, source in sources):
        last = sources[-1][1]
        if node.error:
            return f"it could not be sent: {node.error}"
        if any(source.note == ASKED for _, source in sources):
            return None  # its worker does not report what it sends
        if not node.planned and _still_sending(graph, node, incoming):
            return None  # more may be sent that it waits for
        replaced = next((source for _, source in sources if source.note == REPLACED), None)
        if replaced is not None:
            return _replacement(graph, node, replaced, outgoing)
        return f"{graph.number(last.key)} ended without sending it"
    return None


def _still_sending(graph: Graph, node: Node, incoming: _Ends) -> bool:
    """Whether a task that led to this node still runs: not all headers of a body that it sends may be known."""
    look, seen = [node.key], {node.key}
    while look:
        for edge in incoming.get(look.pop(), ()):
            for source in _sources(graph, edge, incoming):
                if source.state in _UNDER_WAY:
                    return True
                if source.key not in seen:
                    seen.add(source.key)
                    look.append(source.key)
    return False


def _replacement(graph: Graph, waiting: Node, replaced: Node, outgoing: _Ends) -> str | None:
    """Why what comes after a replaced task will not run, if one of those in its place did not succeed."""
    places = dict.fromkeys(edge.target for edge in outgoing.get(replaced.key, ()) if edge.kind == "replaced")
    look = [*places]
    while look:
        more = {edge.target for edge in outgoing.get(look.pop(), ()) if edge.kind in FLOW} - places.keys()
        places |= dict.fromkeys(sorted(more))
        look += sorted(more)
    nodes = [graph.nodes[key] for key in places if key in graph.nodes and key != waiting.key]
    bad = next((node for node in nodes if node.state in FINAL and node.state != "succeeded"), None)
    if bad is not None:
        return f"{graph.number(bad.key)} {DID[bad.state]}"
    if all(node.state == "succeeded" for node in nodes):
        return f"{graph.number(replaced.key)} ended without sending it"
    return None


def _errback_not_called(graph: Graph, sources: list[Node]) -> str | None:
    if any(source.state not in FINAL for source in sources):
        return None
    failed = [source for source in sources if source.state == "failed"]
    if not failed:
        did = DID["never ran"] if sources[0].state == "never ran" else "did not fail"
        return "none of its tasks failed" if len(sources) > 1 else f"{graph.number(sources[0].key)} {did}"
    could = "could not send" if failed[0].note == UNTOLD else "did not call"
    return f"{graph.number(failed[0].key)} failed, but Celery {could} it"


DID: Final = {
    "failed": "failed",
    "revoked": "was revoked",
    "rejected": "ended without a result",
    "lost": "was lost",
    "never ran": "did not run",
}
