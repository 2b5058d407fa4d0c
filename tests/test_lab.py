"""The lab: what runs in it, what it refuses, and that nothing is different when it is over."""

import gc
import importlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import redis
from celery import Celery, _state, chain, chord, current_app, group, shared_task, signals
from celery.exceptions import CDeprecationWarning, DuplicateTaskNameWarning, NotRegistered
from celery.local import Proxy
from celery.result import allow_join_result

import labkit
import tasks
from labkit.broker import Broker
from labkit.errors import LabError
from labkit.remote import reach
from tasks import add, app, fail, ident, mul, slow, xsum

ROOT = Path(__file__).parents[1]
PROMISED = 5.0  # seconds in which bad input is refused
STRICT = ("-W", "error", "-W", "ignore:Call to deprecated setex:DeprecationWarning")


@pytest.fixture(autouse=True, scope="module")
def no_lab_before_or_after() -> Iterator[None]:
    labkit.stop()
    yield
    labkit.stop()


@pytest.fixture
def lab() -> labkit.Lab:
    return labkit.start(app)


@pytest.fixture
def no_lab() -> Iterator[None]:
    labkit.stop()
    yield
    labkit.stop()


@pytest.fixture
def parcels() -> Celery:
    """An app as somebody else has it."""
    parcels = Celery("parcels", broker="amqp://nowhere//", backend="db+sqlite:///nowhere", set_as_current=False)
    parcels.conf.update(
        broker_use_ssl={"ssl_cert_reqs": None},
        broker_transport_options={"visibility_timeout": 7},
        redis_backend_use_ssl={"ssl_cert_reqs": None},
        task_always_eager=True,
        task_default_queue="parcels",
        task_routes=[{"parcels.weigh": {"queue": "scales"}}, route],
        result_expires=60,
        worker_prefetch_multiplier=1,
    )

    @parcels.task(name="parcels.weigh", shared=False)
    def weigh(kilos: float) -> float:
        return kilos * 1.1

    @parcels.task(name="parcels.label", shared=False, queue="printer")
    def label(text: str) -> str:
        return f"<{text}>"

    @parcels.task(name="parcels.stow", shared=False)
    def stow(*parcel: Any) -> list[Any]:
        return list(parcel)

    return parcels


def route(name: str, args: Any, kwargs: Any, options: Any, task: Any = None, **_: Any) -> dict[str, str] | None:
    return {"queue": "shelf"} if name == "parcels.stow" else None


