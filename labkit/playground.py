"""Controls over a function that returns a signature: its plan as they change, and buttons to run it."""

from __future__ import annotations

import asyncio
import contextvars
import html
import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from labkit.draw import Drawing
from labkit.errors import LabError
from labkit.lab import Lab, current, running
from labkit.plan import plan
from labkit.run import Run


@dataclass(frozen=True)
class Cost:
    """What a run has cost so far: messages sent, bodies called, seconds in which tasks waited, and ran.

    These are sums over all tasks; ``total`` is how many seconds passed from the first message to the last end.
    """

    messages: int
    calls: int
    waiting: float
    running: float
    total: float = 0.0

    def __str__(self) -> str:
        counted = " · ".join(
            f"{many} {what}{'' if many == 1 else 's'}"
            for many, what in ((self.messages, "message"), (self.calls, "call"))
        )
        return (
            f"{counted} · {self.total:.2f} s in all (tasks: {self.waiting:.2f} s waiting, {self.running:.2f} s running)"
        )


def cost(run: Run) -> Cost:
    """The `Cost` of a run; an item of a map is a call without a message."""
    nodes = list(run.graph.nodes.values())
    items = sum(node.role == "map" and node.state == "succeeded" for node in nodes)
    maps = sum(node.task in ("celery.map", "celery.starmap") and node.state == "succeeded" for node in nodes)
    return Cost(
        messages=sum(fact["kind"] == "published" for fact in run.recording.facts),
        calls=sum(len(node.attempts) for node in nodes) + items - maps,
        waiting=sum(max(0.0, node.started - node.sent) for node in nodes if node.started and node.sent),
        running=sum(attempt.seconds or 0.0 for node in nodes for attempt in node.attempts),
        total=max((node.finished for node in nodes if node.finished), default=0.0)
        - min((node.sent for node in nodes if node.sent and node.finished), default=0.0),
    )


