"""Graph to DOT: boxes, frames, joins and edges in the drawing language, for any Graphviz."""

from __future__ import annotations

from html import escape
from typing import Any, Final

from labkit.graph import GLYPHS, Graph, State
from labkit.labels import Labels
from labkit.layers import Layers, Line, layers
from labkit.stacks import Stacks
from labkit.text import counts, frame_title, is_stack, stack_title
from labkit.theme import FONT, Look, Theme

_CALL_SIZE: Final = 13
_NUMBER_SIZE: Final = 10
_OUTCOME_SIZE: Final = 11
#: An outcome that is longer than this goes on two lines.
_LINE: Final = 38
_NAMED: Final = ("callback", "errback", "spawned", "replaced")
#: So many callbacks or errbacks of one box all have the word at their line.
_FEW: Final = 4
_DECIDED: Final = ("spawned", "replaced")
_SPACE: Final = "\N{NO-BREAK SPACE}"


def dot(graph: Graph, stacks: Stacks, labels: Labels, theme: Theme) -> str:
    """The DOT text of a drawing. Box ``n5`` is the one that begins with node ``#5``."""
    return _Dot(graph, stacks, labels, theme).source()


class _Dot:
    def __init__(self, graph: Graph, stacks: Stacks, labels: Labels, theme: Theme) -> None:
        self.graph, self.stacks, self.labels, self.theme = graph, stacks, labels, theme
        self.within = {key: {node.state for node in stacks.nodes(key)} for key in stacks.order}
        self.labelled = {key: self.label(key) for key in stacks.order}
        self.layers: Layers = layers(stacks, {key: width for key, (_, width) in self.labelled.items()})
        self.names = {key: f"n{graph.number(key)[1:]}" for key in stacks.order}
        self.names |= {bar: f"bar{place}" for place, bar in enumerate(self.layers.bars.values(), 1)}
        self.names |= {way: f"way{place}" for place, way in enumerate(self.layers.ways, 1)}
        self.names |= {jump: f"jump{place}" for place, jump in enumerate(self.layers.jumps, 1)}
        self.clusters = 0
        self.named = self.middles()

    def source(self) -> str:
        from graphviz import Digraph  # loads when first used

        theme = self.theme
        picture = Digraph(
            graph_attr={
                "rankdir": "LR",
                "bgcolor": theme.paper,
                "pad": "0.2",
                "nodesep": "0.16",
                "ranksep": "0.85" if any(line.edge.kind in _NAMED for line in self.layers.lines) else "0.45",
                "fontname": FONT,
                "fontsize": "10.5",
                "fontcolor": theme.title,
                # The order in which boxes are written is right already: little search keeps it so.
                "mclimit": "0.1",
            },
            node_attr={"shape": "box", "fontname": FONT, "fontsize": str(_CALL_SIZE), "margin": "0.13,0.07"},
            edge_attr={
                "fontname": FONT,
                "fontsize": "10",
                "color": theme.ink,
                "fontcolor": theme.ink,
                "arrowsize": "0.75",
                "penwidth": "1.2",
            },
        )
        parts = self.parts()
        for units in reversed(parts):
            if len(parts) == 1:
                self.units(picture, units[::-1])
            else:
                with self.cluster(picture, style="invis", margin="8") as part:
                    self.units(part, units)
        for line in self.layers.lines:
            self.line(picture, line)
        return str(picture.source)

    def parts(self) -> list[list[str]]:
        """What stands one below the other: rows, or parts of the workflow that nothing joins."""
        joined: dict[str, str] = {}

        def find(key: str) -> str:
            while (above := joined.setdefault(key, key)) != key:
                joined[key] = key = joined[above]
            return key

        for line in self.layers.lines:
            joined[find(self.whole(line.target))] = find(self.whole(line.source))
        found: dict[Any, list[str]] = {}
        for unit in dict.fromkeys(map(self.whole, (*self.stacks.order, *self.layers.jumps))):
            row = self.layers.row.get(next(self.stacks.inside(unit), unit)) if self.layers.row else None
            found.setdefault(find(unit) if row is None else row, []).append(unit)
        return [found[row] for row in sorted(found)] if self.layers.row else list(found.values())

    def whole(self, key: str) -> str:
        """The outermost frame around what is drawn; itself if it is in none (a frame's bar stands with its frame)."""
        key = self.layers.ways[key][0] if key in self.layers.ways else key.removeprefix("bar ")
        return next(reversed(list(self.layers.frames(key))), key)

    def cluster(self, picture: Any, **attributes: str) -> Any:
        self.clusters += 1
        return picture.subgraph(name=f"cluster{self.clusters}", graph_attr=attributes)

    def units(self, picture: Any, units: list[str], ways: tuple[str, ...] = ()) -> None:
        """Boxes and frames in reverse: in drawings from left to right Graphviz stacks them upwards."""
        for way in ways:
            picture.node(self.names[way], shape="point", width="0.017", height="0.017")
        for unit in reversed(units):
            if unit in self.layers.bars:
                self.bar(picture, unit)
            if unit in self.layers.jumps:
                self.jump(picture, unit)
            elif unit in self.stacks.boxes:
                self.box(picture, unit)
            else:
                # Around it a little room: frames in one lane would touch each other.
                with self.cluster(picture, style="invis", margin="4") as room:
                    self.frame(room, unit)

    def frame(self, picture: Any, key: str) -> None:
        title = " · ".join(word for word in frame_title(self.stacks, key) if word)
        attributes = {"label": title, "style": "rounded", "color": self.theme.frame, "margin": "10"}
        with self.cluster(picture, **attributes) as frame:
            for lane in reversed(self.stacks.lanes[key]):
                # A cluster of its own for each lane keeps the lanes in the order of the canvas.
                boxes = {box for unit in lane for box in self.stacks.inside(unit)}
                ways = (way for way, (where, box) in self.layers.ways.items() if where == key and box in boxes)
                with self.cluster(frame, style="invis", margin="0", label="") as inner:
                    self.units(inner, lane, tuple(ways))

    def bar(self, picture: Any, frame: str) -> None:
        bar = self.layers.bars[frame]
        joined = sum(line.target == bar for line in self.layers.lines)
        picture.node(
            self.names[bar],
            label="",
            style="filled",
            color=self.theme.bar,
            fixedsize="true",
            width="0.08",
            height=f"{min(1.5, 0.5 + 0.2 * joined):.2f}",
        )

    def jump(self, picture: Any, key: str) -> None:
        picture.node(
            self.names[key],
            label=self.layers.jumps[key],
            shape="circle",
            margin="0.02",
            width="0",
            height="0",
            fontsize="10",
            color=self.theme.ink,
            fontcolor=self.theme.ink,
        )

    def look(self, key: str) -> Look:
        if len(self.within[key]) == 1:
            return self.theme.looks[next(iter(self.within[key]))]
        mixed = self.theme.looks["planned"]
        return Look(mixed.fill, mixed.border, mixed.text)

    def box(self, picture: Any, key: str) -> None:
        look = self.look(key)
        picture.node(
            self.names[key],
            label=self.labelled[key][0],
            # The calls of a map are no messages: square corners.
            style=",".join(["rounded"] * (self.graph.nodes[key].role != "map") + ["filled", look.line]),
            fillcolor=look.fill,
            color=look.border,
            fontcolor=look.text,
            penwidth=f"{look.width:g}",
            peripheries="2" if is_stack(self.stacks, key) else "1",
        )

    def label(self, key: str) -> tuple[str, float]:
        """A box's HTML-like label, and about how wide the box will be, in points."""
        nodes, look = self.stacks.nodes(key), self.look(key)
        number = self.labels.numbers(self.stacks.boxes[key])
        if is_stack(self.stacks, key):
            call, row = stack_title(self.stacks, self.labels, key)
            first, call = f"▤ {number}", f"{call}{_SPACE} × {len(nodes):,}{row}"
            parts = [(f"{GLYPHS[state]} {many:,}", self.theme.looks[state].text) for state, many in counts(nodes)]
        else:
            first, call = f"{GLYPHS[nodes[0].state]} {number}", self.labels.call(nodes[0])
            outcome = self.labels.outcome(nodes[0])
            parts = [(outcome, look.text)] if outcome else []
        below: list[list[tuple[str, str]]] = [parts] if parts else []
        if len(parts) == 1 and len(parts[0][0]) > _LINE:
            below = [[(line, parts[0][1])] for line in _halves(parts[0][0])]
        lines = [_font(first, _NUMBER_SIZE, look.text) + escape(f"{_SPACE}{_SPACE}{call}")]
        for line in below:
            lines.append((_SPACE * 3).join(_font(text, _OUTCOME_SIZE, colour) for text, colour in line))
        longest = max((sum(len(text) + 3 for text, _ in line) for line in below), default=0) * _OUTCOME_SIZE
        width = max(len(first) * _NUMBER_SIZE + len(call) * _CALL_SIZE, longest) * 0.62 + 30
        return "<" + "".join(f'{line}<br align="left"/>' for line in lines) + ">", width

    def line(self, picture: Any, line: Line) -> None:
        theme, kind = self.theme, line.edge.kind
        attributes: dict[str, str] = {}
        dead = self.dead(line)
        if kind in _DECIDED:
            attributes["style"] = "dashed"
        elif not line.edge.passes_value and kind in ("result", "order", "callback"):
            attributes |= {"style": "dotted", "arrowhead": "onormal", "penwidth": "1.5"}
        if kind == "errback":
            attributes |= {"color": theme.red, "fontcolor": theme.red}
            if self.graph.nodes[line.edge.target].state in ("planned", "never ran"):
                attributes["style"] = "dashed"
        elif dead:
            attributes |= {"color": theme.pale, "style": attributes.get("style", "dashed")}
        elif kind not in _DECIDED and line.source in self.stacks.boxes and self.states(line.source) == {"failed"}:
            went = line.target in self.stacks.boxes and self.graph.nodes[line.target].sent is not None
            attributes |= {} if went else {"color": theme.red}  # what failed after its body may have sent a callback
        if line in self.named:
            # A label in the middle of an edge takes a layer of its own, and Graphviz then turns frames round.
            attributes |= {"headlabel": kind, "labeldistance": "3.1", "labelangle": "-14"}
        if not line.head:
            attributes["arrowhead"] = "none"
        if line.target in self.layers.ways:
            attributes["headclip"] = "false"
            picture.node(self.names[line.target], color=attributes.get("color", theme.ink))
        if line.source in self.layers.ways:
            attributes["tailclip"] = "false"
        if line.layers > 1:
            attributes["minlen"] = str(line.layers)
        picture.edge(self.names[line.source], self.names[line.target], **attributes)

    def middles(self) -> set[Line]:
        """The lines that say what they are: of many alike from one box, or several into one, that in the middle."""
        middles = {line for line in self.layers.lines if line.edge.kind in _NAMED}
        for end in ("source", "target"):
            alike: dict[tuple[str, str], list[Line]] = {}
            for line in self.layers.lines:
                if line in middles:
                    alike.setdefault((line.edge.kind, getattr(line, end)), []).append(line)
            few = {"callback": _FEW, "errback": _FEW}  # a line without a word looks like that to a next step
            middles = {
                line
                for (kind, _), lines in alike.items()
                for line in (lines if end == "source" and len(lines) <= few.get(kind, 1) else [lines[len(lines) // 2]])
            }
        return middles

    def states(self, key: str) -> set[State]:
        return {state for box in self.stacks.inside(key) for state in self.within[box]}

    def dead(self, line: Line) -> bool:
        """Whether nothing went, or ever will go, along the line."""
        if self.states(line.edge.source) == {"never ran"}:
            return True
        to = line.target if line.target in self.stacks.boxes else None
        return to is not None and self.states(to) == {"never ran"}


def _halves(text: str) -> list[str]:
    """``text`` on two lines of about the same length, if it has a space to be broken at."""
    spaces = [place for place, letter in enumerate(text) if letter == " "]
    if not spaces:
        return [text]
    middle = min(spaces, key=lambda place: abs(2 * place - len(text)))
    return [text[:middle], text[middle + 1 :]]


def _font(text: str, size: int, colour: str) -> str:
    return f'<font point-size="{size}" color="{colour}">{escape(text)}</font>'
