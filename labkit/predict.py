"""A question before a run; afterwards the answer is what the run did, laid beside what was predicted."""

from __future__ import annotations

import html
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from labkit.errors import LabError


class _Order:
    """A button for each item, to be clicked in an order; ``value`` is the items clicked so far.

    Not ``ipywidgets.TagsInput``: it takes no tag in JupyterLab when it begins with none.
    """

    def __init__(self, items: Sequence[str]) -> None:
        import ipywidgets  # loads when the first question is shown

        def button(text: str, clicked: Callable[[], None]) -> Any:
            made = ipywidgets.Button(description=text, layout={"width": "max-content"})
            made.on_click(lambda _: clicked())
            return made

        self.buttons = {item: button(item, partial(self._add, item)) for item in items}
        self.again = button("start over", partial(self._set, []))
        self._shown = ipywidgets.Label()
        self.box = ipywidgets.VBox([ipywidgets.HBox([*self.buttons.values(), self.again]), self._shown])
        self._set([])

    @property
    def value(self) -> list[str]:
        return self._value

    @value.setter
    def value(self, items: Sequence[str]) -> None:
        self._set(items)

    def _add(self, item: str) -> None:
        if item not in self._value:
            self._set([*self._value, item])

    def _set(self, items: Sequence[str]) -> None:
        self._value = list(items)
        for item, each in self.buttons.items():
            # Not disabled: a button that is takes the keyboard's focus away from the notebook.
            each.button_style = "success" if item in self._value else ""
        self._shown.value = " → ".join(self._value)


class Prediction:
    """A question with choices, or with items to bring into an order. Made by `predict`.

    ``answer`` is what the learner chose, ``None`` until then. Nothing waits for it.
    """

    def __init__(self, question: str, choices: Sequence[str], order: bool) -> None:
        self.question, self.choices, self.order = question, [str(choice) for choice in choices], order
        self._widget: Any = None

    @property
    def answer(self) -> str | list[str] | None:
        """The choice (or the order) made so far."""
        if self._widget is None or not self._widget.value:
            return None
        return list(self._widget.value) if self.order else str(self._widget.value)

    def against(self, happened: Any) -> Outcome:
        """Lay the prediction beside what happened: a value from the run (for an order: a sequence of items)."""
        shown = [str(item) for item in happened] if self.order else str(happened)
        return Outcome(self.answer, shown)

    def __repr__(self) -> str:
        mark = "▢" if not self.order else "↕"
        return "\n".join([f"Predict: {self.question}", *(f"  {mark} {choice}" for choice in self.choices)])

    def _control(self) -> Any:
        import ipywidgets  # loads when the first question is shown

        if self._widget is None:
            if self.order:
                self._widget = _Order(self.choices)
            else:
                self._widget = ipywidgets.RadioButtons(
                    options=self.choices, value=None, layout={"width": "max-content"}
                )
        how = "<br>Click them in their order." if self.order else ""
        label = ipywidgets.HTML()
        label.value = f"<b>Predict.</b> {html.escape(self.question)}{how}"
        return ipywidgets.VBox([label, self._widget.box if self.order else self._widget])

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:
        bundle: dict[str, Any] = {"text/plain": repr(self)}
        try:
            view = self._control()._repr_mimebundle_()
        except ImportError:
            return bundle
        mime = "application/vnd.jupyter.widget-view+json"
        return bundle | {mime: view[mime]} if mime in view else bundle


class Outcome:
    """A prediction and what happened."""

    def __init__(self, predicted: str | list[str] | None, happened: str | list[str]) -> None:
        self.predicted, self.happened = predicted, happened

    @property
    def right(self) -> bool:
        """Whether it happened as predicted."""
        return self.predicted == self.happened

    def __repr__(self) -> str:
        happened = _line(self.happened)
        if self.predicted is None:
            return f"what happened: {happened}\nyou predicted nothing"
        verdict = "as you predicted" if self.right else f"you predicted: {_line(self.predicted)}"
        return f"what happened: {happened}\n{verdict}"


#: The questions asked in this process: shown again, a question keeps its answer.
_asked: dict[tuple[str, tuple[str, ...], bool], Prediction] = {}


def predict(question: str, choices: Sequence[Any], *, order: bool = False) -> Prediction:
    """Ask before a run: one of ``choices``, or with ``order=True`` the order in which they will come.

    Shown as a widget that nothing waits for; without a person the notebook runs on. Afterwards
    ``prediction.against(what_the_run_did)`` lays both side by side. Asked again, a question keeps the answer it has.
    Raises ``LabError`` if there are fewer than two choices.
    """
    if len(choices) < 2:
        raise LabError("a prediction needs at least two choices.")
    asked = (question, tuple(str(choice) for choice in choices), order)
    return _asked.setdefault(asked, Prediction(question, asked[1], order))


def _line(value: str | list[str]) -> str:
    return value if isinstance(value, str) else " → ".join(value)
