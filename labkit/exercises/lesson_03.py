"""Lesson 03, immutability: put in order, fill in, write, repair, meet a constraint."""

from __future__ import annotations

from itertools import pairwise
from typing import Any, Final

from celery import chain
from celery.canvas import Signature

from labkit.exercises.common import (
    built,
    calls,
    gives,
    letters_of,
    name_of,
    no_callback,
    numbered,
    sends,
    succeeds,
    task,
)
from labkit.graph import Edge, Graph, Node
from labkit.plan import plan
from labkit.practice import Trial, exercise
from labkit.run import Run

#: The pieces of the first exercise, and the one order that gives the value asked for.
_PIECES: Final = {"A": "mul", "B": "add", "C": "sub", "D": "noarg", "E": "ident"}
_ORDER: Final = "EDBCA"
#: The pieces that lack an argument.
_LACKING: Final = "AC"


# --- what the checks share ----------------------------------------------------------------------------------


def _fixed(name: str, *args: Any) -> Signature:
    return task(name, *args).set(immutable=True)


def _arrows(graph: Graph) -> dict[tuple[str, str], Edge]:
    return {(edge.source, edge.target): edge for edge in graph.task_edges()}


def _runs_tasks(trial: Trial, run: Run, names: list[str], wanted: Graph) -> list[Node]:
    """Refuse the answer unless these tasks ran, in this order of the canvas; their nodes."""
    nodes = list(run.graph.nodes.values())
    same = [name_of(node) for node in nodes] == names
    trial.expect(same, "the tasks are those asked for", ", ".join(names), calls(run), wanted=wanted, got=run.graph)
    return nodes


def _one_after_the_other(trial: Trial, run: Run, wanted: Graph) -> None:
    """Refuse the answer unless each step waits for the one before, and takes nothing from it."""
    graph = run.graph
    arrows = _arrows(graph)
    shown = {"wanted": wanted, "got": graph}
    for before, after in pairwise(graph.nodes.values()):
        edge = arrows.get((before.key, after.key))
        said = f"{graph.number(after.key)} {name_of(after)} does not wait for {graph.number(before.key)}"
        trial.expect(edge is not None, "the steps run one after the other", "a chain", said, **shown)
        said = f"{graph.number(after.key)} {name_of(after)} was given the value of {graph.number(before.key)}"
        kept = edge is not None and not edge.passes_value
        trial.expect(kept, "no step takes the value before it", "order without data", said, **shown)


# --- the exercises ------------------------------------------------------------------------------------------


@exercise(
    "03.1",
    "put in order",
    "ident takes one argument and has it. What would a step before it put in front?",
    "Whatever stands before an immutable step is forgotten. So what must come after B?",
    "E D B, and then the two that take the value before them.",
)
def put_in_order(answer: Any, trial: Trial) -> None:
    """Five pieces in the one order in which nothing fails and the value is right; run with other numbers."""
    letters = letters_of(trial, answer, _PIECES)
    begins = letters[0]
    said = f"{begins} comes first, and {_PIECES[begins]} still lacks an argument"
    trial.expect(begins not in _LACKING, "the first step has all its arguments", "a piece that lacks none", said)
    for _ in range(2):
        draw = trial.random.randint
        a, b, c, d, e = draw(5, 9), draw(5, 9), draw(1, 4), draw(2, 4), draw(50, 99)
        pieces = {
            "A": task("mul", d),
            "B": _fixed("add", a, b),
            "C": task("sub", c),
            "D": _fixed("noarg"),
            "E": task("ident", e),
        }
        wanted = plan(chain(*(pieces[letter] for letter in _ORDER)))
        run = trial.run(chain(*(pieces[letter] for letter in letters)))
        succeeds(trial, run, wanted)
        given = f"add.si({a}, {b}), sub.s({c}), mul.s({d})"
        gives(trial, run, (a + b - c) * d, given, wanted)


@exercise(
    "03.2",
    "fill in",
    "mul has its two arguments already. What would the value of add do to it?",
    "A step that shall ignore the value before it is written with .si.",
    "add.s(x, y) | mul.si(x, x)",
)
def fill_in(answer: Any, trial: Trial) -> None:
    """The sum, and when it is done a product that takes nothing from it."""
    for _ in range(2):
        x, y = trial.random.randint(10, 40), trial.random.randint(2, 9)
        wanted = plan(chain(task("add", x, y), _fixed("mul", x, x)))
        run = trial.run(built(trial, answer, x, y))
        succeeds(trial, run, wanted)
        gives(trial, run, x * x, f"{x=}, {y=}", wanted)
        sends(trial, run, 2, "it sends two messages", wanted)
        first, second = _runs_tasks(trial, run, ["add", "mul"], wanted)
        shown = {"wanted": wanted, "got": run.graph}
        own = first.value == x + y and tuple(run.messages[1].args) == (x, x)
        trial.expect(own, "each step has its own arguments", f"add({x}, {y}), mul({x}, {x})", calls(run), **shown)
        _one_after_the_other(trial, run, wanted)
        trial.expect(second.value == x * x, "the second step multiplies", x * x, second.value, **shown)


