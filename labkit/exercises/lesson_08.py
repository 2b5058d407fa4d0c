"""Lesson 08, error propagation: what must still run, and what must not, when a task fails."""

from __future__ import annotations

from typing import Any

from celery import chain, chord, signature

from labkit.exercises.common import (
    calls,
    failure,
    letters_of,
    name_of,
    named,
    no_callback,
    numbered,
    returned,
    task,
    writes_json,
)
from labkit.graph import Graph, Node
from labkit.plan import plan
from labkit.practice import Trial, exercise
from labkit.run import Run

# --- what the checks share ----------------------------------------------------------------------------------


def _shown(value: Any) -> str:
    return f"{type(value).__name__}: {value}" if isinstance(value, Exception) else repr(value)


def _steps(graph: Graph) -> list[str]:
    """The names of a workflow's own tasks: what is sent for a callback or an errback is left out."""
    aside: set[str] = set()
    edges = list(graph.task_edges())
    for node in graph.nodes.values():
        before = [edge for edge in edges if edge.target == node.key]
        if any(edge.kind in ("callback", "errback") or edge.source in aside for edge in before):
            aside.add(node.key)
    return [name_of(node) for node in graph.nodes.values() if node.key not in aside]


def _positive(app: Any) -> str:
    """The name of a task that lets an amount pass, or fails."""
    name = "lab.exercise.positive"
    if name not in app.tasks:

        @app.task(name=name)
        def positive(amount: float) -> float:
            if amount < 1:
                raise ValueError("nothing to pay")
            return amount

    return name


def _divides(trial: Trial, answer: Any, numbers: list[int]) -> tuple[Run, Node, dict[str, Graph]]:
    """Run a chord that divides 60 by each number, and refuse it unless it has a header task for each and a body."""
    run = trial.run(returned(trial, answer, list(numbers)))
    graph, app = run.graph, run.lab.app
    wanted = chord([signature("divide", (number,), app=app) for number in numbers], signature("decide", app=app))
    pictures = {"wanted": plan(wanted), "got": graph}
    bodies = [node for node in graph.nodes.values() if node.role == "body"]
    writes_json(trial, run, pictures["wanted"])
    for node in graph.nodes.values():
        if node.state == "failed" and node.role == "header":
            then = "; the body never ran" if any(body.state == "never ran" for body in bodies) else ""
            trial.refuse(
                f"no header fails for {numbers}",
                "the error is caught in the task that divides",
                f"{numbered(graph, node)} failed: {node.error}{then}",
                **pictures,
            )
    sent, many = calls(run), len(numbers)
    what = "one message for each number and one for the body"
    happened = f"{len(run.messages)}: {sent}"
    trial.expect(len(run.messages) == many + 1, what, f"{many + 1} messages for {numbers}", happened, **pictures)
    headers = [node for node in graph.nodes.values() if node.role == "header"]
    given = [number for node in headers for number in (*node.args, *node.kwargs.values())]
    shaped = len(bodies) == 1 and len(headers) == many
    what = "the divisions run side by side, and one body takes them all"
    trial.expect(shaped, what, f"a header of {many} and a body", sent, **pictures)
    travels = sorted(each for each in given if isinstance(each, int | float)) == sorted(numbers)
    what = "each number travels to a task of its own"
    trial.expect(travels, what, f"the numbers {numbers} in the messages", sent, **pictures)
    passing = [edge for edge in graph.task_edges() if edge.target == bodies[0].key and edge.passes_value]
    trial.expect(
        len(passing) == len(numbers),
        "the body takes what the header returned",
        "a list with something for each number",
        "a body that gets nothing from before",
        **pictures,
    )
    return run, bodies[0], pictures


# --- the exercises ------------------------------------------------------------------------------------------


