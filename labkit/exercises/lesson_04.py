"""Lesson 04, chains: put in order, fill in, write, repair, meet a constraint."""

from __future__ import annotations

from itertools import pairwise, permutations
from typing import Any, Final

from celery import chain

from labkit.exercises.common import built, calls, gives, letters_of, name_of, sends, succeeds, task
from labkit.graph import Graph
from labkit.plan import plan
from labkit.practice import Trial, exercise
from labkit.run import Run

#: The pieces of the first exercise: what each does to the value before it, ``None`` for the one that begins.
_PIECES: Final = {"A": "mul", "B": "add", "C": "sub", "D": "power", "E": "add"}
_BEGINS: Final = "B"
_ORDER: Final = "BACDE"


# --- what the checks share ----------------------------------------------------------------------------------


def _hands_on(trial: Trial, run: Run, what: str, wanted: Graph) -> None:
    """Refuse the answer unless each step gets the value of the one before as its first argument."""
    graph = run.graph
    passing = {(edge.source, edge.target) for edge in graph.task_edges() if edge.passes_value}
    for before, after in pairwise(graph.nodes.values()):
        said = f"{graph.number(after.key)} {name_of(after)} got nothing from {graph.number(before.key)}"
        trial.expect((before.key, after.key) in passing, what, "a value on each arrow", said, wanted=wanted, got=graph)


# --- the exercises ------------------------------------------------------------------------------------------


@exercise(
    "04.1",
    "put in order",
    "Which piece needs nothing from another?",
    "Begin with B. Then follow the brackets of the formula from the inside to the outside.",
)
def put_in_order(answer: Any, trial: Trial) -> None:
    """Pieces in the order of a formula; run with other numbers than those shown."""
    letters = letters_of(trial, answer, _PIECES)
    begins = letters[0]
    said = f"{begins} comes first, and {_PIECES[begins]} still lacks its first argument"
    trial.expect(begins == _BEGINS, "the first step has all its arguments", "a piece that lacks none", said)
    for _ in range(2):
        numbers = _telling_numbers(trial)
        pieces = {letter: task(name, *numbers[letter]) for letter, name in _PIECES.items()}
        right = _formula(numbers, _ORDER)
        run = trial.run(chain(*(pieces[letter] for letter in letters)))
        given = " ".join(f"{letter}: {pieces[letter]!r}," for letter in _PIECES).rstrip(",").replace("tasks.", "")
        gives(trial, run, right, given, plan(chain(*(pieces[letter] for letter in _ORDER))))


def _formula(numbers: dict[str, tuple[int, ...]], order: str) -> int:
    value = sum(numbers[order[0]])
    for letter in order[1:]:
        (by,) = numbers[letter]
        match _PIECES[letter]:
            case "mul":
                value *= by
            case "add":
                value += by
            case "sub":
                value -= by
            case _:
                value **= by
    return value


def _telling_numbers(trial: Trial) -> dict[str, tuple[int, ...]]:
    """Numbers for the pieces with which no other order gives the same value."""
    while True:
        draw = trial.random.randint
        numbers = {
            "A": (draw(2, 5),),
            "B": (draw(2, 9), draw(2, 9)),
            "C": (draw(2, 9),),
            "D": (2,),
            "E": (draw(1, 9),),
        }
        right = _formula(numbers, _ORDER)
        others = (f"{_BEGINS}{''.join(rest)}" for rest in permutations("ACDE"))
        if [_formula(numbers, other) for other in others].count(right) == 1:
            return numbers


@exercise(
    "04.2",
    "fill in",
    "The value of the step before is put in front of what you write.",
    "The second step is mul with c: its other factor arrives. The third takes a away.",
)
def fill_in(answer: Any, trial: Trial) -> None:
    """(a + b) · c − a in three steps that hand their values on."""
    for _ in range(2):
        a, b, c = (trial.random.randint(2, 9), trial.random.randint(11, 19), trial.random.randint(3, 9))
        wanted = plan(chain(task("add", a, b), task("mul", c), task("sub", a)))
        run = trial.run(built(trial, answer, a, b, c))
        succeeds(trial, run, wanted)
        gives(trial, run, (a + b) * c - a, f"{a=}, {b=}, {c=}", wanted)
        sends(trial, run, 3, "it sends three messages", wanted)
        _hands_on(trial, run, "each step gets the value of the one before", wanted)
        first, second, _third = run.graph.nodes.values()
        adds = first.value == a + b and set(first.args) == {a, b}
        trial.expect(adds, "the first step adds", f"add({a}, {b})", calls(run), wanted=wanted, got=run.graph)
        multiplies = second.value == (a + b) * c
        trial.expect(multiplies, "the second step multiplies", (a + b) * c, second.value, wanted=wanted, got=run.graph)


