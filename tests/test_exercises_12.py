"""The exercises of lesson 12: what is accepted, and what each plausible slip is told."""

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar

import pytest
from celery.exceptions import Retry

import labkit
import tasks
from labkit.exercises.services import ask, charge, charged, confirm
from tasks import add, note
from tests.banks import Bank

Body = Callable[..., Any]

made = 0


pytestmark = pytest.mark.usefixtures("lesson_lab", "elsewhere")


def task(body: Body, **options: Any) -> Any:
    """A task of ``body``, as a learner's cell would make it."""
    global made
    made += 1
    return tasks.app.task(**{"bind": True, "name": f"tests.twelve_{made}", **options})(body)


def raises(*_: Any) -> Any:
    raise RuntimeError("not my day")


def seven(*_: Any) -> Any:
    return 7


SEVEN, RAISES = task(seven), task(raises)


# --- 12.1 put in order ----------------------------------------------------------------------------------------

RIGHT_1: dict[str, Any] = {"solution": ["B", "E", "A", "C"], "one string": "BEAC", "small letters": tuple("beac")}
WRONG_1: dict[str, tuple[Any, str]] = {
    "alphabet": (["A", "B", "C", "D", "E"], "what never starts is left out"),
    "without D": (["A", "B", "C", "E"], "order of the starts"),
    "by the countdown written last": (["B", "E", "C", "A"], "order of the starts"),
    "D where its countdown would be": (["B", "E", "D", "A", "C"], "what never starts is left out"),
    "E never": (["B", "A", "C"], "what starts is in the list"),
    "only what has no options": (["B"], "what starts is in the list"),
    "latest first": (["C", "A", "E", "B"], "order of the starts"),
    "no letter": ([], "what starts is in the list"),
    "one twice": (["B", "B", "E", "A", "C"], "at most once"),
    "another letter": (["B", "E", "A", "F"], "at most once"),
    "the pieces": ([note.si("B"), note.si("E")], "list of letters"),
    "a signature": (note.si("B"), "list of letters"),
    "the times": ([0, 0.1, 0.3, 0.4], "list of letters"),
    "a function": (raises, "list of letters"),
    "a dict": ({"B": 1}, "list of letters"),
}

# --- 12.2 fill in ---------------------------------------------------------------------------------------------

BOTH = (ConnectionError, TimeoutError)

