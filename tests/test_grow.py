"""Messages put in their places: ids for planned nodes that had none, and nodes for what nobody planned."""

from __future__ import annotations

import json
from typing import Any

import pytest
from celery import chain, chord, group
from celery.canvas import Signature

from labkit.embed import counted, first_id, ids_in
from labkit.graph import Graph
from labkit.plan import plan
from tests.facts import Story
from tests.workflows import boom, eb1, eb3, launch, linked, replaced, t, u


def embedded(signature: Signature, **ids: str) -> Any:
    """A signature as a message carries it, its tasks' ids by their place among its tasks."""
    waiting = list(ids.values())

    def name(part: Any) -> None:
        if not isinstance(part, dict):
            return
        inner = [*part["kwargs"].get("tasks", ()), *part["kwargs"].get("header", ())]
        if part["task"].startswith("celery.") and inner:
            for each in (*inner, part["kwargs"].get("body")):
                name(each)
        elif waiting:
            part["options"]["task_id"] = waiting.pop(0)

    data = json.loads(json.dumps(signature))
    name(data)
    return data


def numbered(graph: Graph) -> list[tuple[str, str | None, bool]]:
    return [(node.task.rpartition(".")[2], node.id, node.planned) for node in graph.nodes.values()]


def arrows(graph: Graph) -> set[tuple[str, str, str]]:
    return {(graph.number(e.source), graph.number(e.target), e.kind) for e in graph.task_edges()}


# --- planned, without an id ---------------------------------------------------------------------------------


def test_a_callback_gets_its_id() -> None:
    story = Story(plan(linked(t.s(), u.s()))).sent("#1", t.name).sent("x", u.name, parent="#1", inside=False)
    assert story.graph().node("#2").id == "x"
    assert len(story.graph().nodes) == 2


def test_what_a_body_sends_is_not_its_callback_though_it_looks_alike() -> None:
    story = Story(plan(linked(launch.s(), u.s()))).sent("#1", launch.name)
    story.sent("mine", u.name, parent="#1", inside=True).sent("link", u.name, parent="#1", inside=False)
    graph = story.graph()
    assert numbered(graph)[1:] == [("u", "link", True), ("u", "mine", False)]
    assert arrows(graph) == {("#1", "#2", "callback"), ("#1", "#3", "spawned")}


def test_where_nobody_knows_who_sent_it_the_plan_goes_first() -> None:
    story = Story(plan(linked(launch.s(), u.s()))).sent("#1", launch.name).sent("x", u.name, parent="#1")
    del story.facts[-1]["inside"]
    assert story.graph().node("#2").id == "x"


@pytest.mark.parametrize("first", [0, 1])
def test_of_two_callbacks_alike_the_one_that_fits_is_meant(first: int) -> None:
    story = Story(plan(linked(t.s(), u.s(1), u.s(2)))).sent("#1", t.name)
    messages = [("one", [7, 1]), ("two", [7, 2])]
    for name, args in (messages[first], messages[1 - first]):
        story.sent(name, u.name, parent="#1", inside=False, args=args)
    graph = story.graph()
    assert [node.id for node in graph.nodes.values()][1:] == ["one", "two"]


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (linked(u.s(), t.s()), {"args": [7], "link": [t.s()]}),
        (u.si(), {"args": []}),
        (u.s(x=1), {"args": [7], "kwargs": {"x": 1}}),
        (u.s().on_error(eb1.s()), {"args": [7], "link_error": [eb1.s()]}),
        (chord([u.s()], t.s()), {"args": [7], "chord": {"task": t.name, "args": [], "kwargs": {}, "options": {}}}),
    ],
    ids=["callbacks", "immutable", "keywords", "errbacks", "in a chord"],
)
def test_of_two_callbacks_the_one_most_like_the_message_is_meant(other: Any, message: dict[str, Any]) -> None:
    story = Story(plan(linked(t.s(), u.s(), other))).sent("#1", t.name)
    story.sent("other", u.name, parent="#1", inside=False, **message)
    story.sent("plain", u.name, parent="#1", inside=False, args=[7])
    graph = story.graph()
    found = {node.id: key for key, node in graph.nodes.items()}
    assert found["plain"] == "0.l.0"
    assert found["other"].startswith("0.l.1")