@exercise(
    "08.1",
    "put in order",
    "what shall not run for a bad amount comes after the piece that may fail",
    "the amount is known when the fee is off: D, E, and then positive",
)
def put_in_order(answer: Any, trial: Trial) -> None:
    """A check of the amount before anything is done with it."""
    letters = letters_of(trial, answer, "ABCDE")
    trial.expect(
        letters[0] == "D",
        "the first step has all its arguments",
        "D, which needs nothing from before",
        f"{letters[0]}, which waits for a value from before",
    )
    app = trial.lab.app
    positive = _positive(app)
    x, y, fee = trial.random.randint(3, 9), trial.random.randint(3, 9), trial.random.randint(2, 5)
    low, small = trial.random.randint(1, 4), trial.random.randint(1, 4)
    too_much = low + small + trial.random.randint(1, 9)
    for a, b, off in ((x, y, fee), (low, small, too_much)):
        pieces = {
            "A": task("note", "paid"),
            "B": task("mul", 10),
            "C": signature(positive, app=app),
            "D": task("add", a, b),
            "E": task("sub", off),
        }
        run = trial.run(chain(*(pieces[letter] for letter in letters)))
        graph, amount = run.graph, a + b - off
        pictures = {"wanted": plan(chain(*(pieces[letter] for letter in "DECBA"))), "got": graph}
        shown = f"add({a}, {b}), a fee of {off}"
        if amount > 0:
            trial.expect_value(run, [amount * 10, "paid"], shown)
            continue
        trial.expect(
            isinstance(trial.value(run), ValueError),
            f"an amount of {amount} is refused",
            f"positive fails for {shown}",
            f"the value {_shown(trial.value(run))}",
            **pictures,
        )
        ran = [name_of(node) for node in graph.nodes.values() if node.started]
        late = [name for name in ("mul", "note") if name in ran]
        trial.expect(
            not late,
            "nothing is done with an amount that is refused",
            f"add, sub and positive run for {shown}",
            f"{', '.join(late)} ran too",
            **pictures,
        )


@exercise(
    "08.2",
    "fill in",
    "an errback on one step is called for that step only; a chain can have one too",
    "on_error gives the workflow back, link_error gives the errback: (a | b | c).on_error(…)",
)
def fill_in(answer: Any, trial: Trial) -> None:
    """One report, whichever step fails."""
    for bad in (None, 0, 1, 2):
        x, y, factor, less = (trial.random.randint(2, 30) for _ in range(4))
        steps = [task("add", x, y), task("mul", factor), task("sub", less)]
        if bad is not None:
            steps[bad] = task("fail")
        names = [step.task.rpartition(".")[2] for step in steps]
        built = returned(trial, answer, [step.clone() for step in steps])
        planned = _steps(trial.plan(built))
        no_callback(trial, answer, built, names[0], "report_error")
        wanted = chain(*steps)
        wanted.link_error(task("report_error"))
        trial.expect(
            planned == names,
            "the workflow is the three steps, one after the other",
            " | ".join(names),
            ", ".join(planned) or "no step",
            wanted=plan(wanted),
            got=plan(built),
        )
        run = trial.run(built)
        graph = run.graph
        pictures = {"wanted": plan(wanted), "got": graph}
        reports, sent = [each for each in run.messages if each.task == "tasks.report_error"], calls(run)
        if bad is None:
            what = "nothing is reported when no step fails"
            trial.expect(not reports, what, "three messages, no report_error", sent, **pictures)
            trial.expect_value(run, (x + y) * factor - less, f"{' | '.join(map(repr, steps))}")
            continue
        place = ("first", "second", "third")[bad]
        (failed,) = [node for node in graph.nodes.values() if node.task == "tasks.fail"]
        value, when = trial.value(run), f"when the {place} step fails"
        ended = isinstance(value, ValueError) and failed.started is not None
        trial.expect(
            ended, f"the steps run up to the {place}, which fails", "ValueError: boom", _shown(value), **pictures
        )
        wanted_report = "one message with report_error"
        trial.expect(bool(reports), f"it is reported {when}", wanted_report, f"only {sent}", **pictures)
        trial.expect(len(reports) == 1, f"it is reported once {when}", wanted_report, sent, **pictures)
        told = reports[0].args[0] if reports[0].args else None
        right, said = f"report_error({graph.number(failed.key)})", graph.name_ids(repr(told))
        trial.expect(told == failed.id, "the report names the step that failed", right, said, **pictures)


@exercise(
    "08.3",
    "write",
    "catch the error in the task that divides, and return something that stands for 'none'",
    "the body gets a list with None in it: sum what is not None, count what is",
)
def write(answer: Any, trial: Trial) -> None:
    """The sum of what could be divided, and the number of what could not."""
    for zeros in (1, 0, trial.random.randint(2, 3), None):
        good = 0 if zeros is None else trial.random.randint(2, 4)
        numbers = [trial.random.choice((1, 2, 3, 4, 5, 6)) for _ in range(good)] + [0] * (2 if zeros is None else zeros)
        trial.random.shuffle(numbers)
        run, body, pictures = _divides(trial, answer, numbers)
        right = [sum(60 / number for number in numbers if number), numbers.count(0)]
        if body.state == "failed":
            trial.refuse(f"the body does not fail for {numbers}", repr(right), failure(run.graph, body), **pictures)
        value = trial.value(run)
        same = (
            isinstance(value, list)
            and len(value) == 2
            and all(isinstance(each, int | float) and not isinstance(each, bool) for each in value)
            and all(abs(one - other) < 1e-6 for one, other in zip(value, right, strict=True))
        )
        what = f"the value is right for {numbers}"
        if value == right[::-1]:
            what = f"the sum comes first, then the number, for {numbers}"
        elif isinstance(value, list) and len(value) < 3 and value[:1] == right[:1]:
            what = f"what did not work is counted, for {numbers}"
        trial.expect(same, what, repr(right), _shown(value), **pictures)


