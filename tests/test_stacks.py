from itertools import chain as steps
from itertools import pairwise

import pytest

from labkit.errbacks import uncalled
from labkit.graph import Edge, Frame, Graph, Node, State
from labkit.labels import Labels
from labkit.stacks import ALL, CROWD, OPENED, PIECES, Stacks, stacked
from tests.graphs import canvas, chain, chord, failing


def stacks(graph: Graph, *opened: str) -> Stacks:
    return stacked(graph, Labels(graph), opened)


def sizes(drawn: Stacks) -> list[int]:
    return [len(drawn.boxes[key]) for key in drawn.order]


def lanes(length: int, many: int) -> Graph:
    """A chord of chains."""
    keys = [[f"{lane}.{step}" for step in range(length)] for lane in range(many)]
    nodes = [Node(key, f"tasks.step{step}") for lane in keys for step, key in enumerate(lane)]
    edges = [Edge(one, other) for lane in keys for one, other in pairwise(lane)]
    edges += [Edge(lane[-1], "b") for lane in keys]
    return Graph([*nodes, Node("b", "tasks.body")], edges, [Frame("h", "header", tuple(steps.from_iterable(keys)))])


def test_eight_siblings_stand_alone_and_nine_fold() -> None:
    assert sizes(stacks(chord(8))) == [1] * 9
    assert sizes(stacks(chord(9))) == [9, 1]


def test_siblings_fold_whatever_became_of_them() -> None:
    def state(place: int) -> State:
        return "failed" if place == 3 else "succeeded"

    drawn = stacks(chord(1000, state))
    assert sizes(drawn) == [1000, 1]
    assert drawn.counts["h"] == (999, 1000, True)


def test_a_sibling_with_a_child_of_its_own_stays_out() -> None:
    graph = chord(20)
    graph.nodes["e"] = Node("e", "tasks.on_error", role="errback", state="succeeded")
    graph.edges.append(Edge("h.4", "e", "errback", False))
    drawn = stacks(graph)
    assert sizes(drawn) == [19, 1, 1, 1]
    assert drawn.lanes["h"] == [["h.0"], ["h.4", "e"]]


def test_siblings_whose_children_are_alike_fold_with_them() -> None:
    graph = chord(20)
    for place in range(20):
        graph.nodes[f"l.{place}"] = Node(f"l.{place}", "tasks.log", role="callback")
        graph.edges.append(Edge(f"h.{place}", f"l.{place}", "callback"))
    drawn = stacks(graph)
    assert sizes(drawn) == [20, 1, 20]
    assert drawn.counts["h"] == (0, 20, False)


def test_like_chains_fold_step_by_step() -> None:
    drawn = stacks(lanes(3, 50))
    assert sizes(drawn) == [50, 50, 50, 1]
    assert drawn.counts["h"][1] == 50
    assert drawn.box("7.2") == "0.2"


def test_like_frames_fold_into_one() -> None:
    members = [[f"{group}.{place}" for place in range(3)] for group in range(10)]
    frames = [Frame(f"g{group}", "group", tuple(keys), "h") for group, keys in enumerate(members)]
    nodes = [Node(key, f"tasks.t{key[-1]}") for keys in members for key in keys]
    edges = [Edge(node.key, "b") for node in nodes]
    header = Frame("h", "header", tuple(frame.key for frame in frames))
    drawn = stacks(Graph([*nodes, Node("b", "tasks.body")], edges, [header, *frames]))
    assert sizes(drawn) == [10, 10, 10, 1]
    assert drawn.lanes["h"] == [["g0"]]
    assert drawn.counts["h"][1] == 10


def test_what_a_task_starts_in_a_loop_folds_with_what_follows() -> None:
    nodes = [Node("0", "tasks.crawl")]
    edges = []
    for place in range(30):
        nodes += [Node(f"{place}.a", "tasks.fetch", planned=False), Node(f"{place}.b", "tasks.parse", planned=False)]
        edges += [Edge("0", f"{place}.a", "spawned", False), Edge(f"{place}.a", f"{place}.b")]
    assert sizes(stacks(Graph(nodes, edges))) == [1, 30, 30]


def test_many_like_steps_in_a_row_fold() -> None:
    drawn = stacks(chain(["start", *["poll"] * 100, "end"]))
    assert sizes(drawn) == [1, 100, 1]
    assert drawn.rows == {"1"}
    assert sizes(stacks(chain(["poll"] * 24))) == [1] * 24


