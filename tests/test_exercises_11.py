"""The exercises of lesson 11: what is accepted, and what each plausible slip is told; and what the lesson only says."""

from collections.abc import Callable
from contextlib import suppress
from typing import Any, ClassVar

import pytest
from celery import chain, chord, group, signature
from celery.exceptions import Ignore
from celery.exceptions import TimeoutError as CeleryTimeoutError

import tasks
from tasks import add, app, ident, mul, note, power, xsum
from tests.banks import Bank, for_ever, raises

Build = Callable[..., Any]


pytestmark = pytest.mark.usefixtures("lesson_lab", "elsewhere")


# --- tasks that a learner would write -------------------------------------------------------------------------


@app.task(name="tests.divisors")
def divisors(n: int) -> list[int]:
    return [number for number in range(1, n + 1) if n % number == 0]


@app.task(name="tests.squares", bind=True)
def squares(self: Any, numbers: list[int]) -> None:
    raise self.replace(group(power.s(number, 2) for number in numbers))


@app.task(name="tests.sum_of_squares", bind=True)
def sum_of_squares(self: Any, numbers: list[int]) -> None:
    raise self.replace(chord([power.s(number, 2) for number in numbers], xsum.s()))


@app.task(name="tests.divisors_and_squares", bind=True)
def divisors_and_squares(self: Any, n: int) -> None:
    raise self.replace(divisors.s(n) | sum_of_squares.s())


@app.task(name="tests.ids_of_squares")
def ids_of_squares(numbers: list[int]) -> Any:
    return group(power.s(number, 2) for number in numbers)()


@app.task(name="tests.signatures_of_squares")
def signatures_of_squares(numbers: list[int]) -> Any:
    return group(power.s(number, 2) for number in numbers)


@app.task(name="tests.waited_squares")
def waited_squares(numbers: list[int]) -> Any:
    return group(power.s(number, 2) for number in numbers)().get(timeout=2)


@app.task(name="tests.squares_here")
def squares_here(numbers: list[int]) -> list[int]:
    return [number**2 for number in numbers]


@app.task(name="tests.power_called_here")
def power_called_here(numbers: list[int]) -> list[float]:
    return [power(number, 2) for number in numbers]


@app.task(name="tests.squares_in_turn", bind=True)
def squares_in_turn(self: Any, numbers: list[int]) -> None:
    raise self.replace(chain(*(power.si(number, 2) for number in numbers)))


@app.task(name="tests.squares_without_one", bind=True)
def squares_without_one(self: Any, numbers: list[int]) -> None:
    raise self.replace(group(power.s(number, 2) for number in numbers[1:]))


@app.task(name="tests.cubes", bind=True)
def cubes(self: Any, numbers: list[int]) -> None:
    raise self.replace(group(power.s(number, 3) for number in numbers))


@app.task(name="tests.squares_by_chain", bind=True)
def squares_by_chain(self: Any, numbers: list[int]) -> None:
    """With one number the group in a chain is no chord."""
    raise self.replace(chain(group(power.s(number, 2) for number in numbers), xsum.s()))


@app.task(name="tests.squares_swallowed", bind=True)
def squares_swallowed(self: Any, numbers: list[int]) -> Any:
    try:
        return self.replace(group(power.s(number, 2) for number in numbers))
    except Exception:
        return []


@app.task(name="tests.squares_added", bind=True)
def squares_added(self: Any, numbers: list[int]) -> int:
    for number in numbers:
        self.add_to_chord(power.s(number, 2))
    return 0


def doubles(numbers: list[int]) -> Any:
    return group(mul.s(number, 2) for number in numbers)


@app.task(name="tests.double_or_refuse", bind=True)
def double_or_refuse(self: Any, line: str) -> Any:
    try:
        numbers = [int(word) for word in line.split()]
    except ValueError:
        return "bad line"
    raise self.replace(doubles(numbers))


@app.task(name="tests.double_but_ignore", bind=True)
def double_but_ignore(self: Any, line: str) -> Any:
    try:
        raise self.replace(doubles([int(word) for word in line.split()]))
    except Ignore:
        raise
    except Exception:
        return "bad line"