RIGHT_2: dict[str, Any] = {
    "solution": {"autoretry_for": BOTH, "max_retries": 2, "default_retry_delay": 0.05},
    "a list of errors": {"autoretry_for": list(BOTH), "max_retries": 2, "default_retry_delay": 0.05},
    "retry_kwargs": {"autoretry_for": BOTH, "retry_kwargs": {"max_retries": 2, "countdown": 0.05}},
    "all but": {
        "autoretry_for": (OSError,),
        "dont_autoretry_for": (FileNotFoundError,),
        "max_retries": 2,
        "default_retry_delay": 0.05,
    },
    "bound": {"autoretry_for": BOTH, "max_retries": 2, "default_retry_delay": 0.05, "bind": True},
}
WRONG_2: dict[str, tuple[Any, str]] = {
    "skeleton": ({"autoretry_for": ..., "max_retries": ..., "default_retry_delay": ...}, "there is no answer yet"),
    "half filled": ({"autoretry_for": BOTH, "max_retries": ..., "default_retry_delay": 0.05}, "there is no answer yet"),
    "three retries": (
        {"autoretry_for": BOTH, "max_retries": 3, "default_retry_delay": 0.05},
        "the body runs 3 times for a shop that never answers",
    ),
    "one retry": (
        {"autoretry_for": BOTH, "max_retries": 1, "default_retry_delay": 0.05},
        "the body runs 3 times for two errors in a row",
    ),
    "no limit": (
        {"autoretry_for": BOTH, "max_retries": None, "default_retry_delay": 0.05},
        "the body runs 3 times for a shop that never answers",
    ),
    "no tuple": (
        {"autoretry_for": ConnectionError, "max_retries": 2, "default_retry_delay": 0.05},
        "app.task takes the options",
    ),
    "names of errors": (
        {"autoretry_for": ("ConnectionError",), "max_retries": 2, "default_retry_delay": 0.05},
        "a ConnectionError is tried again",
    ),
    "one error only": (
        {"autoretry_for": (ConnectionError,), "max_retries": 2, "default_retry_delay": 0.05},
        "a TimeoutError is tried again",
    ),
    "every error": (
        {"autoretry_for": (Exception,), "max_retries": 2, "default_retry_delay": 0.05},
        "a KeyError fails at once",
    ),
    "every OSError": (
        {"autoretry_for": (OSError,), "max_retries": 2, "default_retry_delay": 0.05},
        "a FileNotFoundError fails at once",
    ),
    "the default delay": ({"autoretry_for": BOTH, "max_retries": 2}, "put off by 0.05 s"),
    "countdown is no option of a task": (
        {"autoretry_for": BOTH, "max_retries": 2, "countdown": 0.05},
        "put off by 0.05 s",
    ),
    "backoff": (
        {"autoretry_for": BOTH, "max_retries": 2, "retry_backoff": True, "retry_jitter": False},
        "put off by 0.05 s",
    ),
    "a tenth": ({"autoretry_for": BOTH, "max_retries": 2, "default_retry_delay": 0.1}, "put off by 0.05 s"),
    "a word in place of a number": (
        {"autoretry_for": BOTH, "max_retries": 2, "default_retry_delay": "0.05"},
        "a ConnectionError is tried again",
    ),
    "no errors named": ({"max_retries": 2, "default_retry_delay": 0.05}, "a ConnectionError is tried again"),
    "empty": ({}, "a ConnectionError is tried again"),
    "a task": (add, "dict of options"),
    "a signature": (add.s(1, 1), "dict of options"),
    "a function": (raises, "dict of options"),
}

# --- 12.3 write -----------------------------------------------------------------------------------------------


def doubling(self: Any, shop: str) -> Any:
    try:
        return ask(shop)
    except ConnectionError as error:
        raise self.retry(exc=error, countdown=0.02 * 2**self.request.retries) from error


def listed(self: Any, shop: str) -> Any:
    try:
        return ask(shop)
    except ConnectionError as error:
        waits = [0.02, 0.04, 0.08, 0]
        self.retry(exc=error, countdown=waits[self.request.retries], max_retries=3)


def with_eta(self: Any, shop: str) -> Any:
    try:
        return ask(shop)
    except ConnectionError as error:
        due = datetime.now(UTC) + timedelta(seconds=0.02 * 2**self.request.retries)
        raise self.retry(exc=error, eta=due) from error


def by_hand(self: Any, shop: str) -> Any:
    try:
        return ask(shop)
    except ConnectionError:
        if self.request.retries == 3:
            raise
        raise self.retry(countdown=[0.02, 0.04, 0.08][self.request.retries]) from None


def ellipsis(self: Any, shop: str) -> Any:
    return ...


def no_retry(self: Any, shop: str) -> Any:
    return ask(shop)


def constant_wait(self: Any, shop: str) -> Any:
    try:
        return ask(shop)
    except ConnectionError as error:
        raise self.retry(exc=error, countdown=0.02) from error


def off_by_one(self: Any, shop: str) -> Any:
    try:
        return ask(shop)
    except ConnectionError as error:
        raise self.retry(exc=error, countdown=0.02 * 2 ** (self.request.retries + 1)) from error


def linear(self: Any, shop: str) -> Any:
    try:
        return ask(shop)
    except ConnectionError as error:
        raise self.retry(exc=error, countdown=0.02 * (self.request.retries + 1)) from error


def without_exc(self: Any, shop: str) -> Any:
    try:
        return ask(shop)
    except ConnectionError:
        self.retry(countdown=0.02 * 2**self.request.retries)


def every_error(self: Any, shop: str) -> Any:
    try:
        return ask(shop)
    except Exception as error:
        raise self.retry(exc=error, countdown=0.02 * 2**self.request.retries) from error


def loop_inside(self: Any, shop: str) -> Any:
    for wait in (0.02, 0.04, 0.08):
        try:
            return ask(shop)
        except ConnectionError:
            time.sleep(wait)
    return ask(shop)


