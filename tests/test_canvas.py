"""Signatures as they are: the steps that Celery makes of a chain, and copies that share nothing."""

import json
from collections import OrderedDict, defaultdict
from typing import Any

import pytest
from celery import Celery, _state, chain, chord, group
from celery.canvas import Signature, _chain
from celery.result import AsyncResult, EagerResult
from celery.utils.functional import _regen

from labkit import canvas
from labkit.errors import LabError
from labkit.plan import prepare
from tests.workflows import app, t, u

SHAPES: dict[str, tuple[Any, list[str]]] = {
    "tasks": (chain(t.s(), u.s()), ["task", "task"]),
    "a chain in a chain is spliced": (chain(t.s(), chain(t.s(), u.s()), u.s()), ["task"] * 4),
    "a group with a step behind it is a chord": (chain(t.s(), group(t.s(), u.s()), u.s()), ["task", "chord"]),
    "a group at the end stays one": (chain(t.s(), group(t.s(), u.s())), ["task", "group"]),
    "a group of one is its member": (chain(t.s(), group(u.s()), t.s()), ["task", "task", "task"]),
    "an empty group is passed over": (chain(t.s(), group(), u.s()), ["task", "task"]),
}


@pytest.mark.parametrize("name", SHAPES)
def test_steps_of_a_chain(name: str) -> None:
    workflow, kinds = SHAPES[name]
    # As it comes from JSON: `chain` itself would have done some of it already.
    raw = Signature.from_dict(json.loads(json.dumps({**workflow, "kwargs": {"tasks": list(workflow.tasks)}})))
    assert [canvas.kind(step) for step in canvas.steps(raw)] == kinds


def test_a_group_of_one_written_as_a_dict_is_its_member() -> None:
    raw = chain(t.s(), u.s())
    raw.kwargs["tasks"] = [t.s(), group(u.s()), t.s()]
    assert [canvas.kind(step) for step in canvas.steps(raw)] == ["task", "task", "task"]


def test_a_copy_shares_nothing_at_any_depth() -> None:
    inner = t.s(1)
    original = chord([chain(t.s(), group(inner, u.s())), t.s()], u.s().set(countdown=1))
    before = json.dumps(original, default=list)
    fresh = canvas.copy(original)
    assert json.dumps(fresh, default=list) == before
    for each in _tasks(fresh):
        each.options["task_id"] = "new"
    assert json.dumps(original, default=list) == before
    assert "task_id" not in inner.options


def _tasks(signature: Signature) -> list[Signature]:
    kind = canvas.kind(signature)
    if kind == "task":
        return [signature]
    inside = canvas.members(signature) + ([signature.body] if kind == "chord" else [])
    return [task for each in inside for task in _tasks(each)]


@pytest.mark.parametrize(
    ("signature", "kind"),
    [
        (t.s(), "task"),
        (chain(t.s(), t.s()), "chain"),
        (group(t.s()), "group"),
        (chord([t.s()], u.s()), "chord"),
        (t.map([1]), "map"),
        (t.starmap([(1,)]), "starmap"),
        (t.chunks([(1,)], 1), "chunks"),
        # A clone and what comes from JSON are plain signatures of the built-in task.
        (t.map([1]).clone(), "map"),
        (Signature.from_dict(json.loads(json.dumps(t.chunks([(1,)], 1)))), "chunks"),
        (Signature("celery.map"), "task"),
    ],
)
def test_the_kind_of_a_signature(signature: Signature, kind: str) -> None:
    assert canvas.kind(signature) == kind


@pytest.mark.parametrize(("given", "number"), [(None, 0), (t.s(), 1), ([t.s(), u.s()], 2), ((t.s(),), 1), ([], 0)])
def test_links_are_given_as_one_a_list_or_a_tuple(given: Any, number: int) -> None:
    assert len(canvas.links({"link": given}, "link")) == number