@exercise(
    "03.3",
    "write",
    "Each pair becomes one signature that takes nothing from the one before.",
    "chain() takes any number of steps: chain(*list_of_steps).",
    "return chain(*[add.si(x, y) for x, y in pairs])",
)
def independent_sums(answer: Any, trial: Trial) -> None:
    """The sum of each pair, one after the other, each to be read through ``parent``."""
    for length in (3, 2, trial.random.randint(4, 6)):
        pairs = [(trial.random.randint(2, 60), trial.random.randint(2, 60)) for _ in range(length)]
        sums = [x + y for x, y in pairs]
        wanted = plan(chain(*(_fixed("add", x, y) for x, y in pairs)))
        run = trial.run(built(trial, answer, list(pairs)))
        shown = {"wanted": wanted, "got": run.graph}
        succeeds(trial, run, wanted)
        gives(trial, run, sums[-1], f"{pairs}", wanted)
        sends(trial, run, length, "it sends one message a pair", wanted)
        _runs_tasks(trial, run, ["add"] * length, wanted)
        values = [node.value for node in run.graph.nodes.values()]
        trial.expect(values == sums, "each step adds its own pair", sums, values, **shown)
        _one_after_the_other(trial, run, wanted)
        result, read = run.result, []
        while result is not None:
            read.append(result.get(timeout=trial.left))
            result = result.parent
        trial.expect(read == sums[::-1], "all values can be read through parent", sums[::-1], read, **shown)


@exercise(
    "03.4",
    "repair",
    "Draw broken with labkit.run: which of the two callbacks cannot take what it is given?",
    "A callback that wants no result is immutable. The other one wants it.",
    "link=[note.s(text), noarg.si()]",
)
def two_callbacks(answer: Any, trial: Trial) -> None:
    """A product with two callbacks: one takes it, the other takes nothing."""
    for _ in range(2):
        x, y = trial.random.randint(10, 40), trial.random.randint(2, 9)
        text = f"text {trial.random.randint(10, 99)}"
        wanted = plan(task("mul", x, y).set(link=[task("note", text), _fixed("noarg")]))
        found = built(trial, answer, x, y, text)
        no_callback(trial, answer, found, "mul", "note", "noarg")
        run = trial.run(found)
        shown = {"wanted": wanted, "got": run.graph}
        succeeds(trial, run, wanted)
        gives(trial, run, x * y, f"{x=}, {y=}", wanted)
        nodes = list(run.graph.nodes.values())
        names = sorted(name_of(node) for node in nodes)
        right = ["mul", "noarg", "note"]
        trial.expect(names == right, "each of the three tasks runs once", ", ".join(right), calls(run), **shown)
        heard = next(node.value for node in nodes if name_of(node) == "note")
        trial.expect(heard == [x * y, text], "note gets the product, then the text", [x * y, text], heard, **shown)
        done = next(node.state for node in nodes if name_of(node) == "noarg")
        trial.expect(done == "succeeded", "noarg runs", "succeeded", done, **shown)
        product = next(node for node in nodes if name_of(node) == "mul")
        after = {target for source, target in _arrows(run.graph) if source == product.key}
        trial.expect(bool(after), "both run after the product", "callbacks of mul", calls(run), **shown)


@exercise(
    "03.5",
    "meet a constraint",
    "In a chain, an immutable step in the middle cuts off the value. What else can run after a task?",
    "A callback is sent beside the next step, and both may follow one task.",
    "add.s(x, y).set(link=note.si(word)) | mul.s(factor)",
)
def beside_the_chain(answer: Any, trial: Trial) -> None:
    """``(x + y) · factor``, and a note as soon as the sum is there that cuts nothing off."""
    for _ in range(2):
        x, y, factor = trial.random.randint(10, 40), trial.random.randint(2, 9), trial.random.randint(3, 9)
        word = f"word {trial.random.randint(10, 99)}"
        wanted = plan(chain(task("add", x, y).set(link=_fixed("note", word)), task("mul", factor)))
        found = built(trial, answer, x, y, factor, word)
        no_callback(trial, answer, found, "add", "note")
        run = trial.run(found)
        graph = run.graph
        shown = {"wanted": wanted, "got": graph}
        succeeds(trial, run, wanted)
        sends(trial, run, 3, "it sends three messages", wanted)
        by_name = {name_of(node): node for node in graph.nodes.values()}
        names, right = ", ".join(sorted(by_name)), "add, mul, note"
        trial.expect(names == right, "the tasks are those asked for", right, names, **shown)
        first, product, noted = by_name["add"], by_name["mul"], by_name["note"]
        said = "it is a callback of add, and the value stays the sum"
        trial.expect(product.role != "callback", "mul is a step of the chain", "mul behind add", said, **shown)
        arrows = _arrows(graph)
        handed = arrows.get((first.key, product.key))
        passes = handed is not None and handed.passes_value
        cut = any(arrow == (noted.key, product.key) and arrows[arrow].passes_value for arrow in arrows)
        said = "mul got the value of note" if cut else "mul got nothing from add"
        trial.expect(passes and not cut, "add hands its sum on to mul", "a value on the arrow", said, **shown)
        before = [numbered(graph, graph.nodes[source]) for source, target in arrows if target == noted.key]
        said = f"note follows {', '.join(before)}" if before else "note waits for nothing"
        waits = (first.key, noted.key) in arrows
        trial.expect(waits, "note runs when the sum is there", "note follows add", said, **shown)
        trial.expect(noted.value == [word], "note gets the word alone", [word], noted.value, **shown)
        gives(trial, run, (x + y) * factor, f"{x=}, {y=}, {factor=}", wanted)
