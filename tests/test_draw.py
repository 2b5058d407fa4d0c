import os
import re
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pygraphviz
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labkit.draw import WIDTH, Drawing
from labkit.errors import LabError
from labkit.graph import Edge, Frame, Graph, Node
from tests.graphs import canvas, chain, chord, failing, one, task_id
from tests.test_labels import anything

HOSTILE = [
    "<script>alert(1)</script>",
    '"quoted" \\ back\\nslash \\N \\G &lt; &amp;lt; ]]> <!-- -->',
    "line\nline\r\t\0\x1b[31m\x7f\x9b",
    "\ud800 lone",
    "\u202eright to left\u2066 אבג",
    "😀 👨‍👩‍👧 中文",
    "<>",
    "{{}|}",
    "x" * 1_000_000,
    "",
]
SVG = "{http://www.w3.org/2000/svg}"


def size(svg: str) -> tuple[float, float]:
    root = ElementTree.fromstring(svg)
    return float(root.get("width", "")), float(root.get("height", ""))


def hostile(text: str) -> Graph:
    """Where a user's text can come in, it does."""
    nodes = [
        Node("0", text, args=(text, float("nan")), kwargs={text: text.encode("utf-8", "replace")}, state="succeeded"),
        Node("1", f"a.{text}", state="failed", error=text),
        Node("2", f"b.{text}", state="never ran", reason=text, note=text),
        Node("3", "tasks.plain", options={"queue": text, "countdown": text}),
    ]
    nodes[0].value = {text: [text]}
    return Graph(
        nodes, [Edge("0", "1"), Edge("1", "2"), Edge("1", "3", "errback", False)], [Frame("g", "group", ("2",))]
    )


def check(drawing: Drawing) -> None:
    root = ElementTree.fromstring(drawing.svg)
    assert len(root.findall(f".//{SVG}g[@id]")) == len(drawing.graph.nodes)
    assert not root.findall(f".//{SVG}script")
    assert size(drawing.svg)[0] <= WIDTH
    assert len(drawing.text.splitlines()) == len(drawing.graph.nodes) + 1
    assert len(drawing.svg) < 60_000
    pygraphviz.AGraph(string=drawing.dot).close()


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_a_hostile_text_is_shown_never_run(text: str) -> None:
    check(Drawing(hostile(text)))


@settings(max_examples=60, deadline=None)
@given(st.text(st.characters(exclude_categories=())), anything)
def test_no_text_and_no_value_breaks_a_drawing(text: str, value: Any) -> None:
    graph = hostile(text)
    graph.nodes["1"].args = (value,)
    check(Drawing(graph))


def test_a_text_is_shown_as_it_is() -> None:
    svg = Drawing(one(args=("a < b & c &lt; {N}|",))).svg
    texts = [element.text or "" for element in ElementTree.fromstring(svg).iter(f"{SVG}text")]
    assert any("work('a < b & c &lt; {N}|')" in text for text in texts)


def test_svg_and_text_hold_no_ids_and_no_times() -> None:
    graph = failing()
    for node in graph.nodes.values():
        node.sent = node.started = node.finished = 1_700_000_000.125
        node.options["eta"] = "2031-05-06T07:08:09"
        node.worker = "celery@here"
    graph.nodes["2"].reason = f"{task_id(5)} did not run"
    graph.nodes["0"].args = (task_id(4), task_id(77))
    for shown in (Drawing(graph).svg, Drawing(graph).text, Drawing(graph).dot):
        assert not re.search(r"[0-9a-f]{8}-[0-9a-f]{4}|1700000000|2031|celery@here", shown)
    assert "add(#4, '<id>')" in Drawing(graph).text


def test_svg_is_small_and_holds_nothing_of_the_machine() -> None:
    svg = Drawing(failing()).svg
    assert svg.startswith("<svg ")
    assert len(svg) < 10_000
    assert "<!--" not in svg
    assert "raphviz" not in svg


def test_svg_says_what_it_is() -> None:
    root = ElementTree.fromstring(Drawing(failing()).svg)
    assert root.get("role") == "img"
    assert root.get("aria-label") == "chain ✗: 4 succeeded, 1 failed, 2 never ran"
    titles = [title.text or "" for title in root.iter(f"{SVG}title")]
    assert "#3 failed: fail(2)\nValueError: boom" in titles
    assert len(titles) == 7


def test_a_tooltip_is_bounded() -> None:
    root = ElementTree.fromstring(Drawing(one(args=tuple("x" * 100 for _ in range(1000)))).svg)
    assert 500 < max(len(title.text or "") for title in root.iter(f"{SVG}title")) <= 2000


def test_the_paper_is_that_of_the_theme() -> None:
    assert 'fill="#fbfbfc"' in Drawing(failing()).svg
    assert 'fill="#1b1e24"' in Drawing(failing(), theme="dark").svg
    with pytest.raises(LabError, match="light, dark"):
        Drawing(failing(), theme="solarized")


