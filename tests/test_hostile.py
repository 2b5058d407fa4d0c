"""Whatever a task is called or given: it is planned, recorded, drawn and saved, bounded and escaped."""

from __future__ import annotations

import json
import math
import os
import re
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final
from xml.etree import ElementTree

import pytest
from celery import Celery, chain, chord, group, signature
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

import labkit
from labkit.draw import Drawing
from labkit.graph import Attempt, Edge, Frame, Graph, Node, Outline
from labkit.happened import fold
from labkit.plan import plan
from labkit.record import KEPT, Recording, load, snapshot

app = Celery("hostile")
app.conf.update(task_serializer="json", result_serializer="json", accept_content=["json"])

#: A drawing of a few nodes is no larger than this, in characters, whatever is in it.
BOUND: Final = 60_000

SCRIPT: Final = "<script>alert('x')</script>"
TEXTS: Final[dict[str, str]] = {
    "single quotes": "it's 'quoted'",
    "double quotes": 'say "hello" \\" and \\\\',
    "angle brackets": "a < b > c & d &amp; &#60; <<>>",
    "a script": SCRIPT,
    "a script in an attribute": '" onload="alert(1)" x="',
    "a link": 'javascript:alert(1) href="javascript:alert(1)"',
    "an end of everything": "]]> --> </svg></title></text>\"'`",
    "DOT": '"]; evil [shape=box]; } digraph { a -> b [label=<<b>x</b>>',
    "HTML that Graphviz knows": "<<table><tr><td>x</td></tr></table>>",
    "newlines": "one\ntwo\r\nthree\x0bfour\u2028five\x85six",
    "NUL": "before\0after",
    "control characters": "".join(map(chr, range(32))) + "\x7f\x9f",
    "a lone surrogate": "high \ud800 low \udfff",
    "no characters": "\ufffe \uffff \U0010ffff",
    "right to left": "שלום עולם مرحبا \u202eabc\u202c \u2066x\u2069",
    "emoji": "👩\u200d👩\u200d👧\u200d👦 🏳️\u200d🌈 é e\u0301 ",
    "a long word": "x" * 1_000_000,
    "a long text": "word " * 200_000,
    "format strings": "%s %(name)s {0} {name} {}} $x ${y} \\N \\G \\l \\L",
    "backslashes": "\\" * 5001,
    "nothing": "",
    "an id": "00000000-0000-4000-8000-000000000000",
    "spaces": " \t \u00a0\u2003\u200b\ufeff ",
}


class Evil:
    """An object that refuses to be looked at."""

    def __repr__(self) -> str:
        raise RuntimeError("no repr")

    __str__ = __repr__

    def __eq__(self, other: object) -> bool:
        raise RuntimeError("no comparison")

    __hash__ = None  # type: ignore[assignment]

    def __reduce__(self) -> Any:
        raise RuntimeError("no copy")


class EvilError(Exception):
    """An error that refuses to be told."""

    def __str__(self) -> str:
        raise RuntimeError("no str")


def deep(levels: int) -> Any:
    """A list in a list in a list …"""
    value: Any = "bottom"
    for _ in range(levels):
        value = [value]
    return value


VALUES: Final[dict[str, Any]] = {
    **TEXTS,
    "NaN": math.nan,
    "infinity": -math.inf,
    "bytes": bytes(range(256)) * 100,
    "a huge number": 10**5000,
    "a large number": -(2**200),
    "deep": deep(90),
    "deeper": deep(5000),
    "many": list(range(100_000)),
    "a dict of hostile keys": {text[:50]: text[:50] for text in TEXTS.values()},
    "a set": {1, 2},
    "an object": object(),
    "an evil object": Evil(),
    "a list with an evil object": [Evil(), {"x": Evil()}],
    "a generator": (n for n in range(3)),
    "a type": int,
}


def hostile_graph(value: Any, name: str = "tasks.work") -> Graph:
    """A graph that holds ``value`` wherever user data can be."""
    text = value if isinstance(value, str) else "error"
    nodes = [
        Node("0", name, "id-0", (value,), {"x": value}, state="succeeded", value=value),
        Node("1", name, "id-1", (1, value), state="failed", error=text, note=text, role="header"),
        Node("2", f"other.{name}", "id-2", (), {text[:100]: value}, partial=True, state="never ran", reason=text),
        Node(
            "3", name, state="retrying", attempts=[Attempt(text, 1.0, 1.0), Attempt(None, 2.0)], worker=text, role="map"
        ),
        Node("4", name, "id-4", options={"queue": text, "countdown": 3, "eta": text}, role="errback"),
    ]
    edges = [Edge("0", "1"), Edge("1", "2"), Edge("2", "4", "errback", False), Edge("0", "3", "spawned", False)]
    frames = [Frame("f", "header", ("1", "3"))]
    outline = Outline("chain", "", [Outline("task", "0"), Outline("header", "f", [Outline("task", "1")])])
    return Graph(nodes, edges, frames, outline)


