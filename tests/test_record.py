"""Recordings: snapshots and their bounds, facts from any thread, what is open, saving and loading."""

from __future__ import annotations

import json
import math
import threading
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from celery.result import AsyncResult

from labkit import record
from labkit.errors import LabError
from labkit.graph import Graph
from labkit.plan import plan
from labkit.record import KEPT, SCHEMA, Recording, arguments, load, snapshot
from tests.facts import Story
from tests.workflows import app, t, u


class Bare:
    """An object that JSON does not know."""

    def __repr__(self) -> str:
        return "<bare>"


# --- snapshots ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        (None, None),
        (True, True),
        (3, 3),
        (1.5, 1.5),
        ("text", "text"),
        ([1, "a", None], [1, "a", None]),
        ((1, (2,)), [1, [2]]),
        ({"a": {"b": (1,)}}, {"a": {"b": [1]}}),
        ({1: 2}, {"1": 2}),
        (math.nan, "nan"),
        (-math.inf, "-inf"),
        ([1, math.nan], "[1, nan]"),
        ({1}, "{1}"),
        (b"\x00a", "b'\\x00a'"),
        (Decimal("1.5"), "Decimal('1.5')"),
        (Bare(), "<bare>"),
        ([Bare()], "[<bare>]"),
        ("NaN", "NaN"),
    ],
    ids=str,
)
def test_a_snapshot_is_what_travels_in_json(value: Any, kept: Any) -> None:
    assert snapshot(value) == kept
    assert type(snapshot(value)) is type(kept)


def test_a_number_that_python_refuses_to_write_is_named() -> None:
    assert snapshot(10**5000) == "<int: its repr raises>"
    assert snapshot(2**4000) == 2**4000


def test_a_snapshot_is_a_copy() -> None:
    value = {"a": [1]}
    kept = snapshot(value)
    value["a"].append(2)
    assert kept == {"a": [1]}


def test_a_result_is_named_by_its_id() -> None:
    assert snapshot(AsyncResult("the-id", app=app)) == "the-id"


@pytest.mark.parametrize("value", ["x" * (KEPT + 1), ["x" * KEPT], {"a": "x" * KEPT}, {"x" * KEPT}, b"x" * KEPT])
def test_what_is_too_long_is_cut_and_says_how_long_it_was(value: Any) -> None:
    kept = snapshot(value)
    assert isinstance(kept, str)
    assert len(kept) == KEPT
    assert kept.endswith(" characters)")
    assert snapshot(kept) == kept


def test_what_just_fits_is_kept() -> None:
    assert snapshot("x" * KEPT) == "x" * KEPT
    assert snapshot([1, 2, 3], kept=9) == [1, 2, 3]
    assert snapshot([1] * 30, kept=40) == "[1, 1, 1, 1, 1, 1, 1, 1… (90 characters)"


def test_arguments_are_kept_one_by_one() -> None:
    kept = arguments(("x" * KEPT * 2, 1), {"a": {1}, "it": [(1, 2)] * KEPT})
    assert len(kept["args"]) == 2
    assert kept["args"][1] == 1
    assert kept["kwargs"]["a"] == "{1}"
    assert kept["kwargs"]["it"] == [[1, 2]] * KEPT
    assert arguments((), {"it": 3}) == {"args": [], "kwargs": {"it": 3}}


# --- facts --------------------------------------------------------------------------------------------------


def test_facts_have_their_place_and_time() -> None:
    recording = Recording()
    first, second = recording.add("started", "a"), recording.add("succeeded", "a", at=5.0, value=1)
    assert (first["n"], second["n"]) == (0, 1)
    assert first["at"] > 1e9
    assert second == {"kind": "succeeded", "id": "a", "at": 5.0, "n": 1, "value": 1}
    assert recording.facts == [first, second]