def test_a_chain_as_callback_gets_all_ids_with_its_first_message() -> None:
    story = Story(plan(linked(t.s(), u.s() | t.s() | u.s()))).sent("#1", t.name)
    rest = [embedded(t.s(), t="second"), embedded(u.s(), u="third")]
    story.sent("first", u.name, parent="#1", inside=False, chain=rest[::-1])
    graph = story.graph()
    assert [node.id for node in graph.nodes.values()][1:] == ["first", "second", "third"]
    assert all(node.planned for node in graph.nodes.values())


def test_a_group_in_a_chain_that_is_a_callback() -> None:
    story = Story(plan(linked(t.s(), u.s() | group(t.s(), u.s())))).sent("#1", t.name)
    rest = [embedded(group(t.s(), u.s()), t="second", u="third")]
    story.sent("first", u.name, parent="#1", inside=False, chain=rest)
    assert [node.id for node in story.graph().nodes.values()][1:] == ["first", "second", "third"]


def test_a_chord_as_callback_gets_the_id_of_its_body() -> None:
    story = Story(plan(linked(t.s(), chord([u.s(), u.s()], t.s() | u.s())))).sent("#1", t.name)
    body = embedded(t.s(), t="body")
    body["options"]["chain"] = [embedded(u.s(), u="last")]
    for name in ("one", "two"):
        story.sent(name, u.name, parent="#1", inside=False, group="g", chord=body)
    graph = story.graph()
    assert [node.id for node in graph.nodes.values()][1:] == ["one", "two", "body", "last"]
    assert arrows(graph) == {
        ("#1", "#2", "callback"),
        ("#1", "#3", "callback"),
        ("#2", "#4", "result"),
        ("#3", "#4", "result"),
        ("#4", "#5", "result"),
    }


def test_an_errback_of_a_body_that_never_ran_has_it_as_parent() -> None:
    story = Story(plan(linked(t.s(), chord([boom.s()], t.s().on_error(eb1.s()))))).sent("#1", t.name)
    story.sent("told", eb1.name, parent="body", inside=False, args=["body"])
    story.sent("header", boom.name, parent="#1", inside=False, chord=embedded(t.s(), t="body")).ran("header", "failed")
    graph = story.graph()
    assert [node.id for node in graph.nodes.values()][1:] == ["header", "body", "told"]
    assert all(node.planned for node in graph.nodes.values())


def test_one_errback_called_twice_is_two_nodes() -> None:
    story = Story(plan(chain(t.s(), u.s()).on_error(eb1.s()))).sent("#1", t.name).ran("#1", "failed")
    story.sent("one", eb1.name, parent="#1", inside=False).sent("two", eb1.name, parent="#2", inside=False)
    graph = story.graph()
    assert numbered(graph)[2:] == [("eb1", "one", True), ("eb1", "two", False)]


def test_an_inline_errback_called_for_two_tasks_is_two_nodes() -> None:
    story = Story(plan(chain(t.s(), u.s()).on_error(eb3.s()))).sent("#1", t.name)
    for name in ("#1", "#2"):
        story.add("errback", name, task=eb3.name, exception="E", error=None)
    assert [node.task for node in story.graph().nodes.values()].count(eb3.name) == 2


def test_an_inline_errback_that_nobody_planned() -> None:
    story = Story(plan(t.s())).sent("#1", t.name).add("errback", "#1", task=eb3.name, exception="E", error=None)
    graph = story.graph()
    assert (graph.node("#2").role, graph.node("#2").planned) == ("errback", False)
    assert arrows(graph) == {("#1", "#2", "errback")}


# --- decided at run time ------------------------------------------------------------------------------------


def test_tasks_that_a_task_sends() -> None:
    story = Story(plan(launch.s() | t.s())).sent("#1", launch.name)
    story.sent("a", u.name, parent="#1").sent("b", u.name, parent="#1").sent("c", t.name, parent="a")
    graph = story.graph()
    assert numbered(graph)[2:] == [("u", "a", False), ("t", "c", False), ("u", "b", False)]
    assert arrows(graph) == {
        ("#1", "#2", "result"),
        ("#1", "#3", "spawned"),
        ("#3", "#4", "spawned"),
        ("#1", "#5", "spawned"),
    }


