"""What only repetition proves: ``python -m tests.soak [part…]``, or ``make soak`` for all parts.

Prints a dated log of plain text, a line for each repetition, that can be committed: no paths, no names of machines.
``--once`` does each thing once, for trying.
"""

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Final
from xml.etree import ElementTree

from tests import shaker
from tests.__main__ import NBVAL, PYTEST, ROOT, counts
from tests.dependent import changed_cells, may_change, must_change, shown, wrong_add
from tests.remains import remains, wait_gone
from tests.sabotage import SABOTAGES

ONCE: Final = "--once"
RANDOM: Final = "tests/test_random.py"
HOG: Final = "while True: pass"
NOTHING: Final[Mapping[str, str]] = {}
PATIENCE: Final = 1800  # seconds for one pytest


@dataclass
class Log:
    """Says what was done, and remembers what failed."""

    once: bool = False
    failed: list[str] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    passed: int = 0

    def times(self, number: int) -> range:
        """So many repetitions, numbered from 1."""
        return range(1, 1 + (1 if self.once else number))

    def line(self, text: str) -> None:
        """A line with the date (UTC)."""
        text = re.sub(r"/[^\s'\":,]*/(?=[^\s/])", "", text.replace(str(ROOT), "."))
        print(f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S}  {text}", flush=True)

    def result(self, what: str, problems: list[str], said: str = "") -> None:
        """One repetition is over."""
        self.line(f"{what}: {'FAILED' if problems else 'passed'}{f' ({said})' if said else ''}")
        for problem in problems[:40]:
            self.line(f"    {problem}")
        if problems:
            self.failed.append(what)
        else:
            self.passed += 1

    def skip(self, what: str, why: str) -> None:
        """Something could not be done."""
        self.line(f"{what}: SKIPPED, {why}")
        self.skipped.append(what)


@dataclass
class Pytest:
    """One run of pytest: its report, what it wrote, how long it took."""

    report: Path
    output: str
    status: int
    seconds: float

    @property
    def problems(self) -> list[str]:
        """The tests that failed, in pytest's own words; what it wrote last if there were none of them."""
        if self.status == 0:
            return []
        return (
            re.findall(r"^(?:FAILED|ERROR) \S+\.(?:py|ipynb)\b.*$", self.output, re.M) or self.output.splitlines()[-5:]
        )

    @property
    def red(self) -> str:
        """The first test that failed; empty if none did, or if pytest could not even begin."""
        return self.problems[0] if self.status == 1 else ""

    def __str__(self) -> str:
        found = counts(self.report)
        return ", ".join(f"{number} {name}" for name, number in found.items() if number) + f", {self.seconds:.0f} s"


def pytest(*arguments: str, tree: Path = ROOT, timeout: float = PATIENCE, given: Mapping[str, str] = NOTHING) -> Pytest:
    """Run pytest on ``tree``, with the variables ``given``. Never raises, also if it does not end in time."""
    report = ROOT / "build" / "soak" / f"{uuid.uuid4().hex}.xml"
    report.parent.mkdir(parents=True, exist_ok=True)
    began = time.monotonic()
    environment = {**os.environ, "PYTHONPATH": str(tree), "COLUMNS": "200", **given}
    process = subprocess.Popen(
        [*PYTEST, *arguments, f"--junit-xml={report}", "-p", "no:cacheprovider", "--color=no"],
        cwd=tree,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        output, status = process.communicate(timeout=timeout)[0], process.returncode
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        output, status = f"{process.communicate()[0]}\nnot over after {timeout:g} s", 1
    return Pytest(report, output, status, time.monotonic() - began)


@contextmanager
def copy_of_the_tree() -> Iterator[Path]:
    """A copy of what the tests need, gone at the end."""
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder, "copy")
        ignored = shutil.ignore_patterns(".*", "build", "work", "__pycache__", "*.log")
        shutil.copytree(ROOT, tree, ignore=ignored)
        yield tree


# --- the parts ------------------------------------------------------------------------------------------------------


def idle(log: Log) -> None:
    """The lessons under nbval, ten times."""
    for number in log.times(10):
        done = pytest(*NBVAL)
        log.result(f"lessons, idle, {number}", done.problems, str(done))


def busy(log: Log) -> None:
    """The same with all cores kept busy, five times."""
    for number in log.times(5):
        with ExitStack() as stack:
            for _ in range(os.cpu_count() or 2):
                hog = subprocess.Popen([sys.executable, "-c", HOG])
                stack.callback(hog.wait)
                stack.callback(hog.kill)
            done = pytest(*NBVAL)
        log.result(f"lessons, all cores busy, {number}", done.problems, str(done))


def shaken(log: Log) -> None:
    """The same with the order of events shaken, five times."""
    for number in log.times(5):
        with tempfile.TemporaryDirectory() as folder:
            told = Path(folder, "told")
            done = pytest(*NBVAL, given=shaker.environment(Path(folder, "ipython"), told))
            log.result(f"lessons, shaken, {number}", done.problems, f"{done}; {shaker.told(told)}")


