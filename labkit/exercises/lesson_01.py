"""Lesson 01: options read and set, a signature from JSON, arguments of its own, a signature left as it was."""

from __future__ import annotations

import json
import time
from datetime import datetime
from typing import Any, Final

from celery import group
from celery.canvas import Signature

from labkit.exercises.common import unchanged
from labkit.practice import Trial, exercise
from labkit.run import Run

#: Countdowns of the pieces of 01.1 in the check, in seconds: the same order as in the lesson.
_COUNTDOWNS: Final = {"A": 0.45, "B": None, "C": 0.3, "D": 0.15, "E": 0.6}
#: How far two clocks may be apart, in seconds.
_ROUNDING: Final = 0.02


def _signature(trial: Trial, answer: Any, instead: str) -> Signature:
    """Refuse an answer that is no signature; ``instead`` is what to return in place of a result."""
    if answer is ...:
        trial.unanswered()
    trial.plan(answer, instead)
    if not isinstance(answer, Signature):
        trial.refuse("the answer gives a signature, not a dict", "a Signature", type(answer).__name__)
    return answer


def _signatures(trial: Trial, answer: Any, many: int, each: str, instead: str) -> list[Signature]:
    if answer is ...:
        trial.unanswered()
    if not isinstance(answer, list | tuple):
        trial.refuse("the answer is a list of signatures", "a list", f"{answer!r:.60}")
    trial.expect(len(answer) == many, f"the list has one signature {each}", many, len(answer))
    return [_signature(trial, one, instead) for one in answer]


def _dues(run: Run) -> list[float | None]:
    """When each message of a run is due (seconds since the epoch), ``None`` for at once: its ``eta``.

    What lies between sending and starting is no measure: a busy machine can hold up either.
    """
    etas = [message.headers.get("eta") for message in run.messages]
    return [datetime.fromisoformat(eta).timestamp() if eta else None for eta in etas]


def _expect_held(trial: Trial, run: Run) -> None:
    """Refuse the answer if a task started before it was due."""
    for node, due in zip(run.graph.nodes.values(), _dues(run), strict=True):
        early = due is not None and (node.started or 0.0) < due - _ROUNDING
        trial.expect(not early, "it starts when it is due", "not before its countdown", "it started before that")


@exercise(
    "01.1",
    "read the options",
    "A countdown is an option; what has none starts at once.",
    "set changes what was there before: the last one counts.",
    'It begins with "B", "D".',
)
def read_the_options(answer: Any, trial: Trial) -> None:
    """The order of the letters is the order in which a run starts them."""
    shape = isinstance(answer, list | tuple | str) and all(isinstance(each, str) for each in answer)
    trial.expect(shape, "the answer is a list of letters", '["A", "B", …]', repr(answer)[:60])
    letters = [each.strip().upper() for each in answer]
    trial.expect(sorted(letters) == sorted(_COUNTDOWNS), "each letter once", ", ".join(_COUNTDOWNS), ", ".join(letters))

    numbers = dict(zip(_COUNTDOWNS, trial.random.sample(range(10, 99), len(_COUNTDOWNS)), strict=True))
    pieces: list[Signature] = []
    # The longest countdown last: what is sent later is due later then, however long the sending takes.
    for letter in sorted(_COUNTDOWNS, key=lambda letter: _COUNTDOWNS[letter] or 0):
        piece = trial.lab.app.signature("tasks.ident", (letter + str(numbers[letter]),))
        seconds = _COUNTDOWNS[letter]
        pieces.append(piece.set(countdown=seconds) if seconds else piece)
    run = trial.run(group(pieces))
    started = sorted(run.graph.nodes.values(), key=lambda node: node.started or 0.0)
    truth = [str(node.value)[0] for node in started]
    for place, (yours, ran) in enumerate(zip(letters, truth, strict=True), 1):
        trial.expect(yours == ran, f"what starts at place {place} is right", ran, yours)


@exercise(
    "01.2",
    "an option of its own",
    ".s takes the arguments of the task and nothing else.",
    "Build it first, then call set with the option.",
    "return mul.s(x, y).set(countdown=…)",
)
def an_option_of_its_own(answer: Any, trial: Trial) -> None:
    """One message to ``tasks.mul`` that starts 0.2 s after it was sent."""
    for _ in range(2):
        x, y = trial.random.randint(10, 99), trial.random.randint(10, 99)
        built = _signature(trial, trial.call(answer, x, y), "mul.s(…) with its countdown set")
        before = time.time()
        run = trial.run(built)
        trial.expect(len(run.messages) == 1, "it is one message", 1, len(run.messages))
        trial.expect_value(run, x * y, f"{x} and {y}")
        name = run.messages[0].task
        trial.expect(name == "tasks.mul", "the message is for tasks.mul", "tasks.mul", name)
        [due] = _dues(run)
        waits = 0.0 if due is None else due - before
        happened = "it started before that" if waits < 0.2 - _ROUNDING else "it started much later"
        right = 0.2 - _ROUNDING <= waits < 1.2
        trial.expect(right, "it starts 0.2 s after it was sent", "a countdown of 0.2", happened, got=run.plan)
        _expect_held(trial, run)


