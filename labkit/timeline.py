"""Timeline: waiting and running of each task, one lane a worker slot, as a matplotlib figure."""

from __future__ import annotations

import heapq
from base64 import b64encode
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from labkit.errors import LabError
from labkit.graph import Graph, Node
from labkit.labels import cut, visible, worker_name
from labkit.theme import THEMES

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: Inches a lane is high, and how high the whole may become.
_LANE: Final = 0.42
_HIGHEST: Final = 12.0
#: More tasks than this are drawn without their numbers.
_NUMBERED: Final = 120


@dataclass(slots=True)
class Bar:
    """One attempt of a task; times are in seconds since the first task was sent, ``slot`` is who ran it, if told."""

    node: Node
    sent: float
    started: float
    finished: float
    last: bool
    slot: str | None = None
    lane: int = 0


class Timeline:
    """A timeline with its ``figure``, its ``png`` and what it says as ``text``, which holds no times."""

    def __init__(self, graph: Graph, *, width: float = 9.0, title: str | None = None) -> None:
        self.graph = graph
        self.width = width
        self.title = title

    @cached_property
    def text(self) -> str:
        """How many tasks the picture shows."""
        many = sum(node.started is not None for node in self.graph.nodes.values())
        return f"timeline: {many} task{'' if many == 1 else 's'}"

    @cached_property
    def figure(self) -> Figure:
        """The figure, on a canvas of its own: nothing global is changed, and nothing stays open."""
        from matplotlib.backends.backend_agg import FigureCanvasAgg  # loads when first used
        from matplotlib.figure import Figure

        bars = attempts(self.graph)
        lanes = pack(bars)
        theme = THEMES["light"]
        height = min(_HIGHEST, 1.2 + _LANE * max(1, len(lanes)))
        figure = Figure(figsize=(self.width, height), dpi=100, facecolor=theme.paper, layout="constrained")
        FigureCanvasAgg(figure)
        axes = figure.add_subplot(facecolor=theme.paper)
        _draw(axes, self.graph, bars)
        axes.set_yticks(range(len(lanes)), lanes, fontsize=8 if len(lanes) <= 30 else 5, color=theme.title)
        axes.set_ylim(len(lanes) - 0.4, -0.6)
        axes.set_xlim(left=0)
        axes.set_xlabel("seconds since the first task was sent", fontsize=9, color=theme.title)
        axes.tick_params(axis="x", labelsize=8, colors=theme.title)
        axes.tick_params(axis="y", length=0)
        axes.grid(axis="x", color=theme.frame, linewidth=0.6)
        axes.set_axisbelow(True)
        for side in ("top", "right", "left"):
            axes.spines[side].set_visible(False)
        axes.spines["bottom"].set_color(theme.frame)
        if self.title is not None:
            axes.set_title(cut(visible(self.title), 100), fontsize=10, color=theme.title, loc="left", parse_math=False)
        return figure

    @cached_property
    def png(self) -> bytes:
        """The picture as PNG."""
        return self._bytes("png")

    def save(self, path: str | Path) -> Path:
        """Write the picture to ``path``: ``.png``, ``.svg`` or ``.pdf``, or ``.txt`` for its text; returns the path.

        Raises `LabError` for another suffix.
        """
        path = Path(path)
        match path.suffix.lower():
            case ".txt":
                path.write_text(f"{self.text}\n", encoding="utf-8")
            case ".png" | ".svg" | ".pdf" as suffix:
                path.write_bytes(self._bytes(suffix[1:]))
            case other:
                raise LabError(f"A timeline cannot be saved as {other or 'a file without suffix'!r}: use .png.")
        return path

    def _bytes(self, kind: str) -> bytes:
        buffer = BytesIO()
        dated = {"svg": "Date", "pdf": "CreationDate"}
        self.figure.savefig(buffer, format=kind, metadata={dated[kind]: None} if kind in dated else {})
        return buffer.getvalue()

    def __repr__(self) -> str:
        return self.text

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> tuple[dict[str, Any], dict[str, Any]]:
        shown = {"image/png": "png", "text/plain": "text"}
        data = {
            kind: getattr(self, name)
            for kind, name in shown.items()
            if (not include or kind in include) and (not exclude or kind not in exclude)
        }
        if "image/png" in data:
            data["image/png"] = b64encode(data["image/png"]).decode()
        return data, {"image/png": {"alt": self.text}}


def timeline(graph: Graph, *, width: float = 9.0, title: str | None = None) -> Timeline:
    """The timeline of all tasks of ``graph`` that have started; ``width`` in inches.

    >>> ran = Node("0", "tasks.add", state="succeeded", sent=10.0, started=10.1, finished=10.2, worker="w1")
    >>> timeline(Graph([ran]))
    timeline: 1 task
    """
    return Timeline(graph, width=width, title=title)


def attempts(graph: Graph) -> list[Bar]:
    """Each attempt of each task that has started, by start; what still runs ends where the last thing known ends."""
    nodes = [node for node in graph.nodes.values() if node.started is not None or node.attempts]
    first = min((_sent(node) for node in nodes), default=0.0)
    now = max((time for node in nodes for time in _times(node)), default=0.0) - first
    bars: list[Bar] = []
    for node in nodes:
        waits = _sent(node) - first
        runs = [run for run in node.attempts if run.when is not None]
        for place, run in enumerate(runs, 1):
            started = (run.when or 0.0) - first
            last = place == len(runs)
            ended = started + run.seconds if run.seconds is not None else _end(node, first, now)
            bars.append(Bar(node, waits, started, max(ended, started), last, run.slot))
            waits = bars[-1].finished
        if not runs and node.started is not None:
            started = node.started - first
            bars.append(Bar(node, waits, started, max(_end(node, first, now), started), True))
    return sorted(bars, key=lambda bar: bar.started)