@app.task(name="tests.double_narrow", bind=True)
def double_narrow(self: Any, line: str) -> Any:
    try:
        return self.replace(doubles([int(word) for word in line.split()]))
    except ValueError:
        return "bad line"


@app.task(name="tests.double_broken", bind=True)
def double_broken(self: Any, line: str) -> Any:
    try:
        return self.replace(doubles([int(word) for word in line.split()]))
    except Exception:
        return "bad line"


@app.task(name="tests.double_raised_broken", bind=True)
def double_raised_broken(self: Any, line: str) -> Any:
    try:
        raise self.replace(doubles([int(word) for word in line.split()]))
    except Exception:
        return "bad line"


@app.task(name="tests.double_passed", bind=True)
def double_passed(self: Any, line: str) -> Any:
    with suppress(Ignore):
        self.replace(doubles([int(word) for word in line.split()]))


@app.task(name="tests.double_uncaught", bind=True)
def double_uncaught(self: Any, line: str) -> Any:
    raise self.replace(doubles([int(word) for word in line.split()]))


@app.task(name="tests.double_ids", bind=True)
def double_ids(self: Any, line: str) -> Any:
    try:
        return doubles([int(word) for word in line.split()])()
    except ValueError:
        return "bad line"


@app.task(name="tests.double_here")
def double_here(line: str) -> Any:
    try:
        return [int(word) * 2 for word in line.split()]
    except ValueError:
        return "bad line"


@app.task(name="tests.double_digits", bind=True)
def double_digits(self: Any, line: str) -> Any:
    if not line.replace(" ", "").isdigit():
        return "bad line"
    raise self.replace(doubles([int(word) for word in line.split()]))


@app.task(name="tests.double_what_it_can", bind=True)
def double_what_it_can(self: Any, line: str) -> Any:
    raise self.replace(doubles([int(word) for word in line.split() if word.isdigit()]))


@app.task(name="tests.walk", bind=True)
def walk(self: Any, folder: dict[str, Any]) -> int:
    for inner in folder["folders"]:
        self.add_to_chord(walk.s(inner))
    return int(folder["files"])


@app.task(name="tests.walk_or_start", bind=True)
def walk_or_start(self: Any, folder: dict[str, Any]) -> int:
    for inner in reversed(folder["folders"]):
        self.add_to_chord(signature(walk_or_start.s(folder=inner)))
    return sum([folder["files"]])


@app.task(name="tests.one_level", bind=True)
def one_level(self: Any, folder: dict[str, Any]) -> int:
    for inner in folder["folders"]:
        self.add_to_chord(ident.s(inner["files"]))
    return int(folder["files"])


@app.task(name="tests.first_only", bind=True)
def first_only(self: Any, folder: dict[str, Any]) -> int:
    if folder["folders"]:
        self.add_to_chord(first_only.s(folder["folders"][0]))
    return int(folder["files"])


@app.task(name="tests.walk_replaced", bind=True)
def walk_replaced(self: Any, folder: dict[str, Any]) -> int:
    if not folder["folders"]:
        return int(folder["files"])
    parts = [ident.s(folder["files"]), *(walk_replaced.s(inner) for inner in folder["folders"])]
    raise self.replace(chord(parts, xsum.s()))


@app.task(name="tests.walk_here")
def walk_here(folder: dict[str, Any]) -> int:
    return int(folder["files"] + sum(walk_here(inner) for inner in folder["folders"]))


@app.task(name="tests.walk_and_send")
def walk_and_send(folder: dict[str, Any]) -> int:
    for inner in folder["folders"]:
        walk_and_send.delay(inner)
    return int(folder["files"])


@app.task(name="tests.walk_twice", bind=True)
def walk_twice(self: Any, folder: dict[str, Any]) -> int:
    """The folder's own number travels in a message of its own."""
    for inner in folder["folders"]:
        self.add_to_chord(walk_twice.s(inner))
    self.add_to_chord(ident.s(folder["files"]))
    return 0