def test_png_is_no_wider_than_svg_may_be() -> None:
    for drawing in (Drawing(failing()), Drawing(chain([f"step{place}" for place in range(40)]))):
        assert drawing.png.startswith(b"\x89PNG")
        assert int.from_bytes(drawing.png[16:20]) <= WIDTH


@pytest.mark.parametrize(
    "graph",
    [chord(10_000), chain([f"t{place}" for place in range(60)]), chain(["poll"] * 5000), Graph()],
    ids=["chord", "unlike steps", "like steps", "nothing"],
)
def test_the_width_is_bounded(graph: Graph) -> None:
    for drawing in (Drawing(graph), Drawing(graph).unfold()):
        assert size(drawing.svg)[0] <= WIDTH


def test_ten_thousand_headers_are_one_box() -> None:
    graph = chord(10_000, lambda place: "failed" if place % 100 == 7 else "succeeded")
    assert "× 10,000" in Drawing(graph).svg


def test_unfold_gives_another_drawing() -> None:
    folded = Drawing(chord(20))
    assert "▤" in folded.svg
    for opened in (folded.unfold("#2"), folded.unfold("h"), folded.unfold(), Drawing(chord(20), unfold=["#2"])):
        assert "▤" not in opened.svg
        assert "#20 power(19, 2) ○" in opened.text
    assert "▤" in folded.text
    with pytest.raises(LabError, match=r"no node '#99'; this graph has #1 to #21"):
        folded.unfold("#99")


def test_save_knows_the_format_by_its_suffix(tmp_path: Path) -> None:
    drawing = Drawing(failing())
    for suffix, content in (
        ("svg", drawing.svg.encode()),
        ("dot", drawing.dot.encode()),
        ("txt", f"{drawing.text}\n".encode()),
        ("png", drawing.png),
    ):
        assert drawing.save(tmp_path / f"run.{suffix}").read_bytes() == content
    with pytest.raises(LabError, match=r"\.svg, \.png, \.dot or \.txt"):
        drawing.save(tmp_path / "run.gif")


def test_a_notebook_gets_svg_and_the_text_twin() -> None:
    drawing = Drawing(canvas(3))
    assert drawing._repr_mimebundle_() == {"image/svg+xml": drawing.svg, "text/plain": drawing.text}
    assert drawing._repr_mimebundle_(include=["text/plain"]) == {"text/plain": drawing.text}
    assert drawing._repr_mimebundle_(exclude=["text/plain"]) == {"image/svg+xml": drawing.svg}
    assert str(drawing) == repr(drawing) == drawing.text
    assert canvas(3)._repr_mimebundle_() == drawing._repr_mimebundle_()


def test_in_a_notebook_a_wide_drawing_is_smaller() -> None:
    """JupyterLab cuts off what is wider than the page; what is drawn stays the same, and readable."""

    def size(svg: str) -> tuple[int, int]:
        found = re.search(r'width="(\d+)" height="(\d+)"', svg)
        assert found
        return int(found[1]), int(found[2])

    drawing = Drawing(failing())
    (wide, high), shown = size(drawing.svg), drawing._repr_mimebundle_()["image/svg+xml"]
    assert wide > 840
    assert 0.7 * wide - 1 <= size(shown)[0] <= max(840, 0.7 * wide + 1)
    assert size(shown)[1] / high == pytest.approx(size(shown)[0] / wide, abs=0.02)
    assert shown.partition("viewBox")[2] == drawing.svg.partition("viewBox")[2]


SCRIPT = """
import sys
from labkit.draw import Drawing
from tests.graphs import canvas, failing
assert not {"pygraphviz", "graphviz", "matplotlib", "celery", "IPython"} & set(sys.modules), "loaded too early"
sys.stdout.buffer.write("".join(Drawing(graph).svg for graph in (failing(), canvas(5))).encode())
"""


def test_svg_is_the_same_in_every_process_and_stderr_stays_empty() -> None:
    # `python -c` would run labkit/__init__.py, which loads more than a drawing needs.
    script = "import sys, types; sys.modules['labkit'] = types.ModuleType('labkit')\n"
    script += f"sys.modules['labkit'].__path__ = ['labkit']\n{SCRIPT}"
    expected = Drawing(failing()).svg + Drawing(canvas(5)).svg
    for seed in ("1", "2"):
        ran = subprocess.run(
            [sys.executable, "-c", script],
            env={**os.environ, "PYTHONHASHSEED": seed},
            cwd=Path(__file__).parents[1],
            capture_output=True,
            check=False,
            timeout=60,
        )
        assert ran.stderr.decode() == ""
        assert ran.stdout.decode() == expected


def test_two_threads_may_draw_at_once() -> None:
    expected = [Drawing(chord(size)).svg for size in range(1, 9)]
    wrong: list[int] = []

    def draw() -> None:
        for turn in range(200):
            if Drawing(chord(turn % 8 + 1)).svg != expected[turn % 8]:
                wrong.append(turn)

    threads = [threading.Thread(target=draw) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
