"""The exercises of lesson 08: what is accepted, and what each plausible slip is told."""

from collections.abc import Callable
from typing import Any, ClassVar

import pytest
from celery import chain, chord, group

import tasks
from tasks import add, fail, ident, noarg, note, report_error, report_failure, sub, xsum
from tests.banks import Bank, for_ever, raises

Build = Callable[..., Any]


pytestmark = pytest.mark.usefixtures("lesson_lab", "elsewhere")


# --- tasks that a learner would write -------------------------------------------------------------------------


@tasks.app.task(name="tests.part")
def part(number: float) -> float:
    return 60 / number


@tasks.app.task(name="tests.part_or_none")
def part_or_none(number: float) -> float | None:
    try:
        return 60 / number
    except ZeroDivisionError:
        return None


@tasks.app.task(name="tests.part_or_text")
def part_or_text(number: float) -> dict[str, Any]:
    try:
        return {"value": 60 / number}
    except ZeroDivisionError as error:
        return {"error": repr(error)}


@tasks.app.task(name="tests.part_or_zero")
def part_or_zero(number: float) -> float:
    return 60 / number if number else 0


@tasks.app.task(name="tests.part_or_error")
def part_or_error(number: float) -> Any:
    try:
        return 60 / number
    except ZeroDivisionError as error:
        return error


@tasks.app.task(name="tests.parts")
def parts(numbers: list[float]) -> list[float | None]:
    return [60 / number if number else None for number in numbers]


@tasks.app.task(name="tests.total")
def total(values: list[float | None]) -> list[float]:
    known = [value for value in values if value is not None]
    return [sum(known), len(values) - len(known)]


@tasks.app.task(name="tests.number_and_total")
def number_and_total(values: list[float | None]) -> list[float]:
    known = [value for value in values if value is not None]
    return [len(values) - len(known), sum(known)]


@tasks.app.task(name="tests.total_of_dicts")
def total_of_dicts(values: list[dict[str, Any]]) -> list[float]:
    known = [value["value"] for value in values if "value" in value]
    return [sum(known), len(values) - len(known)]


@tasks.app.task(name="tests.total_without_zeros")
def total_without_zeros(values: list[float]) -> list[float]:
    return [sum(values), values.count(0)]


@tasks.app.task(name="tests.sum_only")
def sum_only(values: list[float | None]) -> float:
    return sum(value for value in values if value is not None)


@tasks.app.task(name="tests.careless_total")
def careless_total(values: list[float]) -> list[float]:
    return [sum(values), 0]


@tasks.app.task(name="tests.smallest")
def smallest(values: list[float | None], more_than: float = 0.5) -> float:
    known = [value for value in values if value is not None]
    if len(values) - len(known) > more_than * len(values):
        raise ValueError(f"only {len(known)} of {len(values)}")
    return min(known)


@tasks.app.task(name="tests.smallest_of_dicts")
def smallest_of_dicts(values: list[dict[str, Any]]) -> float:
    known = [value["value"] for value in values if "value" in value]
    if len(known) < len(values) / 2:
        raise ValueError("too few")
    return float(min(known))


@tasks.app.task(name="tests.smallest_at_half")
def smallest_at_half(values: list[float | None]) -> float:
    known = [value for value in values if value is not None]
    if 2 * len(known) <= len(values):
        raise ValueError("too few")
    return min(known)


@tasks.app.task(name="tests.smallest_or_text")
def smallest_or_text(values: list[float | None]) -> Any:
    known = [value for value in values if value is not None]
    return min(known) if 2 * len(known) >= len(values) else "too few"


@tasks.app.task(name="tests.smallest_lookup")
def smallest_lookup(values: list[float | None]) -> float:
    known = [value for value in values if value is not None]
    if 2 * len(known) < len(values):
        raise LookupError("too few")
    return min(known)


@tasks.app.task(name="tests.smallest_always")
def smallest_always(values: list[float | None]) -> float:
    return min(value for value in values if value is not None)


@tasks.app.task(name="tests.largest")
def largest(values: list[float | None]) -> float:
    known = [value for value in values if value is not None]
    if 2 * len(known) < len(values):
        raise ValueError("too few")
    return max(known)


