"""Facts folded onto a plan: states, attempts, times, and the true reason why something never ran."""

from __future__ import annotations

from typing import Any

import pytest
from celery import chain, chord, group

from labkit.graph import Graph
from labkit.happened import fold
from labkit.plan import plan
from tests.facts import Story
from tests.workflows import boom, double, eb1, eb3, linked, plus, replaced, t, u


def states(graph: Graph) -> list[str]:
    return [node.state for node in graph.nodes.values()]


def one() -> Story:
    """A task, sent."""
    return Story(plan(t.s())).sent("#1", t.name)


# --- one task -----------------------------------------------------------------------------------------------


def test_a_life_step_by_step() -> None:
    story = Story(plan(t.s()))
    seen = [story.graph().node("#1").state]
    for kind, more in (
        ("published", {}),
        ("received", {"worker": "w"}),
        ("started", {"worker": "w"}),
        ("succeeded", {"value": 4, "seconds": 1.0}),
    ):
        story.sent("#1", t.name) if kind == "published" else story.add(kind, "#1", **more)
        seen.append(story.graph().node("#1").state)
    assert seen == ["planned", "sent", "received", "running", "succeeded"]
    node = story.graph().node("#1")
    assert (node.sent, node.received, node.started, node.finished) == (100.0, 101.0, 102.0, 103.0)
    assert (node.worker, node.value, len(node.attempts)) == ("w", 4, 1)
    assert (node.attempts[0].when, node.attempts[0].seconds, node.attempts[0].why) == (102.0, 1.0, None)


def test_the_plan_stays_as_it_is() -> None:
    before = plan(chain(t.s(), u.s()))
    again = Graph.from_dict(before.to_dict())
    story = Story(before).sent("#1", t.name).ran("#1", "failed").sent("x", parent="#1")
    assert len(story.graph().nodes) == 3
    assert before == again


def test_a_life_can_be_heard_before_its_message() -> None:
    story = Story(plan(t.s())).ran("#1", value=1).sent("#1", t.name)
    assert story.graph().node("#1").state == "succeeded"


@pytest.mark.parametrize(
    ("kind", "more", "state", "error", "reason"),
    [
        ("failed", {"error": "ValueError: x"}, "failed", "ValueError: x", None),
        ("ended", {"state": "IGNORED"}, "rejected", None, "raised Ignore, so it ended without a result"),
        ("ended", {"state": "REJECTED"}, "rejected", None, "raised Reject, so it ended without a result"),
        ("revoked", {"why": "it expired before it was run"}, "revoked", None, "it expired before it was run"),
        ("unregistered", {"task": t.name}, "failed", f"NotRegistered: {t.name!r}", None),
        (
            "rejected",
            {"why": "the worker could not read the message: x"},
            "rejected",
            None,
            "the worker could not read",
        ),
        ("lost", {"why": "its worker was killed"}, "lost", None, "its worker was killed"),
    ],
)
def test_ends(kind: str, more: dict[str, Any], state: str, error: str | None, reason: str | None) -> None:
    node = one().add(kind, "#1", **more).graph().node("#1")
    assert node.state == state
    assert node.error == error
    assert (node.reason or "").startswith(reason or "")
    assert bool(node.reason) == bool(reason)
    assert node.finished == 101.0


def test_a_reject_that_is_put_back_is_waiting_again() -> None:
    story = one().ran("#1", "ended", state="REJECTED", requeued=True)
    assert story.graph().node("#1").state == "sent"
    assert story.graph().node("#1").note == "rejected, and back in the queue"
    assert story.ran("#1", value=1).graph().node("#1").state == "succeeded"


