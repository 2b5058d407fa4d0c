import json
from typing import Any

import pytest
from celery import signature
from hypothesis import given
from hypothesis import strategies as st

from labkit.graph import Edge, Graph, Node
from labkit.labels import CALL, TOOLTIP, VALUE, Labels, cut, short_names, visible
from tests.graphs import failing, one, task_id


class Broken:
    def __repr__(self) -> str:
        raise ZeroDivisionError


class Anonymous:
    pass


anything = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.binary()
    | st.text(st.characters(exclude_categories=())),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner) | st.tuples(inner, inner),
    max_leaves=8,
)


def call(**fields: Any) -> str:
    graph = one(**fields)
    return Labels(graph).call(graph.nodes["0"])


def outcome(**fields: Any) -> str:
    graph = one(**fields)
    return Labels(graph).outcome(graph.nodes["0"])


def test_a_call_reads_as_python() -> None:
    assert call(args=(1, "two", None), kwargs={"three": 3.0}) == "work(1, 'two', None, three=3.0)"


def test_a_long_call_is_cut_in_the_middle() -> None:
    shown = call(args=tuple(range(100)), kwargs={"last": True})
    assert len(shown) == CALL
    assert shown.startswith("work(0, 1, 2")
    assert shown.endswith("last=True)")


def test_a_signature_that_came_as_a_dict_is_a_call() -> None:
    arrived = json.loads(json.dumps(signature("tasks.mul", (2,), {"y": 3})))
    assert call(args=([1], arrived)) == "work([1], tasks.mul(2, y=3))"
    assert call(args=({"task": "tasks.mul", "args": [2]},)) == "work({'task': 'tasks.mul', 'args': [2]})"


def test_the_ellipsis_stands_for_values_to_come() -> None:
    nodes = [Node("0", "add"), Node("1", "mul", args=(2,), partial=True), Node("2", "xsum", partial=True)]
    labels = Labels(Graph(nodes, [Edge("0", "1"), Edge("0", "2", "errback", False)]))
    assert [labels.call(node) for node in nodes] == ["add()", "mul(…, 2)", "xsum()"]


def test_a_message_of_many_calls_names_their_task() -> None:
    assert call(task="celery.starmap", kwargs={"task": "tasks.add", "items": 3}) == "starmap(add)"


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"state": "succeeded", "value": {"b": 1, "a": [2]}}, "{'b': 1, 'a': [2]}"),
        ({"state": "succeeded"}, ""),
        ({"state": "failed", "error": "ValueError: boom"}, "ValueError: boom"),
        ({"state": "never ran", "reason": "#1 failed"}, "never ran: #1 failed"),
        ({"state": "running"}, "running"),
        ({"options": {"countdown": 10, "queue": "slow"}}, "countdown 10 s queue slow"),
        ({"options": {"eta": "2030-01-01T00:00:00", "expires": 60, "priority": 3}}, "eta expires 60 s"),
    ],
)
def test_what_came_of_a_call(fields: dict[str, Any], expected: str) -> None:
    assert outcome(**fields) == expected


def test_ids_are_shown_as_numbers() -> None:
    graph = failing()
    labels = Labels(graph)
    assert labels.literal(task_id(5)) == "#5"
    assert labels.literal([task_id(5), {"id": f"for {task_id(1)}"}]) == "[#5, {'id': 'for #1'}]"
    assert labels.plain(f"Dependency {task_id(3)} raised, {task_id(99)} not") == "Dependency #3 raised, <id> not"


def test_an_id_is_not_cut_before_it_is_named() -> None:
    graph = failing()
    long = f"{'x' * 20}{task_id(3)}{'y' * 1_000_000}"
    assert task_id(3)[:13] not in Labels(graph).literal(long)


def test_objects_are_shown_without_addresses() -> None:
    assert "0x" not in call(args=(Anonymous(),))
    assert call(args=(Broken(), [Broken()])) == "work(<Broken>, [<Broken>])"
    assert call(args=(10**5000,)) == "work(<int>)"


@given(st.text(st.characters(exclude_categories=())))
def test_everything_in_a_text_can_be_seen(text: str) -> None:
    shown = visible(text)
    assert shown.isprintable()
    shown.encode()


@given(st.lists(anything, max_size=4), st.dictionaries(st.text(), anything, max_size=3), anything, st.text())
def test_no_argument_breaks_a_label(args: list[Any], kwargs: dict[str, Any], value: Any, task: str) -> None:
    graph = one(task=task, args=tuple(args), kwargs=kwargs, state="succeeded", value=value)
    node, labels = graph.nodes["0"], Labels(graph)
    for text, limit in ((labels.call(node), CALL), (labels.outcome(node), VALUE)):
        assert len(text) <= limit
        assert text.isprintable()
    assert len(labels.tooltip(node)) <= TOOLTIP


def test_a_megabyte_is_bounded() -> None:
    huge = "x" * 1_000_000
    assert len(call(task=huge, args=(huge, [huge] * 100, huge.encode()), kwargs={huge: huge})) == CALL


def test_short_names_stay_unambiguous() -> None:
    assert short_names(["a.x", "a.x", "b.y", "x"]) == {"a.x": "a.x", "b.y": "y", "x": "x"}
    assert set(short_names(["a.b.c", "d.b.c", "b.c"]).values()) == {"a.b.c", "d.b.c", "b.c"}


@pytest.mark.parametrize(
    ("places", "expected"),
    [([0], "#1"), ([0, 1, 2], "#1–#3"), ([0, 2], "#1, #3"), ([0, 2, 4, 6, 9], "#1, #3 … #10")],
)
def test_numbers_of_many(places: list[int], expected: str) -> None:
    graph = Graph([Node(str(place), "f") for place in range(10)])
    assert Labels(graph).numbers([str(place) for place in places]) == expected


def test_cut_keeps_both_ends() -> None:
    assert cut("abc", 3) == "abc"
    assert cut("abcdef", 3) == "a…f"