@exercise(
    "08.4",
    "repair",
    "a step after the body runs only if all went well. What is called when a task has ended well, and what when not?",
    "the body can have both, a callback and an errback: its errback is called when a header fails too",
    "body = xsum.s().on_error(noarg.si()), then body.link(noarg.si())",
)
def repair(answer: Any, trial: Trial) -> None:
    """A lock that is opened whatever fails."""
    a, b, c = (trial.random.randint(2, 50) for _ in range(3))
    seconds = 0.25  # how long the slowest header takes, where one fails at once
    well = [task("add", a, b), task("slow", 0, c)]
    cases = {
        # Always the same numbers: what the lesson shows of the broken workflow is this.
        "when a header fails": [task(*call) for call in (("add", 2, 3), ("slow", seconds, 4), ("fail",))],
        "when two headers fail": [task("fail"), *well, task("fail")],
        "when the body fails": [*well, task("note", a)],
        "when all goes well": well,
    }
    for case, header in cases.items():
        run = trial.run(returned(trial, answer, [each.clone() for each in header]))
        graph = run.graph
        body = task("xsum")
        body.link(task("noarg").set(immutable=True))
        body.link_error(task("noarg").set(immutable=True))
        pictures = {"wanted": plan(chord(header, body)), "got": graph}
        headers = [node for node in graph.nodes.values() if node.role == "header"]
        names = sorted(name_of(each) for each in header)
        trial.expect(
            sorted(name_of(node) for node in headers) == names and len(named(graph, "xsum")) == 1,
            "the header and its body are as they were",
            f"a header of {', '.join(names)}, and xsum as body",
            calls(run),
            **pictures,
        )
        if case == "when all goes well":
            trial.expect_value(run, a + b + c, f"{header}")
        opened = [node for node in named(graph, "noarg") if node.state == "succeeded"]
        never, often = f"noarg never ran{_why(graph)}", f"it ran {len(opened)} times"
        trial.expect(len(opened) > 0, f"the lock is opened {case}", "noarg runs once", never, **pictures)
        trial.expect(len(opened) == 1, f"the lock is opened once {case}", "noarg runs once", often, **pictures)
        (slow,) = named(graph, "slow")
        # Its end cannot be asked for: what follows the last header is sent just before that is told to have ended.
        ended = (slow.started or 0.0) + float(slow.args[0])
        trial.expect(
            (opened[0].started or 0.0) >= ended - 0.01,
            f"the lock is opened after the last header {case}",
            "noarg waits for the slowest header",
            "it ran while a header was still running",
            **pictures,
        )


def _why(graph: Graph) -> str:
    for node in named(graph, "noarg"):
        if node.error or node.reason:
            return f": {node.reason or graph.name_ids(node.error or '')}"
    return ""


@exercise(
    "08.5",
    "meet a constraint",
    "as in exercise 3: the header never fails, it returns a marker",
    "the body counts the markers, raises ValueError if they are more than half, else returns the smallest of the rest",
)
def meet_a_constraint(answer: Any, trial: Trial) -> None:
    """The smallest of what worked, if at least half did."""
    few = trial.random.randint(2, 3)
    for good, zeros in ((4, 1), (3, 0), (few, few), (1, 2), (few, few + 1), (0, 2)):
        numbers = [trial.random.choice((1, 2, 3, 4, 5, 6)) for _ in range(good)] + [0] * zeros
        trial.random.shuffle(numbers)
        run, body, pictures = _divides(trial, answer, numbers)
        value = trial.value(run)
        if zeros > good:
            trial.expect(
                body.state == "failed" and (body.error or "").startswith("ValueError"),
                f"the body raises ValueError for {numbers}",
                f"a failure: {zeros} of {len(numbers)} did not work",
                f"the body failed: {body.error}" if body.state == "failed" else f"the value {_shown(value)}",
                **pictures,
            )
            continue
        right = min(60 / number for number in numbers if number)
        same = isinstance(value, int | float) and abs(value - right) < 1e-6
        trial.expect(same, f"the value is right for {numbers}", repr(right), _shown(value), **pictures)
