"""Faults are facts, are seen in the graph, and are undone by reset()."""

import time
from collections.abc import Iterator

import pytest
from celery import chain, chord, group

import labkit
from labkit.faults import Injected
from tests import workflows
from tests.test_conformance import finished


@pytest.fixture
def lab() -> Iterator[labkit.Lab]:
    """A lab whose faults are its own."""
    with labkit.start(workflows.app) as lab:
        yield lab


def states(run: labkit.Run) -> list[str]:
    """The states in the order of the canvas."""
    return [node.state for node in run.graph.nodes.values()]


def test_a_lost_message(lab: labkit.Lab) -> None:
    """It was published, nobody gets it, nothing behind it runs; the next one arrives."""
    lab.faults.lose(workflows.u)
    run = finished(lab, chain(workflows.t.s(), workflows.u.s(), workflows.t.s()))
    assert states(run) == ["succeeded", "lost", "never ran"]
    assert "fault" in (run.graph.node("#2").reason or "")
    assert run.graph.node("#3").reason == "#2 was lost"
    assert states(finished(lab, chain(workflows.t.s(), workflows.u.s()))) == ["succeeded", "succeeded"]


def test_a_lost_header(lab: labkit.Lab) -> None:
    """The join waits for ever; the graph does not."""
    lab.faults.lose("tests.workflows.u")
    run = finished(lab, chord([workflows.t.s(), workflows.u.s()], workflows.t.s()))
    assert states(run) == ["succeeded", "lost", "never ran"]
    assert run.graph.node("#3").backend_state == "PENDING"


def test_delivered_twice(lab: labkit.Lab) -> None:
    """One message, one id, two runs."""
    workflows.began.clear()
    lab.faults.deliver_twice(workflows.t)
    run = finished(lab, workflows.t.s())
    node = run.graph.node("#1")
    assert workflows.began[str(node.id)] == 2
    assert len(node.attempts) == 2
    assert "twice" in (node.note or "")


def test_calls_that_fail(lab: labkit.Lab) -> None:
    """Exactly so many; a retry gets over it."""
    lab.faults.fail(workflows.t, times=2)
    first, second, third = (finished(lab, workflows.t.s()) for _ in range(3))
    assert [states(run) for run in (first, second, third)] == [["failed"], ["failed"], ["succeeded"]]
    with pytest.raises(Injected):
        first.get()
    with pytest.raises(labkit.LabError, match="nope"):
        lab.faults.fail("nope")


def test_a_broker_that_runs_is_not_started_again(lab: labkit.Lab) -> None:
    """What lies in it stays."""
    lab.pause()
    run = lab.run(group(workflows.t.s() for _ in range(40)))
    with pytest.raises(labkit.LabError, match="the broker runs"):
        lab.faults.start_broker()
    lab.resume()
    run.wait(timeout=20)
    assert run.graph.counts() == {"succeeded": 40}


def test_reset_undoes_what_was_armed(lab: labkit.Lab) -> None:
    """After reset() nothing is lost, doubled, failed or slow, and the gate is open."""
    before = lab.app.amqp.send_task_message
    lab.faults.lose(workflows.t)
    lab.faults.deliver_twice(workflows.t)
    lab.faults.fail(workflows.t)
    lab.faults.slow_backend(5)
    lab.slow(5)
    lab.pause()
    assert "lose" in repr(lab.faults)
    lab.reset()
    assert repr(lab.faults) == "faults: none armed"
    started = time.monotonic()
    assert states(finished(lab, workflows.t.s())) == ["succeeded"]
    assert time.monotonic() - started < 4
    assert lab.app.amqp.send_task_message is before
    assert "run" not in workflows.t.__dict__


@pytest.mark.filterwarnings("ignore::celery.exceptions.CPendingDeprecationWarning")  # of Celery, when it reconnects
def test_the_broker_stops_and_starts(lab: labkit.Lab) -> None:
    """Away, everything is refused in words; back, everything works."""
    lab.faults.stop_broker()
    with pytest.raises(labkit.LabError, match="broker"):
        lab.run(workflows.t.s())
    lab.reset()
    assert states(finished(lab, workflows.t.s())) == ["succeeded"]


@pytest.mark.parametrize("when", ["before", "after", "middle"])
def test_a_worker_is_killed(lab: labkit.Lab, when: str) -> None:
    """Before it acknowledges: it comes back. After: it is lost."""
    with lab.faults.kill_worker(workflows.long, when=when):  # type: ignore[arg-type]
        run = lab.run(workflows.long.si(1.0))
        until = time.monotonic() + 15
        while run.graph.node("#1").state not in ("lost", "succeeded") and time.monotonic() < until:
            if when == "before" and lab.staff.hired and not lab.staff.hired[0].processes[0].alive:
                break
            lab.staff.look_after(run.recording)
            time.sleep(0.02)
    if when == "before":
        assert run.graph.node("#1").state in ("sent", "received")
    else:
        assert run.graph.node("#1").state == "lost"
    with pytest.raises(labkit.LabError, match="before"):
        lab.faults.kill_worker(workflows.long, when="never")  # type: ignore[arg-type]