# --- 08.1 put in order ----------------------------------------------------------------------------------------

RIGHT_1: dict[str, Any] = {
    "solution": ["D", "E", "C", "B", "A"],
    "tuple": tuple("DECBA"),
    "one string": "DECBA",
    "small letters": "decba",
}
WRONG_1: dict[str, tuple[Any, str]] = {
    "alphabet": (["A", "B", "C", "D", "E"], "first step has all its arguments"),
    "positive first": (["C", "D", "E", "B", "A"], "first step has all its arguments"),
    "looked at before the fee": (["D", "C", "E", "B", "A"], "is refused"),
    "multiplied too early": (["D", "E", "B", "C", "A"], "nothing is done with an amount that is refused"),
    "looked at last": (["D", "E", "B", "A", "C"], "value is right"),
    "paid before multiplied": (["D", "E", "C", "A", "B"], "value is right"),
    "multiplied before the fee": (["D", "B", "E", "C", "A"], "value is right"),
    "one missing": (["D", "E", "B", "A"], "each piece is used once"),
    "one twice": (["D", "E", "C", "C", "B", "A"], "each piece is used once"),
    "nothing": ([], "each piece is used once"),
    "the chain itself": (chain(add.s(5, 4), sub.s(3)), "list of letters"),
    "the pieces": ([add.s(5, 4), sub.s(3)], "list of letters"),
    "the value": ([60, "paid"], "list of letters"),
    "a function": (raises, "list of letters"),
}

# --- 08.2 fill in ---------------------------------------------------------------------------------------------


def linked(steps: list[Any]) -> Any:
    flow = chain(*steps)
    flow.link_error(report_error.s())
    return flow


def linked_and_returned(steps: list[Any]) -> Any:
    """What link_error returns is the errback, not the workflow."""
    return chain(*steps).link_error(report_error.s())


def on_place(place: int) -> Build:
    def build(steps: list[Any]) -> Any:
        steps[place].link_error(report_error.s())
        return chain(*steps)

    return build


RIGHT_2: dict[str, Build] = {
    "solution": lambda steps: chain(*steps).on_error(report_error.s()),
    "link_error on the chain": linked,
    "on each step": lambda steps: chain(*(step.on_error(report_error.s()) for step in steps)),
    "as an argument of chain": lambda steps: chain(*steps, link_error=report_error.s()),
    "as an option": lambda steps: chain(*steps).set(link_error=[report_error.s()]),
}
WRONG_2: dict[str, tuple[Any, str]] = {
    "skeleton": (lambda steps: steps[0] | steps[1] | ..., "there is no answer yet"),
    "no errback": (lambda steps: chain(*steps), "reported when the first step fails"),
    "on the last step": (on_place(2), "reported when the first step fails"),
    "on the first step": (on_place(0), "reported when the second step fails"),
    "on the second step": (on_place(1), "reported when the first step fails"),
    "bound to the last by brackets": (
        lambda steps: steps[0] | steps[1] | steps[2].on_error(report_error.s()),
        "reported when the first step fails",
    ),
    "what link_error returns": (linked_and_returned, "not what link_error() gives"),
    "as a callback": (lambda steps: chain(*steps).set(link=report_error.s()), "nothing is reported when no step"),
    "as a fourth step": (lambda steps: chain(*steps, report_error.s()), "three steps, one after the other"),
    "errback with three parameters": (
        lambda steps: chain(*steps).on_error(report_failure.s()),
        "reported when the first step fails",
    ),
    "a chain as errback": (
        lambda steps: chain(*steps).on_error(report_error.s() | note.s()),
        "reported when the first step fails",
    ),
    "immutable, told nothing": (lambda steps: chain(*steps).on_error(report_error.si("x")), "names the step"),
    "side by side": (lambda steps: group(*steps).on_error(report_error.s()), "it can be sent"),
    "one step left out": (lambda steps: chain(*steps[:2]).on_error(report_error.s()), "three steps"),
    "a list": (lambda steps: [*steps, report_error.s()], "the answer gives a signature"),
    "no return": (lambda steps: None, "the answer gives a signature"),
}

# --- 08.3 write -----------------------------------------------------------------------------------------------

