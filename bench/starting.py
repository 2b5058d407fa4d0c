"""How long until something happens: a cold start, and the import; each time in fresh processes."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Final

from bench.measure import Row, alternate

ROOT: Final = Path(__file__).parents[1]

#: The share of a plain start that labkit's may take.
START: Final = 0.5

#: What importing labkit may add to importing Celery, in seconds.
IMPORT: Final = 0.35


def _until_it_speaks(*command: str) -> float:
    """Seconds from starting a Python to its first line; what it does after that is not counted."""
    began = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, *command],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    said = process.stdout.readline()
    taken = time.perf_counter() - began
    _, errors = process.communicate(timeout=60)
    if not said.startswith("4"):
        raise RuntimeError(f"no result from python {' '.join(command)}:\n{errors}")
    return taken


def _until_it_ends(code: str) -> float:
    began = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)
    return time.perf_counter() - began


def _start(what: str, options: Sequence[str], most: float | None) -> Row:
    ours = partial(_until_it_speaks, "-m", "bench.first_result", "lab")
    plain = partial(_until_it_speaks, "-m", "bench.first_result", "plain", *options)
    alternate(ours, plain, 1)  # compiles what is imported
    return alternate(ours, plain).ratio(what, most)


def start() -> Iterator[Row]:
    """From a cold `python` to the first result: labkit's lab beside a server and a `celery worker` process.

    A worker as it comes looks around for others for a second; the second line is beside one that does not.
    """
    yield _start("first result, from a cold python", (), START)
    yield _start("  beside a worker --without-mingle", ("--without-mingle", "--without-gossip"), None)


def imports() -> Iterator[Row]:
    """What `import labkit` adds to `import celery`."""
    ours, plain = partial(_until_it_ends, "import celery, labkit"), partial(_until_it_ends, "import celery")
    alternate(ours, plain, 1)
    yield alternate(ours, plain, 20).difference("import labkit", IMPORT)