def test_retries_are_attempts() -> None:
    story = one().ran("#1", "retried", error="KeyError: 'x'", delay=3.0)
    story.sent("#1", t.name, retries=1)
    assert story.graph().node("#1").state == "retrying"
    story.ran("#1", "retried", retries=1, error="KeyError: 'y'", delay=0.0).sent("#1", t.name, retries=2)
    node = story.ran("#1", retries=2, value=7).graph().node("#1")
    assert [(attempt.why, attempt.delay) for attempt in node.attempts] == [
        ("KeyError: 'x'", 3.0),
        ("KeyError: 'y'", 0.0),
        (None, None),
    ]
    assert (node.state, node.value, node.error, node.note) == ("succeeded", 7, None, None)
    assert len(story.graph().nodes) == 1


def test_a_retry_can_begin_before_the_last_run_is_known_to_be_over() -> None:
    story = one().add("started", "#1", retries=0).sent("#1", t.name, retries=1)
    story.ran("#1", retries=1, value=7).add("retried", "#1", retries=0, error="KeyError: 'x'", delay=0.0)
    node = story.graph().node("#1")
    assert node.state == "succeeded"
    assert [attempt.why for attempt in node.attempts] == ["KeyError: 'x'", None]


def test_delivered_twice_it_has_two_attempts() -> None:
    story = one().add("started", "#1", worker="one").add("redelivered", "#1").ran("#1", value=1)
    node = story.graph().node("#1")
    assert [attempt.why for attempt in node.attempts] == ["it was delivered once more before this run had ended", None]
    assert node.note == "ran 2 times"


def test_sent_twice_is_said() -> None:
    story = one().sent("#1", t.name).add("started", "#1").add("started", "#1").add("succeeded", "#1", value=1)
    assert story.graph().node("#1").note == "sent more than once"


def test_a_message_that_could_not_be_sent_was_not_sent() -> None:
    story = Story(plan(t.s() | u.s())).sent("#1", t.name).ran("#1").sent("#2", u.name, parent="#1")
    story.add("unsent", "#2", retries=0)
    node = story.graph().node("#2")
    assert node.sent is None
    assert (node.state, node.reason) == ("never ran", "#1 ended without sending it")


def test_what_celery_answers_stands_beside_what_happened() -> None:
    story = Story(plan(t.s() | u.s())).sent("#1", t.name).ran("#1", "failed")
    story.add("answered", "#2", state="FAILURE", error="ValueError: boom")
    node = story.graph().node("#2")
    assert (node.state, node.backend_state, node.error) == ("never ran", "FAILURE", "ValueError: boom")
    assert node.reason == "#1 failed"


def test_a_final_answer_tells_of_a_task_that_nobody_reported() -> None:
    node = one().add("answered", "#1", state="SUCCESS", final=True, value=5, error=None).graph().node("#1")
    assert (node.state, node.value, node.note) == ("succeeded", 5, "as the backend answers")
    node = one().add("answered", "#1", state="FAILURE", final=True, value=None, error="E").graph().node("#1")
    assert (node.state, node.error) == ("failed", "E")


def test_a_body_has_ended_when_its_next_step_is_sent() -> None:
    story = Story(plan(t.s() | u.s())).sent("#1", t.name).add("received", "#1").add("started", "#1")
    story.sent("#2", u.name, parent="#1", inside=False).add("succeeded", "#1", value=1, seconds=1.0)
    node = story.graph().node("#1")
    assert node.finished == 103.0
    assert node.attempts[0].seconds == 1.0


# --- why something never ran --------------------------------------------------------------------------------


def failed_after(canvas: Any, *ran: str, failing: str, end: str = "failed", **more: Any) -> Graph:
    """The canvas, these nodes run, then this one ends so."""
    story = Story(plan(canvas))
    for name in (*ran, failing):
        story.sent(name, story.plan.node(name).task)
    for name in ran:
        story.ran(name)
    return story.ran(failing, end, **more).graph()


def reasons(graph: Graph) -> dict[str, str | None]:
    return {graph.number(key): node.reason for key, node in graph.nodes.items() if node.state == "never ran"}


