"""The tests of a lesson's exercises: what is right is accepted, each plausible slip is told what is wrong."""

import time
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

import pytest
from celery.result import AsyncResult

import labkit
from tasks import add, mul, sub

#: Right answers by name; wrong ones by name, with a part of what the refusal says (parts with ``|``: one of them).
Answers = tuple[Mapping[str, Any], Mapping[str, tuple[Any, str]]]


def bank(right: Mapping[str, Mapping[str, Any]], wrong: Iterable[tuple[str, str, Any, str]]) -> dict[str, Answers]:
    """Answers as `Bank` wants them; each wrong one comes with the id of its exercise and its name."""
    answers: dict[str, Answers] = {}
    listed = list(wrong)
    for id, ways in right.items():
        answers[id] = (ways, {name: (answer, said) for of, name, answer, said in listed if of == id})
    assert sum(len(each) for _, each in answers.values()) == len(listed), "an exercise or a name twice, or unknown"
    return answers


def raises(*_: Any) -> Any:
    """An answer that fails."""
    raise RuntimeError("not my day")


def solves_nothing(*_: Any) -> Any:
    """An answer that is a canvas, and always the same."""
    return add.s(1, 1) | mul.s(2) | sub.s(1)


def for_ever(*_: Any) -> Any:
    """An answer that never ends."""
    while True:
        pass


class Bank:
    """Subclass it once a lesson. All answers are checked with the lab of the fixture ``lesson_lab``."""

    #: By the id of the exercise.
    answers: ClassVar[Mapping[str, Answers]]
    #: What gives a canvas that solves nothing, a value that is right now and then, and what fails.
    constant: ClassVar[Any] = staticmethod(solves_nothing)
    number: ClassVar[Any]
    constants: ClassVar[Mapping[str, Any]] = {}
    failing: ClassVar[Any] = staticmethod(raises)
    #: The exercise that is given an endless answer, the answer, and what is said of it.
    endless: ClassVar[tuple[str, Any, str]]
    #: An exercise and its solution.
    solution: ClassVar[tuple[str, Any]]
    #: The exercises whose answer is a function that builds a canvas.
    building: ClassVar[tuple[str, ...]] = ()
    #: Exercises and what was written for them in the lesson, with its gaps.
    unanswered: ClassVar[Mapping[str, Any]] = {}

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """A test for each answer."""
        test, given = metafunc.function.__name__, self.answers
        if test == "test_right_answers_are_accepted":
            metafunc.parametrize(("id", "name"), [(id, name) for id, (right, _) in given.items() for name in right])
        elif test == "test_wrong_answers_are_told_what_is_wrong":
            metafunc.parametrize(("id", "name"), [(id, name) for id, (_, wrong) in given.items() for name in wrong])
        elif "id" in metafunc.fixturenames:
            metafunc.parametrize("id", given)

    def test_right_answers_are_accepted(self, id: str, name: str) -> None:
        began = time.monotonic()
        verdict = labkit.check(id, self.answers[id][0][name])
        assert verdict.accepted, verdict
        assert time.monotonic() - began < 2.5  # 1 s on a machine that does nothing else

    def test_wrong_answers_are_told_what_is_wrong(self, id: str, name: str) -> None:
        answer, says = self.answers[id][1][name]
        verdict = labkit.check(id, answer)
        assert not verdict.accepted
        assert any(part in verdict.what for part in says.split("|")), verdict
        assert verdict.expected or verdict.happened

    @pytest.mark.parametrize(
        "kind", ["ellipsis", "gives dots", "constant", "number", "none", "raises", "sent", "value", "signature"]
    )
    def test_what_is_no_answer_is_refused(self, id: str, kind: str) -> None:
        sent: AsyncResult = add.delay(1, 1)
        sent.get(timeout=5)
        answers: dict[str, Any] = {
            "ellipsis": ...,
            "gives dots": lambda *_: ...,
            "constant": self.constants.get(id, self.constant),
            "number": self.number,
            "none": None,
            "raises": self.failing,
            "sent": sent,
            "value": add(1, 1),
            "signature": add.s(1, 1),
        }
        verdict = labkit.check(id, answers[kind])
        assert not verdict.accepted
        assert verdict.what

    def test_a_function_that_sends_is_told_so(self) -> None:
        for each in self.building:
            verdict = labkit.check(each, lambda *_: add.delay(1, 1))
            assert verdict.what == "the answer gives a signature", each
            assert "sent already" in verdict.happened

    def test_gaps_are_no_answer(self) -> None:
        for id, found in self.unanswered.items():
            assert "there is no answer yet" in labkit.check(id, found).what

    def test_an_endless_answer_is_only_reported(self) -> None:
        id, endless, says = self.endless
        began = time.monotonic()
        verdict = labkit.check(id, endless)
        assert not verdict.accepted
        assert says in verdict.what
        assert time.monotonic() - began < 5.5
        assert labkit.check(*self.solution).accepted

    def test_hints_get_plainer_and_the_last_one_stays(self, id: str) -> None:
        hints = [labkit.hint(id) for _ in range(4)]
        assert len(set(hints)) >= 2
        assert hints[-1] == hints[-2]

    def test_a_revealed_solution_is_no_progress(self) -> None:
        id, solution = self.solution
        lesson, place = id.split(".")
        dots = ["○"] * 5
        assert labkit.check(id, solution, reveal=True).accepted
        assert f"lesson {lesson}  {''.join(dots)}" in labkit.progress()
        assert labkit.check(id, solution).accepted
        dots[int(place) - 1] = "●"
        assert f"lesson {lesson}  {''.join(dots)}" in labkit.progress()
