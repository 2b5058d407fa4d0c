import base64
import sys
from pathlib import Path

import pytest

from labkit.errors import LabError
from labkit.graph import Attempt, Graph, Node, State
from labkit.timeline import attempts, pack, timeline


def ran(key: str, sent: float, started: float, finished: float | None, worker: str = "celery@here") -> Node:
    state: State = "running" if finished is None else "succeeded"
    return Node(key, "tasks.add", state=state, sent=sent, started=started, finished=finished, worker=worker)


def slots(*nodes: Node) -> list[int]:
    bars = attempts(Graph(list(nodes)))
    pack(bars)
    return [bar.lane for bar in bars]


def test_seconds_count_from_the_first_task_sent() -> None:
    (one, other) = attempts(Graph([ran("a", 100.0, 100.5, 101.0), ran("b", 100.25, 101.0, 102.0)]))
    assert (one.sent, one.started, one.finished) == (0.0, 0.5, 1.0)
    assert (other.sent, other.started, other.finished) == (0.25, 1.0, 2.0)


def test_a_slot_runs_one_task_at_a_time() -> None:
    assert slots(ran("a", 0, 0, 1), ran("b", 0, 0, 2), ran("c", 0, 1, 2), ran("d", 0, 2, 3)) == [0, 1, 0, 0]


def test_each_worker_has_slots_of_its_own() -> None:
    bars = attempts(Graph([ran("a", 0, 0, 1, "two@x"), ran("b", 0, 0, 1, "one@x"), ran("c", 0, 0.5, 1, "one@x")]))
    assert pack(bars) == ["one 1", "one 2", "two"]


def test_lanes_are_the_slots_that_were_told() -> None:
    told = [ran("a", 0, 0, 1, "lab12-3f@kernel"), ran("b", 0, 2, 3, "lab12-3f@kernel"), ran("c", 0, 0, 1, "p@x")]
    for node, slot in zip(told, ("10", "2", "771"), strict=True):
        node.attempts = [Attempt(None, node.started, 1.0, slot=slot)]
    bars = attempts(Graph(told))
    assert pack(bars) == ["kernel 2", "kernel 10", "p 771"]
    assert {bar.node.key: bar.lane for bar in bars} == {"a": 1, "b": 0, "c": 2}


def test_retries_are_separate_attempts() -> None:
    node = ran("a", 10.0, 11.0, 14.0)
    node.attempts = [Attempt("E: no", 11.0, 0.5, 1.0), Attempt(None, 13.0, 1.0)]
    first, last = attempts(Graph([node]))
    assert (first.sent, first.started, first.finished, first.last) == (0.0, 1.0, 1.5, False)
    assert (last.sent, last.started, last.finished, last.last) == (1.5, 3.0, 4.0, True)


def test_what_still_runs_reaches_as_far_as_is_known() -> None:
    running, _ = attempts(Graph([ran("a", 0, 0, None), ran("b", 0, 1, 5)]))
    assert running.finished == 5


def test_what_never_started_has_no_bar() -> None:
    graph = Graph([Node("a", "tasks.add"), Node("b", "tasks.add", state="sent", sent=1.0)])
    assert attempts(graph) == []
    assert timeline(graph).png.startswith(b"\x89PNG")


def test_waiting_and_running_are_told_apart() -> None:
    figure = timeline(Graph([ran("a", 0, 1, 2), ran("b", 0, 0, 1)]), title="$odd_{title").figure
    (axes,) = figure.axes
    waiting, running = axes.collections
    assert len(waiting.get_paths()) == 1
    assert len(running.get_paths()) == 2
    assert sorted(text.get_text() for text in axes.texts) == ["#1", "#2"]
    legend = axes.get_legend()
    assert legend is not None
    assert [text.get_text() for text in legend.get_texts()] == ["waiting", "succeeded"]


def test_a_thousand_tasks_are_drawn_without_numbers() -> None:
    nodes = [ran(str(place), 0, place % 100, place % 100 + 0.9) for place in range(1000)]
    shown = timeline(Graph(nodes))
    assert shown.text == "timeline: 1000 tasks"
    assert not shown.figure.axes[0].texts
    assert shown.png.startswith(b"\x89PNG")


def test_the_text_holds_no_times(tmp_path: Path) -> None:
    shown = timeline(Graph([ran("a", 0, 1, 2)]))
    assert repr(shown) == "timeline: 1 task"
    data, about = shown._repr_mimebundle_()
    assert data["text/plain"] == "timeline: 1 task"
    assert base64.b64decode(data["image/png"]) == shown.png
    assert about["image/png"]["alt"] == "timeline: 1 task"
    assert shown._repr_mimebundle_(exclude=["image/png"])[0] == {"text/plain": "timeline: 1 task"}
    assert shown.save(tmp_path / "t.txt").read_text() == "timeline: 1 task\n"
    assert shown.save(tmp_path / "t.png").read_bytes() == shown.png
    with pytest.raises(LabError, match="timeline cannot be saved"):
        shown.save(tmp_path / "t.gif")


def test_nothing_global_is_touched() -> None:
    before = "matplotlib.pyplot" in sys.modules
    _ = timeline(Graph([ran("a", 0, 1, 2)])).png
    assert ("matplotlib.pyplot" in sys.modules) == before
