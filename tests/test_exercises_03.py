"""The exercises of lesson 03: what is accepted, and what each plausible slip is told."""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable
from typing import Any, ClassVar

import pytest
from celery import chain, chord, group, signature

import labkit
from tasks import add, ident, mul, noarg, note, power, sub, xsum
from tests.banks import Bank, for_ever

Build = Callable[..., Any]


pytestmark = pytest.mark.usefixtures("lesson_lab", "elsewhere")


# --- 03.1 put in order ----------------------------------------------------------------------------------------

RIGHT_1: dict[str, Any] = {
    "solution": ["E", "D", "B", "C", "A"],
    "tuple": ("E", "D", "B", "C", "A"),
    "one text": "edbca",
}
WRONG_1: dict[str, tuple[Any, str]] = {
    "alphabet": (["A", "B", "C", "D", "E"], "the first step has all its arguments"),
    "begins with what lacks": (["C", "A", "B", "D", "E"], "the first step has all its arguments"),
    "begins with the sum": (["B", "C", "A", "D", "E"], "every step succeeds"),
    "ident behind noarg": (["D", "E", "B", "C", "A"], "every step succeeds"),
    "noarg cuts off the sum": (["E", "B", "D", "C", "A"], "every step succeeds"),
    "noarg last": (["E", "B", "C", "A", "D"], "the value is right"),
    "times before minus": (["E", "D", "B", "A", "C"], "the value is right"),
    "minus before the sum": (["E", "C", "D", "B", "A"], "the value is right"),
    "one missing": (["E", "B", "C", "A"], "each piece is used once"),
    "one twice": (["E", "D", "B", "C", "A", "A"], "each piece is used once"),
    "the value": (12, "the answer is a list of letters"),
    "the chain": (chain(add.si(3, 4), sub.s(1)), "the answer is a list of letters"),
    "the pieces": ([add.si(3, 4), sub.s(1)], "the answer is a list of letters"),
}

# --- 03.2 fill in ---------------------------------------------------------------------------------------------

RIGHT_2: dict[str, Build] = {
    "solution": lambda x, y: add.s(x, y) | mul.si(x, x),
    "both immutable": lambda x, y: chain(add.si(x, y), mul.si(x, x)),
    "the long form": lambda x, y: add.s(x, y) | mul.signature((x, x), immutable=True),
    "set": lambda x, y: add.s(x, y) | mul.s(x, x).set(immutable=True),
    "by name": lambda x, y: add.s(x, y) | signature("tasks.mul", args=(x, x), immutable=True),
}
WRONG_2: dict[str, tuple[Any, str]] = {
    "skeleton": (lambda x, y: add.s(x, y) | ..., "there is no answer yet"),
    "arguments not filled": (lambda x, y: add.s(x, y) | mul.si(..., ...), "there is no answer yet"),
    "mutable": (lambda x, y: add.s(x, y) | mul.s(x, x), "every step succeeds"),
    "the first one immutable": (lambda x, y: add.si(x, y) | mul.s(x, x), "every step succeeds"),
    "the chain immutable": (
        lambda x, y: chain(add.s(x, y), mul.s(x, x)).set(immutable=True),
        "every step succeeds",
    ),
    "one argument left to come": (lambda x, y: add.s(x, y) | mul.s(x), "the value is right"),
    "one argument, immutable": (lambda x, y: add.s(x, y) | mul.si(x), "every step succeeds"),
    "the wrong product": (lambda x, y: add.s(x, y) | mul.si(x, y), "the value is right"),
    "another task": (lambda x, y: add.s(x, y) | power.si(x, 2), "the tasks are those asked for"),
    "made here": (lambda x, y: add.s(x, y) | ident.si(x * x), "the tasks are those asked for"),
    "turned round": (lambda x, y: mul.s(x, x) | add.si(x, y), "the value is right"),
    "the sum is left out": (lambda x, y: mul.s(x, x), "it sends two messages"),
    "a callback": (lambda x, y: add.s(x, y).set(link=mul.si(x, x)), "the value is right"),
    "side by side": (lambda x, y: group(add.s(x, y), mul.s(x, x)), "the value is right"),
    "called": (lambda x, y: add.s(x, y) | mul(x, x), "your function raises no error"),
    "no return": (lambda x, y: None, "the answer gives a signature"),
}

# --- 03.3 write -----------------------------------------------------------------------------------------------


def first_mutable(pairs: list[tuple[int, int]]) -> Any:
    first, *rest = pairs
    return functools.reduce(operator.or_, [add.si(*pair) for pair in rest], add.s(*first))


