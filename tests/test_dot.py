import re

import pytest

from labkit.dot import dot
from labkit.draw import Drawing, render
from labkit.graph import Edge, Frame, Graph, Node
from labkit.labels import Labels
from labkit.layers import ROW, Layers, layers
from labkit.stacks import stacked
from labkit.theme import THEMES
from tests.graphs import canvas, chain, chord, failing, one


def source(graph: Graph) -> str:
    labels = Labels(graph)
    return dot(graph, stacked(graph, labels), labels, THEMES["light"])


def laid_out(graph: Graph) -> Layers:
    drawn = stacked(graph, Labels(graph))
    return layers(drawn, dict.fromkeys(drawn.order, 150.0))


def places(graph: Graph) -> dict[str, tuple[float, float]]:
    """Where Graphviz puts each box, by the number of its first node: from the left, from the top."""
    lines = (line.split() for line in render(source(graph), "plain").decode().splitlines())
    nodes = {words[1]: (float(words[2]), -float(words[3])) for words in lines if words[0] == "node"}
    return {f"#{name[1:]}": place for name, place in nodes.items() if name.startswith("n")}


def lines(graph: Graph) -> dict[tuple[str, str], str]:
    found = re.findall(r"^\t(\w+) -> (\w+)(.*)$", source(graph), re.MULTILINE)
    return {(one, other): attributes for one, other, attributes in found}


def assert_in_order(graph: Graph) -> None:
    """What runs beside each other is drawn from top to bottom as it was written."""
    drawn, where = stacked(graph, Labels(graph)), places(graph)
    for frame, parts in drawn.lanes.items():
        heads = [next(box for unit in lane for box in drawn.inside(unit)) for lane in parts]
        heights = [where[graph.number(head)][1] for head in heads]
        assert heights == sorted(heights), (frame, [graph.number(head) for head in heads])


@pytest.mark.parametrize("size", [2, 3, 8])
def test_headers_read_from_top_to_bottom(size: int) -> None:
    assert_in_order(chord(size))
    assert_in_order(failing())


@pytest.mark.parametrize("seed", range(120))
def test_so_do_nested_groups_chords_chains_and_what_hangs_on_them(seed: int) -> None:
    assert_in_order(canvas(seed))


def test_parts_that_nothing_joins_read_from_top_to_bottom() -> None:
    where = places(Graph([Node(str(place), f"tasks.t{place}") for place in range(5)]))
    assert [where[f"#{place}"][1] for place in range(1, 6)] == sorted(y for _, y in where.values())


def test_time_goes_from_left_to_right() -> None:
    graph = failing()
    where = places(graph)
    for edge in graph.task_edges():
        assert where[graph.number(edge.source)][0] < where[graph.number(edge.target)][0]


def test_a_chord_joins_in_a_bar() -> None:
    drawn = lines(chord(3))
    assert {key for key, attributes in drawn.items() if "arrowhead=none" in attributes} == {
        ("n1", "bar1"),
        ("n2", "bar1"),
        ("n3", "bar1"),
    }
    assert drawn["bar1", "n4"] == ""


def test_a_group_at_the_end_has_no_bar() -> None:
    keys = tuple("abc")
    graph = Graph([Node(key, f"tasks.{key}") for key in keys], [], [Frame("g", "group", keys)])
    assert "bar" not in source(graph)


def test_edges_through_a_frame_stay_one_a_member() -> None:
    one, other = tuple("abc"), tuple("wxyz")
    edges = [*(Edge(key, "h") for key in one), *(Edge("h", key) for key in other)]
    nodes = [Node(key, f"tasks.{key}") for key in one + other]
    graph = Graph(nodes, edges, [Frame("h", "header", one), Frame("g", "group", other)])
    assert len(lines(graph)) == 7
    into = Graph(nodes, [*edges[:3], Edge("h", "g")], list(graph.frames.values()))
    assert set(lines(into)) == set(lines(graph))


