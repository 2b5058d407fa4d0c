"""Real worker processes: they are seen ready, report what they do, can be killed, and end with the lab."""

import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from celery import chain, group

import labkit
from labkit.run import Run
from tests import workflows
from tests.remains import needs_proc, wait_gone
from tests.test_conformance import finished

ROOT = Path(__file__).parents[1]


def until(holds: Callable[[], bool], seconds: float = 10.0) -> None:
    """Wait for something that will be so soon."""
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.01)


def test_the_embedded_worker_leaves_the_queue_and_takes_it_back() -> None:
    """While worker processes serve a queue the embedded one does not, afterwards it does."""
    with labkit.start(workflows.app) as lab:
        with lab.workers(n=1):
            run = finished(lab, group(workflows.t.s() for _ in range(6)))
            assert {node.worker for node in run.graph.nodes.values()} == {lab.staff.hired[0].processes[0].name}
        run = finished(lab, workflows.t.s())
        assert run.graph.nodes["0"].worker == lab.worker.name


def running(run: Run, number: str) -> Callable[[], bool]:
    """Whether a node of a run is running."""
    return lambda: run.graph.node(number).state == "running"


def test_a_killed_worker_loses_what_it_had_acknowledged() -> None:
    """Celery answers PENDING for ever; the graph says that it is lost, and what never runs because of it."""
    with labkit.start(workflows.app) as lab, lab.workers(n=1) as workers:
        run = lab.run(chain(workflows.long.si(60), workflows.t.s()))
        until(running(run, "#1"))
        workers.processes[0].kill()
        run.wait(timeout=10)
        first, second = run.graph.nodes.values()
        assert first.state == "lost"
        assert first.reason
        assert "killed" in first.reason
        assert (second.state, second.reason) == ("never ran", "#1 was lost")
        assert first.backend_state == "PENDING"
        assert "always will" in repr(run.why("#1"))


def test_a_message_acknowledged_late_runs_again() -> None:
    """It is delivered once more, to another worker: one id, two starts."""
    with labkit.start(workflows.app) as lab, lab.workers(n=2, concurrency=1) as workers:
        run = lab.run(workflows.late.si(str(ROOT / "nowhere"), 2.0))
        until(running(run, "#1"))
        name = run.graph.node("#1").worker
        next(each for each in workers.processes if each.name == name).kill()
        run.wait(timeout=30)
        node = run.graph.node("#1")
        assert node.state == "succeeded"
        assert len(node.attempts) == 2
        assert "ran 2 times" in repr(run.why("#1"))


def test_processes_that_cannot_be_had() -> None:
    """An app of the notebook itself cannot be imported; a worker that does not start tells why."""
    from celery import Celery

    with labkit.start(Celery("cell")) as lab, pytest.raises(labkit.LabError, match="module"), lab.workers():
        pass
    with labkit.start(workflows.app) as lab:
        with pytest.raises(labkit.LabError, match="no_such_module"), lab.workers(app="no_such_module"):
            pass
        with pytest.raises(labkit.LabError, match="at least one"):
            lab.workers(n=0)
        assert finished(lab, workflows.t.s()).graph.nodes["0"].state == "succeeded"


@needs_proc
@pytest.mark.parametrize("how", ["exit", "kill"])
def test_worker_processes_end_with_the_kernel(tmp_path: Path, how: str) -> None:
    """However the process of the lab ends, nothing of its workers is left."""
    token = f"token-{how}-{os.getpid()}"
    code = f"""
        import os, signal, labkit
        from tests import workflows
        lab = labkit.start(workflows.app)
        lab.workers(n=2).start()
        print("ready", flush=True)
        os.kill(os.getpid(), signal.SIGKILL) if {how == "kill"} else None
    """
    environment = os.environ | {"LABKIT_TOKEN": token, "TMPDIR": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], cwd=ROOT, env=environment, capture_output=True, timeout=60
    )
    assert b"ready" in done.stdout, done.stderr
    assert done.returncode == (-signal.SIGKILL if how == "kill" else 0)
    wait_gone(token, tmp_path, timeout=10)


def plain_worker(lab: labkit.Lab, *options: str, app: str = "tests.workflows") -> subprocess.Popen[bytes]:
    """A worker of somebody else on the lab's broker."""
    return subprocess.Popen(
        [sys.executable, "-m", "celery", "-A", app, "worker", "-P", "solo", "-Q", "elsewhere", *options],
        cwd=ROOT,
        env=os.environ | {"CELERY_BROKER_URL": lab.url, "CELERY_RESULT_BACKEND": lab.backend_url},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def test_a_worker_that_does_not_report() -> None:
    """What the backend tells is told as that; what it cannot tell is not made up."""
    with labkit.start(workflows.app) as lab:
        process = plain_worker(lab)
        lab.staff.others = True
        try:
            canvas = chain(workflows.t.si().set(queue="elsewhere"), workflows.u.s().set(queue="elsewhere"))
            run = lab.run(canvas)
            drawing = run.wait(timeout=30)
            first, second = run.graph.nodes.values()
            assert (first.state, first.note) == ("succeeded", "as the backend answers")
            assert (second.state, second.note) == ("succeeded", "as the backend answers")
            assert first.started is None
            assert run.get() == second.value
            assert drawing.text
        finally:
            process.kill()
            process.wait()


def test_a_worker_of_any_project_that_loads_the_bootstep() -> None:
    """One line in the project, and its messages are in the graph."""
    with labkit.start(workflows.app) as lab:
        process = plain_worker(lab, app="tests.reporting_project")
        lab.staff.receive()
        try:
            run = lab.run(workflows.launch.s(n=1).set(queue="elsewhere"), check=False)
            until(lambda: run.graph.node("#1").state == "succeeded", 30)
            assert [node.task for node in run.graph.nodes.values()] == ["tests.workflows.launch", "tests.workflows.u"]
            assert not run.graph.node("#2").planned
        finally:
            process.kill()
            process.wait()
