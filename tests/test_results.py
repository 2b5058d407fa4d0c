"""Graphs of results that Celery gave: all of it where a lab listened, else what the backend tells."""

from collections.abc import Iterator
from typing import Any

import pytest
from celery import Celery, chain, chord, group
from celery.result import AsyncResult, EagerResult, GroupResult, ResultSet

import labkit
from labkit.errors import LabError
from labkit.results import graph_of
from tasks import add, app, fail, ident, mul, xsum


@pytest.fixture(scope="module")
def lab() -> Iterator[labkit.Lab]:
    labkit.stop()
    yield labkit.start(app)
    labkit.stop()


@pytest.fixture
def unheard(lab: labkit.Lab) -> Iterator[None]:
    """As if nobody had listened when it was sent: the same backend, no lab known."""
    patch = pytest.MonkeyPatch()
    patch.setattr("labkit.lab._current", None)
    yield
    patch.undo()


def ended(result: Any) -> Any:
    result.get(timeout=10, propagate=False)
    return result


def facts_end(lab: labkit.Lab, *ids: str) -> None:
    """Wait until the lab has heard the end of these tasks, which comes after their results are stored."""
    recording = lab.listener.recording_of(*ids)
    wanted = set(ids)
    for _ in range(1000):
        if wanted <= {fact["id"] for fact in recording.facts if fact["kind"] in ("succeeded", "failed")}:
            return
        recording.over.wait(0.01)
    raise AssertionError("the lab has not heard the end of these tasks")


def summary(graph: labkit.Graph) -> list[tuple[str, str, Any]]:
    return [(node.task.rpartition(".")[2], node.state, node.value) for node in graph.nodes.values()]


# --- a lab listened ------------------------------------------------------------------------------------------------


def test_a_chain_sent_past_the_lab(lab: labkit.Lab) -> None:
    result = ended(chain(add.s(1, 1), mul.s(5)).delay())
    facts_end(lab, result.id, result.parent.id)
    graph = graph_of(result)
    assert summary(graph) == [("add", "succeeded", 2), ("mul", "succeeded", 10)]
    assert [node.id for node in graph.nodes.values()] == [result.parent.id, result.id]
    keys = list(graph.nodes)
    assert [(edge.source, edge.target) for edge in graph.task_edges()] == [(keys[0], keys[1])]


def test_any_result_of_it_gives_all_of_it(lab: labkit.Lab) -> None:
    result = ended(chain(add.s(1, 1), mul.s(5), ident.s()).delay())
    facts_end(lab, result.id, result.parent.id, result.parent.parent.id)
    whole = labkit.draw(result).text
    assert labkit.draw(result.parent).text == whole
    assert labkit.draw(AsyncResult(result.id, app=app)).text == whole


def test_a_chord_has_its_body(lab: labkit.Lab) -> None:
    result = ended(chord([add.s(1, 1), add.s(2, 2)], xsum.s()).delay())
    facts_end(lab, result.id, *(each.id for each in result.parent.results))
    assert sorted(summary(graph_of(result))) == [
        ("add", "succeeded", 2),
        ("add", "succeeded", 4),
        ("xsum", "succeeded", 6),
    ]
    assert "SUCCESS" in {node.backend_state for node in graph_of(result).nodes.values()}


def test_a_group(lab: labkit.Lab) -> None:
    result = ended(group(add.s(n, 1) for n in range(3)).delay())
    facts_end(lab, *(each.id for each in result.results))
    assert [value for _, _, value in summary(graph_of(result))] == [1, 2, 3]


def test_what_failed_and_what_never_ran(lab: labkit.Lab) -> None:
    result = ended(chain(fail.s(), add.s(1)).delay())
    facts_end(lab, result.parent.id)
    assert [(state, value) for _, state, value in summary(graph_of(result))] == [("failed", None), ("never ran", None)]


def test_two_workflows_are_not_mixed(lab: labkit.Lab) -> None:
    one, other = (ended(chain(add.s(n, n), mul.s(2)).delay()) for n in (1, 2))
    facts_end(lab, one.id, one.parent.id, other.id, other.parent.id)
    assert [value for _, _, value in summary(graph_of(one))] == [2, 4]
    assert [value for _, _, value in summary(graph_of(other))] == [4, 8]


def test_a_set_of_results_is_what_they_belong_to(lab: labkit.Lab) -> None:
    first, second = (ended(chain(add.s(n, n), mul.s(2)).delay()) for n in (1, 2))
    facts_end(lab, first.id, first.parent.id, second.id, second.parent.id)
    assert [value for _, _, value in summary(graph_of(ResultSet([first, second])))] == [2, 4, 4, 8]
    run = lab.run(group(add.s(1, 1), add.s(2, 2)))
    run.wait()
    assert labkit.draw(ResultSet(run.result.results)).text == labkit.draw(run).text
    of_two = graph_of(ResultSet([first, *run.result.results]))
    assert [value for _, _, value in summary(of_two)] == [2, 4, 2, 4]


def test_the_result_of_a_run_is_drawn_as_the_run(lab: labkit.Lab) -> None:
    run = lab.run(chord([add.s(1, 1), add.s(2, 2)], xsum.s()))
    run.wait()
    assert labkit.draw(run.result).text == labkit.draw(run).text


# --- nobody listened -----------------------------------------------------------------------------------------------


