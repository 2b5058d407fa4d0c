"""The exercises of lesson 09: what is right is accepted however it is built, what is wrong is refused with a reason."""

import math
import time
from collections.abc import Callable
from itertools import pairwise, repeat
from typing import Any, ClassVar

import pytest
from celery import chain, chord, group, signature, xmap, xstarmap
from celery.canvas import Signature, chunks
from kombu.exceptions import EncodeError

import labkit
import tasks
from tasks import add, ident, mul, note, power, xsum
from tests.banks import Bank, bank, for_ever

Numbers = list[int]
Pairs = list[list[int]]


pytestmark = pytest.mark.usefixtures("lesson_lab", "elsewhere")


# --- tasks that a learner would write -------------------------------------------------------------------------


@tasks.app.task(name="bank09.total")
def total(parts: list[list[float]]) -> float:
    return sum(sum(part) for part in parts)


@tasks.app.task(name="bank09.total_of_all")
def total_of_all(*parts: Any) -> float:
    """Also of a part that came alone."""
    flat, waiting = 0.0, list(parts)
    while waiting:
        each = waiting.pop()
        if isinstance(each, list):
            waiting.extend(each)
        else:
            flat += each
    return int(flat)


@tasks.app.task(name="bank09.flat")
def flat(parts: list[list[float]]) -> list[float]:
    return [number for part in parts for number in part]


@tasks.app.task(name="bank09.ratio")
def ratio(x: float, y: float) -> float:
    return x / y


@tasks.app.task(name="bank09.if_positive")
def if_positive(x: float, y: float) -> float | None:
    return x / y if y > 0 else None


@tasks.app.task(name="bank09.if_both")
def if_both(x: float, y: float) -> float | None:
    return x / y if x and y else None


@tasks.app.task(name="bank09.or_none")
def or_none(x: float, y: float) -> float | None:
    try:
        return x / y
    except ZeroDivisionError:
        return None


@tasks.app.task(name="bank09.of_pair")
def of_pair(pair: list[float]) -> float | None:
    return pair[0] / pair[1] if pair[1] else None


@tasks.app.task(name="bank09.of_all")
def of_all(pairs: Pairs) -> list[float | None]:
    return [of_pair(pair) for pair in pairs]


@tasks.app.task(name="bank09.as_text")
def as_text(x: float, y: float) -> float | str:
    return x / y if y else "None"


@tasks.app.task(name="bank09.or_zero")
def or_zero(x: float, y: float) -> float:
    return x / y if y else 0.0


@tasks.app.task(name="bank09.until_bad")
def until_bad(pairs: Pairs) -> list[float | None]:
    found: list[float | None] = []
    for x, y in pairs:
        if not y:
            break
        found.append(x / y)
    return found


@tasks.app.task(name="bank09.good_only")
def good_only(pairs: Pairs) -> list[float]:
    return [x / y for x, y in pairs if y]


def halves(pairs: Pairs, size: int) -> list[Pairs]:
    return [pairs[start : start + size] for start in range(0, len(pairs), size)]


def rounded_up(pairs: Pairs, most: int) -> int:
    return math.ceil(len(pairs) / most)


def interleaved(pairs: Pairs, most: int) -> Signature:
    return group(add.starmap(pairs[start::most]) for start in range(min(most, len(pairs))))


