"""Lesson 09, map, starmap and chunks: how many messages, how many calls in each, and which values."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Any, Final

from celery import group, signature
from celery.canvas import Signature, chunks, xstarmap

from labkit.exercises.common import built, calls, gives, letters_of, name_of, sends, succeeds, task
from labkit.graph import Graph, Node
from labkit.plan import plan
from labkit.practice import Trial, exercise
from labkit.run import Run

#: The right order of the pieces of the first exercise.
_ORDER: Final = "DAECB"

# --- what the checks share ----------------------------------------------------------------------------------


def _starmap(name: str, items: list[Any]) -> Signature:
    return xstarmap(task(name), items)


def _chunks(name: str, items: list[Any], size: int) -> Signature:
    return chunks(task(name), items, size)


def _pairs(trial: Trial, many: int) -> list[list[int]]:
    return [[trial.random.randint(10, 99), trial.random.randint(2, 9)] for _ in range(many)]


def _numbers(given: Any) -> Iterator[float]:
    """All numbers in the arguments of a call, however deep."""
    if isinstance(given, dict):
        given = list(given.values())
    if isinstance(given, list | tuple):
        for each in given:
            yield from _numbers(each)
    elif isinstance(given, int | float) and not isinstance(given, bool):
        yield given


def _loads(graph: Graph, name: str) -> list[list[Node]]:
    """The calls of a task, those that one message brings together."""
    own = [key for key, node in graph.nodes.items() if name_of(node) == name and node.role != "map"]
    inside = [
        [graph.nodes[key] for key in frame.members if key in graph.nodes and graph.nodes[key].role == "map"]
        for frame in graph.frames.values()
        if frame.kind in ("map", "starmap")
    ]
    loads = [[node for node in nodes if name_of(node) == name] for nodes in inside]
    return [load for load in loads if load] + [[graph.nodes[key]] for key in own]


def _shown(loads: list[list[Node]]) -> str:
    return " + ".join(str(len(load)) for load in loads) or "no call of it"


def _adds(trial: Trial, run: Run, pairs: list[list[int]], wanted: Graph) -> list[list[Node]]:
    """The calls of add by message; refused unless each pair is added once, by add."""
    loads = _loads(run.graph, "add")
    given = sorted(list(node.args) for load in loads for node in load)
    trial.expect(
        given == sorted(pairs),
        "add is called once for each pair",
        f"{len(pairs)} calls of add",
        f"{_shown(loads)}, in {calls(run)}",
        wanted=wanted,
        got=run.graph,
    )
    return loads


# --- the exercises ------------------------------------------------------------------------------------------


@exercise(
    "09.1",
    "put in order",
    "Count: a group sends one for each pair, a starmap one. Chunks of 5 send one for each 5 pairs, begun or full.",
    "E is A and one message more, for the task behind it. Twelve pairs by 2 are six messages.",
)
def put_in_order(answer: Any, trial: Trial) -> None:
    """Five ways to add pairs, by the messages that they take for another number of pairs."""
    letters = letters_of(trial, answer, _ORDER)
    pairs = _pairs(trial, trial.random.randint(16, 24))
    pieces = {
        "A": _chunks("add", pairs, 5),
        "B": group(task("add", *pair) for pair in pairs),
        "C": _chunks("add", pairs, 2),
        "D": _starmap("add", pairs),
        "E": _chunks("add", pairs, 5).group() | task("ident"),
    }
    runs = {letter: trial.run(pieces[letter]) for letter in letters}
    for before, after in pairwise(letters):
        sent = {letter: len(runs[letter].messages) for letter in (before, after)}
        trial.expect(
            sent[before] < sent[after],
            "each takes more messages than the one before it",
            f"fewer messages stand before more, for {len(pairs)} pairs",
            f"{before} (takes {sent[before]}) stands before {after} (takes {sent[after]})",
        )  # without a drawing: one of so many messages is taller than the screen, and the numbers say it all


@exercise(
    "09.2",
    "fill in",
    "starmap unpacks each item: what are the two arguments of power for one number?",
    "An item is a tuple: (number, …). Its second part is the same for all.",
    "return power.starmap([(number, 2) for number in numbers])",
)
def fill_in(answer: Any, trial: Trial) -> None:
    """The squares of some numbers, by power, in one message."""
    for many in (trial.random.randint(3, 6), 1):
        numbers = trial.random.sample(range(3, 60), many)
        wanted = plan(_starmap("power", [[number, 2] for number in numbers]))
        run = trial.run(built(trial, answer, list(numbers)))
        succeeds(trial, run, wanted, "every message succeeds")
        gives(trial, run, [number**2 for number in numbers], f"{numbers}", wanted)
        sends(trial, run, 1, "one message carries all calls", wanted)
        called = sum(len(load) for load in _loads(run.graph, "power"))
        trial.expect(
            called == many,
            "power is called for each number",
            f"{many} calls of power",
            f"{called}, in {calls(run)}",
            wanted=wanted,
            got=run.graph,
        )


@exercise(
    "09.3",
    "write",
    "The first half is chunks; inside another canvas it needs .group(). The second half gets a list of lists.",
    "@app.task def total(parts): add up each part, and the parts. Then add.chunks(pairs, size).group() | total.s()",
)
def write(answer: Any, trial: Trial) -> None:
    """The sum of all pairs: parts of a size, then one task. Fuller, emptier, and fewer pairs than the size."""
    size = trial.random.randint(2, 3)
    for many, by in ((3 * size, size), (2 * size + 1, size), (3, 5)):
        pairs = _pairs(trial, many)
        given = f"{many} pairs and size {by}"
        wanted = plan(_chunks("add", pairs, by).group() | signature("total"))
        run = trial.run(built(trial, answer, [list(pair) for pair in pairs], by))
        graph = run.graph
        loads = _adds(trial, run, pairs, wanted)
        shown = {"wanted": wanted, "got": graph}
        largest = max(len(load) for load in loads)
        trial.expect(largest <= by, f"no message has more than {by} calls of add", by, _shown(loads), **shown)
        parts = -(-many // by)
        trial.expect(
            len(loads) == parts,
            f"each message but the last has {by} calls of add",
            f"{parts} messages with add, for {given}",
            _shown(loads),
            **shown,
        )
        succeeds(trial, run, wanted, "every message succeeds")
        gives(trial, run, sum(map(sum, pairs)), given, wanted)
        sends(trial, run, parts + 1, "one message for each part, and one that adds up the sums", wanted)


@exercise(
    "09.4",
    "repair",
    "The error must not leave the call that made it.",
    "A task of your own: try to divide, return None where that raises ZeroDivisionError. Then its starmap.",
    "except ZeroDivisionError: return None",
)
def repair(answer: Any, trial: Trial) -> None:
    """Divisions in one message, none of which ends the others."""
    for good, bad in ((3, 1), (3, 0), (trial.random.randint(2, 4), 2), (0, 2)):
        pairs = [[trial.random.randint(10, 99), trial.random.choice((2, 4, 5, 8))] for _ in range(good)]
        pairs += [[trial.random.randint(10, 99), -2], [0, 4]] if good else []
        pairs += [[trial.random.randint(10, 99), 0] for _ in range(bad)]
        trial.random.shuffle(pairs)
        wanted = plan(xstarmap(signature("ratio_or_none"), pairs))
        run = trial.run(built(trial, answer, [list(pair) for pair in pairs]))
        graph = run.graph
        failed = next((node for node in graph.nodes.values() if node.state == "failed"), None)
        if failed is not None:
            said = f"{graph.number(failed.key)} {name_of(failed)} failed: {failed.error}"
            what = "a pair that cannot be divided does not end the others" if bad else "every message succeeds"
            trial.refuse(what, f"a value for each pair of {pairs}", said, wanted=wanted, got=graph)
        gives(trial, run, [x / y if y else None for x, y in pairs], f"{pairs}", wanted)
        sends(trial, run, 1, "one message carries all pairs", wanted)
        # What a map's message has in its arguments is recorded on the calls in it.
        nodes = [node for node in graph.nodes.values() if not node.task.startswith("celery.")]
        sent = sorted(number for node in nodes for number in _numbers([node.args, node.kwargs]))
        trial.expect(
            sent == sorted(_numbers(pairs)),
            "the pairs are divided by a task, not while building",
            f"a message with the pairs {pairs}",
            calls(run),
            wanted=wanted,
            got=graph,
        )


@exercise(
    "09.5",
    "meet a constraint",
    "chunks takes the size of a part. Which size is the smallest that needs no more than `most` parts?",
    "The number of pairs divided by most, rounded up: 10 pairs and most 4 make 2.5, so 3.",
    "-(-len(pairs) // most) is a division that rounds up; math.ceil(len(pairs) / most) too.",
)
def meet_a_constraint(answer: Any, trial: Trial) -> None:
    """As few calls in the longest message as a number of messages allows: full parts, one over, fewer pairs than it."""
    most = trial.random.randint(3, 4)
    for many, limit in ((10, 4), (2 * most, most), (2 * most + 1, most), (2, 4), (7, 1)):
        pairs = _pairs(trial, many)
        size = -(-many // limit)
        given = f"{many} pairs and most {limit}"
        wanted = plan(_chunks("add", pairs, size))
        run = trial.run(built(trial, answer, [list(pair) for pair in pairs], limit))
        shown = {"wanted": wanted, "got": run.graph}
        sent = len(run.messages)
        loads = _adds(trial, run, pairs, wanted)
        happened = f"{sent}, with {_shown(loads)} calls" if sent == len(loads) else f"{sent}: {calls(run)}"
        trial.expect(sent <= limit, f"at most {limit} messages for {given}", limit, happened, **shown)
        largest = max(len(load) for load in loads)
        trial.expect(
            largest == size,
            f"the longest message has as few calls as possible for {given}",
            f"at most {size} calls in each",
            _shown(loads),
            **shown,
        )
        succeeds(trial, run, wanted, "every message succeeds")
        _in_parts(trial, run, pairs, given, wanted)


def _in_parts(trial: Trial, run: Run, pairs: list[list[int]], given: str, wanted: Graph) -> None:
    value = trial.value(run)
    parts = value if isinstance(value, list) and all(isinstance(part, list) for part in value) else None
    trial.expect(
        parts is not None,
        f"the value is a list of lists for {given}",
        "a list for each message",
        f"{value!r:.80}",
        wanted=wanted,
        got=run.graph,
    )
    flat = [number for part in parts or () for number in part]
    sums = [x + y for x, y in pairs]
    trial.expect(
        flat == sums, f"the sums are in the order of the pairs for {given}", sums, value, wanted=wanted, got=run.graph
    )
