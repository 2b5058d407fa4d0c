"""Signals turned into facts: nothing of it reaches a task, all of it is put back, and memory is bounded."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from celery import Celery, chain, chord, signals
from celery.backends.base import Backend
from celery.exceptions import Ignore, Reject
from celery.result import AsyncResult
from kombu import Queue

import labkit
from labkit import listen
from labkit.graph import Graph
from labkit.listen import Listener
from labkit.origin import in_body
from labkit.record import Recording
from labkit.run import Run

pytestmark = [
    pytest.mark.filterwarnings("ignore:Exception raised outside body"),
    pytest.mark.filterwarnings("ignore::celery.exceptions.CPendingDeprecationWarning"),
]

app = Celery("listened")
app.conf.update(task_serializer="json", result_serializer="json", accept_content=["json"])

SIGNALS = (
    signals.before_task_publish,
    signals.after_task_publish,
    signals.task_received,
    signals.task_prerun,
    signals.task_success,
    signals.task_failure,
    signals.task_internal_error,
    signals.task_retry,
    signals.task_postrun,
    signals.task_revoked,
    signals.task_unknown,
    signals.task_rejected,
)


@app.task
def add(x: Any, y: Any = 0, **named: Any) -> Any:
    return x + y


@app.task(bind=True, max_retries=2)
def flaky(self: Any, times: int) -> int:
    if self.request.retries < times:
        raise self.retry(exc=KeyError("later"), countdown=0.01)
    return times


@app.task
def boom() -> None:
    raise ValueError("boom")


@app.task
def ends(how: str) -> None:
    raise {"ignore": Ignore(), "reject": Reject("no", requeue=False)}[how]


@app.task
def gives_a_set() -> Any:
    return {1}


@app.task
def sends() -> None:
    add.delay(1, 1)


@app.task
def told(task_id: str) -> None:
    """An errback by message."""


@app.task
def inline(request: Any, exc: Any, traceback: Any) -> None:
    """An errback that is called."""


@app.task
def inline_sends(request: Any, exc: Any, traceback: Any) -> None:
    add.delay(2, 2)


@app.task
def inline_raises(request: Any, exc: Any, traceback: Any) -> None:
    raise KeyError("errback")


@pytest.fixture
def lab() -> Iterator[labkit.Lab]:
    with labkit.start(app) as lab:
        yield lab


def finished(lab: labkit.Lab, canvas: Any) -> Run:
    run = lab.run(canvas)
    run.wait(timeout=10)
    return run


def facts(run: Run, kind: str) -> list[dict[str, Any]]:
    return [fact for fact in run.recording.facts if fact["kind"] == kind]


def until(true: Callable[[], Any], timeout: float = 5.0) -> None:
    end = time.monotonic() + timeout
    while not true():
        assert time.monotonic() < end
        time.sleep(0.01)


# --- what is noted ------------------------------------------------------------------------------------------


def test_a_life_in_facts(lab: labkit.Lab) -> None:
    run = finished(lab, add.s(2, y=3))
    assert [fact["kind"] for fact in run.recording.facts[:4]] == ["published", "received", "started", "succeeded"]
    published, received, started, succeeded = run.recording.facts[:4]
    assert {fact["id"] for fact in run.recording.facts} == {run.result.id}
    assert published["task"] == add.name
    assert (published["args"], published["kwargs"], published["parent"]) == ([2], {"y": 3}, None)
    assert (published["queue"], published["retries"], published["inside"]) == ("celery", 0, False)
    assert received["worker"] == lab.worker.name
    assert started["slot"].startswith("slot")
    assert succeeded["value"] == 5
    assert succeeded["seconds"] >= 0
    assert [fact["n"] for fact in run.recording.facts[:4]] == [0, 1, 2, 3]
    assert [fact["at"] for fact in run.recording.facts] == sorted(fact["at"] for fact in run.recording.facts)


def test_retries_tell_why_and_for_how_long(lab: labkit.Lab) -> None:
    run = finished(lab, flaky.s(2))
    # With next to no delay a retry may begin before the run before it is known to be over.
    assert sorted((fact["error"], fact["delay"], fact["retries"]) for fact in facts(run, "retried")) == [
        ("KeyError: 'later'", 0.01, 0),
        ("KeyError: 'later'", 0.01, 1),
    ]
    assert [fact["retries"] for fact in facts(run, "published")] == [0, 1, 2]


@pytest.mark.parametrize(("how", "state"), [("ignore", "IGNORED"), ("reject", "REJECTED")])
def test_ends_without_a_result(lab: labkit.Lab, how: str, state: str) -> None:
    assert [fact["state"] for fact in facts(finished(lab, ends.s(how)), "ended")] == [state]


def test_an_inline_errback_is_watched(lab: labkit.Lab) -> None:
    run = finished(lab, boom.s().on_error(inline.s()).on_error(told.s()))
    (called,) = facts(run, "errback")
    assert (called["task"], called["exception"], called["error"]) == (inline.name, "ValueError", None)
    assert called["id"] == run.result.id
    assert [fact["task"] for fact in facts(run, "published")] == [boom.name, told.name]


def test_an_inline_errback_that_raises_is_watched(lab: labkit.Lab) -> None:
    (called,) = facts(finished(lab, boom.s().on_error(inline_raises.s())), "errback")
    assert called["error"] == "KeyError: 'errback'"


@pytest.mark.parametrize("failing", [boom.s(), ends.s("reject")], ids=["fails", "rejects"])
def test_what_an_inline_errback_sends_belongs_to_the_run(lab: labkit.Lab, failing: Any) -> None:
    run = finished(lab, failing.on_error(inline_sends.s()))
    sent = facts(run, "published")[1]
    assert (sent["task"], sent["parent"], sent["inside"]) == (add.name, run.result.id, True)
    assert lab.listener.apart.facts == []


def test_who_sent_a_message_is_noted(lab: labkit.Lab) -> None:
    run = finished(lab, chain(sends.si(), chord([add.si(1, 1)], add.si(2, 2))).on_error(told.s()))
    inside = {tuple(fact["args"]): fact["inside"] for fact in facts(run, "published") if fact["task"] == add.name}
    assert inside[2, 2] is False
    sent = [fact["inside"] for fact in facts(run, "published") if fact["args"] == [1, 1]]
    assert sorted(sent) == [False, True]


def test_outside_of_any_task_there_is_no_body() -> None:
    assert in_body() is False


def test_a_message_that_cannot_be_sent_is_noted_as_that(lab: labkit.Lab) -> None:
    run = finished(lab, chain(gives_a_set.s(), add.s(1)))
    (unsent,) = facts(run, "unsent")
    assert unsent["id"] == run.plan.node("#2").id
    assert run.recording.open == ()
    assert run.graph.node("#2").state == "never ran"
    assert run.graph.node("#2").sent is None


def test_what_celery_refuses_to_send_leaves_no_fact(lab: labkit.Lab) -> None:
    with pytest.raises(labkit.LabError):
        lab.run(chain(add.s(1), add.s(object())))
    assert lab.listener.apart.facts == []


# --- redacted -----------------------------------------------------------------------------------------------


def test_arguments_can_be_redacted() -> None:
    def redact(task: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, Any]:
        return ["***" for _ in args], dict.fromkeys(kwargs, "***")

    with labkit.start(app, redact=redact) as lab:
        run = finished(lab, add.s("secret", y="word"))
        (published,) = facts(run, "published")
        assert (published["args"], published["kwargs"]) == (["***"], {"y": "***"})
        assert run.get() == "secretword"
        node = run.graph.node("#1")
        assert (node.args, node.kwargs) == (("***",), {"y": "***"})


def test_a_redaction_that_raises_keeps_nothing_of_the_message_and_lets_it_run() -> None:
    def redact(task: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, Any]:
        raise RuntimeError

    with labkit.start(app, redact=redact) as lab:
        run = lab.run(add.s("secret", ""))
        assert AsyncResult(run.result.id, app=app).get(timeout=5) == "secret"
        until(lambda: facts(run, "succeeded"))
        assert "secret" not in str(facts(run, "published"))


# --- harmless -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("broken", ["add", "opened", "closed"], ids=["noting a fact", "opening", "closing"])
def test_an_error_in_recording_never_fails_a_task(
    lab: labkit.Lab, monkeypatch: pytest.MonkeyPatch, broken: str
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise RuntimeError("recording is broken")

    monkeypatch.setattr(Recording, broken, fail)
    assert add.delay(1, 2).get(timeout=5) == 3
    assert chain(add.s(1, 2), add.s(3))().get(timeout=5) == 6
    assert flaky.delay(1).get(timeout=5) == 1
    with pytest.raises(ValueError, match="boom"):
        boom.s().on_error(inline.s()).delay().get(timeout=5)
    assert chord([add.s(1, 1), add.s(2, 2)])(add.s([])).get(timeout=5) == [2, 4]


def test_a_value_that_cannot_be_looked_at_does_not_fail_its_task(lab: labkit.Lab, monkeypatch: Any) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise RuntimeError("no snapshot")

    monkeypatch.setattr(listen, "snapshot", fail)
    monkeypatch.setattr(listen, "arguments", fail)
    assert add.delay(1, 2).get(timeout=5) == 3


# --- messages that nobody runs through the lab ---------------------------------------------------------------


def test_what_is_sent_past_the_lab_is_noted_apart(lab: labkit.Lab) -> None:
    result = add.delay(1, 2)
    assert result.get(timeout=5) == 3
    run = finished(lab, add.s(4, 4))
    until(lambda: any(fact["kind"] == "succeeded" for fact in lab.listener.apart.facts))
    assert {fact["id"] for fact in lab.listener.apart.facts} == {result.id}
    assert {fact["id"] for fact in run.recording.facts if fact["kind"] != "answered"} == {run.result.id}


def test_facts_that_nobody_asked_for_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listen, "KEPT_APART", 100)
    listener = Listener(app)
    for n in range(1000):
        headers = {"id": f"id{n}", "task": add.name, "root_id": f"id{n}"}
        chain = [{"task": add.name, "args": [], "kwargs": {}, "options": {"task_id": f"next{n}"}}]
        listener._publishing(([n], {}, {"chain": chain}), headers)
        listener._published()
        if n % 2:
            listener.recording_of(f"id{n}").add("started", f"id{n}")
    apart = listener.apart
    assert len(apart.facts) <= 100
    assert len(apart.known) <= 200
    assert len(apart.open) <= 100
    assert len(listener._owners) <= 200
    assert apart.facts[-1]["id"] == "id999"
    assert isinstance(apart.graph, Graph)


def test_a_run_that_is_gone_is_not_kept(lab: labkit.Lab) -> None:
    run = finished(lab, add.s(1, 1))
    id = run.result.id
    assert lab.listener.recording_of(id) is run.recording
    lab._active.clear()
    del run
    until(lambda: lab.listener.recording_of(id) is lab.listener.apart)


def test_a_queue_may_be_an_object(lab: labkit.Lab) -> None:
    """Then the message declares a queue that the app does not know."""
    run = lab.run(add.s(1, 2).set(queue=Queue(lab.queues[0])))
    assert run.get() == 3
    assert [fact["kind"] for fact in run.recording.facts].count("published") == 1


def test_another_app_is_not_listened_to(lab: labkit.Lab) -> None:
    other = Celery("other", broker="memory://", set_as_current=False)

    @other.task(name="other.one")
    def one() -> None:
        pass

    before = len(lab.listener.apart.facts)
    one.delay()
    assert len(lab.listener.apart.facts) == before


# --- back as it was -----------------------------------------------------------------------------------------


def receivers() -> list[int]:
    return [len(signal.receivers or ()) for signal in SIGNALS]


def test_disconnected_celery_is_as_it_was() -> None:
    before, errbacks = receivers(), Backend._call_task_errbacks
    listener = Listener(app)
    listener.connect()
    assert receivers() == [each + 1 for each in before]
    assert Backend._call_task_errbacks is not errbacks
    listener.connect()
    assert receivers() == [each + 1 for each in before]
    listener.disconnect()
    assert receivers() == before
    assert Backend._call_task_errbacks is errbacks
    listener.disconnect()
    assert receivers() == before


def test_a_lab_leaves_no_receiver_behind() -> None:
    before, errbacks = receivers(), Backend._call_task_errbacks
    for _ in range(2):
        with labkit.start(app) as lab:
            finished(lab, add.s(1, 1))
    assert receivers() == before
    assert Backend._call_task_errbacks is errbacks


def test_somebody_elses_patch_is_left_in_place(monkeypatch: pytest.MonkeyPatch) -> None:
    listener = Listener(app)
    monkeypatch.setattr(Backend, "_call_task_errbacks", Backend._call_task_errbacks)
    listener.connect()

    def theirs(*_: Any) -> None:
        pass

    Backend._call_task_errbacks = theirs
    listener.disconnect()
    assert Backend._call_task_errbacks is theirs


def test_a_recursion_in_a_body_does_not_slow_down_sending() -> None:
    depth = sys.getrecursionlimit() // 2
    took: list[float] = []

    def down(left: int) -> None:
        if left:
            down(left - 1)
            return
        started = time.perf_counter()
        in_body()
        took.append(time.perf_counter() - started)

    thread = threading.Thread(target=down, args=(depth,))
    thread.start()
    thread.join()
    assert took[0] < 0.01
