"""A graph laid out once for the view: boxes with room for what will stand in them, named so that they can change."""

from __future__ import annotations

import re
from dataclasses import replace
from html import escape
from typing import Any, Final

from labkit.dot import _Dot, _font
from labkit.draw import render
from labkit.graph import GLYPHS, Graph
from labkit.labels import Labels
from labkit.stacks import Stacks, stacked
from labkit.text import is_stack, stack_title
from labkit.theme import THEMES

#: Room for a value or an error, and for the times, in characters.
_OUTCOME: Final = 16
_TIMES: Final = 22
#: Room for arguments that are still to come.
_COMING: Final = 10
#: The view is narrower than a drawing: rows end earlier, as if boxes were so much wider.
_WIDER: Final = 1.7
_KINDS: Final = {"n": "box", "bar": "join", "jump": "jump"}
_SPACE: Final = "\N{NO-BREAK SPACE}"

_HEAD: Final = re.compile(r"<svg[^>]*?viewBox=\"([\d. -]+)\"[^>]*>", re.DOTALL)
_GROUP: Final = re.compile(r'<g id="(\w+?\d+)" class="(\w+)"([^>]*)>\n(?:<title>(.*?)</title>\n)?')
_NOISE: Final = re.compile(r'<!--.*?-->\n|(?<=<text) xml:space="preserve"| font-family="[^"]*"', re.DOTALL)
_PAPER: Final = re.compile(r'<polygon fill="#\w+" stroke="none" points="[^"]*"/>\n')


class Layout:
    """Where everything stands: ``svg``, in which box ``n5`` begins with node ``#5`` and ``frame2`` is the second frame.

    ``boxes`` are the keys of the nodes in each box.
    """

    def __init__(self, graph: Graph, labels: Labels) -> None:
        blank = _blank(graph)
        self.stacks = stacked(blank, labels)
        self.boxes = [self.stacks.boxes[key] for key in self.stacks.order]
        self.svg = _named(render(_Roomy(blank, self.stacks, labels, THEMES["light"]).source(), "svg").decode())


def _blank(graph: Graph) -> Graph:
    """The graph before anything happened, but for errbacks: one that was called has a box of its own."""
    nodes = [
        replace(node, state="succeeded" if node.role == "errback" and (node.sent or node.started) else "planned")
        for node in graph.nodes.values()
    ]
    return Graph(nodes, graph.edges, list(graph.frames.values()), graph.outline)


class _Roomy(_Dot):
    """The drawing with three lines in every box: the call, what came of it, and how long that took."""

    def __init__(self, graph: Graph, stacks: Stacks, labels: Labels, theme: Any) -> None:
        self._frames = {key: place for place, key in enumerate(graph.frames, 1)}
        self._next: str | None = None
        super().__init__(graph, stacks, labels, theme)

    def frame(self, picture: Any, key: str) -> None:
        self._next = f"frame{self._frames[key]}"
        super().frame(picture, key)

    def cluster(self, picture: Any, **attributes: str) -> Any:
        if self._next and attributes.get("label"):
            attributes["id"], self._next = self._next, None
        return super().cluster(picture, **attributes)

    def label(self, key: str) -> tuple[str, float]:
        nodes, number = self.stacks.nodes(key), self.labels.numbers(self.stacks.boxes[key])
        if is_stack(self.stacks, key):
            call, row = stack_title(self.stacks, self.labels, key)
            first, call = f"▤ {number}", f"{call}{_SPACE} × {len(nodes):,}{row}"
        else:
            first, call = f"{GLYPHS['planned']} {number}", self.labels.call(nodes[0])
            call += "0" * _COMING if nodes[0].partial else ""
        call += "00"  # a browser may write a little wider
        lines = [_font(first, 10, "#000000") + call_line(call), _font("0" * _OUTCOME, 11, "#000000")]
        lines.append(_font("0" * _TIMES, 9, "#000000"))
        width = max(len(first) * 10 + len(call) * 13, _OUTCOME * 11, _TIMES * 9) * 0.62 + 30
        return "<" + "".join(f'{line}<br align="left"/>' for line in lines) + ">", width * _WIDER


def call_line(call: str) -> str:
    """A call as it stands behind a box's number, in an HTML-like label.

    >>> call_line("f(1 < 2)").strip()
    'f(1 &lt; 2)'
    """
    return escape(f"{_SPACE}{_SPACE}{call}")


def _named(drawn: str) -> str:
    """The SVG without colours of its own paper, with a name for each box, frame and line."""
    head = _HEAD.search(drawn)
    body = _PAPER.sub("", _NOISE.sub("", drawn[head.end() if head else 0 :]), count=1)
    box = head[1] if head else "0 0 1 1"
    return f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="{box}">{_GROUP.sub(_group, body)}'


def _group(match: re.Match[str]) -> str:
    id, kind, rest, title = match[1], match[2], match[3], match[4] or ""
    if kind == "edge":
        source, _, target = title.replace("&#45;&gt;", ">").partition(">")
        return f'<g class="edge" data-source="{source}" data-target="{target}">\n'
    if kind == "node":
        kind = _KINDS.get(title.rstrip("0123456789"), "way")
        return f'<g data-name="{title}" class="{kind}">\n'
    if id.startswith("frame"):
        return f'<g data-name="{id}" class="frame">\n'
    return f'<g class="{kind}"{rest}>\n'
