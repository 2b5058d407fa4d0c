"""How fast a lab goes: pause, step, resume, slow motion. The part of `Lab` that closes and opens the gate."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Final
from weakref import WeakMethod

from celery import Celery

from labkit.errors import LabError
from labkit.faults import Faults
from labkit.gate import Gate
from labkit.listen import Listener
from labkit.record import Fact, Recording, snapshot

#: How long a step waits for messages that were sent past the lab, in seconds.
APART: Final = 0.2


def _came(fact: Fact) -> str:
    """What a fact says came of it: a value, an error, or what was printed or logged."""
    return next(
        (str(snapshot(fact[name], 60)) for name in ("value", "error", "text") if fact.get(name) is not None), ""
    )


class Told(list[Fact]):
    """Facts, shown in a line each: what happened, to which task, and what came of it."""

    def __init__(self, facts: list[Fact], names: Mapping[str, str]) -> None:
        super().__init__(facts)
        self._names = names

    def __repr__(self) -> str:
        if not self:
            return "nothing is held"
        lines = [(fact["kind"], self._names.get(fact["id"], ""), _came(fact)) for fact in self]
        wide = max(len(name) for _, name, _ in lines)
        return "\n".join(f"{kind:<10} {name:<{wide}} {came}".rstrip() for kind, name, came in lines)


class Pace:
    """A lab's pace. `Lab` brings the gate, the listener, the faults, and whether it runs."""

    gate: Gate
    listener: Listener
    faults: Faults
    running: bool
    slots: int
    app: Celery
    _watchers: tuple[WeakMethod[Callable[[], None]], ...] = ()

    def active(self) -> list[Recording]:
        """The recordings of runs that are not over."""
        raise NotImplementedError

    def _check(self) -> None:
        """Raise ``LabError`` if the lab cannot be used."""
        raise NotImplementedError

    def _check_running(self) -> None:
        if not self.running:
            raise LabError("the lab has stopped. Start it again: lab = labkit.start()")

    @property
    def paused(self) -> bool:
        """Whether the gate is closed: tasks that are received are held."""
        return self.gate.closed

    def watch(self, told: Callable[[], None]) -> None:
        """Call ``told``, a method that is held weakly, when the lab is paused, resumed, slowed down or stopped.

        It is called in whichever thread does that.
        """
        others = (each for each in self._watchers if each() not in (None, told))
        self._watchers = (*others, WeakMethod(told))

    def _tell(self) -> None:
        for each in self._watchers:
            if (told := each()) is not None:
                with suppress(Exception):  # a view that breaks must not keep anybody from pausing the lab
                    told()

    def pause(self) -> None:
        """Hold every task from now on. Tasks that run finish; the clocks of countdowns run on."""
        self._check()
        self.gate.close()
        self._tell()

    def resume(self) -> None:
        """Let all held tasks go, in the order in which they came."""
        self._check()
        self.gate.open()
        self._tell()

    def step(self, timeout: float = 5.0, *, message: bool = False) -> list[Fact]:
        """Release the oldest held task, wait at most ``timeout`` seconds until it has ended, and return what happened.

        With ``message`` it goes as far as the next message it sends, and stands still behind that until the next step.
        Returns an empty list if nothing is held. Raises ``LabError`` if the lab is not paused.
        """
        self._check()
        if not self.paused:
            raise LabError("the lab is not paused, so there is nothing to step through. Call lab.pause() first.")
        until = time.monotonic() + timeout
        self._quiet(min(until, time.monotonic() + timeout / 2))
        held = (*self.gate.between, *self.gate.held)
        if not held:
            return Told([], {})
        recording = self.listener.recording_of(held[0])
        before = len(recording.facts)
        if self.gate.release(held[0], message=message) is not None:
            self.gate.wait_ended(held[0], max(timeout / 2, until - time.monotonic()))
            self._quiet(until)
        names = {fact["id"]: fact["task"] for fact in recording.facts if fact["kind"] == "published"}
        return Told(recording.facts[before:], names)

    def _quiet(self, until: float) -> None:
        """Wait until every message that can come now is held, or as many as the worker fetches at a time."""
        fetched = self.slots * int(self.app.conf.worker_prefetch_multiplier or 1)
        apart = time.monotonic() + APART
        while time.monotonic() < until:
            held = self.gate.held
            here = {*held, *self.gate.running}
            coming = {id for recording in self.active() for id in recording.coming}
            # Of messages that were sent past the lab nobody knows for sure that they will come.
            if not held and time.monotonic() < apart:
                coming |= set(self.listener.apart.coming)
            if len(held) >= fetched or coming <= here:
                return
            self.gate.wait_change(0.02)

    def slow(self, seconds: float) -> None:
        """Slow motion: each task waits ``seconds`` before it runs; 0 ends it."""
        self._check()
        self.gate.delay = max(0.0, float(seconds))
        self._tell()

    def reset(self) -> None:
        """Undo all faults, end slow motion, and open the gate."""
        self._check_running()
        self.faults.reset()
        self.slow(0)
        self.resume()

    def refuse_when_paused(self) -> None:
        """Raises ``LabError`` if the lab is paused: a blocking wait could never return."""
        if self.running and self.paused:
            raise LabError(
                "the lab is paused, so this could never return. Call lab.resume(), or lab.step(), or await it."
            )
