"""The exercises of lesson 07: what is right is accepted however it is built, what is wrong is refused with a reason."""

from typing import Any, ClassVar

import pytest
from celery import chain, chord, group, signature
from celery.canvas import Signature
from celery.exceptions import ChordError

import labkit
import tasks
from tasks import add, ident, mul, note, power, xsum
from tests.banks import Bank, bank, for_ever

Numbers = list[int]
Pairs = list[list[int]]


pytestmark = pytest.mark.usefixtures("lesson_lab", "elsewhere")


def parts_of(numbers: Numbers, count: int) -> list[Numbers]:
    return [numbers[place::count] for place in range(count)]


def blocks_of(numbers: Numbers, size: int) -> list[Numbers]:
    return [numbers[start : start + size] for start in range(0, len(numbers), size)]


def dot(pairs: Pairs) -> Signature:
    return chord((mul.s(a, b) for a, b in pairs), xsum.s())


def one_after_the_other(pairs: Pairs) -> Signature:
    """Each step multiplies its own pair and gets nothing: right in the end only because the sum is worked out here."""
    return chain(*(mul.si(a, b) for a, b in pairs), xsum.si([a * b for a, b in pairs]))


def fan(n: int) -> Signature:
    return chain(add.s(n, 1), chord([mul.s(2), mul.s(3)], xsum.s()))


def broken(n: int) -> Signature:
    return chain(add.s(n, 1), chord([mul.s(2), mul.s(3)])(xsum.s()))


def quarters(numbers: Numbers) -> Signature:
    return chord([xsum.s(part) for part in parts_of(numbers, 4)], xsum.s())


