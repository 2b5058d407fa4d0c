"""What the browser must know to fold facts by itself: nodes, edges, frames, and where each stands in the drawing."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, Final

from labkit.embed import counted, ids_in
from labkit.facts import deepened
from labkit.graph import Graph, Node
from labkit.labels import Labels, slot_name, worker_name
from labkit.record import Fact
from labkit.text import is_stack, stack_title
from labkit.view.layout import Layout

#: Longest text of a value, an error or a call that is sent, in characters: the browser cuts it to its box.
LONGEST: Final = 400


class Tasks:
    """A small number for each task id, in the order in which the ids come up: facts carry it in place of the id."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}

    def __getitem__(self, id: str) -> int:
        return self._numbers.setdefault(id, len(self._numbers))

    def known(self, id: str) -> bool:
        """Whether this id has come up."""
        return id in self._numbers


class Shape:
    """A graph as the browser gets it, and the words for its facts. Laid out once."""

    def __init__(
        self,
        graph: Graph,
        facts: Sequence[Fact],
        tasks: Tasks,
        late: Collection[str] = (),
        plan: Graph | None = None,
    ) -> None:
        self.graph, self.labels = graph, Labels(graph)
        self._planned, self._before = plan.nodes if plan else {}, Labels(plan or graph)
        self.signature = signature(graph)
        self._tasks, self._late = tasks, late
        self._place = {key: place for place, key in enumerate((*graph.nodes, *graph.frames))}
        self._layout = Layout(graph, self.labels)
        self.maps = {
            graph.nodes[frame.members[0]].id: len(frame.members) - 1
            for frame in graph.frames.values()
            if frame.kind in ("map", "starmap") and frame.members and frame.members[0] in graph.nodes
        }
        self._born = born(graph, facts)

    def plain(self) -> dict[str, Any]:
        """The shape as plain data. Nodes and frames are numbered from 0: first the nodes, then the frames."""
        graph, place = self.graph, self._place
        return {
            "svg": self._layout.svg,
            "nodes": [self._node(node) for node in graph.nodes.values()],
            "edges": [[place[edge.source], place[edge.target], edge.kind] for edge in graph.edges],
            "frames": [
                {"kind": frame.kind, "members": [place[key] for key in frame.members if key in place]}
                for frame in graph.frames.values()
            ],
            "boxes": [self._box(keys) for keys in self._layout.boxes],
            "outline": graph.outline.kind if graph.outline else "workflow",
        }

    def _node(self, node: Node) -> dict[str, Any]:
        told: dict[str, Any] = {"call": self._call(node), "name": node.task}
        waiting = Node(node.key, node.task, options=node.options)
        if outcome := self.labels.outcome(waiting):
            told["plan"] = outcome
        if node.id:
            told |= {"task": self._tasks[node.id], "id": node.id}
        if node.role != "task":
            told["role"] = node.role
        if not node.planned:
            told["born"] = self._born.get(node.key, 0)
        if node.task in self._late:
            told["late"] = True
        if node.id is None and node.note and node.note.startswith("called with") and node.args:
            told["inline"] = self._tasks[str(node.args[0])]
        return told

    def _call(self, node: Node) -> str:
        """The call as it is known before it is sent: its message tells the arguments."""
        if node.key in self._planned:
            return self._before.call(self._planned[node.key], LONGEST)
        if node.role == "body":
            return f"{self.labels.name(node)}(…)"
        return self.labels.call(node, LONGEST)

    def _box(self, keys: list[str]) -> dict[str, Any]:
        told: dict[str, Any] = {"nodes": [self._place[key] for key in keys]}
        if is_stack(self._layout.stacks, keys[0]):
            call, row = stack_title(self._layout.stacks, self.labels, keys[0])
            told |= {"stack": f"{call} × {len(keys):,}{row}", "numbers": self.labels.numbers(keys)}
        return told


def signature(graph: Graph) -> tuple[Any, ...]:
    """Equal for graphs of one shape: the same nodes under the same ids, joined in the same way."""
    inline = sum(node.id is None and node.started is not None for node in graph.nodes.values())
    return tuple((node.key, node.id) for node in graph.nodes.values()), len(graph.edges), len(graph.frames), inline


