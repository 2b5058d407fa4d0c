"""Alternating pairs, their median and spread, and the table that shows them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from statistics import median, quantiles
from typing import Final

#: Fewer pairs than this tell nothing: plain runs vary by half.
PAIRS: Final = 10

NO_BOUND: Final = "reported"


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table: what was measured, on both sides, and whether its bound is met.

    ``ours`` and ``plain`` are seconds (or another unit that ``said`` shows), ``measured`` is what the bound is about.
    """

    what: str
    ours: str
    plain: str
    measured: str
    spread: str
    times: int
    bound: str = NO_BOUND
    met: bool | None = None

    def cells(self) -> tuple[str, ...]:
        """The texts of the columns."""
        verdict = {True: "met", False: "MISSED", None: "–"}[self.met]
        return self.what, self.ours, self.plain, self.measured, self.spread, str(self.times), self.bound, verdict


@dataclass(frozen=True, slots=True)
class Pairs:
    """Seconds of both sides, measured in turn: the first of ``ours`` beside the first of ``plain``, and so on."""

    ours: Sequence[float]
    plain: Sequence[float]

    def ratio(self, what: str, most: float | None = None) -> Row:
        """The median of the ratios, which may be ``most``; ``None``: reported only."""
        ratios = [one / other for one, other in zip(self.ours, self.plain, strict=True)]
        return self._row(what, ratios, lambda value: f"{value:.2f} ×", most)

    def difference(self, what: str, most: float) -> Row:
        """The median of the differences, which may be ``most`` seconds."""
        return self._row(what, [one - other for one, other in zip(self.ours, self.plain, strict=True)], seconds, most)

    def _row(self, what: str, values: Sequence[float], said: Callable[[float], str], most: float | None) -> Row:
        middle = median(values)
        return Row(
            what,
            seconds(median(self.ours)),
            seconds(median(self.plain)),
            said(middle),
            spread(values, said),
            len(values),
            NO_BOUND if most is None else f"≤ {said(most)}",
            None if most is None else middle <= most,
        )


def alternate(ours: Callable[[], float], plain: Callable[[], float], pairs: int = PAIRS) -> Pairs:
    """Measure both sides in turn; who goes first changes with every pair. Both give seconds."""
    mine, its = [], []
    for place in range(pairs):
        if place % 2:
            its.append(plain())
            mine.append(ours())
        else:
            mine.append(ours())
            its.append(plain())
    return Pairs(mine, its)


def spread(values: Sequence[float], said: Callable[[float], str]) -> str:
    """The quarters in the middle: half of the values lie in it."""
    low, _, high = quantiles(values, n=4, method="inclusive")
    return f"{said(low)} – {said(high)}"


def seconds(value: float) -> str:
    """A duration in a unit that fits.

    >>> seconds(1.234), seconds(0.0123), seconds(-0.0123)
    ('1.23 s', '12.3 ms', '-12.3 ms')
    """
    return f"{value:.2f} s" if abs(value) >= 1 else f"{value * 1000:.1f} ms"


HEADS: Final = ("benchmark", "labkit", "plain Celery", "measured", "middle half", "times", "bound", "")


def lines(rows: Sequence[Row]) -> Iterator[str]:
    """A plain text table."""
    table = [HEADS, *(row.cells() for row in rows)]
    widths = [max(len(row[column]) for row in table) for column in range(len(HEADS))]
    for row in table:
        yield "  ".join(
            cell.ljust(width) if column in (0, len(HEADS) - 1) else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
