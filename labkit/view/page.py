"""One HTML file that replays a run: no kernel, no network, nothing in it that its data could make run."""

from __future__ import annotations

import json
from base64 import b64encode
from hashlib import sha256
from html import escape
from pathlib import Path
from typing import Any, Final

from labkit.draw import Drawing
from labkit.record import Recording
from labkit.view import assets
from labkit.view.feed import Feed
from labkit.why import why

#: For so many nodes at most the file holds the answers to why.
_EXPLAINED: Final = 300

_START: Final = """
const data = JSON.parse(document.getElementById("record").textContent);
replay(document.getElementById("view"), data);
"""
_LAYOUT: Final = """
body { margin: 1.5rem auto; max-width: 1200px; padding: 0 1rem; font-family: sans-serif; }
body { background: #fbfbfc; color: #2c323d; }
.labkit.alone { height: min(640px, 92vh); }
pre { overflow: auto; }
@media (prefers-color-scheme: dark) { body { background: #1b1e24; color: #e3e6ec; } }
"""


def page(recording: Recording, title: str = "A workflow") -> str:
    """The file's text. ``title`` is the heading."""
    feed = Feed(recording)
    record = {**feed.all(), "over": True, "why": _reasons(recording)}
    script, style = f"{assets.script()}{_START}", assets.style() + _LAYOUT
    allowed = f"script-src '{_hash(script)}'; style-src '{_hash(style)}'"
    policy = f"default-src 'none'; {allowed}; base-uri 'none'; form-action 'none'"
    twin = escape(Drawing(recording.graph).text)
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>{style}</style>\n</head>\n<body>\n<main>\n<h1>{escape(title)}</h1>\n"
        f'<div id="view"></div>\n<h2>The same as text</h2>\n<pre>{twin}</pre>\n</main>\n'
        f'<script type="application/json" id="record">{_json(record)}</script>\n'
        f'<script type="module">{script}</script>\n</body>\n</html>\n'
    )


def save(recording: Recording, path: str | Path) -> Path:
    """Write the page to ``path`` and return it."""
    path = Path(path)
    path.write_text(page(recording, path.stem.replace("_", " ")), encoding="utf-8")
    return path


def _reasons(recording: Recording) -> dict[int, list[list[str]]]:
    graph = recording.graph
    if len(graph.nodes) > _EXPLAINED:
        return {}
    return {
        place: [[each.text, each.evidence] for each in why(graph, key, None, recording)]
        for place, key in enumerate(graph.nodes)
    }


def _json(data: Any) -> str:
    r"""JSON that can stand in a page: no tag and no comment begins or ends in it.

    >>> _json("</script><!--")
    '"\\u003c/script\\u003e\\u003c!--"'
    """
    return json.dumps(data).replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _hash(text: str) -> str:
    return f"sha256-{b64encode(sha256(text.encode()).digest()).decode()}"
