"""Facts folded onto a plan: the Graph of what happened, in whatever order the facts arrived."""

from __future__ import annotations

import copy
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import fields
from operator import attrgetter, itemgetter
from typing import Any, Final

from labkit.facts import deepened, gone_out
from labkit.ghosts import ASKED, DID, REPLACED, conclude
from labkit.graph import FINAL, RETURNED, Attempt, Graph, Node, Outline
from labkit.grow import Grower
from labkit.labels import slot_name


def fold(plan: Graph, facts: Iterable[Mapping[str, Any]]) -> Graph:
    """The plan with all that the facts tell about it; what happened beside the plan is added to it.

    The order in which the facts are given does not matter: each tells when it happened. ``plan`` stays as it is.
    """
    ordered = sorted(facts, key=itemgetter("n"))
    ordered.sort(key=itemgetter("at"))  # stable: by time, then by place
    grower = Grower(_copied(plan))
    others: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    lives: dict[tuple[str, int], list[Mapping[str, Any]]] = defaultdict(list)
    for fact in deepened(gone_out(ordered)):
        if fact["kind"] in _LIVES:
            lives[fact["id"], fact.get("nesting", 0)].append(fact)
        else:
            others[fact["kind"]].append(fact)
    grower.returned, grower.failed = _bodies_ended(lives)
    grower.went_on = {run for run, life in lives.items() if any(fact["kind"] in _WENT_ON for fact in life)}
    grower.messages(others["published"], {id for (id, _), life in lives.items() if any(map(_ignored, life))})
    graph = grower.graph
    for (id, nesting), life in lives.items():
        node = grower.node(id, nesting)
        if node is not None:
            _live(node, life)
    replacing = {edge.source for edge in graph.edges if edge.kind == "replaced"}
    for nodes in grower.ids.values():
        _replaced(nodes, replacing)
    _replacing(graph, replacing)
    for fact in others["errback"]:
        _inline(grower, fact)
    for fact in others["answered"]:
        for node in grower.ids.get(fact["id"], ()):
            node.backend_state = fact["state"]
            if fact.get("error") and node.state == "planned":
                node.error = fact["error"]
            if fact.get("final") and node.state not in FINAL:
                _told_by_backend(node, fact)
    _bodies_end(graph)
    conclude(graph)
    _items(graph)
    return graph


def _bodies_ended(lives: Mapping[tuple[str, int], Iterable[Mapping[str, Any]]]) -> tuple[set[str], set[str]]:
    """The ids of tasks whose bodies returned, and of those whose bodies failed; in neither if both."""
    returned, failed = set(), set()
    for (id, _), life in lives.items():
        for fact in life:
            if fact["kind"] == "succeeded" or (fact["kind"] == "failed" and fact.get("note") == RETURNED):
                returned.add(id)
            elif fact["kind"] == "failed":
                failed.add(id)
    return returned - failed, failed - returned


#: Ends of a body that was not left by ``self.replace``, whatever it has sent with its own id.
_WENT_ON: Final = frozenset({"succeeded", "failed", "retried"})

#: Facts that do not tell of which run of the body.
_LOOSE: Final = frozenset({"unregistered", "rejected", "redelivered", "doubled", "stranded", "lost"})


_fields: Final = attrgetter(*(field.name for field in fields(Node)))


def _copied(plan: Graph) -> Graph:
    nodes = [Node(*_fields(node)) for node in plan.nodes.values()]
    for node in nodes:
        node.attempts = [copy.copy(attempt) for attempt in node.attempts]
    frames = [copy.copy(frame) for frame in plan.frames.values()]
    return Graph(nodes, plan.edges, frames, plan.outline and _outline(plan.outline))


def _outline(outline: Outline) -> Outline:
    return Outline(outline.kind, outline.key, [_outline(child) for child in outline.children])


def _ignored(fact: Mapping[str, Any]) -> bool:
    return bool(fact["kind"] == "ended" and fact["state"] == "IGNORED")


