"""A signature as a Graph: what will be sent. Sends nothing, changes nothing."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from celery.canvas import Signature, chunks, xstarmap

from labkit import canvas
from labkit.graph import Edge, EdgeKind, Frame, FrameKind, Graph, Node, Outline, Role


@dataclass(frozen=True, slots=True)
class Entry:
    """What leads to a part of the canvas: nodes (or one frame), by which kind of edge, and if a value comes along."""

    sources: tuple[str, ...] = ()
    kind: EdgeKind = "result"
    passes: bool = True


@dataclass(slots=True)
class Part:
    """What a part of the canvas became: its outline, the nodes that start it, end it, and have its errbacks."""

    outline: list[Outline]
    first: list[str]
    last: list[str]
    failing: list[str]


class Planner:
    """Walks a copy of a signature, makes nodes, edges and frames of it, and gives its tasks their ids.

    An id set before sending is kept at every depth, so what the planner sets is what Celery sends. With
    ``ids=False`` (callbacks, errbacks, and what a worker sends) only ids that are there already are used.
    """

    def __init__(self, graph: Graph | None = None, *, ids: bool = True, planned: bool = True) -> None:
        self.graph = graph or Graph()
        self.ids = ids
        self.planned = planned
        self._frames: list[tuple[Frame, list[str]]] = []
        self._scopes: list[dict[tuple[str, int], str]] = [{}]
        self._errbacks: dict[str, tuple[Any, list[str], Outline]] = {}

    def whole(self, signature: Signature, key: str = "0", kind: str | None = None) -> Graph:
        """The graph of ``signature``, errbacks last."""
        part = self.walk(signature, key, Entry())
        kind = kind or canvas.kind(signature)
        alone = len(part.outline) == 1 and kind not in ("chain", "chord")
        self.graph.outline = part.outline[0] if alone else Outline(kind, key, part.outline)
        self.errbacks()
        return self.graph

    def errbacks(self) -> None:
        """Make the nodes of all errbacks met so far: they come behind the canvas, in the order they were met."""
        while self._errbacks:
            key = next(iter(self._errbacks))
            signature, sources, outline = self._errbacks.pop(key)
            entry = Entry(tuple(sources), "errback", False)
            part = self._outside(canvas.as_signature(signature), key, entry, "errback")
            _label(outline, part)

    def walk(
        self, sig: Signature, key: str, entry: Entry, role: Role = "task", given: dict[str, Any] | None = None
    ) -> Part:
        """Plan one part at place ``key``; ``given`` are options that the whole it belongs to is sent with."""
        options = {**sig.options, **(given or {})}
        if given and "link" in given:
            options["link"] = [*canvas.links(sig.options, "link"), *given["link"]]
        which = canvas.kind(sig)
        if which == "chain":
            return self._chain(sig, key, entry, role, options)
        if which == "group":
            return self._group(sig, key, entry, role, options)
        if which == "chord":
            return self._chord(sig, key, entry, role, options)
        part = self._task(sig, key, entry, role, options)
        if which == "chunks":
            self._parts(sig, key, part)
        elif which != "task":
            self._items(sig, key, part, which)
        self._links(options, part, key)
        return part

    # --- the constructs -------------------------------------------------------------------------------------

    def _task(self, sig: Signature, key: str, entry: Entry, role: Role, options: dict[str, Any]) -> Part:
        passes = entry.passes and not sig.immutable
        if self.ids:
            sig.options["task_id"] = options["task_id"] = options.get("task_id") or str(uuid4())
        node = Node(
            key,
            sig.task,
            options.get("task_id"),
            args=tuple(sig.args or ()),
            kwargs=dict(sig.kwargs or {}),
            options=_shown(options),
            partial=passes and bool(entry.sources),
            role=role,
            planned=self.planned,
        )
        self._add(node)
        kind: EdgeKind = "order" if entry.kind == "result" and not passes else entry.kind
        self.graph.edges += [Edge(source, key, kind, passes) for source in entry.sources]
        return Part([Outline("task", key)], [key], [key], [key])

    def _items(self, sig: Signature, key: str, part: Part, which: str) -> None:
        """``map`` and ``starmap``: one message and a call for each item, in a frame."""
        task, items = canvas.as_signature(sig.kwargs["task"]).task, list(sig.kwargs["it"])
        self._contain(key, f"{key}.m", "map" if which == "map" else "starmap", part)
        self.graph.nodes[key].kwargs = {"task": task, "items": len(items)}
        with self._frame(f"{key}.m"):
            for place, item in enumerate(items):
                args = (item,) if which == "map" or not isinstance(item, list | tuple) else tuple(item)
                self._add(Node(f"{key}.m.{place}", task, args=args, role="map", planned=self.planned))
                part.outline[0].children.append(Outline("task", f"{key}.m.{place}"))

    def _parts(self, sig: Signature, key: str, part: Part) -> None:
        """``chunks`` inside a canvas: one message that sends its starmaps when it runs (``celery.chunks``)."""
        task, items, size = sig.kwargs["task"], list(sig.kwargs["it"]), int(sig.kwargs["n"])
        self._contain(key, f"{key}.c", "chunks", part)
        self.graph.nodes[key].kwargs = {"task": canvas.as_signature(task).task, "items": len(items), "n": size}
        with self._frame(f"{key}.c"), self._without_ids():
            for place, start in enumerate(range(0, len(items), size)):
                piece = xstarmap(task, items[start : start + size])
                inner = self.walk(piece, f"{key}.c.{place}", Entry((key,), "spawned", False))
                part.outline[0].children += inner.outline

    def _contain(self, key: str, frame: str, kind: FrameKind, part: Part) -> None:
        """Put the node ``key``, just added, into a new frame of its own."""
        if self._frames:
            self._frames[-1][1].remove(key)
        with self._frame(frame, kind):
            self._frames[-1][1].append(key)
        part.outline = [Outline(kind, frame, part.outline)]

    def _chain(self, sig: Signature, key: str, entry: Entry, role: Role, options: dict[str, Any]) -> Part:
        whole = Part([], [], [], [])
        steps = canvas.steps(sig)
        if len(steps) == 1 and canvas.kind(steps[0]) == "group":
            # Celery gives the value to the group itself, and its members never see it (``_chain.run``).
            entry = Entry(entry.sources, entry.kind, False)
        for place, step in enumerate(steps):
            if place == len(steps) - 1:
                _name(step, options)
            handed = _shown(options) if place == 0 else {}
            handed |= _callbacks(options) if place == len(steps) - 1 else {}
            part = self.walk(step, f"{key}.{place}", entry, role, handed)
            whole.outline += part.outline
            whole.first = whole.first or part.first
            whole.last = part.last or whole.last
            whole.failing += part.failing
            entry, role = Entry(tuple(part.last) or entry.sources), "task"
        self._links({**options, "link": None}, whole, key)
        return whole

    def _group(self, sig: Signature, key: str, entry: Entry, role: Role, options: dict[str, Any]) -> Part:
        with self._frame(key, "group"):
            whole = self._members(sig, key, entry, role, options)
        whole.outline = [Outline("group", key, whole.outline)]
        return whole

    def _members(self, sig: Signature, key: str, entry: Entry, role: Role, options: dict[str, Any]) -> Part:
        whole, given, first = Part([], [], [], []), _shown(options) | _callbacks(options), options.get("first")
        for place, each in enumerate(canvas.members(sig)):
            member, where = canvas.as_signature(each), f"{key}.{place}"
            handed = given | {"first" if canvas.kind(member) == "group" else "link": first} if first else given
            first = None
            with self._scope():
                part = self.walk(member, where, entry, role, handed)
            if len(part.outline) > 1:
                part.outline = [Outline("chord" if canvas.kind(member) == "chord" else "chain", where, part.outline)]
            whole.outline += part.outline
            whole.first += part.first
            whole.last += part.last
            whole.failing += part.failing
        return whole

    def _chord(self, sig: Signature, key: str, entry: Entry, role: Role, options: dict[str, Any]) -> Part:
        body, frame = canvas.as_signature(sig.body), f"{key}.h"
        _name(body, options)
        with self._frame(frame, "header"):
            header = self._members(sig, frame, entry, "task", _shown(options))
        for each in header.last:
            if self.graph.nodes[each].role == "task":
                self.graph.nodes[each].role = "header"
        sources = tuple(header.last)
        if len(sources) > 1 and canvas.entrances(body) > 1:
            self.graph.edges += [Edge(each, frame) for each in sources]
            sources = (frame,)
        # An empty header: the body is sent at once, with an empty list in place of a value.
        after = Entry(sources) if header.last else Entry(entry.sources, entry.kind, False)
        given = {name: value for name, value in _shown(options).items() if name not in ("countdown", "eta")}
        if canvas.kind(body) == "group" and "link" in _callbacks(options):
            # A callback on a group is on its first member, and gets no value (``group.link``).
            given["first"] = [
                canvas.as_signature(each).clone().set(immutable=True) for each in _callbacks(options)["link"]
            ]
        else:
            given |= _callbacks(options)
        part = self.walk(body, f"{key}.b", after, role if role != "task" and not header.last else "body", given)
        outline = [Outline("header", frame, header.outline), *part.outline]
        if not header.last:
            self._forget(frame)
            outline = part.outline
            for each in part.first if canvas.hollow(sig) else ():
                node = self.graph.nodes[each]
                node.state, node.reason = "never ran", "the header it waits for has no task"
        whole = Part(outline, header.first or part.first, part.last, part.failing)
        self._links({**options, "link": None}, whole, key)
        return whole

    # --- callbacks and errbacks -----------------------------------------------------------------------------

    def _links(self, options: dict[str, Any], part: Part, key: str) -> None:
        """Callbacks hang on the last node, errbacks on each step of a chain, each member of a group, a chord's body."""
        if not part.last:
            return
        for place, callback in enumerate(canvas.links(options, "link")):
            entry = Entry((part.last[-1],), "callback")
            outline = Outline("callback", f"{key}.l.{place}")
            _label(outline, self._outside(canvas.as_signature(callback), outline.key, entry, "callback"))
            part.outline[-1].children.append(outline)
        counted: dict[str, int] = {}
        for errback in canvas.links(options, "link_error"):
            text = json.dumps(errback, default=repr, sort_keys=True)
            counted[text] = counted.get(text, 0) + 1
            scope = self._scopes[-1]
            known = scope.setdefault((text, counted[text]), f"{key}.e.{len(scope)}")
            if known not in self._errbacks:
                self._errbacks[known] = (errback, [], Outline("errback", known))
                (part.outline[-1].children if len(part.failing) == 1 else part.outline).append(self._errbacks[known][2])
            self._errbacks[known][1].extend(each for each in part.failing if each not in self._errbacks[known][1])

    def _outside(self, sig: Signature, key: str, entry: Entry, role: Role) -> Part:
        """Plan a callback or an errback: in no frame, and without ids, since Celery gives them some when it sends."""
        frames, self._frames = self._frames, []
        try:
            with self._without_ids(), self._scope():
                return self.walk(sig, key, entry, role)
        finally:
            self._frames = frames

    # --- where the walk is ----------------------------------------------------------------------------------

    def _add(self, node: Node) -> None:
        self.graph.nodes[node.key] = node
        if self._frames:
            self._frames[-1][1].append(node.key)

    @contextmanager
    def _frame(self, key: str, kind: FrameKind | None = None) -> Iterator[None]:
        """Inside a frame: a new one of this kind, or the one that is there."""
        if kind:
            parent = self._frames[-1] if self._frames else None
            self.graph.frames[key] = Frame(key, kind, (), parent[0].key if parent else None)
            if parent:
                parent[1].append(key)
        frame = self.graph.frames[key]
        self._frames.append((frame, list(frame.members)))
        try:
            yield
        finally:
            frame.members = tuple(self._frames.pop()[1])

    def _forget(self, frame: str) -> None:
        del self.graph.frames[frame]
        if self._frames:
            self._frames[-1][1].remove(frame)

    @contextmanager
    def _scope(self) -> Iterator[None]:
        """Inside one chain the same errback on several steps is one node: it is called at most once."""
        self._scopes.append({})
        try:
            yield
        finally:
            self._scopes.pop()

    @contextmanager
    def _without_ids(self) -> Iterator[None]:
        before, self.ids = self.ids, False
        try:
            yield
        finally:
            self.ids = before


