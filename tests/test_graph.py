"""The model: numbers, names, frames dissolved, plain data and back."""

import json
from typing import Any

import pytest

from labkit.graph import FINAL, GLYPHS, Attempt, Edge, Frame, Graph, Node, Outline
from labkit.plan import plan
from tests.field import CANVASES
from tests.graphs import task_id

ONE, TWO = task_id(1), task_id(2)


def diamond() -> Graph:
    """One task, a header of two (one of them a group of two), a body that is a group of two."""
    nodes = [Node(key, f"tasks.{key}") for key in "abcdxy"]
    frames = [
        Frame("h", "header", ("b", "g")),
        Frame("g", "group", ("c", "d"), "h"),
        Frame("body", "group", ("x", "y")),
    ]
    edges = [Edge("a", "h"), Edge("b", "h"), Edge("g", "h"), Edge("h", "x"), Edge("h", "y", "order", False)]
    return Graph(nodes, edges, frames)


def test_numbers_follow_the_order_of_the_canvas() -> None:
    graph = diamond()
    assert [graph.number(key) for key in graph.nodes] == ["#1", "#2", "#3", "#4", "#5", "#6"]
    graph.nodes["z"] = Node("z", "tasks.z")
    assert graph.number("z") == "#7"
    with pytest.raises(KeyError):
        graph.number("nobody")


@pytest.mark.parametrize("name", ["#2", "b", TWO])
def test_a_node_has_three_names(name: str) -> None:
    graph = Graph([Node("a", "f", ONE), Node("b", "f", TWO)])
    assert graph.node(name) is graph.nodes["b"]


@pytest.mark.parametrize("name", ["#0", "#3", "#", "#x", "c", "", "-1", "#-1", task_id(3)])
def test_a_name_that_nobody_has(name: str) -> None:
    graph = Graph([Node("a", "f", ONE), Node("b", "f", TWO)])
    with pytest.raises(KeyError, match="#1 to #2"):
        graph.node(name)


def test_two_nodes_may_share_an_id() -> None:
    graph = Graph([Node("a", "f", ONE), Node("b", "g"), Node("c", "h", ONE)])
    assert [node.key for node in graph.by_id(ONE)] == ["a", "c"]
    assert graph.node(ONE).key == "c"
    assert graph.by_id(TWO) == ()
    graph.nodes["d"] = Node("d", "f", TWO)
    assert [node.key for node in graph.by_id(TWO)] == ["d"]


def test_leaves_of_frames_in_frames() -> None:
    graph = diamond()
    assert list(graph.leaves("h")) == ["b", "c", "d"]
    assert list(graph.leaves("x")) == ["x"]


def test_frames_dissolve_into_edges_between_nodes() -> None:
    drawn = [(edge.source, edge.target, edge.kind, edge.passes_value) for edge in diamond().task_edges()]
    # An edge into a frame that others leave is a way through it: each of its sources, with each of its targets.
    assert set(drawn) == {
        *((source, "x", "result", True) for source in "abg"),
        *((source, "y", "order", False) for source in "abg"),
    }
    assert len(drawn) == len(set(drawn))


def test_an_edge_into_a_frame_that_nothing_leaves_reaches_all_in_it() -> None:
    graph = Graph([Node(key, "f") for key in "abc"], [Edge("a", "g", "callback")], [Frame("g", "group", ("b", "c"))])
    assert list(graph.task_edges()) == [Edge("a", "b", "callback"), Edge("a", "c", "callback")]


def test_an_edge_out_of_a_frame_that_nothing_enters_leaves_all_in_it() -> None:
    graph = Graph(
        [Node(key, "f") for key in "abc"], [Edge("g", "a"), Edge("b", "a")], [Frame("g", "group", ("b", "c"))]
    )
    assert list(graph.task_edges()) == [Edge("b", "a"), Edge("c", "a")]


