"""Lesson 07, chords: what a header and a body must do."""

from __future__ import annotations

from typing import Any

from celery import chain, chord, group, signature

from labkit.exercises.common import calls, letters_of, named, returned, succeeds, task
from labkit.graph import Graph, Node
from labkit.plan import plan
from labkit.practice import Trial, exercise


def _before(graph: Graph, node: Node) -> list[Node]:
    """The nodes whose value becomes an argument of this one."""
    return [graph.nodes[edge.source] for edge in graph.task_edges() if edge.target == node.key and edge.passes_value]


@exercise(
    "07.1",
    "put in order",
    "what starts a chain has all of its arguments",
    "a group followed by one task is a header and its body: which task here takes a list?",
    "C, then the group, then its body; the last two work on one number",
)
def put_in_order(answer: Any, trial: Trial) -> None:
    """A task, a group, its body and two more steps."""
    letters = letters_of(trial, answer, "ABCDE")
    for _ in range(2):
        x, y, factor = (trial.random.randint(2, 9) for _ in range(3))
        added = [trial.random.randint(0, 9) for _ in range(trial.random.randint(2, 4))]
        pieces = {
            "A": task("xsum"),
            "B": task("note"),
            "C": task("add", x, y),
            "D": task("mul", factor),
            "E": group(task("add", each) for each in added),
        }
        trial.expect(
            letters[0] == "C",
            "the first step is the add that has both numbers",
            "C, which needs nothing from before",
            f"{letters[0]}, which waits for a value from before",
        )
        run = trial.run(chain(*(pieces[letter] for letter in letters)))
        pictures = {"wanted": plan(chain(*(pieces[letter] for letter in "CEADB"))), "got": run.graph}
        lists = [node for node in run.graph.nodes.values() if node.role == "body"]
        trial.expect(
            all(node.task == "tasks.xsum" for node in lists),
            "xsum gets the list of the group's results",
            "the body of the group is xsum",
            "the body of the group is " + ", ".join(node.task.rpartition(".")[2] for node in lists),
            **pictures,
        )
        last = list(run.graph.nodes.values())[-1]
        trial.expect(
            last.task == "tasks.note", "the last step is note", "note(…)", last.task.rpartition(".")[2], **pictures
        )
        (product,) = named(run.graph, "mul")
        first = [node.task.rpartition(".")[2] for node in _before(run.graph, product)]
        trial.expect(
            first == ["xsum"],
            "the sum is multiplied",
            "mul takes what xsum returned",
            f"mul takes what {', '.join(first) or 'nothing'} returned",
            **pictures,
        )
        wanted = [factor * sum(x + y + each for each in added)]
        trial.expect_value(run, wanted, f"add({x}, {y}), {added} added side by side, times {factor}")


@exercise(
    "07.2",
    "fill in",
    "the body gets one list, in front of the arguments it has already",
    "note returns its arguments as a list: give it the one that is to come second",
)
def fill_in(answer: Any, trial: Trial) -> None:
    """A body with an argument of its own."""
    body = trial.plan(answer)
    trial.expect(
        len(body.nodes) == 1 and not body.frames,
        "the body is one task",
        "one signature",
        f"a canvas of {len(body.nodes)} task{'s' * (len(body.nodes) > 1)}",
    )
    for _ in range(2):
        numbers = [trial.random.randint(2, 30) for _ in range(trial.random.randint(2, 5))]
        header = [task("power", number, 2) for number in numbers]
        run = trial.run(chord(header, signature(answer)))
        pictures = {"got": run.graph}
        node = next(node for node in run.graph.nodes.values() if node.role == "body")
        trial.expect(
            bool(_before(run.graph, node)),
            "the body gets the header's list",
            "a body that takes what comes before it",
            "it is immutable, so the list is not passed on",
            **pictures,
        )
        trial.expect_value(run, [[number**2 for number in numbers], "squares"], f"{numbers}")


@exercise(
    "07.3",
    "write",
    "a product for each pair is the header; what takes the list of products is the body",
    "chord((mul.s(…) for a, b in pairs), …): it also works for one pair, where chain(group(…), …) does not",
)
def write(answer: Any, trial: Trial) -> None:
    """A sum of products."""
    for count in (trial.random.randint(3, 6), 1, 2):
        pairs = [[trial.random.randint(2, 9), trial.random.randint(2, 9)] for _ in range(count)]
        run = trial.run(returned(trial, answer, pairs))
        graph, shown = run.graph, f"{'one pair' if count == 1 else 'the pairs'} {pairs}"
        wanted = chord([task("mul", *pair) for pair in pairs], task("xsum"))
        pictures = {"wanted": plan(wanted), "got": graph}
        products = named(graph, "mul")
        multiplied = sorted(sorted(node.args) for node in products if len(node.args) == 2)
        trial.expect(
            multiplied == sorted(sorted(pair) for pair in pairs) and not any(n.role == "map" for n in products),
            "there is a mul task for each pair",
            f"{count} messages with mul for {shown}",
            calls(run),
            **pictures,
        )
        keys = {node.key for node in products}
        trial.expect(
            not any(edge.source in keys and edge.target in keys for edge in graph.task_edges()),
            "the products are made side by side",
            "no mul waits for another",
            "one mul after another",
            **pictures,
        )
        sums = named(graph, "xsum")
        trial.expect(
            len(sums) == 1 and len(run.messages) == count + 1,
            "one task sums the products",
            f"{count + 1} messages: {count} for the header, one for the body",
            calls(run),
            **pictures,
        )
        trial.expect(
            len(_before(graph, sums[0])) == count,
            "xsum gets the products",
            "the list of all products",
            f"{run.messages[-1]!r}",
            **pictures,
        )
        trial.expect_value(run, sum(a * b for a, b in pairs), shown)


