"""Drawing: a graph as DOT, SVG, PNG and text, laid out by Graphviz."""

from __future__ import annotations

import ctypes
import re
import threading
from collections.abc import Collection
from functools import cached_property, lru_cache
from html import escape
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

from labkit.dot import dot
from labkit.errors import LabError
from labkit.graph import Graph
from labkit.labels import Labels
from labkit.stacks import ALL, Stacks, stacked
from labkit.text import headline, text
from labkit.theme import FONT, THEMES

#: No drawing is wider than this, in pixels; a PNG no higher than `HEIGHT`.
WIDTH: Final = 1500
HEIGHT: Final = 8000

#: The width of a notebook's page, in pixels, and how much smaller a drawing is made to fit on it at most.
_PAGE: Final = 840
_SMALLEST: Final = 0.7

_LOCK: Final = threading.Lock()
_HEAD: Final = re.compile(r'<svg[^>]*?viewBox="[\d.]+ [\d.]+ ([\d.]+) ([\d.]+)"[^>]*>', re.DOTALL)
_TITLE: Final = re.compile(
    r'(<g) id="[a-z]+\d+"( class="(?:node|edge|cluster|graph)"[^>]*>)\n(?:<title>(.*?)</title>\n)?'
)
_NOISE: Final = re.compile(
    rf'<!--.*?-->\n|(?<=<text) xml:space="preserve"| font-family="{FONT}"(?= font| fill|>)', re.DOTALL
)