@pytest.mark.parametrize("name", CANVASES)
def test_dissolved_edges_name_nodes_only(name: str) -> None:
    graph = plan(CANVASES[name]())
    seen = [(edge.source, edge.target, edge.kind) for edge in graph.task_edges()]
    assert all(key in graph.nodes for source, target, _ in seen for key in (source, target))
    assert len(seen) == len(set(seen))
    # The plan of a chord has at most one edge for each header and one for each task of the body.
    assert len(graph.edges) <= 4 * len(graph.nodes)


def test_ids_in_a_text_become_numbers() -> None:
    graph = Graph([Node("a", "f", ONE), Node("b", "f", TWO), Node("c", "f", ONE)])
    assert graph.name_ids(f"{TWO} after {ONE}, not {task_id(9)}") == "#2 after #1, not <id>"
    assert graph.name_ids("a-b-c and no id") == "a-b-c and no id"
    assert graph.name_ids(f"x{ONE}") == f"x{ONE}"


def full() -> Graph:
    attempts = [Attempt("KeyError: 'x'", 1.5, 0.25, 3.0), Attempt(None, 5.0)]
    node = Node("0", "tasks.add", ONE, (1, (2, 3), [4]), {"x": {"y": None}}, {"queue": "q"}, True, "header", False)
    node.state, node.value, node.error, node.reason, node.note = "running", [1, 2], "e", "r", "n"
    node.attempts, node.sent, node.worker, node.backend_state = attempts, 1.0, "w", "STARTED"
    outline = Outline("chain", "", [Outline("task", "0", [Outline("callback", "1")])])
    return Graph(
        [node, Node("1", "f")], [Edge("0", "1", "callback", False)], [Frame("f", "map", ("0",), None)], outline
    )


def test_plain_data_and_back() -> None:
    graph = full()
    assert Graph.from_dict(graph.to_dict()) == graph
    again = Graph.from_dict(json.loads(json.dumps(graph.to_dict())))
    assert again.nodes["0"].attempts == graph.nodes["0"].attempts
    assert again.nodes["0"].args == (1, [2, 3], [4])
    assert again.frames == graph.frames
    assert again.edges == graph.edges
    assert again.outline == graph.outline
    assert Graph.from_dict(Graph().to_dict()) == Graph()


def test_plain_data_shares_no_lists_with_the_graph() -> None:
    graph = full()
    data = graph.to_dict()
    data["nodes"][0]["attempts"].clear()
    data["nodes"].clear()
    data["outline"]["children"].clear()
    assert graph == full()


def different() -> list[Graph]:
    changed = [full() for _ in range(6)]
    changed[0].nodes["0"].state = "failed"
    changed[1].nodes["0"].attempts.pop()
    changed[2].edges[0] = Edge("0", "1", "errback", False)
    changed[3].frames["f"].members = ("0", "1")
    changed[4].outline = None
    changed[5].nodes = dict(reversed(changed[5].nodes.items()))
    return changed


@pytest.mark.parametrize("other", [*different(), None, {}], ids=str)
def test_graphs_that_differ_anywhere_are_not_equal(other: Any) -> None:
    assert full() != other


def test_a_graph_has_no_hash() -> None:
    with pytest.raises(TypeError):
        hash(full())


def test_states_are_counted_in_the_order_of_their_life() -> None:
    graph = Graph([Node(str(n), "f", state=state) for n, state in enumerate(reversed([*GLYPHS, *GLYPHS]))])  # type: ignore[arg-type]
    assert graph.counts() == dict.fromkeys(GLYPHS, 2)
    assert list(graph.counts()) == list(GLYPHS)
    assert repr(Graph([Node("0", "f"), Node("1", "f", state="failed")])) == "<Graph: 1 planned, 1 failed>"
    assert repr(Graph()) == "<Graph: empty>"


def test_each_state_has_a_glyph_of_its_own() -> None:
    assert len(set(GLYPHS.values())) == len(GLYPHS)
    assert set(GLYPHS) >= FINAL
