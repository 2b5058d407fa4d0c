"""The lab in a Jupyter kernel: interrupted, restarted, killed; and that nothing of it remains."""

import os
import queue
import signal
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from jupyter_client.manager import KernelManager

from tests.remains import needs_proc, remains, wait_gone

ROOT = Path(__file__).parents[1]
PATIENCE = 60.0  # seconds, on a machine that is busy
PROMISED = 5.0  # seconds after which nothing remains

Outputs = list[dict[str, Any]]

START = """
import os, sys, threading, time, warnings
import labkit
from celery import chain, chord, group
from tasks import add, app, mul, slow, xsum
lab = labkit.start()
"""


class Kernel:
    """A kernel with a token in its environment and a temporary folder of its own."""

    def __init__(self, home: Path) -> None:
        self.token, self.tmpdir = uuid.uuid4().hex, home / "tmp"
        self.tmpdir.mkdir()
        environment = {name: value for name, value in os.environ.items() if name != "PYTEST_CURRENT_TEST"}
        environment |= {"LABKIT_TOKEN": self.token, "TMPDIR": str(self.tmpdir), "IPYTHONDIR": str(home / "ipython")}
        self.manager = KernelManager(kernel_name="python3", connection_file=str(home / "kernel.json"))
        self.manager.start_kernel(env=environment, cwd=str(ROOT))
        self.connect()

    def connect(self) -> None:
        self.client = self.manager.blocking_client()
        self.client.start_channels()
        self.client.wait_for_ready(timeout=PATIENCE)
        self.pid = int(self.value("__import__('os').getpid()"))

    def send(self, code: str) -> str:
        """Send a cell, and return the id by which its messages can be told."""
        return str(self.client.execute(code))

    def until(self, condition: Callable[[dict[str, Any]], bool]) -> Outputs:
        """All messages on the output channel, whichever cell they belong to, up to the one that is waited for."""
        seen: Outputs = []
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                seen.append(self.client.get_iopub_msg(timeout=max(0.01, deadline - time.monotonic())))
            except queue.Empty:
                raise AssertionError(f"the kernel has not said what was waited for, only {outputs(seen)}") from None
            if condition(seen[-1]):
                return seen

    def until_idle(self, id: str) -> Outputs:
        return self.until(
            lambda message: (
                message["parent_header"].get("msg_id") == id
                and message["msg_type"] == "status"
                and message["content"]["execution_state"] == "idle"
            )
        )

    def until_said(self, text: str) -> Outputs:
        return self.until(lambda message: text in message["content"].get("text", ""))

    def run(self, code: str) -> Outputs:
        """Run a cell to its end, and return all that came out of the kernel meanwhile."""
        return outputs(self.until_idle(self.send(code)))

    def value(self, code: str) -> str:
        """The text of a cell's last expression, which is all that comes out."""
        found = self.run(code)
        assert [output["type"] for output in found] == ["execute_result"], found
        return str(found[0]["data"]["text/plain"])

    def wait_gone(self, besides: tuple[int, ...] = ()) -> None:
        wait_gone(self.token, self.tmpdir, timeout=PROMISED, besides=besides)

    def end(self) -> None:
        self.client.stop_channels()
        if self.manager.has_kernel:
            self.manager.shutdown_kernel(now=True)
        self.manager.cleanup_resources()


def outputs(messages: Outputs) -> Outputs:
    """What the messages put into cells."""
    kinds = ("stream", "execute_result", "display_data", "error")
    return [{"type": each["msg_type"], **each["content"]} for each in messages if each["msg_type"] in kinds]


@contextmanager
def a_kernel() -> Iterator[Kernel]:
    with tempfile.TemporaryDirectory(dir="/tmp", ignore_cleanup_errors=True) as home:
        kernel = Kernel(Path(home))
        try:
            yield kernel
        finally:
            kernel.end()


@pytest.fixture(scope="module")
def long_lived() -> Iterator[Kernel]:
    """One kernel for all tests that do not end it."""
    with a_kernel() as kernel:
        yield kernel


