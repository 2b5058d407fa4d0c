"""Lesson 10, result graphs: build what has a given graph, and read answers off the graphs of fresh runs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from celery import chain, chord, group
from celery.canvas import Signature

from labkit.exercises.common import built, calls, gives, letters_of, name_of, returned, succeeds, task
from labkit.graph import Graph, Node
from labkit.plan import plan
from labkit.practice import Trial, exercise

#: The arrows of the first exercise, and the order of the pieces that has them.
_ARROWS: Final = "#1→#2 #1→#3 #2→#4 #3→#4 #4→#5 #4→#6 #4→#7 #5→#8 #6→#8 #7→#8"
_ORDER: Final = "CDBAE"

#: In the third exercise: how long the slow headers take, and how long a quick one is put off, in seconds.
_LONG: Final = 0.3
_LATE: Final = 0.3


# --- what the checks share ----------------------------------------------------------------------------------


def _arrows(graph: Graph) -> str:
    """The arrows of a graph, in the order of the canvas."""
    places = {key: place for place, key in enumerate(graph.nodes, 1)}
    pairs = {(places[edge.source], places[edge.target]) for edge in graph.task_edges()}
    return " ".join(f"#{source}→#{target}" for source, target in sorted(pairs))


def _numbers(trial: Trial, found: Any) -> list[str]:
    """The node numbers that a learner's function gave; refused unless they are texts in a list."""
    several = isinstance(found, list | tuple | set) and all(isinstance(each, str) for each in found)
    trial.expect(several, "it returns a list of numbers", '["#2", "#3"]', f"{found!r:.60}")
    return list(found)


def _said(names: list[str]) -> str:
    return ", ".join(names) or "nobody"


# --- the exercises ------------------------------------------------------------------------------------------


@exercise(
    "10.1",
    "put in order",
    "How many arrows leave #1, and how many leave #4? These are the groups.",
    "Between two groups, and at the end, stands what takes a list: xsum or ident. Which gives the next one a number?",
    "C, D, then xsum, so that the members of A get a number.",
)
def put_in_order(answer: Any, trial: Trial) -> None:
    """The order of the pieces that has the arrows asked for, and that works."""
    letters = letters_of(trial, answer, _ORDER)
    first, what = letters[0], "the first step has all its arguments"
    trial.expect(first == "C", what, "C, which needs nothing from before", f"{first}, which waits for a value")
    a, b, c, d, e, x, y = (trial.random.randint(2, 20) for _ in range(7))
    pieces = {
        "A": group(task("add", a), task("add", b), task("add", c)),
        "B": task("xsum"),
        "C": task("add", x, y),
        "D": group(task("mul", d), task("mul", e)),
        "E": task("ident"),
    }
    wanted = plan(chain(*(pieces[letter].clone() for letter in _ORDER)))
    flow = chain(*(pieces[letter].clone() for letter in letters))
    found = trial.plan(flow)
    trial.expect(_arrows(found) == _ARROWS, "the graph has these arrows", _ARROWS, _arrows(found), got=found)
    run = trial.run(flow)
    succeeds(trial, run, wanted)
    total = (x + y) * (d + e)
    gives(trial, run, [total + a, total + b, total + c], "other numbers", wanted)


