"""The text twin of a drawing: a tree with the same facts, for screen readers, terminals and nbval."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Final

from labkit.graph import GLYPHS, Graph, Node, Outline
from labkit.labels import Labels
from labkit.stacks import Stacks

_HANGING: Final = ("callback", "errback", "spawned", "replaced")
_WRONG: Final = ("failed", "revoked", "rejected", "lost", "never ran", "unknown")
#: The state of the whole is the first of these that any of its nodes has.
_GRAVEST: Final = (
    "failed",
    "lost",
    "rejected",
    "revoked",
    "running",
    "retrying",
    "never ran",
    "received",
    "sent",
    "unknown",
)
_ORDER: Final = ("succeeded", "running", "retrying", "received", "sent", "planned", *_WRONG)


def overall(nodes: Iterable[Node]) -> str:
    """The state of a whole: failed if any of it failed, succeeded if all of it did, planned if nothing began.

    >>> overall([Node("0", "add", state="succeeded"), Node("1", "add", state="failed")])
    'failed'
    """
    states = {node.state for node in nodes if (node.role, node.state) != ("errback", "never ran")}
    for state in _GRAVEST:
        if state in states:
            return state
    if states == {"succeeded"}:
        return "succeeded"
    return "sent" if "succeeded" in states else "planned"


def headline(graph: Graph) -> str:
    """What the whole is and how it went: ``chain ✗``."""
    kind = graph.outline.kind if graph.outline else "workflow"
    return f"{kind} {GLYPHS[overall(graph.nodes.values())]}"


def counts(nodes: Iterable[Node]) -> list[tuple[str, int]]:
    """How many nodes are in each state: done, under way, waiting, gone wrong."""
    counted = Counter(node.state for node in nodes)
    return [(state, counted[state]) for state in _ORDER if counted[state]]


def frame_title(stacks: Stacks, key: str) -> tuple[str, str]:
    """What a frame is called and how far it is: ``("header", "2 of 3")``."""
    kind = stacks.graph.frames[key].kind
    done, total, began = stacks.counts.get(key, (0, 0, False))
    if any(node.state == "unknown" for box in stacks.inside(key) for node in stacks.nodes(box)):
        far = f"? of {total}"
    else:
        far = f"{done} of {total}" if began else f"{total}"
    if kind in ("map", "starmap", "chunks"):
        return kind, f"{far} call{'s' * (total != 1)}"
    return kind, far if kind != "replaced" else ""


def stack_title(stacks: Stacks, labels: Labels, key: str) -> tuple[str, str]:
    """The call that a stack's nodes have in common, and how it repeats: ``("download(…)", " in a row")``."""
    names = {node.task for node in stacks.nodes(key)}
    call = f"{labels.name(stacks.graph.nodes[key])}(…)" if len(names) == 1 else f"{len(names)} tasks"
    return call, " in a row" if key in stacks.rows else ""


def is_stack(stacks: Stacks, key: str) -> bool:
    """Whether a box stands for many like nodes (merged errbacks are one box, but not a stack)."""
    return len(stacks.boxes[key]) > 1 and not _merged_errbacks(stacks, key)


def _merged_errbacks(stacks: Stacks, key: str) -> bool:
    return stacks.graph.nodes[key].role == "errback" and stacks.graph.nodes[key].state in ("planned", "never ran")


class _Tree:
    def __init__(self, graph: Graph, stacks: Stacks, labels: Labels) -> None:
        self.graph, self.stacks, self.labels = graph, stacks, labels
        self.left = dict.fromkeys(stacks.order)

    def node(self, key: str, before: str = "") -> str:
        nodes = self.stacks.nodes(key)
        number = self.labels.numbers(self.stacks.boxes[key])
        if is_stack(self.stacks, key):
            call, row = stack_title(self.stacks, self.labels, key)
            states = " ".join(f"{GLYPHS[state]} {number}" for state, number in counts(nodes))
            return f"{before}▤ {number} {call} × {len(nodes)}{row}: {states}"
        words = (number, self.labels.call(nodes[0]), GLYPHS[nodes[0].state], self.labels.outcome(nodes[0]))
        return before + " ".join(word for word in words if word)

    def title(self, outline: Outline) -> str:
        key = outline.key
        if outline.kind in ("group", "header", "map", "starmap", "chunks", "replaced") and key in self.graph.frames:
            return " ".join(word for word in frame_title(self.stacks, key) if word)
        return outline.kind

    def alive(self, outline: Outline) -> bool:
        """Whether anything of it is drawn and not told yet."""
        if outline.key in self.left:
            return True
        if outline.key in self.graph.frames and not outline.children:
            return True
        return any(self.alive(child) for child in outline.children)

    def below(self, outline: Outline) -> Iterator[str]:
        told = [child for child in outline.children if self.alive(child)]
        for place, child in enumerate(told, 1):
            lines = self.lines(child)
            last = place == len(told)
            yield ("└─ " if last else "├─ ") + next(lines)
            for line in lines:
                yield ("   " if last else "│  ") + line

    def lines(self, outline: Outline) -> Iterator[str]:
        whole = any(child.key == outline.key and child.kind not in _HANGING for child in outline.children)
        if outline.key in self.graph.nodes and not whole and outline.key in self.left:
            del self.left[outline.key]
            yield self.node(outline.key, f"{outline.kind} " if outline.kind in _HANGING else "")
        else:
            yield self.title(outline)
        yield from self.below(outline)


def text(graph: Graph, stacks: Stacks, labels: Labels) -> str:
    """The text twin.

    >>> graph = Graph([Node("0", "add", args=(1, 1), state="succeeded", value=2)], outline=Outline("task", "0"))
    >>> labels = Labels(graph)
    >>> print(text(graph, Stacks(graph, labels), labels))
    #1 add(1, 1) ✓ 2
    """
    tree = _Tree(graph, stacks, labels)
    root = graph.outline or Outline("workflow", "")
    missed = set(stacks.order) - set(_keys(root))
    if missed:
        more = [Outline("task", key) for key in stacks.order if key in missed]
        root = Outline(root.kind, root.key, [*root.children, *more])
    lines = tree.lines(root)
    first = next(lines)
    if root.kind != "task":
        first = f"{first} {GLYPHS[overall(graph.nodes.values())]}"
    return "\n".join([first, *lines])


def _keys(outline: Outline) -> Iterator[str]:
    yield outline.key
    for child in outline.children:
        yield from _keys(child)