def test_nothing_is_concluded_while_it_may_still_run() -> None:
    story = Story(plan(chord([t.s(), t.s()], u.s()) | t.s())).sent("#1", t.name).sent("#2", t.name).ran("#1")
    assert reasons(story.graph()) == {}
    assert states(story.graph()) == ["succeeded", "sent", "planned", "planned"]


def test_steps_behind_a_failure() -> None:
    graph = failed_after(chain(t.s(), t.s(), u.s()), failing="#1")
    assert reasons(graph) == {"#2": "#1 failed", "#3": "#2 did not run"}


@pytest.mark.parametrize(
    ("end", "more", "why"),
    [
        ("failed", {}, "failed"),
        ("revoked", {"why": "revoked before it was run"}, "was revoked"),
        ("ended", {"state": "IGNORED"}, "ended without a result"),
        ("lost", {"why": "killed"}, "was lost"),
    ],
)
def test_a_header_that_did_not_succeed(end: str, more: dict[str, Any], why: str) -> None:
    graph = failed_after(chord([t.s(), boom.s()], u.s()), "#1", failing="#2", end=end, **more)
    assert reasons(graph) == {"#3": f"header #2 {why}"}


def test_the_reason_is_certain_as_soon_as_one_header_failed() -> None:
    story = Story(plan(chord([t.s(), boom.s()], u.s()))).sent("#1", t.name).sent("#2", boom.name).ran("#2", "failed")
    assert reasons(story.graph()) == {"#3": "header #2 failed"}


def test_a_group_behind_a_failed_header() -> None:
    graph = failed_after(chord([t.s(), t.s()], group(u.s(), u.s())), "#1", failing="#2")
    assert reasons(graph) == {"#3": "header #2 failed", "#4": "header #2 failed"}


def test_a_callback_of_a_failure() -> None:
    graph = failed_after(linked(t.s(), u.s()), failing="#1")
    assert reasons(graph) == {"#2": "#1 failed; a callback runs on success only"}


def test_an_errback_of_a_success() -> None:
    story = Story(plan(t.s().on_error(eb1.s()))).sent("#1", t.name).ran("#1")
    assert reasons(story.graph()) == {"#2": "#1 did not fail"}


def test_an_errback_of_many_where_nothing_failed() -> None:
    story = Story(plan(chain(t.s(), u.s()).on_error(eb1.s()))).sent("#1", t.name).ran("#1").sent("#2", u.name)
    assert reasons(story.graph()) == {}
    assert reasons(story.ran("#2").graph()) == {"#3": "none of its tasks failed"}


def test_an_errback_that_celery_forgot() -> None:
    graph = failed_after(boom.s().on_error(eb1.s()), failing="#1")
    assert reasons(graph) == {"#2": "#1 failed, but Celery did not call it"}


def test_the_rest_was_cut_off() -> None:
    story = Story(plan(chain(t.s(), t.s(), u.s()))).sent("#1", t.name).ran("#1")
    assert reasons(story.graph()) == {"#2": "#1 ended without sending it", "#3": "#2 did not run"}


def test_a_body_that_could_not_be_sent_says_why() -> None:
    story = Story(plan(chord([t.s()], u.s()))).sent("#1", t.name).ran("#1")
    story.add("answered", "#2", state="FAILURE", error="ChordError: Callback error")
    assert reasons(story.graph()) == {"#2": "it could not be sent: ChordError: Callback error"}


def test_items_share_the_fate_of_their_message() -> None:
    story = Story(plan(double.map([1, 2]))).sent("#1", "celery.map")
    assert states(story.graph()) == ["sent", "planned", "planned"]
    graph = Story(story.plan).sent("#1", "celery.map").ran("#1", value=[2, 4]).graph()
    assert [node.value for node in graph.nodes.values()] == [[2, 4], 2, 4]
    graph = Story(story.plan).sent("#1", "celery.map").ran("#1", "failed").graph()
    assert states(graph) == ["failed", "unknown", "unknown"]
    assert graph.node("#2").reason == "one item failed, and Celery does not tell which"
    graph = Story(story.plan).sent("#1", "celery.map").add("revoked", "#1", why="x").graph()
    assert states(graph) == ["revoked", "never ran", "never ran"]
    assert graph.node("#3").reason == "#1 was revoked"


