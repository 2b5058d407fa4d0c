"""Lesson 02, partials: put in order, fill in, write, repair, meet a constraint."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any, Final

from celery import group, signature

from labkit.exercises.common import (
    built,
    calls,
    filled,
    gives,
    letters_of,
    name_of,
    no_callback,
    returned,
    sends,
    succeeds,
    task,
    unchanged,
)
from labkit.plan import plan
from labkit.practice import Trial, exercise
from labkit.run import Run

#: The pieces of the first exercise: task, arguments, keyword arguments.
_PIECES: Final[dict[str, tuple[str, tuple[int, ...], dict[str, int]]]] = {
    "A": ("power", (2,), {}),
    "B": ("sub", (), {"y": 8}),
    "C": ("mul", (7,), {}),
    "D": ("sub", (10,), {}),
    "E": ("add", (1,), {}),
}
#: What the lesson gives the pieces, and other numbers for which their values have the same order.
_LATE: Final = (6, 3, 4, 5)


# --- the exercises ------------------------------------------------------------------------------------------


@exercise(
    "02.1",
    "put in order",
    "Write each call out in full, as D: sub(6, 10).",
    "A late argument goes in front of those that were written by place; those written by name stay by name.",
    "Two of the values are negative: those of B and D. A is 6 to the power of 2.",
)
def put_in_order(answer: Any, trial: Trial) -> None:
    """The order of the letters is the order of the values, for the number shown and for another one."""
    letters = letters_of(trial, answer, _PIECES)
    for late in (_LATE[0], trial.random.choice(_LATE[1:])):
        pieces = [task(name, *args, **kwargs).clone((late,)) for name, args, kwargs in _PIECES.values()]
        run = trial.run(group(pieces))
        nodes = dict(zip(_PIECES, run.graph.nodes.values(), strict=True))
        shown = {letter: f"{letter} ({message!r} is {nodes[letter].value})" for letter, message in _sent(run)}
        for before, after in pairwise(letters):
            trial.expect(
                nodes[before].value < nodes[after].value,
                "each value is larger than the one before",
                "the smaller value stands before the larger one",
                f"{shown[before]} stands before {shown[after]}",
                got=run.graph,
            )


def _sent(run: Run) -> Any:
    return zip(_PIECES, run.messages, strict=True)


@exercise(
    "02.2",
    "fill in",
    "Which of the three parameters is the one that comes later, and where is its place?",
    "What comes later lands in front, on value. The other two can be written down now, by place or by name.",
    "return clamp.s(low, high)",
)
def fill_in(answer: Any, trial: Trial) -> None:
    """A partial that keeps whatever it is given later between two bounds."""
    for _ in range(2):
        low = trial.random.randint(10, 30)
        high = low + trial.random.randint(10, 30)
        for value in (low - trial.random.randint(1, 9), trial.random.randint(low + 1, high - 1), high + 5):
            partial = built(trial, answer, low, high)
            steps = [name_of(node) for node in trial.plan(partial).nodes.values()]
            trial.expect(len(steps) == 1, "it is one message", 1, f"{len(steps)}: {', '.join(steps)}")
            run = trial.run(partial.clone((value,)))
            right = min(max(value, low), high)
            wanted = plan(signature("clamp", (value, low, high)))
            succeeds(trial, run, wanted)
            gives(trial, run, right, f"{low=}, {high=}, given {value} later", wanted)


@exercise(
    "02.3",
    "write",
    "A copy with an argument put in: which method makes one?",
    "clone takes the late arguments as a tuple. A tuple of one is written (number,).",
    "return [sig.clone((number,)) for number in numbers]",
)
def one_for_each(answer: Any, trial: Trial) -> None:
    """A copy of a partial for each number; the partial itself stays as it was."""
    k, many = trial.random.randint(2, 9), trial.random.randint(3, 5)
    for partial, length in ((task("sub", k), 2), (task("power", n=2).set(countdown=0.05), 3), (task("sub", y=k), many)):
        numbers = trial.random.sample(range(10, 99), length)
        before = json.dumps(partial)
        found = returned(trial, answer, partial, list(numbers))
        trial.expect(isinstance(found, list | tuple), "the answer is a list of signatures", "a list", f"{found!r:.60}")
        trial.expect(len(found) == length, "the list has one signature a number", length, len(found))
        signatures = [filled(trial, each) for each in found]
        unchanged(trial, partial, before, "the signature given is left as it was")
        apart = len({id(each) for each in signatures}) == length
        trial.expect(apart, "they are signatures of their own", f"{length} of them", "the same one again")
        for number, each in zip(numbers, signatures, strict=True):
            right = partial.clone((number,))
            run = trial.run(each)
            gives(trial, run, right(), f"{partial!r} and {number}", plan(right))
            due = "countdown" not in partial.options or "eta" in run.messages[0].headers
            trial.expect(due, "the options are kept", partial.options, each.options, wanted=plan(right), got=run.graph)


@exercise(
    "02.4",
    "repair",
    "The sum lands on the first parameter. Which parameter of sub should it land on?",
    "sub has its parameters the wrong way round for this. Whose order can you choose?",
    "A task of your own, (spent, budget), returns budget - spent. Its partial is left_of.s(budget).",
)
def what_is_left(answer: Any, trial: Trial) -> None:
    """``budget - (a + b)``: the sum first, handed on to a step that takes it away from the budget."""
    for _ in range(2):
        a, b = trial.random.randint(2, 29), trial.random.randint(2, 29)
        budget = trial.random.randint(70, 99)
        wanted = plan(task("add", a, b) | signature("left_of", (budget,)))
        run = trial.run(built(trial, answer, a, b, budget))
        graph = run.graph
        shown = {"wanted": wanted, "got": graph}
        succeeds(trial, run, wanted)
        gives(trial, run, budget - (a + b), f"{a=}, {b=}, {budget=}", wanted)
        first, *rest = graph.nodes.values()
        adds = bool(rest) and first.task == "tasks.add" and first.value == a + b
        trial.expect(adds, "the first step adds a and b", f"add({a}, {b})", calls(run), **shown)
        passing = {(edge.source, edge.target) for edge in graph.task_edges() if edge.passes_value}
        handed = all((before.key, after.key) in passing for before, after in pairwise(graph.nodes.values()))
        trial.expect(handed, "the value of each step is handed on", "a value on each arrow", calls(run), **shown)


@exercise(
    "02.5",
    "meet a constraint",
    "What is given replaces a stored link, and leaves the other options alone. link() adds one.",
    "Make a copy first. countdown=0 wins over a stored countdown.",
    "copy = sig.clone(countdown=0), then copy.link(extra), then return the copy.",
)
def one_callback_more(answer: Any, trial: Trial) -> None:
    """The same call at once, with its own callbacks and one more; the signature given stays as it was."""
    for stored in (1, 0, 2):
        x, y = trial.random.randint(10, 40), trial.random.randint(2, 9)
        words = [f"stored {number}" for number in trial.random.sample(range(10, 99), stored)]
        name = trial.random.choice(["add", "mul", "sub"])
        sig = task(name, x, y).set(countdown=0.2)
        for word in words:
            sig.link(task("note", word))
        extra = task("note", f"extra {trial.random.randint(10, 99)}")
        right = sig.clone(countdown=0)
        right.link(extra)
        wanted, before = plan(right), json.dumps(sig)
        found = built(trial, answer, sig, extra)
        unchanged(trial, sig, before, "sig is left as it was", wanted=wanted)
        no_callback(trial, answer, found, name, "note")
        run = trial.run(found)
        value = trial.lab.app.tasks[f"tasks.{name}"](x, y)
        heard = [node.value[-1] for node in run.graph.nodes.values() if isinstance(node.value, list)]
        shown = {"wanted": wanted, "got": run.graph}
        for word in words:
            trial.expect(
                word in heard, "the callbacks that sig has still run", f"note({value}, {word!r})", calls(run), **shown
            )
        trial.expect(extra.args[0] in heard, "extra runs", f"note({value}, {extra.args[0]!r})", calls(run), **shown)
        given = [node.value[0] for node in run.graph.nodes.values() if isinstance(node.value, list)]
        trial.expect(
            given == [value] * (stored + 1), "each callback gets the value in front", value, calls(run), **shown
        )
        gives(trial, run, value, f"{sig!r}", wanted)
        sends(trial, run, stored + 2, "one message for the call, one for each callback", wanted)
        waits = [repr(message) for message in run.messages if "eta" in message.headers]
        trial.expect(not waits, "it starts at once", "no countdown", f"{', '.join(waits)} has a countdown", **shown)
