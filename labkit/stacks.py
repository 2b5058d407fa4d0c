"""What of a graph is drawn: many like siblings as one stack, errbacks that were never called at most once."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from math import ceil
from typing import Any, Final

from labkit.errbacks import calls, uncalled
from labkit.graph import Edge, EdgeKind, Graph, Node
from labkit.labels import Labels

#: More like siblings than this fold into one stack, and three times as many like steps in a row.
SIBLINGS: Final = 8
#: With more boxes than this, any like siblings fold; if that is not enough, those of different tasks too.
CROWD: Final = 300
#: An opened stack of more than this becomes stacks of at least `PIECE`, and of such stacks `PIECES` at most.
OPENED: Final = 60
PIECE: Final = 50
PIECES: Final = 40
#: Opens every stack there is, by one level.
ALL: Final = "*"

_HANGING: Final = frozenset({"callback", "errback", "spawned", "replaced"})
_MANY: Final = frozenset({"map", "starmap", "chunks"})


def stacked(graph: Graph, labels: Labels, opened: Collection[str] = ()) -> Stacks:
    """The boxes of a drawing of ``graph``; stacks that hold a node or lie in a frame of ``opened`` are open."""
    stacks = Stacks(graph, labels, opened)
    if len(stacks.boxes) > CROWD:
        stacks = Stacks(graph, labels, opened, most=1)
    if len(stacks.boxes) > CROWD:
        stacks = Stacks(graph, labels, opened, most=1, alike=False)
    return stacks


class Stacks:
    """The boxes of a drawing and what stands in each of them.

    ``boxes`` maps the key of each box (its first node) to the keys of all nodes in it. ``lanes`` has for each
    frame that is drawn its parallel parts, each a list of boxes and frames. ``rows`` are the boxes whose nodes run one
    after the other. ``counts`` says of each frame how many of its parts succeeded, of how many, and if any began.
    """

    def __init__(
        self, graph: Graph, labels: Labels, opened: Collection[str] = (), most: int = SIBLINGS, alike: bool = True
    ) -> None:
        self.graph = graph
        self._most, self._alike = most, alike
        self.boxes: dict[str, list[str]] = {key: [key] for key in graph.nodes}
        self.rows: set[str] = set()
        self.lanes: dict[str, list[list[str]]] = {}
        self.counts: dict[str, tuple[int, int, bool]] = {}
        self.parent: dict[str, str] = {member: frame.key for frame in graph.frames.values() for member in frame.members}
        self._members = {frame.key: list(frame.members) for frame in graph.frames.values()}
        self._opened = frozenset(opened)
        self._stands: dict[str, str | None] = {}
        self._place = {key: place for place, key in enumerate(graph.nodes)}
        for key, kept in uncalled(graph, labels).items():
            self._merge(kept, key)
        self._drawn = [edge for edge in graph.edges if edge.kind != "errback" or calls(graph, edge)]
        self._twins: set[str] = set()
        self._settled: set[str] = set()
        self._fold_twins()
        self._drawn = self.edges()  # of thousands a few are left
        self._index()
        if self._fold_steps():
            self._index()
        for key, hanging in self._families():
            self._fold_siblings(key, hanging)
        self.order = [key for key in graph.nodes if key in self.boxes]

    def box(self, key: str) -> str | None:
        """The box (or frame) that stands for the node (or frame) ``key``; ``None`` if it is left out."""
        stands: str | None = key
        while stands is not None and stands in self._stands:
            stands = self._stands[stands]
        return stands

    def inside(self, key: str) -> Iterator[str]:
        """The boxes in a frame and in the frames in it; a box itself for a box."""
        if key in self.boxes:
            yield key
        elif key not in self._stands:
            for member in self._members.get(key, ()):
                yield from self.inside(member)

    def nodes(self, box: str) -> list[Node]:
        """The nodes in a box."""
        return [self.graph.nodes[key] for key in self.boxes[box]]

    def edges(self) -> list[Edge]:
        """The edges between boxes and frames, none twice."""
        return [Edge(*shown) for shown in dict.fromkeys(self._shown())]

    def _shown(self) -> Iterator[tuple[str, str, EdgeKind, bool]]:
        stands = {key: self.box(key) for key in self._stands}
        for edge in self._drawn:
            source, target = stands.get(edge.source, edge.source), stands.get(edge.target, edge.target)
            if source is not None and target is not None and source != target:
                yield source, target, edge.kind, edge.passes_value

    # --- stacks -----------------------------------------------------------------------------------------------

    def _merge(self, kept: str | None, other: str) -> None:
        self._stands[other] = kept
        moved = self.boxes.pop(other, [])
        if kept in self.boxes:
            self.boxes[kept] += moved
        if kept in self.counts:  # frames that are drawn as one are counted together
            (done, total, began), (its_done, its_total, its_began) = self.counts[kept], self.counts[other]
            self.counts[kept] = done + its_done, total + its_total, began or its_began

    def _index(self) -> None:
        self._out: dict[str, list[tuple[str, Edge]]] = {}
        self._in: dict[str, list[tuple[str, Edge]]] = {}
        for edge in self.edges():
            self._out.setdefault(edge.source, []).append((edge.target, edge))
            self._in.setdefault(edge.target, []).append((edge.source, edge))

    def _all(self, key: str) -> Iterator[str]:
        """What is drawn of a node or frame, frames included."""
        if key in self._stands:
            return
        yield key
        if key in self.graph.frames:
            for member in self._members[key]:
                yield from self._all(member)

    def _fold_twins(self) -> None:
        """Nodes of one task between the very same neighbours: nearly all siblings there are, in one quick pass."""
        around: dict[str, list[tuple[str, str, bool, bool]]] = {key: [] for key in self.boxes}
        for source, target, kind, passes in self._shown():
            if source in around:
                around[source].append((target, kind, passes, False))
            if target in around:
                around[target].append((source, kind, passes, True))
        alike: dict[Any, list[str]] = {}
        for key, neighbours in around.items():
            node, frame = self.graph.nodes[key], self.parent.get(key)
            alike.setdefault((frame, node.task * self._alike, node.role, tuple(neighbours)), []).append(key)
        for (frame, *_), like in alike.items():
            if len(like) > self._most:
                self._twins.update(self._stack([[key] for key in like], frame))

    def _stack(self, like: list[list[str]], family: str | None) -> list[str]:
        """Merge like lanes, place by place, and give what is left."""
        kept: list[str] = []
        pieces = self._pieces(like, family)
        for piece in pieces:
            for first, *others in zip(*piece, strict=True):
                kept.append(first)
                for other in others:
                    self._merge(first, other)
        if len(pieces) > 1:
            self._settled.update(kept)
        return kept

    def _fold_steps(self) -> bool:
        """Runs of like steps, one after the other; whether there were any."""
        done: set[str] = set()
        for key in list(self.boxes):
            run = [] if key in done else [key]
            done.add(key)
            while run and (step := self._next(run[-1])) is not None and step not in done:
                run.append(step)
                done.add(step)
            if len(run) > 3 * self._most:
                kept = self._stack([[step] for step in run], self.parent.get(key))
                self.rows.update(step for step in kept if len(self.boxes[step]) > 1)
        return bool(self.rows)

    def _next(self, key: str) -> str | None:
        onward = [(target, edge) for target, edge in self._out.get(key, ()) if edge.kind != "errback"]
        if len(onward) != 1 or onward[0][0] not in self.boxes or len(self._in[onward[0][0]]) != 1:
            return None
        step = onward[0][0]
        mine = {target for target, edge in self._out[key] if edge.kind == "errback"}
        its = {target for target, edge in self._out.get(step, ()) if edge.kind == "errback"}
        like = self.graph.nodes[key].task == self.graph.nodes[step].task and mine == its
        return step if like and self.parent.get(key) == self.parent.get(step) else None

    def _families(self) -> list[tuple[str, list[str] | None]]:
        """Frames, and nodes on which many others hang (with these); inner and later ones first."""
        found: list[tuple[int, int, str, list[str] | None]] = []
        for frame in self.graph.frames:
            first = next(iter(self.graph.leaves(frame)), None)
            found.append((self._place[first] if first is not None else 0, len(self._around(frame)), frame, None))
        for key, out in self._out.items():
            level = self.parent.get(key)
            lifted = (self._lift(target, level) for target, edge in out if edge.kind in _HANGING)
            hanging = [each for each in dict.fromkeys(lifted) if each is not None and each != key]
            if len(hanging) > self._most and key in self._place:
                found.append((self._place[key], len(self._around(key)), key, hanging))
        return [(key, hanging) for *_, key, hanging in sorted(found, key=lambda item: item[:2], reverse=True)]

    def _lift(self, key: str, *levels: str | None) -> str | None:
        """``key`` or the frame around it that is directly in one of these frames (``None``: in none)."""
        place: str | None = key
        while place is not None and self.parent.get(place) not in levels:
            place = self.parent.get(place)
        return place

    def _around(self, key: str) -> list[str]:
        frames: list[str] = []
        while key in self.parent:
            key = self.parent[key]
            frames.append(key)
        return frames

    def _fold_siblings(self, key: str, hanging: list[str] | None) -> None:
        if key in self._stands:
            return
        siblings = [each for each in hanging or self._members[key] if each not in self._stands]
        lanes = self._strands(siblings, key, hanging is None)
        if hanging is None:
            self.counts[key] = self._count(key, lanes, set(siblings))
        alike: dict[Any, list[list[str]]] = {}
        for lane in lanes:
            alike.setdefault(self._shape(lane), []).append([each for unit in lane for each in self._all(unit)])
        for like in alike.values():
            if len(like) > self._most:
                self._stack(like, key)
        if hanging is None:
            kept_lanes = [[unit for unit in lane if unit not in self._stands] for lane in lanes]
            self.lanes[key] = [lane for lane in kept_lanes if lane]
            self._adopt(key, [unit for lane in lanes for unit in lane])

    def _adopt(self, frame: str, units: list[str]) -> None:
        """What hangs on one lane alone is drawn in that lane's frame."""
        adopted = {unit for unit in units if self.parent.get(unit) != frame}
        for around in {self.parent[unit] for unit in adopted if unit in self.parent}:
            self._members[around] = [each for each in self._members[around] if each not in adopted]
        self._members[frame] = [unit for unit in units if unit not in self._stands]
        self.parent |= dict.fromkeys(adopted, frame)

    def _pieces(self, lanes: list[list[str]], family: str | None) -> list[list[list[str]]]:
        """How like lanes are put together: all in one, or opened within bounds."""
        if not (ALL in self._opened or family in self._opened or any(map(self._named, lanes))):
            return [lanes]
        if len(lanes) <= OPENED:
            return [[lane] for lane in lanes]
        size = max(PIECE, ceil(len(lanes) / PIECES))
        opened: list[list[list[str]]] = []
        for start in range(0, len(lanes), size):
            piece = lanes[start : start + size]
            further = ALL not in self._opened and any(map(self._named, piece))
            opened += self._pieces(piece, None) if further else [piece]
        return opened

    def _named(self, lane: list[str]) -> bool:
        """Whether a node of the lane was named to be opened."""
        return bool(self._opened) and any(key in self._opened for item in lane for key in self.boxes.get(item, (item,)))

    def _strands(self, siblings: list[str], hub: str, frame: bool) -> list[list[str]]:
        """Siblings with all that hangs on them alone: what runs beside each other, as lists of units."""
        root: dict[str, str] = {each: each for each in siblings}

        def find(key: str | None) -> str | None:
            while key is not None and key not in root:
                key = self.parent.get(key)
            while key is not None and root[key] != key:
                root[key] = key = root[root[key]]
            return key

        levels = (None, *self._around(hub))
        outside: dict[str, None] = {}
        for unit in siblings:
            for target, _ in self._beyond(unit, self._out):
                mine, its = find(unit), find(target)
                if its is not None and mine is not None:
                    root[max(mine, its, key=self._rank)] = min(mine, its, key=self._rank)
                elif (beyond := self._lift(target, *levels)) not in (hub, *levels):
                    outside[str(beyond)] = None
        inside = set(siblings)
        attached: list[str] = []
        queue = list(outside)
        for unit in queue:
            into = [] if unit in root else list(self._beyond(unit, self._in))
            owners = {find(source) for source, _ in into}
            # What follows a whole frame is no part of it, though all its values may come from one lane.
            # A planned step behind what was not planned stood behind a task that this was put in the place of.
            nodes = self.graph.nodes
            planned = unit in nodes and nodes[unit].planned
            follows = frame and any(
                edge.kind not in _HANGING
                and (self._lift(source, hub) in inside or (planned and source in nodes and not nodes[source].planned))
                for source, edge in into
            )
            if len(owners) == 1 and None not in owners and not follows:
                root[unit] = str(owners.pop())
                attached.append(unit)
                later = (self._lift(target, *levels) for target, _ in self._beyond(unit, self._out))
                queue += [each for each in dict.fromkeys(later) if each is not None and each not in (hub, *levels)]
        strands: dict[str, list[str]] = {}
        for unit in (*siblings, *attached):
            strands.setdefault(find(unit) or unit, []).append(unit)
        return list(strands.values())

    def _rank(self, unit: str) -> int:
        return self._place.get(next(self.inside(unit), unit), 0)

    def _beyond(self, unit: str, edges: Mapping[str, list[tuple[str, Edge]]]) -> Iterator[tuple[str, Edge]]:
        """The edges across the border of a unit, as they are drawn, each with its other end."""
        within = set(self._all(unit))
        for each in self._all(unit):
            for other, edge in edges.get(each, ()):
                stands = self.box(other)
                if stands is not None and stands not in within:
                    yield stands, edge

    def _shape(self, lane: list[str]) -> tuple[Any, ...]:
        """Equal for lanes that look alike: the same tasks, joined in the same way, by the same edges to the rest."""
        items = [each for unit in lane for each in self._all(unit)]
        local = {key: place for place, key in enumerate(items)}
        looks: list[Any] = []
        for key in items:
            if key in self.boxes:
                node, many = self.graph.nodes[key], len(self.boxes[key])
                alone = key in self._settled and key
                looks.append((node.task * self._alike, node.role, many, key in self.rows, alone))
            else:
                looks.append((self.graph.frames[key].kind, len(self._members[key])))
            looks.append(local.get(self.parent.get(key, "")))
        joins: set[tuple[Any, ...]] = set()
        for key in items:
            for way, edges in (("out", self._out), ("in", self._in)):
                for other, edge in edges.get(key, ()):
                    stands = self.box(other) or other
                    joins.add((local[key], way, edge.kind, edge.passes_value, local.get(stands, stands)))
        return tuple(looks), frozenset(joins)

    def _count(self, frame: str, lanes: list[list[str]], members: set[str]) -> tuple[int, int, bool]:
        main: list[list[Node]] = []
        for lane in lanes:
            boxes = [box for unit in lane if unit in members for box in self.inside(unit)]
            linked = ((to, edge.kind) for box in boxes for to, edge in self._out.get(box, ()))
            hanging = [to for to, kind in linked if kind in ("callback", "errback")]
            for box in hanging:
                hanging += [to for to, _ in self._out.get(box, ()) if to in boxes and to not in hanging]
            nodes = [node for box in boxes if box not in hanging for node in self.nodes(box)]
            if self.graph.frames[frame].kind in _MANY:
                main += [[node] for node in nodes if node.role == "map"]
            elif len(boxes) == 1 and boxes[0] in self._twins:
                main += [[node] for node in nodes]
            elif nodes:
                main.append(nodes)
        done = sum(all(node.state == "succeeded" for node in nodes) for nodes in main)
        return done, len(main), any(node.state != "planned" for nodes in main for node in nodes)
