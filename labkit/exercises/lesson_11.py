"""Lesson 11, dynamic workflows: what a task sends while it runs, and where the values of that go."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from typing import Any, Final

from celery import chain, chord, group, signature
from celery.canvas import Signature

from labkit.exercises.common import calls, gives, letters_of, name_of, returned, sends, succeeds, task
from labkit.graph import Graph, Node
from labkit.plan import plan
from labkit.practice import Trial, exercise
from labkit.run import Run

_FAN_OUT: Final = "lab.exercise.fan_out"
_UP_TO: Final = "lab.exercise.up_to"
_PUT: Final = "lab.exercise.put"


# --- what the checks share ----------------------------------------------------------------------------------


def _define(app: Any) -> None:
    """The tasks that the checks send themselves."""
    if _FAN_OUT in app.tasks:
        return

    @app.task(name=_UP_TO)
    def up_to(n: int) -> list[int]:
        return list(range(1, n + 1))

    @app.task(name=_FAN_OUT, bind=True)
    def fan_out(self: Any, items: list[Any], each: dict[str, Any]) -> None:
        part = signature(each, app=app)
        raise self.replace(group([part.clone([item]) for item in items], app=app))

    @app.task(name=_PUT, bind=True)
    def put(self: Any, canvas: dict[str, Any]) -> None:
        raise self.replace(signature(canvas, app=app))


def _late(run: Run, name: str) -> list[Node]:
    """The nodes of a task with this short name that were decided at run time."""
    return [node for node in run.graph.nodes.values() if not node.planned and name_of(node) == name]


def _planned(run: Run) -> str:
    return ", ".join(name_of(node) for node in run.plan.nodes.values()) or "nothing"


def _given(node: Node) -> list[Any]:
    return [*node.args, *node.kwargs.values()]


def _one_after_the_other(graph: Graph, nodes: list[Node]) -> list[Node]:
    """Those of the nodes that wait for another of them."""
    keys = {node.key for node in nodes}
    behind = {edge.target for edge in graph.task_edges() if edge.source in keys and edge.kind in ("result", "order")}
    return [node for node in nodes if node.key in behind]


def _once(trial: Trial, run: Run) -> None:
    """Refuse the answer if a step was sent twice: behind a task that replaced itself, and behind what it returned."""
    sent = Counter((message.id, message.task.rpartition(".")[2]) for message in run.messages)
    twice = sorted(name for (_, name), number in sent.items() if number > 1)
    happened = f"{', '.join(twice)} twice: a task that had replaced itself returned a value as well"
    trial.expect(not twice, "each task is sent once", "one message for each task", happened)


# --- the exercises ------------------------------------------------------------------------------------------


@exercise(
    "11.1",
    "put in order",
    "Which piece has all its arguments? Which one takes a list and gives one number?",
    "Two pieces take a list and put a list in their place: first plus 1, then times 10.",
    "D first, C last. xsum (B) is just before C.",
)
def put_in_order(answer: Any, trial: Trial) -> None:
    """Two fan-outs, one after the other, a sum and a note."""
    letters = letters_of(trial, answer, "ABCDE")
    trial.expect(
        letters[0] == "D",
        "the first step has all its arguments",
        "D, which needs nothing from before",
        f"{letters[0]}, which waits for a value from before",
    )
    _define(trial.lab.app)
    for n, factor, more in ((3, 10, 1), (trial.random.randint(1, 2), 7, trial.random.randint(2, 9))):
        pieces = {
            "A": signature(_FAN_OUT, (task("mul", factor),)),
            "B": task("xsum"),
            "C": task("note", "sum"),
            "D": signature(_UP_TO, (n,)),
            "E": signature(_FAN_OUT, (task("add", more),)),
        }
        wanted = plan(chain(*(pieces[letter] for letter in "DEABC")))
        run = trial.run(chain(*(pieces[letter] for letter in letters)))
        succeeds(trial, run, wanted)
        right = [sum((number + more) * factor for number in range(1, n + 1)), "sum"]
        gives(trial, run, right, f"numbers up to {n}, plus {more}, times {factor}", wanted)


@exercise(
    "11.2",
    "fill in",
    "A dict has no clone. What makes a signature of it?",
    "signature(each) is a signature; its clone takes the item, as a list or a tuple of one.",
    "group(signature(each).clone([item]) for item in items)",
)
def fill_in(answer: Any, trial: Trial) -> None:
    """A group that calls a signature once for each item; each came as a dict."""
    app = trial.lab.app
    _define(app)
    k = trial.random.randint(2, 9)
    many = trial.random.sample(range(10, 99), trial.random.randint(3, 5))
    # Always the same numbers first: what the lesson shows of the skeleton is this.
    trials: tuple[tuple[Signature, list[int]], ...] = (
        (task("add", 10), [1, 2]),
        (task("sub", k), many[:1]),
        (task("power", n=2).set(countdown=0.05), many[:2]),
        (task("sub", y=k), many),
        (task("add", k), []),
    )
    for each, items in trials:
        arrived = json.loads(json.dumps(each))
        built = returned(trial, _whole(answer), list(items), arrived)
        if built is ... or (isinstance(built, group) and any(part is ... for part in built.tasks)):
            trial.unanswered()
        wanted = plan(group([each.clone((item,)) for item in items], app=app))
        planned = trial.plan(built)
        nodes = list(planned.nodes.values())
        shown = ", ".join(map(_call, nodes)) or "no task"
        given = f"{items} and {each!r}"
        pictures = {"wanted": wanted, "got": planned}
        what = f"there is one task for each item of {given}"
        trial.expect(len(nodes) == len(items), what, f"{len(items)} tasks", f"{len(nodes)}: {shown}", **pictures)
        trial.expect(
            isinstance(built, group), "they stand side by side", "a group", f"a {type(built).__name__}", **pictures
        )
        run = trial.run(signature(_PUT, (built,), app=app))
        succeeds(trial, run, wanted)
        gives(trial, run, [each.clone((item,))() for item in items], given, wanted)
        named = all(node.task == each.task for node in nodes)
        trial.expect(named, f"each item goes to {name_of_task(each)}", wanted, shown, **pictures)
        kept = all(part.options.get("countdown") == each.options.get("countdown") for part in built.tasks)
        trial.expect(kept, "the options are kept", each.options, [part.options for part in built.tasks], **pictures)


def _whole(answer: Any) -> Any:
    """The learner's function, and the generator in its group, if it has one: what that raises is the function's."""
    if not callable(answer) or isinstance(answer, Signature):
        return answer

    def build(items: list[Any], each: dict[str, Any]) -> Any:
        built = answer(items, each)
        if isinstance(built, group):
            list(built.tasks)
        return built

    return build


def name_of_task(each: Signature) -> str:
    """The short name of a signature's task."""
    return str(each.task).rpartition(".")[2]