def no_countdown(self: Any, shop: str) -> Any:
    try:
        return ask(shop)
    except ConnectionError as error:
        raise self.retry(exc=error) from error


def value_in_the_end(self: Any, shop: str) -> Any:
    try:
        return ask(shop)
    except ConnectionError as error:
        if self.request.retries == 3:
            return None
        raise self.retry(exc=error, countdown=0.02 * 2**self.request.retries) from error


def returned_retry(self: Any, shop: str) -> Any:
    try:
        return ask(shop)
    except ConnectionError as error:
        return self.retry(exc=error, countdown=0.02 * 2**self.request.retries, throw=False)


def calls_itself(self: Any, shop: str) -> Any:
    try:
        return ask(shop)
    except ConnectionError:
        return self.apply_async((shop,), countdown=0.01).id


def no_self(shop: str) -> Any:
    return ask(shop)


def other_value(self: Any, shop: str) -> Any:
    try:
        ask(shop)
    except ConnectionError as error:
        raise self.retry(exc=error, countdown=0.02 * 2**self.request.retries) from error


def endless(self: Any, shop: str) -> Any:
    while True:
        pass


RIGHT_3: dict[str, Any] = {
    "solution": task(doubling, max_retries=3),
    "three is the default": task(doubling),
    "a list, and no raise": task(listed, max_retries=9),
    "eta": task(with_eta),
    "the end by hand": task(by_hand, max_retries=None),
}
WRONG_3: dict[str, tuple[Any, str]] = {
    "skeleton": (task(ellipsis), "there is no answer yet"),
    "no retry": (task(no_retry), "one refusal is tried again by a new message"),
    "always the same wait": (task(constant_wait), "the waits double"),
    "doubled too early": (task(off_by_one), "the waits double"),
    "linear": (task(linear), "the waits double"),
    "five runs": (task(doubling, max_retries=4), "the body runs 4 times for a shop that never answers"),
    "three runs": (task(doubling, max_retries=2), "the body runs 4 times for three refusals"),
    "never gives up": (task(doubling, max_retries=None), "the body runs 4 times for a shop that never answers"),
    "without exc": (task(without_exc), "the task fails with the ConnectionError itself"),
    "every error": (task(every_error), "only a ConnectionError is tried again"),
    "a loop inside": (task(loop_inside), "tried again by a new message"),
    "three minutes": (task(no_countdown), "the waits double"),
    "a value in the end": (task(value_in_the_end), "the task fails with the ConnectionError itself"),
    "the retry as value": (task(returned_retry), "each run but the last ends with Retry"),
    "sends itself": (task(calls_itself), "tried again by a new message"),
    "returns nothing": (task(other_value), "the value is right"),
    "autoretry with backoff": (
        task(no_retry, autoretry_for=(ConnectionError,), retry_backoff=True, retry_jitter=False),
        "the waits double",
    ),
    "not bound": (task(doubling, bind=False), "self is given with bind=True only"),
    "no self": (task(no_self), "with bind=True, self is the first parameter"),
    "a function": (doubling, "the answer is a task"),
    "a signature": (add.s(1, 1), "the answer is a task"),
}

# --- 12.4 repair ----------------------------------------------------------------------------------------------


def outside(self: Any, shop: str) -> Any:
    try:
        price = ask(shop)
    except ConnectionError:
        return "closed"
    if price is None:
        raise self.retry(countdown=0.05)
    return price


def narrow(self: Any, shop: str) -> Any:
    try:
        price = ask(shop)
        if price is None:
            self.retry(countdown=0.05)
        return price
    except ConnectionError:
        return "closed"


def retry_let_through(self: Any, shop: str) -> Any:
    try:
        price = ask(shop)
        if price is None:
            raise self.retry(countdown=0.05)
        return price
    except Retry:
        raise
    except Exception:
        return "closed"


def as_found(self: Any, shop: str) -> Any:
    try:
        price = ask(shop)
        if price is None:
            raise self.retry(countdown=0.05)
        return price
    except Exception:
        return "closed"


