"""What can be sent is looked at beforehand as Celery will look at it; what is refused half way is not lost."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from celery import Celery, Task, chain, chord, group, signals

import labkit
from labkit.errors import LabError
from labkit.plan import prepare
from labkit.sending import inspect, starting

parcels = Celery("parcels", set_as_current=False)
parcels.conf.update(task_serializer="json", result_serializer="json", accept_content=["json", "pickle"])


@parcels.task(name="parcels.weigh", shared=False)
def weigh(*kilos: Any) -> int:
    return len(kilos)


@parcels.task(name="parcels.add", shared=False)
def add(x: int, y: int) -> int:
    return x + y


@parcels.task(name="parcels.count", shared=False, serializer="pickle")
def count(things: Any, *more: Any) -> int:
    return len(things) + len(more)


@parcels.task(name="parcels.listed", shared=False)
def listed(things: list[Any]) -> list[Any]:
    return things


@parcels.task(name="parcels.free", shared=False, typing=False)
def free(x: int, y: int = 1) -> int:
    return x + y


class Stubborn(Task):
    """A task with a way of sending of its own: one argument more, or a refusal."""

    def apply_async(self, args: Any = None, kwargs: Any = None, **options: Any) -> Any:
        if args and args[0] == "no":
            raise RuntimeError("not today")
        return super().apply_async((*(args or ()), 2), kwargs, **options)


@parcels.task(name="parcels.stubborn", shared=False, base=Stubborn)
def stubborn(x: int, y: int) -> int:
    return x + y


@pytest.fixture(scope="module")
def lab() -> Iterator[labkit.Lab]:
    labkit.stop()
    yield labkit.start(parcels)
    labkit.stop()


@pytest.fixture
def sent() -> Iterator[list[str]]:
    """The names of the tasks whose messages went out."""
    names: list[str] = []

    def note(sender: str, **_: Any) -> None:
        names.append(sender)

    signals.after_task_publish.connect(note)
    yield names
    signals.after_task_publish.disconnect(note)


# --- refused before anything is sent ------------------------------------------------------------------------

REFUSED: dict[str, tuple[Callable[[], Any], str]] = {
    "too few arguments": (lambda: add.s(1), r"#2 parcels\.add: TypeError: add\(\) missing 1 required .*'y'"),
    "an argument too many": (lambda: add.s(1, 1, z=1), "unexpected keyword argument 'z'"),
    "too few in a chain": (lambda: chain(add.s(1), weigh.s()), "missing 1 required"),
    "too few in a header": (lambda: chord([add.s(1)], weigh.s()), "missing 1 required"),
    "an item of a map": (lambda: weigh.map([1, object()]), r"#4 parcels\.weigh cannot be sent as json"),
    "an item of a starmap": (lambda: add.starmap([(1, object())]), r"#3 parcels\.add cannot be sent as json"),
    "an item of chunks": (lambda: add.chunks([(1, 1), (1, object())], 1), r"parcels\.add cannot be sent as json"),
    "headers": (lambda: weigh.s().set(headers={"x": object()}), "the option 'headers': TypeError"),
    "headers of a later step": (lambda: chain(weigh.s(), weigh.s().set(headers={"x": object()})), "'headers'"),
    "headers that are none": (lambda: weigh.s().set(headers=5), "the option 'headers': TypeError"),
    "another option": (lambda: weigh.s().set(shadow=object()), "the option 'shadow': TypeError"),
    "a countdown": (lambda: weigh.s().set(countdown="soon"), r"#2 parcels\.weigh: TypeError"),
    "a countdown for a group": (lambda: group(weigh.s(), weigh.s()).set(countdown="soon"), "TypeError"),
    "expires as text": (lambda: weigh.s().set(expires="soon"), "ValueError"),
    "expires as a list": (lambda: weigh.s().set(expires=[1]), "Error"),
    "a compression": (lambda: weigh.s().set(compression="vacuum"), "'vacuum', which kombu does not know"),
    "a serializer": (lambda: weigh.s().set(serializer="morse"), "'morse', which is not installed here"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_celery_would_refuse_half_way_is_refused_before(name: str, lab: labkit.Lab, sent: list[str]) -> None:
    make, words = REFUSED[name]
    lab.cut_short = None
    for check in (True, False):
        with pytest.raises(LabError, match=words):
            lab.run(group(weigh.s(), make()), check=check)
    assert sent == []
    assert lab.cut_short is None
    assert lab.active() == []


# --- not refused --------------------------------------------------------------------------------------------


def given(canvas: Any, *args: Any) -> Any:
    canvas.args = args
    return canvas


SENT: dict[str, tuple[Callable[[], Any], Any]] = {
    "no check of arguments": (lambda: free.s(1), 2),
    "a way of sending of its own": (lambda: stubborn.s(1), 3),
    "an empty header gives its body a list": (lambda: chord([], listed.s()), []),
    "an argument given to the whole chain": (lambda: given(chain(add.s(1), weigh.s()), 1), 1),
    "expires and headers that are in order": (lambda: weigh.s().set(expires=60, headers={"who": "me"}), 0),
    "a task in pickle": (lambda: count.s({1, 2}), 2),
    "a call in pickle": (lambda: weigh.s({1, 2}).set(serializer="pickle"), 1),
    "a group in pickle": (lambda: group(weigh.s({1}), weigh.s({2})).set(serializer="pickle"), [1, 1]),
    "a map in pickle": (lambda: weigh.map([{1}, {2}]).set(serializer="pickle"), [1, 1]),
    "pickle, then JSON": (lambda: chain(count.s({1, 2}), weigh.s(1)), 2),
    "JSON, then pickle": (lambda: chain(listed.s([1, 2]), count.s([3])), 3),
}


@pytest.mark.parametrize("name", SENT)
def test_what_celery_sends_is_sent(name: str, lab: labkit.Lab) -> None:
    make, value = SENT[name]
    assert lab.run(make()).get(timeout=10) == value


def test_a_later_step_that_does_not_fit_is_sent_as_celery_does(lab: labkit.Lab) -> None:
    run = lab.run(chain(weigh.s(), add.s(1, 2)))
    run.wait(timeout=10)
    assert run.graph.node("#1").state == "failed"


def test_a_step_must_be_fit_for_the_messages_that_carry_it(lab: labkit.Lab, sent: list[str]) -> None:
    with pytest.raises(LabError, match=r"#2 parcels\.count cannot be sent as json"):
        lab.run(chain(weigh.s(), count.s({1})))
    with pytest.raises(LabError, match=r"#4 parcels\.count cannot be sent as json"):
        lab.run(chord([count.s({1}), chain(weigh.s(), weigh.s())], count.s({1})))
    assert sent == []


def test_what_starts_is_what_nothing_leads_to() -> None:
    canvas = chord([weigh.s(), chain(weigh.s(), weigh.s())], group(weigh.s(), weigh.s()).on_error(weigh.s()))
    _, graph = prepare(canvas)
    assert [graph.number(node.key) for node in starting(graph)] == ["#1", "#2"]
    _, graph = prepare(add.chunks([(1, 1), (2, 2)], 1))
    assert [graph.number(node.key) for node in starting(graph)] == ["#1", "#3"]


def test_looking_changes_nothing() -> None:
    signature, graph = prepare(chord([count.s([1]), weigh.s(2)], weigh.s().set(countdown=1, headers={"a": 1})))
    before = json.dumps(signature, default=repr), graph.to_dict()
    inspect(signature, graph, parcels)
    assert (json.dumps(signature, default=repr), graph.to_dict()) == before


# --- refused half way ---------------------------------------------------------------------------------------


def test_what_was_sent_before_celery_refused_is_there_to_see(lab: labkit.Lab) -> None:
    canvas = chord([weigh.s(1), chain(weigh.s(1, 2), weigh.s()), stubborn.s("no")], weigh.s())
    with pytest.raises(LabError, match="RuntimeError: not today — but #1, #2") as refused:
        lab.run(canvas)
    assert "lab.cut_short" in str(refused.value)
    assert lab.cut_short is not None
    lab.cut_short.wait(timeout=10)
    graph = lab.cut_short.graph
    assert [node.state for node in graph.nodes.values()] == ["succeeded"] * 3 + ["never ran"] * 2
    assert graph.node("#4").reason == "it was not sent: RuntimeError: not today"
    assert lab.cut_short.get(timeout=10)[:2] == [1, 2]
    assert lab.cut_short.recording.open == ()
    assert lab.run(weigh.s()).get(timeout=10) == 0


def test_what_was_sent_before_it_was_interrupted_is_there_to_see(lab: labkit.Lab) -> None:
    def interrupt(sender: str, headers: dict[str, Any], **_: Any) -> None:
        if "stop" in headers["argsrepr"]:
            raise KeyboardInterrupt

    signals.before_task_publish.connect(interrupt)
    try:
        with pytest.raises(KeyboardInterrupt):
            lab.run(group(weigh.s(1), weigh.s("stop"), weigh.s(2)))
        assert lab.cut_short is not None
        lab.cut_short.wait(timeout=10)
        assert [node.state for node in lab.cut_short.graph.nodes.values()] == ["succeeded", "never ran", "never ran"]
        before = lab.cut_short
        with pytest.raises(KeyboardInterrupt):
            lab.run(weigh.s("stop"))
        assert lab.cut_short is before
        assert lab.active() == []
    finally:
        signals.before_task_publish.disconnect(interrupt)
    assert lab.run(weigh.s()).get(timeout=10) == 0


def test_of_what_was_refused_at_once_nothing_is_kept(lab: labkit.Lab, sent: list[str]) -> None:
    lab.cut_short = None
    with pytest.raises(LabError, match=r"RuntimeError: not today$"):
        lab.run(group(stubborn.s("no"), weigh.s()))
    assert lab.cut_short is None
    assert lab.active() == lab._active == []
    assert sent == []


def test_arguments_that_were_set_as_options(lab: labkit.Lab) -> None:
    """Celery finds out while it sends: it hands both on to ``apply_async``."""
    with pytest.raises(LabError, match=r"apply_async\(\) got multiple values for argument 'args'"):
        lab.run(group(weigh.s(), weigh.s().set(args=(1,))))


@pytest.mark.parametrize(
    "made", [chain, group, lambda *calls: chord([*calls], weigh.s())], ids=["chain", "group", "chord"]
)
def test_two_calls_with_one_id(lab: labkit.Lab, made: Callable[..., Any]) -> None:
    """A frozen signature in two places: Celery sends both under one id, and keeps one result."""
    frozen = weigh.s()
    frozen.freeze()
    with pytest.raises(LabError, match=r"#1 parcels\.weigh and #2 parcels\.weigh have one id"):
        lab.run(made(frozen, frozen))
    assert lab.run(made(frozen.clone(), weigh.s())).get() is not None
