"""The view's JavaScript and style sheet as one text each: without a build step, from files that each do one thing."""

from __future__ import annotations

import json
import re
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Final

from labkit.graph import GLYPHS
from labkit.theme import THEMES

#: In this order: each uses those before it.
SCRIPTS: Final = (
    *("lives", "facts", "fold", "meaning", "player", "drawing", "sheet", "timeline", "queue"),
    *("bar", "panel", "speech", "kernel", "saved", "pace", "observe", "view", "entry"),
)
_HERE: Final = Path(__file__).parent
_IMPORT: Final = re.compile(r'^import [^;]*? from "\./\w+\.js";\n', re.MULTILINE)
_EXPORT: Final = re.compile(r"^export (?=class |function |const )", re.MULTILINE)


@cache
def script() -> str:
    """All scripts as one, with nothing exported: what uses it says so after it."""
    return _joined(SCRIPTS)


def _joined(names: tuple[str, ...]) -> str:
    texts = [(_HERE / f"{name}.js").read_text(encoding="utf-8") for name in names]
    return "\n".join(_EXPORT.sub("", _IMPORT.sub("", text)) for text in texts)


@cache
def module() -> str:
    """The script and the style sheet as the module that anywidget loads.

    It loads it for each widget anew: all of one version share the first, whose code the browser has made fast by then.
    """
    text = f"{script()}\nconst dressed = (given) => {{ dress({json.dumps(style())}); return render(given); }};\n"
    name = f"labkit.{sha256(text.encode()).hexdigest()[:16]}"
    shared = f"globalThis[Symbol.for({name!r})] ??= {{ initialize, render: dressed }}"
    return f"{text}export default {shared};\n"


@cache
def keeper() -> str:
    """The part of it that has a picture saved in place of another widget, as a module."""
    return f"{_joined(('saved',))}\nexport default {{ initialize: keepPicture }};\n"


@cache
def style() -> str:
    """The style sheet, with the colours of the drawings for light and for dark."""
    return f"{_colours()}\n{(_HERE / 'style.css').read_text(encoding='utf-8')}"


def _colours() -> str:
    light, dark = (_variables(name) for name in ("light", "dark"))
    return (
        f".labkit {{\n{light}}}\n"
        f'[data-jp-theme-light="false"] .labkit {{\n{dark}}}\n'
        f"@media (prefers-color-scheme: dark) {{\n.labkit.alone {{\n{dark}}}\n}}\n{_states()}"
    )


def _variables(theme: str) -> str:
    chosen = THEMES[theme]
    named = {name: getattr(chosen, name) for name in ("paper", "ink", "pale", "red", "title", "frame", "bar")}
    for state, look in chosen.looks.items():
        word = state.replace(" ", "-")
        named |= {f"{word}-fill": look.fill, f"{word}-border": look.border, f"{word}-text": look.text}
    return "".join(f"  --{name}: {colour};\n" for name, colour in named.items())


def _states() -> str:
    dashes = {"solid": "none", "dashed": "5 3", "dotted": "1.5 3"}
    rules = []
    for state in GLYPHS:
        look, word = THEMES["light"].looks[state], state.replace(" ", "-")
        rules.append(
            f".labkit .{word} {{ --fill: var(--{word}-fill); --border: var(--{word}-border); "
            f"--text: var(--{word}-text); --dash: {dashes[look.line]}; --width: {look.width:g}; "
            f"--line: {look.line}; }}"
        )
    return "\n".join(rules)