def test_items_of_a_message_that_never_ran() -> None:
    graph = failed_after(t.s() | plus.starmap([(1, 2)]), failing="#1")
    assert reasons(graph) == {"#2": "#1 failed", "#3": "#2 did not run"}


# --- errbacks and replacements ------------------------------------------------------------------------------


def test_an_errback_called_inline() -> None:
    story = Story(plan(boom.s().on_error(eb3.s()))).sent("#1", boom.name)
    story.add("errback", "#1", task=eb3.name, exception="ValueError", error=None).ran("#1", "failed")
    node = story.graph().node("#2")
    assert (node.state, node.id, node.note) == ("succeeded", None, "called with ValueError")
    assert node.args == (story.id("#1"),)
    assert len(story.graph().nodes) == 2


def test_an_inline_errback_that_raises_failed_itself() -> None:
    story = Story(plan(boom.s().on_error(eb3.s()))).sent("#1", boom.name)
    story.add("errback", "#1", task=eb3.name, exception="ValueError", error="KeyError: 'x'").ran("#1", "failed")
    assert (story.graph().node("#2").state, story.graph().node("#2").error) == ("failed", "KeyError: 'x'")


def test_replaced_by_one_task() -> None:
    story = Story(plan(t.s() | replaced.s() | u.s())).sent("#1", t.name).ran("#1").sent("#2", replaced.name)
    story.add("started", "#2", nesting=0).sent("#2", u.name, parent="#2", nesting=1)
    story.add("ended", "#2", state="IGNORED", nesting=0).ran("#2", nesting=1, value=9).sent("#3", u.name, nesting=1)
    graph = story.ran("#3", nesting=1, value=10).graph()
    assert states(graph) == ["succeeded"] * 4
    old, new = graph.by_id(story.id("#2"))
    assert (old.note, old.value, new.value, new.planned) == ("replaced itself", None, 9, False)
    edges = {(graph.number(e.source), graph.number(e.target), e.kind) for e in graph.edges}
    assert edges == {("#1", "#2", "result"), ("#2", "#4", "replaced"), ("#4", "#3", "result")}


def test_what_follows_a_replacement_can_be_replaced_itself() -> None:
    # Celery sends the depth of a replacement with all that comes after it.
    story = Story(plan(replaced.s() | replaced.s())).sent("#1", replaced.name)
    story.add("started", "#1", nesting=0).sent("#1", u.name, parent="#1", nesting=1)
    story.add("ended", "#1", state="IGNORED", nesting=0).ran("#1", nesting=1).sent("#2", replaced.name, nesting=1)
    story.add("started", "#2", nesting=1).sent("#2", u.name, parent="#2", nesting=2)
    story.add("ended", "#2", state="IGNORED", nesting=1).ran("#2", nesting=2, value=3)
    graph = story.graph()
    assert [node.task.rpartition(".")[2] for node in graph.nodes.values()] == ["replaced", "replaced", "u", "u"]
    edges = {(graph.number(e.source), graph.number(e.target), e.kind) for e in graph.edges}
    assert edges == {("#1", "#3", "replaced"), ("#3", "#2", "result"), ("#2", "#4", "replaced")}


def test_ignored_without_a_replacement() -> None:
    graph = failed_after(t.s() | u.s(), failing="#1", end="ended", state="IGNORED")
    assert states(graph) == ["rejected", "never ran"]


def test_facts_about_nobody_are_passed_over() -> None:
    story = one().ran("stranger").add("answered", "stranger", state="SUCCESS").add("revoked", "stranger", why="x")
    assert states(story.graph()) == ["sent"]
    assert fold(Graph(), []) == Graph()
