"""Random canvases, run: every invariant holds for whatever hypothesis puts together."""

import os
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from typing import Any, Final

import pytest
from hypothesis import HealthCheck, Phase, given, settings

import labkit
from labkit.graph import Graph
from labkit.run import Run
from tests import workflows
from tests.strategies import CONSTRUCTS, LARGEST, Part, canvases
from tests.test_conformance import (
    Wire,
    check_drawn,
    check_ends,
    check_ids,
    check_messages,
    check_order,
    check_saved,
    finished,
    pytestmark,
)

__all__ = ["pytestmark"]

#: How many canvases are run; when it is said, they are new ones each time.
EXAMPLES: Final = int(os.environ.get("LABKIT_EXAMPLES", "50"))

#: What Celery itself gets wrong, found here or named in SEMANTICS.md; the graph says what it did.
MISBEHAVIOURS: Final[dict[str, Part]] = {
    # Each member of a body group carries the rest of the chain: it is sent once a member, under the same ids, each
    # time with that one member's value (SEMANTICS 18).
    "a group behind a group, then a task": Part(
        "pipe",
        (Part("group", (Part("t"), Part("t"))), Part("group", (Part("u"), Part("t"))), Part("t"), Part("u")),
    ),
    "three groups": Part("pipe", (Part("group", (Part("t"), Part("u"))),) * 3),
    # Celery counts a chord without any task as one header: it waits for ever and sends nothing.
    "a header without any task": Part("chord", (Part("chord", (Part("group"),)), Part("u"))),
    # Ignored, rejected and unknown headers are not counted: the body waits for ever, PENDING (PITFALLS P59).
    "a header that raises Ignore": Part("chord", (Part("ignoring"), Part("t"), Part("u", errors=("id",)))),
    "a header that raises Reject": Part("chord", (Part("rejecting", errors=("inline that sends",)), Part("u"))),
    "a header that nobody knows": Part("chord", (Part("nobody knows"), Part("t"), Part("u"))),
    # An errback that is a chain is never called, a log line is all (SEMANTICS 35).
    "a chain as errback": Part("boom", errors=("chain", "id")),
    # The outer body waits for ever for a chord whose own header fails (SEMANTICS 33).
    "a chord that fails in a header": Part(
        "chord", (Part("chord", (Part("boom"), Part("t"), Part("u"))), Part("t"), Part("u"))
    ),
}

#: What hypothesis once found labkit to tell wrongly.
ONCE_WRONG: Final[dict[str, Part]] = {
    "what a body sends is not its callback, though it looks alike": Part("launch", links=(Part("u"),)),
    "a chord that a body sends is not its callback": Part("launch chord", links=(Part("u", immutable=True),)),
    "a callback is not the next step of a chain that is a callback": Part(
        "u", links=(Part("chain", (Part("t", links=(Part("t"),)), Part("t", links=(Part("t"),)))),)
    ),
    "a group inside a chain that is a callback": Part(
        "t", links=(Part("chain", (Part("t"), Part("group", (Part("t"), Part("u"))))),)
    ),
    "a chord inside a chain that is a callback": Part(
        "t", links=(Part("chain", (Part("t"), Part("group", (Part("t"), Part("u"))), Part("u"), Part("t"))),)
    ),
    "an errback on the body of a chord that is a callback": Part(
        "t", links=(Part("chord", (Part("boom"), Part("t")), errors=("immutable",)),)
    ),
    "a task added to a chord whose body is a group": Part(
        "chord", (Part("joining"), Part("group", (Part("t"), Part("u"))))
    ),
    "replaced by a group in a header": Part("chord", (Part("replaced by group"), Part("t"))),
    "replaced by a task in a group in a header, before a group": Part(
        "chord",
        (
            Part("group", (Part("t"), Part("replaced by task"))),
            Part("group", (Part("u"), Part("t", errors=("inline",)))),
        ),
    ),
}


@pytest.fixture(scope="module")
def lab() -> Iterator[labkit.Lab]:
    with labkit.start(workflows.app) as lab:
        yield lab


@pytest.fixture(scope="module")
def wire() -> Iterator[Wire]:
    wire = Wire()
    yield wire
    wire.close()