@app.task(name="tests.walk_called", bind=True)
def walk_called(self: Any, folder: dict[str, Any]) -> int:
    for inner in folder["folders"]:
        self.add_to_chord(walk_called(inner))
    return int(folder["files"])


@app.task(name="tests.only_files")
def only_files(folder: dict[str, Any]) -> int:
    return int(folder["files"])


def all_folders(folder: dict[str, Any]) -> list[dict[str, Any]]:
    return [folder, *(each for inner in folder["folders"] for each in all_folders(inner))]


# --- 11.1 put in order ----------------------------------------------------------------------------------------

RIGHT_1: dict[str, Any] = {"solution": ["D", "E", "A", "B", "C"], "tuple": tuple("DEABC"), "one string": "deabc"}
WRONG_1: dict[str, tuple[Any, str]] = {
    "alphabet": (["A", "B", "C", "D", "E"], "first step has all its arguments"),
    "times first": (["D", "A", "E", "B", "C"], "value is right"),
    "summed too early": (["D", "B", "E", "A", "C"], "every step succeeds"),
    "summed in the middle": (["D", "E", "B", "A", "C"], "every step succeeds"),
    "noted before summed": (["D", "E", "A", "C", "B"], "every step succeeds"),
    "backwards": (["C", "B", "A", "E", "D"], "first step has all its arguments"),
    "one missing": (["D", "E", "B", "C"], "each piece is used once"),
    "one twice": (["D", "E", "A", "A", "B", "C"], "each piece is used once"),
    "nothing": ([], "each piece is used once"),
    "the chain itself": (chain(add.s(5, 4), mul.s(3)), "list of letters"),
    "the pieces": ([add.s(5, 4), mul.s(3)], "list of letters"),
    "the value": ([90, "sum"], "list of letters"),
    "a function": (raises, "list of letters"),
}

# --- 11.2 fill in ---------------------------------------------------------------------------------------------


def filled(item: Any, each: dict[str, Any]) -> Any:
    return signature({**each, "args": [item, *each["args"]]})


RIGHT_2: dict[str, Build] = {
    "solution": lambda items, each: group(signature(each).clone([item]) for item in items),
    "a tuple": lambda items, each: group([signature(each).clone(args=(item,)) for item in items]),
    "the dict changed": lambda items, each: group([filled(item, each) for item in items]),
    "one by one": lambda items, each: group(*(signature(each).clone([item]) for item in items), app=app),
}
WRONG_2: dict[str, tuple[Any, str]] = {
    "skeleton": (lambda items, each: group(... for item in items), "there is no answer yet"),
    "a dict has no clone": (lambda items, each: group(each.clone([i]) for i in items), "your function raises no error"),
    "a dict has no s": (lambda items, each: group(each.s(item) for item in items), "your function raises no error"),
    "the item is forgotten": (lambda items, each: group(signature(each) for _ in items), "every step succeeds"),
    "the dicts themselves": (lambda items, each: group(each for _ in items), "every step succeeds"),
    "the whole list": (lambda items, each: group([signature(each).clone([items])]), "one task for each item"),
    "an item that is not in a list": (
        lambda items, each: group(signature(each).clone(item) for item in items),
        "your function raises no error",
    ),
    "the item behind": (
        lambda items, each: group(signature({**each, "args": [*each["args"], item]}) for item in items),
        "the value is right",
    ),
    "options dropped": (
        lambda items, each: group(
            signature(each["task"], (item, *each["args"]), kwargs=each["kwargs"]) for item in items
        ),
        "the options are kept",
    ),
    "keywords dropped": (
        lambda items, each: group(signature(each["task"], (item, *each["args"])) for item in items),
        "every step succeeds",
    ),
    "add written in": (lambda items, each: group(add.s(item, 10) for item in items), "the value is right"),
    "one after the other": (
        lambda items, each: chain(*(signature(each).clone([item]) for item in items)),
        "they stand side by side",
    ),
    "handed on by ident": (
        lambda items, each: group(ident.s(item) | signature(each) for item in items),
        "one task for each item",
    ),
    "a body behind": (
        lambda items, each: group(signature(each).clone([item]) for item in items) | xsum.s(),
        "one task for each item",
    ),
    "a map": (lambda items, each: tasks.add.starmap([[item, 10] for item in items]), "one task for each item"),
    "sent already": (
        lambda items, each: group(signature(each).clone([item]) for item in items)(),
        "the answer gives a signature",
    ),
    "called here": (lambda items, each: [signature(each)(item) for item in items], "the answer gives a signature"),
    "no return": (lambda items, each: None, "the answer gives a signature"),
}