# --- the life of one task -----------------------------------------------------------------------------------


def _live(node: Node, life: list[Mapping[str, Any]]) -> None:
    """Apply the facts of one task: a retry without delay can begin before the last run is known to be over."""
    values = []
    for fact in _by_run(life):
        _LIVES[fact["kind"]](node, fact)
        if fact["kind"] == "succeeded":
            values.append(fact["value"])
    if len(values) > 1 and node.state == "succeeded" and values[0] != values[-1]:
        # The backend does not store a result over one that succeeded (celery/backends/base.py: _store_result).
        node.value, node.note = values[0], node.note or "ran again; the first value stays"


def _by_run(life: list[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The facts of one task by the run of its body; those that do not say which belong to the last one until then."""
    runs, last = [], 0
    for fact in life:
        run = fact.get("retries") or (last if fact["kind"] in _LOOSE else 0)
        last = max(last, run)
        runs.append(run)
    return [fact for _, fact in sorted(zip(runs, life, strict=True), key=itemgetter(0))]


def _replaced(nodes: list[Node], replacing: set[str]) -> None:
    """Nodes that share an id: each but the last one has put the next in its place."""
    for node in nodes[:-1]:
        if node.state != "running" and node.key in replacing:  # one that runs still sends what comes in its place
            node.state, node.note, node.reason = "succeeded", REPLACED, None


def _replacing(graph: Graph, replacing: set[str]) -> None:
    """One that ended by `Ignore` and has sent tasks in its place: the end of those may not be known yet."""
    for key in replacing & graph.nodes.keys():
        source = graph.nodes[key]
        if source.state == "rejected":
            source.state, source.note, source.reason = "succeeded", REPLACED, None


def _received(node: Node, fact: Mapping[str, Any]) -> None:
    node.received = node.received or fact["at"]
    node.worker = fact.get("worker") or node.worker
    if node.state in ("planned", "sent"):
        node.state = "received"


def _started(node: Node, fact: Mapping[str, Any]) -> None:
    if node.attempts and node.attempts[-1].seconds is None:
        node.attempts[-1].why = "it was delivered once more before this run had ended"
        if not (node.note or "").endswith(("made it so", "more than once")):
            node.note = f"ran {len(node.attempts) + 1} times"
    node.started = node.started or fact["at"]
    node.attempts.append(Attempt(when=fact["at"], slot=slot_name(fact) or None))
    node.worker = node.worker or fact.get("worker")
    node.state = "running"


def _stop(node: Node, fact: Mapping[str, Any], why: str | None = None) -> None:
    node.finished = fact["at"]
    if node.attempts:
        last = node.attempts[-1]
        last.why = why
        if last.when is not None:
            last.seconds = max(0.0, fact["at"] - last.when)


def _succeeded(node: Node, fact: Mapping[str, Any]) -> None:
    _stop(node, fact)
    node.state, node.value, node.error = "succeeded", fact["value"], None


def _failed(node: Node, fact: Mapping[str, Any]) -> None:
    _stop(node, fact)
    node.state, node.error = "failed", fact["error"]
    node.note = fact.get("note") or node.note


def _retried(node: Node, fact: Mapping[str, Any]) -> None:
    _stop(node, fact, fact["error"])
    if node.attempts:
        node.attempts[-1].delay = fact.get("delay")
    node.state, node.finished = "retrying", None


def _ended(node: Node, fact: Mapping[str, Any]) -> None:
    _stop(node, fact)
    node.state = "rejected"
    node.reason = f"raised {_RAISED[fact['state']]}, so it ended without a result"
    if fact.get("requeued"):
        node.state, node.reason, node.note = "sent", None, "rejected, and back in the queue"


#: What a body raised that ended so.
_RAISED: Final = {"IGNORED": "Ignore", "REJECTED": "Reject", "RETRY": "Retry by hand, which sends nothing"}


def _revoked(node: Node, fact: Mapping[str, Any]) -> None:
    again = f"before run {len(node.attempts) + 1}" if node.attempts else "before it was run"
    node.state, node.finished = "revoked", fact["at"]
    node.reason = fact["why"].replace("before it was run", again)


def _unregistered(node: Node, fact: Mapping[str, Any]) -> None:
    node.state, node.finished = "failed", fact["at"]
    node.error, node.note = f"NotRegistered: {node.task!r}", "no worker knows this task"


def _rejected(node: Node, fact: Mapping[str, Any]) -> None:
    node.state, node.reason, node.finished = "rejected", fact["why"], fact["at"]


def _doubled(node: Node, fact: Mapping[str, Any]) -> None:
    node.note = "its message was delivered twice: a fault made it so"


def _redelivered(node: Node, fact: Mapping[str, Any]) -> None:
    node.note = "delivered again"


def _stranded(node: Node, fact: Mapping[str, Any]) -> None:
    node.state, node.note = "sent", "its worker was killed before it acknowledged: the broker keeps the message"


def _lost(node: Node, fact: Mapping[str, Any]) -> None:
    node.state, node.reason, node.finished = "lost", fact["why"], fact["at"]


_LIVES: Final = {
    "received": _received,
    "started": _started,
    "succeeded": _succeeded,
    "failed": _failed,
    "retried": _retried,
    "ended": _ended,
    "revoked": _revoked,
    "unregistered": _unregistered,
    "rejected": _rejected,
    "redelivered": _redelivered,
    "doubled": _doubled,
    "stranded": _stranded,
    "lost": _lost,
}


def _bodies_end(graph: Graph) -> None:
    """A body has returned when what comes after it is published; Celery tells of its success a little later."""
    for edge in graph.task_edges():
        source, target = graph.nodes[edge.source], graph.nodes[edge.target]
        if edge.kind not in ("result", "order", "callback") or not source.finished or not target.sent:
            continue
        if source.started and source.started <= target.sent < source.finished:
            source.finished = target.sent
            if source.attempts and source.attempts[-1].when is not None:
                source.attempts[-1].seconds = max(0.0, target.sent - source.attempts[-1].when)


def _told_by_backend(node: Node, fact: Mapping[str, Any]) -> None:
    """All that is known of a task that ran where nobody reports: what is stored for it."""
    if fact["state"] == "SUCCESS":
        node.state, node.value, node.note = "succeeded", fact["value"], ASKED
    elif node.state != "planned":
        node.state = "revoked" if fact["state"] == "REVOKED" else "failed"
        node.error = node.reason = fact["error"]
    node.error = None if node.state == "revoked" else node.error


def _inline(grower: Grower, fact: Mapping[str, Any]) -> None:
    """An errback of three parameters: called where its task failed, no message, no id."""
    owners = grower.ids.get(fact["id"], [])
    node = grower.errback(owners[-1] if owners else None, fact["task"])
    node.state = "failed" if fact.get("error") else "succeeded"
    node.error = fact.get("error")
    node.args, node.partial = (fact["id"],), False
    node.note = f"called with {fact['exception']}"
    node.started = node.finished = fact["at"]


def _items(graph: Graph) -> None:
    """The items of a map share the fate of its one message, as far as that can be known."""
    for frame in graph.frames.values():
        if frame.kind not in ("map", "starmap") or frame.members[0] not in graph.nodes:
            continue
        message = graph.nodes[frame.members[0]]
        items = [graph.nodes[key] for key in frame.members[1:] if key in graph.nodes and graph.nodes[key].role == "map"]
        values = message.value if isinstance(message.value, list) and len(message.value) == len(items) else None
        for place, item in enumerate(items):
            if message.state == "succeeded":
                item.state = "succeeded"
                item.value = values[place] if values is not None else None
            elif message.state == "failed":
                item.state, item.reason = "unknown", "one item failed, and Celery does not tell which"
            elif message.state in FINAL:
                item.state, item.reason = "never ran", f"{graph.number(message.key)} {DID[message.state]}"
