"""A Redis that is somebody else's: tasks of this kernel stay with it, those of the project go to real workers."""

import os
import socket
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import redis

from labkit.broker import Broker

ROOT = Path(__file__).parents[1]

#: A script's beginning: what the first cells of a notebook do.
CELLS = """
import os, sys
import labkit
from celery import Celery, chain, chord, group
from tasks import add, app, mul, xsum
@app.task
def whose(*args): return os.getpid()
"""
STARTED = "lab = labkit.start()\n"
ALONE = "import labkit.remote\nlabkit.remote.SAY = 0.1\n"  # nobody will answer


@pytest.fixture(scope="module")
def server() -> Iterator[int]:
    """The port of a Redis that no lab has started."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = int(listener.getsockname()[1])
    broker = Broker.start(port=port)
    yield port
    broker.stop()


@pytest.fixture
def url(server: int) -> str:
    """A database of it, empty."""
    redis.Redis(port=server, db=1).flushdb()
    return f"redis://127.0.0.1:{server}/1"


@pytest.fixture(scope="module")
def worker(server: int, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, int]]:
    """Another database of it, and the process id of a worker of the project that serves it."""
    folder = tmp_path_factory.mktemp("worker")
    (folder / "elsewhere.py").write_text(
        "import os\nfrom tasks import app\n@app.task(name='tasks.where')\ndef where(*args): return os.getpid()\n"
    )
    url, name = f"redis://127.0.0.1:{server}/2", f"{uuid.uuid4().hex}@remote"
    process = subprocess.Popen(
        [sys.executable, *f"-m celery -A tasks worker -P threads -c 2 -l INFO -n {name} -I elsewhere".split()],
        cwd=ROOT,
        env=os.environ | {"LABKIT_BROKER_URL": url, "PYTHONPATH": str(folder), "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    said = []
    for line in process.stderr:
        said.append(line)
        if line.rstrip().endswith("ready."):
            break
    assert process.poll() is None, "".join(said)
    yield url, process.pid
    process.kill()
    process.communicate()


def kernel(script: str, url: str, **environment: str) -> subprocess.Popen[str]:
    """A process that runs the script after the first cells, with what is at the URL as its broker."""
    started = "" if "labkit.start(" in script else STARTED
    alone = "" if url.endswith("/2") else ALONE
    return subprocess.Popen(
        [sys.executable, "-c", f"{CELLS}{alone}{started}{script}"],
        cwd=ROOT,
        env=os.environ | {"LABKIT_BROKER_URL": url} | environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def printed(script: str, url: str, **environment: str) -> str:
    process = kernel(script, url, **environment)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (0, "")
    return out


def left_on(url: str) -> dict[str, str]:
    """All keys but results that expire, and but kombu's list of exchanges; each with what it holds."""
    client = redis.Redis.from_url(url, decode_responses=True)
    read: dict[str, Callable[[str], object]] = {
        "set": client.smembers,
        "list": lambda key: client.lrange(key, 0, -1),
        "hash": client.hgetall,
        "zset": lambda key: client.zrange(key, 0, -1),
        "string": client.get,
    }
    found = {}
    client.delete("_kombu.binding_deadlines")
    for key in client.scan_iter():
        if not (key.startswith("celery-task") and client.ttl(key) > 0):
            found[key] = str(read[client.type(key)](key))
    return found


# --- alone on it ---------------------------------------------------------------------------------------------------


def test_where_nobody_works_everything_runs_here_on_a_queue_of_its_own(url: str) -> None:
    script = """
run = lab.run(chord([whose.s(1), add.s(1, 1)], xsum.s()))
print(run.get(timeout=20) == os.getpid() + 2)
print({message.queue for message in run.messages} == set(lab.queues), lab.queues[0].startswith("labkit-"))
print(add.delay(1, 1).get(timeout=20), whose.delay().get(timeout=20) == os.getpid())
print("celery" in lab.queues, lab.url == os.environ["LABKIT_BROKER_URL"])
print(lab)
lab.stop()
"""
    assert printed(script, url).splitlines() == [
        "True",
        "True True",
        "2 True",
        "False True",
        "lab for the app 'tasks'",
        "  broker   broker at LABKIT_BROKER_URL",
        "  worker   embedded in this kernel, threads pool, 4 slots",
        "  queue    one of this kernel's own",
    ]


def test_an_app_with_routes_of_its_own_runs_there_too(url: str) -> None:
    script = """
own = Celery("own", set_as_current=False)
own.conf.task_routes = {"own.*": {"queue": "somewhere"}}
@own.task(name="own.task")
def task(): return os.getpid()
lab = labkit.start(own)
print(lab.run(task.s()).get(timeout=20) == os.getpid())
lab.stop()
print(own.conf.task_routes, own.conf.task_default_queue)
"""
    assert printed(script, url) == "True\n{'own.*': {'queue': 'somewhere'}} celery\n"


