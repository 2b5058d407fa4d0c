"""How each state looks: colour, border and glyph together, for light and for dark notebooks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

#: Comes with matplotlib and has all the glyphs; Verdana is as wide, where a browser has no DejaVu.
FONT: Final = "DejaVu Sans, Verdana, sans-serif"


@dataclass(frozen=True, slots=True)
class Look:
    """The box of one state: fill, border and text colours, line style (Graphviz names) and line width in points."""

    fill: str
    border: str
    text: str
    line: str = "solid"
    width: float = 1.3


@dataclass(frozen=True, slots=True)
class Theme:
    """The colours of one drawing."""

    paper: str
    ink: str
    pale: str
    red: str
    title: str
    frame: str
    bar: str
    looks: Mapping[str, Look]


def _looks(colours: Mapping[str, tuple[str, str, str]]) -> dict[str, Look]:
    lines = {"planned": "dashed", "never ran": "dotted", "unknown": "dotted", "retrying": "dashed", "lost": "dashed"}
    widths = {"failed": 2.6, "running": 2.4, "retrying": 2.2, "lost": 2.4, "rejected": 2.0}
    return {
        state: Look(*three, line=lines.get(state, "solid"), width=widths.get(state, 1.3))
        for state, three in colours.items()
    }


THEMES: Final[Mapping[str, Theme]] = {
    "light": Theme(
        paper="#fbfbfc",
        ink="#646a76",
        pale="#b4b8c0",
        red="#c0341a",
        title="#565c68",
        frame="#d3d6dc",
        bar="#3a404c",
        looks=_looks(
            {
                "planned": ("#ffffff", "#6b7280", "#2c323d"),
                "sent": ("#eaf2fb", "#3b78b5", "#1d4470"),
                "received": ("#dbe8f7", "#2a67a6", "#183c66"),
                "running": ("#fff4d4", "#b07a00", "#5c4000"),
                "retrying": ("#f1ebfb", "#7a52b8", "#48277d"),
                "succeeded": ("#e2f3ea", "#17875a", "#14452f"),
                "failed": ("#fde6df", "#c0341a", "#75190a"),
                "revoked": ("#efece7", "#86765e", "#544730"),
                "rejected": ("#f6e7ee", "#a8446f", "#6b1e40"),
                "lost": ("#fbe3f1", "#a8246e", "#6e0f45"),
                "never ran": ("#f3f3f5", "#a5aab3", "#5d636f"),
                "unknown": ("#f6f6f7", "#8a909b", "#4d535e"),
            }
        ),
    ),
    "dark": Theme(
        paper="#1b1e24",
        ink="#9aa1ae",
        pale="#565d69",
        red="#ff8a6b",
        title="#a9b0bc",
        frame="#3d434e",
        bar="#c9ced8",
        looks=_looks(
            {
                "planned": ("#22262e", "#8b93a1", "#e3e6ec"),
                "sent": ("#1c2c3f", "#6ea8e0", "#cfe4fa"),
                "received": ("#203650", "#7db4ea", "#d9eafc"),
                "running": ("#3d3213", "#e5b53a", "#fcebb6"),
                "retrying": ("#32264a", "#b392ee", "#e8dcfd"),
                "succeeded": ("#15352a", "#45c08b", "#c5f2dc"),
                "failed": ("#45201a", "#ff8a6b", "#ffdad0"),
                "revoked": ("#35302a", "#b9a98f", "#ece3d4"),
                "rejected": ("#3a222d", "#dd86aa", "#f9dbe7"),
                "lost": ("#421b33", "#f07fbd", "#fdd7ec"),
                "never ran": ("#24272e", "#6b727f", "#a4abb8"),
                "unknown": ("#24272e", "#838b99", "#b9c0cc"),
            }
        ),
    ),
}
