import pytest

from labkit.graph import Attempt, Edge, Frame, Graph, Node, Outline, State
from labkit.labels import Labels
from labkit.stacks import stacked
from labkit.text import overall, text
from tests.graphs import canvas, chain, chord, failing, one


def told(graph: Graph) -> str:
    labels = Labels(graph)
    return text(graph, stacked(graph, labels), labels)


def test_the_twin_of_a_failure() -> None:
    assert told(failing()) == "\n".join(
        [
            "chain ✗",
            "├─ #1 add(1, 1) ✓ 2",
            "├─ header 2 of 3",
            "│  ├─ #2 mul(2, 10) ✓ 20",
            "│  ├─ #3 fail(2) ✗ ValueError: boom",
            "│  └─ #4 mul(2, 30) ✓ 60",
            "├─ #5 xsum(…) ⊘ never ran: header #3 failed",
            "│  └─ errback #7 on_error(#5) ✓ called with ChordError",
            "└─ #6 mul(…, 2) ⊘ never ran: #5 did not run",
        ]
    )


def test_the_twin_of_a_plan() -> None:
    assert told(chord(2)) == "\n".join(
        ["chord ○", "├─ header 2", "│  ├─ #1 power(0, 2) ○", "│  └─ #2 power(1, 2) ○", "└─ #3 amass(…) ○"]
    )


def test_a_stack_is_one_line() -> None:
    def state(place: int) -> State:
        return "running" if place < 4 else "sent" if place < 59 else "failed" if place == 59 else "succeeded"

    assert told(chord(1000, state)).splitlines()[1:3] == [
        "├─ header 940 of 1000",
        "│  └─ ▤ #1–#1000 power(…) × 1000: ✓ 940 ▶ 4 ◔ 55 ✗ 1",
    ]


def test_steps_in_a_row_say_so() -> None:
    assert "└─ ▤ #1–#30 poll(…) × 30 in a row: ○ 30" in told(chain(["poll"] * 30))


def test_one_task_is_one_line() -> None:
    assert told(one(args=(1,), state="succeeded", value=2)) == "#1 work(1) ✓ 2"
    attempts = [Attempt("E", 1.0, 0.1, 0.1), Attempt("E", 2.0, 0.1, 0.1), Attempt(None, 3.0, 0.1)]
    assert told(one(state="succeeded", value=3, attempts=attempts)) == "#1 work() ✓ 3 (attempt 3)"


def test_what_celery_answers_is_not_told() -> None:
    assert "FAILURE" not in told(one(state="never ran", backend_state="FAILURE", reason="#1 failed"))


def test_a_group_as_callback_and_what_a_task_started() -> None:
    nodes = [Node("0", "add"), *(Node(f"g.{n}", "mul", role="callback") for n in range(2)), Node("s", "extra")]
    edges = [*(Edge("0", f"g.{n}", "callback") for n in range(2)), Edge("0", "s", "spawned", False)]
    group = Outline("group", "g", [Outline("task", f"g.{n}") for n in range(2)])
    outline = Outline("task", "0", [Outline("callback", "g", [group]), Outline("spawned", "s")])
    assert told(Graph(nodes, edges, [Frame("g", "group", ("g.0", "g.1"))], outline)) == "\n".join(
        [
            "#1 add() ○",
            "├─ callback",
            "│  └─ group 2",
            "│     ├─ #2 mul() ○",
            "│     └─ #3 mul() ○",
            "└─ spawned #4 extra() ○",
        ]
    )


def test_a_map_counts_its_calls() -> None:
    nodes = [Node("0", "celery.map", kwargs={"task": "tasks.add"}, state="failed", error="E: no")]
    nodes += [Node(f"m{n}", "tasks.add", role="map", state="succeeded" if n < 2 else "never ran") for n in range(3)]
    keys = tuple(node.key for node in nodes)
    outline = Outline("map", "m", [Outline("task", key) for key in keys])
    assert told(Graph(nodes, [], [Frame("m", "map", keys)], outline)).splitlines()[:2] == [
        "map 2 of 3 calls ✗",
        "├─ #1 map(add) ✗ E: no",
    ]


def test_what_the_outline_forgot_is_told_at_the_end() -> None:
    graph = one()
    graph.nodes["late"] = Node("late", "tasks.late", planned=False, state="running")
    assert told(graph) == "#1 work() ○\n└─ #2 late() ▶ running"


@pytest.mark.parametrize("seed", range(20))
def test_every_box_is_told_once(seed: int) -> None:
    graph = canvas(seed)
    lines = told(graph).splitlines()
    assert len(lines) == len(graph.nodes) + 1


@pytest.mark.parametrize(
    ("states", "whole"),
    [
        (["planned", "planned"], "planned"),
        (["succeeded", "planned"], "sent"),
        (["succeeded", "running"], "running"),
        (["succeeded", "succeeded"], "succeeded"),
        (["succeeded", "never ran", "revoked"], "revoked"),
        (["succeeded", "never ran", "failed"], "failed"),
        ([], "planned"),
    ],
)
def test_the_state_of_the_whole(states: list[State], whole: str) -> None:
    assert overall(Node(str(place), "f", state=state) for place, state in enumerate(states)) == whole


def test_an_errback_that_was_not_needed_does_not_count() -> None:
    assert (
        overall([Node("0", "f", state="succeeded"), Node("e", "f", role="errback", state="never ran")]) == "succeeded"
    )