# --- 11.3 write -----------------------------------------------------------------------------------------------


def behind(step: Any) -> Build:
    return lambda n: divisors.s(n) | step.s() | xsum.s()


RIGHT_3: dict[str, Build] = {
    "solution": behind(squares),
    "the sum in its place": lambda n: divisors.s(n) | sum_of_squares.s(),
    "all of it in one place": lambda n: divisors_and_squares.s(n),
}
WRONG_3: dict[str, tuple[Any, str]] = {
    "nothing is returned": (behind(note), "squared by a power of its own"),
    "ids": (behind(ids_of_squares), "can be written as JSON"),
    "a signature as value": (behind(signatures_of_squares), "squared by a power of its own"),
    "waited for": (behind(waited_squares), "every step succeeds"),
    "worked out in the task": (behind(squares_here), "squared by a power of its own"),
    "power called in the task": (behind(power_called_here), "squared by a power of its own"),
    "one after the other": (behind(squares_in_turn), "every step succeeds"),
    "the first left out": (behind(squares_without_one), "squared by a power of its own"),
    "cubes": (behind(cubes), "the value is right"),
    "a group of one in a chain": (lambda n: divisors.s(n) | squares_by_chain.s(), "every step succeeds"),
    "swallowed": (behind(squares_swallowed), "each task is sent once"),
    "added to no chord": (behind(squares_added), "squared by a power of its own"),
    "a map of nothing": (lambda n: divisors.s(n) | power.starmap([]) | xsum.s(), "squared by a power of its own"),
    "divisors at building": (
        lambda n: chord([power.s(d, 2) for d in range(1, n + 1) if n % d == 0], xsum.s()),
        "found by a task, at run time",
    ),
    "divisors handed to it": (
        lambda n: squares.s([d for d in range(1, n + 1) if n % d == 0]) | xsum.s(),
        "a task returns the list of divisors",
    ),
    "no sum": (lambda n: divisors.s(n) | squares.s(), "the value is right"),
    "called here": (lambda n: sum(d**2 for d in divisors(n)), "the answer gives a signature"),
    "a constant": (lambda n: ident.s(50), "squared by a power of its own"),
}

# --- 11.4 repair ----------------------------------------------------------------------------------------------


def then_read(first: Any) -> Build:
    return lambda line: first.s(line) | note.s("read")


RIGHT_4: dict[str, Build] = {
    "solution": then_read(double_or_refuse),
    "Ignore goes through": then_read(double_but_ignore),
    "only ValueError is caught": then_read(double_narrow),
}
WRONG_4: dict[str, tuple[Any, str]] = {
    "as it was": (then_read(double_broken), "note is sent once"),
    "raise in the try": (then_read(double_raised_broken), "note is sent once"),
    "Ignore is passed over": (then_read(double_passed), "note is sent once"),
    "nothing is caught": (then_read(double_uncaught), "every step succeeds"),
    "ids": (then_read(double_ids), "can be written as JSON"),
    "doubled in the task": (then_read(double_here), "doubled by a mul of its own"),
    "asks whether all are digits": (then_read(double_digits), "the value is right"),
    "the bad words left out": (then_read(double_what_it_can), "the value is right"),
    "no note": (lambda line: double_or_refuse.s(line), "note is sent once"),
    "note takes nothing": (lambda line: double_or_refuse.s(line) | note.si("read"), "the value is right"),
    "note twice": (lambda line: double_or_refuse.s(line) | note.s("read") | note.s("read"), "note is sent once"),
    "read while building": (
        lambda line: group(mul.s(int(word), 2) for word in line.split() if word.isdigit()) | note.s("read"),
        "read by a task, at run time",
    ),
    "int while building": (
        lambda line: group(mul.s(int(word), 2) for word in line.split() if int(word)) | note.s("read"),
        "read by a task, at run time",
    ),
    "called here": (lambda line: double_here(line), "the answer gives a signature"),
    "a constant": (lambda line: note.s([6, 8], "read"), "doubled by a mul of its own"),
}

