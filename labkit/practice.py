"""Exercises and their checks: an answer is run on fresh inputs, and judged by what the record says it did."""

from __future__ import annotations

import ctypes
import importlib
import json
import random
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from celery.result import ResultBase

from labkit.errors import LabError
from labkit.exercises.slips import NOT_JSON, plainly, slip, unregistered
from labkit.graph import Graph
from labkit.lab import Lab, current
from labkit.plan import plan
from labkit.run import Run
from labkit.verdict import NO_ANSWER, Refused, Verdict

#: No check lasts longer, in seconds, whatever the answer does.
LIMIT: Final = 5.0
YOUR_OWN: Final = ("your own code in place of ...",)
INSTEAD: Final = "what .s(…) or chain(…) gives, without .delay() or brackets behind it"

#: Where a learner's progress is kept: in the folder of the notebooks that are worked on.
PROGRESS: Final = ".labkit-progress.json"


class _Late(BaseException):
    """Raised in the thread of an answer that does not come back."""


@dataclass
class Exercise:
    """One exercise: its ``id`` (``"07.2"``), a ``title``, hints from vague to plain, and the check of an answer."""

    id: str
    title: str
    hints: tuple[str, ...]
    check: Callable[[Any, Trial], None]


_exercises: dict[str, Exercise] = {}
_hinted: Counter[str] = Counter()
_refused: Counter[str] = Counter()
_random: Final = random.Random()

#: With this refusal of an exercise, or once its last hint was given, the picture of what is wanted comes too.
_SHOWN: Final = 3


def exercise(id: str, title: str, *hints: str) -> Callable[[Callable[[Any, Trial], None]], Exercise]:
    """Decorator: the function checks an answer with a `Trial`, and raises `Refused` (through it) if it is not right."""

    def add(check: Callable[[Any, Trial], None]) -> Exercise:
        _exercises[id] = Exercise(id, title, hints, check)
        return _exercises[id]

    return add


@dataclass
class Trial:
    """What a check works with: the lab, random numbers of its own, and the time that is left."""

    lab: Lab
    until: float
    fresh: bool = False

    @property
    def random(self) -> random.Random:
        """Where fresh inputs come from."""
        self.fresh = True
        return _random

    @property
    def left(self) -> float:
        """Seconds that are left."""
        return max(0.1, self.until - time.monotonic())

    def refuse(self, what: str, expected: Any = "", happened: Any = "", **graphs: Graph) -> None:
        """Raise `Refused`."""
        raise Refused(what, str(expected), str(happened), **graphs)

    def unanswered(self) -> None:
        """Raise `Refused`: the exercise has not been begun."""
        self.refuse(NO_ANSWER, *YOUR_OWN)

    def expect(self, holds: bool, what: str, expected: Any = "", happened: Any = "", **graphs: Graph) -> None:
        """Refuse the answer unless ``holds``."""
        if not holds:
            self.refuse(what, expected, happened, **graphs)

    def call(self, function: Any, *args: Any, **kwargs: Any) -> Any:
        """Call the learner's function in a thread, so that an endless loop in it is only reported."""
        if not callable(function):
            self.refuse("the answer is a function", "something to call, made with def", _type(function))
        out: list[Any] = []
        error: list[BaseException] = []

        app, backend = self.lab.app, self.lab.app.backend

        def target() -> None:
            app._backend = backend  # one of its own would leave its connection open when the thread ends
            try:
                out.append(function(*args, **kwargs))
            except BaseException as raised:
                error.append(raised)

        thread = threading.Thread(target=target, daemon=True, name="answer")
        self.lab.app.set_current()
        thread.start()
        thread.join(min(2.0, self.left))
        if thread.is_alive():
            ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread.ident or 0), ctypes.py_object(_Late))
            thread.join(0.2)
            self.refuse("building comes to an end", "your function returns at once", "it was still running after 2 s")
        if error:
            said = f"{type(error[0]).__name__}: {error[0]}"
            if known := slip(error[0]):
                self.refuse(*known, said)
            shown = ", ".join([*map(repr, args), *(f"{k}={v!r}" for k, v in kwargs.items())])
            self.refuse("your function raises no error", f"it returns something for ({shown})", said)
        return out[0]

    def plan(self, signature: Any, instead: str = INSTEAD) -> Graph:
        """The plan of a signature; the answer is refused if it is none. ``instead`` is what is better than a result."""
        what = "the answer gives a signature"
        if signature is ... or signature is None:
            self.refuse(what, "a canvas, not sent yet", repr(signature))
        if isinstance(signature, ResultBase):
            self.refuse(what, f"{instead}; the check sends it", "a result: it has been sent already")
        try:
            graph = plan(signature)
        except LabError as error:
            self.refuse(what, "a canvas, not sent yet", plainly(error))
        # Celery makes a signature of anything that stands in a header.
        strange: list[Any] = [node.task for node in graph.nodes.values() if not isinstance(node.task, str)]
        if strange:
            self.refuse("the parts of a canvas are signatures", "task.s(…), which calls nothing", f"{strange[0]!r:.60}")
        return graph

    def send(self, signature: Any) -> Run:
        """Send a signature; the answer is refused if it cannot be sent."""
        names = self.lab.app.tasks
        for node in self.plan(signature).nodes.values():
            if node.role != "map" and node.task not in names:
                self.refuse("it can be sent", "the name of a registered task", unregistered(node.task, names))
        try:
            return self.lab.run(signature)
        except LabError as error:
            if known := slip(error.__cause__):
                self.refuse(*known, error)
            lacks = "required positional argument" in str(error)
            expected = "what starts has all its arguments" if lacks else "messages that Celery accepts"
            self.refuse("it can be sent", expected, error)
        raise AssertionError

    def run(self, signature: Any, *, timeout: float = 2.5) -> Run:
        """Send a signature and wait until all is over; the answer is refused if it cannot be sent or does not end."""
        run = self.send(signature)
        try:
            run.wait(timeout=min(timeout, self.left))
        except LabError as error:
            got = run.graph
            self.lab.gate.raise_in_running(seconds=0.3, only=run.recording.known)  # else it keeps its slot for ever
            self.refuse("it comes to an end", f"all done within {timeout:g} s", plainly(error), got=got)
        return run

    def value(self, run: Run) -> Any:
        """The value of a run, or the exception it ended with."""
        try:
            return run.get(timeout=self.left)
        except Exception as error:
            return error

    def expect_value(self, run: Run, right: Any, given: str = "", wanted: Graph | None = None) -> None:
        """Refuse the answer unless the run's value is ``right``; ``given`` names the inputs."""
        value = self.value(run)
        if type(value) is type(right) and value == right:
            return
        if type(value).__name__ == "EncodeError":
            raise Refused(*NOT_JSON, f"{type(value).__name__}: {value}", wanted, run.graph)
        shown = f"{type(value).__name__}: {value}" if isinstance(value, Exception) else repr(value)
        if isinstance(value, list) and any(type(each) is type(right) and each == right for each in value):
            shown += ", a list with the value in it"
        where = f" for {given}" if given else ""
        raise Refused(f"the value is right{where}", repr(right), shown, wanted, run.graph)

    def calls(self, run: Run, *, state: str = "succeeded") -> list[str]:
        """The short names of the tasks of a run that are in a state, in the order of the canvas."""
        return [node.task.rpartition(".")[2] for node in run.graph.nodes.values() if node.state == state]


