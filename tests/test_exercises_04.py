"""The exercises of lesson 04: what is accepted, and what each plausible slip is told."""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable
from typing import Any, ClassVar

import pytest
from celery import chain, group

from tasks import add, fail, ident, mul, power, sub, xsum
from tests.banks import Bank, for_ever, raises

Build = Callable[..., Any]


pytestmark = pytest.mark.usefixtures("lesson_lab", "elsewhere")


# --- 04.1 put in order ----------------------------------------------------------------------------------------

ORDERED = chain(add.s(4, 5), mul.s(3), sub.s(7), power.s(2), add.s(1))

RIGHT_1 = {
    "list": ["B", "A", "C", "D", "E"],
    "tuple": ("B", "A", "C", "D", "E"),
    "one string": "BACDE",
}
WRONG_1: dict[str, tuple[Any, str]] = {
    "alphabet": (["A", "B", "C", "D", "E"], "the first step has all its arguments"),
    "sub before mul": (["B", "C", "A", "D", "E"], "the value is right"),
    "one added too early": (["B", "A", "C", "E", "D"], "the value is right"),
    "reversed": (["E", "D", "C", "A", "B"], "the first step has all its arguments"),
    "one missing": (["B", "A", "C", "D"], "each piece is used once"),
    "one twice": (["B", "A", "C", "D", "E", "E"], "each piece is used once"),
    "a letter that is none": (["B", "A", "C", "D", "F"], "each piece is used once"),
    "nothing": ([], "each piece is used once"),
    "the chain itself": (ORDERED, "the answer is a list of letters"),
    "the pieces": ([add.s(4, 5), mul.s(3), sub.s(7), power.s(2), add.s(1)], "the answer is a list of letters"),
    "the value": (401, "the answer is a list of letters"),
    "None": (None, "the answer is a list of letters"),
    "a function": (raises, "the answer is a list of letters"),
}

# --- 04.2 fill in ---------------------------------------------------------------------------------------------


def fill_in_nested(a: int, b: int, c: int) -> Any:
    rest = mul.s(c) | sub.s(a)
    return add.s(b, a) | rest


RIGHT_2: dict[str, Build] = {
    "solution": lambda a, b, c: chain(add.s(a, b), mul.s(c), sub.s(a)),
    "a chain in a chain": fill_in_nested,
    "adds what is negative": lambda a, b, c: add.s(a, b) | mul.s(c) | add.s(-a),
}
WRONG_2: dict[str, tuple[Any, str]] = {
    "skeleton": (lambda a, b, c: chain(add.s(a, b), ..., ...), "there is no answer yet"),
    "one place filled": (lambda a, b, c: chain(add.s(a, b), mul.s(c), ...), "there is no answer yet"),
    "steps swapped": (lambda a, b, c: chain(add.s(a, b), sub.s(a), mul.s(c)), "the value is right"),
    "a missing value written out": (lambda a, b, c: add.s(a, b) | mul.s(a + b, c) | sub.s(a), "every step succeeds"),
    "immutable, so one argument lacks": (lambda a, b, c: add.s(a, b) | mul.si(c) | sub.s(a), "every step succeeds"),
    "immutable, with a value made here": (
        lambda a, b, c: add.s(a, b) | mul.si(a + b, c) | sub.s(a),
        "each step gets the value of the one before",
    ),
    "wrong number subtracted": (lambda a, b, c: add.s(a, b) | mul.s(c) | sub.s(b + 1), "the value is right"),
    "only two steps": (lambda a, b, c: add.s(a, b) | mul.s(c), "the value is right"),
    "all in one step, made here": (lambda a, b, c: ident.s((a + b) * c - a), "it sends three messages"),
    "made here, then handed on": (
        lambda a, b, c: ident.s((a + b) * c - a) | ident.s() | ident.s(),
        "the first step adds",
    ),
    "tasks called, not signed": (
        lambda a, b, c: chain(add.s(a, b), mul(c, 1), sub.s(a)),
        "your function raises no error",
    ),
    "the value itself": (lambda a, b, c: (a + b) * c - a, "the answer gives a signature"),
    "a list of steps": (lambda a, b, c: [add.s(a, b), mul.s(c), sub.s(a)], "the answer gives a signature"),
    "side by side": (lambda a, b, c: group(add.s(a, b), mul.s(a + b, c), sub.s(b, a)), "the value is right"),
    "no return": (lambda a, b, c: None, "the answer gives a signature"),
}

# --- 04.3 write -----------------------------------------------------------------------------------------------


def total_by_loop(numbers: list[int]) -> Any:
    flow = add.s(numbers[0], numbers[1])
    for number in numbers[2:]:
        flow = flow | add.s(number)
    return flow


def total_by_reduce(numbers: list[int]) -> Any:
    first, second, *rest = numbers
    return functools.reduce(operator.or_, map(add.s, rest), add.s(first, second))


