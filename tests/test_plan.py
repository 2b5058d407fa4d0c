"""Plans: places, roles, options, ids and edges of each construct; what a plan leaves alone."""

from __future__ import annotations

import json
from typing import Any

import pytest
from celery import chain, chord, group, signals
from celery.canvas import Signature, _chain

import labkit
from labkit.graph import Graph, Outline
from labkit.plan import plan, prepare
from tests.field import CANVASES
from tests.workflows import as_json, boom, double, eb1, eb3, given, linked, plus, t, u


def keys(graph: Graph) -> str:
    return " ".join(graph.nodes)


def roles(graph: Graph) -> str:
    return " ".join(node.role for node in graph.nodes.values())


def edges(graph: Graph) -> set[str]:
    """Edges as text: ``1>2`` passes a value, ``1-2`` passes none; with the kind if it is no step."""

    def name(key: str) -> str:
        return graph.number(key)[1:] if key in graph.nodes else key

    return {
        f"{name(edge.source)}{'>' if edge.passes_value else '-'}{name(edge.target)}"
        + ("" if edge.kind in ("result", "order") else f" {edge.kind}")
        for edge in graph.edges
    }


def options(graph: Graph) -> list[dict[str, Any]]:
    return [node.options for node in graph.nodes.values()]


def shape(outline: Outline | None) -> Any:
    """An outline as nested lists."""
    assert outline is not None
    return outline.kind if not outline.children else [outline.kind, *map(shape, outline.children)]


# --- places and roles ---------------------------------------------------------------------------------------

PLACES: dict[str, tuple[Any, str, str]] = {
    "a task": (t.s(), "0", "task"),
    "a chain": (t.s() | u.s(), "0.0 0.1", "task task"),
    "a group": (group(t.s(), u.s()), "0.0 0.1", "task task"),
    "a chord": (chord([t.s(), u.s()], t.s()), "0.h.0 0.h.1 0.b", "header header body"),
    "a chord in a chain": (
        t.s() | group(t.s(), u.s()) | u.s() | t.s(),
        "0.0 0.1.h.0 0.1.h.1 0.1.b.0 0.1.b.1",
        "task header header body task",
    ),
    "a chain in a header": (
        chord([t.s() | t.s(), t.s()], u.s()),
        "0.h.0.0 0.h.0.1 0.h.1 0.b",
        "task header header body",
    ),
    "a chord in a header": (
        chord([chord([t.s()], u.s()), t.s()], u.s()),
        "0.h.0.h.0 0.h.0.b 0.h.1 0.b",
        "header body header body",
    ),
    "a body that is a group": (chord([t.s()], group(t.s(), u.s())), "0.h.0 0.b.0 0.b.1", "header body body"),
    "a body that is a chain": (chord([t.s()], t.s() | u.s()), "0.h.0 0.b.0 0.b.1", "header body task"),
    "a callback": (linked(t.s(), u.s(), t.s()), "0 0.l.0 0.l.1", "task callback callback"),
    "a callback of a callback": (linked(t.s(), linked(u.s(), t.s())), "0 0.l.0 0.l.0.l.0", "task callback callback"),
    "errbacks come last": (
        chain(t.s().on_error(eb1.s()), linked(t.s(), u.s())),
        "0.0 0.1 0.1.l.0 0.0.e.0",
        "task task callback errback",
    ),
    "a map": (double.map([1, 2]), "0 0.m.0 0.m.1", "task map map"),
    "a map in a chain": (t.s() | double.map([1]), "0.0 0.1 0.1.m.0", "task task map"),
    "chunks in a group": (
        group(plus.chunks([(1, 1), (2, 2), (3, 3)], 2), t.s()),
        "0.0 0.0.c.0 0.0.c.0.m.0 0.0.c.0.m.1 0.0.c.1 0.0.c.1.m.0 0.1",
        "task task map map task map task",
    ),
    "an empty header": (chord([], t.s()), "0.b", "body"),
    "an empty group": (group(), "", ""),
}


@pytest.mark.parametrize("name", PLACES)
def test_places_and_roles(name: str) -> None:
    canvas, places, parts = PLACES[name]
    graph = plan(canvas)
    assert keys(graph) == places
    assert roles(graph) == parts
    assert all(node.planned and node.state == "planned" for node in graph.nodes.values())


# --- edges --------------------------------------------------------------------------------------------------

