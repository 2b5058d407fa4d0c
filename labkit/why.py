"""Why a node never ran, ran twice, still waits, or has its value: plain sentences, each with its evidence."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from labkit.errors import LabError
from labkit.graph import Edge, Graph, Node
from labkit.labels import Labels
from labkit.record import Recording


@dataclass(frozen=True)
class Sentence:
    """What is so, and what tells it: a message, a stored state, an error, an attempt."""

    text: str
    evidence: str

    def __str__(self) -> str:
        return f"{self.text} [{self.evidence}]"


class Why(tuple[Sentence, ...]):
    """The answer: sentences, shown one a line."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "\n".join(map(str, self))

    __str__ = __repr__


def why(graph: Graph, name: str, lab: Any = None, recording: Recording | None = None) -> Why:
    """Why the node called ``name`` (``"#7"``, a key or a task id) is as it is.

    With the lab that ran it, what lies in the broker and the backend is asked too.
    Raises ``LabError`` if there is no such node.
    """
    try:
        node = graph.node(name)
    except KeyError as error:
        raise LabError(str(error.args[0])) from None
    return Why(_Explainer(graph, lab, recording).explain(node))


class _Explainer:
    def __init__(self, graph: Graph, lab: Any, recording: Recording | None) -> None:
        self.graph, self.lab, self.recording = graph, lab, recording
        self.labels = Labels(graph)
        self.into: dict[str, list[Edge]] = {}
        for edge in graph.task_edges():
            self.into.setdefault(edge.target, []).append(edge)

    def name(self, node: Node) -> str:
        return f"{self.graph.number(node.key)} {self.labels.call(node)}"

    def explain(self, node: Node) -> Iterator[Sentence]:
        name = self.name(node)
        yield from self._origin(node)
        yield from self._attempts(node)
        if node.state == "succeeded":
            if node.note == "replaced itself":
                other = self.graph.by_id(node.id or "")[-1]
                yield Sentence(
                    f"{name} put {self.graph.number(other.key)} in its place, which has its id and gives its value.",
                    "a message with the same id and replaced_task_nesting",
                )
            elif node.role == "errback" and node.id is None:
                yield Sentence(f"{name} was {node.note}, where the task had failed.", "the call itself: no message")
            else:
                yield Sentence(
                    f"{name} returned {self.labels.literal(node.value)}.", self._where(node, "the task's result")
                )
        elif node.state == "failed":
            said = self.labels.plain(node.error or "", 200).rstrip(".")
            yield Sentence(f"{name} failed: {said}.", self._where(node, "the exception"))
            if node.note:
                yield Sentence(f"{node.note[:1].upper()}{node.note[1:]}.", "the worker's internal error")
        elif node.state == "never ran":
            yield from self._never(node)
        elif node.state in ("revoked", "rejected", "lost", "unknown"):
            yield Sentence(
                f"{name}: {self.labels.plain(node.reason or node.state, 200)}.", f"its state is {node.state}"
            )
        else:
            yield from self._waits(node)
        yield from self._answer(node)

    # --- parts of an answer ---------------------------------------------------------------------------------

    def _origin(self, node: Node) -> Iterator[Sentence]:
        number = self.graph.number(node.key)
        sources = self.into.get(node.key, [])
        if not node.planned and sources and sources[0].kind in ("spawned", "replaced"):
            source = self.graph.nodes[sources[0].source]
            yield Sentence(
                f"{number} was not in the plan: {self.name(source)} decided on it while it ran.",
                f"a message whose parent is {self.graph.number(source.key)}",
            )
        values = [self.graph.number(edge.source) for edge in sources if edge.passes_value]
        if node.sent and values and not node.partial:
            what = "the values of" if len(values) > 1 else "the value of"
            shown = values if len(values) < 6 else [values[0], "…", values[-1]]
            yield Sentence(
                f"{number} was called with {what} {', '.join(shown)} in front.", "the arguments in its message"
            )

    def _attempts(self, node: Node) -> Iterator[Sentence]:
        if len(node.attempts) < 2:
            return
        number = self.graph.number(node.key)
        yield Sentence(f"{number} ran {len(node.attempts)} times.", f"{len(node.attempts)} starts of one id")
        for place, attempt in enumerate(node.attempts, 1):
            if attempt.why:
                later = f", and was put off for {attempt.delay:g} s" if attempt.delay else ""
                yield Sentence(
                    f"Run {place} was not the last: {self.labels.plain(attempt.why, 120)}{later}.", f"attempt {place}"
                )

    def _never(self, node: Node) -> Iterator[Sentence]:
        name, edges = self.name(node), self.into.get(node.key, [])
        yield Sentence(f"{name} never ran: {self.labels.plain(node.reason or '', 200)}.", "no message was sent for it")
        if node.role == "body" and len(edges) > 1:
            good = sum(self.graph.nodes[edge.source].state == "succeeded" for edge in edges)
            yield Sentence(
                f"It is the body of a chord, called when all {len(edges)} headers have succeeded; {good} did.",
                "the states of the headers",
            )
        cause, failed = self._cause(node)
        if cause is not None and cause.error:
            said = self.labels.plain(cause.error, 120).rstrip(".")
            which = f"Of the {failed} that failed, the first in the header is" if failed > 1 else "What failed is"
            yield Sentence(f"{which} {self.name(cause)}: {said}.", f"the error of {self.graph.number(cause.key)}")
        elif cause is not None and cause.reason:
            said = self.labels.plain(cause.reason, 120)
            yield Sentence(
                f"It began with {self.name(cause)}: {said}.", f"{self.graph.number(cause.key)} is {cause.state}"
            )

    def _cause(self, node: Node) -> tuple[Node | None, int]:
        """The node, up the edges, because of which this one never ran, and how many failed there."""
        seen = {node.key}
        while True:
            sources = [self.graph.nodes[edge.source] for edge in self.into.get(node.key, ()) if edge.kind != "errback"]
            bad = [each for each in sources if each.state not in ("succeeded", "planned") and each.key not in seen]
            if not bad:
                return (None if len(seen) == 1 else node), 1
            node = next((each for each in bad if each.state != "never ran"), bad[0])
            seen.add(node.key)
            if node.state != "never ran":
                return node, sum(each.state == "failed" for each in bad)

    def _waits(self, node: Node) -> Iterator[Sentence]:
        name = self.name(node)
        if node.state == "planned":
            edges = self.into.get(node.key, [])
            late = [self.graph.nodes[e.source] for e in edges if self.graph.nodes[e.source].state != "succeeded"]
            if edges and edges[0].kind == "errback":
                yield Sentence(f"{name} is called only if a task fails, and none has.", "the states of its tasks")
            elif late:
                shown = ", ".join(f"{self.graph.number(each.key)} ({each.state})" for each in late[:5])
                more = f" and {len(late) - 5} more" if len(late) > 5 else ""
                yield Sentence(f"{name} waits for {shown}{more}.", "their states")
                yield from self._counter(edges)
            else:
                yield Sentence(f"{name} has not been sent.", "no message with its id was seen")
        elif node.state == "sent":
            yield Sentence(f"The message of {name} is out, and no worker has fetched it.", "its message was published")
            yield from self._queued(node)
        elif node.state == "received":
            held = self.lab is not None and self.lab.running and node.id in self.lab.gate.held
            because = "the gate is closed" if held else "it waits for a free slot, or for its ETA"
            yield Sentence(f"A worker has {name} and has not begun: {because}.", "the worker received its message")
        elif node.state == "retrying":
            yield Sentence(f"{name} will be tried again.", "a new message with the same id and an ETA")
        else:
            yield Sentence(f"{name} is running.", self._where(node, "its start"))

    def _queued(self, node: Node) -> Iterator[Sentence]:
        if self.lab is None or not self.lab.running or self.recording is None:
            return
        published = [f for f in self.recording.facts if f["kind"] == "published" and f["id"] == node.id]
        queue = published[-1]["queue"] if published else ""
        try:
            waiting = self.lab.queue(queue).waiting
        except LabError as error:
            yield Sentence("What lies in the broker cannot be told.", str(error))
            return
        place = next((n for n, message in enumerate(waiting, 1) if message.id == node.id), None)
        if place is None:
            return
        yield Sentence(f"It is number {place} of {len(waiting)} in the queue {queue!r}.", "the queue in the broker")
        if queue not in self.lab.queues and not any(queue in workers.queues for workers in self.lab.staff.hired):
            yield Sentence(f"No worker of this lab serves {queue!r}.", "the queues that its workers serve")

    def _counter(self, edges: list[Edge]) -> Iterator[Sentence]:
        """How far the join has counted (celery/backends/redis.py: on_chord_part_return)."""
        if self.lab is None or not self.lab.running or self.recording is None or len(edges) < 2:
            return
        ids = {self.graph.nodes[edge.source].id for edge in edges}
        groups = {
            f["group"] for f in self.recording.facts if f["kind"] == "published" and f["id"] in ids and f["group"]
        }
        parts = self.lab.staff.joined(groups.pop()) if len(groups) == 1 else None
        if parts is not None:
            yield Sentence(f"The join has counted {parts} of {len(edges)}.", "the chord's key in the result backend")

    def _answer(self, node: Node) -> Iterator[Sentence]:
        """What Celery answers, where that is not what happened."""
        state = node.backend_state
        number = self.graph.number(node.key)
        if node.state == "never ran" and state == "FAILURE":
            yield Sentence(f"Celery answers FAILURE for {number} all the same.", "stored in the result backend")
        elif node.state in ("never ran", "lost", "rejected") and state == "PENDING":
            yield Sentence(
                f"Celery answers PENDING for {number}, and always will: get() without a timeout never returns.",
                "nothing is stored in the result backend",
            )
        elif node.state == "succeeded" and state == "PENDING" and node.id:
            yield Sentence(f"Celery answers PENDING for {number}: its result was not stored.", "the result backend")

    def _where(self, node: Node, what: str) -> str:
        return f"{what}, run {len(node.attempts)}" if len(node.attempts) > 1 else what