def _sent(node: Node) -> float:
    return min(time for time in (node.sent, *_times(node)) if time is not None)


def _times(node: Node) -> Iterator[float]:
    yield from (time for time in (node.sent, node.received, node.started, node.finished) if time is not None)
    for run in node.attempts:
        if run.when is not None:
            yield run.when + (run.seconds or 0.0)


def _end(node: Node, first: float, now: float) -> float:
    return node.finished - first if node.finished is not None else now


def pack(bars: list[Bar]) -> list[str]:
    """Give each bar a lane and return the names of the lanes: a worker has one for each slot that ran something.

    Where nobody told which slot it was (plain events of Celery do not), each attempt takes the first that is free.
    """
    workers: dict[str, list[Bar]] = {}
    for bar in bars:
        workers.setdefault(worker_name(bar.node.worker), []).append(bar)
    names: list[str] = []
    for worker in sorted(workers):
        ran = workers[worker]
        told = {bar.slot for bar in ran}
        if None not in told:
            slots = sorted(filter(None, told), key=lambda slot: (len(slot), slot))
            for bar in ran:
                bar.lane = len(names) + slots.index(bar.slot or "")
        else:
            slots = _free_slots(ran, len(names))
        short = cut(visible(worker), 24).replace("$", r"\$")
        names += [f"{short} {slot}".rstrip() for slot in slots]
    return names


def _free_slots(bars: list[Bar], first: int) -> list[str]:
    """Give each bar the first lane that is free, from ``first`` on; the names of these lanes."""
    busy: list[tuple[float, int]] = []
    free: list[int] = []
    slots = 0
    for bar in bars:
        while busy and busy[0][0] <= bar.started:
            heapq.heappush(free, heapq.heappop(busy)[1])
        if not free:
            heapq.heappush(free, slots)
            slots += 1
        slot = heapq.heappop(free)
        heapq.heappush(busy, (bar.finished, slot))
        bar.lane = first + slot
    return [""] if slots == 1 else [str(slot) for slot in range(1, slots + 1)]


def _draw(axes: Axes, graph: Graph, bars: list[Bar]) -> None:
    from matplotlib.collections import PatchCollection  # loads when first used
    from matplotlib.patches import Patch, Rectangle

    theme = THEMES["light"]
    waiting: list[Patch] = [
        Rectangle((bar.sent, bar.lane - 0.42), bar.started - bar.sent, 0.12) for bar in bars if bar.started > bar.sent
    ]
    axes.add_collection(PatchCollection(waiting, facecolor=theme.looks["sent"].border, alpha=0.35, linewidth=0))
    end = max((bar.finished for bar in bars), default=0.0) or 1.0
    states = sorted({_state(bar) for bar in bars})
    for state in states:
        look = theme.looks[state]
        running: list[Patch] = [
            Rectangle((bar.started, bar.lane - 0.28), max(bar.finished - bar.started, end / 1000), 0.62)
            for bar in bars
            if _state(bar) == state
        ]
        hatch = {"failed": "////", "retrying": "...."}.get(state)
        axes.add_collection(
            PatchCollection(running, facecolor=look.fill, edgecolor=look.border, linewidth=0.9, hatch=hatch)
        )
    axes.set_xlim(0, end * 1.02)
    if len(bars) <= _NUMBERED:
        _number(axes, graph, bars, end)
    shown = [Patch(facecolor=theme.looks["sent"].border, alpha=0.35, label="waiting")]
    shown += [
        Patch(facecolor=theme.looks[state].fill, edgecolor=theme.looks[state].border, label=state) for state in states
    ]
    axes.legend(
        handles=shown,
        loc="lower right",
        bbox_to_anchor=(1, 1),
        ncols=len(shown),
        fontsize=8,
        frameon=False,
        labelcolor=theme.title,
    )


def _number(axes: Axes, graph: Graph, bars: list[Bar], end: float) -> None:
    """Each bar's number: on it, or beside it where it is too narrow and nothing else stands there."""
    looks = THEMES["light"].looks
    for bar in bars:
        number, look = graph.number(bar.node.key), looks[_state(bar)]
        wide = len(number) / 90 * end  # some 90 digits of this size are as wide as the axes
        if bar.finished - bar.started > wide:
            middle = (bar.started + bar.finished) / 2
            paper = {"facecolor": look.fill, "edgecolor": "none", "pad": 0.8}
            axes.text(middle, bar.lane + 0.03, number, ha="center", va="center", size=8, color=look.text, bbox=paper)
            continue
        beside = (bar.finished + end / 200, bar.finished + 1.4 * wide)
        others = ((each.sent, each.finished) for each in bars if each.lane == bar.lane and each is not bar)
        if not any(sent < beside[1] and beside[0] < finished for sent, finished in others):
            axes.text(beside[0], bar.lane + 0.03, number, ha="left", va="center", size=8, color=look.border)


def _state(bar: Bar) -> str:
    return bar.node.state if bar.last else "retrying"