RIGHT_3: dict[str, Build] = {
    "solution": lambda n: chain(add.s(n[0], n[1]), *[add.s(each) for each in n[2:]]),
    "loop": total_by_loop,
    "reduce": total_by_reduce,
}
WRONG_3: dict[str, tuple[Any, str]] = {
    "skeleton": (lambda n: ..., "there is no answer yet"),
    "one task for all": (xsum.s, "one message less than there are numbers"),
    "sum made here": (lambda n: ident.s(sum(n)), "one message less than there are numbers"),
    "first step lacks a number": (lambda n: chain(*[add.s(each) for each in n]), "it can be sent"),
    "starts from zero": (
        lambda n: chain(add.s(0, n[0]), *[add.s(each) for each in n[1:]]),
        "one message less than there are numbers",
    ),
    "always three numbers": (lambda n: chain(add.s(n[0], n[1]), add.s(n[2])), "the value is right"),
    "the last is forgotten": (lambda n: chain(add.s(n[0], n[1]), *map(add.s, n[2:-1])), "the value is right"),
    "from the end": (lambda n: total_by_loop(n[::-1]), "each step holds the total so far"),
    "immutable": (
        lambda n: chain(add.s(n[0], n[1]), *[add.si(each, each) for each in n[2:]]),
        "the value is right",
    ),
    "totals made here": (
        lambda n: chain(*[add.si(sum(n[:place]), n[place]) for place in range(1, len(n))]),
        "each step gets the value of the one before",
    ),
    "side by side": (lambda n: group(add.s(each, 0) for each in n[1:]), "the value is right"),
    "chain of a list in a list": (lambda n: chain([[add.s(n[0], n[1])]]), "your function raises no error"),
}

# --- 04.4 repair ----------------------------------------------------------------------------------------------

RIGHT_4: dict[str, Build] = {
    "solution": lambda x, y: add.si(x, x) | mul.si(y, y) | sub.si(x, y),
    "first one left": lambda x, y: add.s(x, x) | mul.si(y, y) | sub.si(x, y),
    "by option": lambda x, y: chain(
        add.s(x, x), mul.signature((y, y), immutable=True), sub.s(x, y).set(immutable=True)
    ),
}
WRONG_4: dict[str, tuple[Any, str]] = {
    "as it was": (lambda x, y: add.s(x, x) | mul.s(y, y) | sub.s(x, y), "every step succeeds"),
    "only the last mended": (lambda x, y: add.s(x, x) | mul.s(y, y) | sub.si(x, y), "every step succeeds"),
    "only the middle mended": (lambda x, y: add.s(x, x) | mul.si(y, y) | sub.s(x, y), "every step succeeds"),
    "arguments taken away": (lambda x, y: add.s(x, x) | mul.s(y) | sub.s(y), "each step has its own two arguments"),
    "side by side": (lambda x, y: group(add.s(x, x), mul.s(y, y), sub.s(x, y)), "one after the other"),
    "only the last step": (lambda x, y: sub.s(x, y), "it sends three messages"),
    "another order": (lambda x, y: add.si(x, x) | sub.si(x, y) | mul.si(y, y), "the steps come in the same order"),
    "made here": (lambda x, y: chain(ident.si(x + x), ident.si(y * y), ident.si(x - y)), "the same tasks run"),
    "a plain or": (lambda x, y: add(x, x) | mul(y, y) | sub(x, y), "the answer gives a signature"),
    "a failing step left out": (lambda x, y: add.si(x, x) | sub.si(x, y), "it sends three messages"),
}

# --- 04.5 meet a constraint -----------------------------------------------------------------------------------

RIGHT_5: dict[str, Build] = {
    "solution": lambda x, y: chain(add.s(x, 6), mul.s(y)),
    "turned round": lambda x, y: add.s(6, x) | mul.s(y),
    "subtracts what is negative": lambda x, y: sub.s(x, -6) | mul.s(y),
}
WRONG_5: dict[str, tuple[Any, str]] = {
    "skeleton": (lambda x, y: ..., "there is no answer yet"),
    "as it was": (lambda x, y: ident.s(x) | add.s(1) | add.s(2) | add.s(3) | mul.s(y), "it sends two messages"),
    "without ident": (lambda x, y: add.s(x, 1) | add.s(2) | add.s(3) | mul.s(y), "it sends two messages"),
    "one message, half made here": (lambda x, y: mul.s(x + 6, y), "it sends two messages"),
    "multiplies first": (lambda x, y: mul.s(x, y) | add.s(6 * y), "parent holds x + 6"),
    "sum made here": (lambda x, y: add.s(x + 6, 0) | mul.s(y), "x reaches a task as it is"),
    "all made here": (lambda x, y: ident.s((x + 6) * y) | ident.s(), "parent holds x + 6"),
    "value not handed on": (lambda x, y: add.s(x, 6) | mul.si(x + 6, y), "the value of the first step is handed on"),
    "five instead of six": (lambda x, y: add.s(x, 5) | mul.s(y), "the value is right"),
    "factor forgotten": (lambda x, y: add.s(x, 6) | ident.s(), "the value is right"),
    "side by side": (lambda x, y: group(add.s(x, 6), mul.s(x + 6, y)), "the value is right"),
    "a step that fails": (lambda x, y: add.s(x, 6) | fail.s(), "every step succeeds"),
    "factor first": (lambda x, y: add.s(x, 6) | mul.s(y, y), "every step succeeds"),
}


class TestExercises(Bank):
    """Right and wrong answers."""

    answers: ClassVar = {
        "04.1": (RIGHT_1, WRONG_1),
        "04.2": (RIGHT_2, WRONG_2),
        "04.3": (RIGHT_3, WRONG_3),
        "04.4": (RIGHT_4, WRONG_4),
        "04.5": (RIGHT_5, WRONG_5),
    }
    number = 401
    endless = ("04.3", for_ever, "building comes to an end")
    solution = ("04.3", RIGHT_3["solution"])
    building = ("04.2", "04.3", "04.4", "04.5")
