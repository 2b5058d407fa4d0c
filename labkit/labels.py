"""Labels: calls, values and errors of user data as short text that cannot break a drawing."""

from __future__ import annotations

import builtins
import re
import reprlib
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from contextlib import suppress
from typing import Any, Final

from labkit.graph import RETURNED, UNTOLD, Edge, Graph, Node

CALL: Final = 40
VALUE: Final = 60
TOOLTIP: Final = 2000
#: More of a text than this is never looked at: half of it from its beginning, half from its end.
_RAW: Final = 10_000
_ADDRESS: Final = re.compile(r" at 0x[0-9a-fA-F]+")
#: What a signature is as a dict: that is how one arrives that was given as an argument.
_SIGNATURE: Final = frozenset({"task", "args", "kwargs", "options", "subtask_type", "immutable"})
_MESSAGES_OF_MANY: Final = frozenset({"celery.map", "celery.starmap", "celery.chunks"})
#: Options of a planned call that a drawing names, with their unit.
_OPTIONS: Final[Mapping[str, str]] = {"countdown": " s", "expires": " s", "queue": "", "eta": ""}


def cut(text: str, limit: int) -> str:
    """``text`` with its middle left out if it has more than ``limit`` characters.

    >>> cut("abcdefghij", 5)
    'ab…ij'
    """
    if len(text) <= limit:
        return text
    tail = (limit - 1) // 2
    return f"{text[: limit - 1 - tail]}…{text[len(text) - tail :]}"


def visible(text: str) -> str:
    r"""``text`` with what cannot be seen, or changes the direction of writing, spelt out.

    >>> print(visible("a\nb\0c\u202ed\ud800"))
    a\nb␀c\u202ed\ud800
    """
    return text if text.isprintable() else "".join(map(_visible, text))


def _visible(char: str) -> str:
    if char.isprintable():
        return char
    code = ord(char)
    if code < 0x20 and char not in "\n\r\t":
        return chr(0x2400 + code)
    return builtins.repr(char)[1:-1]


def short_names(names: Iterable[str]) -> dict[str, str]:
    """The last dotted part of each task name, more parts where that would name two tasks.

    >>> short_names(["tasks.add", "tasks.mul", "other.mul"])
    {'tasks.add': 'add', 'tasks.mul': 'tasks.mul', 'other.mul': 'other.mul'}
    """
    short: dict[str, str] = {}
    left, parts = list(dict.fromkeys(names)), 1
    while left:
        tails = {name: ".".join(name.split(".")[-parts:]) for name in left}
        shared = Counter(tails.values())
        short |= {name: tail for name, tail in tails.items() if shared[tail] == 1 or tail == name}
        left, parts = [name for name in left if name not in short], parts + 1
    return short


