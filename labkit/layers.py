"""Where the boxes of a drawing stand: layers from left to right, joins, ways out of frames, and rows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from labkit.graph import Edge
from labkit.stacks import Stacks

#: Points between two layers, and how wide a row of layers may be, as estimated.
GAP: Final = 36.0
ROW: Final = 1320.0
_JOINING: Final = ("result", "order")
_LISTS: Final = ("header", "map", "starmap", "chunks")


@dataclass(frozen=True, slots=True)
class Line:
    """A piece of an edge between two things that are drawn: boxes, bars, or the ways out of a frame.

    ``layers`` is how many layers it must span at least, ``head`` whether it ends in an arrow head.
    """

    source: str
    target: str
    edge: Edge
    layers: int = 1
    head: bool = True


@dataclass(slots=True)
class Layers:
    """What is drawn besides the boxes.

    ``bars`` maps a frame to the bar that joins what leaves it, ``ways`` the name of a way out to the frame it ends in
    and the box it belongs to; ``jumps`` the name of a connector to the letter in it: a line ends in one and goes on
    from one of the same letter in another row. ``layer`` says how far right each thing stands, ``row`` in which row.
    """

    stacks: Stacks
    lines: list[Line] = field(default_factory=list)
    bars: dict[str, str] = field(default_factory=dict)
    ways: dict[str, tuple[str, str]] = field(default_factory=dict)
    jumps: dict[str, str] = field(default_factory=dict)
    layer: dict[str, int] = field(default_factory=dict)
    row: dict[str, int] = field(default_factory=dict)

    def frames(self, key: str) -> Iterator[str]:
        """The frames around a box, a frame or a bar, the innermost first."""
        place = self._around(key)
        while place is not None:
            yield place
            place = self._around(place)

    def _around(self, key: str) -> str | None:
        if key.startswith("bar "):
            key = key[4:]
        return self.stacks.parent.get(key)


def layers(stacks: Stacks, widths: Mapping[str, float]) -> Layers:
    """Lay out the boxes of ``stacks``; ``widths`` are those of the boxes in points, as estimated."""
    plan = Layers(stacks)
    plan.lines = list(dict.fromkeys(_lines(plan)))
    _rank(plan)
    plan.lines = list(dict.fromkeys(_ways_out(plan)))
    _rows(plan, widths)
    return plan


def _lines(plan: Layers) -> Iterator[Line]:
    graph, stacks = plan.stacks.graph, plan.stacks
    edges = stacks.edges()
    into = {edge.target for edge in edges if _shares(plan, edge)}
    out = {edge.source for edge in edges if _shares(plan, edge) and edge.kind in _JOINING}

    def ends(key: str, taken: set[str]) -> list[str]:
        boxes = list(stacks.inside(key))
        return [box for box in boxes if box not in taken] or boxes

    for edge in edges:
        if edge.target in graph.frames and edge.target in plan.frames(edge.source):
            yield Line(edge.source, _bar(plan, edge.target), edge, head=False)
            continue
        targets = ends(edge.target, into)
        joined = edge.source in graph.frames and graph.frames[edge.source].kind in _LISTS
        around = edge.source if joined else _header(plan, edge)
        if edge.kind in _JOINING and around is not None:
            bar = _bar(plan, around)
            if edge.source in stacks.boxes:
                yield Line(edge.source, bar, edge, head=False)
            elif not any(each.target == around for each in edges):
                for source in ends(around, out):
                    yield Line(source, bar, edge, head=False)
            sources = [bar]
        else:
            sources = ends(edge.source, out)
        for source in sources:
            for target in targets:
                yield Line(source, target, edge if source in stacks.boxes else replace(edge, source=around or source))


def _shares(plan: Layers, edge: Edge) -> bool:
    """Whether both ends are boxes of one frame."""
    mine = set(plan.frames(edge.source))
    return any(frame in mine for frame in plan.frames(edge.target))


def _header(plan: Layers, edge: Edge) -> str | None:
    """The header that the edge leaves, if it leaves one."""
    for frame in plan.frames(edge.source):
        if frame in plan.frames(edge.target):
            return None
        if plan.stacks.graph.frames[frame].kind == "header":
            return frame
    return None


def _bar(plan: Layers, frame: str) -> str:
    return plan.bars.setdefault(frame, f"bar {frame}")


def _left(plan: Layers, line: Line) -> list[str]:
    """The frames that a line goes out of, the innermost first."""
    if line.edge.kind not in _JOINING:
        return []
    stay = set(plan.frames(line.target))
    return [frame for frame in plan.frames(line.source) if frame not in stay]


def _rank(plan: Layers) -> None:
    """The longest way to each box; what follows a frame stands behind all of it."""
    after: dict[str, list[tuple[str, int]]] = {}
    before: dict[str, int] = dict.fromkeys((*plan.stacks.order, *plan.bars.values()), 0)

    def arrow(source: str, target: str, length: int) -> None:
        after.setdefault(source, []).append((target, length))
        before[target] = before.get(target, 0) + 1

    for line in plan.lines:
        arrow(line.source, line.target, 1)
    for frame, target in {(frame, line.target): None for line in plan.lines for frame in _left(plan, line)}:
        if f"end {frame}" not in before:
            for key in (*plan.stacks.inside(frame), *(bar for bar in plan.bars.values() if frame in plan.frames(bar))):
                arrow(key, f"end {frame}", 0)
        arrow(f"end {frame}", target, 1)
    plan.layer = dict.fromkeys(before, 0)
    ready = [key for key, many in before.items() if not many]
    for key in ready:
        for target, length in after.get(key, ()):
            plan.layer[target] = max(plan.layer[target], plan.layer[key] + length)
            before[target] -= 1
            if not before[target]:
                ready.append(target)


def _ways_out(plan: Layers) -> Iterator[Line]:
    """The lines, led straight to the right border of each frame they leave.

    Graphviz takes an edge that crosses a frame for a reason to turn the order inside round; an edge that ends in
    the frame's last layer crosses nothing.
    """
    names: dict[tuple[str, str], str] = {}
    for line in plan.lines:
        source = line.source
        for frame in _left(plan, line):
            end = plan.layer[f"end {frame}"]
            if plan.layer[source] >= end:
                continue
            way = names.setdefault((line.source, frame), f"way {len(names)}")
            plan.ways[way] = (frame, line.source)
            plan.layer[way] = end
            yield replace(line, source=source, target=way, layers=end - plan.layer[source], head=False)
            source = way
        yield replace(line, source=source)


def _rows(plan: Layers, widths: Mapping[str, float]) -> None:
    """Break a drawing that would be too wide into rows, never inside a frame or between a frame and its bar."""
    drawn = [*plan.stacks.order, *plan.bars.values()]
    last = max((plan.layer[key] for key in drawn), default=0)
    wide = [0.0] * (last + 1)
    together = [False] * (last + 2)
    for key in drawn:
        wide[plan.layer[key]] = max(wide[plan.layer[key]], widths.get(key, 8.0))
    for frame in plan.stacks.lanes:
        places = [plan.layer[key] for key in plan.stacks.inside(frame)]
        for place in range(min(places, default=0), max(places, default=0)):
            together[place] = True
    for frame, bar in plan.bars.items():
        places = [plan.layer[key] for key in plan.stacks.inside(frame)]
        for place in range(min(places, default=0), plan.layer[bar]):
            together[place] = True
    if sum(wide) + GAP * last <= ROW:
        return
    row, starts, taken, since = 0, [0] * (last + 1), 0.0, 0
    for place in range(last + 1):
        taken += wide[place] + GAP
        if taken > ROW:
            cut = next((each for each in range(place, since, -1) if not together[each - 1]), None)
            if cut is not None:
                row, since = row + 1, cut
                taken = sum(wide[cut : place + 1]) + GAP * (place + 1 - cut)
                starts[cut : place + 1] = [row] * (place + 1 - cut)
        starts[place] = row
    plan.row = {key: starts[plan.layer[key]] for key in (*drawn, *plan.ways)}
    plan.lines = list({(line.source, line.target): line for line in reversed([*_jumps(plan)])}.values())[::-1]


def _jumps(plan: Layers) -> Iterator[Line]:
    """The lines, those from row to row cut in two with a connector at either end."""
    letters: dict[str, str] = {}
    for line in plan.lines:
        rows = plan.row[line.source], plan.row[line.target]
        if rows[0] == rows[1]:
            yield line
            continue
        shared = line.source if line.edge.kind in _JOINING else line.target
        letter = letters.setdefault(shared, chr(ord("a") + len(letters) % 26) * (1 + len(letters) // 26))
        for way, row in zip(("out", "in"), rows, strict=True):
            plan.jumps[f"{way} {letter} {row}"] = letter
            plan.row[f"{way} {letter} {row}"] = row
        yield replace(line, target=f"out {letter} {rows[0]}")
        yield replace(line, source=f"in {letter} {rows[1]}", layers=1)