def check(id: str, answer: Any, *, reveal: bool = False) -> Verdict:
    """Check the answer to an exercise, such as ``"07.2"``, by what it does on fresh inputs; takes 5 seconds at most.

    With ``reveal=True`` (the solution cells) no progress is recorded. Returns a `Verdict`.
    Raises ``LabError`` if there is no such exercise, or no lab is running.
    """
    found = _find(id)
    lab = current()
    if lab.paused:
        raise LabError("the lab is paused, so nothing would run. Call lab.resume() first.")
    if answer is ...:
        return Verdict(id, False, NO_ANSWER, *YOUR_OWN)
    trial = Trial(lab, time.monotonic() + LIMIT)
    try:
        found.check(answer, trial)
    except Refused as no:
        # The picture of what is wanted can be half the answer.
        _refused[id] += 1
        again = _refused[id] >= _SHOWN or bool(found.hints and _hinted[id] >= len(found.hints))
        fresh = trial.fresh and found.title == "put in order"
        return Verdict.refused(id, no, wanted=again, fresh=fresh)
    except Exception as error:  # an answer of a shape that the check did not think of: no right one
        return Verdict(
            id, False, "the answer has the shape that is asked for", happened=f"{type(error).__name__}: {error}"
        )
    if not reveal:
        _remember(id)
    return Verdict(id, True, revealed=reveal)


class Hint(str):
    """A hint, shown without quotes."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)


def hint(id: str) -> Hint:
    """The next hint for an exercise; the last one again when there are no more."""
    hints = _find(id).hints
    if not hints:
        return Hint("no hint: look at the run above the exercise once more")
    _hinted[id] = min(_hinted[id] + 1, len(hints))
    return Hint(f"hint {_hinted[id]} of {len(hints)}: {hints[_hinted[id] - 1]}")


def _find(id: str) -> Exercise:
    lesson = str(id).partition(".")[0]
    with suppress(ModuleNotFoundError):
        importlib.import_module(f"labkit.exercises.lesson_{lesson}")
    if id not in _exercises:
        known = ", ".join(sorted(each for each in _exercises if each.startswith(f"{lesson}.")))
        raise LabError(
            f"there is no exercise {id!r}. "
            + (f"This lesson has {known}." if known else "Give its number as text, '04.2'.")
        )
    return _exercises[id]


def _remember(id: str) -> None:
    done = done_exercises()
    if id not in done:
        try:
            Path(PROGRESS).write_text(json.dumps(sorted({*done, id})), encoding="utf-8")
        except OSError:  # a folder that cannot be written to: the verdict still stands
            return


def done_exercises() -> tuple[str, ...]:
    """The exercises accepted so far, from the file in the folder of the notebooks."""
    try:
        done = json.loads(Path(PROGRESS).read_text(encoding="utf-8"))
        return tuple(str(id) for id in done) if isinstance(done, list) else ()
    except (OSError, ValueError):
        return ()


def progress(*, reset: bool = False) -> str:
    """How many exercises of each lesson are done; ``reset=True`` forgets them."""
    if reset:
        Path(PROGRESS).unlink(missing_ok=True)
    folder = Path(__file__).with_name("exercises")
    for path in sorted(folder.glob("lesson_*.py")):
        importlib.import_module(f"labkit.exercises.{path.stem}")
    done = set(done_exercises())
    lessons = sorted({id.partition(".")[0] for id in _exercises})
    lines = []
    for lesson in lessons:
        ids = sorted(id for id in _exercises if id.startswith(f"{lesson}."))
        marks = "".join("●" if id in done else "○" for id in ids)
        lines.append(f"lesson {lesson}  {marks}  {sum(id in done for id in ids)} of {len(ids)}")
    return "\n".join(lines)


def _type(thing: Any) -> str:
    return f"{thing!r:.60} of type {type(thing).__name__}"
