"""The exercises of lesson 02: what is accepted, and what each plausible slip is told."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable
from typing import Any, ClassVar

import pytest
from celery import chain, group, signature

import labkit
from tasks import add, app, ident, mul, note, sub
from tests.banks import Bank, for_ever

Build = Callable[..., Any]


pytestmark = pytest.mark.usefixtures("lesson_lab", "elsewhere")


# Tasks as a learner would define them.


@app.task(name="tests.clamp")
def clamp(value: float, low: float, high: float) -> float:
    return min(max(value, low), high)


@app.task(name="tests.left_of")
def left_of(spent: float, budget: float) -> float:
    return budget - spent


@app.task(name="tests.left_of_turned")
def left_of_turned(budget: float, spent: float) -> float:
    return budget - spent


@app.task(name="tests.spend_all")
def spend_all(a: float, b: float, budget: float) -> float:
    return budget - a - b


# --- 02.1 put in order ----------------------------------------------------------------------------------------

RIGHT_1: dict[str, Any] = {
    "solution": ["D", "B", "E", "A", "C"],
    "tuple": ("D", "B", "E", "A", "C"),
    "one text": "dbeac",
}
WRONG_1: dict[str, tuple[Any, str]] = {
    "the late one behind, as functools does": (["B", "D", "E", "C", "A"], "each value is larger"),
    "largest first": (["C", "A", "E", "B", "D"], "each value is larger"),
    "alphabet": (["A", "B", "C", "D", "E"], "each value is larger"),
    "only D and B turned round": (["B", "D", "E", "A", "C"], "each value is larger"),
    "A taken for 2 to the 6": (["D", "B", "E", "C", "A"], "each value is larger"),
    "by the number written down": (["E", "A", "C", "B", "D"], "each value is larger"),
    "one missing": (["D", "B", "E", "A"], "each piece is used once"),
    "a letter that is none": (["D", "B", "E", "A", "F"], "each piece is used once"),
    "nothing": ([], "each piece is used once"),
    "the values": ([-4, -2, 7, 36, 42], "the answer is a list of letters"),
    "the pieces": ([sub.s(10), sub.s(y=8)], "the answer is a list of letters"),
    "a signature": (sub.s(10), "the answer is a list of letters"),
}

# --- 02.2 fill in ---------------------------------------------------------------------------------------------

RIGHT_2: dict[str, Build] = {
    "solution": lambda low, high: clamp.s(low, high),
    "by name": lambda low, high: clamp.s(high=high, low=low),
    "one by name": lambda low, high: clamp.s(low, high=high),
    "one after the other": lambda low, high: clamp.s(high).clone((low,)),
    "the long form": lambda low, high: clamp.signature((low, high)),
}
WRONG_2: dict[str, tuple[Any, str]] = {
    "skeleton": (lambda low, high: clamp.s(..., ...), "there is no answer yet"),
    "one place filled": (lambda low, high: clamp.s(low, ...), "there is no answer yet"),
    "the bounds turned round": (lambda low, high: clamp.s(high, low), "the value is right"),
    "a place kept for the value": (lambda low, high: clamp.s(None, low, high), "it can be sent"),
    "a bound missing": (lambda low, high: clamp.s(low), "it can be sent"),
    "the value by name": (lambda low, high: clamp.s(low, high, value=0), "it can be sent"),
    "immutable": (lambda low, high: clamp.si(low, high), "it can be sent"),
    "called": (lambda low, high: clamp(low, low, high), "the answer gives a signature"),
    "a tuple": (lambda low, high: clamp.s((low, high)), "it can be sent"),
    "no tuple": (lambda low, high: clamp.signature(low, high), "signature takes the task's arguments as one tuple"),
    "the bounds of the example": (lambda low, high: clamp.s(0, 10), "the value is right"),
    "a partial of Python": (lambda low, high: functools.partial(clamp, low=low), "the answer gives a signature"),
    "two steps": (lambda low, high: ident.s() | clamp.s(low, high), "it is one message"),
    "no return": (lambda low, high: None, "the answer gives a signature"),
}

# --- 02.3 write -----------------------------------------------------------------------------------------------


def through_json(sig: Any, numbers: list[int]) -> list[Any]:
    return [signature(json.loads(json.dumps(sig))).clone((number,)) for number in numbers]


def by_hand(sig: Any, numbers: list[int]) -> list[Any]:
    found = []
    for number in numbers:
        copy = sig.clone()
        copy.args = (number, *copy.args)
        found.append(copy)
    return found


def behind(sig: Any, numbers: list[int]) -> list[Any]:
    found = []
    for number in numbers:
        copy = sig.clone()
        copy.args = (*copy.args, number)
        found.append(copy)
    return found


def on_the_one_given(sig: Any, numbers: list[int]) -> list[Any]:
    stored, found = tuple(sig.args), []
    for number in numbers:
        sig.args = (number, *stored)
        found.append(sig)
    return found


RIGHT_3: dict[str, Build] = {
    "solution": lambda sig, numbers: [sig.clone((number,)) for number in numbers],
    "its other name": lambda sig, numbers: [sig.partial([number]) for number in numbers],
    "through JSON": through_json,
    "by hand": by_hand,
    "a signature of its own": lambda sig, numbers: [
        signature(sig.task, args=(n, *sig.args), kwargs=dict(sig.kwargs)).set(**sig.options) for n in numbers
    ],
}
WRONG_3: dict[str, tuple[Any, str]] = {
    "skeleton": (lambda sig, numbers: ..., "there is no answer yet"),
    "no tuple": (lambda sig, numbers: [sig.clone(n) for n in numbers], "clone takes the task's arguments as one tuple"),
    "no tuple, by name": (lambda sig, numbers: [sig.clone(args=n) for n in numbers], "arguments as one tuple"),
    "arguments set": (lambda sig, numbers: [sig.clone().set(args=(n,)) for n in numbers], "set() is given options"),
    "behind": (behind, "the value is right"),
    "on the one given": (on_the_one_given, "the signature given is left as it was"),
    "always sub": (lambda sig, numbers: [sub.s(n, *sig.args, **sig.kwargs) for n in numbers], "it can be sent"),
    "always the example": (lambda sig, numbers: [sub.s(n, 10) for n in numbers], "the value is right"),
    "without its options": (
        lambda sig, numbers: [signature(sig.task, args=(n, *sig.args), kwargs=sig.kwargs) for n in numbers],
        "the options are kept",
    ),
    "without its keywords": (
        lambda sig, numbers: [signature(sig.task, args=(n, *sig.args)) for n in numbers],
        "it can be sent",
    ),
    "by name": (lambda sig, numbers: [sig.clone(kwargs={"x": n}) for n in numbers], "it can be sent"),
    "all at once": (lambda sig, numbers: [sig.clone(tuple(numbers))], "one signature a number"),
    "one chain": (lambda sig, numbers: chain(*[sig.clone() for _ in numbers]), "a list of signatures"),
    "sent": (lambda sig, numbers: [sig.delay(n) for n in numbers], "the answer gives a signature"),
    "called": (lambda sig, numbers: [sig(n) for n in numbers], "the answer gives a signature"),
    "backwards": (lambda sig, numbers: [sig.clone((n,)) for n in numbers[::-1]], "the value is right"),
    "the same again": (lambda sig, numbers: [sig.clone((numbers[0],))] * len(numbers), "signatures of their own"),
    "the first only": (lambda sig, numbers: [sig.clone((numbers[0],))], "one signature a number"),
    "dicts": (
        lambda sig, numbers: [json.loads(json.dumps(sig.clone((n,)))) for n in numbers],
        "the answer gives a signature",
    ),
}

# --- 02.4 repair ----------------------------------------------------------------------------------------------

RIGHT_4: dict[str, Build] = {
    "solution": lambda a, b, budget: add.s(a, b) | left_of.s(budget),
    "by name": lambda a, b, budget: add.s(b, a) | left_of.s(budget=budget),
    "a sign turned": lambda a, b, budget: add.s(a, b) | mul.s(-1) | add.s(budget),
    "taken away, then turned": lambda a, b, budget: chain(add.s(a, b), sub.s(budget), mul.s(-1)),
}
WRONG_4: dict[str, tuple[Any, str]] = {
    "skeleton": (lambda a, b, budget: ..., "there is no answer yet"),
    "half filled": (lambda a, b, budget: add.s(a, b) | ..., "there is no answer yet"),
    "as it was": (lambda a, b, budget: add.s(a, b) | sub.s(x=budget), "every step succeeds"),
    "the budget taken away": (lambda a, b, budget: add.s(a, b) | sub.s(budget), "the value is right"),
    "the budget taken away by name": (lambda a, b, budget: add.s(a, b) | sub.s(y=budget), "the value is right"),
    "a task the wrong way round": (lambda a, b, budget: add.s(a, b) | left_of_turned.s(budget), "the value is right"),
    "a keyword for the sum": (lambda a, b, budget: add.s(a, b) | left_of.s(spent=budget), "every step succeeds"),
    "the sum made here": (lambda a, b, budget: sub.s(budget, a + b), "the first step adds"),
    "the sum made here as well": (
        lambda a, b, budget: add.s(a, b) | sub.si(budget, a + b),
        "the value of each step is handed on",
    ),
    "taken away one by one": (lambda a, b, budget: sub.s(budget, a) | sub.s(b), "the first step adds"),
    "one task for all": (lambda a, b, budget: spend_all.s(a, b, budget), "the first step adds"),
    "turned round": (lambda a, b, budget: sub.s(budget) | add.s(a, b), "it can be sent"),
    "called": (lambda a, b, budget: sub(budget, add(a, b)), "the answer gives a signature"),
    "side by side": (lambda a, b, budget: group(add.s(a, b), sub.s(budget, a + b)), "the value is right"),
}

# --- 02.5 meet a constraint -----------------------------------------------------------------------------------


def linked(sig: Any, extra: Any) -> Any:
    copy = sig.clone(countdown=0)
    copy.link(extra)
    return copy


def set_and_linked(sig: Any, extra: Any) -> Any:
    copy = sig.clone().set(countdown=None)
    copy.link(extra)
    return copy


def all_links_given(sig: Any, extra: Any) -> Any:
    return sig.clone(link=[*sig.options.get("link", []), extra], countdown=0)


def linked_on_the_one_given(sig: Any, extra: Any) -> Any:
    sig.link(extra)
    return sig.set(countdown=0)


def set_on_the_one_given(sig: Any, extra: Any) -> Any:
    copy = sig.set(countdown=0).clone()
    copy.link(extra)
    return copy


def still_late(sig: Any, extra: Any) -> Any:
    copy = sig.clone()
    copy.link(extra)
    return copy


def anew(sig: Any, extra: Any) -> Any:
    copy = signature(sig.task, args=sig.args, kwargs=sig.kwargs)
    copy.link(extra)
    return copy


def linked_twice(sig: Any, extra: Any) -> Any:
    copy = linked(sig, extra)
    copy.link(extra.clone().set(priority=3))
    return copy


def immutable_callback(sig: Any, extra: Any) -> Any:
    return linked(sig, extra.clone().set(immutable=True))


RIGHT_5: dict[str, Build] = {
    "solution": linked,
    "the option taken away": set_and_linked,
    "all links given": all_links_given,
    "through JSON": lambda sig, extra: linked(signature(json.loads(json.dumps(sig))), extra),
}
WRONG_5: dict[str, tuple[Any, str]] = {
    "skeleton": (lambda sig, extra: ..., "there is no answer yet"),
    "link given": (lambda sig, extra: sig.clone(link=extra, countdown=0), "callbacks that sig has still run"),
    "link set": (lambda sig, extra: sig.clone().set(link=extra, countdown=0), "callbacks that sig has still run"),
    "on the one given": (linked_on_the_one_given, "sig is left as it was"),
    "set before the copy": (set_on_the_one_given, "sig is left as it was"),
    "the callback returned": (lambda sig, extra: sig.clone(countdown=0).link(extra), "not what link() gives"),
    "still late": (still_late, "it starts at once"),
    "made anew": (anew, "callbacks that sig has still run"),
    "extra forgotten": (lambda sig, extra: sig.clone(countdown=0), "extra runs"),
    "a chain": (lambda sig, extra: sig.clone(countdown=0) | extra, "the value is right"),
    "extra twice": (linked_twice, "each callback gets the value in front"),
    "immutable": (immutable_callback, "each callback gets the value in front"),
    "side by side": (lambda sig, extra: group(sig.clone(countdown=0), extra), "each callback gets the value in front"),
    "an errback": (lambda sig, extra: sig.clone(countdown=0).on_error(extra), "extra runs"),
    "a constant": (lambda sig, extra: linked(add.s(2, 2), note.s("x")), "callbacks that sig has still run"),
    "sent": (lambda sig, extra: sig.apply_async(link=extra, countdown=0), "the answer gives a signature"),
}


class TestExercises(Bank):
    """Right and wrong answers."""

    answers: ClassVar = {
        "02.1": (RIGHT_1, WRONG_1),
        "02.2": (RIGHT_2, WRONG_2),
        "02.3": (RIGHT_3, WRONG_3),
        "02.4": (RIGHT_4, WRONG_4),
        "02.5": (RIGHT_5, WRONG_5),
    }
    number = 20
    endless = ("02.3", for_ever, "building comes to an end")
    solution = ("02.3", RIGHT_3["solution"])


def test_what_was_changed_is_told_and_nothing_else() -> None:
    verdict = labkit.check("02.5", linked_on_the_one_given)
    assert verdict.what == "sig is left as it was"
    assert verdict.expected == "options.countdown 0.2, no options.link[1]"
    assert verdict.happened.startswith("options.countdown 0, options.link[1] tasks.note('extra ")
    assert labkit.check("02.3", on_the_one_given).expected.endswith(", no args[1]")


def test_a_tuple_is_shown_where_one_is_missing() -> None:
    assert "((" in (expected := labkit.check("02.3", lambda sig, numbers: [sig.clone(n) for n in numbers]).expected)
    assert expected.endswith(",)): a tuple of one has a comma")
