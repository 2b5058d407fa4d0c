"""The examples of Celery's canvas guide, in its order, each with what it really does on the pinned version."""

import io
import json
import re
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from celery import chain, chord, group, signature, subtask
from celery.exceptions import ChordError, IncompleteStream
from celery.result import AsyncResult, GroupResult, allow_join_result
from kombu.exceptions import EncodeError

import labkit
import tasks
from tasks import add, app, mul, xsum

# Celery warns in the worker when what comes after a body cannot be sent.
pytestmark = pytest.mark.filterwarnings("ignore:Exception raised outside body")

#: Seconds that anything may take.
SOON = 10

seen: list[Any] = []


@pytest.fixture(scope="module", autouse=True)
def lab() -> Iterator[labkit.Lab]:
    with labkit.start(tasks.app) as lab:
        yield lab


@pytest.fixture(autouse=True)
def nothing_seen() -> None:
    seen.clear()


@app.task(name="guide.log_result")
def log_result(result: Any) -> None:
    seen.append(result)


@app.task(name="guide.reset_buffers")
def reset_buffers() -> None:
    seen.append("reset")


@app.task(name="guide.raising_task")
def raising_task() -> None:
    raise ValueError("something something")


@app.task(name="guide.log_error")
def log_error(task_id: str) -> str:
    result = AsyncResult(task_id, app=app)
    seen.append((task_id, result.result, bool(result.traceback)))
    return "written"


@app.task(name="guide.log_error_waits")
def log_error_waits(task_id: str) -> None:
    AsyncResult(task_id, app=app).get(propagate=False)


@app.task(name="guide.log_error_inline")
def log_error_inline(request: Any, exc: Exception, traceback: Any) -> None:
    seen.append((request.id, exc))


@app.task(name="guide.user")
def user(**fields: str) -> str:
    return fields["username"]


@app.task(name="guide.import_contacts")
def import_contacts(username: str) -> str:
    return f"contacts of {username}"


@app.task(name="guide.send_welcome_email")
def send_welcome_email(username: str) -> str:
    return f"mail to {username}"


def value(result: Any) -> Any:
    """The value of something that was sent."""
    return result.get(timeout=SOON)


def until(condition: Callable[[], Any]) -> None:
    """Wait for it."""
    end = time.monotonic() + SOON
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


# --- signatures and partials ----------------------------------------------------------------------------------


def test_a_signature_by_name() -> None:
    by_name = signature("tasks.add", args=(2, 2), countdown=10)
    assert repr(by_name) == "tasks.add(2, 2)"
    assert dict(by_name.options) == {"countdown": 10}


def test_signatures_of_a_task() -> None:
    assert repr(add.signature((2, 2), countdown=10)) == "tasks.add(2, 2)"
    assert repr(add.s(2, 2)) == "tasks.add(2, 2)"
    assert repr(add.s(2, 2, debug=True)) == "tasks.add(2, 2, debug=True)"
    full = add.signature((2, 2), {"debug": True}, countdown=10)
    assert (full.args, full.kwargs, dict(full.options)) == ((2, 2), {"debug": True}, {"countdown": 10})


def test_calling_here_and_sending() -> None:
    assert add(2, 2) == add.s(2, 2)() == 4
    assert value(add.delay(2, 2)) == value(add.s(2, 2).delay()) == 4
    assert value(add.apply_async((2, 2))) == value(add.apply_async(args=(2, 2), kwargs={}, countdown=0)) == 4
    assert value(add.signature((2, 2), countdown=0).apply_async()) == 4
    with pytest.raises(TypeError):
        add.apply_async(2, 2)


def test_set_changes_the_signature_itself() -> None:
    original = add.s(2, 2)
    assert original.set(countdown=1) is original
    assert original.options["countdown"] == 1


def test_partials() -> None:
    partial = add.s(2)
    assert value(partial.delay(4)) == value(partial.apply_async((4,))) == 6
    assert repr(tasks.sub.s(2).clone((10,))) == "tasks.sub(10, 2)"  # new arguments in front
    assert value(tasks.sub.s(2).delay(10)) == 8


def test_keyword_arguments_and_options_merge_and_the_new_ones_win() -> None:
    partial = user.s(username="ada")
    assert value(partial.delay(username="bob")) == "bob"
    assert value(partial.apply_async(kwargs={"username": "cyd"})) == "cyd"
    late = add.signature((2, 2), countdown=10)
    run = labkit.run(late.clone().set(countdown=0))
    run.wait(timeout=SOON)
    assert run.result.get(timeout=SOON) == 4
    assert value(late.apply_async(countdown=0)) == 4


