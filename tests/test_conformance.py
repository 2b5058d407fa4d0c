"""The graph tells the truth for every canvas: what was sent, what ran, whose values went where, what never ran."""

import json
import random
from collections import Counter
from collections.abc import Iterator
from typing import Any, Final

import pytest
from celery import signals

import labkit
from labkit.graph import FINAL, RETURNED, Graph, Node
from labkit.happened import fold
from labkit.plan import plan
from labkit.record import Recording
from labkit.run import Run
from tests import workflows
from tests.field import CANVASES, FIELD

pytestmark = [
    # Celery warns in the worker when what comes after a body cannot be sent, and when an errback is on a chord.
    pytest.mark.filterwarnings("ignore:Exception raised outside body"),
    pytest.mark.filterwarnings("ignore:task_allow_error_cb_on_chord_header"),
    pytest.mark.filterwarnings("ignore::celery.exceptions.CPendingDeprecationWarning"),
]


@pytest.fixture(scope="module")
def lab() -> Iterator[labkit.Lab]:
    """One lab for all."""
    with labkit.start(workflows.app) as lab:
        yield lab


ERRBACKS: Final = {each.name for each in (workflows.eb1, workflows.eb3, workflows.eb3_sends, workflows.eb3_raises)}


class Wire:
    """What was published and what Celery says of each task, heard apart from the lab's own listener."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, str, int]] = []
        self.group_of: dict[str, str | None] = {}
        self.groups: dict[tuple[str, str, bool], set[str]] = {}
        self.ended: dict[str, list[str]] = {}
        self.retried: dict[str, list[str]] = {}
        self.eager: set[str] = set()
        signals.after_task_publish.connect(self.hear, weak=False)
        signals.task_postrun.connect(self.end, weak=False)
        signals.task_retry.connect(self.retry, weak=False)

    def hear(self, headers: dict[str, Any], body: Any, **_: Any) -> None:
        """One message is out."""
        self.sent.append((headers["id"], headers["task"], headers["retries"]))
        id, inside, parent = headers["id"], headers["group"], headers["parent_id"]
        self.group_of.setdefault(id, inside)
        if inside and self.group_of.get(parent) != inside:  # what a member sends has its group too
            self.groups.setdefault((inside, parent, bool(body[2]["chord"])), set()).add(id)

    def end(self, task_id: str, state: str | None, sender: Any, **_: Any) -> None:
        """A body and what Celery does after it are over."""
        if sender.request.is_eager:
            self.eager.add(task_id)
        self.ended.setdefault(task_id, []).append(state or "")

    def retry(self, request: Any, reason: Any, **_: Any) -> None:
        """A task will be tried again."""
        error = getattr(reason, "exc", None)
        self.retried.setdefault(request.id, []).append(f"{type(error).__name__}: {error}" if error else str(reason))

    def clear(self) -> None:
        """Forget it all."""
        own = self.sent, self.group_of, self.groups, self.ended, self.retried, self.eager
        for heard in (*own, workflows.began, workflows.called):
            heard.clear()

    def close(self) -> None:
        """Listen no more."""
        signals.after_task_publish.disconnect(self.hear)
        signals.task_postrun.disconnect(self.end)
        signals.task_retry.disconnect(self.retry)


@pytest.fixture
def wire() -> Iterator[Wire]:
    """All messages that are sent during a test."""
    wire = Wire()
    wire.clear()
    yield wire
    wire.close()


def finished(lab: labkit.Lab, canvas: Any) -> Run:
    """Send a canvas and wait for its end."""
    run = lab.run(canvas, check=False)
    run.wait(timeout=10)
    return run


def check_messages(graph: Graph, sent: list[tuple[str, str, int]]) -> None:
    """(a) Every message is a node, no node claims a message that was not sent."""
    messages = {(id, task) for id, task, _ in sent}
    nodes = {(node.id, node.task) for node in graph.nodes.values() if node.sent is not None}
    assert nodes == messages
    counted = Counter((id, task) for id, task, retries in sent if not retries)
    held = Counter((node.id, node.task) for node in graph.nodes.values() if node.sent is not None)
    for key, times in counted.items():
        notes = [node.note for node in graph.nodes.values() if (node.id, node.task) == key]
        assert held[key] == times or "sent more than once" in notes


def check_ends(graph: Graph) -> None:
    """(b) Each node has ended; what the bodies noted themselves says the same."""
    for node in graph.nodes.values():
        if node.role == "map" and node.state == "unknown":
            assert node.reason
            continue
        assert node.state in FINAL, (graph.number(node.key), node)
        if node.state in ("never ran", "revoked"):
            assert node.reason
        if node.state == "never ran":
            assert node.id not in workflows.began, node
        if node.id in workflows.began:
            assert node.state != "never ran"
    for id, times in workflows.began.items():
        found = graph.by_id(id)
        assert found
        assert sum(len(node.attempts) for node in found if node.task.startswith("tests.")) == times


def check_states(graph: Graph, wire: Wire) -> None:
    """(b) A task's state is what the backend has, or what Celery said at its end; each retry has its own reason."""
    for id, states in wire.ended.items():
        if id in wire.eager:
            assert not graph.by_id(id), "what a body calls is part of the body"
            continue
        if any(node.task == workflows.careless.name for node in graph.nodes.values()):
            continue  # the failure of on_retry and the success of the next run are stored in either order, and so on
        stored = workflows.app.backend.get_state(id)
        told = [node.state for node in graph.by_id(id) if node.sent is not None]
        # Where nothing is stored; a body that returned may still fail, in what Celery sends next.
        said = stored if stored in _MEANS else states[0] if len(states) == 1 else ""
        if any(edge.kind == "replaced" and edge.source == graph.by_id(id)[-1].key for edge in graph.edges):
            said = "SUCCESS"  # others were put in its place, and none of them has its id
        assert said not in _MEANS or told[-1] == _MEANS[said], (id, said, told)
    for id, reasons in wire.retried.items():
        if graph.by_id(id)[-1].task == workflows.gives_up.name:
            continue  # nothing is sent, so there is no other try
        tried = [attempt.why for node in graph.by_id(id) for attempt in node.attempts if attempt.why]
        assert Counter(tried) == Counter(reasons)
    errbacks = Counter(node.task for node in graph.nodes.values() if node.task in ERRBACKS and node.started)
    assert errbacks == Counter(workflows.called)


