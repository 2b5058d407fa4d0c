"""Real worker processes for a lab: ``celery worker`` on its app, seen ready, reporting, and ended with the lab."""

from __future__ import annotations

import json
import os
import secrets
import select
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final, Self

from celery import Celery

from labkit.errors import LabError
from labkit.record import Recording

#: Seconds that a worker process has to say that it is ready.
READY: Final = 20.0

#: With these a killed worker's messages come back within seconds; by default after an hour (kombu/transport/redis.py).
SOON: Final = {"visibility_timeout": 3, "unacked_restore_interval": 1, "unacked_restore_throttle": 1}


@dataclass
class WorkerProcess:
    """One ``celery worker``: its ``name``, as Celery knows it, and its process, in a session with its children."""

    name: str
    process: subprocess.Popen[bytes]
    log: IO[bytes]
    told: bool = False

    @property
    def pid(self) -> int:
        """The process id of the worker (with prefork the parent of its pool)."""
        return self.process.pid

    @property
    def alive(self) -> bool:
        """Whether it runs."""
        return self.process.poll() is None

    def kill(self) -> None:
        """SIGKILL to the worker and its children: nothing is returned to the broker."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def output(self) -> str:
        """What it has written so far."""
        self.log.seek(0)
        return self.log.read().decode("utf-8", "replace")


class Workers:
    """Worker processes, as a context: they run inside ``with``, and end with it, with the lab, or with this process.

    While they serve a queue, the embedded worker leaves it to them.
    """

    def __init__(
        self,
        lab: Any,
        n: int = 1,
        *,
        queues: Sequence[str] | None = None,
        pool: str = "prefork",
        concurrency: int = 2,
        soon: bool = True,
        app: str | None = None,
    ) -> None:
        if n < 1 or concurrency < 1:
            raise LabError(f"at least one worker with at least one slot, not {n} with {concurrency}.")
        self.lab = lab
        self.queues = list(queues or lab.queues)
        self._left = [queue for queue in self.queues if queue in lab.queues]
        self._app, self._pool, self._concurrency, self._soon = app or _where(lab.app), pool, concurrency, soon
        self._lifeline: int | None = None
        self._doom = ""
        self.processes: list[WorkerProcess] = []
        self._names = [f"worker{place}@lab-{secrets.token_hex(3)}" for place in range(1, n + 1)]

    def doom(self, task: str, when: str) -> None:
        """To be called before `start`: each process is killed by its next call of this task."""
        self._doom = f"{when}:{task}"

    def start(self) -> Self:
        """Start all, and return when each is ready. Raises ``LabError`` with what it wrote if one is not."""
        self.lab.staff.receive()
        reader, self._lifeline = os.pipe()
        ready, told = os.pipe()
        try:
            self.processes = [self._launch(name, reader, told) for name in self._names]
            os.close(told)
            told = -1
            self._wait_ready(ready)
            if self._left:
                self.lab.staff.leave_queues(self._left)
        except BaseException:
            self.stop()
            raise
        finally:
            for end in (reader, ready, told):
                with suppress(OSError):
                    os.close(end)
        return self

    def _launch(self, name: str, lifeline: int, told: int) -> WorkerProcess:
        log = tempfile.TemporaryFile()  # noqa: SIM115 - closed when the process has ended
        command = [sys.executable, "-m", "celery", "-A", "labkit.hired", "worker", "-n", name, "-P", self._pool]
        command += ["-c", str(self._concurrency), "-Q", ",".join(self.queues), "-l", "INFO", "--without-mingle"]
        settings = {
            "CELERY_BROKER_URL": self.lab.url,
            "CELERY_RESULT_BACKEND": self.lab.backend_url,
            "LABKIT_APP": self._app,
            "LABKIT_LIFELINE": str(lifeline),
            "LABKIT_READY": str(told),
            "LABKIT_DOOM": self._doom,
            "LABKIT_TRANSPORT": json.dumps(SOON if self._soon else {}),
            "PYTHONPATH": os.pathsep.join(path for path in (str(Path.cwd()), *sys.path) if path),
        }
        if self.lab.broker is not None:
            settings["TMPDIR"] = self.lab.broker.folder  # removed with the server, also if all are killed
        process = subprocess.Popen(
            command,
            env={**os.environ, **settings},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            pass_fds=(lifeline, told),
            start_new_session=True,
        )
        return WorkerProcess(name, process, log)

    def _wait_ready(self, ready: int) -> None:
        until, said = time.monotonic() + READY, b""
        while said.count(b"\n") < len(self.processes):
            gone = next((each for each in self.processes if not each.alive), None)
            if gone or time.monotonic() > until:
                slow = gone or self.processes[0]
                lines = "\n  ".join(slow.output().strip().splitlines()[-6:])
                what = "ended at once" if gone else f"was not ready within {READY:g} s"
                raise LabError(f"the worker process {slow.name} {what}. It wrote:\n  {lines}")
            if select.select([ready], [], [], 0.1)[0]:
                said += os.read(ready, 4096)

    def stop(self) -> None:
        """Stop them all, softly for two seconds, and let the embedded worker have its queues back."""
        for each in self.processes:
            if each.alive:
                with suppress(ProcessLookupError):
                    os.kill(each.pid, signal.SIGTERM)
        until = time.monotonic() + 2.0
        for each in self.processes:
            with suppress(subprocess.TimeoutExpired):
                each.process.wait(max(0.05, until - time.monotonic()))
            each.kill()
            each.log.close()
        if self._lifeline is not None:
            os.close(self._lifeline)
            self._lifeline = None
        self.lab.staff.dismiss(self, self._left)

    def mourn(self, recordings: Sequence[Recording]) -> None:
        """Note, once, what became of the tasks of a process that has ended on its own."""
        for each in self.processes:
            if each.alive or each.told:
                continue
            each.told = True
            for recording in recordings:
                _mourn(recording, each.name, self.lab.app)
                stranded, vanished = self.left_over(recording)
                for id in stranded:
                    recording.add("stranded", id)
                if not any(other.alive for other in self.processes):
                    self.lab.staff.give_up(recording, vanished)

    def left_over(self, recording: Recording) -> tuple[list[str], list[str]]:
        """Messages of a worker that is gone, by id: those it had not acknowledged, and those the broker has no more."""
        gate, alive = self.lab.gate, {self.lab.worker.name, *(each.name for each in self.processes if each.alive)}
        at_work = {fact["id"] for fact in recording.facts if fact["kind"] == "received" and fact["worker"] in alive}
        try:
            lying = self.lab.queue(*self.queues)
        except LabError:  # the broker is gone too, or is none that can be looked into
            return [], []
        fetched, waiting = ({each.id for each in part} for part in (lying.unacknowledged, lying.waiting))
        ours = [id for id in recording.coming if id not in at_work and id not in gate.running]
        return [id for id in ours if id in fetched], [id for id in ours if id not in fetched | waiting]

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: Any) -> None:
        self.stop()

    def __repr__(self) -> str:
        alive = sum(each.alive for each in self.processes)
        return f"{alive} worker processes, {self._pool}, {self._concurrency} slots each, on {', '.join(self.queues)}"


def _mourn(recording: Recording, name: str, app: Celery) -> None:
    had: dict[str, dict[str, Any]] = {}
    for fact in list(recording.facts):
        if fact["kind"] == "received":
            had[fact["id"]] = {"worker": fact.get("worker"), "started": False, "over": False}
        elif fact["kind"] == "published" and not fact["retries"]:
            had.setdefault(fact["id"], {"worker": None, "started": False, "over": False})["task"] = fact["task"]
        elif fact["id"] in had and fact["kind"] == "started":
            had[fact["id"]]["started"] = True
        elif fact["id"] in had and fact["kind"] in ("succeeded", "failed", "ended", "revoked", "rejected", "lost"):
            had[fact["id"]]["over"] = True
    for id, task in had.items():
        if task["worker"] != name or not task["started"] or task["over"]:
            continue
        known = app._tasks.get(
            next((f["task"] for f in recording.facts if f["id"] == id and f["kind"] == "published"), "")
        )
        if known is not None and known.acks_late:
            continue  # its message was not acknowledged: it will be delivered again
        recording.add("lost", id, why="its worker was killed while it ran, and had acknowledged the message before")
        recording.closed(id)


def _where(app: Celery) -> str:
    """Where a process can import the app from, as for ``celery -A``."""
    modules = sorted(sys.modules.items(), key=lambda item: (item[0] != app.main, item[0].count("."), item[0]))
    for name, module in modules:
        if name not in ("__main__", "__mp_main__") and any(
            getattr(module, each, None) is app for each in ("app", "celery")
        ):
            return name
    raise LabError(
        "a worker process imports its app, and yours was made in this notebook or program. "
        "Put the app and its tasks into a module and import it here, or name one: lab.workers(app='module')."
    )
