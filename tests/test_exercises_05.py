"""The exercises of lesson 05: what is accepted, and what each plausible slip is told."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from celery import chain, chord, group
from celery.result import AsyncResult, allow_join_result

import labkit
import tasks
from tasks import add, fail, ident, mul, noarg, note, power, report_error, report_failure, sub, xsum

Build = Callable[..., Any]


@pytest.fixture(scope="module", autouse=True)
def lab() -> Iterator[labkit.Lab]:
    lab = labkit.start(tasks.app)
    yield lab
    labkit.stop()


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Progress is written to the folder worked in."""
    monkeypatch.chdir(tmp_path)


@pytest.fixture(autouse=True)
def only_the_tasks_of_the_lessons() -> Iterator[None]:
    """Tasks that an answer defines are gone afterwards."""
    before = set(tasks.app.tasks)
    yield
    for name in set(tasks.app.tasks) - before:
        tasks.app.tasks.unregister(name)


def raises(*_: Any) -> Any:
    raise RuntimeError("not my day")


# --- 05.1 put in order ----------------------------------------------------------------------------------------

RIGHT_1 = {
    "list": ["C", "E", "A", "D", "B"],
    "one string": "CEADB",
    "small letters in a tuple": ("c", "e", "a", "d", "b"),
}
WRONG_1: dict[str, tuple[Any, str]] = {
    "alphabet": (["A", "B", "C", "D", "E"], "all five run, and only A fails"),
    "note before the report": (["C", "E", "A", "B", "D"], "all five run, and only A fails"),
    "report as a callback": (["C", "E", "D", "B", "A"], "report_error gets the failed task's id"),
    "mul as errback": (["C", "A", "E", "D", "B"], "mul gets the sum"),
    "fails before mul": (["C", "A", "D", "B", "E"], "mul gets the sum"),
    "note in between": (["C", "E", "B", "A", "D"], "note gets the report"),
    "begins with mul": (["E", "C", "A", "D", "B"], "the first piece has all its arguments"),
    "begins with the errback": (["D", "C", "E", "A", "B"], "the first piece has all its arguments"),
    "one missing": (["C", "E", "A", "D"], "each piece is used once"),
    "nothing": ([], "each piece is used once"),
    "the pieces": ([add.s(2, 3), mul.s(4), fail.s()], "the answer is a list of letters"),
    "a chain": (chain(add.s(2, 3), mul.s(4), fail.s()), "the answer is a list of letters"),
}

# --- 05.2 fill in ---------------------------------------------------------------------------------------------


def hooked(sig: Any, *callbacks: Any, errback: Any = None) -> Any:
    for each in callbacks:
        sig.link(each)
    if errback is not None:
        sig.link_error(errback)
    return sig


def link_returned(x: Any, y: Any) -> Any:
    sig = add.s(x, y)
    sig.link(mul.s(3))
    return sig.link(sub.s(y))


RIGHT_2: dict[str, Build] = {
    "solution": lambda x, y: hooked(add.s(x, y), mul.s(3), sub.s(y), errback=report_error.s()),
    "as options": lambda x, y: add.s(x, y).set(link=[sub.s(y), mul.s(3)], link_error=[report_error.s()]),
    "on_error": lambda x, y: hooked(add.s(x, y).on_error(report_error.s()), mul.s(y=3), sub.s(y)),
    "a group as callback": lambda x, y: hooked(add.s(x, y), group(mul.s(3), sub.s(y)), errback=report_error.s()),
}
WRONG_2: dict[str, tuple[Any, str]] = {
    "skeleton": (lambda x, y: hooked(add.s(x, y), ..., ..., errback=...), "there is no answer yet"),
    "one place left": (lambda x, y: hooked(add.s(x, y), mul.s(3), sub.s(y), errback=...), "there is no answer yet"),
    "no errback": (lambda x, y: hooked(add.s(x, y), mul.s(3), sub.s(y)), "report_error is sent once"),
    "an errback that is called": (
        lambda x, y: hooked(add.s(x, y), mul.s(3), sub.s(y), errback=report_failure.s()),
        "report_error is sent once",
    ),
    "an errback told something else": (
        lambda x, y: hooked(add.s(x, y), mul.s(3), sub.s(y), errback=report_error.si("add")),
        "report_error is sent once",
    ),
    "an errback with one argument more": (
        lambda x, y: hooked(add.s(x, y), mul.s(3), sub.s(y), errback=report_error.s("add")),
        "the error stays add's own",
    ),
    "errback as argument": (lambda x, y: add.s(x, y, link_error=report_error.s()), "link_error is an option"),
    "values made here": (
        lambda x, y: hooked(add.s(x, y), mul.si(x + y, 3) if y != "seven" else mul.si(1, 3), sub.s(y)),
        "a callback gets the value of add",
    ),
    "complete callbacks": (
        lambda x, y: hooked(add.s(x, y), mul.s(x, 3), sub.s(y), errback=report_error.s()),
        "every step succeeds",
    ),
    "only one callback": (lambda x, y: hooked(add.s(x, y), mul.s(3)), "it sends three messages"),
    "one after the other": (
        lambda x, y: hooked(add.s(x, y), mul.s(3).set(link=sub.s(y)), errback=report_error.s()),
        "a callback gets the value of add",
    ),
    "the same twice, in a list": (lambda x, y: add.s(x, y).set(link=[mul.s(3), mul.s(3)]), "mul follows, once"),
    "times y": (lambda x, y: hooked(add.s(x, y), mul.s(y + 2), sub.s(y)), "mul gives what is asked for"),
    "a chord's values": (lambda x, y: add.s(x, y) | group(mul.s(3), sub.s(y)), "the value is right"),
    "a chain": (lambda x, y: add.s(x, y) | mul.s(3) | sub.s(y), "the value is right"),
    "link returned": (link_returned, "not what link() gives"),
    "tasks called": (lambda x, y: hooked(add.s(x, y), mul(x, 3)), "the answer gives a signature"),
}

