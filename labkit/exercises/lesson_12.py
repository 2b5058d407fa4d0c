"""Lesson 12, calling and retrying: when a task starts, what is tried again, and what may happen only once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import Any, Final

from celery import Task, group
from celery.canvas import Signature

from labkit.exercises.attempts import (
    comes_to_an_end,
    delays,
    ends,
    fails_with,
    has_value,
    in_seconds,
    published,
    put_off,
    times,
    tried,
    watch,
    without_dots,
)
from labkit.exercises.common import task, task_for
from labkit.exercises.services import ask, charges, forget, script
from labkit.graph import Graph, Node
from labkit.practice import Trial, exercise
from labkit.run import Run

#: How long each retry of the third exercise is put off, in seconds.
_WAITS: Final = [0.02, 0.04, 0.08]


def _pieces(unit: float) -> dict[str, Any]:
    """The pieces of the first exercise; ``unit`` is the shortest countdown."""

    def note(letter: str, **options: Any) -> Signature:
        return task("note", letter).set(immutable=True, **options)

    return {
        "A": note("A", countdown=2.5 * unit),
        "B": note("B"),
        "C": task("add", 1, 1).set(countdown=2 * unit) | note("C", countdown=2 * unit),
        "D": note("D", countdown=2 * unit, expires=unit),
        "E": note("E", countdown=unit, expires=60),
    }


@exercise(
    "12.1",
    "put in order",
    "a countdown counts from when that message is sent: what sends the note of C, and when?",
    "when D may start, it has expired already; E has a minute",
    "the times are 0.25, 0, 0.2 + 0.2, never, 0.1",
)
def put_in_order(answer: Any, trial: Trial) -> None:
    """The letters in the order of the ETAs; what expires is left out."""
    letters = list(answer) if isinstance(answer, str | list | tuple) and not isinstance(answer, Signature) else None
    if letters is None or not all(isinstance(each, str) for each in letters):
        trial.refuse("the answer is a list of letters", '["A", "B", …]', f"{answer!r:.60}")
        return
    letters = [each.strip().upper() for each in letters]
    said = " ".join(letters) or "no letter"
    strange = set(letters) - set("ABCDE") or len(set(letters)) < len(letters)
    trial.expect(not strange, "each letter is used at most once", "letters from A to E", said)
    unit = trial.random.uniform(0.08, 0.09)
    run = trial.run(group(list(_pieces(unit).values())))
    graph = run.graph
    notes = {str(node.args[0]): node for node in graph.nodes.values() if node.task == "tasks.note"}
    own = {fact["id"]: put_off(fact) for fact in published(run)}
    # How long after the sending each may start, in tenths as in the lesson; C is sent by the step before it.
    first = next(node for node in graph.nodes.values() if node.task == "tasks.add")
    due = {letter: own[node.id] / unit / 10 for letter, node in notes.items() if node.id and node.started}
    due["C"] += own[first.id or ""] / unit / 10
    for letter in letters:
        happened = f"{letter} was {notes[letter].state}: {notes[letter].reason}"
        trial.expect(letter in due, "what never starts is left out", f"no {letter}", happened, got=graph)
    missing = [letter for letter in due if letter not in letters]
    shown = f"{', '.join(missing)} started too"
    trial.expect(not missing, "what starts is in the list", "every note that starts", shown, got=graph)
    for before, after in pairwise(letters):
        trial.expect(
            due[before] < due[after],
            "the letters are in the order of the starts",
            f"{after} in front of {before}",
            f"{after} may start after {due[after]:.2f} s, {before} after {due[before]:.2f} s",
            got=graph,
        )


@exercise(
    "12.2",
    "fill in",
    "autoretry_for is a tuple of exception classes",
    "three runs are two retries; without backoff each retry is put off by default_retry_delay",
    '{"autoretry_for": (ConnectionError, TimeoutError), "max_retries": 2, "default_retry_delay": 0.05}',
)
def fill_in(answer: Any, trial: Trial) -> None:
    """Options that retry two kinds of error, twice, after the same short wait."""
    if not isinstance(answer, dict) or isinstance(answer, Signature):
        trial.refuse("the answer is a dict of options", '{"max_retries": …, …}', f"{answer!r:.60}")
    if any(value is ... for value in answer.values()):
        trial.unanswered()

    def call(*args: Any) -> Any:
        return ask(args[-1])

    try:
        made = trial.lab.app.task(**{**answer, "name": "lab.exercise.options"})(call)
    except Exception as error:
        trial.refuse("app.task takes the options", "a task made with them", f"{type(error).__name__}: {error}")
    price = trial.random.randint(10, 99)
    cases: dict[str, tuple[list[Any], int]] = {
        "a ConnectionError": ([ConnectionError("no answer"), price], 2),
        "a TimeoutError": ([TimeoutError("too slow"), price], 2),
        "two errors in a row": ([TimeoutError("too slow"), ConnectionError("no answer"), price], 3),
        "a KeyError": ([KeyError("shop")], 1),
        "a FileNotFoundError": ([FileNotFoundError("no such file")], 1),
        "a shop that never answers": ([ConnectionError("no answer")], 3),
    }
    run, nodes = _scripted(trial, cases, lambda shop: made.s(shop))
    for case, (todo, often) in cases.items():
        node = nodes[case]
        waits = delays(run, node)
        for wait in waits:
            same = abs(wait - 0.05) < 0.005
            what = f"each retry is put off by 0.05 s, for {case}"
            trial.expect(same, what, in_seconds([0.05] * (often - 1)), in_seconds(waits), got=run.graph)
        if often == 1:
            again = len(waits)
            what = f"{case} fails at once"
            trial.expect(not again, what, "1 run", f"{times(again + 1)}", got=run.graph)
        tried(trial, run, node, often, case)
        comes_to_an_end(trial, run, node, case)
        if isinstance(todo[-1], Exception):
            fails_with(trial, run, node, type(todo[-1]), case)
        else:
            has_value(trial, run, node, price, case)


def _scripted(
    trial: Trial, cases: Mapping[str, tuple[list[Any], int]], call: Callable[[str], Signature]
) -> tuple[Run, dict[str, Node]]:
    """Run a call for each case, for a shop that does what the case says."""
    shops = {case: f"shop {place}" for place, case in enumerate(cases, 1)}
    for case, (todo, _) in cases.items():
        script(shops[case], todo)
    return watch(trial, {case: call(shop) for case, shop in shops.items()})


@exercise(
    "12.3",
    "write",
    "self.retry takes countdown; self.request.retries is 0 in the first run",
    "double each time: 0.02 * 2 ** self.request.retries. Give exc=, or another error is raised in the end",
    "except ConnectionError as error: raise self.retry(exc=error, countdown=0.02 * 2**self.request.retries)",
)
def write(answer: Any, trial: Trial) -> None:
    """Three retries, each put off twice as long as the one before."""
    made = task_for(trial, answer, "shop")
    price, error = trial.random.randint(10, 99), ConnectionError("no answer")
    cases: dict[str, tuple[list[Any], int]] = {
        "a shop that answers": ([price], 1),
        "one refusal": ([error, price], 2),
        "three refusals": ([error, error, error, price], 4),
        "a shop that never answers": ([error], 4),
        "a KeyError": ([KeyError("shop")], 1),
    }
    run, nodes = _scripted(trial, cases, lambda shop: made.s(shop))
    without_dots(trial, nodes)
    for case, (todo, often) in cases.items():
        node = nodes[case]
        if case == "a shop that answers":
            comes_to_an_end(trial, run, node, case)
            has_value(trial, run, node, price, case)
        right, waits = _WAITS[: often - 1], delays(run, node)
        if case == "a KeyError":
            what = "only a ConnectionError is tried again"
            trial.expect(not waits, what, "1 run for a KeyError", times(len(waits) + 1), got=run.graph)
        if len(waits) > often - 1:
            tried(trial, run, node, often, case)
        if not _near(node, waits, right):
            all_waits = {each: delays(run, nodes[each])[: len(_WAITS)] for each in cases}
            most = max(cases, key=lambda each: len(all_waits[each]))
            if not _near(nodes[most], all_waits[most], _WAITS):
                case, right, waits = most, _WAITS, all_waits[most]
            trial.refuse(f"the waits double, for {case}", in_seconds(right), _in_words(waits), got=run.graph)
        tried(trial, run, node, often, case)
        comes_to_an_end(trial, run, node, case)
        if isinstance(todo[-1], Exception):
            fails_with(trial, run, node, type(todo[-1]), case)
        else:
            has_value(trial, run, node, price, case)


def _near(node: Node, waits: list[float], right: list[float]) -> bool:
    """Whether the retries of a node were put off as they should; the clock runs on while an ETA is worked out."""
    exact = [place < len(node.attempts) and node.attempts[place].delay is not None for place in range(len(waits))]
    return all(
        abs(wait - wanted) < (0.002 if told else 0.03) for wait, wanted, told in zip(waits, right, exact, strict=False)
    )


def _in_words(waits: list[float]) -> str:
    return in_seconds(waits) + (", as without a countdown" if Task.default_retry_delay in waits else "")


@exercise(
    "12.4",
    "repair",
    "self.retry raises Retry, which is an Exception: who catches it here?",
    "only ask(shop) can raise a ConnectionError: only it belongs into the try, and only that into the except",
    "try: price = ask(shop), except ConnectionError: return 'closed'; the retry comes below, outside",
)
def repair(answer: Any, trial: Trial) -> None:
    """A price that is not ready is asked for again, and nothing swallows the retry."""
    made = task_for(trial, answer, "shop")
    closed = ConnectionError("no answer")
    # First always the same prices: what the lesson shows of the broken task is this.
    for price, later in ((20, 30), (trial.random.randint(40, 69), trial.random.randint(70, 99))):
        cases: dict[str, tuple[list[Any], int, Any]] = {
            "a price that is ready": ([price], 1, price),
            "a price that is ready the second time": ([None, price], 2, price),
            "a price that is ready the third time": ([None, None, later], 3, later),
            "a ConnectionError": ([closed], 1, "closed"),
            "not ready, then a ConnectionError": ([None, closed], 2, "closed"),
        }
        scripts = {case: (todo, often) for case, (todo, often, _) in cases.items()}
        run, nodes = _scripted(trial, scripts, lambda shop: made.s(shop))
        without_dots(trial, nodes)
        for case, (_, often, right) in cases.items():
            node = nodes[case]
            if len(found := ends(run, node)) > 1:
                happened = f"SUCCESS with {found[0]!r} was stored, and the task ran again"
                trial.refuse(f"the retry is not swallowed, for {case}", f"the value {right!r}", happened, got=run.graph)
            tried(trial, run, node, often, case)
            comes_to_an_end(trial, run, node, case)
            has_value(trial, run, node, right, case)


@exercise(
    "12.5",
    "meet a constraint",
    "a retry runs the body from its start: what must not be done twice is asked for first",
    "if not charged(order): charge(order, amount). The receipt is asked for each time",
    "and @app.task(bind=True, autoretry_for=(ConnectionError,), default_retry_delay=0.05)",
)
def meet_a_constraint(answer: Any, trial: Trial) -> None:
    """Money is taken once for an order, however often its task runs."""
    made = task_for(trial, answer, "order", 1)
    error = ConnectionError("no answer")
    refusals = {"a bank that answers": 0, "one refusal": 1, "two refusals": 2}
    # First always the same orders: what the lesson shows of the broken task is this.
    for first in (10, trial.random.randint(20, 90)):
        orders = {case: (f"order {first + many}", 5 * (first + many)) for case, many in refusals.items()}
        receipts = {order: f"receipt {first * 7 + place}" for place, (order, _) in enumerate(orders.values())}
        for case, (order, _) in orders.items():
            forget(order)
            script(order, [error] * refusals[case] + [receipts[order]])
        for again in (False, True):
            run, nodes = watch(trial, {case: made.s(*orders[case]) for case in refusals})
            without_dots(trial, nodes)
            for case, many in refusals.items():
                (order, amount), node = orders[case], nodes[case]
                if not again:
                    tried(trial, run, node, many + 1, case)
                _paid(trial, run.graph, order, amount, f"when {order} is sent once more" if again else f"for {case}")
                comes_to_an_end(trial, run, node, case)
                has_value(trial, run, node, receipts[order], f"{order}, which is sent once more" if again else case)


def _paid(trial: Trial, graph: Graph, order: str, amount: float, case: str) -> None:
    """Refuse the answer unless an order was charged once, this amount."""
    money = charges(order)
    trial.expect(bool(money), f"an order is charged {case}", "one charge", "none", got=graph)
    many = f"{len(money)} charges"
    trial.expect(len(money) == 1, f"an order is charged once {case}", "one charge", many, got=graph)
    trial.expect(money == [amount], f"the amount is right {case}", amount, money[0], got=graph)
