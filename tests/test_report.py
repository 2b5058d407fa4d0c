"""What happens in other processes is in the graph, as it is for the embedded worker."""

import os
from collections.abc import Iterator

import pytest
from celery import chord

import labkit
from tests import workflows
from tests.field import CANVASES
from tests.test_conformance import check_ends, check_ids, check_order, check_values, finished


@pytest.fixture(scope="module")
def lab() -> Iterator[labkit.Lab]:
    """One lab with two worker processes for all tests that kill none."""
    with labkit.start(workflows.app) as lab, lab.workers(n=2):
        yield lab


@pytest.mark.parametrize(
    "name",
    [
        "chain of three",
        "task, group, task",
        "chord of chains",
        "depth five",
        "two retries, then success",
        "a header fails in mid-chain",
        "both kinds of errback",
        "an errback on a chain with a chord",
        "a chain as callback",
        "replaced by a chord, then a step",
        "a task launches a chord",
        "headers add tasks to their chord",
        "chunks in a group",
        "expired in a chain",
        "the rest is cut off",
        "Ignore in a chain",
    ],
)
@pytest.mark.filterwarnings("ignore::celery.exceptions.CPendingDeprecationWarning")
def test_what_other_processes_do_is_in_the_graph(lab: labkit.Lab, name: str) -> None:
    """The same invariants as in one process."""
    workflows.began.clear()
    run = finished(lab, CANVASES[name]())
    check_ends(run.graph)
    check_ids(run.plan, run.graph)
    check_values(run.graph)
    check_order(run.recording, run.graph)
    assert all("pid" in fact for fact in run.recording.facts if fact["kind"] in ("started", "succeeded"))
    assert {fact["pid"] for fact in run.recording.facts if fact["kind"] == "started"}.isdisjoint({os.getpid()})


def test_errors_in_reporting_never_fail_a_task(lab: labkit.Lab) -> None:
    """A long argument, a number that JSON has no word for: the tasks succeed all the same."""
    run = finished(lab, chord([workflows.t.s("x" * 100_000), workflows.t.s(float("nan"))], workflows.u.s()))
    assert {node.state for node in run.graph.nodes.values()} == {"succeeded"}
