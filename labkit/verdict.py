"""What a check says of an answer, in words and pictures."""

from __future__ import annotations

import html
from dataclasses import dataclass
from typing import Any, Final

from labkit.graph import Graph

NO_ANSWER: Final = "there is no answer yet"


class Refused(Exception):
    """An answer lacks a property: which, what was expected of it, and what happened instead."""

    def __init__(
        self,
        what: str,
        expected: str = "",
        happened: str = "",
        wanted: Graph | None = None,
        got: Graph | None = None,
        read: Graph | None = None,
    ) -> None:
        super().__init__(what)
        self.what, self.expected, self.happened = what, expected, happened
        self.wanted, self.got, self.read = wanted, got, read


@dataclass
class Verdict:
    """What a check says. True if the answer was accepted."""

    id: str
    accepted: bool
    what: str = ""
    expected: str = ""
    happened: str = ""
    wanted: Graph | None = None
    got: Graph | None = None
    read: Graph | None = None
    revealed: bool = False
    fresh: bool = False

    @classmethod
    def refused(cls, id: str, no: Refused, *, wanted: bool, fresh: bool) -> Verdict:
        """The verdict on an answer that lacks a property; ``fresh``: the pieces were given other numbers."""
        shown = no.wanted if wanted else None
        return cls(id, False, no.what, no.expected, no.happened, shown, no.got, no.read, fresh=fresh)

    def __bool__(self) -> bool:
        return self.accepted

    def __repr__(self) -> str:
        if self.accepted:
            return f"✓ {self.id} accepted" + (" (the solution)" if self.revealed else "")
        other = ", also for other numbers" if self.fresh else ""
        lines = [f"✗ {self.id} not yet{'' if self.what == NO_ANSWER else f'. This must hold{other}'}: {self.what}"]
        lines += [f"  expected  {self.expected}"] if self.expected else []
        lines += [f"  happened  {self.happened}"] if self.happened else []
        return "\n".join([*lines, f'  For a hint: labkit.hint("{self.id}")'])

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        bundle = {"text/plain": repr(self)}
        titled = {"wanted": self.wanted, "yours": self.got, "the run it was asked about": self.read}
        pictures = [(title, graph) for title, graph in titled.items() if graph]
        if pictures:
            from labkit.draw import Drawing  # Graphviz loads when first used

            shown = "".join(f"<p>{title}</p>{Drawing(graph).svg}" for title, graph in pictures)
            bundle["text/html"] = f"<pre>{html.escape(repr(self))}</pre>{shown}"
        return bundle