@exercise(
    "10.2",
    "fill in",
    "An arrow begins at its source. Which arrows begin at this node, and which of them carry a value?",
    "edge.source is a key, not a number; edge.passes_value says whether the value goes along.",
    "graph.node(number).key, then: if edge.source == key and edge.passes_value",
)
def who_gets_it(answer: Any, trial: Trial) -> None:
    """The nodes that get the value of a node, in fresh runs of different shapes."""
    x, y, z = (trial.random.randint(2, 30) for _ in range(3))
    called_back = task("add", x, y)
    called_back.link(task("mul", z))
    alone = task("noarg").set(immutable=True)
    flows: list[tuple[Signature, list[str]]] = [
        (task("add", x, y) | group(task("mul", z), task("sub", x)) | task("xsum"), ["#1", "#2", "#3", "#4"]),
        (task("add", x, y) | alone | task("note", z), ["#1", "#2"]),
        (called_back, ["#1"]),
        (task("fail", x).on_error(task("report_error")), ["#1"]),
        (chord([task("add", x, y), task("mul", y, z), task("ident", x)], task("xsum")), ["#2", "#4"]),
    ]
    for flow, asked in flows:
        graph = trial.run(flow).graph
        places = {key: graph.number(key) for key in graph.nodes}
        for number in asked:
            found = _numbers(trial, returned(trial, answer, graph, number))
            right = [
                places[edge.target]
                for edge in graph.task_edges()
                if places[edge.source] == number and edge.passes_value
            ]
            node = graph.node(number)
            trial.expect(
                sorted(found) == sorted(right),
                f"it names who gets the value of {number} {name_of(node)}",
                _said(right),
                _said(found),
                read=graph,
            )


@exercise(
    "10.3",
    "write",
    "The headers are the nodes whose role is 'header'. When did each of them end?",
    "node.finished is when it ended: take the header with the largest.",
    "max(headers, key=lambda node: node.finished), then graph.number of its key",
)
def who_was_last(answer: Any, trial: Trial) -> None:
    """The header that ended last: once the longest, once a quick one that was put off."""
    x, y, z = (trial.random.randint(2, 99) for _ in range(3))
    quick, slow = task("ident", x), task("slow", _LONG, y)
    flows = [
        chord([task("ident", z), slow, quick.clone().set(countdown=_LATE / 3)], task("xsum")),
        task("add", x, y)
        | group(
            task("slow", _LATE / 2, z).set(immutable=True),
            quick.clone().set(immutable=True, countdown=_LATE),
            task("ident", y).set(immutable=True),
        )
        | task("xsum"),
    ]
    if trial.random.random() < 0.5:
        flows.reverse()
    for flow in flows:
        graph = trial.run(flow).graph
        found = returned(trial, answer, graph)
        headers = [node for node in graph.nodes.values() if node.role == "header"]
        begin = min(node.sent or 0.0 for node in headers)
        last = max(headers, key=lambda node: node.finished or 0.0)
        known = {graph.number(key): node for key, node in graph.nodes.items()}
        a_number = isinstance(found, str) and found in known
        trial.expect(a_number, "it returns the number of a node", '"#2"', f"{found!r:.60}", read=graph)
        what = "it names a header"
        trial.expect(
            known[found] in headers, what, "a node whose role is header", _told(graph, known[found]), read=graph
        )
        trial.expect(
            known[found] is last,
            "it names the header that ended last",
            f"{_told(graph, last)}, which ended {(last.finished or 0) - begin:.2f} s after the start",
            f"{_told(graph, known[found])}, which ended after {(known[found].finished or 0) - begin:.2f} s",
            read=graph,
        )


def _told(graph: Graph, node: Node) -> str:
    return f"{graph.number(node.key)} {name_of(node)}"


@exercise(
    "10.4",
    "repair",
    "The walk back through parent passes everything: what if each result on the way is noted?",
    "A GroupResult is no task: its tasks are in results. The body is the result that you begin with.",
    "while result is not None: note its id, or those of result.results; then result = result.parent",
)
def all_the_ids(answer: Any, trial: Trial) -> None:
    """The ids of all tasks of a workflow, found from the result that sending it returned."""
    x, y, z = (trial.random.randint(2, 30) for _ in range(3))
    many = trial.random.randint(2, 4)
    flows = [
        # Always the same numbers: what the lesson shows of the broken function is this.
        task("add", 2, 3) | group(task("mul", 4), task("mul", 5)) | task("xsum") | task("sub", 6),
        chord([task("add", x, each) for each in range(many)], task("xsum")),
        group(task("add", x, each) for each in range(many + 1)),
        chain(task("add", x, y), task("mul", z), *[task("sub", each) for each in range(many)]),
    ]
    for flow in flows:
        run = trial.run(flow)
        graph = run.graph
        found = returned(trial, answer, run.result)
        several = isinstance(found, list | tuple | set) and all(isinstance(each, str) for each in found)
        trial.expect(several, "it returns a list of ids", "a list of texts", f"{found!r:.60}", read=graph)
        given = list(found)
        whole = {node.id: f"{graph.number(node.key)} {name_of(node)}" for node in graph.nodes.values()}
        missed = [name for id, name in whole.items() if id not in given]
        trial.expect(not missed, "it finds all tasks", _said(list(whole.values())), f"not {_said(missed)}", read=graph)
        foreign = [id for id in given if id not in whole]
        what = "it gives ids of tasks only"
        trial.expect(not foreign, what, f"{len(whole)} ids", f"{len(foreign)} that no task has: a group's?", read=graph)
        once = len(given) == len(whole)
        trial.expect(once, "it gives each id once", f"{len(whole)} ids", f"{len(given)} ids", read=graph)