@pytest.mark.parametrize(
    ("thing", "advice"),
    [
        (t, r"is the task 't' itself.*Write t\.s\(…\)"),
        (4, r"of type int, not a signature.*write add\.s\(2, 2\)"),
        (None, "of type NoneType"),
        ("tests.workflows.t", "of type str"),
        ([t.s(), t.s()], r"is a list\. Wrap its signatures: chain\(…\) or group\(…\)"),
        ((t.s(),), "is a tuple"),
        (AsyncResult("1", app=app), "has been sent already"),
        (EagerResult("1", 2, "SUCCESS"), "has been sent already"),
        ({}, "has no 'task' that names one"),
        ({"task": 3}, "has no 'task' that names one"),
        ({"task": "celery.chain", "kwargs": {}, "subtask_type": "chain"}, "no complete signature"),
        ({"task": "a", "kwargs": 3}, "no complete signature"),
    ],
)
def test_what_is_no_signature_is_refused_with_advice(thing: Any, advice: str) -> None:
    with pytest.raises(LabError, match=advice):
        canvas.as_signature(thing)


@pytest.mark.parametrize(
    ("workflow", "place"),
    [
        (_chain([t.s(), 4]), "step 2 of the chain"),
        (group([t.s(), [t.s()]]), "step 2 of the group"),
        (chord([t.s(), chord([t.s()], None)], u.s()), "step 2 of the header is a chord without a body"),
        (chord([t.s()], None), "chord without a body"),
        (group([chord([t.s()], None)]), "step 1 of the group is a chord without a body"),
        (chord([t.s()], chord([u.s()], None)), "the body of the chord is a chord without a body"),
    ],
    ids=str,
)
def test_an_error_names_the_place(workflow: Signature, place: str) -> None:
    with pytest.raises(LabError, match=place):
        canvas.copy(workflow)


def test_a_dict_needs_no_more_than_the_name_of_a_task() -> None:
    signature = canvas.as_signature({"task": "tasks.add"})
    assert (signature.task, signature.args, signature.kwargs, signature.immutable) == ("tasks.add", (), {}, False)


def test_a_signature_made_of_a_dict_does_not_write_into_it() -> None:
    given = json.loads(json.dumps(t.s(1)))
    signature = canvas.as_signature(given)
    signature.options["task_id"] = "x"
    signature.kwargs["y"] = 1
    assert given == json.loads(json.dumps(t.s(1)))


def test_a_copy_of_a_generator_leaves_it_one() -> None:
    original = group(t.s(n) for n in range(3))
    fresh = canvas.copy(original)
    assert isinstance(fresh.tasks, _regen)
    assert len(canvas.members(fresh)) == len(canvas.members(original)) == 3


def test_arguments_are_copied_where_they_can_change() -> None:
    inner: dict[str, Any] = {"a": [1], "s": {1}, "o": OrderedDict(x=[1]), "d": defaultdict(list, x=[1])}
    bare = object()
    given: Any = [inner, (1, [2]), (1, 2), bare]
    kept = canvas.copied(given)
    assert kept == given
    assert [type(each) for each in kept[0].values()] == [list, set, OrderedDict, defaultdict]
    for change in (inner["a"], inner["o"]["x"], inner["d"]["x"], given[1][1], given):
        change.append("later")
    inner["s"].add("later")
    inner["later"] = "later"
    assert "later" not in str(kept)
    assert kept[2] is given[2]
    assert kept[3] is bare


def test_a_copy_of_an_argument_has_its_own_loops_and_doubles() -> None:
    twice: list[Any] = [1]
    loop: list[Any] = [twice, twice]
    loop.append(loop)
    kept = canvas.copied(loop)
    assert kept[2] is kept is not loop
    assert kept[0] is kept[1] is not twice
    deep: list[Any] = []
    for _ in range(10_000):
        deep = [deep]
    assert canvas.copied(deep) is not deep