#: Celery's states, and those of a node.
_MEANS: Final = {"SUCCESS": "succeeded", "FAILURE": "failed", "REVOKED": "revoked", "IGNORED": "rejected"}


def errbacks_in(canvas: Any) -> Iterator[str]:
    """The tasks of all errbacks in a canvas as JSON has it; signatures among the arguments are none of its parts."""
    for sig in canvas if isinstance(canvas, list) else [canvas]:
        if isinstance(sig, dict) and "options" in sig:
            given = sig["options"].get("link_error") or []
            for errback in given if isinstance(given, list) else [given]:
                yield errback["task"]
            for part in ("tasks", "header", "body"):
                yield from errbacks_in(sig["kwargs"].get(part) if sig.get("subtask_type") else None)


#: The edges of which only one kind can be gone along.
LINKS: Final = ("callback", "errback")


def check_shape(plan: Graph, graph: Graph, canvas: Any, wire: Wire) -> None:
    """(d) The plan has the very arrows of the record, all errbacks of the canvas; a group's messages share a frame."""
    gone = {node.key for node in graph.nodes.values() if node.note == "replaced itself"}
    planned, found = (
        {
            (edge.source, edge.target, edge.kind, edge.passes_value)
            for edge in each.task_edges()
            if edge.source in plan.nodes and edge.target in plan.nodes and edge.source not in gone
        }
        for each in (plan, graph)
    )
    assert planned == found
    assert set(errbacks_in(json.loads(json.dumps(canvas, default=list)))) & ERRBACKS <= {
        node.task for node in plan.nodes.values()
    }
    for target in graph.nodes.values():
        before = [edge for edge in graph.task_edges() if edge.target == target.key and target.sent is not None]
        ends = {kind: [graph.nodes[edge.source] for edge in before if edge.kind == kind] for kind in LINKS}
        for source in ends["callback"]:
            assert source.state == "succeeded" or source.note == RETURNED, "a callback of what did not succeed"
        assert not ends["errback"] or {"succeeded"} != {each.state for each in ends["errback"]}, "what did not fail"
    hanging = {edge.target for edge in graph.task_edges() if edge.kind in ("callback", "errback")}
    for ids in wire.groups.values():  # Celery sends several callbacks as a group too
        keys = [{node.key for node in graph.by_id(id)} for id in ids]
        assert (
            len(ids) == 1
            or any(each & hanging for each in keys)
            or any(all(each & set(graph.leaves(frame)) for each in keys) for frame in graph.frames)
        ), "messages of one group are in no common frame"


