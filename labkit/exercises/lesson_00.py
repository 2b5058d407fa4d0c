"""Lesson 00: the life of a task, sending, a task of one's own, collecting later, running later."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from celery import signals
from celery.result import AsyncResult

from labkit.exercises.common import task_for
from labkit.practice import Trial, exercise
from labkit.run import Run

#: What each letter of 00.1 stands for, in the order of the facts that a run records.
_LIFE: Final = {"D": "is built", "C": "is sent", "E": "is received", "A": "runs", "B": "is collected"}
#: How far two clocks may be apart, in seconds.
_ROUNDING: Final = 0.02
_NAMES: Final = ("Ada", "Ben", "Cleo", "Dora", "Emil", "Fay", "Gus", "Hedy")


@dataclass
class _Letter:
    """One message that was published: its task id, task, arguments, when, and when due (seconds since the epoch)."""

    id: str
    task: str
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    at: float
    due: float | None


@contextmanager
def _post() -> Iterator[list[_Letter]]:
    """All messages that this process publishes in the meantime, also those sent without the lab."""
    letters: list[_Letter] = []

    def note(headers: dict[str, Any], body: Any, **_: Any) -> None:
        args, kwargs, _embed = body
        due = datetime.fromisoformat(headers["eta"]).timestamp() if headers.get("eta") else None
        letters.append(_Letter(headers["id"], headers["task"], tuple(args), dict(kwargs), time.time(), due))

    signals.after_task_publish.connect(note, weak=False)
    try:
        yield letters
    finally:
        signals.after_task_publish.disconnect(note)


def _one_add(answer: Any, trial: Trial, x: int, y: int) -> tuple[Any, _Letter, float]:
    """Call the answer; refuse it unless it sends ``add`` once. What it returned, the message, and how long it took."""
    began = time.time()
    with _post() as letters:
        returned = trial.call(answer, x, y)
    took = time.time() - began
    if returned is ... and not letters:
        trial.unanswered()
    happened = f"no message; your function returned {returned!r:.60}"
    trial.expect(bool(letters), "a message is sent", "one message", happened)
    trial.expect(len(letters) == 1, "one message is sent", "1 message", f"{len(letters)} messages")
    [letter] = letters
    trial.expect(letter.task == "tasks.add", "the message is for tasks.add", "tasks.add", letter.task)
    return returned, letter, took


def _result(trial: Trial, returned: Any, letter: _Letter) -> AsyncResult:
    result = returned.result if isinstance(returned, Run) else returned
    same = isinstance(result, AsyncResult) and result.id == letter.id
    what, expected = "it returns the result of what it sent", "the AsyncResult that sending gives"
    trial.expect(same, what, expected, _instead(returned, letter))
    return result


def _instead(returned: Any, letter: _Letter) -> str:
    """What was returned in place of a result, in words."""
    if isinstance(returned, tuple) and any(isinstance(each, AsyncResult) for each in returned):
        return "a tuple with it inside; a comma at the end of the line makes one"
    if returned is None:
        return "None, as without a return"
    if returned == letter.id:
        return "its id, a text"
    if isinstance(returned, int | float):
        return f"the number {returned!r}, not a result"
    return f"{returned!r:.60}"


def _expect_sum(trial: Trial, result: AsyncResult, x: int, y: int, timeout: float = 2.0) -> None:
    try:
        result.get(timeout=min(timeout, trial.left), propagate=False)
    except Exception as error:
        trial.refuse("it comes to an end", f"a value within {timeout:g} s", f"{type(error).__name__}: {error}")
    trial.expect(result.result == x + y, f"the value is right for {x} and {y}", x + y, repr(result.result))


@exercise(
    "00.1",
    "the life of a task",
    "Nothing can be sent before it is there, or run before somebody has it.",
    "The producer does the first two and the last; the worker the two between.",
    'It begins with "D", "C".',
)
def the_life_of_a_task(answer: Any, trial: Trial) -> None:
    """Order the letters as the facts of a real run are ordered."""
    shape = isinstance(answer, list | tuple | str) and all(isinstance(each, str) for each in answer)
    trial.expect(shape, "the answer is a list of letters", '["A", "B", …]', repr(answer)[:60])
    letters = [each.strip().upper() for each in answer]
    trial.expect(sorted(letters) == sorted(_LIFE), "each letter once", ", ".join(sorted(_LIFE)), ", ".join(letters))

    x, y = trial.random.randint(10, 99), trial.random.randint(10, 99)
    run = trial.run(trial.lab.app.signature("tasks.add", (x, y)))
    trial.expect_value(run, x + y)
    kinds = {"published": "is sent", "received": "is received", "started": "runs"}
    seen = [kinds[fact["kind"]] for fact in run.recording.facts if fact["kind"] in kinds]
    truth = ["is built", *seen, "is collected"]

    for place, letter in enumerate(letters, 1):
        first, yours = truth[place - 1], _LIFE[letter]
        what = f"a task {first} before it {yours}"
        trial.expect(
            first == yours, what, f"place {place}: it {first}, as in the run just made", f"place {place}: {letter}"
        )


@exercise(
    "00.2",
    "send, do not wait",
    "Calling add(x, y) runs it here. Which method of the task sends it?",
    "result = add.delay(…, …)",
)
def send_without_waiting(answer: Any, trial: Trial) -> None:
    """One message to ``tasks.add``, and its result returned without waiting."""
    for _ in range(3):
        x, y = trial.random.randint(10, 99), trial.random.randint(100, 999)
        returned, letter, _took = _one_add(answer, trial, x, y)
        _expect_sum(trial, _result(trial, returned, letter), x, y)


@exercise(
    "00.3",
    "a task of your own",
    "A task is a function with a line above it: see the cell that makes whoami. greet needs no bind.",
    "@app.task above def greet(name): and return the greeting.",
)
def a_task_of_your_own(answer: Any, trial: Trial) -> None:
    """A task of this app that greets whoever is named."""
    made = task_for(trial, answer, "Ada")
    for name in trial.random.sample(_NAMES, 3):
        trial.expect_value(trial.run(made.s(name)), f"Hello, {name}", repr(name))


@exercise(
    "00.4",
    "send all, then collect",
    "get() waits. How many messages are out when it is called for the first time?",
    "Two steps: send all and keep the results in a list; only then go through that list with get.",
    "First results = [slow.delay(0.25, name) for name in names], then [each.get(timeout=5) for each in results].",
)
def send_all_then_collect(answer: Any, trial: Trial) -> None:
    """All messages are out before the first task has ended."""
    for many in (3, 2):
        names = trial.random.sample(_NAMES, many)
        with _post() as letters:
            values = trial.call(answer, list(names))
        trial.expect(len(letters) == many, "one message a name is sent", f"{many} messages", f"{len(letters)}")
        for letter in letters:
            seconds = letter.args[0] if letter.args else letter.kwargs.get("seconds")
            right = letter.task == "tasks.slow" and seconds == 0.25
            trial.expect(right, "each is slow(0.25, name)", "slow(0.25, …)", f"{letter.task}{letter.args}")
        trial.expect(isinstance(values, list), "the values come as a list", names, f"{values!r:.60}, no list")
        trial.expect(values == names, "the values are right, in the order of the names", names, repr(values)[:60])
        ends = [trial.lab.app.AsyncResult(letter.id).date_done.timestamp() for letter in letters]
        early = sum(letter.at < min(ends) for letter in letters)
        happened = f"{early} of {many} were sent when the first one ended"
        trial.expect(early == many, "all are sent before the first one ends", f"{many} of {many}", happened)


@exercise(
    "00.5",
    "later, without waiting",
    "delay takes the task's arguments and nothing else. Its longer form takes options: see 'Variation: apply_async'.",
    "apply_async takes the arguments as one tuple, then options such as countdown: seconds to wait before running.",
    "return add.apply_async((x, y), countdown=0.3)",
)
def later_without_waiting(answer: Any, trial: Trial) -> None:
    """The caller is not held up, the task does not start before it is due."""
    x, y = trial.random.randint(10, 99), trial.random.randint(100, 999)
    began = time.time()
    returned, letter, took = _one_add(answer, trial, x, y)
    ended = trial.lab.app.AsyncResult(letter.id).date_done
    at_once = took < 0.29 or (letter.due is not None and ended is None)
    trial.expect(at_once, "your function returns at once", "no waiting in it", "it returned only after a while")
    result = _result(trial, returned, letter)
    _expect_sum(trial, result, x, y)
    waits = letter.due is not None and letter.due >= began + 0.3 - _ROUNDING
    happened = "it was over before that" if letter.due is None else "it was due before that"
    trial.expect(waits, "it runs 0.3 s after sending or later", "not before 0.3 s", happened)
    early = letter.due is not None and result.date_done.timestamp() < letter.due - _ROUNDING
    trial.expect(not early, "it runs 0.3 s after sending or later", "not before 0.3 s", "it was over before that")
