"""Exercises: what is accepted, what is refused and how, and that no answer harms the lab."""

import asyncio
import json
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from celery import Celery, chain, group
from celery.canvas import Signature

import labkit
from labkit import practice
from labkit.errors import LabError
from labkit.practice import Trial, exercise

app = Celery("practice", set_as_current=False)
begun, go_on = threading.Event(), threading.Event()


@app.task(name="practice.add", shared=False)
def add(x: Any, y: Any) -> Any:
    return x + y


@app.task(name="practice.broken", shared=False)
def broken(*args: Any) -> None:
    raise ValueError("broken on purpose")


@app.task(name="practice.endless", shared=False)
def endless(*args: Any) -> None:
    begun.set()
    while not go_on.is_set():
        pass


@pytest.fixture(scope="module")
def lab() -> Iterator[labkit.Lab]:
    labkit.stop()
    yield labkit.start(app, slots=2)
    go_on.set()
    labkit.stop()


@pytest.fixture(autouse=True)
def exercises(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Three tiny exercises, and a folder of one's own for what is done."""
    practice.progress()  # imports the exercises of all lessons, which happens once
    monkeypatch.setattr(practice, "_exercises", {})
    monkeypatch.setattr(practice, "_hinted", Counter())
    monkeypatch.setattr(practice, "_refused", Counter())
    monkeypatch.chdir(tmp_path)

    @exercise("97.1", "Double", "vague", "plain")
    def double(answer: Any, trial: Trial) -> None:
        for _ in range(2):
            n = trial.random.randint(1, 99)
            signature = trial.call(answer, n)
            run = trial.run(signature)
            trial.expect_value(run, 2 * n, f"n={n}")
        trial.expect(len(run.plan.nodes) == 1, "one task is enough", 1, len(run.plan.nodes), got=run.graph)

    @exercise("97.2", "Two steps")
    def two_steps(answer: Any, trial: Trial) -> None:
        run = trial.run(answer)
        trial.expect(trial.calls(run) == ["add", "add"], "two steps run", ["add", "add"], trial.calls(run))

    @exercise("97.3", "A number")
    def number(answer: Any, trial: Trial) -> None:
        trial.expect(answer / 2 == 21, "it is the answer")


def right(n: int) -> Signature:
    return add.s(n, n)


def done() -> Any:
    path = Path(practice.PROGRESS)
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else None


# --- accepted ------------------------------------------------------------------------------------------------------


def test_a_right_answer_is_accepted_and_remembered(lab: labkit.Lab) -> None:
    verdict = labkit.check("97.1", right)
    assert verdict
    assert repr(verdict) == "✓ 97.1 accepted"
    assert done() == ["97.1"]
    assert verdict._repr_mimebundle_() == {"text/plain": "✓ 97.1 accepted"}
    assert labkit.check("97.1", right)
    assert labkit.check("97.3", 42)
    assert done() == ["97.1", "97.3"]


def test_any_way_to_do_it_is_right(lab: labkit.Lab) -> None:
    assert labkit.check("97.1", lambda n: add.si(n, n))
    assert labkit.check("97.1", lambda n: chain(add.s(n, n)))
    assert labkit.check("97.2", add.s(1, 1) | add.s(1))
    assert labkit.check("97.2", group(add.s(1, 1), add.s(1, 2)))


def test_a_solution_that_is_revealed_is_not_remembered(lab: labkit.Lab) -> None:
    assert repr(labkit.check("97.1", right, reveal=True)) == "✓ 97.1 accepted (the solution)"
    assert done() is None


# --- refused -------------------------------------------------------------------------------------------------------


def test_a_wrong_value_tells_input_expectation_and_what_happened(lab: labkit.Lab) -> None:
    verdict = labkit.check("97.1", lambda n: add.s(n, n + 1))
    assert not verdict
    first, expected, happened, hint = repr(verdict).splitlines()
    n = int(first.removeprefix("✗ 97.1 not yet. This must hold: the value is right for n="))
    assert (expected, happened) == (f"  expected  {2 * n}", f"  happened  {2 * n + 1}")
    assert hint == '  For a hint: labkit.hint("97.1")'
    assert done() is None
    bundle = verdict._repr_mimebundle_()
    assert bundle["text/plain"] == repr(verdict)
    assert "<svg" in bundle["text/html"]


def test_an_equal_value_of_another_type_is_not_the_value(lab: labkit.Lab) -> None:
    assert not labkit.check("97.1", lambda n: add.s(float(n), n))


def test_the_wrong_shape_is_refused_though_the_value_is_right(lab: labkit.Lab) -> None:
    verdict = labkit.check("97.1", lambda n: chain(add.s(n, 0), add.s(n)))
    assert (verdict.what, verdict.expected, verdict.happened) == ("one task is enough", "1", "2")


def test_a_task_that_fails(lab: labkit.Lab) -> None:
    verdict = labkit.check("97.1", lambda n: broken.s())
    assert verdict.happened == "ValueError: broken on purpose"
    assert not labkit.check("97.2", chain(broken.s(), add.s(1)))


def test_no_answer_yet(lab: labkit.Lab) -> None:
    verdict = labkit.check("97.1", ...)
    assert (verdict.what, verdict.expected) == ("there is no answer yet", "your own code in place of ...")
    for answer in (lambda n: ..., lambda n: None):
        assert labkit.check("97.1", answer).what == "the answer gives a signature"
    assert labkit.check("97.2", None).what == "the answer gives a signature"


def test_what_was_sent_already_or_is_no_signature(lab: labkit.Lab) -> None:
    assert "it has been sent already" in labkit.check("97.1", lambda n: add.delay(n, n)).happened
    assert "not a signature" in labkit.check("97.1", lambda n: 2 * n).happened
    assert "not a signature" in labkit.check("97.2", lambda: add.s(1, 1)).happened


def test_what_is_no_function(lab: labkit.Lab) -> None:
    answers: list[Any] = [3, "text", {}, [right]]
    for answer in answers:
        assert labkit.check("97.1", answer).what == "the answer is a function"


def test_a_function_that_raises_or_has_other_parameters(lab: labkit.Lab) -> None:
    def raises(n: int) -> None:
        raise KeyError("typo")

    assert labkit.check("97.1", raises).happened == "KeyError: 'typo'"
    assert "positional argument" in labkit.check("97.1", lambda: add.s(1, 1)).happened
    assert "SystemExit" in labkit.check("97.1", lambda n: exit(3)).happened


def test_what_cannot_be_sent(lab: labkit.Lab) -> None:
    assert "cannot be sent as json" in labkit.check("97.1", lambda n: add.s({n}, {n})).happened
    assert "no task 'nobody'" in labkit.check("97.1", lambda n: Signature("nobody", app=app)).happened


def test_a_shape_that_the_check_did_not_think_of(lab: labkit.Lab) -> None:
    verdict = labkit.check("97.3", "forty-two")
    assert not verdict
    assert verdict.what == "the answer has the shape that is asked for"
    assert verdict.happened.startswith("TypeError")


def test_markup_in_an_answer_is_shown_not_run(lab: labkit.Lab) -> None:
    verdict = labkit.check("97.1", lambda n: add.s("<script>", "</script>"))
    shown = verdict._repr_mimebundle_()["text/html"]
    assert "<script>" not in shown
    assert "&lt;script&gt;" in shown


# --- what does not end ---------------------------------------------------------------------------------------------


def test_a_function_that_does_not_end_is_only_reported(lab: labkit.Lab) -> None:
    def never(n: int) -> None:
        while True:
            pass

    began = time.monotonic()
    verdict = labkit.check("97.1", never)
    assert time.monotonic() - began < 5
    assert verdict.what == "building comes to an end"
    assert not [thread for thread in threading.enumerate() if thread.name == "answer"]


def test_a_task_that_does_not_end_takes_no_slot_for_ever(lab: labkit.Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(practice, "LIMIT", 0.4)
    for _ in range(lab.slots + 1):
        begun.clear()
        began = time.monotonic()
        verdict = labkit.check("97.2", endless.s())
        assert time.monotonic() - began < 5
        assert verdict.what == "it comes to an end"
        assert "#1 endless()" in verdict.happened
    monkeypatch.setattr(practice, "LIMIT", 5.0)
    assert labkit.check("97.1", right)


# --- the rest ------------------------------------------------------------------------------------------------------


def test_hints_go_from_vague_to_plain() -> None:
    assert [labkit.hint("97.1") for _ in range(3)] == ["hint 1 of 2: vague", *["hint 2 of 2: plain"] * 2]
    assert labkit.hint("97.2").startswith("no hint")


@pytest.mark.parametrize("id", ["97.9", "nothing", "", "../x", 97.1, None])
def test_an_exercise_that_there_is_not(id: Any, lab: labkit.Lab) -> None:
    for ask in (lambda: labkit.check(id, right), lambda: labkit.hint(id)):
        with pytest.raises(LabError, match="there is no exercise"):
            ask()


def test_progress_is_shown_and_forgotten(lab: labkit.Lab) -> None:
    labkit.check("97.2", add.s(1, 1) | add.s(1))
    assert "lesson 97  ○●○  1 of 3" in labkit.progress().splitlines()
    assert "lesson 97  ○○○  0 of 3" in labkit.progress(reset=True).splitlines()
    assert done() is None
    labkit.progress(reset=True)


@pytest.mark.parametrize("text", ["", "no json", "{}", "3", '["97.2", 5]', "\x00"])
def test_a_progress_file_that_somebody_has_written_into(text: str, lab: labkit.Lab) -> None:
    Path(practice.PROGRESS).write_text(text, encoding="utf-8")
    assert "lesson 97" in labkit.progress()
    assert labkit.check("97.1", right)
    assert "97.1" in done()


def test_a_progress_file_that_cannot_be_written(lab: labkit.Lab) -> None:
    Path(practice.PROGRESS).mkdir()
    assert labkit.check("97.1", right)


def test_without_a_running_lab_it_says_so(lab: labkit.Lab) -> None:
    lab.pause()
    with pytest.raises(LabError, match=r"the lab is paused.*lab\.resume\(\) first"):
        labkit.check("97.1", right)
    lab.resume()
    assert labkit.check("97.1", right)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("labkit.lab._current", None)
        with pytest.raises(LabError, match=r"labkit\.start\(\)"):
            labkit.check("97.1", right)


def test_in_a_cell_with_a_running_loop(lab: labkit.Lab) -> None:
    async def cell() -> Any:
        return labkit.check("97.1", right)

    assert asyncio.run(cell())


def test_an_answer_may_use_the_lab_itself(lab: labkit.Lab) -> None:
    def careful(n: int) -> Signature:
        assert add.delay(n, n).get(timeout=2) == 2 * n
        assert labkit.run(add.s(n, n)).get(timeout=2) == 2 * n
        return add.s(n, n)

    assert labkit.check("97.1", careful)


def test_the_check_has_inputs_of_its_own(lab: labkit.Lab) -> None:
    seen: set[int] = set()

    def learns(n: int) -> Signature:
        seen.add(n)
        return add.s(n, n)

    for _ in range(6):
        assert labkit.check("97.1", learns)
    assert len(seen) > 1


def test_the_picture_of_what_is_wanted_comes_late(lab: labkit.Lab) -> None:
    """With the third refusal, or once the last hint was given; it can be half the answer."""

    def asked() -> bool:
        return labkit.check("97.4", lambda: None).wanted is not None

    @exercise("97.4", "Wanted", "vague", "plain")
    def check_wanted(answer: Any, trial: Trial) -> None:
        trial.refuse("it is right", wanted=labkit.plan(add.s(1, 1)))

    assert [asked(), asked(), asked()] == [False, False, True]
    practice._refused.clear()
    labkit.hint("97.4")
    assert not asked()
    labkit.hint("97.4")
    assert asked()