def evenly(pairs: Pairs, most: int) -> Signature:
    """Parts that differ by one at most, in the order of the pairs."""
    many = min(most, len(pairs))
    edges = [len(pairs) * place // many for place in range(many + 1)]
    return group(add.starmap(pairs[a:b]) for a, b in pairwise(edges))


RIGHT: dict[str, dict[str, Any]] = {
    "09.1": {"reference": list("DAECB"), "as a word": "daecb", "as a tuple": tuple("DAECB")},
    "09.2": {
        "reference": lambda numbers: power.starmap([(number, 2) for number in numbers]),
        "zipped": lambda numbers: power.starmap(zip(numbers, repeat(2), strict=False)),
        "by name": lambda numbers: xstarmap(signature("tasks.power"), [[number, 2] for number in numbers]),
        "the number twice": lambda numbers: group(power.starmap([[n, 2] for n in numbers])).tasks[0],
    },
    "09.3": {
        "reference": lambda pairs, size: add.chunks(pairs, size).group() | total.s(),
        "chord": lambda pairs, size: chord(add.chunks(pairs, size).group(), total.s()),
        "starmaps": lambda pairs, size: chord([add.starmap(part) for part in halves(pairs, size)], total.s()),
        "by any shape": lambda pairs, size: chain(add.chunks(pairs, size).group(), total_of_all.s()),
    },
    "09.4": {
        "reference": lambda pairs: or_none.starmap(pairs),
        "map": lambda pairs: of_pair.map(pairs),
        "a loop of one's own": lambda pairs: of_all.s(pairs),
        "by keyword": lambda pairs: of_all.s(pairs=pairs),
    },
    "09.5": {
        "reference": lambda pairs, most: add.chunks(pairs, -(-len(pairs) // most)),
        "ceil": lambda pairs, most: add.chunks(pairs, rounded_up(pairs, most)).group(),
        "evenly": evenly,
        "starmaps": lambda pairs, most: group(add.starmap(part) for part in halves(pairs, rounded_up(pairs, most))),
    },
}

#: Exercise, what was tried, the answer, and a part of what the refusal says.
WRONG: list[tuple[str, str, Any, str]] = [
    # put in order
    ("09.1", "as listed", list("ABCDE"), "takes more messages"),
    ("09.1", "most first", list("BCEAD"), "takes more messages"),
    ("09.1", "the join costs nothing", list("DEACB"), "takes more messages"),
    ("09.1", "by the number behind", list("CAEDB"), "takes more messages"),
    ("09.1", "a starmap is many", list("AECDB"), "takes more messages"),
    ("09.1", "chunks of 2 are two", list("DCAEB"), "takes more messages"),
    ("09.1", "one missing", list("DAEC"), "each piece is used once"),
    ("09.1", "one twice", list("DAECC"), "each piece is used once"),
    ("09.1", "the numbers", [1, 3, 4, 6, 12], "list of letters"),
    ("09.1", "a canvas", add.starmap([(1, 1)]), "list of letters"),
    # fill in
    ("09.2", "the number alone", lambda n: power.starmap([(each,) for each in n]), "every message succeeds"),
    ("09.2", "no tuples", lambda n: power.starmap(n), "every message succeeds"),
    ("09.2", "map", lambda n: power.map([(each, 2) for each in n]), "every message succeeds"),
    ("09.2", "a stored two", lambda n: xmap(power.s(2), n), "every message succeeds"),
    ("09.2", "the wrong way round", lambda n: power.starmap([(2, each) for each in n]), "value is right"),
    ("09.2", "itself", lambda n: power.starmap([(each, each) for each in n]), "value is right"),
    ("09.2", "product", lambda n: mul.starmap([(each, 2) for each in n]), "value is right"),
    ("09.2", "another task", lambda n: mul.starmap([(each, each) for each in n]), "power is called for each"),
    ("09.2", "chunks", lambda n: power.chunks([(each, 2) for each in n], len(n)), "value is right"),
    ("09.2", "a group", lambda n: group(power.s(each, 2) for each in n), "one message carries all"),
    ("09.2", "the first only", lambda n: power.starmap([(n[0], 2)]), "value is right"),
    ("09.2", "worked out here", lambda n: ident.s([each**2 for each in n]), "power is called for each"),
    ("09.2", "called here", lambda n: [power(each, 2) for each in n], "gives a signature"),
    ("09.2", "sent already", lambda n: power.starmap([(each, 2) for each in n]).delay(), "gives a signature"),
    ("09.2", "not a function", power.starmap([(3, 2)]), "answer is a function"),
    ("09.2", "the skeleton", lambda n: power.starmap([... for _ in n]), "there is no answer yet"),
    # write
    ("09.3", "without group", lambda p, size: add.chunks(p, size) | total.s(), "chunks inside another canvas"),
    ("09.3", "xsum", lambda p, size: add.chunks(p, size).group() | xsum.s(), "every message succeeds"),
    ("09.3", "no sum", lambda p, size: add.chunks(p, size), "value is right"),
    ("09.3", "flat only", lambda p, size: add.chunks(p, size).group() | flat.s(), "value is right"),
    (
        "09.3",
        "one message more",
        lambda p, size: add.chunks(p, size).group() | flat.s() | xsum.s(),
        "one message for each part",
    ),
    ("09.3", "one starmap", lambda p, size: add.starmap(p) | xsum.s(), "no message has more than"),
    ("09.3", "a group", lambda p, size: group(add.s(*pair) for pair in p) | xsum.s(), "each message but the last"),
    ("09.3", "size as number of parts", lambda p, size: _in_parts(p, size) | total.s(), "message"),
    ("09.3", "always two", lambda p, size: add.chunks(p, 2).group() | total.s(), "message"),
    (
        "09.3",
        "chain takes a group of one apart",
        lambda p, size: chain(add.chunks(p, size).group(), total.s()),
        "every message succeeds",
    ),
    ("09.3", "the last part forgotten", lambda p, size: _whole_parts(p, size), "add is called once for each pair"),
    ("09.3", "multiplied", lambda p, size: mul.chunks(p, size).group() | total.s(), "add is called once"),
    ("09.3", "immutable", lambda p, size: add.chunks(p, size).group() | total.si([[1]]), "value is right"),
    ("09.3", "worked out here", lambda p, size: ident.s(sum(map(sum, p))), "add is called once"),
    ("09.3", "sent already", lambda p, size: (add.chunks(p, size).group() | total.s())(), "gives a signature"),
    ("09.3", "one argument", lambda p: add.chunks(p, 2).group() | total.s(), "raises no error"),
    # repair
    ("09.4", "as it was", lambda p: ratio.starmap(p), "does not end the others"),
    ("09.4", "a group", lambda p: group(or_none.s(*pair) for pair in p), "one message carries all"),
    ("09.4", "a group of the broken", lambda p: group(ratio.s(*pair) for pair in p), "does not end the others"),
    ("09.4", "chunks", lambda p: or_none.chunks(p, len(p)), "value is right"),
    ("09.4", "the word", lambda p: as_text.starmap(p), "value is right"),
    ("09.4", "nought", lambda p: or_zero.starmap(p), "value is right"),
    ("09.4", "positive only", lambda p: if_positive.starmap(p), "value is right"),
    ("09.4", "nothing of nothing", lambda p: if_both.starmap(p), "value is right"),
    ("09.4", "left out", lambda p: good_only.s(p), "value is right"),
    ("09.4", "left out before", lambda p: or_none.starmap([each for each in p if each[1]]), "value is right"),
    ("09.4", "ends at the first", lambda p: until_bad.s(p), "value is right"),
    ("09.4", "map", lambda p: or_none.map(p), "succeeds|does not end"),
    ("09.4", "an errback", lambda p: ratio.starmap(p).on_error(note.si(None)), "does not end the others"),
    ("09.4", "caught too early", lambda p: _caught_while_building(p), "does not end the others"),
    ("09.4", "worked out here", lambda p: ident.s([x / y if y else None for x, y in p]), "divided by a task"),
    ("09.4", "called here", lambda p: or_none(*p[0]), "gives a signature"),
    ("09.4", "sent already", lambda p: or_none.starmap(p).delay(), "gives a signature"),
    # meet a constraint
    ("09.5", "most as size", lambda p, most: add.chunks(p, most), "messages for|as few calls as possible"),
    ("09.5", "rounded down", lambda p, most: add.chunks(p, len(p) // most), "at most|can be|signature|sent"),
    ("09.5", "down, at least one", lambda p, most: add.chunks(p, max(1, len(p) // most)), "at most"),
    ("09.5", "one more", lambda p, most: add.chunks(p, len(p) // most + 1), "as few calls as possible"),
    ("09.5", "one message", lambda p, most: add.starmap(p), "as few calls as possible"),
    ("09.5", "one part", lambda p, most: add.chunks(p, len(p)), "as few calls as possible"),
    ("09.5", "a group", lambda p, most: group(add.s(*pair) for pair in p), "at most"),
    ("09.5", "always three", lambda p, most: add.chunks(p, 3), "at most|as few calls"),
    ("09.5", "interleaved", interleaved, "in the order of the pairs"),
    ("09.5", "joined", lambda p, most: add.chunks(p, rounded_up(p, most)).group() | flat.s(), "at most"),
    ("09.5", "in a group", lambda p, most: group(add.chunks(p, rounded_up(p, most))), "at most"),
    ("09.5", "multiplied", lambda p, most: mul.chunks(p, rounded_up(p, most)), "add is called once for each pair"),
    ("09.5", "the rest forgotten", lambda p, most: interleaved(p[: len(p) // most * most], most), "add is called once"),
    ("09.5", "worked out here", lambda p, most: ident.s([[x + y] for x, y in p]), "add is called once"),
    ("09.5", "sent already", lambda p, most: add.chunks(p, rounded_up(p, most))(), "gives a signature"),
]


def _in_parts(pairs: Pairs, parts: int) -> Signature:
    return add.chunks(pairs, rounded_up(pairs, parts)).group()


def _whole_parts(pairs: Pairs, size: int) -> Signature:
    whole = [part for part in halves(pairs, size) if len(part) == size] or [pairs[:1]]
    return chord([add.starmap(part) for part in whole], total_of_all.s())


def _caught_while_building(pairs: Pairs) -> Signature | None:
    try:
        return ratio.starmap(pairs)
    except ZeroDivisionError:
        return None


class TestExercises(Bank):
    """Right and wrong answers."""

    answers: ClassVar = bank(RIGHT, WRONG)
    number = 26
    constants: ClassVar = {
        "09.2": lambda *_: power.starmap([(3, 2), (5, 2)]),
        "09.3": lambda *_: add.chunks([[1, 2], [3, 4], [5, 6]], 2).group() | total.s(),
        "09.4": lambda *_: or_none.starmap([[6, 2], [1, 0], [8, 2]]),
        "09.5": lambda *_: add.chunks([[1, 2]] * 10, 3),
    }
    endless = ("09.5", for_ever, "comes to an end")
    solution = ("09.1", "DAECB")
    unanswered: ClassVar = {"09.3": lambda *_: ..., "09.4": lambda _: ..., "09.5": lambda *_: ...}


def test_a_wrong_order_is_told_without_a_drawing() -> None:
    """One of up to two dozen messages would be taller than the screen."""
    verdict = labkit.check("09.1", "BADEC")
    assert "fewer messages stand before more" in verdict.expected
    assert verdict.got is None


# --- what the official guide prints, as it is now ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("flow", "messages", "value"),
    [
        (lambda: xsum.map([list(range(10)), list(range(100))]), 1, [45, 4950]),
        (lambda: add.starmap([(2, 2), (4, 4)]), 1, [4, 8]),
        (lambda: add.starmap(zip(range(10), range(10), strict=True)), 1, [2 * n for n in range(10)]),
        (
            lambda: add.chunks(zip(range(100), range(100), strict=True), 10),
            10,
            [[2 * (10 * part + n) for n in range(10)] for part in range(10)],
        ),
        (lambda: add.chunks(zip(range(10), range(10), strict=True), 3), 4, [[0, 2, 4], [6, 8, 10], [12, 14, 16], [18]]),
    ],
    ids=["map", "overview", "starmap", "chunks", "a part that is not full"],
)
def test_an_example_of_the_guide(flow: Callable[[], Signature], messages: int, value: list[Any]) -> None:
    run = labkit.run(flow())
    run.wait(timeout=10)
    assert len(run.messages) == messages
    assert run.get(timeout=10) == value


def test_a_thousand_pairs_by_ten_are_a_hundred_messages() -> None:
    assert len(add.chunks(zip(range(1000), range(1000), strict=True), 10).group().tasks) == 100


def test_ranges_cannot_be_sent() -> None:
    with pytest.raises(EncodeError, match="Object of type range is not JSON serializable"):
        xsum.map([range(10), range(100)]).delay()


def test_the_countdown_of_skew() -> None:
    parts = add.chunks(zip(range(100), range(100), strict=True), 10).group()
    assert parts.skew(start=1, stop=10) is parts
    assert [part.options["countdown"] for part in parts.tasks] == [float(n) for n in range(1, 11)]
    parts.skew(start=1, stop=4)
    assert [part.options["countdown"] for part in parts.tasks] == [1, 2, 3, 4, 4, 4, 4, 4, 4, 4]


def test_one_countdown_for_all_items() -> None:
    started = time.monotonic()
    result = add.starmap(zip(range(10), range(10), strict=True)).apply_async(countdown=0.2)
    assert result.get(timeout=10) == [2 * n for n in range(10)]
    assert time.monotonic() - started > 0.1


def test_chunks_of_nothing_size_is_refused() -> None:
    with pytest.raises(ValueError, match="islice"):
        chunks(add.s(), [[1, 2]], 0)()