# --- 11.5 meet a constraint -----------------------------------------------------------------------------------


def summed(step: Any) -> Build:
    return lambda folder: chord([step.s(folder)], xsum.s())


RIGHT_5: dict[str, Build] = {
    "solution": summed(walk),
    "by keyword, backwards": summed(walk_or_start),
    "piped": lambda folder: group([walk.s(folder)]) | xsum.s(),
}
WRONG_5: dict[str, tuple[Any, str]] = {
    "as it was": (lambda folder: only_files.s(folder), "the value is right"),
    "no chord": (lambda folder: walk.s(folder), "every step succeeds"),
    "chain in place of a chord": (lambda folder: walk.s(folder) | xsum.s(), "every step succeeds"),
    "nothing is added": (summed(only_files), "the value is right"),
    "one level": (summed(one_level), "the value is right"),
    "the first folder only": (summed(first_only), "the value is right"),
    "replaced": (lambda folder: walk_replaced.s(folder), "one message for each folder"),
    "one task for all": (lambda folder: walk_here.s(folder), "one message for each folder"),
    "one task for all, summed": (summed(walk_here), "one message for each folder"),
    "sent, not added": (summed(walk_and_send), "the value is right"),
    "a message for each number": (summed(walk_twice), "one message for each folder"),
    "called, not added": (summed(walk_called), "every step succeeds"),
    "all folders planned": (
        lambda folder: chord([only_files.s(each) for each in all_folders(folder)], xsum.s()),
        "two tasks are planned",
    ),
    "summed while building": (
        lambda folder: ident.s(sum(each["files"] for each in all_folders(folder))),
        "one message for each folder",
    ),
    "called here": (lambda folder: walk_here(folder), "the answer gives a signature"),
}


class TestExercises(Bank):
    """Right and wrong answers."""

    answers: ClassVar = {
        "11.1": (RIGHT_1, WRONG_1),
        "11.2": (RIGHT_2, WRONG_2),
        "11.3": (RIGHT_3, WRONG_3),
        "11.4": (RIGHT_4, WRONG_4),
        "11.5": (RIGHT_5, WRONG_5),
    }
    number = 60
    endless = ("11.3", for_ever, "building comes to an end")
    solution = ("11.5", RIGHT_5["solution"])
    building = ("11.2", "11.3", "11.4", "11.5")


# --- what the lesson says in a line, without a cell -----------------------------------------------------------


def test_a_chain_drops_what_clone_gives_it() -> None:
    each = add.s(1) | mul.s(2)
    with pytest.raises(TypeError, match="missing 1 required positional argument"):
        each.clone([3]).delay().get(timeout=5)
    assert (ident.s(3) | each).delay().get(timeout=5) == 8


@app.task(name="tests.piped")
def piped(items: list[int], end: dict[str, Any]) -> list[str]:
    """What a dict behind a pipe becomes: to the right of a group, and of a task."""
    return [type(group(ident.s(item) for item in items) | end).__name__, type(ident.s(1) | end).__name__]


def test_a_dict_is_accepted_to_the_right_of_a_group_only() -> None:
    assert piped.delay([1, 2], xsum.s()).get(timeout=5) == ["_chord", "dict"]


@app.task(name="tests.replaced_by_chunks", bind=True)
def replaced_by_chunks(self: Any) -> None:
    raise self.replace(add.chunks([(1, 1), (2, 2)], 1))


def test_chunks_in_its_place_leave_a_task_pending() -> None:
    result = replaced_by_chunks.delay()
    with pytest.raises(CeleryTimeoutError):
        result.get(timeout=0.5)
    assert result.state == "PENDING"
