"""The exercises of lesson 01: right answers of several kinds are accepted, a bank of wrong ones is refused."""

import copy
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from celery import group, signature
from celery.canvas import Signature

import labkit
from labkit.practice import done_exercises
from tasks import add, app, mul, slow, xsum


@pytest.fixture(scope="module")
def lab() -> Iterator[labkit.Lab]:
    lab = labkit.start(app)
    yield lab
    lab.stop()


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lab: labkit.Lab) -> None:
    monkeypatch.chdir(tmp_path)


def raises(*_: Any) -> Any:
    raise RuntimeError("not today")


# --- 01.4: one list for all batches, and ways out of it -----------------------------------------------------------


def batches_by(make: Callable[[list[int]], Any]) -> Callable[[list[list[int]]], list[Any]]:
    """The broken function of the lesson, with ``make(batch)`` for its ``xsum.s(batch)``."""

    def answer(batches: list[list[int]]) -> list[Any]:
        batch: list[int] = []
        found = []
        for numbers in batches:
            batch.clear()
            batch.extend(numbers)
            found.append(make(batch))
        return found

    return answer


def through_json(sig: Any) -> Any:
    return signature(json.loads(json.dumps(sig)))


# --- 01.5 ---------------------------------------------------------------------------------------------------------


def cloned(sig: Any, countdowns: list[float]) -> list[Any]:
    return [sig.clone().set(countdown=seconds) for seconds in countdowns]


def only_the_first(sig: Any, countdowns: list[float]) -> list[Any]:
    return [sig.clone().set(countdown=countdowns[0])]


def the_same_again(sig: Any, countdowns: list[float]) -> list[Any]:
    one = sig.clone()
    return [one.set(countdown=seconds) for seconds in countdowns]


# --- right answers ------------------------------------------------------------------------------------------------

RIGHT: list[tuple[str, str, Callable[[], Any]]] = [
    ("01.1", "the solution", lambda: list("BDCAE")),
    ("01.1", "a tuple", lambda: tuple("BDCAE")),
    ("01.1", "one text", lambda: "bdcae"),
    ("01.2", "the solution", lambda: lambda x, y: mul.s(x, y).set(countdown=0.2)),
    ("01.2", "the long form", lambda: lambda x, y: mul.signature((x, y), countdown=0.2)),
    ("01.2", "by name", lambda: lambda x, y: signature("tasks.mul", args=(x, y), countdown=0.2)),
    ("01.2", "by keyword", lambda: lambda x, y: mul.s(x=x, y=y).set(countdown=0.25)),
    ("01.3", "the solution", lambda: lambda text: signature(json.loads(text))),
    ("01.3", "from_dict", lambda: lambda text: Signature.from_dict(json.loads(text))),
    ("01.3", "the app's", lambda: lambda text: app.signature(json.loads(text))),
    ("01.4", "the solution", lambda: batches_by(lambda batch: xsum.s(list(batch)))),
    ("01.4", "through JSON", lambda: batches_by(lambda batch: through_json(xsum.s(batch)))),
    ("01.4", "the lists as they came", lambda: lambda batches: [xsum.s(numbers) for numbers in batches]),
    ("01.4", "by name", lambda: batches_by(lambda batch: signature("tasks.xsum", args=(tuple(batch),)))),
    ("01.5", "the solution", lambda: cloned),
    ("01.5", "options for clone", lambda: lambda sig, waits: [sig.clone(countdown=seconds) for seconds in waits]),
    (
        "01.5",
        "through JSON",
        lambda: lambda sig, waits: [through_json(sig).set(countdown=seconds) for seconds in waits],
    ),
]


@pytest.mark.parametrize(("id", "answer"), [(id, make) for id, _, make in RIGHT], ids=[f"{i} {n}" for i, n, _ in RIGHT])
def test_a_right_answer_is_accepted(id: str, answer: Callable[[], Any]) -> None:
    given = answer()
    started = time.monotonic()
    verdict = labkit.check(id, given)
    assert verdict, verdict
    assert time.monotonic() - started < 2
    assert done_exercises() == (id,)


def test_a_solution_that_is_shown_records_no_progress() -> None:
    assert labkit.check("01.1", list("BDCAE"), reveal=True)
    assert done_exercises() == ()


# --- wrong answers ------------------------------------------------------------------------------------------------

NOT_A_FUNCTION = "the answer is a function"
NO_SIGNATURE = "the answer gives a signature"