@pytest.mark.parametrize(
    "make",
    [
        lambda data: t.s(data, x=data),
        lambda data: chain(t.s(), t.s(data)),
        lambda data: chord([t.s(data)], u.s(x=[data])),
        lambda data: t.s().on_error(u.s(data)),
        lambda data: t.map([data, 1]),
        lambda data: t.map([data]).on_error(u.s(data)),
        lambda data: chain(t.s(), t.starmap([(data, 1)])),
        lambda data: t.chunks([(data,)], 1),
    ],
)
def test_what_is_done_to_arguments_does_not_reach_a_copy(make: Any) -> None:
    data: list[Any] = [1, 2]
    fresh = canvas.copy(make(data))
    data.append("later")
    assert "later" not in json.dumps(fresh)


@pytest.mark.parametrize(
    ("signature", "words"),
    [
        (t.chunks([1], 0), "makes chunks of 0 items"),
        (t.chunks([1], -1), "makes chunks of -1 items"),
        (t.chunks([1], "2"), "makes chunks of '2' items"),
        (group(t.s(), t.chunks([1], 0)), "step 2 of the group makes chunks of 0 items"),
        (t.map(5), "a map over what has no items"),
        (t.starmap(5), "a starmap over what has no items"),
        (t.chunks(5, 2), "a chunks over what has no items"),
    ],
    ids=str,
)
def test_items_that_are_none_are_refused_with_advice(signature: Signature, words: str) -> None:
    with pytest.raises(LabError, match=words):
        prepare(signature)


def test_all_parts_of_a_canvas() -> None:
    workflow = chord([chain(t.s(1), group(t.s(2), t.s(3)))], u.s(4).set(link=[t.s(5)]).on_error(u.s(6)))
    found = [part.args[0] for part in canvas.parts(workflow) if canvas.kind(part) == "task"]
    assert sorted(found) == [1, 2, 3, 4, 5, 6]


@pytest.mark.parametrize(
    ("signature", "number"),
    [
        (t.s(), 1),
        (chain(t.s(), group(t.s(), t.s())), 1),
        (group(t.s(), group(t.s(), t.s()), chain(t.s(), t.s())), 4),
        (chord([t.s(), t.s()], u.s()), 2),
        (chord([], group(u.s(), u.s(), u.s())), 3),
        (group(), 0),
        (t.map([1, 2]), 1),
    ],
)
def test_how_many_tasks_a_signature_starts(signature: Signature, number: int) -> None:
    assert canvas.entrances(signature) == number


@pytest.mark.parametrize(
    ("header", "counted"),
    [(group(), False), (group(group()), False), (group(chord([], group())), True), (group(_chain([group()])), True)],
)
def test_a_header_without_a_task_may_still_be_waited_for(header: Signature, counted: bool) -> None:
    assert canvas.hollow(header) is counted


def test_the_apps_of_a_canvas(monkeypatch: pytest.MonkeyPatch) -> None:
    other = Celery("other", set_as_current=False)

    @other.task(name="other.one")
    def one() -> None:
        pass

    assert canvas.apps(t.s() | group(t.s(), u.s()) | t.s()) == {app}
    assert canvas.apps(chord([t.s(), one.s()], Signature("by.name"))) == {app, other}
    assert canvas.apps(Signature("by.name")) == set()
    monkeypatch.setattr(_state._tls, "current_app", app)
    # What Celery itself puts together from names has a proxy of the current app.
    (found,) = canvas.apps(Signature("by.name") | group([t.s(), u.s()]))
    assert found is app


def test_a_bare_errback_stays_bare() -> None:
    """On the body of a chord Celery takes it for a list of its keys: what is sent must be what Celery would send."""
    given = t.s(1).set(link=t.s(2), link_error=t.s(3))
    kept = canvas.copy(given)
    assert (kept.options["link"], kept.options["link_error"]) == (t.s(2), t.s(3))
    assert kept.options["link_error"] is not given.options["link_error"]
