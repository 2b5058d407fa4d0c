"""Twelve workflows whose edges, states and reasons are written out by hand: an oracle that is not the planner.

Nodes are named by number: those of the canvas in its order, then those decided at run time, by their parents.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from celery import chain, chord, group

import labkit
from labkit.graph import EdgeKind, Graph
from labkit.plan import plan
from tests import workflows as w
from tests.test_conformance import finished, pytestmark
from tests.workflows import boom, double, eb1, eb3, flaky, launch_canvas, linked, plus, replaced, t, u

__all__ = ["pytestmark"]

Arrow = tuple[int, int, EdgeKind, bool]


def value(*pairs: tuple[int, int], kind: EdgeKind = "result") -> set[Arrow]:
    """Edges that pass a value."""
    return {(source, target, kind, True) for source, target in pairs}


def bare(*pairs: tuple[int, int], kind: EdgeKind = "order") -> set[Arrow]:
    """Edges that pass none."""
    return {(source, target, kind, False) for source, target in pairs}


@dataclass
class Workflow:
    """A canvas, its tasks in order, its edges; what is added to both at run time; states other than succeeded."""

    build: Callable[[], Any]
    tasks: str
    edges: set[Arrow]
    added: str = ""
    moved: set[Arrow] = field(default_factory=set)
    new: set[Arrow] = field(default_factory=set)
    states: dict[int, str] = field(default_factory=dict)
    reasons: dict[int, str] = field(default_factory=dict)
    frames: tuple[tuple[str, str], ...] = ()


THOUSAND = 1000

WORKFLOWS = {
    "a chain": Workflow(lambda: chain(t.s(), t.s(), u.s()), "t t u", value((1, 2), (2, 3))),
    "b group": Workflow(lambda: group(t.s(), u.s(), t.s()), "t u t", set(), frames=(("group", "1 2 3"),)),
    "c chord": Workflow(
        lambda: chord([t.s(), t.s(), u.s()], t.s()),
        "t t u t",
        value((1, 4), (2, 4), (3, 4)),
        frames=(("header", "1 2 3"),),
    ),
    "d task, group, task": Workflow(
        lambda: t.s() | group(t.s(), u.s()) | u.s(),
        "t t u u",
        value((1, 2), (1, 3), (2, 4), (3, 4)),
        frames=(("header", "2 3"),),
    ),
    "e a header fails": Workflow(
        lambda: t.s() | chord([t.s(), boom.s(), t.s()], u.s().on_error(eb1.s())) | t.s(),
        "t t boom t u t eb1",
        value((1, 2), (1, 3), (1, 4), (2, 5), (3, 5), (4, 5), (5, 6)) | bare((5, 7), kind="errback"),
        states={3: "failed", 5: "never ran", 6: "never ran"},
        reasons={5: "header #3 failed", 6: "#5 did not run"},
        frames=(("header", "2 3 4"),),
    ),
    "f link and both errbacks": Workflow(
        lambda: group(
            linked(t.s(), u.s()).on_error(eb1.s()), linked(boom.s(), u.s()).on_error(eb1.s()).on_error(eb3.s())
        ),
        "t u boom u eb1 eb1 eb3",
        value((1, 2), (3, 4), kind="callback") | bare((1, 5), (3, 6), (3, 7), kind="errback"),
        states={3: "failed", 4: "never ran", 5: "never ran"},
        reasons={4: "#3 failed; a callback runs on success only", 5: "#1 did not fail"},
        frames=(("group", "1 3"),),
    ),
    "g a task launches a chord": Workflow(
        lambda: t.s() | launch_canvas.s(which="chord") | u.s(),
        "t launch_canvas u",
        value((1, 2), (2, 3)),
        added="u u t",
        new=bare((2, 4), (2, 5), kind="spawned") | value((4, 6), (5, 6)),
        frames=(("header", "4 5"),),
    ),
    "g a task launches a group": Workflow(
        lambda: launch_canvas.s(which="group") | u.s(),
        "launch_canvas u",
        value((1, 2)),
        added="u u",
        new=bare((1, 3), (1, 4), kind="spawned"),
        frames=(("group", "3 4"),),
    ),
    "h replaced by a chord": Workflow(
        lambda: t.s() | replaced.s(which="chord") | u.s(),
        "t replaced u",
        value((1, 2), (2, 3)),
        added="u u t",
        moved=value((2, 3)),
        new=bare((2, 4), (2, 5), kind="replaced") | value((4, 6), (5, 6), (6, 3)),
        frames=(("header", "4 5"),),
    ),
    "i map, starmap, chunks": Workflow(
        lambda: chain(
            t.s(), group(double.map([1, 2]), plus.starmap([(1, 2)]), plus.chunks([(1, 1), (2, 2), (3, 3)], 2))
        ),
        "t map double double starmap plus chunks starmap plus plus starmap plus",
        bare((1, 2), (1, 5), (1, 7)) | bare((7, 8), (7, 11), kind="spawned"),
        frames=(
            ("group", "2 3 4 5 6 7 8 9 10 11 12"),
            ("map", "2 3 4"),
            ("starmap", "5 6"),
            ("chunks", "7 8 9 10 11 12"),
            ("starmap", "8 9 10"),
            ("starmap", "11 12"),
        ),
    ),
    "j two retries, then success": Workflow(
        lambda: t.s() | flaky.s(times=2) | u.s(), "t flaky u", value((1, 2), (2, 3))
    ),
    "k chord of 1,000": Workflow(
        lambda: chord([t.s(n) for n in range(THOUSAND)], u.s()),
        " ".join(["t"] * THOUSAND + ["u"]),
        value(*((n, THOUSAND + 1) for n in range(1, THOUSAND + 1))),
        frames=(("header", " ".join(str(n) for n in range(1, THOUSAND + 1))),),
    ),
    "l chain(group(chain, chain), group, task)": Workflow(
        lambda: chain(group(t.s() | t.s(), t.s() | u.s()), group(t.s(), u.s()), t.s()),
        "t t t u t u t",
        value((1, 2), (3, 4), (2, 5), (4, 5), (2, 6), (4, 6), (5, 7), (6, 7)),
        frames=(("header", "1 2 3 4"), ("header", "5 6")),
    ),
}


def place(graph: Graph, key: str) -> int:
    return int(graph.number(key)[1:])


def arrows(graph: Graph) -> list[Arrow]:
    return [(place(graph, e.source), place(graph, e.target), e.kind, e.passes_value) for e in graph.task_edges()]


def tasks(graph: Graph) -> str:
    return " ".join(node.task.rpartition(".")[2] for node in graph.nodes.values())


def frames(graph: Graph) -> tuple[tuple[str, str], ...]:
    return tuple(
        (frame.kind, " ".join(str(place(graph, key)) for key in graph.leaves(frame.key)))
        for frame in graph.frames.values()
    )


@pytest.fixture(scope="module")
def lab() -> Iterator[labkit.Lab]:
    with labkit.start(w.app) as lab:
        yield lab


@pytest.mark.parametrize("name", WORKFLOWS)
def test_the_plan_is_as_written(name: str) -> None:
    flow = WORKFLOWS[name]
    graph = plan(flow.build())
    assert tasks(graph) == flow.tasks
    drawn = arrows(graph)
    assert len(drawn) == len(set(drawn))
    assert set(drawn) == flow.edges
    assert {node.state for node in graph.nodes.values()} == {"planned"}
    if not flow.added:
        assert frames(graph) == flow.frames


@pytest.mark.parametrize("name", WORKFLOWS)
def test_the_record_is_as_written(lab: labkit.Lab, name: str) -> None:
    flow = WORKFLOWS[name]
    run = finished(lab, flow.build())
    graph = run.graph
    assert tasks(graph) == f"{flow.tasks} {flow.added}".strip()
    drawn = arrows(graph)
    assert len(drawn) == len(set(drawn))
    assert set(drawn) == (flow.edges - flow.moved) | flow.new
    nodes = list(graph.nodes.values())
    assert {n: node.state for n, node in enumerate(nodes, 1) if node.state != "succeeded"} == flow.states
    assert {n: node.reason for n, node in enumerate(nodes, 1) if node.reason} == flow.reasons
    assert [node.planned for node in nodes] == [True] * len(run.plan.nodes) + [False] * len(flow.added.split())
    assert sorted(frames(graph)) == sorted(flow.frames)


def test_what_follows_a_replacement_gets_its_value(lab: labkit.Lab) -> None:
    graph = finished(lab, WORKFLOWS["h replaced by a chord"].build()).graph
    first, body, last = graph.node("#2"), graph.node("#6"), graph.node("#3")
    assert first.id == body.id
    assert first.note == "replaced itself"
    assert first.value is None
    assert last.args == (body.value,)
    assert body.role == "body"
    assert [graph.node(name).role for name in ("#4", "#5")] == ["header", "header"]


def test_retries_are_attempts_of_one_node(lab: labkit.Lab) -> None:
    node = finished(lab, WORKFLOWS["j two retries, then success"].build()).graph.node("#2")
    assert [attempt.why for attempt in node.attempts] == ["KeyError: 'temporary'"] * 2 + [None]
    assert [attempt.delay for attempt in node.attempts] == [0.0, 0.0, None]
    assert all(attempt.seconds is not None and attempt.seconds >= 0 for attempt in node.attempts)


def test_every_item_of_a_map_has_its_value(lab: labkit.Lab) -> None:
    graph = finished(lab, WORKFLOWS["i map, starmap, chunks"].build()).graph
    values = {n: graph.node(f"#{n}").value for n in (3, 4, 6, 9, 10, 12)}
    assert values == {3: 2, 4: 4, 6: 3, 9: 2, 10: 4, 12: 6}
    assert all(graph.node(f"#{n}").id is None for n in values)


def test_the_errbacks_were_called_as_their_kind_is(lab: labkit.Lab) -> None:
    graph = finished(lab, WORKFLOWS["f link and both errbacks"].build()).graph
    by_message, inline = graph.node("#6"), graph.node("#7")
    assert by_message.id
    assert by_message.args == (graph.node("#3").id,)
    assert inline.id is None
    assert inline.sent is None
    assert inline.note == "called with ValueError"