# --- 05.3 write -----------------------------------------------------------------------------------------------


def text_of(task_id: str) -> str:
    error = AsyncResult(task_id).result
    return f"{type(error).__name__}: {error}"


def bound(self: Any, task_id: str) -> str:
    error = self.app.AsyncResult(task_id).info
    return type(error).__name__ + ": " + str(error)


def from_traceback(task_id: str) -> str:
    return str(AsyncResult(task_id).traceback.splitlines()[-1])


def allowed(task_id: str) -> str:
    with allow_join_result():
        error = AsyncResult(task_id).get(propagate=False, timeout=1)
    return f"{type(error).__name__}: {error}"


RIGHT_3: dict[str, tuple[Build, dict[str, Any]]] = {
    "solution": (text_of, {}),
    "bound": (bound, {"bind": True}),
    "last line of the traceback": (from_traceback, {}),
    "waits for what is done": (allowed, {}),
    "its result is not stored": (text_of, {"ignore_result": True}),
}


def waits(task_id: str) -> Any:
    error = AsyncResult(task_id).get(propagate=False)
    return f"{type(error).__name__}: {error}"


def endless(task_id: str) -> Any:
    while True:
        pass


def three(request: Any, exc: Exception, traceback: Any) -> str:
    return f"{type(exc).__name__}: {exc}"


def star(*args: Any) -> str:
    return f"{type(args[1]).__name__}: {args[1]}"


def no_parameter() -> str:
    return "ValueError: boom"


def bound_three(self: Any, request: Any, exc: Exception, traceback: Any) -> str:
    return f"{type(exc).__name__}: {exc}"