def test_no_more_facts_are_kept_than_the_most(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(record, "MOST", 10)
    recording = Recording()
    heard: list[Any] = []
    recording.listen(heard.append)
    for n in range(25):
        recording.add("said", None, text=str(n))
    assert [fact["text"] for fact in recording.facts] == [str(n) for n in range(10)]
    assert recording.dropped == 15
    assert len(heard) == 25


def test_the_graph_is_folded_once_until_a_fact_is_added() -> None:
    recording = Recording(plan(t.s()))
    id = next(iter(recording.known))
    first = recording.graph
    assert recording.graph is first
    recording.add("started", id)
    assert recording.graph is not first
    assert recording.graph.node("#1").state == "running"
    assert first.node("#1").state == "planned"


def test_facts_may_be_added_from_many_threads_while_it_is_folded() -> None:
    recording = Recording()

    def add(name: str) -> None:
        for n in range(300):
            recording.add("said", f"{name}{n}")

    threads = [threading.Thread(target=add, args=(name,)) for name in "abcd"]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        assert recording.graph.nodes == {}
    assert len(recording.facts) == 1200


def test_a_listener_that_raises_is_dropped_and_harms_nobody() -> None:
    recording = Recording()
    heard: list[Any] = []

    def broken(fact: Any) -> None:
        heard.append("broken")
        raise RuntimeError

    recording.listen(broken)
    recording.listen(heard.append)
    recording.add("said", "a")
    recording.add("said", "b")
    assert [each if each == "broken" else each["id"] for each in heard] == ["broken", "a", "b"]


def test_a_listener_that_raises_at_the_end_harms_nobody() -> None:
    recording = Recording()
    heard: list[Any] = []

    def broken(fact: Any) -> None:
        raise RuntimeError

    recording.listen(broken)
    recording.listen(heard.append)
    recording.opened("a")
    recording.closed("a")
    assert [fact["kind"] for fact in heard] == ["over"]


def test_a_listener_may_stop_listening_when_it_is_told() -> None:
    recording = Recording()
    heard: list[Any] = []

    def once(fact: Any) -> None:
        heard.append(fact)
        recording.ignore(once)

    recording.listen(once)
    recording.add("said", "a")
    recording.add("said", "b")
    assert len(heard) == 1


def test_what_is_forgotten_is_forgotten_wholly() -> None:
    recording = Recording()
    chain = [{"task": "t", "options": {"task_id": "later"}}]
    recording.take({"kind": "published", "id": "old", "at": 1.0, "chain": chain, "chord": None})
    recording.take({"kind": "started", "id": "both", "at": 2.0})
    recording.take({"kind": "succeeded", "id": "both", "at": 3.0})
    recording.known |= {"old", "later", "both"}
    recording.opened("old")
    assert recording.forget(2) == {"old", "later"}
    assert recording.known == {"both"}
    assert recording.open == ()
    assert [fact["kind"] for fact in recording.facts] == ["succeeded"]


# --- over ---------------------------------------------------------------------------------------------------


def test_it_is_over_when_nothing_is_open() -> None:
    recording = Recording()
    told: list[Any] = []
    recording.listen(told.append)
    recording.sending()
    recording.opened("a")
    recording.closed("a")
    assert not recording.over.is_set()
    recording.opened("b")
    recording.sent()
    assert not recording.over.is_set()
    recording.opened("c")
    assert set(recording.open) == {"b", "c"}
    recording.closed("b")
    assert not recording.over.is_set()
    recording.closed("c")
    assert recording.over.is_set()
    assert not recording.open
    assert [fact["kind"] for fact in told] == ["over"]


def test_it_can_go_on_after_it_was_over() -> None:
    recording = Recording()
    recording.opened("a")
    recording.closed("a")
    recording.opened("a")
    assert not recording.over.is_set()
    recording.closed("a")
    assert recording.over.is_set()


def test_the_same_id_can_be_open_twice() -> None:
    recording = Recording()
    recording.opened("a")
    recording.opened("a")
    recording.closed("a")
    assert not recording.over.is_set()
    assert recording.open == ("a",)
    recording.closed("a")
    assert recording.over.is_set()


def test_an_end_may_be_heard_before_its_message() -> None:
    recording = Recording()
    recording.opened("a")
    recording.closed("b")
    recording.opened("b")
    assert recording.open == ("a",)
    recording.closed("a")
    assert recording.over.is_set()


def test_who_is_told_may_ask_what_is_open() -> None:
    recording = Recording()
    asked: list[Any] = []
    recording.listen(lambda fact: asked.append(recording.open))
    recording.opened("a")
    recording.closed("a")
    assert asked == [()]


def test_what_is_deferred_is_not_coming() -> None:
    recording = Recording()
    recording.opened("now")
    recording.opened("later")
    recording.deferred.add("later")
    assert set(recording.open) == {"now", "later"}
    assert recording.coming == ("now",)


# --- saving -------------------------------------------------------------------------------------------------


def recorded() -> Recording:
    story = Story(plan(t.s((1, 2)) | u.s(x={"y": None}))).sent("#1", t.name, args=[[1, 2]]).ran("#1", value=[1])
    return Recording(story.plan, story.sent("#2", u.name, parent="#1").ran("#2", "failed").facts)


def test_saved_and_loaded_it_folds_to_an_equal_graph(tmp_path: Path) -> None:
    recording = recorded()
    recording.save(tmp_path / "run.json")
    again = load(tmp_path / "run.json")
    assert again.graph == recording.graph
    assert again.facts == recording.facts
    assert again.over.is_set()
    assert again.known == recording.known
    assert json.loads(again.to_json()) == json.loads(recording.to_json())


def test_a_saved_recording_says_its_schema() -> None:
    assert json.loads(Recording().to_json()) == {"schema": SCHEMA, "plan": Graph().to_dict(), "facts": []}


@pytest.mark.parametrize(
    "change",
    [
        lambda data: data.update(schema=SCHEMA + 1),
        lambda data: data.update(schema="2"),
        lambda data: data.pop("schema"),
        lambda data: data.pop("plan"),
        lambda data: data.pop("facts"),
        lambda data: data.update(plan=[]),
        lambda data: data.update(plan=None),
        lambda data: data["plan"]["nodes"][0].update(colour="red"),
        lambda data: data["plan"]["nodes"][0].pop("task"),
        lambda data: data["plan"]["nodes"][0].update(attempts=3),
        lambda data: data["plan"].update(edges=[{}]),
        lambda data: data.update(facts=3),
        lambda data: data.update(facts=["fact"]),
        lambda data: data.update(facts=[{"kind": "started"}]),
        lambda data: data["facts"][0].pop("at"),
    ],
)
def test_what_is_no_recording_is_refused(change: Any) -> None:
    data = json.loads(recorded().to_json())
    change(data)
    with pytest.raises(LabError, match=r"no saved recording|has schema"):
        Recording.from_json(json.dumps(data))


def test_a_later_schema_names_the_way_out() -> None:
    with pytest.raises(LabError, match=rf"has schema 99; this labkit reads {SCHEMA}\. Install the newer one\."):
        Recording.from_json('{"schema": 99}')


@pytest.mark.parametrize("text", ["", "{", "null", "[]", "3", '"text"', "[" * 100_000])
def test_what_is_no_json_is_refused(text: str) -> None:
    with pytest.raises(LabError, match="no saved recording"):
        Recording.from_json(text)


def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    with pytest.raises(LabError, match=r"cannot read gone\.json: No such file"):
        load(tmp_path / "gone.json")
    with pytest.raises(LabError, match="cannot read"):
        load(tmp_path)
    (tmp_path / "binary.json").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(LabError, match=r"cannot read binary\.json"):
        load(tmp_path / "binary.json")


def test_a_plan_with_anything_in_it_can_be_saved() -> None:
    deep: Any = 1
    for _ in range(3000):
        deep = [deep]
    recording = Recording(plan(t.s({1}, Bare(), iter([1]), deep, x={2: {3}}, y=math.nan)))
    node = Recording.from_json(recording.to_json()).plan.node("#1")
    assert node.args[:2] == ("{1}", "<bare>")
    assert node.kwargs == {"x": {"2": "{3}"}, "y": "nan"}
