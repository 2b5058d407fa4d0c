"""Lesson 06, groups: put in order, fill in, write, repair, meet a constraint."""

from __future__ import annotations

import time
from typing import Any, Final

from celery import chain, group

from labkit.exercises.common import calls, letters_of, named, returned, succeeds, task
from labkit.graph import Graph, Node
from labkit.plan import plan
from labkit.practice import Trial, exercise
from labkit.run import Run

#: The pieces of the first exercise: how long each takes, in hundredths of a second, and its place in the list.
_PIECES: Final = {"A": (2, 2), "B": (4, 0), "C": (0, 3), "D": (1, 4), "E": (3, 1)}
_ORDER: Final = "BEACD"

#: Seconds that a slow task of the last exercise takes, the check's own ones included.
_SLOW: Final = 0.02


# --- what the checks share ----------------------------------------------------------------------------------


def _count(run: Run) -> str:
    return f"{len(run.messages)}: {calls(run)}"


# --- the exercises ------------------------------------------------------------------------------------------


@exercise(
    "06.1",
    "put in order",
    "Does a group's list follow the clock, or what you wrote?",
    "The seconds do not matter. Begin with the piece that returns 4.",
)
def put_in_order(answer: Any, trial: Trial) -> None:
    """Members that take different times; run with other numbers and other times than those shown."""
    letters = letters_of(trial, answer, _PIECES)
    for _ in range(2):
        numbers = sorted(trial.random.sample(range(2, 99), 5))
        pieces = {
            letter: task("slow", hundredths / 100, numbers[place]) for letter, (hundredths, place) in _PIECES.items()
        }
        run = trial.run(group(pieces[letter] for letter in letters))
        value = trial.value(run)
        trial.expect(
            value == numbers,
            "the list is in the order of the signatures, not of finishing",
            numbers,
            value,
            wanted=plan(group(pieces[letter] for letter in _ORDER)),
            got=run.graph,
        )


@exercise(
    "06.2",
    "fill in",
    "Each member is an AsyncResult: what does it answer when asked whether it has ended?",
    "member.ready() is true after a success and after a failure; sum counts what is true.",
)
def fill_in(answer: Any, trial: Trial) -> None:
    """How many members of a group have ended, asked while it runs, step by step."""
    members = [task("ident", place) for place in range(trial.random.randint(3, 4))]
    members.insert(trial.random.randint(2, len(members)), task("fail"))
    lab = trial.lab
    for before in lab.active():
        before.over.wait(1.0)  # else a step could let a task of an earlier run go
    lab.pause()
    try:
        run = lab.run(group(members))
        over = 0
        while True:
            _ended(trial, answer, run, over)
            if over == len(members):
                break
            while not lab.step(timeout=trial.left):  # the next message is still on its way to the worker
                if time.monotonic() > trial.until:
                    trial.refuse("the group comes to an end", f"{len(members)} steps", f"it stopped after {over}")
            over += 1
    finally:
        lab.resume()


def _ended(trial: Trial, answer: Any, run: Run, over: int) -> None:
    said = returned(trial, answer, run.result)
    states = run.graph.counts()
    what = (
        f"{states.get('succeeded', 0)} succeeded, {states.get('failed', 0)} failed, "
        f"{len(run.graph.nodes) - over} to come"
    )
    number = isinstance(said, int) and not isinstance(said, bool)
    trial.expect(number, "your function gives a number", f"{over} for {what}", f"{said!r:.60}")
    if said == over:
        return
    lacks = "it is the number of members that have ended"
    if said == states.get("succeeded", 0):
        lacks = "a member that failed has ended too"
    elif said > over:
        lacks = "a member that is still to come has not ended"
    trial.refuse(lacks, f"{over} for {what}", said, got=run.graph)


@exercise(
    "06.3",
    "write",
    "A group takes a list of signatures: which two does each pair need?",
    "group(task.s(a, b) for a, b in pairs for task in (…, …)) goes through both tasks for each pair.",
)
def write(answer: Any, trial: Trial) -> None:
    """The sum and the product of each pair, all side by side, in one flat list."""
    for count in (trial.random.randint(2, 4), 1, 0):
        pairs = [trial.random.sample(range(3, 40), 2) for _ in range(count)]
        run = trial.run(returned(trial, answer, [list(pair) for pair in pairs]))
        graph, given = run.graph, f"{pairs}"
        wanted = [task(name, *pair) for pair in pairs for name in ("add", "mul")]
        pictures = {"wanted": plan(group(wanted)), "got": graph} if count else {"got": graph}
        own = sum(len(named(graph, name)) for name in ("add", "mul"))
        trial.expect(
            len(named(graph, "add")) == len(named(graph, "mul")) == count,
            f"there is an add and a mul for each pair of {given}",
            f"{2 * count} messages",
            _count(run),
            **pictures,
        )
        trial.expect(
            len(run.messages) >= own,
            f"an add and a mul run for each of {given}",
            f"{own} messages",
            _count(run),
            got=graph,
        )
        trial.expect(
            len(run.messages) == own, f"no other task runs for {given}", f"{own} messages", _count(run), **pictures
        )
        waits = list(graph.task_edges())
        said = f"{len(waits)} of them wait for another" if len(waits) > 1 else "one of them waits for another"
        trial.expect(not waits, "all run side by side", "no task waits for another", said, **pictures)
        trial.expect_value(run, [value for a, b in pairs for value in (a + b, a * b)], given)