def _call(node: Node) -> str:
    given = [*map(repr, node.args), *(f"{key}={value!r}" for key, value in node.kwargs.items())]
    return f"{name_of(node)}({', '.join(given)})"


@exercise(
    "11.3",
    "write",
    "square_each gets the list, and must not return before the squares are there: something takes its place.",
    "A group of power.s(number, 2) in the place of square_each; xsum behind it gets the list.",
    "raise self.replace(group(power.s(number, 2) for number in numbers))",
)
def write(answer: Any, trial: Trial) -> None:
    """The sum of the squares of the divisors, found at run time."""
    for n in (6, 1, trial.random.choice((5, 7, 11, 13)), trial.random.choice((12, 18, 20))):
        numbers = [number for number in range(1, n + 1) if n % number == 0]
        wanted = plan(chord([task("power", number, 2) for number in numbers], task("xsum")))
        run = trial.run(returned(trial, answer, n))
        graph, planned = run.graph, _planned(run)
        pictures = {"wanted": wanted, "got": graph}
        knows = [node for node in run.plan.nodes.values() if name_of(node) == "power"]
        trial.expect(
            not knows, "the divisors are found by a task, at run time", "no power in the plan", planned, **pictures
        )
        powers = _late(run, "power")
        of = sorted(node.args[0] for node in powers if node.args and isinstance(node.args[0], int))
        what = f"each divisor of {n} is squared by a power of its own"
        trial.expect(of == numbers, what, f"power for {_and(numbers)}", f"{_calls_of(powers)}{_else(run)}", **pictures)
        succeeds(trial, run, wanted)
        waiting = _one_after_the_other(graph, powers)
        trial.expect(
            not waiting,
            "the squares are made side by side",
            "no power waits for another",
            f"{_calls_of(waiting[:1])} waits for another",
            **pictures,
        )
        _once(trial, run)
        gives(trial, run, sum(number**2 for number in numbers), f"n = {n}", wanted)
        passed = any(node.value == numbers for node in graph.nodes.values())
        trial.expect(passed, "a task returns the list of divisors", numbers, calls(run), **pictures)


def _and(numbers: list[int]) -> str:
    return ", ".join(map(str, numbers))


def _calls_of(nodes: list[Node]) -> str:
    return ", ".join(map(_call, nodes)) or "none"


def _else(run: Run) -> str:
    """What was sent, and what failed first."""
    graph = run.graph
    failed = next((node for node in graph.nodes.values() if node.state == "failed"), None)
    end = f"; {graph.number(failed.key)} {name_of(failed)} failed: {failed.error}" if failed else ""
    return f" ({len(run.messages)} messages){end}"