@pytest.fixture
def kernel(long_lived: Kernel) -> Kernel:
    """The same, with a lab that runs."""
    assert long_lived.run(START) == []
    return long_lived


def works(kernel: Kernel) -> None:
    assert kernel.value("lab.run(chain(add.s(1, 1), mul.s(21))).get(timeout=20)") == "42"


# --- cells ---------------------------------------------------------------------------------------------------------


def test_starting_says_nothing_and_can_be_repeated(kernel: Kernel) -> None:
    assert kernel.value("labkit.start() is lab") == "True"
    works(kernel)


def test_await_in_a_cell_gives_the_final_drawing(kernel: Kernel) -> None:
    (shown,) = kernel.run("run = lab.run(chord([add.s(1, 1), add.s(2, 2)], xsum.s()))\nawait run")
    assert shown["type"] == "execute_result"
    assert shown["data"]["text/plain"].splitlines() == [
        "chord ✓",
        "├─ header 2 of 2",
        "│  ├─ #1 add(1, 1) ✓ 2",
        "│  └─ #2 add(2, 2) ✓ 4",
        "└─ #3 xsum([2, 4]) ✓ 6",
    ]
    assert shown["data"]["image/svg+xml"].lstrip().startswith("<")


def test_a_run_is_shown_as_planned_until_it_was_waited_for(kernel: Kernel) -> None:
    (shown,) = kernel.run("run = lab.run(add.s(1, 1))\nrun.recording.over.wait(20)\nrun")
    assert shown["data"]["text/plain"] == "#1 add(1, 1) ○"


def test_a_task_defined_or_defined_again_in_a_cell_is_what_runs(kernel: Kernel) -> None:
    for version in ("first", "second"):
        assert kernel.run(f"@app.task\ndef version(): return {version!r}") == []
        assert (
            kernel.value("version.delay().get(timeout=20), lab.run(version.s()).get()") == f"('{version}', '{version}')"
        )


def test_what_a_task_prints_lands_in_no_cell(kernel: Kernel) -> None:
    cell = """
@app.task
def loud(n):
    print("out", n)
    sys.stderr.write(f"err {n}\\n")
    warnings.warn(f"warned {n}")
    return n
@app.task
def broken(): raise ValueError("broken on purpose")
run = lab.run(group([loud.s(n) for n in range(5)] + [broken.s()]))
"""
    assert kernel.run(cell) == []
    assert kernel.run("_ = run.wait()") == []
    assert kernel.run("print('mine')") == [{"type": "stream", "name": "stdout", "text": "mine\n"}]
    assert kernel.value("{f'{word} {n}' for word in ('out', 'err') for n in range(5)} <= set(lab.log)") == "True"
    assert kernel.value("any('broken on purpose' in line for line in lab.log)") == "True"


def test_the_loop_is_free_while_a_cell_awaits(kernel: Kernel) -> None:
    cell = """
import asyncio
ticks = []
async def tick():
    while True:
        ticks.append(1)
        await asyncio.sleep(0.001)
ticking = asyncio.ensure_future(tick())
_ = await lab.run(slow.s(0.2))
ticking.cancel()
len(ticks) > 5
"""
    assert kernel.value(cell) == "True"


# --- interrupts ----------------------------------------------------------------------------------------------------


def interrupted(kernel: Kernel, cell: str) -> None:
    """Run a cell up to where it says so, interrupt it, and see that it ends by that."""
    id = kernel.send(cell)
    kernel.until_said("waiting")
    kernel.manager.interrupt_kernel()
    errors = [output["ename"] for output in outputs(kernel.until_idle(id)) if output["type"] == "error"]
    assert errors in (["KeyboardInterrupt"], ["CancelledError"])


@pytest.mark.parametrize(
    "wait",
    [
        "run.wait()",
        "run.get()",
        "await run",
        "run.result.get(timeout=50)",
        "add.apply_async((1, 1), countdown=60).get()",
    ],
)
def test_after_an_interrupt_of_a_wait_it_goes_on_working(wait: str, kernel: Kernel) -> None:
    interrupted(kernel, f"run = lab.run(add.s(1, 1).set(countdown=60))\nprint('waiting', flush=True)\n{wait}")
    works(kernel)
    assert kernel.value("lab.broker.running, lab.worker.alive, labkit.start() is lab") == "(True, True, True)"