WRONG: list[tuple[str, str, Callable[[], Any], str]] = [
    ("01.1", "the order of the letters", lambda: list("ABCDE"), "starts at place 1"),
    ("01.1", "the first countdown of E counts", lambda: list("EBDCA"), "starts at place 1"),
    ("01.1", "A before C", lambda: list("BDACE"), "starts at place 3"),
    ("01.1", "backwards", lambda: list("EACDB"), "starts at place 1"),
    ("01.1", "B left out: it has no countdown", lambda: list("DCAE"), "each letter once"),
    ("01.1", "the signatures", lambda: [add.s(1, 1), add.s(2, 2)], "a list of letters"),
    ("01.1", "a number", lambda: 1, "a list of letters"),
    ("01.1", "none", lambda: None, "a list of letters"),
    ("01.1", "a result", lambda: add.delay(1, 1), "a list of letters"),
    (
        "01.2",
        "an option in .s()",
        lambda: lambda x, y: mul.s(x, y, countdown=0.2),
        ".set(countdown=…) on the signature",
    ),
    ("01.2", "no countdown", lambda: lambda x, y: mul.s(x, y), "0.2 s after"),
    ("01.2", "one argument, a tuple", lambda: lambda x, y: mul.s((x, y)).set(countdown=0.2), "by itself"),
    ("01.2", "no tuple", lambda: lambda x, y: mul.signature(x, y, countdown=0.2), "as one tuple"),
    ("01.2", "another task", lambda: lambda x, y: add.s(x, y).set(countdown=0.2), "the value is right"),
    ("01.2", "the product as a constant", lambda: lambda x, y: mul.s(6, 7).set(countdown=0.2), "the value is right"),
    ("01.2", "called", lambda: lambda x, y: mul.s(x, y).set(countdown=0.2)(), NO_SIGNATURE),
    ("01.2", "sent", lambda: lambda x, y: mul.apply_async((x, y), countdown=0.2), "mul.s(…) with its countdown"),
    ("01.2", "the task itself", lambda: lambda x, y: mul, NO_SIGNATURE),
    ("01.2", "far too late", lambda: lambda x, y: mul.s(x, y).set(countdown=60), "comes to an end"),
    ("01.2", "a slow task", lambda: lambda x, y: slow.s(0.2, x * y), "tasks.mul"),
    ("01.2", "nothing filled in", lambda: lambda x, y: ..., "there is no answer yet"),
    ("01.2", "no return", lambda: lambda x, y: None, NO_SIGNATURE),
    ("01.2", "raises", lambda: raises, "raises no error"),
    ("01.2", "a signature, no function", lambda: mul.delay(1, 2), NOT_A_FUNCTION),
    ("01.3", "the dict", lambda: lambda text: json.loads(text), "a signature, not a dict"),
    ("01.3", "the text", lambda: lambda text: text, "a signature, not its text"),
    ("01.3", "the text as a name", lambda: lambda text: signature(text), "the text is read before"),
    ("01.3", "a slip in the name", lambda: lambda text: signature("task.mul"), "Did you mean 'tasks.mul'?"),
    ("01.3", "a name that there is not", lambda: lambda text: signature("nobody"), "Registered are: "),
    ("01.3", "the name alone", lambda: lambda text: signature(json.loads(text)["task"]), "it can be sent"),
    ("01.3", "always add", lambda: lambda text: add.s(*json.loads(text)["args"]), "the same task"),
    (
        "01.3",
        "without its options",
        lambda: lambda text: signature(json.loads(text)["task"], args=json.loads(text)["args"]),
        "the options",
    ),
    ("01.3", "called", lambda: lambda text: signature(json.loads(text))(), NO_SIGNATURE),
    ("01.3", "sent", lambda: lambda text: signature(json.loads(text)).delay(), "what signature(…) gives"),
    ("01.3", "a constant", lambda: lambda text: add.s(2, 2), "the same task"),
    ("01.3", "nothing filled in", lambda: lambda text: ..., "there is no answer yet"),
    ("01.3", "raises", lambda: raises, "raises no error"),
    ("01.4", "as it was", lambda: batches_by(lambda batch: xsum.s(batch)), "a list of its own"),
    ("01.4", "cloned", lambda: batches_by(lambda batch: xsum.s(batch).clone()), "a list of its own"),
    ("01.4", "deep-copied", lambda: batches_by(lambda batch: copy.deepcopy(xsum.s(batch))), "signature"),
    ("01.4", "called", lambda: batches_by(lambda batch: xsum(batch)), "signature"),
    ("01.4", "sent", lambda: batches_by(lambda batch: xsum.delay(batch)), "xsum.s(…); the check sends it"),
    ("01.4", "unpacked", lambda: batches_by(lambda batch: xsum.s(*batch)), "it can be sent"),
    ("01.4", "one signature", lambda: lambda batches: xsum.s(batches[0]), "a list of signatures"),
    ("01.4", "the first only", lambda: lambda batches: [xsum.s(batches[0])], "one signature a batch"),
    ("01.4", "backwards", lambda: lambda batches: [xsum.s(numbers) for numbers in batches[::-1]], "the value is right"),
    ("01.4", "no return", lambda: lambda batches: None, "a list of signatures"),
    ("01.4", "raises", lambda: raises, "raises no error"),
    ("01.4", "a constant", lambda: [xsum.s([1])], NOT_A_FUNCTION),
    (
        "01.5",
        "set on the one given",
        lambda: lambda sig, waits: [sig.set(countdown=s) for s in waits],
        "left as it was\n  expected  no options.countdown\n  happened  options.countdown 0.",
    ),
    ("01.5", "one clone for all", lambda: the_same_again, "signatures of their own"),
    ("01.5", "no countdown", lambda: lambda sig, waits: [sig.clone() for _ in waits], "its countdown"),
    ("01.5", "the same thrice", lambda: lambda sig, waits: [sig] * len(waits), "signatures of their own"),
    ("01.5", "the first only", lambda: only_the_first, "one signature a countdown"),
    ("01.5", "backwards", lambda: lambda sig, waits: cloned(sig, waits)[::-1], "its countdown"),
    (
        "01.5",
        "as an argument",
        lambda: lambda sig, waits: [sig.clone(kwargs={"countdown": seconds}) for seconds in waits],
        "countdown is an option",
    ),
    (
        "01.5",
        "a deep copy",
        lambda: lambda sig, waits: [copy.deepcopy(sig).set(countdown=seconds) for seconds in waits],
        "raises no error",
    ),
    ("01.5", "sent", lambda: lambda sig, waits: [sig.apply_async(countdown=s) for s in waits], "a clone of sig"),
    ("01.5", "one signature", lambda: lambda sig, waits: sig.clone().set(countdown=waits[0]), "a list of signatures"),
    ("01.5", "nothing filled in", lambda: lambda sig, waits: ..., "there is no answer yet"),
    ("01.5", "a sent result", lambda: add.delay(1, 1), NOT_A_FUNCTION),
]