def nothing_caught(self: Any, shop: str) -> Any:
    price = ask(shop)
    if price is None:
        raise self.retry(countdown=0.05)
    return price


def retried_when_closed(self: Any, shop: str) -> Any:
    try:
        price = ask(shop)
    except ConnectionError as error:
        raise self.retry(exc=error, countdown=0.05) from error
    if price is None:
        raise self.retry(countdown=0.05)
    return price


def not_asked_again(self: Any, shop: str) -> Any:
    try:
        return ask(shop)
    except ConnectionError:
        return "closed"


def loop_until_ready(self: Any, shop: str) -> Any:
    try:
        while (price := ask(shop)) is None:
            time.sleep(0.02)
        return price
    except ConnectionError:
        return "closed"


def three_minutes(self: Any, shop: str) -> Any:
    try:
        price = ask(shop)
    except ConnectionError:
        return "closed"
    if price is None:
        raise self.retry()
    return price


def not_thrown(self: Any, shop: str) -> Any:
    try:
        price = ask(shop)
        if price is None:
            self.retry(countdown=0.05, throw=False)
        return price
    except ConnectionError:
        return "closed"


def base_exception(self: Any, shop: str) -> Any:
    try:
        price = ask(shop)
        if price is None:
            raise self.retry(countdown=0.05)
        return price
    except BaseException:
        return "closed"


def reraised(self: Any, shop: str) -> Any:
    try:
        price = ask(shop)
        if price is None:
            raise self.retry(countdown=0.05)
        return price
    except Exception:
        raise


RIGHT_4: dict[str, Any] = {
    "solution": task(outside, max_retries=5),
    "only ConnectionError is caught": task(narrow, max_retries=5),
    "Retry is let through": task(retry_let_through, max_retries=5),
}
WRONG_4: dict[str, tuple[Any, str]] = {
    "as it was": (task(as_found, max_retries=5), "the retry is not swallowed"),
    "BaseException": (task(base_exception, max_retries=5), "the retry is not swallowed"),
    "nothing is caught": (task(nothing_caught), "the value is right for a ConnectionError"),
    "caught and raised again": (task(reraised), "the value is right for a ConnectionError"),
    "retried when closed": (task(retried_when_closed, max_retries=5), "the body runs once for a ConnectionError"),
    "not asked again": (task(not_asked_again), "tried again by a new message"),
    "a loop inside": (task(loop_until_ready), "tried again by a new message"),
    "three minutes": (task(three_minutes), "is tried again soon"),
    "the retry is not thrown": (task(not_thrown), "the retry is not swallowed"),
    "one retry only": (task(outside, max_retries=1), "the body runs 3 times"),
    "ellipsis": (task(ellipsis), "there is no answer yet"),
    "autoretry for all": (
        task(as_found, autoretry_for=(Exception,), default_retry_delay=0.05),
        "the retry is not swallowed",
    ),
    "a function": (outside, "the answer is a task"),
}

# --- 12.5 meet a constraint -----------------------------------------------------------------------------------

AGAIN: dict[str, Any] = {"autoretry_for": (ConnectionError,), "default_retry_delay": 0.05}


def asked_first(self: Any, order: str, amount: float) -> Any:
    if not charged(order):
        charge(order, amount)
    return confirm(order)


def asked_first_by_hand(self: Any, order: str, amount: float) -> Any:
    if not charged(order):
        charge(order, amount)
    try:
        return confirm(order)
    except ConnectionError as error:
        raise self.retry(exc=error, countdown=0.05) from error


def careless(self: Any, order: str, amount: float) -> Any:
    charge(order, amount)
    return confirm(order)


def first_run_only(self: Any, order: str, amount: float) -> Any:
    if self.request.retries == 0:
        charge(order, amount)
    return confirm(order)


def done_is_done(self: Any, order: str, amount: float) -> Any:
    if charged(order):
        return None
    charge(order, amount)
    return confirm(order)


def confirmed_first(self: Any, order: str, amount: float) -> Any:
    receipt = confirm(order)
    charge(order, amount)
    return receipt


def one_euro(self: Any, order: str, amount: float) -> Any:
    if not charged(order):
        charge(order, 1)
    return confirm(order)


