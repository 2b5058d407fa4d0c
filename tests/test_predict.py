"""A prediction: asked, never waited for, laid beside what happened."""

import builtins
from typing import Any

import pytest

import labkit
from labkit.errors import LabError
from labkit.predict import Outcome, Prediction


@pytest.fixture
def which() -> Prediction:
    return labkit.predict("Which one?", ["first", "second", 3])


@pytest.fixture
def in_what_order() -> Prediction:
    return labkit.predict("In what order?", ["a", "b", "c"], order=True)


def test_it_shows_question_and_choices(which: Prediction, in_what_order: Prediction) -> None:
    assert repr(which) == "Predict: Which one?\n  ▢ first\n  ▢ second\n  ▢ 3"
    assert repr(in_what_order) == "Predict: In what order?\n  ↕ a\n  ↕ b\n  ↕ c"


def test_without_a_person_nothing_is_predicted_and_all_goes_on(which: Prediction, in_what_order: Prediction) -> None:
    assert (which.answer, in_what_order.answer) == (None, None)
    which._repr_mimebundle_()
    assert which.answer is None
    assert repr(which.against("second")) == "what happened: second\nyou predicted nothing"
    assert repr(in_what_order.against(["c", "a", "b"])) == "what happened: c → a → b\nyou predicted nothing"
    assert not which.against("second").right


def test_what_was_chosen_is_laid_beside_what_happened(which: Prediction) -> None:
    which._control()
    which._widget.value = "3"
    assert which.answer == "3"
    assert repr(which.against(3)) == "what happened: 3\nas you predicted"
    assert which.against(3).right
    assert repr(which.against("first")) == "what happened: first\nyou predicted: 3"
    assert not which.against("first").right


def test_an_order_is_compared_item_by_item(in_what_order: Prediction) -> None:
    in_what_order._control()
    in_what_order._widget.value = ["b", "a", "c"]
    assert in_what_order.answer == ["b", "a", "c"]
    assert in_what_order.against(("b", "a", "c")).right
    assert repr(in_what_order.against("abc")) == "what happened: a → b → c\nyou predicted: b → a → c"
    in_what_order._widget.value = ["b"]
    assert not in_what_order.against("bac").right


def test_an_order_is_made_by_clicking(in_what_order: Prediction) -> None:
    in_what_order._control()
    order = in_what_order._widget
    order.again.click()
    assert order.value == []
    for item in ("c", "a", "c"):
        order.buttons[item].click()
    assert in_what_order.answer == ["c", "a"]
    assert [item for item, button in order.buttons.items() if button.button_style] == ["a", "c"]
    assert order._shown.value == "c → a"
    order.again.click()
    assert order.value == []
    assert in_what_order.against("abc").predicted is None
    assert not any(button.button_style or button.disabled for button in order.buttons.values())


def test_a_choice_survives_being_shown_again(which: Prediction) -> None:
    which._control()
    which._widget.value = "second"
    which._repr_mimebundle_()
    assert which.answer == "second"


def test_shown_it_is_a_widget_and_text(which: Prediction, in_what_order: Prediction) -> None:
    for prediction in (which, in_what_order):
        bundle = prediction._repr_mimebundle_()
        assert bundle["text/plain"] == repr(prediction)
        assert bundle["application/vnd.jupyter.widget-view+json"]["model_id"]


def test_without_widgets_it_is_text(which: Prediction, monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def no_widgets(name: str, *args: Any, **kwargs: Any) -> Any:
        if name.startswith("ipywidgets"):
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", no_widgets)
    assert which._repr_mimebundle_() == {"text/plain": repr(which)}


def test_markup_in_a_question_is_shown_not_run() -> None:
    box = labkit.predict("<img src=x onerror=alert(1)>", ["a", "b"])._control()
    assert box.children[0].value == "<b>Predict.</b> &lt;img src=x onerror=alert(1)&gt;"


@pytest.mark.parametrize("choices", [[], ["one"], ()])
def test_fewer_than_two_choices_are_refused(choices: Any) -> None:
    with pytest.raises(LabError, match="at least two choices"):
        labkit.predict("Which one?", choices)


def test_an_outcome_is_right_when_both_are_the_same() -> None:
    assert Outcome("a", "a").right
    assert not Outcome(None, "a").right
    assert not Outcome(["a", "b"], ["b", "a"]).right