RIGHT: dict[str, dict[str, Any]] = {
    "07.1": {"reference": ["C", "E", "A", "D", "B"], "as a tuple": tuple("CEADB"), "as a word": "CEADB"},
    "07.2": {
        "reference": note.s("squares"),
        "by name": signature("tasks.note", args=("squares",)),
        "as a dict": dict(note.s("squares")),
        "with an option": note.s("squares").set(countdown=0),
    },
    "07.3": {
        "reference": dot,
        "piped": lambda pairs: group(mul.s(*pair) for pair in pairs) | xsum.s(),
        "header as a list": lambda pairs: chord([mul.s(b, a) for a, b in pairs], body=xsum.s()),
        "by name": lambda pairs: chord([signature("tasks.mul", args=pair) for pair in pairs], signature("tasks.xsum")),
    },
    "07.4": {
        "reference": fan,
        "piped": lambda n: add.s(n, 1) | group(mul.s(2), mul.s(3)) | xsum.s(),
        "other way round": lambda n: add.s(1, n) | chord([mul.s(3), mul.s(2)], xsum.s()),
    },
    "07.5": {
        "reference": quarters,
        "blocks": lambda numbers: chord([xsum.s(part) for part in blocks_of(numbers, -(-len(numbers) // 4))], xsum.s()),
        "piped": lambda numbers: group(xsum.s(part) for part in parts_of(numbers, 4)) | xsum.s(),
    },
}

#: Exercise, what was tried, the answer, and a part of what the refusal says.
WRONG: list[tuple[str, str, Any, str]] = [
    # put in order
    ("07.1", "as listed", ["A", "B", "C", "D", "E"], "first step is the add"),
    ("07.1", "multiplied before it is summed", ["C", "E", "D", "A", "B"], "xsum gets the list"),
    ("07.1", "note too early", ["C", "E", "A", "B", "D"], "last step is note"),
    ("07.1", "note gets the list", ["C", "E", "B", "A", "D"], "xsum gets the list"),
    ("07.1", "the fan-out first", ["E", "A", "C", "D", "B"], "first step is the add"),
    ("07.1", "multiplied first", ["C", "D", "E", "A", "B"], "the sum is multiplied"),
    ("07.1", "one missing", ["C", "E", "A", "D"], "each piece is used once"),
    ("07.1", "one twice", ["C", "E", "A", "D", "D"], "each piece is used once"),
    ("07.1", "a number", 5, "list of letters"),
    ("07.1", "the signatures themselves", [xsum.s(), note.s()], "list of letters"),
    # fill in
    ("07.2", "no word", note.s(), "value is right"),
    ("07.2", "immutable", note.si("squares"), "gets the header's list"),
    ("07.2", "the list typed in", note.s([1, 4, 9], "squares"), "value is right"),
    ("07.2", "the value typed in", [[1, 4, 9], "squares"], "gives a signature"),
    ("07.2", "immutable with the list typed in", note.si([1, 4, 9], "squares"), "gets the header's list"),
    ("07.2", "another task", xsum.s(), "value is right"),
    ("07.2", "the task, not a signature", note, "gives a signature"),
    ("07.2", "called here", lambda: note("squares"), "gives a signature"),
    ("07.2", "two steps", note.s("squares") | ident.s(), "body is one task"),
    ("07.2", "a group", group(note.s("squares")), "body is one task"),
    ("07.2", "the whole chord", chord([power.s(1, 2)], note.s("squares")), "body is one task"),
    ("07.2", "word by name", note.s(text="squares"), "value is right"),
    # write
    ("07.3", "worked out in Python", lambda pairs: ident.s(sum(a * b for a, b in pairs)), "a mul task for each pair"),
    ("07.3", "no sum", lambda pairs: group(mul.s(*pair) for pair in pairs), "one task sums the products"),
    ("07.3", "one after the other", one_after_the_other, "side by side"),
    ("07.3", "one message", lambda pairs: mul.starmap(pairs) | xsum.s(), "a mul task for each pair"),
    ("07.3", "the body gets nothing", lambda p: chord([mul.s(*x) for x in p], xsum.si([1])), "gets the products"),
    ("07.3", "a chain of a group", lambda pairs: chain(group(mul.s(*pair) for pair in pairs), xsum.s()), "one pair"),
    ("07.3", "added in place of multiplied", lambda p: chord([add.s(*x) for x in p], xsum.s()), "a mul task for each"),
    ("07.3", "the first pair twice", lambda p: chord([mul.s(*x) for x in [p[0], *p]], xsum.s()), "a mul task for each"),
    ("07.3", "sent already", lambda pairs: chord([mul.s(*pair) for pair in pairs])(xsum.s()), "gives a signature"),
    ("07.3", "called here", lambda pairs: [mul(a, b) for a, b in pairs], "gives a signature"),
    ("07.3", "no body", lambda pairs: chord([mul.s(*pair) for pair in pairs]), "gives a signature"),
    ("07.3", "not a function", chord([mul.s(1, 2)], xsum.s()), "answer is a function"),
    # repair
    ("07.4", "as it was", broken, "a chord called with its body is sent at once"),
    ("07.4", "add worked out in Python", lambda n: chord([mul.s(n + 1, 2), mul.s(n + 1, 3)], xsum.s()), "add runs"),
    (
        "07.4",
        "immutable members",
        lambda n: chain(add.s(n, 1), chord([mul.si(n + 1, 2), mul.si(n + 1, 3)], xsum.s())),
        "multiply what add returned",
    ),
    ("07.4", "one product", lambda n: add.s(n, 1) | mul.s(5), "two mul tasks"),
    ("07.4", "one after the other", lambda n: add.s(n, 1) | mul.s(2) | mul.s(3), "side by side"),
    ("07.4", "no sum", lambda n: add.s(n, 1) | group(mul.s(2), mul.s(3)), "one task sums"),
    ("07.4", "the add in the header", lambda n: chord([add.s(n, 1) | mul.s(2), mul.s(n + 1, 3)], xsum.s()), "multiply"),
    ("07.4", "still sent", lambda n: fan(n).apply_async(), "gives a signature"),
    ("07.4", "twice the same", lambda n: add.s(n, 1) | group(mul.s(2), mul.s(2)) | xsum.s(), "one mul doubles"),
    ("07.4", "no body", lambda n: chain(add.s(n, 1), chord([mul.s(2), mul.s(3)]), xsum.s()), "a chord has a body"),
    ("07.4", "no step", lambda n: chain(None, add.s(n, 1)), "raises no error"),
    ("07.4", "no add", lambda n: chord([mul.s(2), mul.s(3)], xsum.s()), "it can be sent"),
    ("07.4", "n given", lambda n: add.s(n, 1) | group(mul.s(n, 2), mul.s(n, 3)) | xsum.s(), "every step succeeds"),
    # meet a constraint
    ("07.5", "one task for all", lambda numbers: xsum.s(numbers), "no task gets more than a quarter"),
    ("07.5", "a task for each", lambda n: chord([ident.s(x) for x in n], xsum.s()), "at most five messages"),
    ("07.5", "halves", lambda n: chord([xsum.s(x) for x in parts_of(n, 2)], xsum.s()), "more than a quarter"),
    ("07.5", "five parts", lambda n: chord([xsum.s(x) for x in parts_of(n, 5)], xsum.s()), "at most five messages"),
    (
        "07.5",
        "a part for the rest",
        lambda n: chord([xsum.s(x) for x in blocks_of(n, len(n) // 4)], xsum.s()),
        "at most five messages",
    ),
    (
        "07.5",
        "the rest forgotten",
        lambda n: chord([xsum.s(x) for x in blocks_of(n, len(n) // 4)[:4]], xsum.s()),
        "value is right",
    ),
    ("07.5", "summed in Python", lambda n: chord([ident.s(sum(x)) for x in parts_of(n, 4)], xsum.s()), "tasks add up"),
    ("07.5", "only the parts", lambda n: group(xsum.s(x) for x in parts_of(n, 4)), "one task joins"),
    (
        "07.5",
        "one after the other",
        lambda n: chain(*(xsum.si(x) for x in parts_of(n, 4)), xsum.si([sum(n)])),
        "no task gets more than a quarter|one task joins|tasks add up",
    ),
    ("07.5", "sent already", lambda n: quarters(n).delay(), "gives a signature"),
]


class TestExercises(Bank):
    """Right and wrong answers."""

    answers: ClassVar = bank(RIGHT, WRONG)
    number = 120
    endless = ("07.5", for_ever, "comes to an end")
    solution = ("07.2", note.s("squares"))


class TestWhatTheRecapSays:
    """Facts that the lesson tells without a cell, and examples of the official guide that it has no room for."""

    def test_a_chord_called_with_empty_brackets_is_sent(self) -> None:
        assert chord((add.s(i, i) for i in range(10)), xsum.s())().get(timeout=10) == 90

    def test_a_group_behind_a_task_is_given_its_value_and_the_task_the_keywords(self, lesson_lab: labkit.Lab) -> None:
        @lesson_lab.app.task(name="lesson.create_user")
        def create_user(username: str, first: str, last: str, email: str) -> list[str]:
            return [username, first, last, email]

        @lesson_lab.app.task(name="lesson.import_contacts")
        def import_contacts(user: list[str]) -> str:
            return f"contacts of {user[0]}"

        @lesson_lab.app.task(name="lesson.send_welcome_email")
        def send_welcome_email(user: list[str]) -> str:
            return f"welcome to {user[3]}"

        flow = create_user.s() | group(import_contacts.s(), send_welcome_email.s())
        result = flow.delay(username="artv", first="Art", last="Vandelay", email="art@vandelay.example")
        assert result.get(timeout=10) == ["contacts of artv", "welcome to art@vandelay.example"]

    def test_a_body_that_cannot_take_the_list_is_never_sent(self) -> None:
        run = labkit.run(chord([add.s(1, 1), add.s(2, 2)], tasks.noarg.s()))
        run.wait()
        assert len(run.messages) == 2
        with pytest.raises(ChordError, match="Callback error: TypeError"):
            run.get()

    def test_a_bare_chain_as_header_is_taken_apart(self) -> None:
        assert chord(add.s(1, 1) | mul.s(5, 10), ident.s()).delay().get(timeout=10) == [2, 50]
        run = labkit.run(chord([add.s(1, 1) | mul.s(10)], ident.s()))
        run.wait()
        assert run.get() == [20]

    def test_each_member_of_a_body_group_gets_the_list_and_a_task_piped_on_follows_the_body(self) -> None:
        header = [add.s(1, 1), add.s(2, 2)]
        assert chord(header, group(xsum.s(), ident.s())).delay().get(timeout=10) == [6, [2, 4]]
        assert (chord(header, xsum.s()) | mul.s(10)).delay().get(timeout=10) == 60