class _Repr(reprlib.Repr):
    """``repr`` bounded in size; ids of tasks become numbers; an object that cannot be shown is named by its type."""

    def __init__(self, graph: Graph, limit: int) -> None:
        super().__init__()
        self.graph = graph
        self.maxlevel = 4
        self.maxstring = self.maxother = self.maxlong = limit
        self.maxdict = self.maxlist = self.maxtuple = self.maxset = max(6, limit // 8)
        self.fillvalue = "…"

    def bounded(self, text: str) -> str:
        if len(text) > _RAW:
            text = f"{text[: _RAW // 2]}…{text[-_RAW // 2 :]}"
        return self.graph.name_ids(text)

    def repr1(self, x: Any, level: int) -> str:
        try:
            return str(super().repr1(x, level))
        except Exception:  # a hostile __repr__ may raise anything; the drawing must not
            return f"<{type(x).__name__}>"

    def repr_str(self, x: str, level: int) -> str:
        if found := self.graph.by_id(x):
            return self.graph.number(found[0].key)
        return builtins.repr(cut(self.bounded(x), self.maxstring))

    def repr_dict(self, x: dict[Any, Any], level: int) -> str:
        if x.keys() >= _SIGNATURE:
            from celery.canvas import Signature  # a drawing needs no Celery but for this

            with suppress(Exception):
                return self.repr_instance(Signature(x), level)
        if level <= 0 and x:
            return "{…}"
        shown = [f"{self.repr1(key, level - 1)}: {self.repr1(x[key], level - 1)}" for key in list(x)[: self.maxdict]]
        return f"{{{', '.join(shown + ['…'] * (len(x) > self.maxdict))}}}"

    def repr_instance(self, x: object, level: int) -> str:
        return cut(self.bounded(_ADDRESS.sub("", builtins.repr(x))), self.maxother)


#: What a drawing says, in front of the error, of a task that failed beside its body.
_FIRST: Final = {RETURNED: "returned, then ", UNTOLD: "not reported: "}


def _brief(error: str) -> str:
    """An error without a word that tells nothing, so that the numbers in it are not cut out.

    >>> _brief("TypeError: noarg() takes 0 positional arguments but 1 was given")
    'TypeError: noarg() takes 0 arguments but 1 was given'
    """
    return error.replace(" positional argument", " argument")


class Labels:
    """All the words that a drawing of ``graph`` needs, the same in SVG and in text.

    >>> graph = Graph([Node("0", "tasks.add", args=(1, 1), state="succeeded", value=2)])
    >>> labels = Labels(graph)
    >>> labels.call(graph.nodes["0"]), labels.outcome(graph.nodes["0"])
    ('add(1, 1)', '2')
    """

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self._names = short_names(node.task for node in graph.nodes.values())
        self._fed = set(_fed(graph))
        self._places = {key: place for place, key in enumerate(graph.nodes, 1)}

    def literal(self, value: Any, limit: int = VALUE) -> str:
        """A value as Python would write it, within ``limit`` characters."""
        return cut(visible(_Repr(self.graph, limit).repr(value)), limit)

    def plain(self, text: str, limit: int = VALUE) -> str:
        """A text that is no Python literal, such as an error, within ``limit`` characters."""
        return cut(visible(_Repr(self.graph, limit).bounded(str(text))), limit)

    def name(self, node: Node) -> str:
        """The short name of the node's task."""
        return visible(cut(self._names.get(node.task, node.task), CALL))

    def call(self, node: Node, limit: int = CALL) -> str:
        """The call, ``mul(…, 2)`` where a value is still to come in front."""
        inner = node.kwargs.get("task")
        if node.task in _MESSAGES_OF_MANY and isinstance(inner, str):
            return self.plain(f"{self.name(node)}({inner.rpartition('.')[2]})", limit)
        parts = ["…"] * (node.partial and node.key in self._fed)
        parts += [self.literal(value, limit) for value in node.args[:limit]]
        named = list(node.kwargs.items())[:limit]
        parts += [f"{self.plain(str(key))}={self.literal(value, limit)}" for key, value in named]
        return cut(f"{self.name(node)}({', '.join(parts)})", limit)

    def outcome(self, node: Node, limit: int = VALUE) -> str:
        """What came of the call: its value, its error, or why it never ran; empty where there is nothing to say."""
        parts: list[str] = []
        if node.state == "planned":
            parts = [self._option(name, value) for name, value in node.options.items() if name in _OPTIONS]
        elif node.state == "succeeded":
            parts = [] if node.value is None else [self.literal(node.value, limit)]
        elif node.state == "failed":
            first = _FIRST.get(node.note or "", "")
            parts = [self.plain(f"{first}{_brief(node.error or 'failed')}", limit + len(first))]
        else:
            why = node.reason or (node.error if node.state not in ("sent", "received", "running") else None)
            if node.state == "retrying" and node.attempts:
                why = node.attempts[-1].why or why
            parts = [node.state if not why else f"{node.state}: {self.plain(why, limit)}"]
        if node.note is not None and node.note not in _FIRST:
            parts.append(self.plain(node.note, limit))
        if len(node.attempts) > 1 and not (node.note or "").endswith("more than once"):
            parts.append(f"(attempt {len(node.attempts)})")
        return cut(" ".join(parts), limit + CALL)

    def _option(self, name: str, value: Any) -> str:
        if name in ("eta", "expires") and not isinstance(value, int | float):
            return name  # a point in time, and drawings hold no times
        return f"{name} {self.plain(str(value), CALL // 2)}{_OPTIONS[name]}"

    def tooltip(self, node: Node) -> str:
        """The whole call and what came of it, one a line."""
        number = self.graph.number(node.key)
        called = f"{number} {node.state}: {self.call(node, TOOLTIP // 2)}"
        return cut(f"{called}\n{self.outcome(node, TOOLTIP // 2)}".rstrip(), TOOLTIP)

    def numbers(self, keys: Collection[str]) -> str:
        """The numbers of several nodes: ``#2–#9`` if none is left out, else the first ones and the last."""
        places = sorted(map(self._places.__getitem__, keys))
        if len(places) > 1 and places[-1] - places[0] == len(places) - 1:
            return f"#{places[0]}–#{places[-1]}"
        if len(places) > 3:
            return f"#{places[0]}, #{places[1]} … #{places[-1]}"
        return ", ".join(f"#{place}" for place in places)


def _fed(graph: Graph) -> Iterable[str]:
    """The keys of all nodes that an edge brings a value to."""
    inside = {member: frame.key for frame in graph.frames.values() for member in frame.members}
    frames: set[str] = set()
    for edge in graph.edges:
        if edge.passes_value and edge.target in graph.frames:
            if not _within(edge, inside):
                frames.add(edge.target)
        elif edge.passes_value:
            yield edge.target
    for frame in frames:
        yield from graph.leaves(frame)


def _within(edge: Edge, inside: Mapping[str, str]) -> bool:
    """Whether the edge goes from a member of a frame to that frame: the way out, not in."""
    place: str | None = edge.source
    while place is not None and place != edge.target:
        place = inside.get(place)
    return place == edge.target


def worker_name(worker: str | None) -> str:
    """The short name of a worker.

    >>> worker_name("lab12-3f@kernel"), worker_name("hired1@somewhere"), worker_name(None)
    ('kernel', 'hired1', 'worker')
    """
    name, _, host = (worker or "worker").partition("@")
    return host if host == "kernel" else name


def slot_name(fact: Mapping[str, Any]) -> str:
    """Which slot of its worker a fact is about, as far as it tells: a thread, from 1, or the id of a process.

    >>> slot_name({"slot": "slot_0"}), slot_name({"pid": 77}), slot_name({})
    ('1', '77', '')
    """
    slot = str(fact.get("slot") or "")
    place = slot.rpartition("_")[2]
    if place.isdigit():
        return str(int(place) + 1)
    return str(fact.get("pid") or slot)