@exercise(
    "10.5",
    "meet a constraint",
    "Four numbers: two additions side by side, and one that adds up what they give. Which construct is that?",
    "For eight numbers: a chord whose header holds two of what you built for four.",
    "chord([answer(numbers[:half]), answer(numbers[half:])], xsum.s()), and for two numbers add.s(*numbers)",
)
def add_in_pairs(answer: Any, trial: Trial) -> None:
    """A sum of 2, 4 or 8 numbers as a tree: nobody adds more than two, and no row is longer than it must be."""
    for many, deep in ((4, 2), (8, 3), (2, 1)):
        numbers = trial.random.sample(range(100, 1000), many)
        flow = built(trial, answer, list(numbers))
        wanted = plan(_tree(numbers))
        run = trial.run(flow)
        graph = run.graph
        shown = {"wanted": wanted, "got": graph}
        succeeds(trial, run, wanted)
        gives(trial, run, sum(numbers), str(numbers), wanted)
        for message in run.messages:
            given = list(_flat([*message.args, *message.kwargs.values()]))
            what = "no task adds more than two numbers"
            trial.expect(len(given) <= 2, what, "two numbers a message", f"{message} for {numbers}", **shown)
        sent = [each for message in run.messages for each in _flat([*message.args, *message.kwargs.values()])]
        travel = all(sent.count(number) >= 1 for number in numbers)
        trial.expect(travel, "each number travels in a message", f"{numbers} in the messages", calls(run), **shown)
        what = f"{many} numbers are {many - 1} additions"
        happened = f"{len(run.messages)}: {calls(run)}"
        trial.expect(len(run.messages) == many - 1, what, f"{many - 1} messages", happened, **shown)
        row = _longest(graph)
        what = f"the longest row is {deep} for {many} numbers"
        names = " → ".join(f"{graph.number(key)} {name_of(graph.nodes[key])}" for key in row)
        trial.expect(len(row) <= deep, what, f"at most {deep} in a row", f"{len(row)}: {names}", **shown)


def _tree(numbers: list[int]) -> Signature:
    if len(numbers) == 2:
        return task("add", *numbers)
    half = len(numbers) // 2
    return chord([_tree(numbers[:half]), _tree(numbers[half:])], task("xsum"))


def _flat(value: Any) -> Iterator[Any]:
    if isinstance(value, list | tuple):
        for each in value:
            yield from _flat(each)
    elif isinstance(value, dict):
        yield from _flat(list(value.values()))
    else:
        yield value


def _longest(graph: Graph) -> list[str]:
    """The keys of the longest row of nodes of which each waits for the one before."""
    before: dict[str, list[str]] = {key: [] for key in graph.nodes}
    for edge in graph.task_edges():
        before[edge.target].append(edge.source)
    found: dict[str, list[str]] = {}

    def row(key: str) -> list[str]:
        if key not in found:
            found[key] = [*max((row(each) for each in before[key]), key=len, default=[]), key]
        return found[key]

    return max(map(row, graph.nodes), key=len, default=[])