def _carried(fact: Mapping[str, Any], deepest: Mapping[str, int]) -> Iterator[tuple[str, int]]:
    """The ids that a message tells of, each with how many replacements led to it.

    The body of a header's chain tells its depth itself. A step with the id of the task that sends the message is
    deeper than that task, whatever it says.
    """
    options = (fact["chord"].get("options") if isinstance(fact["chord"], dict) else None) or {}
    body = max(int(fact["nesting"]), int(options.get("replaced_task_nesting") or 0))
    bodies = set(ids_in(None, fact["chord"]))
    for id in {*ids_in(fact["chain"], fact["chord"])} - {fact["id"]}:
        depth = body if id in bodies else int(fact["nesting"])
        yield id, max(depth, deepest.get(id, 0) + 1) if id == fact["parent"] else depth
    yield fact["id"], body if fact["id"] in bodies else int(fact["nesting"])


def born(graph: Graph, facts: Sequence[Fact]) -> dict[str, int]:
    """With which fact (its place among all) each node that nobody planned came up."""
    first: dict[str, list[tuple[int, int]]] = {}
    inline: dict[str, int] = {}
    deepest: dict[str, int] = {}
    for fact in deepened(facts):
        if fact["kind"] == "published":
            for id, depth in _carried(fact, deepest):
                seen = first.setdefault(id, [])
                if not seen or depth > seen[-1][1]:
                    seen.append((fact["n"], depth))
            deepest[fact["id"]] = max(deepest.get(fact["id"], 0), fact["nesting"])
        elif fact["kind"] == "errback":
            inline.setdefault(fact["id"], fact["n"])
    births: dict[str, int] = {}
    linked = {edge.target for edge in graph.edges if edge.kind == "callback"}  # known with what they are linked to
    for node in graph.nodes.values():
        if not node.planned and node.key in linked:
            continue
        if node.planned:
            births[node.key] = -1
        elif node.id and node.id in first:
            among = [each.key for each in graph.by_id(node.id)]
            births[node.key] = first[node.id][min(among.index(node.key), len(first[node.id]) - 1)][0]
        elif node.id is None and node.args and str(node.args[0]) in inline:
            births[node.key] = inline[str(node.args[0])]
    edges = [edge for edge in graph.task_edges() if edge.target not in births]
    for _ in range(len(edges)):
        left = [edge for edge in edges if edge.source not in births]
        for edge in edges:
            if edge.source in births:
                births.setdefault(edge.target, max(0, births[edge.source]))
        if len(left) == len(edges):
            break
        edges = left
    return births


def plain_fact(fact: Mapping[str, Any], shape: Shape, tasks: Tasks, since: float) -> dict[str, Any]:
    """A fact as the browser needs it: bounded, without what it does not show. ``since``: when time begins."""
    kind = fact["kind"]
    told: dict[str, Any] = {"kind": kind, "at": round(fact["at"] - since, 6)}
    if fact["id"] is not None:
        told["task"] = tasks[fact["id"]]
    for name in ("retries", "nesting", "final", "requeued", "redelivered"):
        if fact.get(name):
            told[name] = fact[name]
    labels = shape.labels
    for name in ("error", "why", "note", "text", "exception"):
        if fact.get(name) is not None:
            told[name] = labels.plain(fact[name], LONGEST)
    if kind == "published":
        told |= _published(fact, shape, tasks)
    elif kind in ("received", "started"):
        told["worker"] = worker_name(fact.get("worker"))
        told["slot"] = slot_name(fact)
    elif kind == "succeeded" or (kind == "answered" and fact.get("final")):
        if fact.get("value") is not None:
            told["value"] = labels.literal(fact["value"], LONGEST)
        items = shape.maps.get(fact["id"])
        if items and isinstance(fact["value"], list) and len(fact["value"]) == items:
            told["items"] = [labels.literal(item, 40) for item in fact["value"][:200]]
    if kind in ("answered", "ended"):
        told["state"] = fact["state"]
    if kind == "errback":
        told["name"] = fact["task"]
    if fact.get("delay"):
        told["delay"] = fact["delay"]
    return told


def _published(fact: Mapping[str, Any], shape: Shape, tasks: Tasks) -> dict[str, Any]:
    node = Node("", fact["task"], fact["id"], tuple(fact["args"]), counted(fact["task"], fact["kwargs"]))
    told: dict[str, Any] = {"call": shape.labels.call(node, LONGEST), "queue": fact["queue"]}
    if fact.get("parent"):
        told["parent"] = tasks[fact["parent"]]
    if fact.get("eta"):
        told["later"] = True
    if fact["nesting"] and fact["parent"] in ids_in(fact["chain"], fact["chord"]):
        told["heir"] = True
    return told