RIGHT_3: dict[str, Build] = {
    "solution": lambda numbers: chord([part_or_none.s(number) for number in numbers], total.s()),
    "markers that say why": lambda numbers: chord((part_or_text.s(n) for n in numbers), total_of_dicts.s()),
    "zero as marker, no value is zero": lambda n: group([*map(part_or_zero.s, n)]) | total_without_zeros.s(),
}
WRONG_3: dict[str, tuple[Any, str]] = {
    "skeleton": (lambda numbers: ..., "there is no answer yet"),
    "nothing is caught": (lambda n: chord([part.s(each) for each in n], careless_total.s()), "no header fails"),
    "an errback on the body": (
        lambda n: chord([part.s(each) for each in n], careless_total.s().on_error(report_error.s())),
        "no header fails",
    ),
    "zeros left out": (lambda n: chord([part.s(x) for x in n if x], total.s()), "one message for each number"),
    "the body sums None": (
        lambda n: chord([part_or_none.s(x) for x in n], careless_total.s()),
        "the body does not fail",
    ),
    "not counted": (lambda n: chord([part_or_none.s(x) for x in n], sum_only.s()), "the value is right"),
    "zero as marker, None looked for": (
        lambda n: chord([part_or_zero.s(x) for x in n], total.s()),
        "what did not work is counted",
    ),
    "the exception as marker": (lambda n: chord([part_or_error.s(x) for x in n], total.s()), "can be written as JSON"),
    "one task for all": (lambda n: parts.s(n) | total.s(), "one message for each number"),
    "no body": (lambda n: group([part_or_none.s(x) for x in n]), "one message for each number"),
    "worked out here": (
        lambda n: chord([ident.s(60 / x if x else None) for x in n], total.s()),
        "each number travels",
    ),
    "the body gets it from here": (
        lambda n: chord([part_or_none.s(x) for x in n], total.si([60 / x if x else None for x in n])),
        "the body takes what the header returned",
    ),
    "called here": (lambda n: [part_or_none(x) for x in n], "the answer gives a signature"),
    "called in the header": (
        lambda n: chord([part_or_none(x) for x in n], total.s()),
        "the parts of a canvas are signatures",
    ),
    "turned round": (lambda n: chord([part_or_none.s(x) for x in n], number_and_total.s()), "the sum comes first"),
    "divided while building": (lambda n: chord([ident.s(60 / x) for x in n], total.s()), "raises no error"),
    "sent already": (lambda n: chord([part_or_none.s(x) for x in n])(total.s()), "the answer gives a signature"),
    "a constant": (lambda n: ident.s([50.0, 1]), "one message for each number"),
}

# --- 08.4 repair ----------------------------------------------------------------------------------------------


def on_body(header: list[Any]) -> Any:
    body = xsum.s().on_error(noarg.si())
    body.link(noarg.si())
    return chord(header, body)


def on_chord(header: list[Any]) -> Any:
    flow = chord(header, xsum.s())
    flow.link(noarg.si())
    flow.body.link_error(noarg.si())
    return flow