class Drawing:
    """A picture of a graph.

    ``theme`` is ``"light"`` or ``"dark"``; ``unfold`` names stacks to open (see `unfold`). Layout happens when
    the first of ``dot``, ``svg``, ``png`` is read, and once. SVG and text hold no times and no ids.

    >>> from labkit.graph import Node
    >>> Drawing(Graph([Node("0", "tasks.add", args=(2, 2))]))
    workflow ○
    └─ #1 add(2, 2) ○
    """

    def __init__(self, graph: Graph, *, theme: str = "light", unfold: Collection[str] = ()) -> None:
        if theme not in THEMES:
            raise LabError(f"There is no theme {theme!r}: choose one of {', '.join(THEMES)}.")
        self.graph = graph
        self.theme = theme
        self.unfolded = frozenset(_key(graph, name) for name in ([unfold] if isinstance(unfold, str) else unfold))

    def unfold(self, *names: str) -> Drawing:
        """The same drawing with stacks opened; one of more than 60 opens as smaller stacks.

        ``names`` are nodes in them (``"#2"``, a key, an id) or the keys of frames around them; none means all.
        Raises `LabError` if nothing is called so.
        """
        return Drawing(self.graph, theme=self.theme, unfold=self.unfolded | set(names or (ALL,)))

    @cached_property
    def _labels(self) -> Labels:
        return Labels(self.graph)

    @cached_property
    def _stacks(self) -> Stacks:
        return stacked(self.graph, self._labels, self.unfolded)

    @cached_property
    def text(self) -> str:
        """The same facts as a tree, in lines of text."""
        return text(self.graph, self._stacks, self._labels)

    @cached_property
    def dot(self) -> str:
        """The drawing in Graphviz's language."""
        return dot(self.graph, self._stacks, self._labels, THEMES[self.theme])

    @cached_property
    def svg(self) -> str:
        """The drawing as SVG, at most 1,500 pixels wide; each box has its whole call as tooltip."""
        drawn = render(self.dot, "svg").decode()
        head = _HEAD.search(drawn)
        if head is None:
            raise LabError("Graphviz gave no SVG for this graph; look at .dot.")
        width, height = float(head[1]), float(head[2])
        scale = min(1.0, WIDTH / width)
        body = _TITLE.sub(self._titled, _NOISE.sub("", drawn[head.end() :]))
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{width * scale:.0f}" height="{height * scale:.0f}" '
            f'viewBox="0 0 {head[1]} {head[2]}" role="img" style="max-width:100%;height:auto" '
            f'aria-label="{escape(self._summary())}" '
            f'font-family="{FONT}">{body}'
        )

    def _titled(self, match: re.Match[str]) -> str:
        opening, rest, name = match[1], match[2], match[3] or ""
        if not re.fullmatch(r"n\d+", name):
            return f"{opening}{rest}\n"
        node = self.graph.node(f"#{name[1:]}")
        many = len(self._stacks.boxes[node.key])
        tip = self._labels.tooltip(node) if many == 1 else f"{many:,} × {self._labels.name(node)}"
        return f'{opening} id="{name}"{rest}\n<title>{escape(tip, quote=False)}</title>\n'

    def _summary(self) -> str:
        counted = ", ".join(f"{number} {state}" for state, number in self.graph.counts().items())
        return f"{headline(self.graph)}: {counted}"

    @cached_property
    def png(self) -> bytes:
        """The drawing as PNG, the text twice as sharp as in SVG where the width allows."""
        head = re.search(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', self.svg)
        width, height = (float(head[1]), float(head[2])) if head else (1.0, 1.0)
        dpi = min(144.0, 72 * WIDTH / width, 72 * HEIGHT / height)
        return render(self.dot.replace("{", f"{{\n\tgraph [dpi={dpi:.2f}]", 1), "png")

    def save(self, path: str | Path) -> Path:
        """Write the drawing to ``path``, in the format of its suffix: ``.dot``, ``.svg``, ``.png`` or ``.txt``.

        Returns the path; raises `LabError` for another suffix.
        """
        path = Path(path)
        match path.suffix.lower():
            case ".png":
                path.write_bytes(self.png)
            case ".svg":
                path.write_text(self.svg, encoding="utf-8")
            case ".dot":
                path.write_text(self.dot, encoding="utf-8")
            case ".txt":
                path.write_text(f"{self.text}\n", encoding="utf-8")
            case other:
                raise LabError(
                    f"A drawing cannot be saved as {other or 'a file without suffix'!r}: use .svg, .png, .dot or .txt."
                )
        return path

    def __repr__(self) -> str:
        return self.text

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:
        shown = {"image/svg+xml": "_in_page", "text/plain": "text"}
        return {
            kind: getattr(self, name)
            for kind, name in shown.items()
            if (not include or kind in include) and (not exclude or kind not in exclude)
        }

    @property
    def _in_page(self) -> str:
        """The SVG, smaller if need be: JupyterLab shows it as an image, and cuts off what is wider than the page."""
        opening, width, height, rest = re.split(r'width="(\d+)" height="(\d+)"', self.svg, maxsplit=1)
        scale = min(1.0, max(_PAGE / float(width), _SMALLEST))
        return f'{opening}width="{float(width) * scale:.0f}" height="{float(height) * scale:.0f}"{rest}'


def _key(graph: Graph, name: str) -> str:
    if name == ALL or name in graph.frames:
        return name
    try:
        return graph.node(name).key
    except KeyError as error:
        raise LabError(f"Nothing to unfold: {error.args[0]}.") from None


def render(source: str, kind: str) -> bytes:
    """DOT as ``"svg"``, ``"png"`` or another of Graphviz's formats.

    Graphviz is not thread-safe: one lock is held from the first call to the last.
    """
    import pygraphviz  # loads when first used

    with _LOCK:
        _fonts(Path(pygraphviz.__file__).parent)
        graph = pygraphviz.AGraph(string=source)
        try:
            return bytes(graph.draw(format=kind, prog="dot"))
        finally:
            graph.close()


@lru_cache(maxsize=1)
def _fonts(package: Path) -> None:
    """Give the fontconfig inside pygraphviz's wheels one font: DejaVu Sans, as it comes with matplotlib.

    So sizes are the same on every machine, all glyphs are there, and the system's configuration, which may be of
    another version and then brings warnings on stderr, is not read. A pygraphviz built on this machine uses the
    system's own fontconfig: others may use it too, and it stays as it is.
    """
    bundled = [*package.parent.glob("pygraphviz.libs/libfontconfig*"), *package.glob(".dylibs/libfontconfig*")]
    matplotlib = find_spec("matplotlib")
    if not bundled or matplotlib is None or matplotlib.origin is None:
        return
    font = Path(matplotlib.origin).parent / "mpl-data" / "fonts" / "ttf" / "DejaVuSans.ttf"
    library = ctypes.CDLL(str(bundled[0]))
    library.FcConfigCreate.restype = ctypes.c_void_p
    library.FcConfigAppFontAddFile.argtypes = [ctypes.c_void_p, ctypes.c_char_p]
    library.FcConfigSetCurrent.argtypes = [ctypes.c_void_p]
    configuration = library.FcConfigCreate()
    if library.FcConfigAppFontAddFile(configuration, str(font).encode()):
        library.FcConfigSetCurrent(configuration)