@exercise(
    "11.4",
    "repair",
    "self.replace works by raising. Which line of the task catches what it raises?",
    "Only the line that may fail belongs into the try: int(word). It raises ValueError.",
    "Catch ValueError around the list of numbers, and put raise self.replace(…) behind the try.",
)
def repair(answer: Any, trial: Trial) -> None:
    """A fan-out that is not swallowed, and a bad line that does no harm."""
    three = " ".join(str(trial.random.randint(2, 50)) for _ in range(3))
    # Always the same lines first: what the lesson shows of the broken task is this.
    for line in ("3 4", "3 x", three, str(trial.random.randint(2, 9)), "", "2.5 7"):
        numbers = _numbers(line)
        doubled = None if numbers is None else [number * 2 for number in numbers]
        right = ["bad line" if doubled is None else doubled, "read"]
        run = trial.run(returned(trial, answer, line))
        graph = run.graph
        given = f"{line!r}"
        header = [task("mul", number, 2) for number in numbers or ()]
        pictures = {"wanted": plan(chord(header, task("note", "read"))), "got": graph}
        read = sorted((message for message in run.messages if message.task == "tasks.note"), key=repr)
        heard = ", ".join(map(repr, read)) or "none"
        # Without a picture: of one id with two runs it would show now one value, now the other.
        trial.expect(len(read) <= 1, f"note is sent once for {given}", "one note", f"{len(read)}: {heard}")
        succeeds(trial, run, pictures["wanted"])
        trial.expect(len(read) == 1, f"note is sent once for {given}", "one note", calls(run), **pictures)
        gives(trial, run, right, given, pictures["wanted"])
        planned = [node for node in run.plan.nodes.values() if name_of(node) == "mul"]
        trial.expect(
            not planned, "the line is read by a task, at run time", "no mul planned", _planned(run), **pictures
        )
        made = sorted(node.args[0] for node in _late(run, "mul") if node.args)
        trial.expect(
            made == sorted(numbers or ()),
            f"each number of {given} is doubled by a mul of its own",
            f"{len(numbers or ())} mul",
            _calls_of(_late(run, "mul")),
            **pictures,
        )


def _numbers(line: str) -> list[int] | None:
    try:
        return [int(word) for word in line.split()]
    except ValueError:
        return None


@exercise(
    "11.5",
    "meet a constraint",
    "Which of the three ways adds tasks and sends nothing else?",
    "files_in adds itself for each inner folder to the chord it is in. So answer must be a chord.",
    "In files_in: self.add_to_chord(files_in.s(inner)). In answer: chord([files_in.s(folder)], xsum.s())",
)
def meet_a_constraint(answer: Any, trial: Trial) -> None:
    """A tree walked by tasks that add themselves: one message for each folder, and one for the sum."""
    one = {"files": trial.random.randint(2, 9), "folders": []}
    # Always the same tree first: what the lesson shows of the skeleton is this.
    shown = {"files": 2, "folders": [{"files": 3, "folders": []}]}
    for tree in (shown, one, _grown(trial, 2), _grown(trial, 3)):
        sizes = [folder["files"] for folder in _folders(tree)]
        many = len(sizes)
        given = json.dumps(tree) if many < 3 else f"{many} folders, {_depth(tree)} deep"
        run = trial.run(returned(trial, answer, json.loads(json.dumps(tree))))
        wanted = plan(chord([signature("files_in", ("the outermost folder",))], task("xsum")))
        pictures = {"wanted": wanted, "got": run.graph}
        succeeds(trial, run, wanted)
        gives(trial, run, sum(sizes), given, wanted)
        few = len(run.plan.nodes) <= 2
        trial.expect(few, "two tasks are planned", "the outermost folder, and the sum", _planned(run), **pictures)
        sends(trial, run, many + 1, f"one message for each folder, and one for the sum ({given})", wanted)
        told = Counter(node.value for node in run.graph.nodes.values() if isinstance(node.value, int))
        alone = all(told[size] >= number for size, number in Counter(sizes).items())
        trial.expect(alone, "each folder is counted by a task of its own", sizes, list(told.elements()), **pictures)


def _grown(trial: Trial, depth: int) -> dict[str, Any]:
    """A tree of folders, each with another number of files."""
    numbers = iter(trial.random.sample(range(2, 90), 40))

    def folder(level: int) -> dict[str, Any]:
        # Two in the outermost at least: else who looks into the first one only sees all of them.
        many = 2 if level == depth else trial.random.randint(1, 2)
        inner = [folder(level - 1) for _ in range(many)] if level else []
        return {"files": next(numbers), "folders": inner}

    return folder(depth)


def _folders(tree: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield tree
    for inner in tree["folders"]:
        yield from _folders(inner)


def _depth(tree: dict[str, Any]) -> int:
    return 1 + max(map(_depth, tree["folders"]), default=0)
