"""Whatever can be drawn as a Graph: a canvas, a run, or a result that Celery gave, as far as can be known."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from celery.result import AsyncResult, EagerResult, ResultBase, ResultSet

from labkit import lab
from labkit.embed import ids_in
from labkit.errors import LabError
from labkit.graph import Edge, Frame, Graph, Node, Outline
from labkit.plan import prepare
from labkit.record import Fact, Recording, snapshot
from labkit.run import Run
from labkit.why import Why, why_result
from labkit.why import why as explain


def graph_of(thing: Any) -> Graph:
    """The Graph of a signature (its plan), a `Run`, a recording, or a result that Celery gave.

    Raises ``LabError`` for anything else.
    """
    if isinstance(thing, Graph):
        return thing
    if isinstance(thing, Run | Recording):
        return thing.graph
    if isinstance(thing, ResultBase):
        return graph_of_result(thing)
    return prepare(thing)[1]


def graph_of_result(result: AsyncResult | ResultSet) -> Graph:
    """What is known of a workflow that was not sent through the lab.

    If a lab heard its messages, all of it; else only what the result object and the backend tell: values and states,
    not the tasks' names or what was cut off. Reads the backend, waits for nothing. Of a set of results that belong to
    several runs, and of one that was not sent at all (``apply()``), only what the results tell.
    """
    ids = {each.id for each in _results(result)}
    listener = lab.current().listener if lab.running() is not None else None
    heard = [listener.recording_of(id) for id in ids] if listener else []
    if listener and heard and all(each is heard[0] for each in heard):
        known, facts = heard[0], heard[0].facts
        if not (known.known & ids and known.plan.nodes):
            facts = _related(facts, ids)
        if any(fact["kind"] == "published" for fact in facts):
            recording = Recording(known.plan, facts, known.redaction)
            lab.current().staff.ask_backend(recording)
            return recording.graph
    return _told_by_backend(result)


def why(thing: Any, name: str | None = None) -> Why:
    """Why a node of a run (or of a result's workflow) is as it is; ``name`` is a number such as ``"#7"``.

    Without a name, about the task of an ``AsyncResult`` itself. Of a result that nobody listened for, only what the
    broker and the backend know is told. Raises ``LabError`` if there is no such node.
    """
    if isinstance(thing, AsyncResult) and not isinstance(thing, EagerResult):
        running = lab.running()
        recording = running.listener.recording_of(thing.id) if running else None
        if recording is None or thing.id not in recording.known:
            return why_result(thing, running)
        return explain(graph_of_result(thing), name or thing.id, running, recording)
    if name is None and isinstance(thing, EagerResult):
        name = thing.id
    if name is None:
        raise LabError("which node? Name it by its number: labkit.why(run, '#3').")
    return thing.why(name) if isinstance(thing, Run) else explain(graph_of(thing), name)


def _results(result: ResultBase) -> Iterator[AsyncResult]:
    """All single results that hang together: parents, members, children that are known."""
    seen: set[int] = set()
    waiting: list[Any] = [result]
    while waiting:
        each = waiting.pop()
        if each is None or id(each) in seen:
            continue
        seen.add(id(each))
        if isinstance(each, ResultSet):
            waiting += each.results
        else:
            yield each
        waiting.append(each.parent)


def _related(facts: list[Fact], ids: set[str]) -> list[Fact]:
    """The facts about these ids and all that hangs together with them, by parent, group, or what a message carries."""
    published = [fact for fact in facts if fact["kind"] == "published"]
    names, grown = set(ids), True
    while grown:
        grown = False
        for fact in published:
            chord = fact["chord"]
            about = {fact["id"], fact["parent"], fact["group"], *ids_in(fact["chain"], chord)} - {None}
            about |= {chord} if isinstance(chord, str) else set()
            if about & names and not about <= names:
                names |= about
                grown = True
    return [fact for fact in facts if fact["id"] in names]


def _told_by_backend(result: ResultBase) -> Graph:
    graph = Graph(outline=Outline("results", ""))
    _node(graph, result, "0")
    return graph


def _node(graph: Graph, result: Any, key: str, frame: str | None = None) -> list[str]:
    """The nodes of a result, behind those of its parent. Returns the keys of what it ends with."""
    before = _node(graph, result.parent, f"{key}.p") if result.parent is not None else []
    if isinstance(result, ResultSet):
        members = {f"{key}.{place}": member for place, member in enumerate(result.results)}
        graph.frames[key] = Frame(key, "group", tuple(members), frame)
        last = [each for place, member in members.items() for each in _node(graph, member, place, key)]
    else:
        last = _single(graph, result, key)
    graph.edges += [Edge(source, target, "order", False) for source in before for target in last]
    return last


def _single(graph: Graph, result: AsyncResult, key: str) -> list[str]:
    here = isinstance(result, EagerResult)  # it has no backend: the result itself tells, for certain
    meta = result._get_task_meta() if here else result.backend.get_task_meta(result.id)
    state, value = meta["status"], meta.get("result")
    node = Node(key, meta.get("name") or "task", result.id, state="unknown", backend_state=state, planned=False)
    if state == "SUCCESS":
        node.state, node.value = "succeeded", snapshot(value)
    elif state == "REVOKED":
        node.state, node.reason = "revoked", str(value)
    elif state == "FAILURE":
        node.error = f"{type(value).__name__}: {value}"
        if here:
            node.state = "failed"
        else:
            node.reason = "Celery answers FAILURE, for a task that failed and for one that never ran because of it"
    elif here:
        node.reason = f"it was called by apply(), and ended as {state}"
    else:
        node.reason = f"Celery answers {state}, and nobody listened when it was sent"
    graph.nodes[key] = node
    if graph.outline:
        graph.outline.children.append(Outline("task", key))
    return [key]
