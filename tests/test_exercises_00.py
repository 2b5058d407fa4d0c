"""The exercises of lesson 00: right answers of several kinds are accepted, a bank of wrong ones is refused."""

import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from celery import Celery, group, shared_task

import labkit
from labkit.practice import done_exercises
from tasks import add, app, mul, slow


@pytest.fixture(scope="module")
def lab() -> Iterator[labkit.Lab]:
    lab = labkit.start(app)
    yield lab
    lab.stop()


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lab: labkit.Lab) -> None:
    monkeypatch.chdir(tmp_path)


def task(function: Callable[..., Any], **options: Any) -> Any:
    return app.task(function, name=f"test.{function.__name__}", **options)


def greeting(name: str) -> str:
    return f"Hello, {name}"


def greets_by_itself(self: Any, name: str) -> str:
    return f"Hello, {name}"


# --- right answers ---------------------------------------------------------------------------------------------


def sends(x: float, y: float) -> Any:
    return add.delay(x, y)


def runs(x: float, y: float) -> Any:
    return labkit.run(add.s(x, y))


def shared() -> Any:
    @shared_task(name="test.shared_greeting")
    def greet(name: str) -> str:
        return "Hello, " + name

    return greet


def sends_all_first(names: list[str]) -> list[Any]:
    results = [slow.delay(0.25, name) for name in names]
    return [result.get(timeout=5) for result in results]


def later(x: float, y: float) -> Any:
    return add.apply_async((x, y), countdown=0.3)


