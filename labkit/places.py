"""The places of a plan that have no id before they are sent, and which of them a message stands for."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from celery.canvas import Signature

from labkit import canvas
from labkit.embed import counted
from labkit.graph import FLOW, Edge, Graph, Node, Outline
from labkit.plan import Entry, Planner


class Places:
    """A graph that is being filled: its nodes by id, what leaves each node, and its outline by key."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.ids: dict[str, list[Node]] = defaultdict(list)
        self._out: dict[str, list[int]] = defaultdict(list)
        self._into: dict[str, int] = {}
        self._open: dict[str, list[int]] = defaultdict(list)
        self._edges = 0
        self._taken: set[str] = set()
        #: The ids of tasks of which it is known how they ended: their bodies returned, or failed.
        self.returned: set[str] = set()
        self.failed: set[str] = set()
        #: The runs, as ids with the number of replacements that led there, of bodies that nothing was put in place of.
        self.went_on: set[tuple[str, int]] = set()
        self._after: dict[str | None, list[str]] = defaultdict(list)
        self._outlines: dict[str, Outline] = {}
        self._children: dict[str, int] = defaultdict(int)
        for node in graph.nodes.values():
            if node.id:
                self.ids[node.id].append(node)
        self._index()
        if graph.outline:
            self._outline(graph.outline)

    def _leaving(self, key: str) -> list[Edge]:
        return [self.graph.edges[place] for place in self._out.get(key, ())]

    def _goes_on(self, key: str) -> bool:
        """Whether a step or a body comes after it."""
        return any(self.graph.edges[place].kind in FLOW for place in self._out.get(key, ()))

    def _successors(self, key: str) -> Iterator[Edge]:
        for edge in self._leaving(key):
            if edge.target in self.graph.frames:
                yield from self._leaving(edge.target)
            else:
                yield edge

    def _waiting(self, key: str) -> Iterator[Edge]:
        """Of the successors those that have no id yet, and errbacks, which can be called again."""
        for place in self._open.get(key, ()):
            edge = self.graph.edges[place]
            if edge.target in self.graph.frames:
                yield from self._waiting(edge.target)
            else:
                yield edge

    def _planned(self, owner: Node, fact: Mapping[str, Any]) -> Node | None:
        """The node behind ``owner`` without an id that this message is for; of several the one most like it."""
        errback, found = None, []
        for edge in self._waiting(owner.key):
            node = self.graph.nodes[edge.target]
            inside = fact.get("inside")  # what a body sends itself is no callback, and the other way round
            if node.task != fact["task"] or node.role == "map" or inside is (edge.kind != "spawned"):
                continue
            if node.id is None and node.key not in self._taken:
                found.append((edge, node))
            elif edge.kind == "errback":
                errback = node
        fitting = [each for each in found if self._fits(each[0], owner, fact.get("errback"))]
        if fitting or (found and errback is None):
            found = fitting or found
            edge, node = min(found, key=lambda each: self._unlike(each[1], fact)) if len(found) > 1 else found[0]
            if edge.kind == "errback":
                self._move(node, owner)
            return node
        return self._again(errback, owner) if errback and errback.id is not None else None

    def _fits(self, edge: Edge, owner: Node, errback: bool | None) -> bool:
        """Whether a message can be that of an edge: callbacks and errbacks can be equal calls.

        ``errback`` tells whether it was sent as one; in older recordings the end of ``owner`` does.
        """
        if edge.kind not in ("callback", "errback"):
            return True
        if errback is not None:
            return errback == (edge.kind == "errback")
        if edge.kind == "callback":
            return owner.sent is not None and owner.id not in self.failed
        return owner.id not in self.returned

    def _unlike(self, node: Node, fact: Mapping[str, Any]) -> int:
        """In how many ways a message differs from what was planned: its arguments, chord, callbacks and errbacks."""
        args = list(fact["args"])
        differs = int(len(args) != len(node.args) + node.partial or args[node.partial :] != list(node.args))
        differs += bool(fact["chord"]) != (node.role == "header")
        differs += counted(node.task, fact["kwargs"]) != node.kwargs
        for kind, option in (("callback", "link"), ("errback", "link_error")):
            mine = {self.graph.nodes[edge.target].task for edge in self._successors(node.key) if edge.kind == kind}
            differs += mine != {task for each in fact[option] or () for task in _starts(canvas.as_signature(each))}
        return differs

    def _match(self, part: Signature, last: Sequence[str]) -> list[str]:
        """The planned nodes behind ``last`` that a part of a message stands for: they get its ids. Returns its ends."""
        for edge in self._successors(last[0]) if last else ():
            key = edge.target if edge.kind in FLOW and self.graph.nodes[edge.target].id is None else ""
            while key:
                placed = _Placed(ids=False)
                ends = placed.walk(part, key, Entry()).last
                found = {node.key: (self._at(node), node.id) for node in placed.graph.nodes.values()}
                if found and all(mine for mine, _ in found.values()):
                    for mine, id in found.values():
                        if mine and id and mine.id is None:
                            self._name(mine, id)
                    return [mine.key for mine in (found[end][0] for end in ends) if mine]
                key = key.rpartition(".")[0]
        return []

    def _at(self, other: Node) -> Node | None:
        """The planned node at the place of another, if that can be the same call.

        The body of a chord may have been planned as a chain whose later steps Celery sends behind the chord.
        """
        mine = self.graph.nodes.get(other.key) or self.graph.nodes.get(f"{other.key}.0")
        return mine if mine and mine.task == other.task and mine.id in (None, other.id) else None

    def errback(self, owner: Node | None, task: str) -> Node:
        """The node of an errback that was called inline, where the task ``owner`` failed."""
        again = None
        for edge in self._successors(owner.key) if owner else ():
            node = self.graph.nodes[edge.target]
            if edge.kind == "errback" and node.task == task:
                if node.id is None and node.key not in self._taken:
                    self._taken.add(node.key)
                    if owner:
                        self._move(node, owner)
                    return node
                again = node
        if again and owner:
            return self._again(again, owner)
        key = f"{owner.key if owner else ''}~e{len(self._taken)}"
        self._taken.add(key)
        node = Node(key, task, role="errback", planned=False)
        self.graph.nodes[key] = node
        if owner:
            self.graph.edges.append(Edge(owner.key, key, "errback", False))
            self._attach(owner, "errback", [Outline("errback", key)])
        return node

    def _again(self, errback: Node, owner: Node) -> Node:
        """One errback of a canvas called once more: a node of its own."""
        key = f"{errback.key}~{self._children[errback.key]}"
        self._children[errback.key] += 1
        node = Node(key, errback.task, args=errback.args, role="errback", planned=False)
        self.graph.nodes[key] = node
        self._after[owner.key].append(key)
        self.graph.edges.append(Edge(owner.key, key, "errback", False))
        self._taken.add(key)
        self._attach(owner, "errback", [Outline("errback", key)])
        self._index()
        return node

    def _name(self, node: Node, id: str) -> None:
        node.id = id
        self.ids[id].append(node)

    def _index(self) -> None:
        """Note the places of edges that are new in the list."""
        for place in range(self._edges, len(self.graph.edges)):
            edge = self.graph.edges[place]
            self._out[edge.source].append(place)
            if edge.kind in FLOW:
                self._into.setdefault(edge.target, place)
            target = self.graph.nodes.get(edge.target)
            if target is None or target.id is None or edge.kind == "errback":
                self._open[edge.source].append(place)
        self._edges = len(self.graph.edges)

    def _outline(self, outline: Outline) -> None:
        self._outlines[outline.key] = outline
        for child in outline.children:
            self._outline(child)

    def _attach(self, owner: Node | None, kind: str, parts: list[Outline]) -> None:
        for part in parts:
            if owner and kind in ("spawned", "replaced", "errback") and part.kind == "task":
                part.kind = kind
            self._outlines[part.key] = part
        if owner and owner.key in self._outlines:
            self._outlines[owner.key].children += parts
        elif self.graph.outline is None and len(parts) == 1:
            self.graph.outline = parts[0]
        else:
            if self.graph.outline is None or self.graph.outline.kind != "messages":
                before = [self.graph.outline] if self.graph.outline else []
                self.graph.outline = Outline("messages", "", before)
            self.graph.outline.children += parts

    def _move(self, errback: Node, owner: Node) -> None:
        """In the outline an errback hangs where it was called."""
        outline, root = self._outlines.get(errback.key), self.graph.outline
        if outline is None or root is None or owner.key not in self._outlines:
            return
        if outline in root.children:
            root.children.remove(outline)
            self._outlines[owner.key].children.append(outline)


def _starts(part: Signature) -> Iterator[str]:
    """The names of the tasks that start when a part is sent."""
    placed = _Placed(ids=False)
    for key in placed.walk(part, "0", Entry()).first:
        yield placed.graph.nodes[key].task


class _Placed(Planner):
    """Tells the keys that a part has at a place, its callbacks and errbacks left out."""

    def _links(self, *_: Any, **__: Any) -> None:
        pass