@exercise(
    "04.3",
    "write",
    "Only the first step takes two numbers. Each later one takes one, the total so far arrives.",
    "chain() takes any number of steps: chain(first, *[… for number in rest]). A loop with | does too.",
)
def running_total(answer: Any, trial: Trial) -> None:
    """The sum of a list, a number a step, for lists of several lengths."""
    for length in (4, 2, trial.random.randint(5, 7)):
        numbers = trial.random.sample(range(2, 60), length)
        if numbers[-1] == sum(numbers[:-1]):
            numbers[-1] += 1  # else twice the last one is the sum, and a lost value would not show
        totals = [sum(numbers[: place + 1]) for place in range(1, length)]
        first, second, *rest = numbers
        wanted = plan(chain(task("add", first, second), *(task("add", number) for number in rest)))
        run = trial.run(built(trial, answer, list(numbers)))
        succeeds(trial, run, wanted)
        gives(trial, run, totals[-1], f"{numbers}", wanted)
        sends(trial, run, length - 1, "one message less than there are numbers", wanted)
        _hands_on(trial, run, "each step gets the value of the one before", wanted)
        values = [node.value for node in run.graph.nodes.values()]
        trial.expect(values == totals, "each step holds the total so far", totals, values, wanted=wanted, got=run.graph)


@exercise(
    "04.4",
    "repair",
    "Which function does the error name? Where does its third argument come from?",
    "A step that shall ignore the value before it is written with .si in place of .s.",
)
def repair(answer: Any, trial: Trial) -> None:
    """Three independent steps one after the other; none hands its value on."""
    for _ in range(2):
        x, y = trial.random.randint(20, 40), trial.random.randint(2, 19)
        own = [("add", (x, x)), ("mul", (y, y)), ("sub", (x, y))]
        steps = [task(name, *args).set(immutable=True) for name, args in own]
        wanted = plan(chain(*steps))
        run = trial.run(built(trial, answer, x, y))
        graph = run.graph
        shown = {"wanted": wanted, "got": graph}
        succeeds(trial, run, wanted)
        sends(trial, run, 3, "it sends three messages", wanted)
        nodes = list(graph.nodes.values())
        names, expected = [name_of(node) for node in nodes], [name for name, _ in own]
        trial.expect(sorted(names) == sorted(expected), "the same tasks run", ", ".join(expected), calls(run), **shown)
        trial.expect(names == expected, "the steps come in the same order", ", ".join(expected), calls(run), **shown)
        edges = {(edge.source, edge.target): edge for edge in graph.task_edges()}
        arrows = [edges.get((before.key, after.key)) for before, after in pairwise(nodes)]
        said = "nothing tells a step to wait for the one before"
        trial.expect(None not in arrows, "the steps run one after the other", "a chain", said, **shown)
        kept = all(edge is not None and not edge.passes_value for edge in arrows)
        theirs = [tuple(message.args) for message in run.messages] == [args for _, args in own]
        right = ", ".join(f"{name}{args}" for name, args in own)
        trial.expect(kept and theirs, "each step has its own two arguments, and no other", right, calls(run), **shown)
        gives(trial, run, x - y, f"{x=}, {y=}", wanted)


@exercise(
    "04.5",
    "meet a constraint",
    "Which of the five steps could be one?",
    "Adding 1, 2 and 3 is adding 6, and add can take x itself.",
)
def two_messages(answer: Any, trial: Trial) -> None:
    """(x + 6) · y in two messages, x + 6 in the parent."""
    for _ in range(2):
        x, y = trial.random.randint(7, 60), trial.random.randint(3, 9)
        wanted = plan(chain(task("add", x, 6), task("mul", y)))
        run = trial.run(built(trial, answer, x, y))
        shown = {"wanted": wanted, "got": run.graph}
        succeeds(trial, run, wanted)
        gives(trial, run, (x + 6) * y, f"{x=}, {y=}", wanted)
        sends(trial, run, 2, "it sends two messages", wanted)
        first, _second = run.graph.nodes.values()
        trial.expect(first.value == x + 6, "the parent holds x + 6", x + 6, first.value, **shown)
        given = tuple(run.messages[0].args)
        trial.expect(x in given, "x reaches a task as it is", f"{x} among the arguments", given, **shown)
        _hands_on(trial, run, "the value of the first step is handed on", wanted)