@pytest.mark.parametrize(
    ("id", "answer", "says"), [(id, make, says) for id, _, make, says in WRONG], ids=[f"{i} {n}" for i, n, *_ in WRONG]
)
def test_a_wrong_answer_is_refused(id: str, answer: Callable[[], Any], says: str) -> None:
    given = answer()
    started = time.monotonic()
    verdict = labkit.check(id, given)
    assert not verdict
    assert says in repr(verdict), verdict
    assert time.monotonic() - started < 5.5
    assert done_exercises() == ()


@pytest.mark.parametrize("advice", ["check=False", "labkit.run", "labkit.draw", "wait(timeout="])
def test_a_refusal_gives_no_advice_to_those_who_send(advice: str) -> None:
    late = add.s(1, 1).set(countdown=60)
    for answer in (lambda text: signature("nobody"), lambda text: group(add.delay(1, 1)), lambda text: late):
        assert advice not in repr(labkit.check("01.3", answer))


def test_a_list_of_names_that_is_cut_ends_in_dots() -> None:
    names = labkit.check("01.3", lambda text: signature("nobody")).happened.partition("Registered are: ")[2].split(", ")
    assert (len(names), names[-1]) == (13, "…")


def test_an_endless_answer_is_reported_in_time() -> None:
    def endless(text: str) -> Any:
        while text:
            time.sleep(0.01)

    started = time.monotonic()
    verdict = labkit.check("01.3", endless)
    assert "building comes to an end" in repr(verdict)
    assert time.monotonic() - started < 5.5


@pytest.mark.parametrize("id", ["01.1", "01.2", "01.3", "01.4", "01.5"])
def test_an_exercise_not_begun_is_no_error_and_has_hints(id: str) -> None:
    assert "there is no answer yet" in repr(labkit.check(id, ...))
    assert labkit.hint(id).startswith("hint 1 of ")