def test_a_chain_that_a_task_sends_is_known_as_soon_as_its_first_message() -> None:
    story = Story(plan(launch.s())).sent("#1", launch.name)
    story.sent("a", u.name, parent="#1", chain=[embedded(t.s(), t="c"), embedded(linked(u.s(), t.s()), u="b")])
    graph = story.graph()
    assert numbered(graph)[1:] == [("u", "a", False), ("u", "b", False), ("t", None, False), ("t", "c", False)]
    assert arrows(graph) == {
        ("#1", "#2", "spawned"),
        ("#2", "#3", "result"),
        ("#3", "#4", "callback"),
        ("#3", "#5", "result"),
    }
    assert [node.state for node in graph.nodes.values()] == ["sent", "sent", "planned", "planned", "planned"]


def test_a_chord_that_a_task_sends() -> None:
    story = Story(plan(launch.s())).sent("#1", launch.name)
    for name in ("a", "b"):
        story.sent(name, u.name, parent="#1", group="g", chord=embedded(t.s(), t="body"))
    graph = story.graph()
    assert arrows(graph) == {
        ("#1", "#2", "spawned"),
        ("#1", "#3", "spawned"),
        ("#2", "#4", "result"),
        ("#3", "#4", "result"),
    }
    assert [(frame.kind, [graph.number(key) for key in frame.members]) for frame in graph.frames.values()] == [
        ("header", ["#2", "#3"])
    ]
    assert [node.role for node in graph.nodes.values()] == ["task", "header", "header", "body"]


def test_two_groups_that_a_task_sends_are_two_frames() -> None:
    story = Story(plan(launch.s())).sent("#1", launch.name)
    for name, where in (("a", "g"), ("b", "h"), ("c", "g")):
        story.sent(name, u.name, parent="#1", group=where)
    graph = story.graph()
    members = [[graph.nodes[key].id for key in frame.members] for frame in graph.frames.values()]
    assert members == [["a", "c"], ["b"]]


def test_a_task_added_to_a_chord_is_a_header_of_all_its_body() -> None:
    canvas = chord([t.s()], group(u.s(), u.s()))
    story = Story(plan(canvas)).sent("#1", t.name, group="g")
    story.sent(
        "x", u.name, parent="#1", group="g", chord=embedded(group(u.s(), u.s()), a=story.id("#2"), b=story.id("#3"))
    )
    assert arrows(story.graph()) == {
        ("#1", "#2", "result"),
        ("#1", "#3", "result"),
        ("#1", "#4", "spawned"),
        ("#4", "#2", "result"),
        ("#4", "#3", "result"),
    }


def test_a_task_added_to_a_chord_with_many_headers_goes_through_their_frame() -> None:
    story = Story(plan(chord([t.s(), t.s()], group(u.s(), u.s())))).sent("#1", t.name, group="g")
    story.sent(
        "x", u.name, parent="#1", group="g", chord=embedded(group(u.s(), u.s()), a=story.id("#3"), b=story.id("#4"))
    )
    graph = story.graph()
    assert {("#5", "#3", "result"), ("#5", "#4", "result")} <= arrows(graph)
    assert sum(edge.source == graph.node("#5").key for edge in graph.edges) == 1


@pytest.mark.parametrize("link", [None, u.s()], ids=["alone", "with a callback"])
def test_a_replacement_takes_over_what_comes_after(link: Any) -> None:
    story = Story(plan((linked(replaced.s(), link) if link else replaced.s()) | t.s())).sent("#1", replaced.name)
    body = embedded(linked(t.s(), link) if link else t.s(), t=story.id("#1"))
    body["options"] |= {"replaced_task_nesting": 1, "chain": [embedded(t.s(), t=story.id("#2"))]}
    story.add("started", "#1").sent("a", u.name, parent="#1", nesting=1, group="g", chord=body)
    story.add("ended", "#1", state="IGNORED")
    graph = story.graph()
    first, last = graph.by_id(story.id("#1"))
    assert (first.planned, last.planned, last.role) == (True, False, "body")
    sources = {
        (edge.source, edge.kind)
        for edge in graph.task_edges()
        if edge.target == graph.node("#2" if not link else "#3").key
    }
    assert sources == {(last.key, "result")}
    assert sum(edge.kind == "callback" for edge in graph.edges) == bool(link)