def test_clone_with_more() -> None:
    assert repr(add.s(2).clone(args=(4,), kwargs={"debug": True})) == "tasks.add(4, 2, debug=True)"


# --- immutability ---------------------------------------------------------------------------------------------


def test_a_callback_that_wants_no_result() -> None:
    for callback in (reset_buffers.signature(immutable=True), reset_buffers.si()):
        seen.clear()
        add.apply_async((2, 2), link=callback)
        until(lambda: seen == ["reset"])


def test_an_immutable_signature_can_be_called_with_arguments_and_drops_them() -> None:
    assert value(add.si(2, 2).delay(100)) == 4
    assert value(signature("tasks.add", args=(2, 2), immutable=True).delay()) == 4


def test_the_shorthand_for_a_shell() -> None:
    with allow_join_result():
        assert ~add.s(2, 2) == 4


def test_a_callback_as_a_partial() -> None:
    result = add.apply_async((2, 2), link=add.s(8))
    assert value(result) == 4
    assert value(result.children[0]) == 12
    assert value(add.s(10).delay(4)) == 14


# --- the primitives -------------------------------------------------------------------------------------------


def test_chains() -> None:
    assert value(chain(add.s(2, 2), add.s(4), add.s(8))()) == 16
    assert value((add.s(2, 2) | add.s(4) | add.s(8))()) == 16
    assert value((add.s(2, 2) | mul.s(8) | mul.s(10)).delay()) == 320
    assert value(chain(add.s(4, 4), mul.s(10))()) == 80


def test_the_chain_of_independent_tasks_fails_as_it_is_printed() -> None:
    misprinted = (add.si(2, 2) | add.si(4, 4) | add.s(8, 8))()
    with pytest.raises(TypeError, match="takes 2 positional arguments but 3 were given"):
        value(misprinted.parent)  # the second step is charged with it
    assert misprinted.parent.parent.state == "SUCCESS"
    assert not misprinted.children
    result = (add.si(2, 2) | add.si(4, 4) | add.si(8, 8))()
    assert [value(result), value(result.parent), value(result.parent.parent)] == [16, 8, 4]


def test_partial_chains() -> None:
    first = add.s(4) | mul.s(8)
    assert value(first(16)) == 160
    assert value((add.s(4, 16) | mul.s(2) | first)()) == 352


def test_a_chain_as_it_shows() -> None:
    assert repr(chain(add.s(4, 4), mul.s(8), mul.s(10))) == "tasks.add(4, 4) | mul(8) | mul(10)"


def test_results_of_a_chain_through_its_parents() -> None:
    result = chain(add.s(4, 4), mul.s(8), mul.s(10))()
    assert [value(result), value(result.parent), value(result.parent.parent)] == [640, 64, 8]


def test_groups() -> None:
    assert value(group(add.s(i, i) for i in range(10))()) == [0, 2, 4, 6, 8, 10, 12, 14, 16, 18]
    assert value(group(add.s(i, i) for i in range(100)).delay()) == [2 * i for i in range(100)]
    assert repr(group(add.s(2, 2), add.s(4, 4))) == "group((tasks.add(2, 2), add(4, 4)))"
    assert value(group(add.s(2, 2), add.s(4, 4)).apply()) == [4, 8]


def test_a_group_is_sent_not_run_by_the_caller(lab: labkit.Lab) -> None:
    lab.pause()
    try:
        result = group(add.s(2, 2), add.s(4, 4))()
        assert not result.ready()
        assert not result.successful()
    finally:
        lab.resume()
    assert value(result) == [4, 8]


def test_what_a_group_result_tells() -> None:
    result = group(add.s(2, 2), add.s(4, 4), add.s(8, 8), add.s(16, 16), add.s(32, 32))()
    assert result.join(timeout=SOON) == [4, 8, 16, 32, 64]
    assert (result.ready(), result.successful(), result.failed(), result.waiting()) == (True, True, False, False)
    assert result.completed_count() == 5
    result.save()
    assert value(GroupResult.restore(result.id, app=app)) == [4, 8, 16, 32, 64]
    result.delete()


def test_chords() -> None:
    assert value(chord((add.s(i, i) for i in range(10)), xsum.s())()) == 90
    assert value(chord(add.s(i, i) for i in range(100))(xsum.s())) == 9900
    header, body = [add.s(i, i) for i in range(100)], xsum.s()
    assert value(chord(header)(body)) == sum(i + i for i in range(100)) == 9900
    assert value(chord([add.s(2, 2), add.s(4, 4)])(mul.s(2))) == [4, 8, 4, 8]