@exercise(
    "06.4",
    "repair",
    "Each mul of the second group got the whole list. Which construct hands one value to one task?",
    "A group may hold chains: one chain for each number.",
)
def repair(answer: Any, trial: Trial) -> None:
    """One chain a number, side by side; for one number too."""
    for count in (trial.random.randint(2, 4), 1):
        numbers = trial.random.sample(range(3, 90), count)
        run = trial.run(returned(trial, answer, list(numbers)))
        graph, given = run.graph, f"{numbers}"
        pictures = {
            "wanted": plan(group(chain(task("add", number, 1), task("mul", 2)) for number in numbers)),
            "got": graph,
        }
        adds, products = named(graph, "add"), named(graph, "mul")
        trial.expect(
            len(adds) == len(products) == count and len(run.messages) == 2 * count,
            f"there is an add and a mul for each number of {given}",
            f"{2 * count} messages",
            _count(run),
            **pictures,
        )
        edges = [(edge.source, edge.target, edge.passes_value) for edge in graph.task_edges()]
        firsts = {each.key for each in adds}
        odd = []
        for each in products:
            sources = [source for source, target, passes in edges if target == each.key and passes]
            if len(sources) != 1 or sources[0] not in firsts:
                odd.append(f"{graph.number(each.key)} {_call(each)}")
        trial.expect(
            not odd,
            "each mul takes what its own add returned",
            "one number from one add",
            ", ".join(odd),
            **pictures,
        )
        trial.expect(
            not any(target in firsts for _, target, _ in edges),
            "the numbers are worked on side by side",
            "no add waits for another task",
            "one number after the other",
            **pictures,
        )
        trial.expect_value(run, [(number + 1) * 2 for number in numbers], given)


def _call(node: Node) -> str:
    return f"{node.task.rpartition('.')[2]}{node.args if len(node.args) != 1 else f'({node.args[0]!r})'}"


@exercise(
    "06.5",
    "meet a constraint",
    "In a chain one runs at a time. How many chains do you need, and what stands in each?",
    "A group of two chains: one of numbers[0::2], one of numbers[1::2]. With .si no step gets the value before.",
)
def meet_a_constraint(answer: Any, trial: Trial) -> None:
    """Slow tasks in two lanes: judged by who had to wait for whom, not by the clock."""
    for count in (2 * trial.random.randint(3, 4), 5):
        numbers = sorted(trial.random.sample(range(3, 90), count))
        found = returned(trial, answer, list(numbers))
        for node in named(trial.plan(found), "slow"):
            seconds = node.kwargs.get("seconds", (*node.args, 0)[0])
            # Not to be run: what sleeps for so long keeps a slot of the lab from the next checks.
            awake = not isinstance(seconds, int | float) or seconds < numbers[0]
            trial.expect(awake, "the seconds come first, then the number", "slow(0.02, n)", f"{_call(node)}")
        run = trial.run(found)
        graph, half = run.graph, -(-count // 2)
        halves = (numbers[:half], numbers[half:])
        rows = [[task("slow", _SLOW, number).set(immutable=True) for number in row] for row in halves]
        pictures = {"wanted": plan(group(chain(*row) for row in rows)), "got": graph}
        succeeds(trial, run, pictures["wanted"], "every task succeeds")
        slows = named(graph, "slow")
        sent = sorted(message.args[-1] for message in run.messages if message.task == "tasks.slow" and message.args)
        right = sent == numbers and len(run.messages) == count
        headers = [frame for frame in run.plan.frames.values() if frame.kind == "header"]
        if not right and headers:
            happened = f"{len(run.messages)} messages for {count} numbers"
            trial.refuse("no step stands behind a group", "one group of two chains", happened, **pictures)
        what = f"there is one message for each number of {numbers}, and no other"
        trial.expect(right, what, f"{count} messages", _count(run), **pictures)
        after = _after(graph)
        trial.expect(
            (width := _width(after)) <= 2,
            "never more than two at once",
            "all but two wait for another to end",
            f"{width} may run at once",
            **pictures,
        )
        trial.expect(width == 2, "two at once, not one", "two rows", "each waits for the one before", **pictures)
        longest = max(len(_longest(after, node.key)) for node in slows)
        trial.expect(
            longest == half,
            "each row has half of the tasks",
            f"at most {half} one after the other",
            f"{longest} one after the other",
            **pictures,
        )


def _after(graph: Graph) -> dict[str, set[str]]:
    """For each task those that cannot start before it has ended, near and far."""
    after: dict[str, set[str]] = {key: set() for key in graph.nodes}
    for edge in graph.task_edges():
        after[edge.source].add(edge.target)
    for middle in after:
        for key in after:
            if middle in after[key]:
                after[key] |= after[middle]
    return after


def _width(after: dict[str, set[str]]) -> int:
    """The most tasks of which none waits for another: all, less a largest matching (Dilworth's theorem)."""
    partner: dict[str, str] = {}

    def match(key: str, tried: set[str]) -> bool:
        for later in after[key] - tried:
            tried.add(later)
            if later not in partner or match(partner[later], tried):
                partner[later] = key
                return True
        return False

    return len(after) - sum(match(key, set()) for key in after)


def _longest(after: dict[str, set[str]], key: str) -> list[str]:
    """A longest row of tasks that begins with this one."""
    return [key, *max((_longest(after, later) for later in after[key]), key=len, default=[])]
