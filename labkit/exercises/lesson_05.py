"""Lesson 05, callbacks and errbacks: put in order, fill in, write, repair, meet a constraint."""

from __future__ import annotations

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
    returned,
    sends,
    succeeds,
    task,
    task_of,
)
from labkit.graph import Graph, Node
from labkit.plan import plan
from labkit.practice import Trial, exercise
from labkit.run import Run

#: The pieces of the first exercise; after the one that fails comes its errback, after the others a callback.
_PIECES: Final = {"A": "fail", "B": "note", "C": "add", "D": "report_error", "E": "mul"}
_ORDER: Final = "CEADB"
_FAILS: Final = "A"
#: The pieces that lack an argument.
_LACKING: Final = "DE"

#: Text that no number can be added to.
_UNFIT: Final = "seven"

#: A task that raises what it is told to, and the errors it knows.
_BREAKS: Final = "lab.exercise.breaks"
_ERRORS: Final = (ArithmeticError, LookupError, RuntimeError, TypeError, ValueError)
_TEXTS: Final = ("no such file", "disk full", "out of paper", "wrong door", "too late", "nobody home")


# --- what the checks share ----------------------------------------------------------------------------------


def _called(run: Run, name: str) -> list[Node]:
    """The nodes of a task that ran."""
    ran = ("succeeded", "failed")
    return [node for node in run.graph.nodes.values() if name_of(node) == name and node.state in ran]


def _one(trial: Trial, run: Run, name: str, wanted: Graph) -> Node:
    """The one node of a task; refused if there is none, or more."""
    nodes = [node for node in run.graph.nodes.values() if name_of(node) == name]
    happened = f"{len(nodes)}: {calls(run)}"
    trial.expect(len(nodes) == 1, f"{name} is used once", "1", happened, wanted=wanted, got=run.graph)
    return nodes[0]


def _told(run: Run, nodes: list[Node]) -> str:
    """Calls in words, with ids as numbers."""
    shown = [f"{name_of(node)}({', '.join(map(repr, node.args))})" for node in nodes]
    return run.graph.name_ids(", ".join(shown)) or "not called"


def _reports_once(trial: Trial, run: Run, failing: str, given: str, wanted: Graph) -> None:
    """Refuse the answer unless report_error was sent once, with the id of the one task called ``failing``."""
    failed = _one(trial, run, failing, wanted)
    reports = _called(run, "report_error")
    number = run.graph.number(failed.key)
    trial.expect(
        [node.args[:1] for node in reports] == [(failed.id,)],
        f"report_error is sent once, with the failed task's id, for {given}",
        f"report_error({number})",
        _told(run, reports),
        wanted=wanted,
        got=run.graph,
    )


def _keeps_its_error(trial: Trial, run: Run, failing: str, error: type[Exception], given: str, wanted: Graph) -> None:
    """Refuse the answer unless the task failed with this error: an errback that cannot be sent puts its own there."""
    said = _one(trial, run, failing, wanted).error or "it did not fail"
    trial.expect(
        said.startswith(error.__name__) and "argument" not in said,
        f"the error stays {failing}'s own, for {given}",
        error.__name__,
        said,
        wanted=wanted,
        got=run.graph,
    )


def _hollow(signature: Any) -> bool:
    """Whether ``...`` still stands where a callback or an errback should be."""
    if not isinstance(signature, Signature):
        return False
    hooked: list[Any] = []
    for name in ("link", "link_error"):
        given = signature.options.get(name)
        hooked += given if isinstance(given, list | tuple) else [given]
    return any(each is ... for each in hooked)


# --- the exercises ------------------------------------------------------------------------------------------


@exercise(
    "05.1",
    "put in order",
    "Which piece has all its arguments? And which one wants an id?",
    "C comes first. An errback is told an id, so D comes right after the piece that fails.",
    "C, E, then the failing one, then the two that come of the failure.",
)
def put_in_order(answer: Any, trial: Trial) -> None:
    """Five pieces, each hooked onto the one before, all of which run; with other numbers than those shown."""
    letters = letters_of(trial, answer, _PIECES)
    begins = letters[0]
    said = f"{begins} comes first, and {_PIECES[begins]} lacks its first argument"
    trial.expect(begins not in _LACKING, "the first piece has all its arguments", "a piece that lacks none", said)
    for _ in range(2):
        x, y, factor = (trial.random.randint(2, 19) for _ in range(3))
        word = trial.random.choice(_TEXTS)
        wanted = plan(_hooked(_ORDER, x, y, factor, word))
        run = trial.run(_hooked(letters, x, y, factor, word))
        graph = run.graph
        nodes = dict(zip(letters, graph.nodes.values(), strict=False))
        shown = {"wanted": wanted, "got": graph}
        for letter, node in nodes.items():
            said = f"{letter} failed: {node.error}"
            trial.expect(
                letter == _FAILS or node.state != "failed", "all five run, and only A fails", "", said, **shown
            )
        for letter, node in nodes.items():
            said = f"{letter} never ran: {node.reason or node.state}"
            ran = node.state in ("succeeded", "failed")
            trial.expect(ran, "all five run, and only A fails", "five calls", said, **shown)
        told = _told(run, [nodes["E"]])
        trial.expect(nodes["E"].args[0] == x + y, "mul gets the sum", f"mul({x + y}, {factor})", told, **shown)
        told = _told(run, [nodes["D"]])
        right = f"report_error({graph.number(nodes[_FAILS].key)})"
        trial.expect(
            nodes["D"].args[0] == nodes[_FAILS].id, "report_error gets the failed task's id", right, told, **shown
        )
        told = _told(run, [nodes["B"]])
        trial.expect(nodes["B"].args[0] == nodes["D"].value, "note gets the report", "note('task … failed', …)", told)


