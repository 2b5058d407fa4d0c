"""Graphs that the tests of drawings share: made by hand, so that they hold exactly what a test needs."""

from __future__ import annotations

import random
from collections.abc import Callable
from itertools import pairwise
from typing import Any

from labkit.graph import Edge, Frame, Graph, Node, Outline, State


def task_id(number: int) -> str:
    return f"00000000-0000-0000-0000-{number:012d}"


def failing() -> Graph:
    """``chain(add, group(mul, fail, mul), xsum with an errback, mul)`` after the second header failed."""
    header = ("1.h.0", "1.h.1", "1.h.2")
    nodes = [
        Node("0", "tasks.add", task_id(1), (1, 1), state="succeeded", value=2),
        Node("1.h.0", "tasks.mul", task_id(2), (2, 10), role="header", state="succeeded", value=20),
        Node("1.h.1", "tasks.fail", task_id(3), (2,), role="header", state="failed", error="ValueError: boom"),
        Node("1.h.2", "tasks.mul", task_id(4), (2, 30), role="header", state="succeeded", value=60),
        Node("1.b", "tasks.xsum", task_id(5), partial=True, role="body", state="never ran", reason="header #3 failed"),
        Node("2", "tasks.mul", task_id(6), (2,), partial=True, state="never ran", reason="#5 did not run"),
        Node("1.b.e", "tasks.on_error", task_id(7), (task_id(5),), role="errback", state="succeeded"),
    ]
    nodes[-1].note = "called with ChordError"
    edges = [*(Edge("0", key) for key in header), *(Edge(key, "1.b") for key in header), Edge("1.b", "2")]
    outline = Outline(
        "chain",
        "",
        [
            Outline("task", "0"),
            Outline("header", "1.h", [Outline("task", key) for key in header]),
            Outline("task", "1.b", [Outline("errback", "1.b.e")]),
            Outline("task", "2"),
        ],
    )
    return Graph(nodes, [*edges, Edge("1.b", "1.b.e", "errback", False)], [Frame("1.h", "header", header)], outline)


def chord(size: int, state: Callable[[int], State] = lambda _: "planned") -> Graph:
    """``chord([power(0, 2), power(1, 2), …], amass)``."""
    header = tuple(f"h.{place}" for place in range(size))
    nodes = [
        Node(key, "tasks.power", task_id(place), (place, 2), role="header", state=state(place), error="E: no")
        for place, key in enumerate(header)
    ]
    outline = Outline("chord", "", [Outline("header", "h", [Outline("task", key) for key in header])])
    outline.children.append(Outline("task", "b"))
    return Graph(
        [*nodes, Node("b", "tasks.amass", task_id(size), partial=True, role="body")],
        [Edge(key, "b") for key in header],
        [Frame("h", "header", header)],
        outline,
    )


def chain(names: list[str]) -> Graph:
    nodes = [Node(f"{place}", f"tasks.{name}", args=(place,)) for place, name in enumerate(names)]
    return Graph(nodes, [Edge(a.key, b.key) for a, b in pairwise(nodes)])


def one(**fields: Any) -> Graph:
    """One node, of one task, in any way."""
    return Graph([Node(**{"key": "0", "task": "tasks.work", **fields})], outline=Outline("task", "0"))


class _Canvas:
    """Any canvas: chains, groups and chords in each other, with callbacks and errbacks; each task another."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.nodes: list[Node] = []
        self.late: list[Node] = []
        self.edges: list[Edge] = []
        self.frames: list[Frame] = []
        self.open: list[Frame] = []

    def add(self, key: str) -> str:
        if self.open:
            self.open[-1].members += (key,)
        return key

    def task(self, key: str, sources: list[str]) -> list[str]:
        self.nodes.append(Node(self.add(key), f"tasks.t{len(self.nodes)}"))
        self.edges += [Edge(source, key) for source in sources]
        if self.random.random() < 0.1:
            self.nodes.append(Node(self.add(f"{key}.l"), f"tasks.callback{len(self.nodes)}", role="callback"))
            self.edges.append(Edge(key, f"{key}.l", "callback"))
        if self.random.random() < 0.2:
            self.late.append(Node(f"{key}.e", f"tasks.errback{len(self.nodes)}", role="errback"))
            self.edges.append(Edge(key, f"{key}.e", "errback", False))
        return [key]

    def part(self, key: str, sources: list[str], depth: int) -> list[str]:
        drawn = self.random.random()
        if not depth or drawn < 0.4:
            return self.task(key, sources)
        if drawn < 0.6:
            for place in range(self.random.randint(2, 3)):
                sources = self.part(f"{key}.{place}", sources, depth - 1)
            return sources
        joined = drawn < 0.92
        frame = Frame(self.add(key), "header" if joined else "group", (), self.open[-1].key if self.open else None)
        self.frames.append(frame)
        self.open.append(frame)
        ends = [
            end for place in range(self.random.randint(2, 8)) for end in self.part(f"{key}.{place}", sources, depth - 1)
        ]
        self.open.pop()
        return self.task(f"{key}.b", ends) if joined else ends


def canvas(seed: int) -> Graph:
    made = _Canvas(seed)
    made.part("0", made.task("first", []), 3)
    return Graph([*made.nodes, *made.late], made.edges, made.frames)