def python(script: str, *options: str, **environment: str) -> str:
    """Run a script in a process of its own, which must succeed and say nothing on stderr; return what it printed."""
    ended = subprocess.run(
        [sys.executable, *options, "-c", script],
        cwd=ROOT,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    return ended.stdout


def wait_until(condition: Callable[[], Any]) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def refused(what: Callable[[], Any], *words: str) -> None:
    """Within five seconds there is one error, and it says what to do."""
    began = time.monotonic()
    with pytest.raises(LabError) as caught:
        what()
    assert time.monotonic() - began < PROMISED
    for word in words:
        assert word in str(caught.value)


def works(lab: labkit.Lab) -> None:
    assert lab.run(add.s(20, 22)).get(timeout=10) == 42


# --- starting and stopping -----------------------------------------------------------------------------------------


def test_starting_twice_gives_the_same_lab_and_stopping_twice_is_no_error(no_lab: None) -> None:
    lab = labkit.start(app)
    assert labkit.start() is lab
    assert labkit.start(app) is lab
    broker = lab.broker
    assert broker is not None
    lab.stop()
    lab.stop()
    labkit.stop()
    assert not broker.running
    assert not lab.worker.alive
    again = labkit.start(app)
    assert again is not lab
    works(again)


def test_starts_again_and_again(no_lab: None) -> None:
    for _ in range(5):
        works(labkit.start(app))
        labkit.stop()


def test_started_from_many_threads_at_once_there_is_one(no_lab: None) -> None:
    with ThreadPoolExecutor(5) as pool:
        labs = list(pool.map(lambda _: labkit.start(app), range(5)))
    assert {id(lab) for lab in labs} == {id(labs[0])}
    works(labs[0])


def test_as_a_context_it_stops_at_the_end(no_lab: None) -> None:
    with labkit.start(app) as lab:
        works(lab)
    assert not lab.running


def test_shows_broker_worker_and_pool(lab: labkit.Lab) -> None:
    assert repr(lab) == (
        "lab for the app 'tasks'\n"
        "  broker   embedded Valkey server\n"
        "  worker   embedded in this kernel, threads pool, 4 slots\n"
        "  queue    celery"
    )
    lab.stop()
    assert repr(lab) == "the lab has stopped; labkit.start() starts one"


def test_another_app_or_other_slots_are_refused_while_it_runs(lab: labkit.Lab, parcels: Celery) -> None:
    refused(lambda: labkit.start(parcels), "'tasks' with 4 slots", "labkit.stop() first")
    refused(lambda: labkit.start(slots=2), "labkit.stop() first")
    works(lab)


def test_slots_are_how_many_run_at_once(no_lab: None) -> None:
    lab = labkit.start(app, slots=2)
    run = lab.run(group(slow.s(0.15) for _ in range(6)))
    run.get()
    times = [(node.started or 0, node.finished or 0) for node in run.graph.nodes.values()]
    assert max(sum(start <= at < end for start, end in times) for at, _ in times) == 2
    labkit.stop()
    refused(lambda: labkit.start(app, slots=0), "at least one slot")


def test_what_arguments_are_recorded_can_be_decided(no_lab: None) -> None:
    lab = labkit.start(app, redact=lambda task, args, kwargs: (("***",) * len(args), kwargs))
    run = lab.run(chain(ident.s("secret"), ident.s()))
    assert run.get() == "secret"
    assert [message.args for message in run.messages] == [("***",), ("***",)]


def test_a_port_is_where_it_listens(no_lab: None) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    lab = labkit.start(app, port=port)
    works(lab)
    assert redis.Redis(port=port).ping()


def test_two_labs_in_two_processes_do_not_meet() -> None:
    script = (
        "import os, labkit\nfrom celery import Celery, group\napp = Celery('pens')\n"
        "@app.task(name='whose')\ndef whose(n): return os.getpid()\n"
        "lab = labkit.start(app)\nprint(flush=True); input()\n"
        "pids = lab.run(group(whose.s(n) for n in range(50))).get()\n"
        "print(len(pids), set(pids) == {os.getpid()}, app.control.ping(timeout=0.5) != [], flush=True); input()\n"
        "lab.stop()"
    )
    both = [
        subprocess.Popen(
            [sys.executable, "-c", script],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    for wanted in ("\n", "50 True True\n"):  # both have got so far before either goes on
        for process in both:
            assert process.stdout is not None
            assert process.stdout.readline() == wanted
        for process in both:
            assert process.stdin is not None
            process.stdin.write("\n")
            process.stdin.flush()
    for process in both:
        assert process.communicate(timeout=20) == ("", "")


# --- any app -------------------------------------------------------------------------------------------------------


def test_an_app_with_settings_of_its_own_runs_in_it(no_lab: None, parcels: Celery) -> None:
    with pytest.warns(CDeprecationWarning, match="'queue' task attribute"):
        lab = labkit.start(parcels)
    weigh, label, stow = (parcels.tasks[f"parcels.{name}"] for name in ("weigh", "label", "stow"))
    canvas = chord([weigh.s(10), label.s("Oslo")], stow.s("van"))
    run = lab.run(canvas)
    assert run.get(timeout=10) == [[11.0, "<Oslo>"], "van"]
    assert sorted(message.queue for message in run.messages) == ["printer", "scales", "shelf"]
    assert weigh.delay(1).get(timeout=5) == 1.1
    lab.stop()
    assert parcels.conf.broker_url == "amqp://nowhere//"
    assert parcels.conf.result_backend == "db+sqlite:///nowhere"
    assert parcels.conf.task_always_eager is True
    assert parcels.conf.broker_use_ssl == {"ssl_cert_reqs": None}


def test_without_an_app_there_is_a_new_one_and_shared_tasks_run_on_it() -> None:
    script = """
import labkit
from celery import chain, shared_task
@shared_task
def before(x): return x + 1
lab = labkit.start()
@shared_task
def after(x): return x * 2
@lab.app.task
def own(x): return [x]
print(lab.app.main, lab.run(chain(before.s(1), after.s(), own.s())).get())
first = lab.app
lab.stop()
print(labkit.start().app is first)
"""
    assert python(script) == "lab [4]\nTrue\n"


@pytest.mark.parametrize("proxy", [current_app, Proxy(lambda: Proxy(lambda: app))])
def test_a_proxy_of_an_app_is_the_app(proxy: Any, no_lab: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_state._tls, "current_app", app)
    lab = labkit.start(proxy)
    assert lab.app is app
    assert labkit.start(proxy) is labkit.start(app) is lab
    works(lab)


@pytest.mark.parametrize("thing", ["tasks", tasks, Celery, add])
def test_what_is_no_app_is_refused(thing: Any, no_lab: None) -> None:
    refused(lambda: labkit.start(thing), "not a Celery app")


def test_a_thread_of_a_cell_has_the_app_too(lab: labkit.Lab) -> None:
    @shared_task(name="shared.double")
    def double(x: int) -> int:
        return 2 * x

    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(lambda: double.delay(4).get(timeout=5)).result() == 8


# --- as it was -----------------------------------------------------------------------------------------------------

#: Prints what differs after a lab: everything that a worker in this process, or this module's code, could change.
AS_IT_WAS = """
import gc, logging, os, signal, sys, threading, warnings
from pathlib import Path
import celery.result, celery.signals, celery.utils.dispatch
from celery import Celery, _state, chord, group
from celery.backends.base import Backend
from celery.worker import state as worker
from kombu import pools
from kombu.asynchronous import get_event_loop
import labkit

app = Celery("parcels", broker="redis://nowhere:1/0", backend="redis://nowhere:1/1")
app.conf.update(task_routes={"x.*": {"queue": "q"}}, broker_transport_options={"visibility_timeout": 7})
@app.task(name="p.add")
def add(x, y): return x + y
@app.task(name="p.fail")
def fail(): raise ValueError
app.amqp, app.control, app.events, app.pool, app.backend, app.tasks, app.timezone

def descriptors():
    for path in Path("/proc/self/fd").iterdir() if Path("/proc").exists() else ():
        try: yield f"{path.name} {os.readlink(path)}"
        except OSError: pass

def state():
    left_to_the_collector = [each for each in descriptors() if "socket" in each]
    gc.collect()
    loggers = [logging.getLogger(n) for n in ("", "celery", "celery.task", "celery.worker", "kombu", "amqp", "vine")]
    found = {
        "streams": [id(getattr(sys, n)) for n in ("stdout", "stderr", "excepthook", "unraisablehook")],
        "threading": [id(threading.excepthook), sorted(thread.name for thread in threading.enumerate())],
        "apps": [id(_state._tls.current_app), id(_state.default_app), len(_state._apps)],
        "loggers": [(each.name, each.level, each.propagate, each.disabled, each.handlers[:]) for each in loggers],
        "environ": dict(os.environ),
        "descriptors": sorted(descriptors()),
        "left to the collector": left_to_the_collector,
        "guard": [_state._task_join_will_block, id(celery.result.task_join_will_block),
                  id(celery.result._set_task_join_will_block)],
        "errbacks": id(Backend._call_task_errbacks),
        "worker": [worker.should_stop, worker.should_terminate, len(worker.requests), len(worker.active_requests),
                   len(worker.reserved_requests), len(worker.revoked), dict(worker.total_count)],
        "hub": id(get_event_loop()),
        "pools": [len(pools.connections), len(pools.producers)],
        "handlers": [signal.getsignal(getattr(signal, n)) for n in ("SIGINT", "SIGTERM", "SIGCHLD")],
        "warnings": [id(warnings.showwarning), list(map(str, warnings.filters))],
        "tasks": sorted(app.tasks),
        "observers": list(map(id, app.conf._observers)),
        "local": vars(app._local).copy(),
    }
    found |= {f"app.{name}": id(value) for name, value in vars(app).items()}
    found |= {f"conf.{name}": value for name, value in app.conf.changes.items()}
    found |= {f"setting {name}": app.conf[name] for name in ("broker_url", "result_backend", "include", "task_routes",
              "task_default_queue", "task_always_eager", "broker_use_ssl")}
    for name, each in vars(celery.signals).items():
        if isinstance(each, celery.utils.dispatch.Signal):
            found[f"signal {name}"] = [id(receiver) for _, receiver in each.receivers or ()]
    return found

def use():
    lab = labkit.start(app)
    assert add.delay(1, 1).get(timeout=10) == 2
    assert lab.run(chord([add.s(1, 1), add.s(2, 2)], add.si(1, 2))).get() == 3
    lab.run(group(fail.s(), add.s(1, 1))).wait()
    lab.queue(); lab.pause(); run = lab.run(add.s(1, 1)); lab.step(); lab.resume(); run.wait()
    revoked = add.apply_async((1, 1), countdown=60); revoked.revoke(); assert app.control.ping(timeout=0.3)
    threads = [threading.Thread(target=lambda: add.delay(1, 1).get(timeout=10)) for _ in range(3)]
    [thread.start() for thread in threads]; [thread.join() for thread in threads]
    lab.stop()

gc.disable()
before = state()
for _ in range(2):
    use()
    after = state()
    for name in sorted({*before, *after}):
        if before.get(name) != after.get(name):
            print(name, before.get(name), after.get(name))
"""


def test_afterwards_app_and_process_are_as_they_were() -> None:
    assert python(AS_IT_WAS, *STRICT) == ""


def test_afterwards_they_are_as_they_were_also_where_the_broker_of_the_environment_is_another() -> None:
    nowhere = "redis://nowhere:1/0"
    variables = ("CELERY_BROKER_URL", "CELERY_BROKER_READ_URL", "CELERY_BROKER_WRITE_URL", "CELERY_RESULT_BACKEND")
    assert python(AS_IT_WAS, **dict.fromkeys(variables, nowhere)) == ""


def test_a_lab_that_does_not_start_leaves_nothing_either(no_lab: None, monkeypatch: pytest.MonkeyPatch) -> None:
    before = dict(app.conf.changes), sys.stdout, threading.active_count()

    def fails(*_: Any, **__: Any) -> None:
        raise RuntimeError("no worker today")

    with monkeypatch.context() as patch:
        patch.setattr("labkit.worker.WorkController.start", fails)
        refused(lambda: labkit.start(app), "did not start", "no worker today")
    wait_until(lambda: threading.active_count() <= before[2])
    assert (dict(app.conf.changes), sys.stdout) == before[:2]
    works(labkit.start(app))


def test_an_old_result_does_not_hang_after_the_end(no_lab: None) -> None:
    lab = labkit.start(app)
    done, waiting, asleep = add.delay(1, 1), add.apply_async((1, 1), countdown=60), slow.delay(0.4, "late")
    run = lab.run(slow.s(0).set(countdown=60))
    assert done.get(timeout=10) == 2
    wait_until(lambda: "received" in {node.state for node in run.graph.nodes.values()})
    lab.stop()
    assert (done.state, done.get(timeout=1)) == ("SUCCESS", 2)
    began = time.monotonic()
    for result in (waiting, asleep, run.result):
        with pytest.raises(Exception, match=r"[Cc]onnect"):
            _ = result.state
        with pytest.raises(Exception, match=r"[Cc]onnect"):
            result.get(timeout=30)
    assert time.monotonic() - began < PROMISED
    refused(run.wait, "the lab has stopped", "labkit.start()")
    refused(run.get, "the lab has stopped", "labkit.start()")
    assert run.plan.counts() == {"planned": 1}


# --- tasks that are defined while it runs --------------------------------------------------------------------------


def test_what_is_defined_last_is_what_runs(lab: labkit.Lab) -> None:
    for version in range(3):

        @lab.app.task(name="cells.version")
        def current() -> int:
            return version  # noqa: B023 - the value at the time when it runs is the same

        assert current() == version
        assert current.delay().get(timeout=5) == version
        assert lab.run(chain(current.s(), ident.s())).get() == version


def test_the_rate_limit_of_a_task_that_is_defined_in_a_cell(lab: labkit.Lab) -> None:
    @lab.app.task(name="cells.limited", rate_limit="10/s")
    def limited(place: int) -> int:
        return place

    run = lab.run(group(limited.s(place) for place in range(4)))
    assert sorted(run.get(timeout=10)) == [0, 1, 2, 3]
    run.wait(timeout=5)
    started = sorted(node.started or 0 for node in run.graph.nodes.values())
    assert started[-1] - started[0] >= 0.25  # one each tenth of a second, with a little room for the clock


def test_shared_tasks_can_be_defined_again(lab: labkit.Lab) -> None:
    for version in ("first", "second"):

        @shared_task(name="cells.shared")
        def current() -> str:
            return version  # noqa: B023 - the value at the time when it runs is the same

        assert current.delay().get(timeout=5) == version


def test_defined_again_with_other_options_and_bound(lab: labkit.Lab) -> None:
    @lab.app.task(name="cells.option")
    def plain() -> str:
        return "plain"

    @lab.app.task(name="cells.option", bind=True, max_retries=7)
    def bound(self: Any) -> list[Any]:
        return [self.max_retries, self.request.id]

    result = bound.delay()
    assert result.get(timeout=5) == [7, result.id]


def test_the_same_definition_again_is_the_same_task(lab: labkit.Lab) -> None:
    def once() -> int:
        return 1

    assert lab.app.task(name="cells.once")(once) is lab.app.task(name="cells.once")(once)


def test_an_app_made_later_gets_what_was_defined_last(lab: labkit.Lab) -> None:
    kept = 0
    for version in ("first", "second"):

        @shared_task(name="cells.later")
        def shared() -> str:
            return version  # noqa: B023 - the value at the time when it is called is the same

        @lab.app.task(name="cells.later_too")
        def own() -> str:
            return version  # noqa: B023 - the value at the time when it is called is the same

        kept = kept or len(_state._on_app_finalizers)

    assert len(_state._on_app_finalizers) == kept
    later = Celery("later", set_as_current=False)
    assert (later.tasks["cells.later"](), later.tasks["cells.later_too"]()) == ("second", "second")


def test_a_task_of_a_module_is_not_replaced_by_another_modules(
    lab: labkit.Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = "from tasks import app\n@app.task(name='depot.who', shared=False)\ndef who(): return '{}'\n"
    for name in ("depot", "rival"):
        (tmp_path / f"{name}.py").write_text(code.format(name), encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    depot = importlib.import_module("depot")
    with pytest.warns(DuplicateTaskNameWarning, match="already registered"):
        importlib.import_module("rival")
    assert depot.who.delay().get(timeout=5) == "depot"
    (tmp_path / "depot.py").write_text(code.format("depot, edited"), encoding="utf-8")
    assert importlib.reload(depot).who.delay().get(timeout=5) == "depot, edited"


# --- waiting inside a task -----------------------------------------------------------------------------------------


def test_a_task_that_waits_for_another_is_refused_as_celery_would(no_lab: None) -> None:
    lab = labkit.start(app, slots=2)

    @lab.app.task(name="cells.nosy")
    def nosy() -> Any:
        return add.delay(1, 1).get(timeout=5)

    @lab.app.task(name="cells.allowed")
    def allowed() -> Any:
        with allow_join_result():
            return add.delay(1, 1).get(timeout=5)

    @lab.app.task(name="cells.disabled")
    def disabled() -> Any:
        return add.delay(1, 1).get(timeout=5, disable_sync_subtasks=False)

    for _ in range(4):  # so that each of both threads has had both
        assert allowed.delay().get(timeout=10) == 2
        with pytest.raises(RuntimeError, match=r"Never call result.get\(\) within a task!"):
            nosy.delay().get(timeout=10)
    assert disabled.delay().get(timeout=10) == 2
    assert add.delay(1, 1).get(timeout=5) == 2


def test_a_thread_beside_the_main_one_may_wait(lab: labkit.Lab) -> None:
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(lambda n: add.delay(n, 1).get(timeout=10), range(12))) == list(range(1, 13))


# --- what tasks print and Celery logs ------------------------------------------------------------------------------


def test_prints_and_logs_go_to_the_record_and_nowhere_else() -> None:
    script = """
import sys, warnings, tasks, labkit, logging
from celery import group
from celery.utils.log import get_task_logger
lab = labkit.start()
log = get_task_logger("cells")
@lab.app.task(name="cells.loud")
def loud(n):
    print("said", n)
    print("no end", end="")
    print(" of line", n, end="", flush=True)
    sys.stderr.write(f"erred {n}\\n")
    warnings.warn(f"warned {n}")
    log.warning("logged %s", n)
    return n
@lab.app.task(name="cells.broken")
def broken(): raise ValueError("broken on purpose")
run = lab.run(group(loud.s(n) for n in (1, 2)))
run.get()
import json
for node in run.graph.nodes.values():
    facts = [(f["kind"], f["text"]) for f in run.recording.facts if f["id"] == node.id and "text" in f]
    n = node.value
    assert ("printed", f"said {n}") in facts, facts
    assert ("printed", f"no end of line {n}erred {n}") in facts, facts
    assert any(kind == "printed" and f"UserWarning: warned {n}" in text for kind, text in facts), facts
    assert ("logged", f"WARNING: logged {n}") in facts, facts
    assert not any(str(3 - n) in text and "cells" not in text and "File" not in text and text.startswith("said")
                   for _, text in facts), facts
lab.run(broken.s()).wait()
assert any("broken on purpose" in line and line.startswith("ERROR") for line in lab.log), lab.log
assert "said 1" in lab.log and "said 2" in lab.log
print("a cell prints")
sys.stderr.write("")
lab.stop()
"""
    assert python(script) == "a cell prints\n"


def test_the_log_is_bounded(lab: labkit.Lab) -> None:
    @lab.app.task(name="cells.chatter")
    def chatter() -> None:
        for n in range(1500):
            sys.stdout.write(f"{n}\n")

    original = sys.stdout
    assert lab.guest is not None
    lab.guest._route("stdout")  # pytest puts its own stream in place for every test
    try:
        lab.run(chatter.s()).get()
    finally:
        sys.stdout = original
    assert len(lab.log) == 1000
    assert lab.log[-1] == "1499"


# --- the environment -----------------------------------------------------------------------------------------------


def test_a_broker_in_the_environment_does_not_mislead_it_and_is_put_back() -> None:
    script = (
        "import os, tasks, labkit\nlab = labkit.start()\n"
        "print(tasks.add.delay(1, 1).get(timeout=10), 'CELERY_BROKER_URL' in os.environ)\n"
        "lab.stop()\nprint(os.environ['CELERY_BROKER_URL'], os.environ['CELERY_RESULT_BACKEND'])"
    )
    nowhere = "redis://127.0.0.1:1/0"
    printed = python(script, CELERY_BROKER_URL=nowhere, CELERY_RESULT_BACKEND=nowhere, BROKER_URL=nowhere)
    assert printed == f"2 False\n{nowhere} {nowhere}\n"


def test_neither_an_import_nor_a_run_without_a_picture_loads_anything_heavy() -> None:
    script = """
import sys, labkit
def heavy(): return [name for name in ("matplotlib", "pygraphviz", "ipywidgets", "anywidget", "IPython", "tasks")
                     if name in sys.modules]
print(heavy())
import tasks
lab = labkit.start()
run = lab.run(tasks.add.s(1, 1))
print(run.get(), run, lab.app is tasks.app)
print(heavy())
"""
    assert python(script) == "[]\n2 #1 add(1, 1) ✓ 2 True\n['tasks']\n"


# --- planning and running ------------------------------------------------------------------------------------------


def six() -> Any:
    """The canvas of the issue."""
    return chain(add.s(1, 1), group(add.s(i) for i in range(3)), xsum.s(), mul.s(2))


CANVASES: dict[str, Callable[[], Any]] = {
    "task": lambda: add.s(1, 1),
    "options": lambda: add.s(1, 1).set(priority=3, headers={"who": "me"}, expires=60),
    "immutable": lambda: chain(add.si(1, 1), add.si(2, 2)),
    "link": lambda: add.s(1, 1).on_error(fail.s()) | mul.s(2).set(link=[ident.s()]),
    "chain and group": six,
    "group": lambda: group(add.s(1, 1), chain(add.s(2, 2), mul.s(2))),
    "chord": lambda: chord([add.s(1, 1), add.s(2, 2)], xsum.s().on_error(ident.s())),
    "nested": lambda: chord([chord([add.s(1, 1), add.s(2, 2)], xsum.s()), group(add.s(3, 3))], ident.s()),
    "plain dict": lambda: json.loads(json.dumps(six())),
}


@pytest.mark.parametrize("make", CANVASES.values(), ids=CANVASES)
def test_a_signature_is_left_as_it_was_and_can_be_sent_again(make: Callable[[], Any], lab: labkit.Lab) -> None:
    canvas, twin = make(), make()
    before = json.dumps(canvas)
    options = json.dumps(canvas["options"])
    assert before == json.dumps(twin)
    labkit.plan(canvas)
    labkit.draw(canvas)
    runs = [lab.run(canvas), lab.run(canvas)]
    values = [run.get() for run in runs]
    assert values[0] == values[1]
    ids = [{node.id for node in run.plan.nodes.values() if node.id} for run in runs]
    assert ids[0].isdisjoint(ids[1])
    assert json.dumps(canvas) == before
    assert json.dumps(canvas["options"]) == options
    assert labkit.draw(canvas).text == labkit.draw(twin).text


def test_the_ids_of_the_plan_are_those_that_run(lab: labkit.Lab) -> None:
    ran: list[str] = []

    def note(task_id: str, **_: Any) -> None:
        ran.append(task_id)

    signals.task_prerun.connect(note)
    try:
        run = lab.run(six())
        planned = [node.id for node in run.plan.nodes.values()]
        assert run.get() == 18
    finally:
        signals.task_prerun.disconnect(note)
    assert len(planned) == 6
    assert sorted(ran) == sorted(str(id) for id in planned)
    values = {node.id: node.value for node in run.graph.nodes.values()}
    assert [values[id] for id in planned] == [2, 2, 3, 4, 9, 18]
    assert values[run.result.id] == 18


def test_planning_and_drawing_send_no_command(no_lab: None) -> None:
    broker = Broker.start()
    try:
        client = redis.Redis(unix_socket_path=broker._socket)
        quiet = Celery("quiet", broker=broker.url, backend=broker.backend_url, set_as_current=False)

        @quiet.task(name="quiet.step")
        def step(*args: Any) -> None: ...

        def commands() -> dict[str, int]:
            return {name: stat["calls"] for name, stat in client.info("commandstats").items()}

        canvas = chord([step.s(1), chain(step.s(), group(step.s(2), step.s(3)))], step.s().on_error(step.s()))
        client.ping()
        before, connections = commands(), client.info("stats")["total_connections_received"]
        for _ in range(3):
            labkit.plan(canvas)
            assert labkit.draw(canvas).svg
            assert labkit.draw(canvas).text
        added = {name for name, calls in commands().items() if calls != before.get(name)}
        assert added == {"cmdstat_info"}
        assert client.info("stats")["total_connections_received"] == connections
        step.delay()
        assert "cmdstat_lpush" in commands()  # what is looked for would be seen
        quiet.backend.result_consumer.stop()
        quiet.close()
        client.close()
    finally:
        broker.stop()
        gc.collect()


# --- bad input -----------------------------------------------------------------------------------------------------


def test_a_task_that_is_not_registered(lab: labkit.Lab) -> None:
    nobody = app.signature("tasks.ad", (1, 1))
    refused(lambda: lab.run(nobody), "'tasks.ad'", "Run the cell that defines it first", "check=False")
    refused(
        lambda: lab.run(chain(add.s(1, 1), app.signature("elsewhere.mul", (2,)))), "Did you mean 'tasks.mul'?", "#2"
    )
    works(lab)


def test_nothing_is_sent_of_a_canvas_that_is_refused(lab: labkit.Lab) -> None:
    sent: list[Any] = []

    def note(headers: Any, **_: Any) -> None:
        sent.append(headers)

    signals.before_task_publish.connect(note)
    try:
        refused(lambda: lab.run(group(add.s(1, 1), app.signature("nobody"))))
        refused(lambda: lab.run(group(add.s(1, 1), add.s(1, {1}))))
        assert sent == []
        works(lab)
        assert len(sent) == 1
    finally:
        signals.before_task_publish.disconnect(note)


def test_a_task_that_nobody_here_knows_is_sent_if_one_insists(lab: labkit.Lab) -> None:
    run = lab.run(app.signature("tasks.ad", (1, 1)), check=False)
    run.wait()
    (node,) = run.graph.nodes.values()
    assert (node.state, node.error) == ("failed", "NotRegistered: 'tasks.ad'")
    with pytest.raises(NotRegistered, match=r"tasks\.ad"):
        run.get()
    works(lab)


@pytest.mark.parametrize(
    "value", [{1, 2}, object(), range(3), (n for n in range(3)), b"".join, 1j], ids=lambda value: type(value).__name__
)
def test_arguments_that_json_does_not_know(value: Any, lab: labkit.Lab) -> None:
    refused(lambda: lab.run(ident.s(value)), "#1 tasks.ident", "cannot be sent as json", "list(…)")
    refused(lambda: lab.run(chain(add.s(1, 1), ident.s(x=value))), "#2 tasks.ident")
    works(lab)


def test_arguments_that_do_not_fit(lab: labkit.Lab) -> None:
    refused(lambda: lab.run(add.s(1)), "missing 1 required positional argument: 'y'")
    refused(lambda: lab.run(add.s(1, 1, z=1)), "unexpected keyword argument 'z'")
    works(lab)


@pytest.mark.parametrize(
    ("thing", "words"),
    [
        (None, "add.s(2, 2)"),
        (4, "add.s(2, 2)"),
        (..., "not a signature"),
        ("tasks.add", "not a signature"),
        (add, "Write add.s(…)"),
        (add.s, "not a signature"),
        (lambda: add.s(1, 1), "not a signature"),
        ([add.s(1, 1)], "chain(…) or group(…)"),
        ((add.s(1, 1),), "chain(…) or group(…)"),
        ({"args": [1]}, "no 'task'"),
        (chain(), "no task in it"),
        (object(), "not a signature"),
    ],
)
def test_what_is_no_signature(thing: Any, words: str, lab: labkit.Lab) -> None:
    refused(lambda: lab.run(thing), words)
    works(lab)


def test_a_result_is_no_signature(lab: labkit.Lab) -> None:
    refused(lambda: lab.run(add.delay(1, 1)), "it has been sent already")
    works(lab)


@pytest.mark.parametrize(
    "url", ["redis://:secret@127.0.0.1:1/0", "amqp://me:secret@127.0.0.1:1//", "nonsense://x", "x"]
)
def test_no_broker_where_the_environment_says(url: str, no_lab: None, monkeypatch: pytest.MonkeyPatch) -> None:
    before = dict(app.conf.changes), threading.active_count()
    monkeypatch.setenv("LABKIT_BROKER_URL", url)
    with pytest.raises(LabError) as caught:
        labkit.start(app)
    assert "secret" not in str(caught.value)
    refused(lambda: labkit.start(app), "no broker answers at LABKIT_BROKER_URL=", "unset it")
    assert (dict(app.conf.changes), threading.active_count()) == before
    monkeypatch.delenv("LABKIT_BROKER_URL")
    works(labkit.start(app))


def test_a_broker_that_accepts_and_never_answers(no_lab: None, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setenv("LABKIT_BROKER_URL", f"redis://127.0.0.1:{silent.getsockname()[1]}/0")
        monkeypatch.setattr(reach, "__defaults__", (0.3,))
        refused(lambda: labkit.start(app), "no broker answers")


def test_a_port_in_use(no_lab: None) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        refused(lambda: labkit.start(app, port=port), f"port {port}", "Choose another port")
    works(labkit.start(app))


def test_a_worker_that_was_stopped(no_lab: None) -> None:
    lab = labkit.start(app)
    lab.pause()
    run = lab.run(add.s(1, 1))
    app.control.shutdown()
    wait_until(lambda: not lab.worker.alive)
    lab.gate.closed = False
    for ask in (run.wait, run.get, lambda: lab.run(add.s(1, 1)), lambda: labkit.start(app)):
        refused(ask, "the worker is gone", "labkit.stop(), then labkit.start()")
    labkit.stop()
    works(labkit.start(app))


def test_a_broker_that_was_killed(no_lab: None) -> None:
    lab = labkit.start(app)
    run = lab.run(slow.s(0).set(countdown=60))
    assert lab.broker is not None
    pid = lab.broker.pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: lab.broker is not None and not lab.broker.running)
    for ask in (run.wait, lambda: lab.run(add.s(1, 1)), lab.queue, lab.pause, lambda: labkit.start(app)):
        refused(ask, "the broker is gone", "labkit.stop(), then labkit.start()")
    began = time.monotonic()
    labkit.stop()
    assert time.monotonic() - began < PROMISED
    assert not [thread for thread in threading.enumerate() if thread.name.startswith(("labkit", "slot"))]
    works(labkit.start(app))


def test_a_task_that_loops_for_ever_is_stopped(no_lab: None) -> None:
    lab = labkit.start(app)
    begun = threading.Event()

    @lab.app.task(name="cells.endless")
    def endless() -> None:
        begun.set()
        while True:
            pass

    lab.run(endless.s())
    assert begun.wait(10)
    began = time.monotonic()
    lab.stop()
    assert time.monotonic() - began < PROMISED
    wait_until(lambda: not any(thread.name.startswith("slot") for thread in threading.enumerate()))
    works(labkit.start(app))


def test_a_task_that_loops_for_ever_and_cannot_be_stopped_is_named(no_lab: None) -> None:
    lab = labkit.start(app)
    begun, enough = threading.Event(), threading.Event()

    @lab.app.task(name="cells.stubborn")
    def stubborn() -> None:
        while not enough.is_set():
            try:
                begun.set()
                while not enough.is_set():
                    time.sleep(0.001)
            except BaseException:
                continue

    lab.run(stubborn.s())
    assert begun.wait(10)
    try:
        refused(lab.stop, "cells.stubborn could not be stopped", "Restart the kernel")
        assert not lab.running
        lab.stop()
        works(labkit.start(app))
    finally:
        enough.set()
    wait_until(lambda: not lab.gate.running)


def test_a_process_ends_though_a_task_does_not() -> None:
    script = """
import threading, time, tasks, labkit
lab = labkit.start()
begun = threading.Event()
@lab.app.task(name="cells.stubborn")
def stubborn():
    while True:
        try:
            begun.set(); time.sleep(0.001)
        except BaseException: pass
lab.run(stubborn.s()); begun.wait()
print("the end")
"""
    assert python(script) == "the end\n"


def test_with_no_lab_there_is_one_error(no_lab: None) -> None:
    refused(lambda: labkit.run(add.s(1, 1)), "labkit.start()")
    lab = labkit.start(app)
    labkit.stop()
    for ask in (lambda: lab.run(add.s(1, 1)), lab.pause, lab.resume, lab.step, lab.queue):
        refused(ask, "the lab has stopped", "labkit.start()")