RIGHT_3: dict[str, Build] = {
    "solution": lambda pairs: chain(*[add.si(x, y) for x, y in pairs]),
    "the first may be mutable": first_mutable,
    "set": lambda pairs: chain([add.s(x, y).set(immutable=True) for x, y in pairs]),
}
WRONG_3: dict[str, tuple[Any, str]] = {
    "skeleton": (lambda pairs: ..., "there is no answer yet"),
    "mutable": (lambda pairs: chain(*[add.s(x, y) for x, y in pairs]), "every step succeeds"),
    "the chain immutable": (
        lambda pairs: chain(*[add.s(x, y) for x, y in pairs]).set(immutable=True),
        "every step succeeds",
    ),
    "side by side": (lambda pairs: group(add.si(x, y) for x, y in pairs), "the value is right"),
    "a list": (lambda pairs: [add.si(x, y) for x, y in pairs], "the answer gives a signature"),
    "from the end": (lambda pairs: chain(*[add.si(x, y) for x, y in pairs[::-1]]), "the value is right"),
    "the last only": (lambda pairs: add.si(*pairs[-1]), "it sends one message a pair"),
    "a running total": (
        lambda pairs: chain(add.s(*pairs[0]), *[add.s(x + y) for x, y in pairs[1:]]),
        "the value is right",
    ),
    "sums made here": (lambda pairs: chain(*[ident.si(x + y) for x, y in pairs]), "the tasks are those asked for"),
    "of lists": (lambda pairs: chain(*[xsum.si([x, y]) for x, y in pairs]), "the tasks are those asked for"),
    "the last one again and again": (
        lambda pairs: chain(*[add.si(*pairs[-1]) for _ in pairs]),
        "each step adds its own pair",
    ),
    "taken, but useless": (
        lambda pairs: chain(add.s(*pairs[0]), *[mul.s(0) | add.s(x + y) for x, y in pairs[1:]]),
        "it sends one message a pair",
    ),
    "the pair as one argument": (lambda pairs: chain(*[add.si(pair) for pair in pairs]), "not all as one tuple"),
    "sent": (lambda pairs: chain(*[add.si(x, y) for x, y in pairs])(), "the answer gives a signature"),
}

# --- 03.4 repair ----------------------------------------------------------------------------------------------


def linked(x: int, y: int, text: str) -> Any:
    sig = mul.s(x, y)
    sig.link(note.s(text))
    sig.link(noarg.signature(immutable=True))
    return sig


RIGHT_4: dict[str, Build] = {
    "solution": lambda x, y, text: mul.s(x, y).set(link=[note.s(text), noarg.si()]),
    "link": linked,
    "the other way round": lambda x, y, text: mul.signature((x, y), link=[noarg.si(), note.s(text)]),
}
WRONG_4: dict[str, tuple[Any, str]] = {
    "skeleton": (lambda x, y, text: ..., "there is no answer yet"),
    "as it was": (lambda x, y, text: mul.s(x, y).set(link=[note.s(text), noarg.s()]), "every step succeeds"),
    "mul immutable": (lambda x, y, text: mul.si(x, y).set(link=[note.s(text), noarg.s()]), "every step succeeds"),
    "the wrong callback": (lambda x, y, text: mul.s(x, y).set(link=[note.si(text), noarg.s()]), "every step succeeds"),
    "both immutable": (
        lambda x, y, text: mul.s(x, y).set(link=[note.si(text), noarg.si()]),
        "note gets the product, then the text",
    ),
    "the product made here": (
        lambda x, y, text: mul.s(x, y).set(link=[note.si(text, x * y), noarg.si()]),
        "note gets the product, then the text",
    ),
    "noarg left out": (lambda x, y, text: mul.s(x, y).set(link=note.s(text)), "each of the three tasks runs once"),
    "note left out": (lambda x, y, text: mul.s(x, y).set(link=noarg.si()), "each of the three tasks runs once"),
    "the second set wins": (
        lambda x, y, text: mul.s(x, y).set(link=note.s(text)).set(link=noarg.si()),
        "each of the three tasks runs once",
    ),
    "a chain": (lambda x, y, text: mul.s(x, y) | note.s(text) | noarg.si(), "the value is right"),
    "on failure": (
        lambda x, y, text: mul.s(x, y).set(link=note.s(text), link_error=noarg.si()),
        "noarg runs",
    ),
    "side by side": (lambda x, y, text: group(mul.s(x, y), note.s(x * y, text), noarg.s()), "the value is right"),
    "the callback returned": (lambda x, y, text: mul.s(x, y).link(note.s(text)), "not what link() gives"),
    "sent": (
        lambda x, y, text: mul.apply_async((x, y), link=[note.s(text), noarg.si()]),
        "the answer gives a signature",
    ),
}

# --- 03.5 meet a constraint -----------------------------------------------------------------------------------


def by_link(x: int, y: int, factor: int, word: str) -> Any:
    first = add.s(x, y)
    first.link(note.si(word))
    return chain(first, mul.s(factor))


