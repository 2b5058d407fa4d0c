"""Messages put in their places: each is a node of the plan, or one that was decided at run time and is added to it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from itertools import islice
from typing import Any

from celery.canvas import Signature

from labkit import canvas
from labkit.embed import counted, first_id, ids_in
from labkit.graph import FLOW, Edge, EdgeKind, Frame, Graph, Node, Outline
from labkit.plan import Entry, Part, Planner
from labkit.replacements import LINKS, Replacements


class Grower(Replacements):
    """Adds what was published to a graph: ids to planned nodes that had none, and nodes for what nobody planned."""

    def __init__(self, graph: Graph) -> None:
        super().__init__(graph)
        self._groups: dict[tuple[str | None, str], Frame] = {}
        self._bodies: dict[tuple[str, int], list[str]] = {}
        self._joins: list[tuple[Outline, Outline, list[str]]] = []
        self._group_of: dict[str, str | None] = {}
        self._members: dict[str, list[str]] = defaultdict(list)
        self._frame_of: dict[str, str] = {}

    def messages(self, published: Iterable[Mapping[str, Any]], ignored: set[str]) -> None:
        """Place all messages, a parent before its children. ``ignored``: ids of tasks that ended by ``Ignore``."""
        waiting = list(published)
        coming = {fact["id"] for fact in waiting}
        if any(fact["parent"] and fact["parent"] not in coming for fact in waiting):
            # A body that never ran is the parent of its errbacks.
            coming |= {id for fact in waiting for id in ids_in(fact["chain"], fact["chord"])}
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
        for frame, members in self._members.items():
            self.graph.frames[frame].members = tuple(members)
        self._order()

    def node(self, id: str, nesting: int) -> Node | None:
        """The node of this id that is the replacement of that depth (0: nobody's)."""
        nodes = self.ids.get(id) or ()
        return next((node for node in nodes if self._depth(node) >= nesting), nodes[-1] if nodes else None)

    # --- one message ----------------------------------------------------------------------------------------

    def _place(self, fact: Mapping[str, Any], ignored: set[str]) -> None:
        id, nesting = fact["id"], fact["nesting"]
        nodes = self.ids.get(id)
        # What comes after a replacement is sent with its depth too, though it replaces nothing.
        first = nodes and nodes[-1].sent is None
        swallowed = nodes is not None and self._went_on(nodes[-1])
        if nodes and (
            first or fact["retries"] or nesting <= self._depth(nodes[-1]) or not (swallowed or id in ignored)
        ):
            self._send(nodes[-1], fact)
            return
        parents = self.ids.get(fact["parent"]) if fact["parent"] else None
        owner: Node | None
        kind: EdgeKind
        if nodes:
            owner, kind = nodes[-1], "spawned" if swallowed else "replaced"
        elif parents and nesting > self._depth(parents[0]) and fact["parent"] in ignored:
            owner, kind = [node for node in parents if self._depth(node) < nesting][-1], "replaced"
        elif parents:
            # One that is deeper than its parent belongs to the task that is being replaced, not to its replacement.
            owner = next((node for node in reversed(parents) if self._depth(node) < nesting), parents[-1])
            kind = "errback" if fact.get("errback") else "spawned"
            node = self._planned(owner, fact)
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
            self._message[node.key] = fact
            node.sent = fact["at"]
            node.state = "sent"
            self._group_of[node.key], self._nesting[node.key] = fact["group"], fact["nesting"]
            node.args, node.partial = tuple(fact["args"]), False
            node.kwargs = counted(node.task, fact["kwargs"])
            self._follow([node.key], fact["chain"], fact["chord"], node)
        elif not fact["retries"]:
            node.note = "sent more than once"

    def _add(self, owner: Node | None, kind: EdgeKind, fact: Mapping[str, Any]) -> None:
        """A node that nobody planned."""
        frame = self._group(owner, kind, fact) if kind != "errback" else None
        base = frame.key if frame else owner.key if owner else ""
        key = f"{base}~{self._children[base]}"
        self._children[base] += 1
        self._message[key] = fact
        links = self._own_links(owner, fact) if kind == "replaced" else {name: fact[name] for name in LINKS}
        signature = Signature(fact["task"], tuple(fact["args"]), dict(fact["kwargs"]), {**links, "task_id": fact["id"]})
        part = self._grow(
            signature, key, Entry((owner.key,) if owner else (), kind, False), owner, planned=owner is None
        )
        node = self.graph.nodes[key]
        node.role, node.sent, node.state = "task" if not fact["chord"] else "header", fact["at"], "sent"
        self._nesting[key], self._group_of[key] = fact["nesting"], fact["group"]
        if frame:
            self._members[frame.key].append(part.outline[0].key if part.outline[0].key in self.graph.frames else key)
            self._frame_of[key] = frame.key
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
        added = [*islice(reversed(self.graph.nodes.values()), len(self.graph.nodes) - before)][::-1]
        added = [node for node in added if not self._is_planned(node, owner, part)]
        for node in added:
            if node.id:
                self.ids[node.id].append(node)
            self._after[owner.key if owner else None].append(node.key)
        for outline in part.outline:
            self._outline(outline)
        self._index()
        for node in added:
            if owner and node.id and node.id == owner.id:
                self._nesting[node.key] = self._depth(owner) + 1
                if not self._went_on(owner):
                    self._take_over(owner, node)
        return part

    def _follow(self, last: list[str], chain: Any, chord: Any, owner: Node | None) -> None:
        """What a message says will come after it: the rest of its chain (the next step last), the body of its chord."""
        for step in reversed(chain or ()):
            id = first_id(step) or ""
            if id not in self.ids:  # that of a group without tasks, for one
                id = next((each for each in ids_in(step) if each in self.ids), id)
            known = self.ids.get(id)
            if known and not (owner and owner.id == id and known[-1] is owner):
                last = [known[-1].key]
                continue
            signature = canvas.as_signature(step)
            if planned := self._match(signature, last):
                last = planned
                continue
            self._children[last[-1]] += 1
            options = signature.options
            signature.options = _without(options, "chord")
            if owner and owner.id == id:
                signature.options |= self._own_links(owner, options)
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
        nesting = 0 if isinstance(chord, str) else (chord.get("options") or {}).get("replaced_task_nesting") or 0
        known, place = self.ids.get(id or ""), (id or "", nesting)
        rest: list[Any] = []
        if isinstance(chord, dict):
            body = canvas.as_signature(chord)
            rest = list(body.options.get("chain") or ())
            if canvas.kind(body) == "chain":
                links = canvas.links(body.options, "link")
                body, *others = canvas.steps(body)
                if links and others:  # what is linked to a chain follows its last step
                    others[-1] = others[-1].clone()
                    others[-1].options["link"] = [*canvas.links(others[-1].options, "link"), *links]
                rest += others[::-1]
            if not known and (planned := self._match(body, last)):
                self._follow(planned, rest, None, owner)
        ends = [key for key in last if not self._goes_on(key)]
        if not ends or not id:
            return
        if place not in self._bodies and (not known or nesting > self._depth(known[-1])):
            if isinstance(chord, str):
                return
            frame = self._frame_of.get(ends[0], ends[0])
            if owner and first_id(body) == owner.id:
                body.options |= self._own_links(owner, body.options)
            part = self._grow(body, f"{frame}.b", Entry(tuple(ends)), owner)
            for key in part.first:
                self.graph.nodes[key].role = "body"
                self._nesting.setdefault(key, nesting)
            self._bodies[place] = part.first
            self._attach(owner, "result", part.outline)
            if owner and owner.key in self._outlines:
                self._joins.append((self._outlines[owner.key], part.outline[0], part.first))
            self._follow(part.last, rest, None, owner)
            return
        for target in self._bodies.get(place) or self._beside(self.ids[id][-1].key):
            like = self.graph.edges[self._into[target]] if target in self._into else Edge("", target)
            self.graph.edges += [replace(like, source=key, target=target) for key in ends]
            if target in self.graph.nodes:
                self.graph.nodes[target].partial = like.passes_value and self.graph.nodes[target].sent is None
        self._index()

    def _beside(self, body: str) -> list[str]:
        """All tasks that start where this body does (one, or the members of a group), or the frame in front of them."""
        source = self.graph.edges[self._into[body]].source if body in self._into else None
        if source is None or source in self.graph.frames:
            return [source or body]
        return [edge.target for edge in self._leaving(source) if edge.kind in FLOW]

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
            self._groups[place] = self.graph.frames[key] = frame
            outline = Outline(frame.kind, key)
            self._outlines[key] = outline
            self._attach(owner, kind, [outline])
        return self._groups[place]

    def _order(self) -> None:
        """The plan's nodes first, as numbered there; then what was decided at run time, by parent, not by time."""
        added = {key for keys in self._after.values() for key in keys}
        if not added:
            return
        self._bodies_last()
        ordered: dict[str, Node] = {}
        drawn = {key: place for place, key in enumerate(_drawn(self.graph.outline))}

        def behind(key: str | None) -> None:
            # A body is known with the first header's message, and comes after the last one.
            for child in sorted(self._after.get(key, ()), key=lambda each: drawn.get(each, len(drawn))):
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

    def _bodies_last(self) -> None:
        """In the outline a body stands behind all of its headers, also those that were sent after it was known."""
        sources: dict[str, set[str]] = defaultdict(set)
        first = {key for _, _, keys in self._joins for key in keys}
        for edge in self.graph.edges:
            if edge.target in first:
                sources[edge.target].add(edge.source)
        for around, body, keys in self._joins:
            headers = set().union(*(sources[key] for key in keys))
            place = next(n for n, child in enumerate(around.children) if child is body)
            later = [n for n, child in enumerate(around.children) if n > place and headers & set(_drawn(child))]
            if later:
                around.children.insert(later[-1], around.children.pop(place))


def _drawn(outline: Outline | None) -> Iterator[str]:
    """The keys of an outline, from top to bottom."""
    if outline is not None:
        yield outline.key
        for child in outline.children:
            yield from _drawn(child)


def _without(options: Mapping[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in options.items() if name not in names}