def test_a_replacement_of_a_replacement_hangs_on_it() -> None:
    story = Story(plan(replaced.s())).sent("#1", replaced.name)
    for depth in (1, 2):
        story.add("started", "#1", nesting=depth - 1)
        story.sent("#1", replaced.name, parent="#1", nesting=depth).add(
            "ended", "#1", state="IGNORED", nesting=depth - 1
        )
    assert arrows(story.graph()) == {("#1", "#2", "replaced"), ("#2", "#3", "replaced")}


def test_messages_of_nobody_stand_beside_each_other() -> None:
    story = Story().sent("a", t.name).sent("b", u.name).sent("c", u.name, parent="a")
    graph = story.graph()
    assert [node.id for node in graph.nodes.values()] == ["a", "c", "b"]
    assert graph.outline is not None
    assert graph.outline.kind == "messages"
    assert arrows(graph) == {("#1", "#2", "spawned")}


def test_a_child_may_be_heard_of_before_its_parent() -> None:
    story = Story(plan(launch.s())).sent("c", t.name, parent="b").sent("b", u.name, parent="#1").sent("#1", launch.name)
    assert arrows(story.graph()) == {("#1", "#2", "spawned"), ("#2", "#3", "spawned")}


def test_parents_in_a_circle_end() -> None:
    story = Story(plan(t.s())).sent("a", t.name, parent="b").sent("b", t.name, parent="a")
    assert len(story.graph().nodes) == 3


@pytest.mark.parametrize("canvas", [t.s() | u.s(), chord([t.s(), t.s()], u.s())])
def test_a_node_of_the_outline_for_each_node(canvas: Any) -> None:
    story = Story(plan(canvas)).sent("#1", t.name).sent("a", u.name, parent="#1").sent("b", u.name, parent="a")
    story.sent("#1", t.name, retries=1)
    graph = story.graph()
    held = []
    waiting = [graph.outline] if graph.outline else []
    while waiting:
        outline = waiting.pop()
        held.append(outline.key)
        waiting += outline.children
    assert sorted(key for key in held if key in graph.nodes) == sorted(graph.nodes)


# --- signatures in messages ---------------------------------------------------------------------------------


def test_ids_in_what_a_message_carries() -> None:
    chain_of = embedded(t.s() | group(t.s(), chord([t.s()], u.s())), a="1", b="2", c="3", d="4")
    assert sorted(ids_in(chain_of, None, "text", [embedded(t.s(), x="5")])) == ["1", "2", "3", "4", "5"]
    assert first_id(chain_of) == "1"
    assert first_id(embedded(chord([], u.s()), a="1")) is None
    assert first_id({"task": "t"}) is None
    assert ids_in() == []


def test_a_group_of_a_generator_is_looked_into_as_well() -> None:
    made = group(each for each in (t.s().set(task_id="a"), group(t.s().set(task_id="b"))))
    assert sorted(ids_in([made])) == ["a", "b"]


@pytest.mark.parametrize(
    ("task", "kwargs", "kept"),
    [
        ("celery.map", {"task": {"task": "t"}, "it": [1, 2]}, {"task": "t", "items": 2}),
        ("celery.chunks", {"task": {"task": "t"}, "it": [1, 2], "n": 1}, {"task": "t", "items": 2, "n": 1}),
        ("celery.map", {"task": "t", "items": 2}, {"task": "t", "items": 2}),
        ("celery.map", {}, {}),
        ("mine.map", {"task": {"task": "t"}, "it": [1, 2]}, {"task": {"task": "t"}, "it": [1, 2]}),
    ],
)
def test_items_are_counted(task: str, kwargs: dict[str, Any], kept: dict[str, Any]) -> None:
    assert counted(task, kwargs) == kept