def test_after_interrupts_of_runs_at_any_moment_it_goes_on_working(kernel: Kernel) -> None:
    for _ in range(4):
        interrupted(
            kernel,
            "print('waiting', flush=True)\nwhile True:\n"
            "    assert lab.run(chord([add.s(1, 1), add.s(2, 2)], xsum.s())).get(timeout=20) == 6",
        )
        works(kernel)


def test_an_interrupt_does_not_reach_what_runs(kernel: Kernel) -> None:
    interrupted(kernel, "run = lab.run(chain(slow.s(0.5, 1), add.s(1)))\nprint('waiting', flush=True)\nrun.wait()")
    assert kernel.value("run.get(timeout=20)") == "2"


# --- nothing remains -----------------------------------------------------------------------------------------------


@needs_proc
def test_nothing_remains_after_stop(kernel: Kernel) -> None:
    works(kernel)
    assert len(remains(kernel.token, kernel.tmpdir, besides=(kernel.pid,))) > 3  # what is looked for would be seen
    assert kernel.run("lab.stop()") == []
    kernel.wait_gone(besides=(kernel.pid,))
    assert kernel.value("[t.name for t in threading.enumerate() if t.name.startswith(('slot', 'labkit'))]") == "[]"


@needs_proc
def test_it_is_started_again_after_stop(kernel: Kernel) -> None:
    assert kernel.run("lab.stop(); lab = labkit.start()") == []
    works(kernel)


@needs_proc
@pytest.mark.parametrize("now", [False, True], ids=["asked to", "killed"])
def test_nothing_remains_of_a_kernel_that_is_restarted_in_the_middle(now: bool, kernel: Kernel) -> None:
    before = kernel.pid
    kernel.run("run = lab.run(chain(add.s(1, 1), slow.s(0.5), add.s(1).set(countdown=60)))")
    kernel.client.stop_channels()
    kernel.manager.restart_kernel(now=now)
    kernel.connect()
    assert kernel.pid != before
    kernel.wait_gone(besides=(kernel.pid,))
    assert kernel.run(START) == []
    works(kernel)


ENDINGS: dict[str, Callable[[Kernel], object]] = {
    "shutdown": lambda kernel: kernel.manager.shutdown_kernel(),
    "exit in a cell": lambda kernel: kernel.send("exit()"),
    "os._exit in a cell": lambda kernel: kernel.send("os._exit(0)"),
    "SIGKILL of the kernel alone": lambda kernel: os.kill(kernel.pid, signal.SIGKILL),
    "SIGKILL of its group": lambda kernel: os.killpg(os.getpgid(kernel.pid), signal.SIGKILL),
}


@needs_proc
@pytest.mark.parametrize("end", ENDINGS.values(), ids=ENDINGS)
def test_nothing_remains_of_a_kernel_that_ends_without_stop(end: Callable[[Kernel], object]) -> None:
    with a_kernel() as kernel:
        assert kernel.run(START) == []
        kernel.run("run = lab.run(group(slow.s(0.3), add.s(1, 1).set(countdown=60)))")
        assert len(remains(kernel.token, kernel.tmpdir, besides=(kernel.pid,))) > 3
        end(kernel)
        deadline = time.monotonic() + PATIENCE
        while kernel.manager.has_kernel and kernel.manager.is_alive():
            assert time.monotonic() < deadline
            time.sleep(0.01)
        kernel.wait_gone()


@needs_proc
def test_two_kernels_at_once_do_not_meet(kernel: Kernel) -> None:
    with a_kernel() as other:
        assert other.run(START) == []
        for each in (kernel, other):
            each.run("@app.task\ndef whose(n): return os.getpid()\nrun = lab.run(group(whose.s(n) for n in range(30)))")
        for each in (kernel, other):
            assert each.value("set(run.get(timeout=20)) == {os.getpid()}") == "True"
        os.kill(other.pid, signal.SIGKILL)
        other.wait_gone()
        works(kernel)