def check_values(graph: Graph) -> None:
    """The edges that pass a value are those that the values tell of, also through tasks that hand values on."""
    into: dict[str, set[str]] = {}
    again = {node.key for node in graph.nodes.values() if node.note == "sent more than once"}
    for edge in graph.task_edges():
        source, target = graph.nodes[edge.source], graph.nodes[edge.target]
        if source.key in again:
            again.add(target.key)
        if edge.passes_value:
            into.setdefault(target.key, set()).update(workflows.ids_in(source.value))
        if edge.kind in ("result", "order") and target.started and source.finished and target.key not in again:
            assert target.started >= source.finished - 1e-3, "an order edge starts before its source has ended"
    for node in graph.nodes.values():
        if node.sent is None or not node.task.startswith("tests.workflows."):
            continue
        told, drawn = set(workflows.ids_in(node.args)), into.get(node.key, set())
        assert told <= drawn, f"{graph.number(node.key)} has a value that no edge brings"
        assert node.key in again or drawn <= told, f"an edge brings {graph.number(node.key)} a value it never had"


def check_origins(run: Run, graph: Graph) -> None:
    """What was not planned was decided at run time: a body sent it, was replaced by it, or failed."""
    inside = {fact["id"]: fact["inside"] for fact in run.recording.facts if fact["kind"] == "published"}
    reached = set()
    for edge in graph.task_edges():
        source, target = graph.nodes[edge.source], graph.nodes[edge.target]
        reached.add(edge.target)
        if source.planned and not target.planned:
            assert edge.kind in ("spawned", "replaced", "errback")
        if edge.kind == "spawned" and target.sent:
            assert inside[target.id or ""], f"Celery sent {graph.number(target.key)}, no body did"
    for node in graph.nodes.values():
        assert node.planned or node.role == "map" or node.key in reached, f"{graph.number(node.key)} comes from nowhere"


def check(lab: labkit.Lab, wire: Wire, canvas: Any) -> Run:
    """Run a canvas and hold every invariant to it."""
    wire.sent.clear()
    workflows.began.clear()
    run = finished(lab, canvas)
    graph = run.graph
    check_messages(graph, wire.sent)
    check_ends(graph)
    check_ids(run.plan, graph)
    check_origins(run, graph)
    check_values(graph)
    check_order(run.recording, graph)
    check_saved(run.recording, graph)
    check_drawn(run)
    return run


@pytest.mark.parametrize("name", MISBEHAVIOURS)
def test_what_celery_gets_wrong_is_told(lab: labkit.Lab, wire: Wire, name: str) -> None:
    check(lab, wire, MISBEHAVIOURS[name].build())


@pytest.mark.parametrize("name", ONCE_WRONG)
def test_what_was_wrong_once_is_right(lab: labkit.Lab, wire: Wire, name: str) -> None:
    check(lab, wire, ONCE_WRONG[name].build())


def test_random_canvases_tell_the_truth(lab: labkit.Lab, wire: Wire) -> None:
    drawn: list[Part] = []
    failed = 0

    @settings(
        max_examples=EXAMPLES,
        derandomize="LABKIT_EXAMPLES" not in os.environ,
        database=None,
        deadline=None,
        phases=[Phase.generate],  # what is found is a race now and then: shrinking would take minutes
        suppress_health_check=list(HealthCheck),
    )
    @given(canvases())
    def run_one(part: Part) -> None:
        nonlocal failed
        drawn.append(part)
        if not part.size:
            with suppress(labkit.LabError):  # there is nothing to send
                check(lab, wire, part.build())
            return
        run = check(lab, wire, part.build())
        failed += any(node.state in ("failed", "rejected", "revoked") for node in run.graph.nodes.values())

    run_one()
    assert len(drawn) == EXAMPLES
    assert max(part.size for part in drawn) <= LARGEST
    assert max(part.depth for part in drawn) >= 5
    assert sum(part.depth >= 3 for part in drawn) >= 0.30 * len(drawn)
    assert failed >= 0.25 * len(drawn)
    counted = Counter(name for part in drawn for name, is_one in CONSTRUCTS.items() if any(map(is_one, part.all())))
    assert {name: counted[name] for name in CONSTRUCTS if counted[name] < 20 * EXAMPLES // 300} == {}