RIGHT_4: dict[str, Build] = {
    "solution": on_body,
    "as options": lambda header: chord(header, xsum.s().set(link=noarg.si(), link_error=[noarg.si()])),
    "on the chord": on_chord,
    "piped": lambda header: group(header) | xsum.s().set(link=[noarg.si()], link_error=[noarg.si()]),
}
WRONG_4: dict[str, tuple[Any, str]] = {
    # Celery takes what a body's link_error holds for a list, and sends a message for each key of the signature.
    "an errback that is not in a list": (
        lambda h: chord(h, xsum.s().set(link=noarg.si(), link_error=noarg.si())),
        "opened when a header fails",
    ),
    "as it was": (lambda h: chord(h, xsum.s() | noarg.si()), "opened when a header fails"),
    "only a callback": (lambda h: chord(h, xsum.s().set(link=noarg.si())), "opened when a header fails"),
    "only an errback": (lambda h: chord(h, xsum.s().on_error(noarg.si())), "opened when all goes well"),
    "an errback added to what it was": (
        lambda h: chord(h, xsum.s().on_error(noarg.si()) | noarg.si()),
        "opened when a header fails",
    ),
    "on each header": (
        lambda h: chord([each.on_error(noarg.si()) for each in h], xsum.s().set(link=noarg.si())),
        "after the last header when a header fails",
    ),
    "on each header and on the body": (
        lambda h: chord(
            [each.on_error(noarg.si()) for each in h], xsum.s().set(link=noarg.si(), link_error=[noarg.si()])
        ),
        "opened once when a header fails",
    ),
    "errback that takes the id": (
        lambda h: chord(h, xsum.s().set(link=noarg.si(), link_error=[noarg.s()])),
        "opened when a header fails",
    ),
    "callback that takes the sum": (
        lambda h: chord(h, xsum.s().set(link=noarg.s(), link_error=[noarg.si()])),
        "the value is right",
    ),
    "in the header": (lambda h: chord([*h, noarg.si()], xsum.s()), "the header and its body are as they were"),
    "before the chord": (lambda h: noarg.si() | chord(h, xsum.s()), "opened when a header fails"),
    "the lock as body": (lambda h: chord(h, noarg.si()), "the header and its body are as they were"),
    "no lock": (lambda h: chord(h, xsum.s()), "opened when a header fails"),
    "as keyword arguments": (
        lambda h: chord(h, xsum.s(link=noarg.si(), link_error=noarg.si())),
        "opened when a header fails",
    ),
    "no body": (lambda h: group(h), "the header and its body are as they were"),
    "no return": (lambda h: None, "the answer gives a signature"),
}

# --- 08.5 meet a constraint -----------------------------------------------------------------------------------


def with_body(body: Any, header: Any = part_or_none) -> Build:
    return lambda numbers: chord([header.s(number) for number in numbers], body.s())


RIGHT_5: dict[str, Build] = {
    "solution": with_body(smallest),
    "markers that say why": with_body(smallest_of_dicts, part_or_text),
    "piped": lambda numbers: group([part_or_none.s(number) for number in numbers]) | smallest.s(),
}
WRONG_5: dict[str, tuple[Any, str]] = {
    "skeleton": (lambda numbers: ..., "there is no answer yet"),
    "nothing is caught": (with_body(smallest, part), "no header fails"),
    "fails at half": (with_body(smallest_at_half), "the value is right"),
    "never fails": (with_body(smallest_always), "the body raises ValueError"),
    "text in place of an error": (with_body(smallest_or_text), "the body raises ValueError"),
    "another error": (with_body(smallest_lookup), "the body raises ValueError"),
    "the largest": (with_body(largest), "the value is right"),
    "zero is the smallest": (with_body(smallest_always, part_or_zero), "the value is right"),
    "the error before sending": (
        lambda n: raises() if 2 * n.count(0) > len(n) else chord([part_or_none.s(x) for x in n], smallest.s()),
        "raises no error",
    ),
    "zeros left out": (lambda n: chord([part.s(x) for x in n if x], smallest.s()), "one message for each number"),
    "one more step": (lambda n: chord([part_or_none.s(x) for x in n], note.s() | xsum.s()), "one message for each"),
    "one task for all": (lambda n: parts.s(n) | smallest.s(), "one message for each number"),
    "fail in place of a body": (
        lambda n: chord([part_or_none.s(x) for x in n], fail.s() if 2 * n.count(0) > len(n) else smallest_always.si(n)),
        "the body takes what the header returned",
    ),
    "a constant": (lambda n: ident.s(20.0), "one message for each number"),
    "called here": (lambda n: smallest([part_or_none(x) for x in n]), "the answer gives a signature"),
}


class TestExercises(Bank):
    """Right and wrong answers."""

    answers: ClassVar = {
        "08.1": (RIGHT_1, WRONG_1),
        "08.2": (RIGHT_2, WRONG_2),
        "08.3": (RIGHT_3, WRONG_3),
        "08.4": (RIGHT_4, WRONG_4),
        "08.5": (RIGHT_5, WRONG_5),
    }
    number = 60
    endless = ("08.3", for_ever, "building comes to an end")
    solution = ("08.5", RIGHT_5["solution"])
    building = ("08.2", "08.3", "08.4", "08.5")
