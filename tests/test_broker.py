"""The embedded server: it answers, it is private, and it ends with its process, however that ends."""

import importlib.util
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import uuid
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from celery import Celery
from celery.exceptions import TimeoutError as CeleryTimeout

from labkit.broker import MAX_SOCKET_PATH, Broker, NoServer, _ask, _socket_path
from labkit.errors import LabError
from tests.remains import needs_proc, remains, wait_gone

ROOT = Path(__file__).parents[1]
PROMISED = 2.0  # seconds after which nothing remains


def folder(broker: Broker) -> Path:
    return Path(broker._folder)


def tell(broker: Broker, command: str) -> bytes:
    return _ask(broker._socket, command)


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 5
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.fixture
def broker() -> Iterator[Broker]:
    broker = Broker.start()
    yield broker
    broker.stop()


@pytest.fixture
def tmpdir_of_its_own(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(dir="/tmp") as tmpdir:
        monkeypatch.setenv("TMPDIR", tmpdir)
        yield Path(tmpdir)


@pytest.fixture
def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


# --- as a server ---------------------------------------------------------------------------------------------------


def test_answers_as_soon_as_start_returns(broker: Broker) -> None:
    assert tell(broker, "PING").startswith(b"+PONG")
    assert broker.running
    assert psutil.Process(broker.pid).name() == "valkey-server"


def test_starts_in_a_fraction_of_a_second() -> None:
    taken = []
    for _ in range(3):
        began = time.perf_counter()
        broker = Broker.start()
        taken.append(time.perf_counter() - began)
        broker.stop()
    assert min(taken) < 0.25


def test_stop_leaves_nothing_and_can_be_repeated(tmpdir_of_its_own: Path) -> None:
    broker = Broker.start()
    server = psutil.Process(broker.pid)
    guardian = server.parent()
    broker.stop()
    broker.stop()
    assert not broker.running
    assert broker.pid is None
    assert not server.is_running()
    assert not guardian.is_running()
    assert list(tmpdir_of_its_own.iterdir()) == []


def test_ends_with_the_object(tmpdir_of_its_own: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        broker = Broker.start()
        server = psutil.Process(broker.pid)
        del broker
    wait_until(lambda: not server.is_running())
    assert list(tmpdir_of_its_own.iterdir()) == []


def test_two_servers_do_not_meet(broker: Broker) -> None:
    other = Broker.start()
    tell(broker, "SET who first")
    assert tell(other, "GET who").startswith(b"$-1")
    assert other.url != broker.url
    other.stop()
    assert broker.running


def test_restart_keeps_the_address_and_loses_the_data(broker: Broker) -> None:
    url, pid = broker.url, broker.pid
    tell(broker, "SET lost yes")
    broker.restart()
    assert broker.url == url
    assert broker.pid not in (pid, None)
    assert tell(broker, "GET lost").startswith(b"$-1")
    broker.stop()
    broker.restart()
    assert broker.running


def test_restart_after_the_server_was_killed(broker: Broker) -> None:
    psutil.Process(broker.pid).kill()
    wait_until(lambda: not broker.running)
    broker.restart()
    assert broker.running


def test_nothing_is_written_to_disk(broker: Broker) -> None:
    tell(broker, "SET key value")
    assert [path.name for path in folder(broker).iterdir()] == ["valkey.sock"]
    assert b"aof_enabled:0" in tell(broker, "INFO persistence")
    assert tell(broker, "CONFIG GET save").endswith(b"$0\r\n\r\n+OK\r\n")


def test_repr_says_where_and_whether(broker: Broker) -> None:
    assert repr(broker) == f"<Broker {broker.url}>"
    broker.stop()
    assert repr(broker) == f"<Broker {broker.url}, not running>"


# --- as Celery's broker and result backend -------------------------------------------------------------------------


@pytest.mark.parametrize("over_tcp", [False, True], ids=["unix socket", "tcp"])
def test_celery_sends_and_gets_through_it(over_tcp: bool, free_port: int) -> None:
    broker = Broker.start(port=free_port if over_tcp else None)
    app = Celery("weather", broker=broker.url, backend=broker.backend_url, set_as_current=False)
    app.conf.redis_socket_timeout = 5.0
    result = app.send_task("forecast", ("Oslo",))
    assert tell(broker, "LLEN celery").startswith(b":1\r\n")
    with pytest.raises(CeleryTimeout):
        result.get(timeout=0.05)
    app.backend.store_result(result.id, "rain", "SUCCESS")
    assert result.get(timeout=5) == "rain"
    app.backend.result_consumer.stop()
    app.close()
    broker.stop()


# --- who can reach it ----------------------------------------------------------------------------------------------


def test_only_this_user_can_enter_the_folder(broker: Broker) -> None:
    assert folder(broker).stat().st_mode & 0o777 == 0o700
    assert Path(broker._socket).stat().st_mode & 0o777 == 0o700
    assert folder(broker).stat().st_uid == os.getuid()


@pytest.mark.skipif(sys.platform == "darwin", reason="macOS shows the connections of other processes to root only")
def test_without_a_port_there_is_no_tcp(broker: Broker) -> None:
    assert psutil.Process(broker.pid).net_connections("inet") == []


@pytest.mark.skipif(sys.platform == "darwin", reason="macOS shows the connections of other processes to root only")
def test_tcp_is_on_loopback_only(free_port: int) -> None:
    broker = Broker.start(port=free_port)
    listening = psutil.Process(broker.pid).net_connections("inet")
    assert {(each.laddr.ip, each.laddr.port) for each in listening} == {("127.0.0.1", free_port)}
    assert broker.url == f"redis://127.0.0.1:{free_port}/0"
    broker.restart()
    with socket.create_connection(("127.0.0.1", free_port), timeout=5) as client:
        client.sendall(b"PING\r\n")
        assert client.recv(64).startswith(b"+PONG")
    broker.stop()


def test_a_port_in_use_is_one_error_that_says_what_to_do(free_port: int, tmpdir_of_its_own: Path) -> None:
    first = Broker.start(port=free_port)
    began = time.monotonic()
    with pytest.raises(LabError, match=f"port {free_port}.*\n(.*\n)*.*Choose another port.*LABKIT_BROKER_URL=redis://"):
        Broker.start(port=free_port)
    assert time.monotonic() - began < 5
    assert first.running
    first.stop()
    assert list(tmpdir_of_its_own.iterdir()) == []


@pytest.mark.parametrize("port", [0, -1, 65536])
def test_a_port_that_cannot_be(port: int) -> None:
    with pytest.raises(LabError, match="from 1 to 65535"):
        Broker.start(port=port)


# --- where it cannot run -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["long" * 30, "with space", "wéird", "a%20b?c#d"])
def test_a_temp_folder_unfit_for_a_socket_or_url_is_not_used(
    name: str, tmpdir_of_its_own: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    unfit = tmpdir_of_its_own / name
    unfit.mkdir()
    monkeypatch.setenv("TMPDIR", str(unfit))
    broker = Broker.start()
    assert folder(broker).parent == Path("/tmp")
    assert len(os.fsencode(broker._socket)) <= MAX_SOCKET_PATH
    broker.stop()


def test_no_place_for_a_socket(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    with pytest.raises(LabError, match="Set TMPDIR to"):
        Broker.start()


def test_no_server_for_this_platform(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(NoServer, match=r"WSL2.*LABKIT_BROKER_URL"):
        Broker.start()


@pytest.mark.parametrize("binary", ["/bin/false", "/etc/hostname", "/nowhere/valkey-server"])
def test_a_server_that_does_not_start(binary: str, tmpdir_of_its_own: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("labkit.broker._server", lambda: binary)
    with pytest.raises(LabError, match="did not start, it ended") as caught:
        Broker.start()
    assert binary == "/bin/false" or binary in str(caught.value)
    assert list(tmpdir_of_its_own.iterdir()) == []


def test_a_server_that_does_not_answer(tmpdir_of_its_own: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    silent = tmpdir_of_its_own / "silent"
    silent.write_text("#!/bin/sh\necho so it goes\nexec sleep 60\n")
    silent.chmod(0o700)
    monkeypatch.setattr("labkit.broker._server", lambda: str(silent))
    monkeypatch.setattr("labkit.broker.START_TIMEOUT", 1.5)
    with pytest.raises(LabError, match=r"gave no answer in 1\.5 s\. It said:\n  so it goes"):
        Broker.start()
    assert list(tmpdir_of_its_own.iterdir()) == [silent]


# --- what remains after its process --------------------------------------------------------------------------------


class Kernel:
    """A Python process, leader of a group of its own, that starts a server, prints its pid and goes on as told."""

    def __init__(self, then: str, tmpdir: Path) -> None:
        self.token, self.tmpdir = uuid.uuid4().hex, tmpdir
        self.process = subprocess.Popen(
            [sys.executable, "-W", "error::ResourceWarning", "-c", f"{PREAMBLE}\n{then}"],
            cwd=ROOT,
            env=os.environ | {"LABKIT_TOKEN": self.token, "TMPDIR": str(tmpdir)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def line(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def server_runs(self) -> bool:
        return any("valkey-server" in line for line in remains(self.token, self.tmpdir))

    def wait_gone(self, besides: tuple[int, ...] = ()) -> None:
        self.process.wait(10)
        wait_gone(self.token, self.tmpdir, timeout=PROMISED, besides=besides)


PREAMBLE = """
import multiprocessing, os, signal, subprocess, sys, time
from labkit.broker import Broker
print("imported", flush=True)
broker = Broker.start()
print("started", flush=True)
"""


@pytest.fixture
def kernel(tmpdir_of_its_own: Path) -> Iterator[Callable[..., Kernel]]:
    kernels: list[Kernel] = []

    def start(then: str, read: bool = True) -> Kernel:
        kernels.append(Kernel(then, tmpdir_of_its_own))
        assert kernels[-1].line() == "imported"
        if read:
            assert kernels[-1].line() == "started"
        return kernels[-1]

    yield start
    for kernel in kernels:
        with kernel.process as process:
            process.kill()


ENDINGS = {
    "normal exit": "",
    "sys.exit": "sys.exit(3)",
    "exception": "raise SystemExit('oops')",
    "os._exit": "os._exit(0)",
    "exec": "os.execv('/bin/true', ['true'])",
    "SIGKILL by itself": "os.kill(os.getpid(), signal.SIGKILL)",
    "SIGTERM by itself": "os.kill(os.getpid(), signal.SIGTERM)",
    "SIGABRT by itself": "signal.signal(signal.SIGABRT, signal.SIG_DFL); os.kill(os.getpid(), signal.SIGABRT)",
    "stopped before": "broker.stop()",
}


@needs_proc
@pytest.mark.parametrize("ending", ENDINGS.values(), ids=ENDINGS)
def test_nothing_remains_and_nothing_is_printed(ending: str, kernel: Callable[..., Kernel]) -> None:
    ended = kernel(ending)
    ended.wait_gone()
    assert ended.process.communicate() == ("", "oops\n" if "oops" in ending else "")


@needs_proc
@pytest.mark.parametrize("kill", [os.kill, os.killpg], ids=["alone", "with its group"])
def test_nothing_remains_after_sigkill(kill: Callable[[int, int], None], kernel: Callable[..., Kernel]) -> None:
    killed = kernel("time.sleep(60)")
    assert killed.server_runs()
    kill(killed.process.pid, signal.SIGKILL)
    killed.wait_gone()


@needs_proc
@pytest.mark.parametrize("delay", [0, 0.005, 0.01, 0.015, 0.02, 0.03, 0.04, 0.05])
def test_nothing_remains_after_sigkill_during_the_start(delay: float, kernel: Callable[..., Kernel]) -> None:
    killed = kernel("time.sleep(60)", read=False)
    time.sleep(delay)
    killed.process.kill()
    killed.wait_gone()


SURVIVORS = {
    "os.fork": "pid = os.fork()\nif not pid:\n    os.setsid(); time.sleep(60); os._exit(0)",
    "multiprocessing": "child = multiprocessing.get_context('fork').Process(target=time.sleep, args=[60])\n"
    "child.start()\npid = child.pid",
    "subprocess": "pid = subprocess.Popen(['sleep', '60'], close_fds=False).pid",
}


@needs_proc
@pytest.mark.parametrize(
    "ending", ["os._exit(0)", "os.kill(os.getpid(), signal.SIGKILL)", "broker.stop(); os._exit(0)"]
)
@pytest.mark.parametrize("survivor", SURVIVORS.values(), ids=SURVIVORS)
def test_a_child_that_survives_does_not_keep_the_server(
    survivor: str, ending: str, kernel: Callable[..., Kernel]
) -> None:
    ended = kernel(f"{survivor}\nprint(pid, flush=True)\n{ending}")
    survivor_pid = int(ended.line())
    try:
        ended.wait_gone(besides=(survivor_pid,))
        assert psutil.Process(survivor_pid).status() != psutil.STATUS_ZOMBIE
    finally:
        os.kill(survivor_pid, signal.SIGKILL)


@needs_proc
def test_a_forked_child_that_ends_does_not_end_the_server(kernel: Callable[..., Kernel]) -> None:
    parent = kernel(
        "pid = os.fork()\nif not pid:\n    broker.stop(); sys.exit()\nos.waitpid(pid, 0)\n"
        "time.sleep(0.1)\nprint(broker.running, flush=True)"
    )
    assert parent.line() == "True"
    parent.wait_gone()


@needs_proc
def test_an_interrupt_of_the_group_does_not_reach_the_server(kernel: Callable[..., Kernel]) -> None:
    interrupted = kernel(
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"  # a background job of a shell ignores it
        "try:\n    print('waiting', flush=True); time.sleep(60)\n"
        "except KeyboardInterrupt:\n    time.sleep(0.1); print(broker.running, flush=True)"
    )
    assert interrupted.line() == "waiting"
    os.killpg(interrupted.process.pid, signal.SIGINT)
    assert interrupted.line() == "True"
    interrupted.wait_gone()


def guardian_of(broker: Broker) -> psutil.Process:
    guardian = psutil.Process(broker.pid).parent()
    assert guardian is not None
    return guardian


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP])
def test_the_guardian_takes_no_notice_of_the_terminal(number: signal.Signals, broker: Broker) -> None:
    guardian_of(broker).send_signal(number)
    time.sleep(0.1)
    assert broker.running


def test_the_guardian_told_to_terminate_cleans_up(broker: Broker) -> None:
    guardian_of(broker).terminate()
    wait_until(lambda: not folder(broker).exists())
    assert not broker.running


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the server ends at stop() only")
def test_the_server_ends_with_a_guardian_that_is_killed(broker: Broker) -> None:
    server = psutil.Process(broker.pid)
    server.parent().kill()
    wait_until(lambda: not server.is_running() or server.status() == psutil.STATUS_ZOMBIE)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
def test_stop_and_restart_with_a_guardian_that_is_dead_or_stopped(
    number: signal.Signals, broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("labkit.broker.STOP_TIMEOUT", 0.3)
    guardian_of(broker).send_signal(number)
    broker.stop()
    assert not folder(broker).exists()
    assert not broker.running
    broker.restart()
    assert broker.running


def test_a_folder_of_somebody_else_is_left_alone(broker: Broker) -> None:
    broker.stop()
    folder(broker).mkdir()
    with pytest.raises(LabError, match="File exists"):
        broker.restart()
    folder(broker).rmdir()


@needs_proc
def test_remains_are_found(kernel: Callable[..., Kernel]) -> None:
    """The tests above are worth what their eyes are worth: both processes, the folder and the socket are seen."""
    seen = remains((running := kernel("time.sleep(60)")).token, running.tmpdir)
    socket_path = _socket_path(str(next(running.tmpdir.glob("labkit-*"))))
    assert sum(line.startswith("process") for line in seen) == 3
    assert f"file {socket_path}" in seen
    assert any(line.startswith("socket") and line.endswith(socket_path) for line in seen)