def test_nothing_is_left_on_it(url: str) -> None:
    script = """
run = lab.run(chord([whose.s(1), add.s(1, 1)], xsum.s()))
run.get(timeout=20)
lab.queue(), app.control.ping(timeout=0.2)
add.apply_async((1, 1), countdown=60, priority=6)
lab.pause()
for n in range(40): whose.delay(n)
lab.run(whose.s()); lab.step()
print(len(left()) > 1)  # what is looked for would be seen
lab.stop()
"""
    look = (
        "import redis\ndef left(): return redis.Redis.from_url(os.environ['LABKIT_BROKER_URL']).keys('*[!0-9a-f-]*')\n"
    )
    assert printed(look + script, url) == "True\n"
    assert left_on(url) == {}


def test_results_go_where_the_other_variable_says(url: str, server: int) -> None:
    elsewhere = f"redis://127.0.0.1:{server}/3"
    script = "print(lab.run(chain(add.s(1, 1), mul.s(3))).get(timeout=20), add.delay(1, 1).get(timeout=20))\nlab.stop()"
    assert printed(script, url, LABKIT_RESULT_BACKEND=elsewhere) == "6 2\n"
    assert redis.Redis.from_url(url).keys("celery-task-meta-*") == []
    assert len(redis.Redis.from_url(elsewhere).keys("celery-task-meta-*")) == 3


def test_a_broker_that_goes_away_is_one_error(url: str) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = int(listener.getsockname()[1])
    theirs = Broker.start(port=port)
    script = """
print(add.delay(1, 1).get(timeout=20), flush=True); input()
import time
began = time.monotonic()
for ask, words in ((lambda: lab.run(add.s(1, 1)), "no broker answers at LABKIT_BROKER_URL"),
                   (lab.queue, "the broker does not answer")):
    try: ask()
    except labkit.LabError as error: print(words in str(error))
print(time.monotonic() - began < 5)
began = time.monotonic()
lab.stop()
print(time.monotonic() - began < 5)
"""
    process = kernel(script, f"redis://127.0.0.1:{port}/0")
    assert process.stdout is not None
    assert process.stdout.readline() == "2\n"
    theirs.stop()
    assert process.communicate("\n", timeout=60) == ("True\n" * 4, "")


# --- beside others -------------------------------------------------------------------------------------------------


def test_tasks_of_cells_run_here_and_those_of_the_project_there(worker: tuple[str, int]) -> None:
    url, pid = worker
    script = """
print("with its own workers" in repr(lab))
print({app.send_task("tasks.where", (n,)).get(timeout=20) for n in range(20)})
print({whose.delay(n).get(timeout=20) for n in range(20)} == {os.getpid()})
print(add.delay(1, 1).get(timeout=20))
@app.task
def whose(*args): return "defined again"
print(whose.delay().get(timeout=20))
lab.stop()
"""
    assert printed(script, url).splitlines() == ["True", f"{{{pid}}}", "True", "2", "defined again"]


def test_a_queue_that_is_asked_for_is_the_queue(worker: tuple[str, int]) -> None:
    url, pid = worker
    script = """
@app.task(name="tasks.where")
def where(*args): return os.getpid()
print(where.delay().get(timeout=20) == os.getpid())
print(where.apply_async(queue="celery").get(timeout=20))
lab.stop()
"""
    assert printed(script, url).splitlines() == ["True", str(pid)]


def test_a_kernel_leaves_the_others_as_they_were(worker: tuple[str, int]) -> None:
    url, _ = worker
    before = left_on(url)
    assert any("celery" in key for key in before)
    printed("print(whose.delay().get(timeout=20)); whose.apply_async(countdown=60); lab.stop()", url)
    assert left_on(url) == before


@pytest.mark.parametrize("beside", [False, True], ids=["alone", "beside a worker"])
def test_two_kernels_on_one_broker_do_not_meet(beside: bool, url: str, worker: tuple[str, int]) -> None:
    script = """
print("ready", flush=True); input()
results = [whose.delay(n) for n in range(40)]
print({result.get(timeout=20) for result in results} == {os.getpid()}, flush=True); input()
lab.stop()
"""
    both = [kernel(script, worker[0] if beside else url) for _ in range(2)]
    for wanted in ("ready\n", "True\n"):  # both have got so far before either goes on
        for each in both:
            assert each.stdout is not None
            assert each.stdout.readline() == wanted
        for each in both:
            assert each.stdin is not None
            each.stdin.write("\n")
            each.stdin.flush()
    for each in both:
        assert each.communicate(timeout=30) == ("", "")
    if not beside:
        assert left_on(url) == {}
