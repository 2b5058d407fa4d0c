"""Faults on purpose: messages lost or doubled, calls that fail, workers killed, a broker away. All can be undone."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from typing import Any, Literal

from labkit.errors import LabError
from labkit.queues import bring_back
from labkit.workers import Workers

When = Literal["before", "after", "middle"]


class Injected(Exception):
    """What a call raises that a fault makes fail."""


class Faults:
    """The faults of a lab, ``lab.faults``. Each method arms or causes one; `reset` undoes all of them.

    A task is named by its registered name, or by the task itself.
    """

    def __init__(self, lab: Any) -> None:
        self.lab = lab
        self._lose: Counter[str] = Counter()
        self._double: Counter[str] = Counter()
        self._undo: list[Callable[[], object]] = []
        self._fails: dict[str, tuple[Any, int]] = {}
        self._sends = False
        self.broker_away = False

    # --- messages -------------------------------------------------------------------------------------------

    def lose(self, task: Any, times: int = 1) -> None:
        """The broker loses the next ``times`` messages of a task: they are published, and nobody ever gets them."""
        self._lose[self._name(task)] += times
        self._watch_sending()
        self._note(f"the next {_messages(times)} of {self._name(task)} will be lost")

    def deliver_twice(self, task: Any, times: int = 1) -> None:
        """The next ``times`` messages of a task are delivered twice, under one id."""
        self._double[self._name(task)] += times
        self._watch_sending()
        self._note(f"the next {_messages(times)} of {self._name(task)} will be delivered twice")

    def _watch_sending(self) -> None:
        if self._sends:
            return
        self._sends = True
        amqp = self.lab.app.amqp
        original = amqp.send_task_message

        def send(producer: Any, name: str, message: Any, **options: Any) -> Any:
            id = message.headers["id"]
            if self._lose[name] > 0:
                self._lose[name] -= 1
                answer = original(_Producer(producer, 0), name, message, **options)
                recording = self.lab.listener.recording_of(id)
                recording.add("lost", id, why="the broker lost its message: a fault made it so")
                recording.closed(id)
                return answer
            if self._double[name] > 0:
                self._double[name] -= 1
                self.lab.listener.recording_of(id, message.headers.get("parent_id")).opened(id)
                answer = original(_Producer(producer, 2), name, message, **options)
                self.lab.listener.recording_of(id).add("doubled", id)
                return answer
            return original(producer, name, message, **options)

        amqp.__dict__["send_task_message"] = send

        def undo() -> None:
            self._sends = False
            amqp.__dict__["send_task_message"] = original

        self._undo.append(undo)

    # --- calls ----------------------------------------------------------------------------------------------

    def fail(self, task: Any, times: int = 1) -> None:
        """The next ``times`` calls of a task in the embedded worker raise `Injected` instead of running."""
        name = self._name(task)
        known = self.lab.app._tasks.get(name)
        if known is None:
            raise LabError(f"no task {name!r} is registered with this app.")
        if name not in self._fails:
            self._make_fail(name, known)
        self._fails[name] = (known, self._fails[name][1] + times)
        self._note(f"the next {'call' if times == 1 else f'{times} calls'} of {name} will fail")

    def _make_fail(self, name: str, task: Any) -> None:
        original = task.run

        def run(*args: Any, **kwargs: Any) -> Any:
            left = self._fails.get(name, (task, 0))[1]
            if left > 0:
                self._fails[name] = (task, left - 1)
                raise Injected("made to fail")
            return original(*args, **kwargs)

        task.run = run
        self._fails[name] = (task, 0)
        self.lab.worker.teach(task)

        def undo() -> None:
            task.__dict__.pop("run", None)
            self._fails.pop(name, None)
            self.lab.worker.teach(task)

        self._undo.append(undo)

    # --- workers, broker, backend ---------------------------------------------------------------------------

    def kill_worker(self, task: Any, when: When = "middle", **options: Any) -> Workers:
        """Start a worker process that is killed by the next call of a task: a context, like ``lab.workers``.

        ``when``: ``"before"`` it acknowledges the message, ``"after"`` that and before the body begins, or in the
        ``"middle"`` of the body. A thread of the kernel cannot be killed, so this takes a real process.
        Raises ``LabError`` if the app cannot be imported by another process.
        """
        if when not in ("before", "after", "middle"):
            raise LabError(f"a worker is killed 'before', 'after' or in the 'middle', not {when!r}.")
        name = self._name(task)
        workers: Workers = self.lab.staff.hire(1, **options)
        workers.doom(name, when)
        self._note(f"the worker process will be killed by {name} ({when})")
        self._undo.append(lambda: self._replace(workers))
        return workers

    def _replace(self, workers: Workers) -> None:
        """The embedded worker serves again, what the killed one had not acknowledged too."""
        recordings = self.lab.active()
        workers.mourn(recordings)
        ids = [id for recording in recordings for id in workers.left_over(recording)[0]]
        workers.stop()
        if ids:
            bring_back(self.lab.app, ids)

    def stop_broker(self) -> None:
        """Stop the embedded server: nothing can be sent, and what lay in it is gone (nothing is kept on disk)."""
        server, self.broker_away = self._server(), True
        server.stop()
        self._note("the broker was stopped")
        for recording in self.lab.active():
            graph = recording.graph
            for id in recording.open:
                if all(node.state == "sent" for node in graph.by_id(id)):
                    recording.add("lost", id, why="it lay in the broker when that was stopped: a fault made it so")
                    recording.closed(id)

    def start_broker(self) -> None:
        """Start the embedded server again, empty, at the same address. Workers come back within some seconds.

        Raises ``LabError`` if it runs: it would lose what lies in it.
        """
        server = self._server()
        if server.running:
            raise LabError("the broker runs, so there is nothing to start.")
        server.restart()
        self.broker_away = False
        self._note("the broker was started again, empty")

    def _server(self) -> Any:
        if self.lab.broker is None:
            raise LabError("this lab uses somebody else's broker, which it does not stop.")
        return self.lab.broker

    def slow_backend(self, seconds: float) -> None:
        """Storing a result takes ``seconds`` longer."""
        cls, app = type(self.lab.app.backend), self.lab.app
        original = cls.store_result

        def store_result(backend: Any, *args: Any, **kwargs: Any) -> Any:
            if backend.app is app:
                time.sleep(seconds)
            return original(backend, *args, **kwargs)

        cls.store_result = store_result
        self._undo.append(lambda: setattr(cls, "store_result", original))
        self._note(f"storing a result takes {seconds:g} s longer")

    # --- undoing --------------------------------------------------------------------------------------------

    def reset(self) -> None:
        """Undo every fault; messages that were lost stay lost. A broker that was stopped is started again."""
        if self.lab.broker is not None and self.lab.running and not self.lab.broker.running:
            self.start_broker()
        while self._undo:
            self._undo.pop()()
        self._lose.clear()
        self._double.clear()
        self._note("all faults are undone")

    def _name(self, task: Any) -> str:
        return str(getattr(task, "name", task))

    def _note(self, text: str) -> None:
        self.lab.log.append(f"fault: {text}")
        for recording in self.lab.active():
            recording.add("fault", None, text=text)

    def __repr__(self) -> str:
        armed = [f"lose {name} × {n}" for name, n in self._lose.items() if n]
        armed += [f"deliver {name} twice × {n}" for name, n in self._double.items() if n]
        armed += [f"fail {name} × {n}" for name, (_, n) in self._fails.items() if n]
        return "faults: " + (", ".join(armed) or "none armed")


class _Producer:
    """A producer that publishes a message ``times`` times; all else is the real one's."""

    def __init__(self, producer: Any, times: int) -> None:
        self._producer, self._times = producer, times

    def publish(self, *args: Any, **kwargs: Any) -> Any:
        answer = None
        for _ in range(self._times):
            answer = self._producer.publish(*args, **kwargs)
        return answer

    def __getattr__(self, name: str) -> Any:
        return getattr(self._producer, name)


def _messages(times: int) -> str:
    return "message" if times == 1 else f"{times} messages"