class Playground:
    """Made by `playground`. ``controls`` are the widgets by name, ``runs`` what was run so far, in order."""

    def __init__(self, build: Callable[..., Any], controls: dict[str, Any]) -> None:
        try:
            import ipywidgets

            from labkit.view.kept import Kept
        except ImportError:
            raise LabError("a playground needs ipywidgets: pip install 'celery-labkit[jupyter]'") from None
        self.build = build
        self.runs: list[Run] = []
        self.controls = {name: _control(ipywidgets, name, value) for name, value in controls.items()}
        self._loop = _running_loop()
        self._context = contextvars.copy_context()
        self._timer: asyncio.TimerHandle | None = None
        self._followed: Run | None = None
        self._drawn: tuple[Run, int, str] | None = None
        self._lab: Lab | None = None
        self._picture = ipywidgets.HTML()
        self._meter = ipywidgets.Label()
        self._buttons = {
            label: ipywidgets.Button(description=label, tooltip=tip, disabled=label in ("Step", "Replay"))
            for label, tip in (
                ("Run", "send it now"),
                ("Pause", "hold every task from now on, or let all that are held go"),
                ("Step", "let the oldest held task run"),
                ("Replay", "show the last run again, task by task"),
            )
        }
        for label, act in (("Run", self.run), ("Pause", self._pause), ("Step", self._step), ("Replay", self._replay)):
            self._buttons[label].on_click(lambda _, act=act: self._safely(act))
        for control in self.controls.values():
            control.observe(lambda _: self.show_plan(), names="value")
        self.widget = ipywidgets.VBox(
            [*self.controls.values(), ipywidgets.HBox(list(self._buttons.values())), self._meter, self._picture]
        )
        self._kept = Kept(of=self.widget.model_id, picture={"text/plain": repr(self)})
        if running() is not None:
            self._attend()
        self.show_plan()

    @property
    def values(self) -> dict[str, Any]:
        """What the controls are set to."""
        return {name: control.value for name, control in self.controls.items()}

    def show_plan(self) -> None:
        """Draw the plan of what the controls are set to; a run goes on unseen, until a button asks for it."""
        self._rest()
        self._safely(self._draw_plan)

    def _draw_plan(self) -> None:
        drawing = Drawing(plan(self.build(**self.values)))
        self._show(drawing, "not sent yet")
        self._keep(drawing)

    def run(self) -> Run:
        """Send it; the picture follows, and the kernel stays free. Runs that are started quickly keep their order.

        Raises ``LabError`` if no lab runs or it cannot be sent (a click shows it in place).
        """
        run = self._attend().run(self.build(**self.values))
        self._rest()
        self.runs.append(run)
        self._buttons["Replay"].disabled = False
        self._keep(Drawing(run.plan))
        self._follow()
        return run

    # --- the lab and the last run, as they are --------------------------------------------------------------

    def _attend(self) -> Lab:
        """The lab that runs now: whoever pauses it, the buttons say so."""
        lab = current()
        self._loop = _running_loop() or self._loop
        if lab is not self._lab:
            self._lab = lab
            lab.watch(self._changed)
            self._show_lab()
        return lab

    def _changed(self) -> None:
        self._soon(self._show_lab)

    def _show_lab(self) -> None:
        paused = self._lab is not None and self._lab.running and self._lab.paused
        self._buttons["Pause"].description = "Resume" if paused else "Pause"
        self._buttons["Pause"].tooltip = "the lab is paused: nothing starts until you press this" if paused else ""
        self._buttons["Pause"].button_style = "warning" if paused else ""
        self._buttons["Step"].disabled = not paused
        self._look()

    def _follow(self) -> None:
        """Show the last run from now on, until it is over."""
        self._rest()
        if self.runs and self._loop is not None and not self._loop.is_closed():
            self._followed = self.runs[-1]
            self._followed.recording.listen(self._heard)
            self._look()

    def _heard(self, fact: dict[str, Any]) -> None:
        if fact["kind"] == "over":
            self._soon(self._look)

    def _look(self) -> None:
        """Show the run that is followed as it is; a few times a second, until it or the lab has ended."""
        run = self._followed
        if run is None:
            return
        lab, over = run.lab, run.over
        number = f"run {len(self.runs)}" if len(self.runs) > 1 else "run"
        state = "over" if over else "the lab has stopped" if not lab.running else "paused" if lab.paused else "running"
        drawn = (run, len(run.recording.facts), state)
        if drawn != self._drawn:
            drawing = Drawing(run.graph)
            self._show(drawing, f"{number}: {state} · {cost(run)}")
            self._drawn = drawn
            if over:
                self._keep(drawing)
        if over or not lab.running:
            self._rest()
        else:
            self._later(0.2, self._look)

    def _rest(self) -> None:
        """Follow and replay nothing any more."""
        self._followed = self._drawn = None
        for each in self.runs:
            each.recording.ignore(self._heard)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _later(self, seconds: float, act: Callable[..., None], *given: Any) -> None:
        """One thing at a time is going to be done."""
        if self._timer is not None:
            self._timer.cancel()
        if self._loop is not None and not self._loop.is_closed():
            self._timer = self._loop.call_later(seconds, act, *given, context=self._context)

    def _soon(self, act: Callable[[], None]) -> None:
        """Do it in the kernel's loop, in whichever thread this is."""
        if self._loop is None or self._loop is _running_loop():
            act()
        elif not self._loop.is_closed():
            self._loop.call_soon_threadsafe(act, context=self._context)

    # --- buttons --------------------------------------------------------------------------------------------

    def _pause(self) -> None:
        lab = self._attend()
        if self._buttons["Pause"].description == "Resume":
            lab.resume()
        else:
            lab.pause()
        self._show_lab()
        self._follow_what_goes_on()

    def _step(self) -> None:
        self._attend().gate.release()
        self._follow_what_goes_on()

    def _follow_what_goes_on(self) -> None:
        if self.runs and not self.runs[-1].over:
            self._follow()

    def _replay(self) -> None:
        """Show the record of the last run, one start or end of a task after the other."""
        self._rest()
        facts = self.runs[-1].recording.facts
        turns = [n + 1 for n, fact in enumerate(facts) if fact["kind"] in ("started", "succeeded", "failed", "retried")]
        self._turn(self.runs[-1], [*turns, len(facts)])

    def _turn(self, run: Run, turns: list[int]) -> None:
        from labkit.happened import fold

        self._show(Drawing(fold(run.plan, run.recording.facts[: turns[0]])), f"replay · {cost(run)}")
        if turns[1:]:
            self._later(0.4, self._turn, run, turns[1:])
        else:
            self._timer = None
            self._follow_what_goes_on()

    def _show(self, drawing: Drawing, said: str) -> None:
        self._picture.value = drawing.svg
        self._meter.value = said

    def _keep(self, drawing: Drawing) -> None:
        """What is saved in place of the playground: states only once all is over."""
        self._kept.picture = drawing._repr_mimebundle_() | {"text/plain": repr(self)}

    def _safely(self, act: Callable[[], object]) -> None:
        """A click has nobody to raise to: the error is shown in place."""
        try:
            act()
        except Exception as error:
            self._rest()
            self._meter.value = "not run"
            self._picture.value = f"<pre>{html.escape(f'{type(error).__name__}: {error}')}</pre>"

    def __repr__(self) -> str:
        shown = ", ".join(f"{name}={value!r}" for name, value in self.values.items())
        return f"playground of {getattr(self.build, '__name__', 'a function')}({shown})"

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:
        view = self.widget._repr_mimebundle_() or {}
        mime = "application/vnd.jupyter.widget-view+json"
        return {**self._kept.picture} | ({mime: view[mime]} if mime in view else {})


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


