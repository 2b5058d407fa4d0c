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
        self._steps: list[bool] = []
        self._tasks = {node.task for node in run.recording.plan.nodes.values()}
        self._looked = 0
        self._lock = threading.Lock()
        self._faulty = threading.Lock()

    def state(self) -> dict[str, Any]:
        """What the buttons show."""
        lab = self._run.lab
        return {
            "running": lab.running,
            "paused": lab.running and lab.paused,
            "slow": lab.gate.delay,
            "tasks": self._names(),
        }

    def _names(self) -> list[str]:
        """The tasks of the plan, and those sent at run time so far."""
        with self._lock:
            facts = self._run.recording.facts[self._looked :]
            self._looked += len(facts)
            self._tasks.update(fact["task"] for fact in facts if fact["kind"] == "published")
            return sorted(self._tasks)

    def press(self, asked: dict[str, Any]) -> dict[str, Any]:
        """Do what was asked; returns what is to be said at once. Raises ``LabError`` if it cannot be done."""
        lab = self._run.lab
        if self._run.over and asked.get("do") in ("pause", "step", "slow"):
            # Pressed in time it may be, and heard only when a cell was done: it must not hold the next run.
            raise LabError("this run is over: it cannot be paused, slowed down or stepped through any more.")
        match asked:
            case {"do": "pause"}:
                lab.pause()
            case {"do": "resume"}:
                lab.resume()
            case {"do": "step"}:
                return self._step(asked.get("message") is True)
            case {"do": "slow", "seconds": int() | float() as seconds}:
                lab.slow(min(SLOWEST, seconds))
            case {"do": "why", "name": str(name)}:
                threading.Thread(target=self._why, args=(name,), name="labkit why", daemon=True).start()
            case {"do": "fault", "fault": str(fault), "task": str(task)}:
                times = asked.get("times", 1)
                if not isinstance(times, int) or not 1 <= times <= 99:
                    raise LabError("how often is a whole number from 1 to 99.")
                return self._fault(fault, task, times)
            case _:
                raise LabError("the view asked for something that this labkit does not know.")
        return {}

    def _step(self, message: bool) -> dict[str, Any]:
        if not self._run.lab.paused:
            raise LabError("the lab is not paused, so there is nothing to step through.")
        with self._lock:
            self._steps.append(message)
            if len(self._steps) == 1:
                threading.Thread(target=self._stepping, name="labkit step", daemon=True).start()
        return {}

    def _stepping(self) -> None:
        """One step after the other, until as many were made as were asked for."""
        while True:
            said: dict[str, Any] = {}
            try:
                if not self._run.lab.step(message=self._steps[0]):
                    busy = bool(self._run.lab.gate.running)
                    said["refused"] = (
                        f"nothing is held{': what runs has not ended' if busy else ': no task waits'} yet."
                    )
            except LabError as error:
                said["refused"] = str(error)
            self._tell({**said, "stepped": True})
            with self._lock:
                self._steps.pop(0)
                if not self._steps:
                    return

    def _why(self, name: str) -> None:
        try:
            sentences = [[each.text, each.evidence] for each in self._run.why(name)]
            self._tell({"why": name, "sentences": sentences})
        except LabError as error:
            self._tell({"why": name, "sentences": [], "refused": str(error)})

    def _fault(self, fault: str, task: str, times: int) -> dict[str, Any]:
        lab = self._run.lab
        if not lab.running:
            raise LabError("the lab has stopped. Start it again: lab = labkit.start()")
        faults = lab.faults
        match fault.split():
            case ["lose"]:
                faults.lose(task, times)
            case ["twice"]:
                faults.deliver_twice(task, times)
            case ["fail"]:
                faults.fail(task, times)
            case ["slow", "backend"]:
                faults.slow_backend(0.5)
            case ["kill", "before" | "after" | "middle" as when]:
                self._later(lambda: faults.kill_worker(task, when).start(), f"ready: the next call of {task} kills it.")
                return {"said": "a worker process is being started …"}
            case ["stop", "broker"]:
                self._later(faults.stop_broker)
                return {}
            case ["start", "broker"]:
                self._later(faults.start_broker)
                return {}
            case ["undo"]:
                self._later(faults.reset)
                return {}
            case _:
                raise LabError(f"there is no fault {fault!r}.")
        return {"said": str(lab.log[-1])}

    def _later(self, act: Callable[[], object], done: str = "") -> None:
        """Do what takes its time, one after the other, beside the kernel's loop; then say what was done."""

        def work() -> None:
            try:
                with self._faulty:
                    act()
                    said = {"said": done or str(self._run.lab.log[-1])}
            except Exception as error:  # told to whoever pressed the button, in the page
                said = {"refused": str(error)}
            self._tell(said)

        threading.Thread(target=work, name="labkit fault", daemon=True).start()