def check_svg(svg: str) -> None:
    """It is XML that shows and does nothing."""
    root = ElementTree.fromstring(svg)
    for element in root.iter():
        kind = str(element.tag).rpartition("}")[2].lower()
        assert kind in {
            "svg",
            "g",
            "title",
            "text",
            "polygon",
            "path",
            "ellipse",
            "polyline",
            "rect",
            "a",
            "tspan",
            "style",
        }
        for attribute, content in element.attrib.items():
            assert not attribute.lower().startswith("on"), attribute
            assert "javascript:" not in content.lower() or attribute.endswith("aria-label")
    assert len(svg) <= BOUND


def check_drawing(graph: Graph) -> None:
    """Every way of drawing it."""
    drawing = Drawing(graph)
    assert len(drawing.dot) <= BOUND
    assert len(drawing.text) <= BOUND
    for shown in (drawing.dot, drawing.text):
        assert not re.search("[\0\x1b\ud800-\udfff\u202a-\u202e\u2066-\u2069]", shown)
        shown.encode()
    check_svg(drawing.svg)
    assert drawing.svg.count("<title>") <= len(graph.nodes)


def check_saved(graph: Graph, tmp_path: Path) -> None:
    """Saved and loaded it is drawn the same."""
    Recording(graph).save(tmp_path / "run.json")
    assert Drawing(load(tmp_path / "run.json").graph).text
    json.loads((tmp_path / "run.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", VALUES)
def test_a_value_is_drawn_and_saved(name: str, tmp_path: Path) -> None:
    graph = hostile_graph(VALUES[name])
    check_drawing(graph)
    check_saved(graph, tmp_path)


@pytest.mark.parametrize("name", TEXTS)
def test_a_task_name_is_drawn_and_saved(name: str, tmp_path: Path) -> None:
    graph = hostile_graph(1, TEXTS[name])
    check_drawing(graph)
    check_saved(graph, tmp_path)


@pytest.mark.parametrize("name", VALUES)
def test_a_value_is_planned(name: str) -> None:
    value = VALUES[name]
    one = signature("tasks.work", (value,), {"x": value})
    graph = plan(chord([one, one], signature("tasks.end", (value,))))
    assert [node.task for node in graph.nodes.values()] == ["tasks.work", "tasks.work", "tasks.end"]
    assert all(type(node.args[0]) is type(value) for node in graph.nodes.values())
    check_drawing(graph)


@pytest.mark.parametrize("name", TEXTS)
def test_a_task_name_is_planned(name: str) -> None:
    one = signature(TEXTS[name], (1,)).on_error(signature(TEXTS[name]))
    graph = plan(chain(one, group(one, one), one))
    assert {node.task for node in graph.nodes.values()} == {TEXTS[name]}
    check_drawing(graph)


@pytest.mark.parametrize("name", VALUES)
def test_a_snapshot_is_bounded_and_json(name: str) -> None:
    kept = snapshot(VALUES[name])
    text = json.dumps(kept, allow_nan=False)
    assert len(text) <= 6 * KEPT + 100
    assert json.loads(text) == kept


@pytest.mark.parametrize("name", TEXTS)
def test_facts_are_folded_and_saved(name: str) -> None:
    text = TEXTS[name][:KEPT]
    recording = Recording(plan(signature(text)))
    id = next(iter(recording.known))
    sent = {"parent": None, "group": None, "retries": 0, "nesting": 0, "chain": None, "chord": None}
    rest = {"link": None, "link_error": None, "queue": text}
    recording.add("published", id, task=text, args=[snapshot(text)], kwargs={}, **sent, **rest)
    recording.add("published", text, task=text, args=[], kwargs={}, **{**sent, "parent": id, "group": text}, **rest)
    recording.add("started", id, worker=text)
    recording.add("failed", id, error=text)
    graph = recording.graph
    assert [node.task for node in graph.nodes.values()] == [text, text]
    assert graph.node("#1").error == text
    assert Recording.from_json(recording.to_json()).graph == fold(recording.plan, recording.facts[::-1])
    check_drawing(graph)


# --- really run ---------------------------------------------------------------------------------------------


@app.task
def echo(value: Any = None, **named: Any) -> Any:
    return value


def give_back(value: Any = None) -> Any:
    return value


@app.task
def fail(text: str) -> None:
    raise ValueError(text)


@app.task
def fail_untold() -> None:
    raise EvilError


@app.task
def evil() -> Any:
    return Evil()


@pytest.fixture(scope="module")
def lab() -> Iterator[labkit.Lab]:
    for text in TEXTS.values():
        app.task(name=text or "nothing")(give_back)
    with labkit.start(app) as lab:
        yield lab


def run(lab: labkit.Lab, canvas: Any) -> Graph:
    run = lab.run(canvas)
    run.wait(timeout=10)
    graph = run.graph
    check_drawing(graph)
    again = Recording.from_json(run.recording.to_json()).graph
    assert json.loads(Recording(again).to_json()) == json.loads(Recording(graph).to_json())
    assert repr(run.messages)
    return graph


@pytest.mark.parametrize("name", TEXTS)
def test_a_text_is_run(lab: labkit.Lab, name: str) -> None:
    text = TEXTS[name]
    graph = run(lab, echo.s(text, **{text[:50] or "x": text}) | echo.s())
    assert [node.state for node in graph.nodes.values()] == ["succeeded"] * 2
    assert graph.node("#2").value == snapshot(text)


@pytest.mark.parametrize("name", TEXTS)
def test_a_task_name_is_run(lab: labkit.Lab, name: str) -> None:
    graph = run(lab, group(signature(TEXTS[name] or "nothing", (1,)), echo.s()) | signature(TEXTS[name] or "nothing"))
    assert [node.state for node in graph.nodes.values()] == ["succeeded"] * 3


@pytest.mark.parametrize("name", TEXTS)
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_an_error_is_recorded(lab: labkit.Lab, name: str) -> None:
    node = run(lab, fail.s(TEXTS[name])).node("#1")
    assert node.state == "failed"
    assert (node.error or "").startswith("ValueError")


@pytest.mark.parametrize("name", ["bytes", "NaN", "a large number", "deep", "many"])
def test_a_value_that_json_knows_is_run(lab: labkit.Lab, name: str) -> None:
    assert run(lab, echo.s(VALUES[name])).node("#1").state == "succeeded"


@pytest.mark.parametrize(
    "name", ["a huge number", "an object", "an evil object", "a list with an evil object", "deeper"]
)
def test_a_value_that_json_does_not_know_is_refused(lab: labkit.Lab, name: str) -> None:
    with pytest.raises(labkit.LabError, match="cannot be sent as json") as refused:
        lab.run(echo.s(VALUES[name]))
    assert len(str(refused.value)) < 2000


@pytest.mark.filterwarnings("ignore:Exception raised outside body")
@pytest.mark.parametrize("canvas", [fail_untold.s(), evil.s()], ids=["an error", "a value"])
def test_what_cannot_be_told_does_not_break_the_record(lab: labkit.Lab, canvas: Any) -> None:
    assert run(lab, canvas | echo.s()).node("#1").state == "failed"


# --- anything -----------------------------------------------------------------------------------------------

TEXT = st.text(st.characters(), max_size=30) | st.sampled_from(sorted(TEXTS.values(), key=len)[:15])
ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXT | st.binary(max_size=20) | st.builds(Evil),
    lambda inner: st.lists(inner, max_size=4) | st.tuples(inner) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)


