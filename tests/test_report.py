"""What happens in other processes is in the graph, as it is for the embedded worker."""

import os
import socket
import time
from collections.abc import Iterator

import pytest
from celery import Celery, Task, chain, chord, signals
from celery.app.trace import build_tracer

import labkit
from labkit import report
from labkit.inline import safe
from labkit.listen import Listener
from labkit.report import Outbox, Reporter
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


# --- where a lab listens itself -----------------------------------------------------------------------------------


@pytest.fixture
def project() -> Celery:
    """Somebody's app, whose workers load the bootstep."""
    app = Celery("reporting", set_as_current=False)
    app.conf.update(task_serializer="json", result_serializer="json", accept_content=["json"])
    app.steps["worker"].add("labkit.report:Reports")

    @app.task(name="reporting.plus", shared=False)
    def plus(x: int, y: int) -> int:
        return x + y

    return app


def listening() -> list[int]:
    """How many receivers Celery's signals have."""
    return [len(signal.receivers or ()) for signal in vars(signals).values() if hasattr(signal, "receivers")]


def test_the_embedded_worker_does_not_report_what_its_lab_sees(project: Celery) -> None:
    """The step does nothing there: each fact is told once, and nothing listens after the lab has stopped."""
    labkit.stop()
    before = listening()
    with labkit.start(project) as lab:
        lab.staff.receive()
        plus = project.tasks["reporting.plus"]
        run = lab.run(chain(plus.s(1, 2), plus.s(3)))
        assert run.get() == 6
        time.sleep(0.2)  # in which events would come
        kinds = [fact["kind"] for fact in run.recording.facts]
        assert kinds.count("started") == kinds.count("succeeded") == kinds.count("published") == 2
    assert listening() == before
    assert id(project) not in report._reporters


def test_a_reporter_where_the_app_is_made_is_silent_while_a_lab_listens(project: Celery) -> None:
    labkit.stop()
    reporter = Reporter(project)
    reporter.connect()
    try:
        with labkit.start(project) as lab:
            lab.staff.receive()
            run = lab.run(project.tasks["reporting.plus"].s(1, 2))
            assert run.get() == 3
            time.sleep(0.2)
            assert not any("pid" in fact for fact in run.recording.facts)
    finally:
        reporter.disconnect()


def test_what_another_app_does_is_not_told(project: Celery) -> None:
    """Celery's signals are the whole process's; a task of another app, run in it, is nobody's here."""
    other = Celery("other", set_as_current=False)

    @other.task(name="other.done", shared=False, ignore_result=True)
    def done() -> str:
        return "done"

    @project.task(name="reporting.done", shared=False, ignore_result=True)
    def ours() -> str:
        return "ours"

    def worked(task: Task) -> None:
        build_tracer(task.name, task, app=task.app)("an-id", (), {}, {"id": "an-id"})

    told = Listener(project)
    told.connect()
    try:
        worked(done)
        assert told.apart.facts == []
        ours.apply()  # a call, as of any function
        assert told.apart.facts == []
        worked(ours)
        assert [fact["kind"] for fact in told.apart.facts] == ["started", "succeeded"]
    finally:
        told.disconnect()


def test_a_worker_keeps_nothing_of_each_task() -> None:
    """Not even of those that went through it weeks ago, but for what it needs to know of the latest."""
    worker = Reporter(Celery("long-lived", set_as_current=False))
    for number in range(100):
        worker.claim(worker.outbox, [f"id-{number}"])
    assert len(worker._owners) == 0
    assert len(worker.outbox.known) == 100


# --- without a broker ---------------------------------------------------------------------------------------------


def test_without_a_broker_no_task_waits_and_nothing_is_lost() -> None:
    """What was to be told meanwhile is told when the broker is there, once."""
    labkit.stop()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    worker = Celery("elsewhere", broker=f"redis://127.0.0.1:{port}/0", set_as_current=False)
    outbox, began = Outbox(worker), time.monotonic()
    for number in range(50):
        safe(outbox.add)("received", f"id-{number}")
    assert time.monotonic() - began < 5  # Celery itself would try for minutes
    with labkit.start(Celery("here"), port=port) as lab:
        lab.staff.receive()
        lab.listener.apart.known.update(f"id-{number}" for number in range(60))
        time.sleep(1.1)  # a broker that was away is tried again after a second
        for number in range(50, 60):
            outbox.add("received", f"id-{number}")
        until = time.monotonic() + 5
        while len(lab.listener.apart.facts) < 60:
            assert time.monotonic() < until
            time.sleep(0.02)
        assert [fact["id"] for fact in lab.listener.apart.facts] == [f"id-{number}" for number in range(60)]
        outbox._waiting.extend(dict(fact, n=n) for n, fact in enumerate(lab.listener.apart.facts, 1))
        outbox.add("received", "id-0")  # sent again by one who is not sure
        while len(lab.listener.apart.facts) < 61:
            assert time.monotonic() < until
            time.sleep(0.02)
        time.sleep(0.2)
        assert len(lab.listener.apart.facts) == 61