EDGES: dict[str, tuple[Any, set[str]]] = {
    "immutables pass none": (chain(t.s(), t.si(), t.s()), {"1-2", "2>3"}),
    "fan-in from all headers": (chord([t.s(), t.s(), t.s()], u.s()), {"1>4", "2>4", "3>4"}),
    "an immutable body": (chord([t.s(), t.s()], u.si()), {"1-3", "2-3"}),
    "headers to a group stay one edge a member": (
        chord([t.s(), t.s(), t.s()], group(u.s(), u.si())),
        {"1>0.h", "2>0.h", "3>0.h", "0.h>4", "0.h-5"},
    ),
    "one header to a group": (chord([t.s()], group(u.s(), u.s())), {"1>2", "1>3"}),
    "an immutable callback passes none": (linked(t.s(), u.si()), {"1-2 callback"}),
    "a callback on a chain hangs on its last": (linked(t.s() | t.s(), u.s()), {"1>2", "2>3 callback"}),
    "a callback on a chain that ends in a group hangs on each": (
        linked(t.s() | group(t.s(), t.s()), u.s()),
        {"1>2", "1>4", "2>3 callback", "4>5 callback"},
    ),
    "a callback on a group hangs on its first, and gets nothing": (
        linked(group(t.s(), t.s()), u.s()),
        {"1-2 callback"},
    ),
    "a callback on a chord hangs on its body": (linked(chord([t.s()], t.s()), u.s()), {"1>2", "2>3 callback"}),
    "a callback on a chord as an option": (given(chord([t.s()], t.s()), link=u.s()), {"1>2", "2>3 callback"}),
    "a callback on a chain that ends in a chord whose body is a group": (
        linked(t.s() | chord([t.s()], group(t.s(), t.s())), u.s()),
        {"1>2", "2>3", "2>5", "3-4 callback"},
    ),
    "an errback on a chain hangs on every step": (
        chain(t.s(), t.s()).on_error(eb1.s()),
        {"1>2", "1-3 errback", "2-3 errback"},
    ),
    "an errback on a chain with a chord: not on headers": (
        chain(t.s(), group(t.s(), t.s()), u.s(), t.s()).on_error(eb1.s()),
        {"1>2", "1>3", "2>4", "3>4", "4>5", "1-6 errback", "4-6 errback", "5-6 errback"},
    ),
    "an errback on a chord hangs on its body": (
        given(chord([t.s(), t.s()], u.s()), link_error=eb1.s()),
        {"1>3", "2>3", "3-4 errback"},
    ),
    "an errback on each of a group is a node each": (
        group(t.s().on_error(eb1.s()), t.s().on_error(eb1.s())),
        {"1-3 errback", "2-4 errback"},
    ),
    "the same errback twice is called twice": (
        given(t.s(), link_error=[eb1.s(), eb1.s()]),
        {"1-2 errback", "1-3 errback"},
    ),
    "both kinds": (t.s().on_error(eb1.s()).on_error(eb3.s()), {"1-2 errback", "1-3 errback"}),
    "an empty header passes nothing on": (chain(t.s(), chord([], u.s())), {"1-2"}),
    "a chain of nothing but a group loses the value": (
        linked(t.s(), _chain([group(t.s(), u.s())])),
        {"1-2 callback", "1-3 callback"},
    ),
    "chunks send their starmaps": (group(plus.chunks([(1, 1), (2, 2)], 1)), {"1-2 spawned", "1-4 spawned"}),
}


@pytest.mark.parametrize("name", EDGES)
def test_edges(name: str) -> None:
    canvas, expected = EDGES[name]
    assert edges(plan(canvas)) == expected


def test_a_partial_waits_for_a_value() -> None:
    graph = plan(chain(t.s(1), t.s(2), t.si(3), t.s()))
    assert [node.partial for node in graph.nodes.values()] == [False, True, False, True]
    assert [node.args for node in graph.nodes.values()] == [(1,), (2,), (3,), ()]


def test_a_thousand_headers_have_a_thousand_edges() -> None:
    graph = plan(chord([t.s(n) for n in range(1000)], group(u.s() for _ in range(100))))
    assert len(graph.edges) == 1100


# --- frames and outlines ------------------------------------------------------------------------------------


def test_frames_nest() -> None:
    graph = plan(t.s() | group(t.s() | group(t.s(), u.s()), double.map([1])))
    assert {key: (frame.kind, frame.members, frame.parent) for key, frame in graph.frames.items()} == {
        "0.1": ("group", ("0.1.0.0", "0.1.0.1", "0.1.1.m"), None),
        "0.1.0.1": ("group", ("0.1.0.1.0", "0.1.0.1.1"), "0.1"),
        "0.1.1.m": ("map", ("0.1.1", "0.1.1.m.0"), "0.1"),
    }


def test_callbacks_are_in_no_frame() -> None:
    graph = plan(chord([linked(t.s(), u.s()).on_error(eb1.s())], u.s()))
    assert {key: frame.members for key, frame in graph.frames.items()} == {"0.h": ("0.h.0",)}