@exercise(
    "07.4",
    "repair",
    "chord(header)(body) sends at once: what does chain get in its place?",
    "chord(header, body) is a signature, nothing is sent",
)
def repair(answer: Any, trial: Trial) -> None:
    """A chord in the middle of a chain."""
    for n in (3, trial.random.randint(4, 90)):
        run = trial.run(returned(trial, answer, n))
        graph = run.graph
        header = [task("mul", factor) for factor in (2, 3)]
        pictures = {"wanted": plan(task("add", n, 1) | chord(header, task("xsum"))), "got": graph}
        adds, products, sums = (named(graph, name) for name in ("add", "mul", "xsum"))
        trial.expect(
            len(adds) == 1 and sorted(adds[0].args) == sorted((n, 1)),
            "add runs, once, and first",
            f"add({n}, 1)",
            calls(run),
            **pictures,
        )
        trial.expect(len(products) == 2, "there are two mul tasks", "mul by 2 and mul by 3", calls(run), **pictures)
        keys = {node.key for node in products}
        trial.expect(
            not any(edge.source in keys and edge.target in keys for edge in graph.task_edges()),
            "the two mul tasks run side by side",
            "neither waits for the other",
            "one mul after the other",
            **pictures,
        )
        trial.expect(
            all(adds[0] in _before(graph, node) for node in products),
            "both mul tasks multiply what add returned",
            "the value of add comes in front of 2 and of 3",
            "a mul that is not given it",
            **pictures,
        )
        trial.expect(
            len(sums) == 1 and len(_before(graph, sums[0])) == 2,
            "one task sums both products",
            "xsum gets a list of two",
            calls(run),
            **pictures,
        )
        if trial.value(run) != (n + 1) * 5:
            succeeds(trial, run, pictures["wanted"])
            made = sorted(repr(node.value) for node in products)
            twice_thrice = sorted(repr((n + 1) * factor) for factor in (2, 3))
            trial.expect(
                made == twice_thrice, "one mul doubles, the other triples", "mul by 2 and by 3", calls(run), **pictures
            )
        trial.expect_value(run, (n + 1) * 5, f"{n}")


@exercise(
    "07.5",
    "meet a constraint",
    "five messages are four headers and a body: what does each header work on?",
    "xsum takes a list: numbers[0::4], numbers[1::4] and so on are four lists that miss nothing",
)
def meet_a_constraint(answer: Any, trial: Trial) -> None:
    """A sum in four parts."""
    for count in (4 * trial.random.randint(3, 6) + trial.random.randint(1, 3), 4 * trial.random.randint(3, 6)):
        numbers = [trial.random.randint(2, 99) for _ in range(count)]
        run = trial.run(returned(trial, answer, list(numbers)))
        graph, shown = run.graph, f"{count} numbers"
        header = [task("xsum", numbers[start::4]) for start in range(4)]
        pictures = {"wanted": plan(chord(header, task("xsum"))), "got": graph}
        trial.expect(
            len(run.messages) <= 5,
            f"at most five messages for {shown}",
            5,
            f"{len(run.messages)}: {calls(run)}",
            **pictures,
        )
        quarter = -(-count // 4)
        given = [_numbers(node.args) for node in graph.nodes.values() if not _before(graph, node)]
        trial.expect(
            max(map(len, given), default=0) <= quarter,
            "no task gets more than a quarter of the numbers",
            f"at most {quarter} of {count}",
            f"one task got {max(map(len, given), default=0)}",
            **pictures,
        )
        joins = [node for node in graph.nodes.values() if len(_before(graph, node)) > 1]
        trial.expect(
            len(joins) == 1,
            "one task joins the parts",
            "a body that gets the list of the parts' sums",
            calls(run),
            **pictures,
        )
        value = trial.value(run)
        if value == sum(numbers):
            trial.expect(
                sorted(number for part in given for number in part) == sorted(numbers),
                "the tasks add up the numbers",
                "each number travels in one message",
                f"the messages carry {sum(map(len, given))} numbers of {count}",
                **pictures,
            )
        trial.expect_value(run, sum(numbers), shown)


def _numbers(value: Any) -> list[Any]:
    """All numbers in arguments, however nested."""
    if isinstance(value, list | tuple):
        return [number for each in value for number in _numbers(each)]
    return [value] if isinstance(value, int | float) else []