def why_result(result: Any, lab: Any) -> Why:
    """What the broker and the backend know of a result that nobody listened for, and what cannot be known."""
    meta = result.backend.get_task_meta(result.id, cache=False)
    state = meta["status"]
    said: list[Sentence] = []
    if state == "SUCCESS":
        said.append(Sentence("It ran, and its value is stored.", "SUCCESS in the result backend"))
    elif state == "FAILURE":
        error = f"{type(meta['result']).__name__}: {meta['result']}"
        said.append(Sentence(f"FAILURE is stored for it: {error}.", "the result backend"))
        said.append(
            Sentence(
                "Whether it failed itself or never ran because an earlier task failed cannot be known from that.",
                "Celery stores the same for both",
            )
        )
    elif state != "PENDING":
        said.append(Sentence(f"{state} is stored for it.", "the result backend"))
    elif lab is not None and any(message.id == result.id for message in lab.queue().waiting):
        said.append(Sentence("Its message waits in a queue of this lab.", "the queue in the broker"))
    elif lab is not None and any(message.id == result.id for message in lab.queue().unacknowledged):
        said.append(Sentence("A worker has its message, and has not acknowledged it.", "the broker"))
    else:
        said.append(
            Sentence(
                "Nothing is known of it: it may never have been sent, run with its result ignored, wait in another "
                "queue, run now, be lost, or have expired.",
                "PENDING: nothing in the result backend, nothing in this lab's queues",
            )
        )
    return Why(said)
