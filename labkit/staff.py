"""All besides the embedded worker: processes the lab started, workers elsewhere, and what the backend knows."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from celery.states import READY_STATES

from labkit.graph import FINAL, Graph
from labkit.receive import Receiver
from labkit.record import Recording, snapshot
from labkit.workers import Workers


class Staff:
    """The other workers of a lab. ``others`` tells whether workers that the lab did not start serve its broker."""

    def __init__(self, lab: Any) -> None:
        self.lab = lab
        self.others = False
        self._hired: list[Workers] = []
        self._receiver: Receiver | None = None

    @property
    def hired(self) -> tuple[Workers, ...]:
        """The worker processes that this lab has started and not stopped."""
        return tuple(self._hired)

    def hire(self, n: int, **options: Any) -> Workers:
        """``n`` more worker processes, to be started as a context."""
        self._hired.append(Workers(self.lab, n, **options))
        return self._hired[-1]

    def receive(self) -> None:
        """Listen to what other processes report."""
        if self._receiver is None:
            receiver = Receiver(self.lab.app, self.lab.listener)
            receiver.start()
            self._receiver = receiver

    def stop(self) -> None:
        """Stop all processes, and listen no more."""
        for workers in self.hired:
            workers.stop()
        if self._receiver is not None:
            self._receiver.stop()
            self._receiver = None

    def leave_queues(self, queues: list[str]) -> None:
        """The embedded worker serves these queues no more; others do."""
        for queue in queues:
            self.lab.app.control.cancel_consumer(queue, destination=[self.lab.worker.name], reply=True, timeout=2)

    def dismiss(self, workers: Workers, queues: list[str]) -> None:
        """These processes are gone: the embedded worker serves their queues again."""
        if workers in self._hired:
            self._hired.remove(workers)
        if self.lab.running and self.lab.worker.alive:
            for queue in queues:
                self.lab.app.control.add_consumer(queue, destination=[self.lab.worker.name], reply=True, timeout=2)

    # --- what they did --------------------------------------------------------------------------------------

    def look_after(self, recording: Recording) -> None:
        """Notice workers that are gone, and ask the backend for what workers elsewhere do not report."""
        for workers in self.hired:
            workers.mourn([recording])
        if self.others:
            graph = recording.graph
            for id in [each for each in recording.expected if all(n.state in FINAL for n in graph.by_id(each))]:
                recording.expected.discard(id)
                recording.closed(id)
            open_nodes = [node for node in graph.nodes.values() if node.id and node.state not in FINAL]
            for id, meta in self._answers([str(node.id) for node in open_nodes if not node.started]):
                if meta["status"] in READY_STATES:
                    recording.add("answered", id, **_told(meta), final=True)
                    if meta["status"] == "SUCCESS":
                        _expect_next(recording, graph, id)
                    if id not in recording.expected:
                        recording.closed(id)

    def give_up(self, recording: Recording, ids: list[str]) -> None:
        """What a killed worker had acknowledged is lost, unless the backend knows better: it may not have told all."""
        for id, meta in list(self._answers(ids)):
            if meta["status"] in READY_STATES:
                recording.add("answered", id, **_told(meta), final=True)
            else:
                recording.add("lost", id, why="its worker was killed, and had acknowledged the message before")
            recording.closed(id)

    def ask_backend(self, recording: Recording) -> bool:
        """Ask the result backend once for every task of a recording, and note what it answers. False if it is gone."""
        if not self.lab.running:
            return False
        ids = list(dict.fromkeys(node.id for node in recording.graph.nodes.values() if node.id))
        try:
            for id, meta in list(self._answers(ids)):
                recording.add("answered", id, **_told(meta))
        except Exception:  # what the backend cannot tell stays unknown
            return False
        return True

    def joined(self, group: str) -> int | None:
        """How many parts of a chord the backend has counted, ``None`` if it cannot be told (Redis only)."""
        backend = self.lab.app.backend
        try:
            return int(backend.client.zcard(backend.get_key_for_group(group, ".j")))
        except Exception:  # another backend, or none that answers
            return None

    def _answers(self, ids: list[str]) -> Iterator[tuple[str, dict[str, Any]]]:
        """What the backend has stored for each id, in one request where it can do that."""
        backend = self.lab.app.backend
        if not ids or not hasattr(backend, "mget"):
            for id in ids:
                yield id, backend.get_task_meta(id, cache=False)
            return
        for id, stored in zip(ids, backend.mget([backend.get_key_for_task(id) for id in ids]), strict=True):
            yield id, backend.meta_from_decoded(backend.decode(stored)) if stored else {"status": "PENDING"}


def _expect_next(recording: Recording, graph: Graph, id: str) -> None:
    """What comes after a task that ran where nobody reports was sent, though that is not heard: it is not over yet."""
    for edge in graph.task_edges():
        node = graph.nodes[edge.target]
        if graph.nodes[edge.source].id != id or edge.kind not in ("result", "order", "callback") or node.id is None:
            continue
        if node.sent is None and node.state not in FINAL and node.id not in recording.expected:
            recording.expected.add(node.id)
            recording.opened(node.id)


def _told(meta: dict[str, Any]) -> dict[str, Any]:
    """What the backend tells, for a fact."""
    state, result = meta["status"], meta.get("result")
    error = f"{type(result).__name__}: {result}" if isinstance(result, BaseException) else None
    return {"state": state, "error": error, "value": snapshot(result) if state == "SUCCESS" else None}
