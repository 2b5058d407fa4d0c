"""The one model: a workflow as nodes, edges and frames. Pure data, knows neither Celery nor Jupyter."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any, Final, Literal

State = Literal[
    "planned",
    "sent",
    "received",
    "running",
    "retrying",
    "succeeded",
    "failed",
    "revoked",
    "rejected",
    "lost",
    "never ran",
    "unknown",
]
Role = Literal["task", "header", "body", "callback", "errback", "map"]
EdgeKind = Literal["result", "order", "callback", "errback", "spawned", "replaced"]
FrameKind = Literal["group", "header", "map", "starmap", "chunks", "replaced"]

#: A mark for each state, so that colour never stands alone.
GLYPHS: Final[Mapping[str, str]] = {
    "planned": "○",
    "sent": "◔",
    "received": "◑",
    "running": "▶",
    "retrying": "↻",
    "succeeded": "✓",
    "failed": "✗",
    "revoked": "⊖",
    "rejected": "⊗",
    "lost": "⚡",
    "never ran": "⊘",
    "unknown": "?",
}

#: States that do not change any more by themselves.
FINAL: Final = frozenset({"succeeded", "failed", "revoked", "rejected", "lost", "never ran"})

_UUID: Final = re.compile(r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b")

#: The kinds of edges from a step to the next, from a header to its body.
FLOW: Final = ("result", "order")

#: The note of a task that failed after its body.
RETURNED: Final = "its body returned; what came after it could not be sent or stored"
#: The note of a task whose errbacks could not be sent, or its failure not be stored.
UNTOLD: Final = "Celery could not report its failure"


@dataclass(slots=True)
class Attempt:
    """One run of a task's body.

    ``why`` is the reason it was not the last one (the error that was retried), else ``None``; ``when`` is when
    it started (seconds since the epoch); ``seconds`` how long it ran, ``None`` while it runs; ``delay`` how many
    seconds the retry that follows was put off; ``slot`` which of the worker's threads (from 1) or which process (its
    id) ran it, ``None`` where that was not told.
    """

    why: str | None = None
    when: float | None = None
    seconds: float | None = None
    delay: float | None = None
    slot: str | None = None


@dataclass(slots=True)
class Node:
    """One call: a task that was or will be sent, an inline errback, or an item of a map.

    ``key`` is its place in the canvas; ``id`` the task id (``None`` where there is none). Times are seconds
    since the epoch. ``partial`` is true while arguments are still to come in front of ``args``.
    ``state`` is what happened, ``backend_state`` what Celery answers when asked.
    """

    key: str
    task: str
    id: str | None = None
    args: tuple[Any, ...] = ()
    kwargs: dict[str, Any] = field(default_factory=dict)
    options: dict[str, Any] = field(default_factory=dict)
    partial: bool = False
    role: Role = "task"
    planned: bool = True
    state: State = "planned"
    backend_state: str | None = None
    value: Any = None
    error: str | None = None
    reason: str | None = None
    note: str | None = None
    attempts: list[Attempt] = field(default_factory=list)
    sent: float | None = None
    received: float | None = None
    started: float | None = None
    finished: float | None = None
    worker: str | None = None


@dataclass(frozen=True, slots=True)
class Edge:
    """An arrow. ``source`` and ``target`` are node keys, or a frame's key where it stands for all its members.

    ``passes_value`` tells whether the source's value becomes an argument of the target; an errback's edge
    passes none (it gets the id of the task that failed, or its exception).
    """

    source: str
    target: str
    kind: EdgeKind = "result"
    passes_value: bool = True


@dataclass(slots=True)
class Frame:
    """A box around nodes: ``members`` are the keys of nodes and of frames inside it, in the order of the canvas."""

    key: str
    kind: FrameKind
    members: tuple[str, ...] = ()
    parent: str | None = None


@dataclass(slots=True)
class Outline:
    """The canvas as written, for the text twin: ``kind`` is a construct or ``task``; ``key`` a node's or a frame's."""

    kind: str
    key: str
    children: list[Outline] = field(default_factory=list)


class Graph:
    """A workflow: ``nodes`` in the order of the canvas (depth first, as written), ``edges`` and ``frames``.

    >>> graph = Graph([Node("0", "add"), Node("1", "mul")], [Edge("0", "1")])
    >>> [graph.number(key) for key in graph.nodes]
    ['#1', '#2']
    >>> graph.counts()
    {'planned': 2}
    """

    def __init__(
        self,
        nodes: list[Node] | None = None,
        edges: list[Edge] | None = None,
        frames: list[Frame] | None = None,
        outline: Outline | None = None,
    ) -> None:
        self.nodes: dict[str, Node] = {node.key: node for node in nodes or []}
        self.edges: list[Edge] = list(edges or [])
        self.frames: dict[str, Frame] = {frame.key: frame for frame in frames or []}
        self.outline = outline
        self._numbers: dict[str, int] = {}
        self._ids: dict[str, list[Node]] = {}
        self._indexed = -1

    def number(self, key: str) -> str:
        """The short name of a node in this graph, ``#1`` for the first of the canvas.

        Raises ``KeyError`` if there is no such node.
        """
        if len(self._numbers) != len(self.nodes):
            self._numbers = {each: place for place, each in enumerate(self.nodes, 1)}
        return f"#{self._numbers[key]}"

    def node(self, name: str) -> Node:
        """The node called ``name``: a number such as ``"#3"``, a key, or a task id.

        Raises ``KeyError`` with the numbers there are if nothing is called so.
        """
        if name in self.nodes:
            return self.nodes[name]
        if name.startswith("#") and name[1:].isdigit() and 0 < int(name[1:]) <= len(self.nodes):
            return list(self.nodes.values())[int(name[1:]) - 1]
        if found := self.by_id(name):
            return found[-1]
        raise KeyError(f"no node {name!r}; this graph has #1 to #{len(self.nodes)}")

    def by_id(self, task_id: str) -> tuple[Node, ...]:
        """All nodes with this task id, in order: none, one, or two after ``replace()``."""
        if self._indexed != len(self.nodes):
            self._indexed, self._ids = len(self.nodes), {}
            for node in self.nodes.values():
                if node.id is not None:
                    self._ids.setdefault(node.id, []).append(node)
        return tuple(self._ids.get(task_id, ()))

    def leaves(self, key: str) -> Iterator[str]:
        """The keys of all nodes inside a frame, its nested frames dissolved; a node's own key for a node.

        >>> graph = Graph([Node("a", "f"), Node("b", "f")], [], [Frame("g", "group", ("a", "b"))])
        >>> list(graph.leaves("g"))
        ['a', 'b']
        """
        if key in self.nodes:
            yield key
            return
        for member in self.frames[key].members:
            yield from self.leaves(member)

    def task_edges(self) -> Iterator[Edge]:
        """The same edges with the frames dissolved: between nodes only, no edge twice.

        An edge *into* a frame that another edge leaves joins each of its sources with each target of the frame.
        """
        seen: set[tuple[str, str, str]] = set()
        into: dict[str, list[Edge]] = {}
        leaving = {edge.source for edge in self.edges if edge.source in self.frames}
        for edge in self.edges:
            if edge.target in leaving and edge.target in self.frames:
                into.setdefault(edge.target, []).append(edge)
        for edge in self.edges:
            if edge.target in into:
                continue
            if edge.source in self.frames:
                sources = [each.source for each in into.get(edge.source, ())] or list(self.leaves(edge.source))
            else:
                sources = [edge.source]
            targets = list(self.leaves(edge.target)) if edge.target in self.frames else [edge.target]
            for source in sources:
                for target in targets:
                    if (source, target, edge.kind) not in seen:
                        seen.add((source, target, edge.kind))
                        yield replace(edge, source=source, target=target)

    def counts(self) -> dict[str, int]:
        """How many nodes are in each state, in the order of the states' life."""
        counted: Counter[str] = Counter(node.state for node in self.nodes.values())
        return {state: counted[state] for state in GLYPHS if counted[state]}

    def name_ids(self, text: str) -> str:
        """``text`` with each task id of this graph replaced by the node's number, any other UUID by ``<id>``.

        >>> Graph([Node("0", "add", "00000000-0000-0000-0000-000000000001")]).name_ids(
        ...     "Dependency 00000000-0000-0000-0000-000000000001 raised"
        ... )
        'Dependency #1 raised'
        """

        def short(match: re.Match[str]) -> str:
            found = self.by_id(match.group())
            return self.number(found[0].key) if found else "<id>"

        return _UUID.sub(short, text) if "-" in text else text

    def to_dict(self) -> dict[str, Any]:
        """The graph as plain data; `from_dict` is its inverse."""
        return {
            "nodes": [_fields(node) for node in self.nodes.values()],
            "edges": [asdict(edge) for edge in self.edges],
            "frames": [asdict(frame) for frame in self.frames.values()],
            "outline": asdict(self.outline) if self.outline else None,
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Graph:
        """A graph from `to_dict`'s data, also after JSON."""

        def outline(item: Mapping[str, Any]) -> Outline:
            return Outline(item["kind"], item["key"], [outline(child) for child in item["children"]])

        return cls(
            [
                Node(
                    **{
                        **item,
                        "args": tuple(item["args"]),
                        "attempts": [Attempt(**attempt) for attempt in item["attempts"]],
                    }
                )
                for item in data["nodes"]
            ],
            [Edge(**item) for item in data["edges"]],
            [Frame(**{**item, "members": tuple(item["members"])}) for item in data["frames"]],
            outline(data["outline"]) if data["outline"] else None,
        )

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Graph) and self.to_dict() == other.to_dict()

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        counted = ", ".join(f"{number} {state}" for state, number in self.counts().items())
        return f"<Graph: {counted or 'empty'}>"

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:
        from labkit.draw import Drawing  # drawing loads when first used

        return Drawing(self)._repr_mimebundle_(include, exclude)


def _fields(node: Node) -> dict[str, Any]:
    """A node as a dict; what users gave is not copied: it may refuse to be."""
    found = {each.name: getattr(node, each.name) for each in fields(node)}
    return {**found, "attempts": [asdict(attempt) for attempt in node.attempts]}
