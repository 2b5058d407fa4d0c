"""What the buttons of the view do to the lab; nothing here keeps the kernel waiting."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, Final

from labkit.errors import LabError

#: Slow motion as the button has it, in seconds.
SLOWEST: Final = 5.0


class Buttons:
    """The buttons of one run's view. ``tell`` sends an answer that comes later."""

    def __init__(self, run: Any, tell: Callable[[dict[str, Any]], None]) -> None:
        self._run, self._tell = run, tell
        self._steps = 0
        self._lock = threading.Lock()

    def state(self) -> dict[str, Any]:
        """What the buttons show."""
        lab = self._run.lab
        return {
            "running": lab.running,
            "paused": lab.running and lab.paused,
            "held": len(lab.gate.held) if lab.running else 0,
            "slow": lab.gate.delay,
            "tasks": sorted({node.task for node in self._run.recording.plan.nodes.values()}),
        }

    def press(self, asked: dict[str, Any]) -> dict[str, Any]:
        """Do what was asked; returns what is to be said at once. Raises ``LabError`` if it cannot be done."""
        lab = self._run.lab
        match asked:
            case {"do": "pause"}:
                lab.pause()
            case {"do": "resume"}:
                lab.resume()
            case {"do": "step"}:
                return self._step()
            case {"do": "slow", "seconds": int() | float() as seconds}:
                lab.slow(min(SLOWEST, seconds))
            case {"do": "why", "name": str(name)}:
                threading.Thread(target=self._why, args=(name,), name="labkit why", daemon=True).start()
            case {"do": "fault", "fault": str(fault), "task": str(task)}:
                return self._fault(fault, task)
            case _:
                raise LabError("the view asked for something that this labkit does not know.")
        return {}

    def _step(self) -> dict[str, Any]:
        if not self._run.lab.paused:
            raise LabError("the lab is not paused, so there is nothing to step through.")
        with self._lock:
            self._steps += 1
            if self._steps == 1:
                threading.Thread(target=self._stepping, name="labkit step", daemon=True).start()
        return {}

    def _stepping(self) -> None:
        """One step after the other, until as many were made as were asked for."""
        left = 1
        while left:
            said: dict[str, Any] = {}
            try:
                if not self._run.lab.step():
                    said["refused"] = "nothing is held: no task waits to be run."
            except LabError as error:
                said["refused"] = str(error)
            self._tell({**said, "lab": self.state(), "stepped": True})
            with self._lock:
                self._steps -= 1
                left = self._steps

    def _why(self, name: str) -> None:
        try:
            sentences = [[each.text, each.evidence] for each in self._run.why(name)]
            self._tell({"why": name, "sentences": sentences})
        except LabError as error:
            self._tell({"why": name, "sentences": [], "refused": str(error)})

    def _fault(self, fault: str, task: str) -> dict[str, Any]:
        faults = self._run.lab.faults
        if not self._run.lab.running:
            raise LabError("the lab has stopped. Start it again: lab = labkit.start()")
        match fault:
            case "lose":
                faults.lose(task)
            case "twice":
                faults.deliver_twice(task)
            case "fail":
                faults.fail(task)
            case "kill":
                threading.Thread(target=self._kill, args=(task,), name="labkit kill", daemon=True).start()
                return {"said": "a worker process is being started; the next call kills it."}
            case "stop broker":
                faults.stop_broker()
            case "start broker":
                faults.start_broker()
            case "slow backend":
                faults.slow_backend(0.5)
            case "undo":
                faults.reset()
            case _:
                raise LabError(f"there is no fault {fault!r}.")
        return {
            "said": str(self._run.lab.log[-1]) if self._run.lab.log and fault != "undo" else "all faults are undone"
        }

    def _kill(self, task: str) -> None:
        try:
            self._run.lab.faults.kill_worker(task).__enter__()
        except Exception as error:  # told to whoever pressed the button, in the page
            self._tell({"refused": str(error)})