def _shown(options: dict[str, Any]) -> dict[str, Any]:
    return {name: options[name] for name in canvas.SHOWN_OPTIONS if options.get(name) is not None}


def _callbacks(options: dict[str, Any]) -> dict[str, Any]:
    """The callbacks of a whole, as options for the part of it that is to have them."""
    found = canvas.links(options, "link")
    return {"link": found} if found else {}


def _name(signature: Signature, options: dict[str, Any]) -> None:
    """The id a chain or chord is given is that of its last task (of its body)."""
    if options.get("task_id") and canvas.kind(signature) in ("task", "map", "starmap"):
        signature.options.setdefault("task_id", options["task_id"])


def _label(outline: Outline, part: Part) -> None:
    """Make ``outline`` stand for a callback or errback: a node, or a construct around its outlines."""
    if len(part.outline) == 1 and part.outline[0].kind == "task":
        outline.key, outline.children = part.outline[0].key, part.outline[0].children
    else:
        outline.children = part.outline


def prepare(thing: Any) -> tuple[Signature, Graph]:
    """A copy of a signature that can be sent once, and the Graph of exactly what that sends, ids included.

    ``chunks`` sent by itself is the group of its starmaps (``celery/canvas.py: chunks.apply_async``).
    Raises ``LabError`` if ``thing`` is no signature, or a part of it is none.
    """
    alone = isinstance(thing, chunks)
    if alone:
        canvas.items(thing)  # raises where Celery would, in words that help
    signature = canvas.copy(thing.group() if alone else thing)
    graph = Planner().whole(signature)
    if alone and graph.outline:
        graph.frames[graph.outline.key].kind = "chunks"
        graph.outline.kind = "chunks"
    return signature, graph


def plan(signature: Any) -> Graph:
    """What would be sent for ``signature``, as a `Graph`: a preview; nothing is sent, nothing is changed.

    ``signature`` is any canvas, also as a dict or as parsed JSON. Needs no lab and no broker.
    Raises ``LabError`` if it is no signature, with what it is instead.

    >>> from celery import chain, signature
    >>> graph = plan(chain(signature("tasks.add", (2, 2)), signature("tasks.add", (4,))))
    >>> [(node.key, node.task, node.args, node.partial) for node in graph.nodes.values()]
    [('0.0', 'tasks.add', (2, 2), False), ('0.1', 'tasks.add', (4,), True)]
    """
    return prepare(signature)[1]