@exercise(
    "01.3",
    "from JSON",
    "json.loads gives a dict. What turns a dict into a signature?",
    "return signature(json.loads(text))",
)
def from_json(answer: Any, trial: Trial) -> None:
    """The text of any signature becomes a signature that does the same, with the same options."""
    names = ["tasks.sub", "tasks.mul", "tasks.power"]
    trial.random.shuffle(names)
    for name in names:
        x, y, seconds = trial.random.randint(50, 99), trial.random.randint(2, 9), trial.random.choice([0.05, 0.1])
        original = trial.lab.app.signature(name, args=(x, y), countdown=seconds)
        text = json.dumps(original)
        given = trial.call(answer, text)
        trial.expect(given != text, "the answer gives a signature, not its text", "a Signature", "the text as it came")
        found = _signature(trial, given, "what signature(…) gives")
        what = "the text is read before a signature is made of it"
        trial.expect(found.task != text, what, f"a signature of {name}", f"a signature of a task called {text:.40}…")
        run = trial.run(found)
        sent = run.messages[0].task if len(run.messages) == 1 else f"{len(run.messages)} messages"
        trial.expect(sent == name, "the same task is sent", name, sent)
        trial.expect_value(run, trial.lab.app.tasks[name](x, y), f"{name}({x}, {y})")
        trial.expect(
            found.options.get("countdown") == seconds, "the options are kept", f"countdown {seconds}", found.options
        )


@exercise(
    "01.4",
    "arguments of its own",
    "Print the list that your function returns: what do the signatures have in common?",
    "A signature keeps the list itself, not a copy of it. Who changes that list later?",
    "xsum.s(list(batch))",
)
def arguments_of_its_own(answer: Any, trial: Trial) -> None:
    """A signature for each batch that adds up that batch."""
    for many in (3, 2):
        batches = [[100 * size + trial.random.randint(1, 49), trial.random.randint(1, 50)] for size in range(many)]
        found = _signatures(trial, trial.call(answer, [list(batch) for batch in batches]), many, "a batch", "xsum.s(…)")
        runs = [trial.run(sig) for sig in found]
        values = [trial.value(run) for run in runs]
        if set(map(repr, values)) == {repr(sum(batches[-1]))}:
            happened = "all of them add up the last batch"
            trial.refuse("each signature has a list of its own", "each adds up its own batch", happened)
        for run, batch in zip(runs, batches, strict=True):
            trial.expect_value(run, sum(batch), f"{batch}")


@exercise(
    "01.5",
    "left as it was",
    "set changes the signature that it is called on, and returns that same one.",
    "clone gives a copy that can be changed.",
    "sig.clone().set(countdown=seconds) for each of them",
)
def left_as_it_was(answer: Any, trial: Trial) -> None:
    """A signature for each countdown; the one given is not changed."""
    for countdowns in ([0.1, 0.3, 0.2], [0.3, 0.1]):
        x, y = trial.random.randint(10, 99), trial.random.randint(10, 99)
        given = trial.lab.app.signature("tasks.add", args=(x, y))
        before = json.dumps(given)
        returned = trial.call(answer, given, list(countdowns))
        found = _signatures(trial, returned, len(countdowns), "a countdown", "a clone of sig with its countdown")
        unchanged(trial, given, before, "the signature given is left as it was")
        apart = len({id(each) for each in found}) == len(found)
        trial.expect(apart, "they are signatures of their own", f"{len(found)} of them", "the same one again")
        run = trial.run(group(found))
        trial.expect_value(run, [x + y] * len(found), f"add({x}, {y})")
        _expect_held(trial, run)
        planned = [node.options.get("countdown") for node in run.plan.nodes.values()]
        for place, (seconds, wanted) in enumerate(zip(planned, countdowns, strict=True), 1):
            happened = "none" if seconds is None else f"{seconds} s"
            trial.expect(seconds == wanted, f"number {place} waits for its countdown", f"{wanted} s", happened)