WRONG_3: dict[str, tuple[Build, dict[str, Any], str]] = {
    "skeleton": (lambda task_id: ..., {}, "there is no answer yet"),
    "waits": (waits, {}, "the errback itself succeeds"),
    "three parameters": (three, {}, "it is sent as a message"),
    "any number of parameters": (star, {}, "it is sent as a message"),
    "two parameters": (lambda request, exc: str(exc), {}, "it is sent as a message"),
    "no parameter": (no_parameter, {}, "it can be sent with one argument, the id"),
    "bound, with three": (bound_three, {"bind": True}, "it can be sent with one argument, the id"),
    "a constant": (lambda task_id: "ValueError: boom", {}, "it tells type and text of the error"),
    "the text only": (lambda task_id: str(AsyncResult(task_id).result), {}, "it tells type and text"),
    "its repr": (lambda task_id: repr(AsyncResult(task_id).result), {}, "it tells type and text"),
    "the id": (lambda task_id: task_id, {}, "it tells type and text"),
    "the state": (lambda task_id: AsyncResult(task_id).state, {}, "it tells type and text"),
    "the error itself": (lambda task_id: AsyncResult(task_id).result, {}, ""),
    "nothing returned": (lambda task_id: None, {}, "it tells type and text"),
    "fails itself": (lambda task_id: 1 // 0, {}, "the errback itself succeeds"),
}
NO_TASK_3: dict[str, Any] = {
    "a function": text_of,
    "a signature": report_error.s(),
    "a text": "ValueError: boom",
}


def as_task(function: Build, options: dict[str, Any]) -> Any:
    function.__name__ = "answer"  # Celery cannot make a task of what is called <lambda>
    return tasks.app.task(name="tests.answer", **options)(function)


# --- 05.4 repair ----------------------------------------------------------------------------------------------


def broken(x: Any, n: Any) -> Any:
    return hooked(add.s(x, 1), note.s("saved"), errback=report_error.s()) | power.s(n)


def on_each(x: Any, n: Any) -> Any:
    last = power.s(n).set(link=note.s("saved"), link_error=report_error.s())
    return add.s(x, 1).on_error(report_error.s()) | last


RIGHT_4: dict[str, Build] = {
    "solution": lambda x, n: hooked(add.s(x, 1) | power.s(n), note.s("saved"), errback=report_error.s()),
    "on each step": on_each,
    "as options": lambda x, n: chain(add.s(x, 1), power.s(n)).set(link=[note.s("saved")], link_error=report_error.s()),
    "as callback of the first": lambda x, n: (add.s(x, 1) | power.s(n).set(link=note.s("saved"))).on_error(
        report_error.s()
    ),
}
WRONG_4: dict[str, tuple[Any, str]] = {
    "skeleton": (lambda x, n: ..., "there is no answer yet"),
    "as it was": (broken, "note gets the value of the last step"),
    "errback left early": (
        lambda x, n: hooked(hooked(add.s(x, 1), errback=report_error.s()) | power.s(n), note.s("saved")),
        "report_error is sent once",
    ),
    "errback on the last only": (
        lambda x, n: add.s(x, 1) | hooked(power.s(n), note.s("saved"), errback=report_error.s()),
        "report_error is sent once",
    ),
    "no errback": (lambda x, n: hooked(add.s(x, 1) | power.s(n), note.s("saved")), "report_error is sent once"),
    "note as a step": (
        lambda x, n: (add.s(x, 1) | power.s(n) | note.s("saved")).on_error(report_error.s()),
        "the value is right",
    ),
    "note and report swapped": (
        lambda x, n: hooked(add.s(x, 1) | power.s(n), report_error.s(), errback=note.s("saved")),
        "note is called once",
    ),
    "note twice": (
        lambda x, n: hooked(
            hooked(add.s(x, 1), note.s("saved")) | power.s(n), note.s("saved"), errback=report_error.s()
        ),
        "note is called once",
    ),
    "note without the value": (
        lambda x, n: hooked(add.s(x, 1) | power.s(n), note.si("saved"), errback=report_error.s()),
        "note gets the value of the last step",
    ),
    "report in any case": (
        lambda x, n: hooked(add.s(x, 1) | power.s(n), note.s("saved"), report_error.s(), errback=report_error.s()),
        "nothing is reported when all goes well",
    ),
    "link returned": (lambda x, n: (add.s(x, 1) | power.s(n)).link(note.s("saved")), "the value is right"),
    "no note": (lambda x, n: (add.s(x, 1) | power.s(n)).on_error(report_error.s()), "note is called once"),
    "called where it failed": (
        lambda x, n: hooked(add.s(x, 1) | power.s(n), note.s("saved"), errback=report_failure.s()),
        "report_error is sent once",
    ),
    "an errback with one argument more": (
        lambda x, n: hooked(add.s(x, 1) | power.s(n), note.s("saved"), errback=report_error.s("saved")),
        "the error stays power's own",
    ),
    "made here": (
        lambda x, n: hooked(ident.s((x + 1) ** n if x not in ("seven", -1) else 0), note.s("saved")),
        "power is used once",
    ),
}

# --- 05.5 meet a constraint -----------------------------------------------------------------------------------

RIGHT_5: dict[str, Build] = {
    "solution": lambda x, n: power.s(x, n).set(link=noarg.si(), link_error=noarg.si()),
    "by statements": lambda x, n: hooked(power.s(x, n), noarg.si(), errback=noarg.si()),
    "by an option": lambda x, n: hooked(
        power.s(x, n).on_error(noarg.signature(immutable=True)), noarg.signature(immutable=True)
    ),
}
WRONG_5: dict[str, tuple[Any, str]] = {
    "skeleton": (lambda x, n: ..., "there is no answer yet"),
    "alone": (lambda x, n: power.s(x, n), "noarg runs exactly once"),
    "after success only": (lambda x, n: power.s(x, n).set(link=noarg.si()), "noarg runs exactly once"),
    "after failure only": (lambda x, n: power.s(x, n).on_error(noarg.si()), "noarg runs exactly once"),
    "a callback that gets the value": (
        lambda x, n: power.s(x, n).set(link=noarg.s(), link_error=noarg.si()),
        "every step succeeds",
    ),
    "an errback that gets the id": (
        lambda x, n: power.s(x, n).set(link=noarg.si(), link_error=noarg.s()),
        "the error stays power's own",
    ),
    "a chain": (lambda x, n: power.s(x, n) | noarg.si(), "the value is right"),
    "a chain with an errback": (lambda x, n: (power.s(x, n) | noarg.si()).on_error(noarg.si()), "the value is right"),
    "side by side": (lambda x, n: group(power.s(x, n), noarg.si()), "the value is right"),
    "a chord": (lambda x, n: chord([power.s(x, n)], noarg.si()), "the value is right"),
    "twice each": (
        lambda x, n: power.s(x, n).set(link=[noarg.si(), noarg.si()], link_error=noarg.si()),
        "noarg runs exactly once",
    ),
    "and something else": (
        lambda x, n: power.s(x, n).set(link=[noarg.si(), note.s()], link_error=noarg.si()),
        "it sends two messages",
    ),
    "before": (lambda x, n: noarg.si() | power.si(x, n), "noarg runs after power"),
    "value made here": (lambda x, n: ident.s(x**n if x else 0).set(link=noarg.si()), "noarg runs after power"),
    "linked to itself": (lambda x, n: noarg.si().set(link=power.si(x, n)), "the value is right"),
    "link returned": (lambda x, n: power.s(x, n).link(noarg.si()), "not what link() gives"),
}

BANK: dict[str, tuple[dict[str, Any], dict[str, tuple[Any, str]]]] = {
    "05.1": (RIGHT_1, WRONG_1),
    "05.2": (RIGHT_2, WRONG_2),
    "05.4": (RIGHT_4, WRONG_4),
    "05.5": (RIGHT_5, WRONG_5),
}


@pytest.mark.parametrize(("id", "name"), [(id, name) for id, (right, _) in BANK.items() for name in right])
def test_right_answers_are_accepted(id: str, name: str) -> None:
    began = time.monotonic()
    verdict = labkit.check(id, BANK[id][0][name])
    assert verdict.accepted, verdict
    assert time.monotonic() - began < 2.5  # 1 s on a machine that does nothing else


@pytest.mark.parametrize(("id", "name"), [(id, name) for id, (_, wrong) in BANK.items() for name in wrong])
def test_wrong_answers_are_told_what_is_wrong(id: str, name: str) -> None:
    answer, says = BANK[id][1][name]
    verdict = labkit.check(id, answer)
    assert not verdict.accepted
    assert says in verdict.what, verdict
    assert verdict.expected or verdict.happened


@pytest.mark.parametrize("name", RIGHT_3)
def test_right_errbacks_are_accepted(name: str) -> None:
    verdict = labkit.check("05.3", as_task(*RIGHT_3[name]))
    assert verdict.accepted, verdict


@pytest.mark.parametrize("name", WRONG_3)
def test_wrong_errbacks_are_told_what_is_wrong(name: str) -> None:
    function, options, says = WRONG_3[name]
    verdict = labkit.check("05.3", as_task(function, options))
    assert not verdict.accepted
    assert says in verdict.what, verdict
    assert verdict.expected or verdict.happened


@pytest.mark.parametrize("name", NO_TASK_3)
def test_what_is_no_task_is_refused(name: str) -> None:
    verdict = labkit.check("05.3", NO_TASK_3[name])
    assert verdict.what == "the answer is a task", verdict


def test_a_task_that_wants_a_list_is_no_errback() -> None:
    assert not labkit.check("05.3", xsum)


@pytest.mark.parametrize("id", [*BANK, "05.3"])
@pytest.mark.parametrize("kind", ["ellipsis", "constant", "number", "none", "raises", "sent"])
def test_what_is_no_answer_is_refused(id: str, kind: str) -> None:
    sent: AsyncResult = add.delay(1, 1)
    sent.get(timeout=5)
    answers: dict[str, Any] = {
        "ellipsis": ...,
        "constant": lambda *_: add.s(1, 1).set(link=mul.s(2), link_error=report_error.s()),
        "number": 64,
        "none": None,
        "raises": raises,
        "sent": sent,
    }
    verdict = labkit.check(id, answers[kind])
    assert not verdict.accepted
    assert verdict.what


@pytest.mark.parametrize("id", ["05.2", "05.4", "05.5"])
def test_a_function_that_sends_is_told_so(id: str) -> None:
    verdict = labkit.check(id, lambda *_: add.delay(1, 1))
    assert verdict.what == "the answer gives a signature"
    assert "sent already" in verdict.happened


def test_an_endless_errback_is_only_reported() -> None:
    began = time.monotonic()
    verdict = labkit.check("05.3", as_task(endless, {}))
    assert verdict.what == "it comes to an end"
    assert time.monotonic() - began < 5
    assert labkit.check("05.5", RIGHT_5["solution"])


@pytest.mark.parametrize("id", [*BANK, "05.3"])
def test_each_exercise_has_hints_that_get_plainer(id: str) -> None:
    hints = [labkit.hint(id) for _ in range(4)]
    assert len(set(hints)) >= 2
    assert hints[-1] == hints[-2]


def test_a_revealed_solution_is_no_progress() -> None:
    labkit.check("05.5", RIGHT_5["solution"], reveal=True)
    assert "lesson 05  ○○○○○" in labkit.progress()
    labkit.check("05.5", RIGHT_5["solution"])
    assert "lesson 05  ○○○○●" in labkit.progress()