def outputs(log: Log) -> None:
    """Outputs are real: with an `add` that returns one more, those that depend on it change, and no others."""
    with copy_of_the_tree() as tree:
        wrong_add(tree)
        done = pytest(*NBVAL, tree=tree)
        changed = changed_cells(ElementTree.parse(done.report))
        for lesson in sorted((tree / "notebooks").glob("*.ipynb")):
            must, may, found = must_change(lesson), may_change(lesson), changed.get(lesson.name, set())
            problems = [f"cell {cell} shows what add returned, and did not change" for cell in sorted(must - found)]
            problems += [f"cell {cell} changed without add" for cell in sorted(found - may)]
            if may and not found:
                problems.append("it uses add, and nothing changed")
            stayed = sorted((may & shown(lesson)) - found)
            said = f"{len(found)} of {len(may)} cells that hang together with add changed, {len(must)} had to"
            log.result(f"wrong add, {lesson.name}", problems, said)
            log.line(f"    changed: {_listed(found)}; use add and stayed: {_listed(stayed)}")


def _listed(cells: Collection[int]) -> str:
    return ", ".join(map(str, sorted(cells))) or "none"


KILLED: Final = """
import time, labkit
from tasks import slow
lab = labkit.start()
for _ in range(8):
    slow.delay(30)
{more}
print("ready", flush=True)
time.sleep(60)
"""
WORKERS: Final = "workers = lab.workers(n=1, concurrency=1); workers.start()"


def leftovers(log: Log) -> None:
    """A process with a lab is killed, alone or with its group: nothing of it remains. Twenty times."""
    for number in log.times(20):
        group, workers = number % 2 == 0, number > 16
        what = f"killed, {'its group' if group else 'it alone'}{', with a worker process' if workers else ''}, {number}"
        token = uuid.uuid4().hex
        with tempfile.TemporaryDirectory(dir="/tmp") as tmpdir:
            process = subprocess.Popen(
                [sys.executable, "-c", KILLED.format(more=WORKERS if workers else "")],
                cwd=ROOT,
                env={**os.environ, "LABKIT_TOKEN": token, "TMPDIR": tmpdir},
                stdout=subprocess.PIPE,
                text=True,
                start_new_session=True,
            )
            assert process.stdout is not None
            problems = [] if process.stdout.readline() == "ready\n" else ["it did not start"]
            before, began = len(remains(token, Path(tmpdir))), time.monotonic()
            (os.killpg if group else os.kill)(process.pid, signal.SIGKILL)
            process.communicate()
            try:
                wait_gone(token, Path(tmpdir), timeout=5.0)
            except AssertionError as error:
                problems += str(error).splitlines()
            said = f"{before} processes, files and sockets gone after {time.monotonic() - began:.2f} s"
            log.result(what, problems, said)


def random(log: Log) -> None:
    """Three hundred random canvases."""
    if not (ROOT / RANDOM).exists():
        log.skip("random canvases", f"there is no {RANDOM}")
        return
    done = pytest(RANDOM, "--timeout=1800", given={"LABKIT_EXAMPLES": "300"})
    log.result("random canvases, 300", done.problems, str(done))


def sabotage(log: Log) -> None:
    """Tests that can fail: each of many small changes to a copy of the code turns them red."""
    with copy_of_the_tree() as tree:
        for tests in dict.fromkeys(each.tests for each in SABOTAGES):
            done = pytest(*tests, tree=tree)
            log.result(f"unchanged, {' '.join(tests)}", done.problems, str(done))
        for each in SABOTAGES[:1] if log.once else SABOTAGES:
            file = tree / each.file
            text = file.read_text(encoding="utf-8")
            if text.count(each.old) != 1:
                log.result(f"sabotage, {each.what}", [f"{each.file} has its text {text.count(each.old)} times"])
                continue
            wrong = text.replace(each.old, each.new)
            compile(wrong, each.file, "exec")  # what is no Python would turn any test red
            file.write_text(wrong, encoding="utf-8")
            done = pytest("-x", "--timeout=60", *each.tests, tree=tree, timeout=300)
            file.write_text(text, encoding="utf-8")
            log.result(f"sabotage, {each.what}", [] if done.red else ["no test noticed"], done.red[:160] or str(done))


PARTS: Final[dict[str, Callable[[Log], None]]] = {
    "idle": idle,
    "busy": busy,
    "shaken": shaken,
    "outputs": outputs,
    "leftovers": leftovers,
    "random": random,
    "sabotage": sabotage,
}


def main(arguments: list[str]) -> int:
    """Do the parts named, or all; 1 if anything failed, 2 if there is no part of such a name."""
    log = Log(once=ONCE in arguments)
    names = [each for each in arguments if each != ONCE]
    if unknown := set(names) - set(PARTS):
        print(f"no part {', '.join(unknown)}; there are: {', '.join(PARTS)}, and {ONCE}", file=sys.stderr)
        return 2
    log.line(
        f"soak: Python {sys.version.split()[0]}, {sys.platform}, {os.cpu_count()} cores, {', '.join(names or PARTS)}"
    )
    for name in names or PARTS:
        try:
            PARTS[name](log)
        except Exception as error:  # the other parts are still worth their time
            log.result(name, [f"{type(error).__name__}: {error}"])
    log.line(f"{log.passed} passed, {len(log.failed)} failed, {len(log.skipped)} skipped")
    for what in log.failed:
        log.line(f"    failed: {what}")
    return 1 if log.failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