def _hooked(letters: Any, x: int, y: int, factor: int, word: str) -> Signature:
    """The pieces, each with the one after it as its callback, the failing one as its errback."""
    args: dict[str, tuple[Any, ...]] = {"B": (word,), "C": (x, y), "E": (factor,)}
    after = None
    for letter in reversed(letters):
        piece = task(_PIECES[letter], *args.get(letter, ()))
        if after is not None:
            piece.set(**{"link_error" if letter == _FAILS else "link": after})
        after = piece
    assert after is not None
    return after


@exercise(
    "05.2",
    "fill in",
    "A callback is a signature. The value of add comes in front of what you write.",
    "The first is mul with 3, the second sub with y. The errback needs nothing from you: the id comes.",
)
def fill_in(answer: Any, trial: Trial) -> None:
    """Two callbacks and an errback on one task: tried with numbers, and with text that cannot be added."""
    for _ in range(2):
        x, y = trial.random.randint(40, 90), trial.random.randint(2, 9)
        given = f"{x=}, {y=}"
        hooks = {"link": [task("mul", 3), task("sub", y)], "link_error": task("report_error")}
        wanted = plan(task("add", x, y).set(**hooks))
        run = trial.run(_linked(trial, answer, x, y))
        shown = {"wanted": wanted, "got": run.graph}
        succeeds(trial, run, wanted)
        gives(trial, run, x + y, given, wanted)
        sends(trial, run, 3, "it sends three messages when all goes well", wanted)
        for name, value in (("mul", 3 * (x + y)), ("sub", x)):
            nodes = _called(run, name)
            trial.expect(len(nodes) == 1, f"{name} follows, once", f"one {name}", calls(run), **shown)
            gets = x + y in nodes[0].args and any(
                edge.target == nodes[0].key and edge.passes_value for edge in run.graph.task_edges()
            )
            trial.expect(gets, "a callback gets the value of add", x + y, _told(run, nodes), **shown)
            trial.expect(nodes[0].value == value, f"{name} gives what is asked for", value, nodes[0].value, **shown)
        _fails_well(trial, _linked(trial, answer, x, _UNFIT), f"{x=}, y={_UNFIT!r}", wanted)


def _linked(trial: Trial, answer: Any, *inputs: Any) -> Signature:
    made = returned(trial, answer, *inputs)
    if _hollow(made):
        trial.unanswered()
    found = built(trial, lambda *_: made, *inputs)
    no_callback(trial, answer, found, "add", "mul", "sub", "report_error")
    return found


def _fails_well(trial: Trial, signature: Signature, given: str, wanted: Graph) -> None:
    run = trial.run(signature)
    _keeps_its_error(trial, run, "add", TypeError, given, wanted)
    _reports_once(trial, run, "add", given, wanted)
    sends(trial, run, 2, "a failure is two messages: add and report_error", wanted)


@exercise(
    "05.3",
    "write",
    "Of a task that is done, everything can be read without waiting.",
    "AsyncResult(task_id).result is the error itself; type(error).__name__ is its type.",
    'error = AsyncResult(task_id).result, then return f"{type(error).__name__}: {error}"',
)
def report(answer: Any, trial: Trial) -> None:
    """A task of one parameter that reads the error of the failed task; tried with several errors."""
    made = task_of(trial, answer)
    for error in trial.random.sample(_ERRORS, 3):
        text = trial.random.choice(_TEXTS)
        right = f"{error.__name__}: {text}"
        run = trial.run(_breaks(trial).s(error.__name__, text).set(link_error=made.s()))
        graph = run.graph
        failed, errback = list(graph.nodes.values())[:2]
        said = f"the error became {failed.error}"
        trial.expect(
            failed.error == right, "it can be sent with one argument, the id", "one parameter", said, got=graph
        )
        said = "it was called where the task failed, as one with more parameters is"
        trial.expect(len(run.messages) == 2, "it is sent as a message", "one parameter: the id", said, got=graph)
        if "ellipsis" in (errback.error or "").lower():
            trial.unanswered()
        said = graph.name_ids(errback.error or errback.state)
        trial.expect(errback.state == "succeeded", "the errback itself succeeds", "it returns", said, got=graph)
        shown = repr(errback.value)
        trial.expect(errback.value == right, "it tells type and text of the error", repr(right), shown, got=graph)


