"""What `redact` keeps out of a recording: arguments wherever they are recorded, and values."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from celery import chain, chord, group

import labkit
from labkit.plan import plan
from labkit.record import Recording
from labkit.redact import HIDDEN, Redaction
from tasks import add, app, ident, mul, xsum
from tests.workflows import eb1, linked, plus, t, u

SECRET = "hunter2hunter2"


def all_hidden(task: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, Any]:
    return ["?" for _ in args], dict.fromkeys(kwargs, "?")


def no_secret(task: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, Any]:
    """Hide by what it looks like, at any depth."""
    shown, named = json.loads(json.dumps([args, kwargs], default=repr).replace(SECRET, "?"))
    return shown, named


def raises(task: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, Any]:
    raise RuntimeError


@pytest.fixture(autouse=True, scope="module")
def no_lab_before_or_after() -> Iterator[None]:
    labkit.stop()
    yield
    labkit.stop()


@pytest.fixture
def no_lab() -> Iterator[None]:
    yield
    labkit.stop()


# --- calls, values, signatures ------------------------------------------------------------------------------


def test_without_redact_all_stays() -> None:
    plain = Redaction()
    assert plain.call("t", [1], {"x": 2}) == ((1,), {"x": 2})
    assert plain.value("t", [1]) == [1]
    graph, same = plan(t.s(1)), plan(t.s(1))
    plain.plan(graph)
    assert [node.args for node in graph.nodes.values()] == [node.args for node in same.nodes.values()]


@pytest.mark.parametrize(
    "redact",
    [raises, lambda *_: None, lambda *_: (1, 2), lambda *_: ((), 3), lambda: None],
    ids=["it raises", "nothing", "no arguments", "no names", "it takes none"],
)
def test_where_it_gives_no_arguments_all_are_hidden(redact: Any) -> None:
    assert Redaction(redact).call("t", (1, 2), {"x": 3}) == ((HIDDEN, HIDDEN), {"x": HIDDEN})
    assert Redaction(redact).value("t", 3) == HIDDEN


def test_it_is_told_the_task_and_gets_copies() -> None:
    def spoils(task: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, Any]:
        args[0]["password"] = kwargs["x"][0] = task
        return args, kwargs

    args, kwargs = ({"password": SECRET},), {"x": [SECRET]}
    assert Redaction(spoils).call("t", args, kwargs) == (({"password": "t"},), {"x": ["t"]})
    assert (args, kwargs) == (({"password": SECRET},), {"x": [SECRET]})


def test_a_value_is_what_is_left_of_it_as_the_one_argument() -> None:
    assert Redaction(no_secret).value("t", {"a": [SECRET]}) == {"a": ["?"]}
    assert Redaction(lambda task, args, kwargs: ((), {})).value("t", 3) == HIDDEN
    assert Redaction(all_hidden).value(None, 3) == HIDDEN
    assert Redaction(all_hidden).value("t", None) is None


CARRIED: dict[str, Callable[[], Any]] = {
    "a task": lambda: t.s(SECRET, x=SECRET),
    "a chain": lambda: chain(t.s(SECRET), u.s(SECRET)),
    "a group": lambda: group(t.s(SECRET), chain(u.s(SECRET), t.s())),
    "a chord": lambda: chord([t.s(SECRET), t.s(SECRET)], chain(u.s(SECRET), t.s(x=SECRET))),
    "links": lambda: linked(t.s(), linked(u.s(SECRET), t.s(SECRET))).on_error(eb1.si(SECRET)),
    "a map": lambda: t.map([SECRET, [SECRET]]),
    "a starmap": lambda: plus.starmap([(SECRET, 1), (2, SECRET)]),
    "chunks": lambda: chain(t.s(), plus.chunks([(SECRET, 1), (2, SECRET)], 1)),
    "of a generator": lambda: group(t.s(SECRET) for _ in range(2)),
}


@pytest.mark.parametrize("name", CARRIED)
@pytest.mark.parametrize("redact", [all_hidden, no_secret, raises])
def test_a_signature_in_a_message_is_redacted_at_every_depth(name: str, redact: Any) -> None:
    canvas = CARRIED[name]()
    before = json.dumps(canvas, default=repr)
    made = Redaction(redact).signature(canvas)
    assert SECRET not in json.dumps(made)
    assert json.dumps(canvas, default=repr) == before
    shapes = [[(node.key, node.task, node.role) for node in plan(each).nodes.values()] for each in (canvas, made)]
    assert shapes[0] == shapes[1]


@pytest.mark.parametrize("name", CARRIED)
def test_a_plan_is_redacted(name: str) -> None:
    graph = plan(CARRIED[name]())
    Redaction(all_hidden).plan(graph)
    assert SECRET not in json.dumps(Recording(graph).to_json())


# --- recordings ---------------------------------------------------------------------------------------------

RUN: dict[str, Callable[[], Any]] = {
    "a chain with an errback": lambda: chain(ident.s(SECRET), add.s(SECRET)).on_error(ident.si(SECRET)),
    "a chord": lambda: chord([ident.s(SECRET), ident.s([SECRET])], chain(ident.s(), ident.si(SECRET))),
    "a callback": lambda: linked(ident.s(SECRET), ident.si(SECRET)),
    "a map": lambda: ident.map([SECRET, SECRET]),
    "a starmap in a chain": lambda: chain(ident.s(1), add.starmap([(SECRET, SECRET)])),
    "chunks": lambda: add.chunks([(SECRET, "a"), ("b", SECRET)], 1),
    "chunks in a group": lambda: group(ident.s(1), add.chunks([(SECRET, "a"), ("b", SECRET)], 1)),
}


@pytest.mark.parametrize("name", RUN)
@pytest.mark.parametrize("redact", [all_hidden, no_secret, raises])
def test_what_is_hidden_is_nowhere_in_a_run(name: str, redact: Any, no_lab: None, tmp_path: Path) -> None:
    lab = labkit.start(app, redact=redact)
    run = lab.run(RUN[name]())
    assert SECRET in json.dumps(run.get(timeout=10)) or name.startswith("chunks in")
    run.wait(timeout=10)
    run.save(tmp_path / "run.json")
    assert SECRET not in (tmp_path / "run.json").read_text(encoding="utf-8")
    assert SECRET not in str(list(run.plan.nodes.values()))
    assert SECRET not in str(list(run.graph.nodes.values()))
    assert SECRET not in str(run.recording.facts)
    assert SECRET not in str(run.messages)
    assert set(run.graph.counts()) <= {"succeeded", "never ran"}
    assert labkit.load(tmp_path / "run.json").graph.counts() == run.graph.counts()


def test_what_a_task_sends_and_what_is_sent_past_the_lab_is_redacted_too(no_lab: None) -> None:
    lab = labkit.start(app, redact=no_secret)

    @lab.app.task(name="cells.starts", shared=False)
    def starts(secret: str) -> None:
        chord([ident.s(secret), ident.s(1)], chain(ident.s(), ident.si(secret))).delay()

    run = lab.run(starts.s(SECRET))
    run.wait(timeout=10)
    assert len(run.graph.nodes) == 5
    assert SECRET not in run.recording.to_json()
    result = chain(ident.s(SECRET), ident.s()).delay()
    assert result.get(timeout=10) == SECRET
    assert SECRET not in labkit.draw(result).text
    assert SECRET not in str(lab.listener.apart.facts)


def test_facts_of_another_process_are_redacted_when_they_arrive() -> None:
    recording = Recording(redaction=Redaction(no_secret))
    link = [{"task": "u", "args": [SECRET], "kwargs": {}, "options": {}}]
    told = {"args": [SECRET], "kwargs": {"x": SECRET}, "link": link, "chain": None, "chord": None, "link_error": None}
    recording.take({"kind": "published", "id": "a", "at": 1.0, "task": "t", **told})
    recording.take({"kind": "succeeded", "id": "a", "at": 2.0, "value": [SECRET]})
    recording.take({"kind": "succeeded", "id": "never heard of", "at": 3.0, "value": 3})
    assert SECRET not in str(recording.facts)
    assert [fact["value"] for fact in recording.facts if "value" in fact] == [["?"], HIDDEN]
    recording.forget(3)
    assert recording._tasks == {}


def test_given_to_a_lab_that_runs_it_is_used_from_now_on(no_lab: None) -> None:
    lab = labkit.start(app)
    assert lab.run(ident.s(SECRET)).wait(timeout=10).graph.node("#1").args == (SECRET,)
    assert labkit.start(app, redact=all_hidden) is lab
    assert lab.run(ident.s(SECRET)).wait(timeout=10).graph.node("#1").args == ("?",)
    assert labkit.start(app) is lab
    assert lab.run(ident.s(SECRET)).wait(timeout=10).graph.node("#1").args == ("?",)


def test_headers_that_carry_the_same_body_share_its_copy(no_lab: None) -> None:
    lab = labkit.start(app, redact=no_secret)
    run = lab.run(chord([mul.s(n, 2) for n in range(20)], xsum.s()))
    assert run.get(timeout=10) == 380
    carried = [fact["chord"] for fact in run.recording.facts if fact["kind"] == "published" and fact["chord"]]
    assert len(carried) == 20
    assert len({id(each) for each in carried}) == 1