@settings(
    max_examples=int(os.environ.get("LABKIT_EXAMPLES", "40")),
    derandomize="LABKIT_EXAMPLES" not in os.environ,
    database=None,
    deadline=None,
    phases=[Phase.explicit, Phase.generate, Phase.shrink],
    suppress_health_check=list(HealthCheck),
)
@given(ANY, TEXT)
def test_anything_is_drawn_and_saved(value: Any, name: str) -> None:
    graph = hostile_graph(value, name)
    check_drawing(graph)
    again = Recording.from_json(Recording(graph).to_json()).graph
    assert Drawing(again).svg
    assert json.loads(json.dumps(snapshot(value), allow_nan=False)) == snapshot(value)


def test_another_thread_may_draw_too(lab: labkit.Lab) -> None:
    graphs = [hostile_graph(text) for text in list(TEXTS.values())[:6]]
    expected = [(Drawing(graph).svg, Drawing(graph).png[:8]) for graph in graphs]
    wrong: list[Any] = []

    def draw() -> None:
        try:
            for _ in range(4):
                for graph, (svg, _) in zip(graphs, expected, strict=True):
                    if Drawing(graph).svg != svg:
                        wrong.append(graph)
        except BaseException as error:
            wrong.append(error)

    threads = [threading.Thread(target=draw) for _ in range(3)]
    for thread in threads:
        thread.start()
    for _ in range(4):
        sent = lab.run(chord([echo.s(1), echo.s(2)], echo.s()))
        while not sent.over:
            assert labkit.draw(sent).svg
        for graph, (svg, png) in zip(graphs, expected, strict=True):
            assert Drawing(graph).svg == svg
            assert Drawing(graph).png[:8] == png
    for thread in threads:
        thread.join(30)
    assert wrong == []