def test_an_immutable_body_gets_no_list() -> None:
    assert value(chord((add.s(i, i) for i in range(3)), add.si(1, 1))()) == 2


def test_a_group_with_a_task_behind_it_is_a_chord() -> None:
    piped = group(add.s(i, i) for i in range(10)) | xsum.s()
    assert isinstance(piped, chord)
    assert value(piped()) == 90


def test_a_task_in_front_of_a_group() -> None:
    both = user.s() | group(import_contacts.s(), send_welcome_email.s())
    sent = both.delay(username="artv", first="Art", last="Vandelay", email="art@vandelay.com")
    assert value(sent) == ["contacts of artv", "mail to artv"]


def test_the_result_of_a_chain_that_ends_in_a_group() -> None:
    result = (add.s(4, 4) | group(add.si(i, i) for i in range(10)))()
    assert isinstance(result, GroupResult)
    assert value(result) == [2 * i for i in range(10)]
    assert value(result.parent) == 8


# --- callbacks and errbacks -----------------------------------------------------------------------------------


def test_callbacks_and_their_results() -> None:
    result = add.apply_async((2, 2), link=mul.s(16))
    assert value(result) == 4
    assert [value(child) for child in result.children] == [64]
    assert [pair[1] for pair in result.collect()] == [4, 64]
    assert [pair[1] for pair in result.collect(intermediate=True)] == [4, 64]


def test_collect_waits_and_iterdeps_raises(lab: labkit.Lab) -> None:
    lab.pause()
    try:
        result = add.apply_async((2, 2), link=mul.s(16))
        with pytest.raises(IncompleteStream):
            list(result.iterdeps())
        with pytest.raises(IncompleteStream):
            _ = result.graph
    finally:
        lab.resume()
    assert [pair[1] for pair in result.collect()] == [4, 64]


def test_several_callbacks() -> None:
    sig = add.s(2, 2)
    assert repr(sig.link(mul.s(4))) == "tasks.mul(4)"  # the callback, not the signature
    sig.link(log_result.s())
    result = sig.delay()
    assert value(result) == 4
    until(lambda: seen == [4])
    assert isinstance(result.children[0], GroupResult)


def test_an_errback_with_one_parameter_gets_the_id() -> None:
    result = raising_task.apply_async(link_error=log_error.s())
    value_or_error = result.get(timeout=SOON, propagate=False)
    assert isinstance(value_or_error, ValueError)
    until(lambda: seen)
    ((told, error, has_traceback),) = seen
    assert (told, str(error), has_traceback) == (result.id, "something something", True)


def test_an_errback_that_waits_is_refused() -> None:
    run = labkit.run(raising_task.s().on_error(log_error_waits.s()))
    run.wait(timeout=SOON)
    (errback,) = [node for node in run.graph.nodes.values() if node.role == "errback"]
    assert errback.error == (
        "RuntimeError: Never call result.get() within a task!\n"
        "See https://docs.celeryq.dev/en/latest/userguide/tasks.html#avoid-launching-synchronous-subtasks\n"
    )


def test_an_errback_with_three_parameters_gets_the_exception_itself() -> None:
    result = raising_task.signature(link_error=log_error_inline.s()).apply_async()
    until(lambda: seen)
    ((told, error),) = seen
    assert (told, type(error)) == (result.id, ValueError)
    assert add.signature((2, 2), link_error=log_error.s()).options["link_error"]["task"] == log_error.name


# --- graphs ---------------------------------------------------------------------------------------------------


def test_the_graph_of_a_chain_is_that_of_its_first_result() -> None:
    result = chain(add.s(4, 4), mul.s(8), mul.s(10))()
    value(result)
    graph = result.parent.parent.graph
    assert type(graph).__module__ == "celery.utils.graph"
    assert len(list(graph)) == 3
    assert len(list(result.graph)) == 1
    names = {result.parent.parent.id: "A", result.parent.id: "B", result.id: "C"}
    shown = re.sub("|".join(names), lambda match: names[match[0]], str(graph))
    assert shown.split("\n")[:3] == ["A(2)", "     B(1)", "          C(0)"]
    out = io.StringIO()
    assert graph.to_dot(out) is None
    assert out.getvalue().startswith("digraph dependencies {")


# --- failing chords -------------------------------------------------------------------------------------------