def test_an_empty_header_has_no_frame() -> None:
    assert plan(chord([], t.s())).frames == {}


OUTLINES: dict[str, tuple[Any, Any]] = {
    "a task": (t.s(), "task"),
    "a chain": (t.s() | u.s(), ["chain", "task", "task"]),
    "a chain of one": (chain(t.s()), ["chain", "task"]),
    "a chord": (chord([t.s(), t.s() | u.s()], t.s()), ["chord", ["header", "task", ["chain", "task", "task"]], "task"]),
    "a map": (double.map([1, 2]), ["map", "task", "task", "task"]),
    "links": (linked(t.s(), u.s()).on_error(eb1.s()), ["task", "callback", "errback"]),
    "a chain as callback": (linked(t.s(), u.s() | t.s()), ["task", ["callback", "task", "task"]]),
    "an errback of a chain": (chain(t.s(), u.s()).on_error(eb1.s()), ["chain", "task", "task", "errback"]),
    "a group": (group(t.s(), chord([t.s()], u.s())), ["group", "task", ["chord", ["header", "task"], "task"]]),
}


@pytest.mark.parametrize("name", OUTLINES)
def test_outlines(name: str) -> None:
    canvas, expected = OUTLINES[name]
    assert shape(plan(canvas).outline) == expected


@pytest.mark.parametrize("name", CANVASES)
def test_every_node_is_once_in_the_outline_and_in_at_most_one_frame(name: str) -> None:
    graph = plan(CANVASES[name]())
    held: list[str] = []

    def hold(outline: Outline) -> None:
        if outline.key in graph.nodes:
            held.append(outline.key)
        for child in outline.children:
            hold(child)

    assert graph.outline is not None
    hold(graph.outline)
    assert sorted(held) == sorted(graph.nodes)
    members = [key for frame in graph.frames.values() for key in frame.members]
    assert len(members) == len(set(members))
    assert set(members) <= {*graph.nodes, *graph.frames}
    for frame in graph.frames.values():
        assert all(graph.frames[key].parent == frame.key for key in frame.members if key in graph.frames)


# --- options ------------------------------------------------------------------------------------------------

OPTIONS: dict[str, tuple[Any, list[dict[str, Any]]]] = {
    "a task": (given(t.s(), countdown=3, queue="slow", priority=1), [{"countdown": 3, "queue": "slow", "priority": 1}]),
    "a chain: its first step": (
        given(t.s() | u.s(), countdown=3, queue="slow"),
        [{"countdown": 3, "queue": "slow"}, {}],
    ),
    "a step": (t.s() | given(u.s(), countdown=3), [{}, {"countdown": 3}]),
    "a group: every member": (given(group(t.s(), u.s()), queue="slow"), [{"queue": "slow"}, {"queue": "slow"}]),
    "a chord: header and body, but only the header waits": (
        given(chord([t.s(), t.s()], u.s()), countdown=3, queue="slow"),
        [{"countdown": 3, "queue": "slow"}, {"countdown": 3, "queue": "slow"}, {"queue": "slow"}],
    ),
    "an option of the whole goes before that of a part": (
        given(group(given(t.s(), queue="a")), queue="b"),
        [{"queue": "b"}],
    ),
    "none that nobody wants to see": (given(t.s(), compression="gzip", headers={"x": 1}, shadow="y"), [{}]),
    "how it is encoded": (given(group(t.s(), t.s()), serializer="yaml"), [{"serializer": "yaml"}] * 2),
    "expiry and limits": (
        given(t.s(), expires=60, time_limit=5, soft_time_limit=4),
        [{"expires": 60, "time_limit": 5, "soft_time_limit": 4}],
    ),
}


@pytest.mark.parametrize("name", OPTIONS)
def test_options(name: str) -> None:
    canvas, expected = OPTIONS[name]
    assert options(plan(canvas)) == expected


# --- ids ----------------------------------------------------------------------------------------------------


def test_tasks_have_ids_callbacks_errbacks_and_items_have_none() -> None:
    graph = plan(chain(linked(t.s(), u.s()), group(t.s(), double.map([1])), t.s()).on_error(eb1.s()))
    without = {node.role for node in graph.nodes.values() if not node.id}
    assert without == {"callback", "errback", "map"}
    ids = [node.id for node in graph.nodes.values() if node.id]
    assert len(ids) == len(set(ids)) == 4