RIGHT_5: dict[str, Build] = {
    "solution": lambda x, y, f, word: add.s(x, y).set(link=note.si(word)) | mul.s(f),
    "link": by_link,
    "the long form": lambda x, y, f, word: chain(
        add.signature((y, x), link=note.signature((word,), immutable=True)), mul.s(y=f)
    ),
}
WRONG_5: dict[str, tuple[Any, str]] = {
    "skeleton": (lambda x, y, f, word: ..., "there is no answer yet"),
    "as it was": (lambda x, y, f, word: add.s(x, y) | note.si(word) | mul.s(f), "add hands its sum on"),
    "mutable": (lambda x, y, f, word: add.s(x, y) | note.s(word) | mul.s(f), "add hands its sum on"),
    "without the note": (lambda x, y, f, word: add.s(x, y) | mul.s(f), "it sends three messages"),
    "the note takes the sum": (
        lambda x, y, f, word: add.s(x, y).set(link=note.s(word)) | mul.s(f),
        "note gets the word alone",
    ),
    "the note last": (
        lambda x, y, f, word: add.s(x, y) | mul.s(f).set(link=note.si(word)),
        "note runs when the sum is there",
    ),
    "the note at the end of the chain": (
        lambda x, y, f, word: add.s(x, y) | mul.s(f) | note.si(word),
        "note runs when the sum is there",
    ),
    "the note first": (
        lambda x, y, f, word: note.si(word) | add.si(x, y) | mul.s(f),
        "note runs when the sum is there",
    ),
    "the sum made here": (
        lambda x, y, f, word: add.s(x, y).set(link=note.si(word)) | mul.si(x + y, f),
        "add hands its sum on to mul",
    ),
    "the sum made here, in the chain": (
        lambda x, y, f, word: add.s(x, y) | note.si(word) | mul.si(x + y, f),
        "add hands its sum on to mul",
    ),
    "two callbacks": (
        lambda x, y, f, word: add.s(x, y).set(link=[note.si(word), mul.s(f)]),
        "mul is a step of the chain",
    ),
    "a group": (lambda x, y, f, word: add.s(x, y) | group(note.si(word), mul.s(f)), "the value is right"),
    "a chord": (lambda x, y, f, word: chord([add.s(x, y), note.s(word)], mul.s(f)), "add hands its sum on"),
    "the callback returned": (
        lambda x, y, f, word: add.s(x, y).link(note.si(word)) | mul.s(f),
        "not what link() gives",
    ),
    "linked to the chain": (
        lambda x, y, f, word: (add.s(x, y) | mul.s(f)).set(link=note.si(word)),
        "note runs when the sum is there",
    ),
    "mul takes nothing": (lambda x, y, f, word: add.s(x, y).set(link=note.si(word)) | mul.si(f), "every step succeeds"),
    "the sum twice": (
        lambda x, y, f, word: chain(add.s(x, y), note.si(word), add.si(x, y), mul.s(f)),
        "it sends three messages",
    ),
    "called": (lambda x, y, f, word: mul(add(x, y), f), "the answer gives a signature"),
}


class TestExercises(Bank):
    """Right and wrong answers."""

    answers: ClassVar = {
        "03.1": (RIGHT_1, WRONG_1),
        "03.2": (RIGHT_2, WRONG_2),
        "03.3": (RIGHT_3, WRONG_3),
        "03.4": (RIGHT_4, WRONG_4),
        "03.5": (RIGHT_5, WRONG_5),
    }
    number = 12
    endless = ("03.3", for_ever, "building comes to an end")
    solution = ("03.3", RIGHT_3["solution"])


@pytest.mark.filterwarnings("ignore:Exception raised outside body")  # else it is what the step fails with
def test_a_step_that_cannot_be_sent_is_named_and_what_it_gets() -> None:
    got = labkit.check("03.2", lambda x, y: add.s(x, y) | mul.s(x, x)).happened
    assert got.startswith("#2 mul could not be sent: TypeError: mul() takes 2")
    assert got.endswith("; the value of #1 comes in front")
    lacks = labkit.check("03.5", WRONG_5["mul takes nothing"][0]).happened
    assert lacks.endswith("missing 1 required positional argument: 'y'; it takes nothing from #1")


def test_the_step_that_mul_got_its_value_from_is_named() -> None:
    assert labkit.check("03.5", WRONG_5["as it was"][0]).happened == "mul got the value of note"
    assert labkit.check("03.5", WRONG_5["linked to the chain"][0]).happened == "note follows #2 mul"


def test_a_value_that_came_in_a_list_is_seen_there() -> None:
    assert labkit.check("03.5", WRONG_5["a group"][0]).happened.endswith("], a list with the value in it")