def _breaks(trial: Trial) -> Any:
    """The task that raises what it is told to, made when it is first needed."""
    app = trial.lab.app
    if _BREAKS not in app.tasks:
        known = {error.__name__: error for error in _ERRORS}

        def breaks(kind: str, text: str) -> None:
            raise known[kind](text)

        app.task(name=_BREAKS)(breaks)
    return app.tasks[_BREAKS]


@exercise(
    "05.4",
    "repair",
    "On which steps are the callback and the errback when power comes to the chain?",
    "Build the whole chain first. Then link the chain.",
    "flow = add.s(x, 1) | power.s(n), then flow.link(…) and flow.link_error(…), and return flow.",
)
def repair(answer: Any, trial: Trial) -> None:
    """A chain with a callback behind its end and an errback on each step; it also fails in either step."""
    for _ in range(2):
        x, n = trial.random.randint(2, 9), trial.random.randint(2, 4)
        wanted = plan(_mended(x, n))
        value = (x + 1) ** n
        run = trial.run(built(trial, answer, x, n))
        shown = {"wanted": wanted, "got": run.graph}
        succeeds(trial, run, wanted)
        gives(trial, run, value, f"{x=}, {n=}", wanted)
        notes = _called(run, "note")
        trial.expect(len(notes) == 1, "note is called once", "once", f"{len(notes)} times", **shown)
        right = f"note({value}, 'saved')"
        told = _told(run, notes)
        trial.expect(notes[0].args == (value, "saved"), "note gets the value of the last step", right, told, **shown)
        last = _one(trial, run, "power", wanted)
        hangs = any(
            edge.source == last.key and edge.target == notes[0].key and edge.passes_value
            for edge in run.graph.task_edges()
        )
        trial.expect(hangs, "note follows the last step", "a callback of power", told, **shown)
        told = _told(run, _called(run, "report_error"))
        trial.expect(told == "not called", "nothing is reported when all goes well", "no report", told, **shown)
        sends(trial, run, 3, "it sends three messages", wanted)
    unfit: tuple[tuple[Any, int, str], ...] = ((-1, -trial.random.randint(1, 3), "power"), (_UNFIT, 2, "add"))
    for start, n, failing in unfit:
        given = f"x={start!r}, {n=}: {failing} fails"
        run = trial.run(built(trial, answer, start, n))
        wanted = plan(_mended(start, n))
        error = TypeError if failing == "add" else ZeroDivisionError
        _keeps_its_error(trial, run, failing, error, given, wanted)
        _reports_once(trial, run, failing, given, wanted)
        told = _told(run, _called(run, "note"))
        trial.expect(told == "not called", f"note is not called for {given}", "no note", told, got=run.graph)


def _mended(x: Any, n: int) -> Signature:
    flow = chain(task("add", x, 1), task("power", n))
    flow.link(task("note", "saved"))
    flow.link_error(task("report_error"))
    return flow


@exercise(
    "05.5",
    "meet a constraint",
    "What runs after success, and what after failure? Both may be the same task.",
    "noarg takes nothing, so it must not be given the value, nor the id: .si().",
    "power.s(x, n).set(link=…, link_error=…), with noarg.si() in both places.",
)
def in_any_case(answer: Any, trial: Trial) -> None:
    """One task after another, whether it succeeded or failed, exactly once."""
    draw = trial.random.randint
    for x, n in ((draw(2, 9), draw(2, 4)), (0, -draw(1, 3)), (draw(2, 9), draw(2, 4))):
        given = f"{x=}, {n=}"
        hooks = {name: task("noarg").set(immutable=True) for name in ("link", "link_error")}
        wanted = plan(task("power", x, n).set(**hooks))
        found = built(trial, answer, x, n)
        no_callback(trial, answer, found, "power", "noarg")
        run = trial.run(found)
        shown = {"wanted": wanted, "got": run.graph}
        after = _called(run, "noarg")
        if x:
            succeeds(trial, run, wanted)
            gives(trial, run, x**n, given, wanted)
        else:
            _keeps_its_error(trial, run, "power", ZeroDivisionError, given, wanted)
        happened = f"{len(after)} times"
        trial.expect(len(after) == 1, f"noarg runs exactly once, for {given}", "once", happened, **shown)
        said = f"noarg: {after[0].error}"
        trial.expect(after[0].state == "succeeded", "noarg succeeds", "no arguments for it", said, **shown)
        sends(trial, run, 2, "it sends two messages", wanted)
        powers = {node.key for node in run.graph.nodes.values() if name_of(node) == "power"}
        follows = any(edge.source in powers and edge.target == after[0].key for edge in run.graph.task_edges())
        said = "nothing leads from power to noarg"
        trial.expect(follows, "noarg runs after power", "a callback and an errback of power", said, **shown)
