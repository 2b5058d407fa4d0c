"""Messages put in their places: each is a node of the plan, or one that was decided at run time and is added to it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from celery.canvas import Signature

from labkit import canvas
from labkit.embed import counted, first_id
from labkit.graph import Edge, EdgeKind, Frame, Graph, Node, Outline
from labkit.plan import Entry, Part, Planner

_FLOW: Final = ("result", "order")


class Grower:
    """Adds what was published to a graph: ids to planned nodes that had none, and nodes for what nobody planned."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.ids: dict[str, list[Node]] = defaultdict(list)
        self._out: dict[str, list[Edge]] = defaultdict(list)
        self._edges = 0
        self._taken: set[str] = set()
        self._nesting: dict[str, int] = {}
        self._groups: dict[tuple[str | None, str], Frame] = {}
        self._bodies: dict[tuple[str, int], list[str]] = {}
        self._group_of: dict[str, str | None] = {}
        self._after: dict[str | None, list[str]] = defaultdict(list)
        self._outlines: dict[str, Outline] = {}
        self._children: dict[str, int] = defaultdict(int)
        for node in graph.nodes.values():
            if node.id:
                self.ids[node.id].append(node)
        self._index()
        if graph.outline:
            self._outline(graph.outline)

    def messages(self, published: Iterable[Mapping[str, Any]], ignored: set[str]) -> None:
        """Place all messages, a parent before its children. ``ignored``: ids of tasks that ended by ``Ignore``."""
        waiting = list(published)
        coming = {fact["id"] for fact in waiting}
        while waiting:
            later = []
            for fact in waiting:
                parent = fact["parent"]
                if parent and parent != fact["id"] and parent not in self.ids and parent in coming:
                    later.append(fact)
                else:
                    self._place(fact, ignored)
            if len(later) == len(waiting):
                coming = set()
            waiting = later
        self._order()

    def node(self, id: str, nesting: int) -> Node | None:
        """The node of this id that is the replacement of that depth (0: nobody's)."""
        nodes = self.ids.get(id) or ()
        return next((node for node in nodes if self._nesting.get(node.key, 0) >= nesting), nodes[-1] if nodes else None)

    # --- one message ----------------------------------------------------------------------------------------

    def _place(self, fact: Mapping[str, Any], ignored: set[str]) -> None:
        id, nesting = fact["id"], fact["nesting"]
        nodes = self.ids.get(id)
        if nodes and (fact["retries"] or nesting <= self._nesting.get(nodes[-1].key, 0) or id not in ignored):
            self._send(nodes[-1], fact)
            return
        parents = self.ids.get(fact["parent"]) if fact["parent"] else None
        owner: Node | None
        kind: EdgeKind
        if nodes:
            owner, kind = nodes[-1], "replaced"
        elif parents and nesting > self._nesting.get(parents[0].key, 0) and fact["parent"] in ignored:
            owner, kind = parents[0], "replaced"
        elif parents:
            owner, kind = parents[-1], "spawned"
            node = self._planned(owner, fact["task"])
            if node:
                self._name(node, id)
                self._send(node, fact)
                return
        else:
            owner, kind = None, "spawned"
        self._add(owner, kind, fact)

    def _send(self, node: Node, fact: Mapping[str, Any]) -> None:
        """The message of a node that is there already."""
        if node.sent is None:
            node.sent = fact["at"]
            node.state = "sent"
            self._group_of[node.key] = fact["group"]
            node.args, node.partial = tuple(fact["args"]), False
            node.kwargs = counted(node.task, fact["kwargs"])
            self._follow([node.key], fact["chain"], fact["chord"], node)
        elif not fact["retries"]:
            node.note = "sent more than once"

    def _add(self, owner: Node | None, kind: EdgeKind, fact: Mapping[str, Any]) -> None:
        """A node that nobody planned."""
        frame = self._group(owner, kind, fact)
        base = frame.key if frame else owner.key if owner else ""
        key = f"{base}~{self._children[base]}"
        self._children[base] += 1
        replacing = kind == "replaced"
        links = {} if replacing else {"link": fact["link"], "link_error": fact["link_error"]}
        signature = Signature(fact["task"], tuple(fact["args"]), dict(fact["kwargs"]), {**links, "task_id": fact["id"]})
        part = self._grow(
            signature, key, Entry((owner.key,) if owner else (), kind, False), owner, planned=owner is None
        )
        node = self.graph.nodes[key]
        node.role, node.sent, node.state = "task" if not fact["chord"] else "header", fact["at"], "sent"
        self._nesting[key], self._group_of[key] = fact["nesting"], fact["group"]
        if frame:
            frame.members = (*frame.members, part.outline[0].key if part.outline[0].key in self.graph.frames else key)
            self._outlines[frame.key].children += part.outline
        else:
            self._attach(owner, kind, part.outline)
        self._follow([key], fact["chain"], fact["chord"], owner)

    def _grow(self, signature: Signature, key: str, entry: Entry, owner: Node | None, *, planned: bool = False) -> Part:
        """Walk a signature of a message into the graph."""
        before = len(self.graph.nodes)
        planner = Planner(self.graph, ids=False, planned=planned)
        part = planner.walk(signature, key, entry)
        planner.errbacks()
        added = list(self.graph.nodes.values())[before:] if before < len(self.graph.nodes) else []
        for node in added:
            if node.id:
                self.ids[node.id].append(node)
            self._after[owner.key if owner else None].append(node.key)
        for outline in part.outline:
            self._outline(outline)
        self._index()
        for node in added:
            if owner and node.id and node.id == owner.id:
                self._nesting[node.key] = self._nesting.get(owner.key, 0) + 1
                self._take_over(owner, node)
        return part

    def _follow(self, last: list[str], chain: Any, chord: Any, owner: Node | None) -> None:
        """What a message says will come after it: the rest of its chain (the next step last), the body of its chord."""
        for step in reversed(chain or ()):
            id = first_id(step) or ""
            known = self.ids.get(id)
            if known and not (owner and owner.id == id and len(known) == 1 and known[0] is owner):
                last = [known[-1].key]
                continue
            planned = self._planned(self.graph.nodes[last[-1]], step["task"]) if last else None
            if planned and id:
                self._name(planned, id)
                last = [planned.key]
                continue
            self._children[last[-1]] += 1
            signature = canvas.as_signature(step)
            options = signature.options
            signature.options = {k: v for k, v in options.items() if k not in ("link", "link_error", "chord")}
            part = self._grow(signature, f"{last[-1]}~n{self._children[last[-1]] - 1}", Entry(tuple(last)), owner)
            self._attach(self.graph.nodes[last[-1]], "result", part.outline)
            last = part.last
            if options.get("chord"):
                self._join(last, options["chord"], owner)
        if chord and last:
            self._join(last, chord, owner)

    def _join(self, last: list[str], chord: Any, owner: Node | None) -> None:
        """These nodes are headers of a chord; ``chord`` is its body as the message has it, or just its id if known."""
        id = chord if isinstance(chord, str) else first_id(chord)
        ends = [key for key in last if not any(edge.kind in _FLOW for edge in self._out[key])]
        if not ends or not id:
            return
        nesting = 0 if isinstance(chord, str) else (chord.get("options") or {}).get("replaced_task_nesting") or 0
        known = self.ids.get(id)
        place = (id, nesting)
        if place not in self._bodies and (not known or nesting > self._nesting.get(known[-1].key, 0)):
            if isinstance(chord, str):
                return
            frame = next(
                (frame.key for frame in self._groups.values() if ends[0] in self.graph.leaves(frame.key)), ends[0]
            )
            signature = canvas.as_signature(chord)
            rest = list(signature.options.get("chain") or ())
            if canvas.kind(signature) == "chain":
                first, *others = canvas.steps(signature)
                signature, rest = first, rest + others[::-1]
            part = self._grow(signature, f"{frame}.b", Entry(), owner)
            for key in part.first:
                self.graph.nodes[key].role = "body"
            self._bodies[place] = part.first
            self._attach(owner, "result", part.outline)
            self._follow(part.last, rest, None, owner)
        for body in self._bodies.get(place) or [self.ids[id][-1].key]:
            passes = not any(edge.target == body and not edge.passes_value for edge in self.graph.edges)
            self.graph.edges += [Edge(key, body, "result" if passes else "order", passes) for key in ends]
            self.graph.nodes[body].partial = passes and self.graph.nodes[body].sent is None
        self._index()

    def _take_over(self, owner: Node, node: Node) -> None:
        """A replacement has the id of the task it replaces, and all that came after that comes after it."""
        moved = []
        for edge in self.graph.edges:
            if edge.source == owner.key and edge.kind in (*_FLOW, "callback", "errback"):
                edge = Edge(node.key, edge.target, edge.kind, edge.passes_value)
            moved.append(edge)
        self.graph.edges = moved
        self._edges = 0
        self._out.clear()
        self._index()

    def _group(self, owner: Node | None, kind: EdgeKind, fact: Mapping[str, Any]) -> Frame | None:
        group = fact["group"]
        if not group or (owner and (owner.id == fact["id"] or self._group_of.get(owner.key) == group)):
            return None
        place = (owner.key if owner else None, group)
        if place not in self._groups:
            base = owner.key if owner else ""
            key = f"{base}~g{self._children[base]}"
            self._children[base] += 1
            frame = Frame(key, "header" if fact["chord"] else "group")
            if owner and any(owner.key in self.graph.leaves(each.key) for each in self.graph.frames.values()):
                frame.parent = None
            self._groups[place] = self.graph.frames[key] = frame
            outline = Outline(frame.kind, key)
            self._outlines[key] = outline
            self._attach(owner, kind, [outline])
        return self._groups[place]

    # --- places in the plan ---------------------------------------------------------------------------------

    def _successors(self, key: str) -> Iterator[Edge]:
        for edge in self._out[key]:
            if edge.target in self.graph.frames:
                yield from self._out[edge.target]
            else:
                yield edge

    def _planned(self, owner: Node, task: str) -> Node | None:
        """The node behind ``owner`` that has no id yet and waits for a message of this task."""
        errback = None
        for edge in self._successors(owner.key):
            node = self.graph.nodes[edge.target]
            if node.task != task or node.role == "map":
                continue
            if node.id is None and node.key not in self._taken:
                if edge.kind == "errback":
                    self._move(node, owner)
                return node
            if edge.kind == "errback":
                errback = node
        return self._again(errback, owner) if errback and errback.id is not None else None

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

    # --- bookkeeping ----------------------------------------------------------------------------------------

    def _index(self) -> None:
        for edge in self.graph.edges[self._edges :]:
            self._out[edge.source].append(edge)
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

    def _order(self) -> None:
        """The plan's nodes first, as numbered there; then what was decided at run time, by parent, not by time."""
        added = {key for keys in self._after.values() for key in keys}
        if not added:
            return
        ordered: dict[str, Node] = {}

        def behind(key: str | None) -> None:
            for child in self._after.get(key, ()):
                if child not in ordered:
                    ordered[child] = self.graph.nodes[child]
                    behind(child)

        for key, node in self.graph.nodes.items():
            if key not in added:
                ordered[key] = node
        for place in [*ordered, None]:
            behind(place)
        for key, node in self.graph.nodes.items():
            ordered.setdefault(key, node)
        self.graph.nodes = ordered