RIGHT: list[tuple[str, str, Callable[[], Any]]] = [
    ("00.1", "the solution", lambda: ["D", "C", "E", "A", "B"]),
    ("00.1", "a tuple", lambda: tuple("DCEAB")),
    ("00.1", "one text, small letters", lambda: "dceab"),
    ("00.2", "the solution", lambda: sends),
    ("00.2", "apply_async", lambda: lambda x, y: add.apply_async((x, y))),
    ("00.2", "by name", lambda: lambda x, y: app.send_task("tasks.add", kwargs={"x": x, "y": y})),
    ("00.2", "the lab's run", lambda: runs),
    ("00.3", "the solution", lambda: task(greeting)),
    ("00.3", "a shared task", shared),
    ("00.3", "bound", lambda: task(greets_by_itself, bind=True)),
    ("00.4", "the solution", lambda: sends_all_first),
    ("00.4", "a group", lambda: lambda names: group(slow.s(0.25, n) for n in names).delay().get(timeout=5)),
    (
        "00.4",
        "the lab's runs",
        lambda: lambda names: [run.get(timeout=5) for run in [labkit.run(slow.s(0.25, n)) for n in names]],
    ),
    ("00.5", "the solution", lambda: later),
    ("00.5", "set on a signature", lambda: lambda x, y: add.s(x, y).set(countdown=0.3).delay()),
    (
        "00.5",
        "a point in time",
        lambda: lambda x, y: add.apply_async((x, y), eta=datetime.now(UTC) + timedelta(seconds=0.35)),
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
    assert labkit.check("00.1", list("DCEAB"), reveal=True)
    assert done_exercises() == ()


# --- wrong answers ---------------------------------------------------------------------------------------------


def raises(*_: Any) -> Any:
    raise RuntimeError("not today")


def sends_twice(x: float, y: float) -> Any:
    add.delay(x, y)
    return add.delay(x, y)


def one_by_one(names: list[str]) -> list[Any]:
    return [slow.delay(0.25, name).get(timeout=5) for name in names]


def one_by_one_in_a_loop(names: list[str]) -> list[Any]:
    values = []
    for name in names:
        result = slow.delay(0.25, name)
        values.append(result.get(timeout=5))
    return values


def only_the_first(names: list[str]) -> list[Any]:
    return [slow.delay(0.25, names[0]).get(timeout=5)]


def sleeps(x: float, y: float) -> Any:
    time.sleep(0.4)
    return add.delay(x, y)


def waits(x: float, y: float) -> Any:
    return add.apply_async((x, y), countdown=0.3).get(timeout=3)


def always_ada(name: str) -> str:
    return "Hello, Ada"


def no_comma(name: str) -> str:
    return f"Hello {name}"


OWN: Any = no_comma


def no_parameter() -> str:
    return "Hello"


def greets_nobody(self: Any) -> str:
    return "Hello"


def greets(name: str) -> str:
    return f"Hello, {name}"


def greets_alone(self: Any, name: str) -> str:
    return f"Hello, {name}"


def a_set(name: str) -> set[str]:
    return {name}


def prints_only(name: str) -> None:
    print(f"Hello, {name}")


def for_ever(name: str) -> str:
    while name:
        time.sleep(0.01)
    return name


NOT_A_FUNCTION = "the answer is a function"

WRONG: list[tuple[str, str, Callable[[], Any], str]] = [
    ("00.1", "the list as printed", lambda: list("ABCDE"), "a task is built before it runs"),
    ("00.1", "run before it is received", lambda: list("DCAEB"), "received"),
    ("00.1", "sent before it is built", lambda: list("CDEAB"), "built"),
    ("00.1", "collected before it ran", lambda: list("DCEBA"), "runs"),
    ("00.1", "a letter missing", lambda: list("DCEA"), "each letter once"),
    ("00.1", "a letter twice", lambda: list("DCEAA"), "each letter once"),
    ("00.1", "the words instead of letters", lambda: ["build", "send", "receive", "run", "collect"], "each letter"),
    ("00.1", "a set", lambda: set("DCEAB"), "a list of letters"),
    ("00.1", "none", lambda: None, "a list of letters"),
    ("00.1", "a number", lambda: 5, "a list of letters"),
    ("00.1", "a result", lambda: add.delay(1, 1), "a list of letters"),
    ("00.2", "called here", lambda: lambda x, y: add(x, y), "a message is sent"),
    ("00.2", "built, not sent", lambda: lambda x, y: add.s(x, y), "a message is sent"),
    ("00.2", "waits for the value", lambda: lambda x, y: add.delay(x, y).get(timeout=3), "not a result"),
    ("00.2", "one argument twice", lambda: lambda x, y: add.delay(x, x), "the value is right"),
    ("00.2", "another task", lambda: lambda x, y: mul.delay(x, y), "tasks.add"),
    ("00.2", "sent twice", lambda: sends_twice, "one message"),
    ("00.2", "an argument forgotten", lambda: lambda x, y: add.delay(x), "raises no error"),
    ("00.2", "nothing filled in", lambda: lambda x, y: ..., "there is no answer yet"),
    ("00.2", "no return", lambda: lambda x, y: None, "a message is sent"),
    ("00.2", "sent, but not returned", lambda: lambda x, y: [add.delay(x, y), None][1], "returns the result"),
    ("00.2", "an earlier result", lambda: (lambda old: lambda x, y: old)(add.delay(1, 1)), "a message is sent"),
    ("00.2", "raises", lambda: raises, "raises no error"),
    ("00.2", "a sent result", lambda: add.delay(1, 2), NOT_A_FUNCTION),
    ("00.2", "a constant", lambda: 3, NOT_A_FUNCTION),
    ("00.3", "a plain function", lambda: greeting, "the answer is a task"),
    ("00.3", "a signature", lambda: task(greeting).s("Ada"), "the answer is a task"),
    ("00.3", "sent already", lambda: task(greeting).delay("Ada"), "the answer is a task"),
    ("00.3", "called", lambda: task(greeting)("Ada"), "the answer is a task"),
    ("00.3", "none", lambda: None, "the answer is a task"),
    ("00.3", "a constant", lambda: task(always_ada), "the value is right"),
    ("00.3", "prints and returns nothing", lambda: task(prints_only), "the value is right"),
    ("00.3", "no comma", lambda: task(no_comma), "the value is right"),
    ("00.3", "bound, and no self", lambda: task(greets, bind=True), "def greets(self, name), or no bind=True"),
    ("00.3", "self, and not bound", lambda: task(greets_alone), "self is given with bind=True only"),
    ("00.3", "self alone", lambda: task(greets_nobody, bind=True), "it can be sent"),
    ("00.3", "no parameter", lambda: task(no_parameter), "it can be sent"),
    ("00.3", "raises", lambda: task(raises), "the value is right"),
    ("00.3", "not JSON", lambda: task(a_set), "can be written as JSON"),
    (
        "00.3",
        "a task of another app",
        lambda: Celery("other", set_as_current=False).task(greeting, name="test.other_app"),
        "of this app",
    ),
    ("00.3", "an endless loop", lambda: task(for_ever), "it comes to an end"),
    ("00.4", "as it was", lambda: one_by_one, "all are sent before"),
    ("00.4", "as it was, in a loop", lambda: one_by_one_in_a_loop, "all are sent before"),
    ("00.4", "called here", lambda: lambda names: [slow(0.25, n) for n in names], "one message a name"),
    ("00.4", "the names themselves", lambda: lambda names: names, "one message a name"),
    ("00.4", "only the first", lambda: only_the_first, "one message a name"),
    ("00.4", "results, no values", lambda: lambda names: [slow.delay(0.25, n) for n in names], "the values are right"),
    ("00.4", "backwards", lambda: lambda names: sends_all_first(names[::-1]), "the values are right"),
    ("00.4", "one text", lambda: lambda names: ", ".join(sends_all_first(names)), "come as a list"),
    ("00.4", "a tuple", lambda: lambda names: tuple(sends_all_first(names)), "come as a list"),
    (
        "00.4",
        "without the waiting",
        lambda: lambda names: [slow.delay(0, n).get(timeout=3) for n in names],
        "slow(0.25, name)",
    ),
    ("00.4", "no return", lambda: lambda names: None, "one message a name"),
    ("00.4", "raises", lambda: raises, "raises no error"),
    ("00.4", "a sent result", lambda: slow.delay(0, 1), NOT_A_FUNCTION),
    ("00.5", "starts at once", lambda: sends, "0.3 s after"),
    ("00.5", "sleeps in the caller", lambda: sleeps, "returns at once"),
    ("00.5", "waits for the value", lambda: waits, "returns at once"),
    ("00.5", "countdown given to delay", lambda: lambda x, y: add.delay(x, y, countdown=0.3), "is an option"),
    ("00.5", "an option of one's own function", lambda: lambda x, y: OWN(x, countdown=y), "raises no error"),
    ("00.5", "no tuple", lambda: lambda x, y: add.apply_async(x, y, countdown=0.3), "as one tuple"),
    ("00.5", "one argument", lambda: lambda x, y: add.apply_async(x), "a tuple of one has a comma"),
    ("00.5", "a tuple in a tuple", lambda: lambda x, y: add.apply_async(((x, y),)), "not all as one tuple"),
    ("00.5", "a comma too many", lambda: lambda x, y: (later(x, y),), "a comma at the end of the line"),
    ("00.5", "the id", lambda: lambda x, y: later(x, y).id, "its id, a text"),
    ("00.5", "no return", lambda: lambda x, y: [later(x, y), None][1], "None, as without a return"),
    ("00.5", "far too late", lambda: lambda x, y: add.apply_async((x, y), countdown=60), "comes to an end"),
    ("00.5", "a slow task instead", lambda: lambda x, y: slow.delay(0.3, x + y), "tasks.add"),
    ("00.5", "another task", lambda: lambda x, y: mul.apply_async((x, y), countdown=0.3), "tasks.add"),
    ("00.5", "built, not sent", lambda: lambda x, y: add.s(x, y).set(countdown=0.3), "a message is sent"),
    ("00.5", "an option in .s()", lambda: lambda x, y: add.s(x, y, countdown=0.3).delay(), "is an option"),
    ("00.5", "nothing filled in", lambda: lambda x, y: ..., "there is no answer yet"),
    ("00.5", "a constant", lambda: 0.3, NOT_A_FUNCTION),
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


@pytest.mark.parametrize("id", ["00.1", "00.2", "00.3", "00.4", "00.5"])
def test_an_exercise_not_begun_is_no_error_and_has_hints(id: str) -> None:
    assert "there is no answer yet" in repr(labkit.check(id, ...))
    assert labkit.hint(id).startswith("hint 1 of ")