def playground(build: Callable[..., Any], **controls: Any) -> Playground:
    """Controls over a function that returns a signature: ``playground(build, n=range(1, 50))``.

    A control is made of what is given for an argument: a ``range`` or a pair of floats is a slider, a list a choice,
    a text a text field, ``True`` or ``False`` a check box, a number a field; an argument with a default needs none.
    Raises ``LabError`` if the function has other arguments, or a control cannot be made of what is given.
    """
    if not callable(build):
        raise LabError(f"playground needs a function that returns a signature, not {type(build).__name__}.")
    parameters = inspect.signature(build).parameters
    unknown = [name for name in controls if name not in parameters]
    if unknown:
        raise LabError(f"{build.__name__}() has no argument {unknown[0]!r}; it has {', '.join(parameters) or 'none'}.")
    given = {
        name: controls.get(name, parameter.default)
        for name, parameter in parameters.items()
        if name in controls or parameter.default is not inspect.Parameter.empty
    }
    missing = [name for name in parameters if name not in given]
    if missing:
        raise LabError(f"give a control for {missing[0]!r}, such as {missing[0]}=range(1, 10).")
    return Playground(build, given)


def _control(ipywidgets: Any, name: str, value: Any) -> Any:
    if isinstance(value, bool):
        return ipywidgets.Checkbox(value=value, description=name)
    if isinstance(value, range) and len(value):
        low, high = min(value), max(value)
        return ipywidgets.IntSlider(value=value[0], min=low, max=high, step=abs(value.step), description=name)
    if isinstance(value, tuple) and len(value) in (2, 3) and all(isinstance(each, int | float) for each in value):
        step = value[2] if len(value) == 3 else (value[1] - value[0]) / 20
        return ipywidgets.FloatSlider(value=value[0], min=value[0], max=value[1], step=step, description=name)
    if isinstance(value, int):
        return ipywidgets.IntText(value=value, description=name)
    if isinstance(value, float):
        return ipywidgets.FloatText(value=value, description=name)
    if isinstance(value, str):
        return ipywidgets.Text(value=value, description=name, continuous_update=False)
    if isinstance(value, Sequence) and value:
        return ipywidgets.Dropdown(options=list(value), description=name)
    raise LabError(
        f"no control can be made of {name}={value!r}: give a range, a list, a pair, a text, a number or a bool."
    )