def check_ids(before: Graph, after: Graph) -> None:
    """(c) Nodes of the plan that ran kept their ids, places and order."""
    assert [key for key in after.nodes if after.nodes[key].planned] == list(before.nodes)
    for key, node in before.nodes.items():
        if node.id:
            assert after.nodes[key].id == node.id
    for key, node in after.nodes.items():
        assert node.planned == (key in before.nodes)


def check_values(graph: Graph) -> None:
    """(d) The edges that pass a value are just those that the values themselves tell of."""
    into: dict[str, set[str]] = {}
    for edge in graph.task_edges():
        source, target = graph.nodes[edge.source], graph.nodes[edge.target]
        if edge.passes_value and source.id and target.id and target.sent is not None:
            into.setdefault(target.key, set()).update(_given(graph, source))
        if edge.kind in ("result", "order") and target.started and source.finished:
            assert target.started >= source.finished - 1e-3, "an order edge starts before its source has ended"
    for node in graph.nodes.values():
        if node.sent is None or not node.task.startswith("tests.workflows."):
            continue
        told = set(workflows.ids_in(node.args))
        if told or isinstance(node.value, dict):
            assert into.get(node.key, set()) >= told, graph.number(node.key)
            tells = {each for each in into.get(node.key, set()) if _tells(graph, each)}
            assert tells == told, graph.number(node.key)


def _given(graph: Graph, source: Node) -> Iterator[str]:
    """The id of a source, and of those whose values it hands on as they are: Celery's own task that ends a group."""
    yield str(source.id)
    if source.task == "celery.accumulate":
        yield from (str(graph.nodes[edge.source].id) for edge in graph.task_edges() if edge.target == source.key)


def _tells(graph: Graph, id: str) -> bool:
    """Whether a task's value holds its id."""
    return any(isinstance(node.value, dict) and node.value.get("made by") == id for node in graph.by_id(id))


def check_order(recording: Recording, graph: Graph) -> None:
    """(f) The facts in any order give the same graph."""
    facts = list(recording.facts)
    random.Random(7).shuffle(facts)
    assert fold(recording.plan, facts) == graph


def check_saved(recording: Recording, graph: Graph) -> None:
    """(g) Saved and loaded, it is the same graph."""
    again = Recording.from_json(recording.to_json()).graph
    assert json.loads(json.dumps(again.to_dict())) == json.loads(json.dumps(graph.to_dict()))


def check_drawn(run: Run) -> None:
    """It can be drawn, plan and record, and nothing of it is lost in the text."""
    for graph in (run.plan, run.graph):
        drawing = labkit.draw(graph)
        assert drawing.svg.startswith("<svg")
        assert drawing.text


def check_all(lab: labkit.Lab, wire: Wire, canvas: Any) -> Run:
    """Run a canvas and hold every invariant to it."""
    wire.clear()
    before = json.dumps(canvas, default=list)
    run = finished(lab, canvas)
    assert json.dumps(canvas, default=list) == before, "the canvas was changed"
    graph = run.graph
    check_messages(graph, wire.sent)
    check_ends(graph)
    check_states(graph, wire)
    check_shape(run.plan, graph, canvas, wire)
    check_ids(run.plan, graph)
    check_values(graph)
    check_order(run.recording, graph)
    check_saved(run.recording, graph)
    check_drawn(run)
    return run


@pytest.mark.parametrize("name", CANVASES)
def test_the_graph_tells_the_truth(lab: labkit.Lab, wire: Wire, name: str) -> None:
    """All invariants, for each canvas of the table."""
    check_all(lab, wire, CANVASES[name]())


def test_there_are_enough() -> None:
    """The table is as long as it is said to be."""
    assert len(CANVASES) >= 120
    assert len(FIELD) >= 30


@pytest.mark.parametrize("name", CANVASES)
def test_planning_changes_nothing(name: str) -> None:
    """A plan is a preview: the canvas is as it was, planned twice it is the same but for the ids."""
    canvas = CANVASES[name]()
    before = json.dumps(canvas, default=list)
    first, second = plan(canvas), plan(canvas)
    assert json.dumps(canvas, default=list) == before
    assert [(n.key, n.task, n.args, n.role, n.partial) for n in first.nodes.values()] == [
        (n.key, n.task, n.args, n.role, n.partial) for n in second.nodes.values()
    ]
    assert first.edges == second.edges