def test_unheard_a_chain_is_values_and_states(unheard: None) -> None:
    result = ended(chain(add.s(1, 1), mul.s(5)).delay())
    graph = graph_of(result)
    assert [(node.state, node.value) for node in graph.nodes.values()] == [("succeeded", 2), ("succeeded", 10)]
    assert [node.id for node in graph.nodes.values()] == [result.parent.id, result.id]
    assert len(list(graph.task_edges())) == 1


def test_unheard_a_failure_is_not_guessed_at(unheard: None) -> None:
    result = ended(chain(fail.s(), add.s(1)).delay())
    nodes = list(graph_of(result).nodes.values())
    assert [(node.state, node.backend_state) for node in nodes] == [("unknown", "FAILURE")] * 2
    assert nodes[0].error == "ValueError: boom"
    assert "for a task that failed and for one that never ran" in str(nodes[1].reason)


def test_unheard_a_group_is_its_members(unheard: None) -> None:
    result = ended(group(add.s(n, 1) for n in range(3)).delay())
    graph = graph_of(result)
    assert sorted(node.value for node in graph.nodes.values()) == [1, 2, 3]
    assert len(graph.frames) == 1
    assert labkit.draw(result).text.count("✓") >= 3


def test_unheard_an_id_that_nobody_knows(unheard: None) -> None:
    (node,) = graph_of(AsyncResult("an-id-that-nobody-knows", app=app)).nodes.values()
    assert (node.state, node.backend_state) == ("unknown", "PENDING")
    assert "nobody listened" in str(node.reason)
    assert list(graph_of(GroupResult("none", [], app=app)).nodes) == []


def test_unheard_a_revoked_task(unheard: None) -> None:
    result = ended(add.apply_async((1, 1), expires=-1))
    (node,) = graph_of(result).nodes.values()
    assert (node.state, node.reason) == ("revoked", "expired")


def test_unheard_the_steps_of_members_and_the_order_as_written(unheard: None) -> None:
    result = ended(group(add.s(1, 1), chain(add.s(2, 2), mul.s(5)), add.s(3, 3)).delay())
    assert [node.value for node in graph_of(result).nodes.values()] == [2, 4, 20, 6]
    assert [line.rpartition(" ")[2] for line in labkit.draw(result).text.splitlines()[1:]] == ["2", "4", "20", "6"]


def test_unheard_a_set_of_results(unheard: None) -> None:
    inner = ended(group(add.s(n, 1) for n in range(2)).delay())
    graph = graph_of(ResultSet([ended(add.delay(5, 5)), inner]))
    assert [node.value for node in graph.nodes.values()] == [10, 1, 2]
    assert {key: frame.members for key, frame in graph.frames.items()} == {
        "0": ("0.0", "0.1"),
        "0.1": ("0.1.0", "0.1.1"),
    }
    assert graph.frames["0.1"].parent == "0"
    assert labkit.draw(ResultSet([])).svg


# --- called by apply(): nothing was sent ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("canvas", "told"),
    [
        (add.s(1, 1), [("add", "succeeded", 2)]),
        (fail.s(), [("fail", "failed", None)]),
        (chain(add.s(1, 1), mul.s(5)), [("add", "succeeded", 2), ("mul", "succeeded", 10)]),
        (group(add.s(1, 1), fail.s()), [("add", "succeeded", 2), ("fail", "failed", None)]),
        (chord([add.s(1, 1), add.s(2, 2)], xsum.s()), [("xsum", "succeeded", 6)]),
    ],
    ids=["a task", "a failure", "a chain", "a group", "a chord"],
)
@pytest.mark.parametrize("heard", [True, False], ids=["with a lab", "without"])
def test_a_result_that_was_never_sent_tells_all_by_itself(
    canvas: Any, told: list[Any], heard: bool, lab: labkit.Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not heard:
        monkeypatch.setattr("labkit.lab._current", None)
    graph = graph_of(canvas.apply())
    assert summary(graph) == told
    assert labkit.draw(graph).svg


def test_why_a_result_that_was_never_sent_is_as_it_is(lab: labkit.Lab) -> None:
    assert "#1 add() returned 2." in str(labkit.why(add.apply((1, 1))))
    assert "#1 fail() failed: ValueError: boom." in str(labkit.why(fail.apply(), "#1"))
    revoked = add.apply((1, 1))
    revoked.revoke()
    assert graph_of(revoked).node("#1").state == "revoked"
    odd = EagerResult("an-id", None, "IGNORED")
    assert graph_of(odd).node("#1").reason == "it was called by apply(), and ended as IGNORED"


# --- all that can be drawn -----------------------------------------------------------------------------------------


def test_one_function_for_all_that_can_be_drawn(lab: labkit.Lab) -> None:
    run = lab.run(add.s(1, 1))
    run.wait()
    assert graph_of(run) == graph_of(run.recording) == graph_of(run.graph) == run.graph
    assert graph_of(run.plan) is run.plan
    assert [node.task for node in graph_of(add.s(1, 1)).nodes.values()] == ["tasks.add"]


@pytest.mark.parametrize("thing", [None, 3, "an id", object(), Celery("none", set_as_current=False), add])
def test_what_cannot_be_drawn_is_one_error(thing: Any) -> None:
    with pytest.raises(LabError):
        graph_of(thing)
