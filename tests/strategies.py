"""Random canvases as plain data: what hypothesis draws can be read, counted, built, and kept as a case of its own."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from functools import reduce
from typing import Any, Final

from celery import chain, chord, group, signature
from celery.canvas import Signature
from hypothesis import strategies as st

from tests import workflows as w

#: No canvas has more tasks as written, its callbacks counted, its errbacks not.
LARGEST: Final = 40

_TASKS: Final[dict[str, Callable[[], Signature]]] = {
    "t": w.t.s,
    "u": w.u.s,
    "silent": w.silent.s,
    "flaky": lambda: w.flaky.s(times=1),
    "flaky twice": w.flaky.s,
    "launch": w.launch.s,
    "launch chain": lambda: w.launch_canvas.s(which="chain"),
    "launch group": lambda: w.launch_canvas.s(which="group"),
    "launch chord": lambda: w.launch_canvas.s(which="chord"),
    "replaced by task": lambda: w.replaced.s(which="task"),
    "replaced by chain": lambda: w.replaced.s(which="chain"),
    "replaced by group": lambda: w.replaced.s(which="group"),
    "replaced by chord": lambda: w.replaced.s(which="chord"),
    "replaced by failing": lambda: w.replaced.s(which="failing"),
    "boom": w.boom.s,
    "hopeless": w.hopeless.s,
    "not_json": w.not_json.s,
    "ignoring": w.ignoring.s,
    "rejecting": w.rejecting.s,
    "expired": lambda: w.t.s().set(expires=-1),
    "nobody knows": lambda: signature("flow.nope"),
    "cut": w.cut.s,
    "joining": w.joining.s,
    "map": lambda: w.double.map([1, 2]),
    "starmap": lambda: w.plus.starmap([(1, 2), (3, 4)]),
    "bad starmap": lambda: w.plus.starmap([(1, 2), (3,)]),
}

_ERRBACKS: Final[dict[str, Callable[[], Signature]]] = {
    "id": w.eb1.s,
    "inline": w.eb3.s,
    "inline that sends": w.eb3_sends.s,
    "immutable": lambda: w.u.si(),
    "group": lambda: group(w.eb1.s(), w.eb1.s()),
    "chain": lambda: chain(w.eb1.s(), w.u.s()),
}

#: What is counted: a name for each construct, and which parts are one.
CONSTRUCTS: Final[dict[str, Callable[[Part], bool]]] = {
    "chain": lambda part: part.kind == "chain",
    "pipe": lambda part: part.kind == "pipe",
    "group": lambda part: part.kind in ("group", "generator") and len(part.parts) > 1,
    "group of a generator": lambda part: part.kind == "generator",
    "group of one": lambda part: part.kind in ("group", "generator") and len(part.parts) == 1,
    "empty group": lambda part: part.kind == "group" and not part.parts,
    "chord": lambda part: part.kind == "chord",
    "callback": lambda part: bool(part.links),
    "errback by id": lambda part: bool({"id", "immutable", "group"} & {*part.errors}),
    "inline errback": lambda part: bool({"inline", "inline that sends"} & {*part.errors}),
    "immutable": lambda part: part.immutable,
    "from JSON": lambda part: part.json,
    "map": lambda part: part.kind == "map",
    "starmap": lambda part: part.kind.endswith("starmap"),
    "fails": lambda part: part.kind in ("boom", "hopeless", "not_json", "replaced by failing", "bad starmap"),
    "retries": lambda part: part.kind in ("flaky", "flaky twice", "hopeless"),
    "ends without a result": lambda part: part.kind in ("ignoring", "rejecting", "expired", "nobody knows"),
    "replaced": lambda part: part.kind.startswith("replaced"),
    "launches": lambda part: part.kind.startswith("launch"),
}


@dataclass(frozen=True)
class Part:
    """A canvas or a part of one: ``kind`` is a construct or a task; a chord's body is the last of ``parts``."""

    kind: str
    parts: tuple[Part, ...] = ()
    links: tuple[Part, ...] = ()
    errors: tuple[str, ...] = ()
    immutable: bool = False
    json: bool = False

    def __repr__(self) -> str:
        rest = [f"{each.name}={getattr(self, each.name)!r}" for each in fields(self)[1:] if getattr(self, each.name)]
        return f"Part({', '.join([repr(self.kind), *rest])})"

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        printer.text(repr(self))

    @property
    def depth(self) -> int:
        """How many constructs are in each other: of a task none, of a chain of tasks one."""
        inside = max((part.depth for part in (*self.parts, *self.links)), default=-1)
        return max(inside + 1, 0) if self.kind not in _TASKS else max(inside, 0)

    @property
    def size(self) -> int:
        """How many tasks it has, as written."""
        return (self.kind in _TASKS) + sum(part.size for part in (*self.parts, *self.links))

    def all(self) -> Iterator[Part]:
        """The part and all in it."""
        yield self
        for part in (*self.parts, *self.links):
            yield from part.all()

    def build(self) -> Any:
        """The canvas."""
        parts = [part.build() for part in self.parts]
        made: Any
        if self.kind == "chain":
            made = chain(*parts)
        elif self.kind == "pipe":
            made = reduce(operator.or_, parts)
        elif self.kind == "group":
            made = group(parts)
        elif self.kind == "generator":
            made = group(part for part in parts)
        elif self.kind == "chord":
            made = chord(parts[:-1], parts[-1])
        else:
            made = _TASKS[self.kind]()
            if self.immutable:
                made.set_immutable(True)
        for link in self.links:
            made.link(link.build())
        for error in self.errors:
            made.link_error(_ERRBACKS[error]())
        return Signature.from_dict(w.as_json(made)) if self.json else made