def test_each_kind_of_edge_has_a_line_of_its_own() -> None:
    nodes = [Node(key, f"tasks.{key}", state="succeeded") for key in "abcdef"]
    edges = [
        Edge("a", "b"),
        Edge("a", "c", "order", False),
        Edge("a", "d", "callback"),
        Edge("a", "e", "errback", False),
        Edge("a", "f", "spawned", False),
    ]
    drawn = lines(Graph(nodes, edges))
    assert drawn["n1", "n2"] == ""
    assert "onormal" in drawn["n1", "n3"]
    assert "dotted" in drawn["n1", "n3"]
    assert "headlabel=callback" in drawn["n1", "n4"]
    assert "headlabel=errback" in drawn["n1", "n5"]
    assert THEMES["light"].red in drawn["n1", "n5"]
    assert "dashed" in drawn["n1", "n6"]
    assert "headlabel=spawned" in drawn["n1", "n6"]


def test_nothing_goes_along_a_line_to_what_never_ran() -> None:
    drawn = lines(failing())
    assert THEMES["light"].pale in drawn["bar1", "n5"]
    assert THEMES["light"].pale in drawn["n5", "n6"]
    assert THEMES["light"].red in drawn["n5", "n7"]
    assert THEMES["light"].red in drawn["n3", "bar1"]
    assert drawn["n1", "n3"] == ""


def test_states_differ_in_colour_border_and_glyph() -> None:
    text = source(failing())
    assert "✓ #1" in text
    assert re.search(r"✗ #3.*penwidth=2.6", text)
    assert re.search(r"⊘ #5.*dotted", text)
    assert re.search(r"○ #1.*dashed", source(one()))


def test_a_stack_has_two_borders_and_counts() -> None:
    graph = chord(1000, lambda place: "succeeded" if place else "running")
    (line,) = (line for line in source(graph).splitlines() if "▤" in line)
    assert "▤ #1–#1000" in line
    assert "× 1,000" in line
    assert "✓ 999" in line
    assert "▶ 1<" in line
    assert "peripheries=2" in line


def test_a_way_out_leads_short_lanes_to_the_end_of_their_frame() -> None:
    nodes = [Node(key, f"tasks.{key}") for key in "abcd"]
    edges = [Edge("a", "b"), Edge("b", "d"), Edge("c", "d")]
    drawn = laid_out(Graph(nodes, edges, [Frame("h", "header", tuple("abc"))]))
    assert drawn.ways == {"way 0": ("h", "c")}
    assert drawn.layer["bar h"] == 2


def test_a_long_chain_goes_on_in_the_next_row() -> None:
    graph = chain([f"step{place}" for place in range(20)])
    drawn = laid_out(graph)
    rows = [drawn.row[key] for key in graph.nodes]
    assert rows == sorted(rows)
    assert rows[-1] >= 1
    assert max(rows.count(row) for row in set(rows)) * 150 <= ROW
    assert {line.target for line in drawn.lines if line.source == "in a 1"} == {graph_key(rows, 1)}
    where = places(graph)
    assert [y for _, y in where.values()] != sorted({y for _, y in where.values()})
    assert where["#1"][1] < where["#20"][1]


def graph_key(rows: list[int], row: int) -> str:
    return str(rows.index(row))


def test_no_row_breaks_inside_a_frame() -> None:
    steps = [f"{lane}.{step}" for lane in range(2) for step in range(20)]
    edges = [Edge(f"{lane}.{step}", f"{lane}.{step + 1}") for lane in range(2) for step in range(19)]
    graph = Graph(
        [*(Node(key, f"tasks.t{key}") for key in steps), Node("b", "tasks.body")],
        [*edges, Edge("0.19", "b"), Edge("1.19", "b")],
        [Frame("h", "header", tuple(steps))],
    )
    drawn = laid_out(graph)
    assert len({drawn.row[key] for key in steps}) == 1
    assert 'width="1500"' in Drawing(graph).svg


def test_a_cycle_is_drawn_all_the_same() -> None:
    nodes = [Node(key, f"tasks.{key}") for key in "abc"]
    assert len(lines(Graph(nodes, [Edge("a", "b"), Edge("b", "c"), Edge("c", "a")]))) == 3