def test_an_id_given_beforehand_is_kept() -> None:
    mine = {name: f"00000000-0000-4000-8000-{n:012d}" for n, name in enumerate("abcde")}
    first, header, body, callback = (given(t.s(), task_id=mine[name]) for name in "abcd")
    graph = plan(chain(linked(first, callback), group(header, t.s()), body))
    found = {node.key: node.id for node in graph.nodes.values()}
    assert (found["0.0"], found["0.0.l.0"], found["0.1.h.0"], found["0.1.b"]) == tuple(mine[name] for name in "adbc")
    assert found["0.1.h.1"] not in mine.values()


@pytest.mark.parametrize(("canvas", "key"), [(t.s() | u.s(), "0.1"), (chord([t.s()], u.s()), "0.b")])
def test_the_id_of_a_whole_is_that_of_its_end(canvas: Signature, key: str) -> None:
    assert plan(given(canvas, task_id="mine")).nodes[key].id == "mine"


def test_the_plan_is_what_would_be_sent() -> None:
    signature, graph = prepare(chain(t.s(), group(t.s(), u.s() | t.s())))
    frozen = signature.freeze()
    assert [each.id for each in frozen.results] == [graph.nodes["0.1.0"].id, graph.nodes["0.1.1.1"].id]
    assert frozen.parent.id == graph.nodes["0.0"].id


def test_two_plans_share_no_id() -> None:
    canvas = chain(t.s(), group(t.s(), u.s()), t.s())
    one, two = ({node.id for node in plan(canvas).nodes.values()} for _ in range(2))
    assert not one & two


# --- what a plan leaves alone -------------------------------------------------------------------------------


@pytest.mark.parametrize("name", CANVASES)
def test_a_plan_sends_nothing_and_changes_nothing(name: str) -> None:
    sent: list[Any] = []

    def hear(**message: Any) -> None:
        sent.append(message)

    canvas = CANVASES[name]()
    before = json.dumps(canvas, default=list)
    signals.before_task_publish.connect(hear)
    try:
        plan(canvas)
    finally:
        signals.before_task_publish.disconnect(hear)
    assert sent == []
    assert json.dumps(canvas, default=list) == before


def test_a_generator_can_still_be_sent_after_it_was_planned() -> None:
    canvas = group(t.s(n) for n in range(4))
    assert len(plan(canvas).nodes) == 4
    assert len(plan(canvas).nodes) == 4
    assert [each.args for each in canvas.tasks] == [(0,), (1,), (2,), (3,)]


def test_arguments_are_those_of_the_canvas() -> None:
    value = {"big": list(range(5))}
    node = plan(t.s(value, x=u.s(1))).node("#1")
    assert node.args[0] == value
    assert node.kwargs["x"].task == u.name


def test_what_is_done_to_an_argument_later_changes_no_plan() -> None:
    data: list[Any] = [1, {"a": [2]}]
    graphs = [
        plan(canvas)
        for canvas in (
            chain(t.s(data), u.s(x=data)),
            t.map([data]),
            plus.chunks([(data, data)], 1),
            linked(t.s(), u.s(data)),
        )
    ]
    data.append("later")
    data[1]["a"].append("later")
    assert "later" not in str([list(graph.nodes.values()) for graph in graphs])


@pytest.mark.parametrize("name", CANVASES)
def test_a_canvas_from_json_is_planned_alike(name: str) -> None:
    canvas = CANVASES[name]()
    one, two = plan(canvas), plan(as_json(canvas))
    # Sent by itself, chunks is a group; as JSON nobody can tell it from chunks in a canvas.
    if "chunks" not in name:
        assert roles(one) == roles(two)
        assert {edge.kind for edge in one.edges} == {edge.kind for edge in two.edges}


@pytest.mark.parametrize(
    "thing",
    [t, 4, None, "add", [t.s()], {"no": "task"}, chord([t.s()], None), group([3])],
    ids=["a task", "a value", "None", "a name", "a list", "a dict", "no body", "a group of a number"],
)
def test_what_is_no_canvas_is_refused(thing: Any) -> None:
    with pytest.raises(labkit.LabError):
        plan(thing)


def test_a_header_without_any_task_never_lets_the_body_run() -> None:
    graph = plan(chord([chord([], group())], u.s()) | t.s())
    assert graph.node("#1").state == "never ran"
    assert graph.node("#1").reason == "the header it waits for has no task"


def test_chunks_by_itself_is_the_group_that_is_sent() -> None:
    graph = plan(plus.chunks([(1, 1), (2, 2), (3, 3)], 2))
    assert [node.task for node in graph.nodes.values() if node.role == "task"] == ["celery.starmap"] * 2
    assert graph.frames["0"].kind == "chunks"
    assert graph.node("#1").kwargs == {"task": plus.name, "items": 2}


def test_a_task_that_fails_is_planned_like_any() -> None:
    assert plan(boom.s()).node("#1").state == "planned"