_PLAIN: Final = ("t", "t", "t", "u", "u")
_LEAVES: Final = (*_PLAIN * 4, "map", "starmap", *(kind for kind in _TASKS if kind not in _PLAIN))
_KINDS: Final = ("chain", "pipe", "group", "group", "generator", "chord", "chord")
_DEPTHS: Final = (0, 1, 1, 2, 2, 3, 3, 4, 5, 6)


@st.composite
def canvases(draw: st.DrawFn) -> Part:
    """Canvases of up to `LARGEST` tasks, up to six constructs in each other."""
    left = LARGEST - 6

    def often(times: int, of: int) -> bool:
        return draw(st.integers(1, of)) > of - times

    def task() -> Part:
        nonlocal left
        left -= 1
        kind = draw(st.sampled_from(_LEAVES))
        return Part(kind, immutable=often(1, 6) and "map" not in kind)

    def hung(part: Part, depth: int) -> Part:
        """The part, now and then with callbacks and errbacks, or sent through JSON."""
        nonlocal left
        linkable = _starts(part)
        links, errors = [], []
        if linkable and left > 6 and often(1, 7):
            links = [any_part(min(depth, 1)) for _ in range(draw(st.integers(1, 2)))]
        if linkable and often(1, 5):
            errors = draw(st.lists(st.sampled_from(tuple(_ERRBACKS)), min_size=1, max_size=2))
        return Part(part.kind, part.parts, tuple(links), tuple(errors), part.immutable, often(1, 12))

    def any_part(depth: int) -> Part:
        if depth <= 0 or left <= 1:
            return Part("group") if often(1, 30) else hung(task(), 0)
        kind = draw(st.sampled_from(_KINDS))
        if kind == "group" and often(1, 5):
            return Part("group")
        most = min(4, max(1, left - depth))
        number = draw(st.integers(1, most)) if not often(1, 6) else 1
        if kind == "pipe":
            number = max(2, number)
        deep = draw(st.integers(0, number - 1))
        parts = [any_part(depth - 1 if n == deep else draw(st.integers(0, min(1, depth - 1)))) for n in range(number)]
        if kind == "chord":
            parts.append(any_part(draw(st.integers(0, min(1, depth - 1)))))
        return hung(Part(kind, tuple(parts)), depth)

    return any_part(draw(st.sampled_from(_DEPTHS)))


def _starts(part: Part) -> bool:
    """Whether callbacks can hang on it: Celery raises ``IndexError`` for a group of none."""
    if part.kind in _TASKS:
        return True
    ends = part.parts if part.kind in ("group", "generator") else part.parts[-1:]
    return bool(ends) and all(map(_starts, ends))