def never_charged(self: Any, order: str, amount: float) -> Any:
    return f"receipt of {order}"


def swallows(self: Any, order: str, amount: float) -> Any:
    if not charged(order):
        charge(order, amount)
    try:
        return confirm(order)
    except Exception:
        return None


def loops(self: Any, order: str, amount: float) -> Any:
    if not charged(order):
        charge(order, amount)
    while True:
        try:
            return confirm(order)
        except ConnectionError:
            time.sleep(0.02)


def returns_amount(self: Any, order: str, amount: float) -> Any:
    if not charged(order):
        charge(order, amount)
    confirm(order)
    return amount


def filled_with_dots(self: Any, order: str, amount: float) -> Any:
    return ...


def one_parameter(self: Any, order: str) -> Any:
    return confirm(order)


_noted: set[str] = set()


def own_note(self: Any, order: str, amount: float) -> Any:
    """Right as long as nobody else charges; a note of one's own is a note."""
    if not charged(order):
        _noted.discard(order)
    if order not in _noted:
        _noted.add(order)
        charge(order, amount)
    return confirm(order)


RIGHT_5: dict[str, Any] = {
    "solution": task(asked_first, **AGAIN),
    "by hand": task(asked_first_by_hand),
    "a note of one's own": task(own_note, **AGAIN),
}
WRONG_5: dict[str, tuple[Any, str]] = {
    "as it was": (task(careless), "tried again by a new message"),
    "retried": (task(careless, **AGAIN), "charged once for one refusal"),
    "charged in the first run": (task(first_run_only, **AGAIN), "charged once when order"),
    "done is done": (task(done_is_done, **AGAIN), "the value is right for one refusal"),
    "asked first, not retried": (task(asked_first), "tried again by a new message"),
    "confirmed first": (task(confirmed_first, **AGAIN), "an order is charged for a bank that answers"),
    "another amount": (task(one_euro, **AGAIN), "the amount is right"),
    "never charged": (task(never_charged), "an order is charged for a bank that answers"),
    "the error is swallowed": (task(swallows), "tried again by a new message"),
    "a loop inside": (task(loops), "tried again by a new message"),
    "the amount as value": (task(returns_amount, **AGAIN), "the value is right"),
    "three minutes": (task(asked_first, autoretry_for=(ConnectionError,)), "is tried again soon"),
    "one retry": (task(asked_first, **AGAIN, max_retries=1), "the body runs 3 times for two refusals"),
    "ellipsis": (task(filled_with_dots), "there is no answer yet"),
    "one parameter": (task(one_parameter), "it can be sent"),
    "a function": (asked_first, "the answer is a task"),
}


class TestExercises(Bank):
    """Right and wrong answers."""

    answers: ClassVar = {
        "12.1": (RIGHT_1, WRONG_1),
        "12.2": (RIGHT_2, WRONG_2),
        "12.3": (RIGHT_3, WRONG_3),
        "12.4": (RIGHT_4, WRONG_4),
        "12.5": (RIGHT_5, WRONG_5),
    }
    constant = staticmethod(SEVEN)
    number = 7
    failing = staticmethod(RAISES)
    endless = ("12.3", task(endless), "the body comes to an end")
    solution = ("12.5", RIGHT_5["solution"])


def test_all_waits_are_shown() -> None:
    verdict = labkit.check("12.3", WRONG_3["doubled too early"][0])
    assert (verdict.expected, verdict.happened) == ("0.02 s, 0.04 s, 0.08 s", "0.04 s, 0.08 s, 0.16 s")


def test_what_was_forgotten_of_a_retry_is_named() -> None:
    assert labkit.check("12.3", WRONG_3["three minutes"][0]).happened == "180 s, as without a countdown"
    assert labkit.check("12.3", WRONG_3["without exc"][0]).expected == "ConnectionError, given to retry as exc="


def test_services_that_no_check_has_set_up() -> None:
    assert ask("a shop that nobody knows") == 7
    assert not charged("an order that nobody knows")
    with pytest.raises(LookupError, match="was not charged"):
        confirm("an order that nobody knows")