def test_a_chord_without_a_body_cannot_be_called() -> None:
    c = chord([add.s(4, 4), raising_task.s(), add.s(8, 8)])
    with pytest.raises(AttributeError, match="'NoneType' object has no attribute 'clone'"):
        c()


def test_a_failing_header() -> None:
    result = chord([add.s(4, 4), raising_task.s(), add.s(8, 8)], xsum.s())()
    with pytest.raises(ValueError, match="something something"):
        value(result)
    with pytest.raises(ChordError, match=r"^Dependency [-0-9a-f]{36} raised ValueError\('something something'\)$"):
        result.get(timeout=SOON, follow_parents=False)
    assert [value(result.parent.results[0]), value(result.parent.results[2])] == [8, 16]
    assert "ChordError" in result.traceback
    assert "raise ValueError" not in result.traceback
    assert "raise ValueError" in result.parent.results[1].traceback


def test_the_error_named_is_the_first_of_the_header_not_the_first_in_time() -> None:
    @app.task(name="guide.fails_late")
    def fails_late() -> None:
        until(lambda: seen)
        raise KeyError("late")

    @app.task(name="guide.fails_at_once")
    def fails_at_once() -> None:
        seen.append("failed")
        raise ValueError("at once")

    result = chord([fails_late.s(), fails_at_once.s()], xsum.s())()
    with pytest.raises(ChordError, match="KeyError"):
        result.get(timeout=SOON, follow_parents=False)


def test_a_chord_of_tasks_that_ignore_their_results_runs_on_redis() -> None:
    @app.task(name="guide.ignored", ignore_result=True)
    def ignored() -> int:
        return 1

    assert value(chord([ignored.s() for _ in range(3)], xsum.s())()) == 3


def test_the_join_is_counted_in_redis_not_polled() -> None:
    run = labkit.run(chord([add.s(1, 1), add.s(2, 2)], xsum.s()))
    run.wait(timeout=SOON)
    assert [message.task for message in run.messages] == ["tasks.add", "tasks.add", "tasks.xsum"]


# --- map, starmap, chunks -------------------------------------------------------------------------------------


def test_map_knows_no_range() -> None:
    with pytest.raises(EncodeError, match="range is not JSON serializable"):
        xsum.map([range(10), range(100)]).delay()
    run = labkit.run(xsum.map([list(range(10)), list(range(100))]))
    run.wait(timeout=SOON)
    assert value(run.result) == [45, 4950]
    assert [message.task for message in run.messages] == ["celery.map"]


def test_starmap() -> None:
    mapped = add.starmap(zip(range(10), range(10), strict=True))
    assert mapped.task == "celery.starmap"
    assert value(mapped.delay()) == [0, 2, 4, 6, 8, 10, 12, 14, 16, 18]
    assert value(add.starmap([(2, 2), (4, 4)]).apply_async(countdown=0)) == [4, 8]


def test_chunks_send_one_message_for_each_part() -> None:
    expected = [[2 * i for i in range(start, start + 10)] for start in range(0, 100, 10)]
    parts = add.chunks(zip(range(100), range(100), strict=True), 10)
    assert value(parts()) == expected
    again = add.chunks(zip(range(100), range(100), strict=True), 10).apply_async()
    assert len(again.results) == 10  # the guide says that this makes one task
    assert value(again) == expected
    assert len(add.chunks(zip(range(1000), range(1000), strict=True), 10).group().tasks) == 100


def test_a_skewed_group() -> None:
    parts = add.chunks(zip(range(100), range(100), strict=True), 10).group()
    skewed = parts.skew(start=1, stop=10)
    assert [part.options["countdown"] for part in skewed.tasks] == [float(n) for n in range(1, 11)]


# --- other texts ----------------------------------------------------------------------------------------------


def test_a_signature_is_json_and_a_subtask_is_a_signature() -> None:
    assert value(signature(json.loads(json.dumps(add.s(2, 2))), app=app).delay()) == 4
    assert subtask is signature


def test_calls_in_the_place_of_signatures() -> None:
    with pytest.raises(TypeError, match="'int' object is not iterable"):
        add.signature(2, 2)
    with pytest.raises(AttributeError, match="'int' object has no attribute"):
        group(add(1, 1), add(2, 2))()
    with pytest.raises(TypeError, match=r"unsupported operand type\(s\) for \|"):
        chain(add.s(1, 1), chord([add.s(1, 1)])(xsum.s()))
    assert value(chain(add.s(1, 1), chord([add.s(1), add.s(2)], xsum.s()))()) == 7