def test_a_stack_opens_by_node_by_frame_or_altogether() -> None:
    for name in ("h.3", "h", ALL):
        assert sizes(stacks(chord(OPENED), name)) == [1] * (OPENED + 1)
    assert sizes(stacks(chord(OPENED), "b")) == [OPENED, 1]


def test_a_large_stack_opens_within_bounds() -> None:
    assert sizes(stacks(chord(1000), ALL)) == [50] * 20 + [1]
    assert len(stacks(chord(20_000), ALL).order) <= PIECES + 1
    around = stacks(chord(10_000), "h.60")
    assert "h.60" in around.boxes
    assert len(around.boxes["h.60"]) == 1
    assert len(around.order) <= 3 * OPENED + PIECES


def test_in_a_crowd_all_like_siblings_fold() -> None:
    nodes, edges = [Node("0", "tasks.fib")], []
    for node in nodes:
        for place in range(2 * (node.key.count(".") < 9)):
            nodes.append(Node(f"{node.key}.{place}", "tasks.fib", planned=False))
            edges.append(Edge(node.key, nodes[-1].key, "spawned", False))
    assert len(nodes) == 1023
    assert sizes(stacks(Graph(nodes, edges))) == [2**level for level in range(10)]


def test_a_crowd_of_different_tasks_folds_too() -> None:
    graph = chord(1000)
    for place, node in enumerate(graph.nodes.values()):
        node.task = f"tasks.t{place}"
    assert len(stacks(graph).order) < CROWD


@pytest.mark.parametrize("seed", range(40))
def test_every_node_is_in_one_box_and_every_box_in_one_place(seed: int) -> None:
    graph = canvas(seed)
    drawn = stacks(graph)
    assert sorted(key for keys in drawn.boxes.values() for key in keys) == sorted(graph.nodes)
    for frame, parts in drawn.lanes.items():
        for unit in steps.from_iterable(parts):
            assert drawn.parent[unit] == frame


def test_a_cycle_does_no_harm() -> None:
    nodes = [Node(key, "tasks.ping") for key in "abc"]
    edges = [Edge("a", "b"), Edge("b", "c"), Edge("c", "a"), Edge("b", "b", "spawned")]
    assert sizes(stacks(Graph(nodes, edges))) == [1, 1, 1]


def errbacks(*states: State) -> dict[str, str | None]:
    nodes = [Node("t", "tasks.add")]
    nodes += [Node(f"e{n}", "tasks.alarm", args=("ops",), role="errback", state=s) for n, s in enumerate(states)]
    for node in nodes[1:]:
        if node.state == "succeeded":
            node.args = ("id", *node.args)
    graph = Graph(nodes, [Edge("t", node.key, "errback", False) for node in nodes[1:]])
    return uncalled(graph, Labels(graph))


def test_errbacks_planned_or_never_called_alike_are_one() -> None:
    assert errbacks("planned", "planned", "planned") == {"e1": "e0", "e2": "e0"}
    assert errbacks("never ran", "never ran") == {"e1": "e0"}


def test_equal_errbacks_of_one_group_are_two_and_of_two_groups_are_the_same() -> None:
    keys = ("g.0", "g.1", "h.0", "h.1")
    nodes = [Node("t", "tasks.add"), *(Node(key, "tasks.alarm", role="errback") for key in keys)]
    edges = [Edge("t", key, "errback", False) for key in keys]
    graph = Graph(nodes, edges, [Frame("g", "group", keys[:2]), Frame("h", "group", keys[2:])])
    assert uncalled(graph, Labels(graph)) == {"h.0": "g.0", "h.1": "g.1"}


def test_an_errback_never_called_is_left_out_where_the_same_was_called() -> None:
    assert errbacks("never ran", "succeeded", "never ran") == {"e0": None, "e2": None}
    assert "1.b.e" in stacks(failing()).boxes


def test_a_body_planned_behind_a_header_that_replaced_itself_stands_outside_of_it() -> None:
    inside = ("g.0", "g.1")
    nodes = [Node("h.0", "tasks.swap", role="header"), Node("b", "tasks.body", role="body")]
    nodes += [Node(key, "tasks.add", role="header", planned=False) for key in inside]
    nodes += [Node("g.b", "tasks.xsum", role="body", planned=False)]
    edges = [Edge("h.0", "g.0", "replaced"), Edge("h.0", "g.1", "replaced")]
    edges += [Edge(key, "g.b") for key in inside] + [Edge("g.b", "b")]
    drawn = stacks(Graph(nodes, edges, [Frame("h", "header", ("h.0",)), Frame("g", "header", inside)]))
    assert drawn.lanes["h"] == [["h.0", "g", "g.b"]]
