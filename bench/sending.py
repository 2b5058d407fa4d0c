"""A workflow sent through labkit beside the same one sent plainly: two warm processes that take turns."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Final

from bench.measure import Row, alternate
from labkit.broker import Broker

#: What labkit may cost: plan, record and look after a run.
MOST: Final = 1.15


class Side:
    """A process of `bench.side`."""

    def __init__(self, kind: str, url: str = "") -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "bench.side", kind],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            bufsize=1,
            env=os.environ | {"BENCH_BROKER": url},
        )
        self._answer()

    def _answer(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"one side of the comparison has ended with status {self._process.wait()}")
        return line

    def seconds(self, workflow: str) -> float:
        """How long this workflow takes there, from sending it to its value."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{workflow}\n")
        return float(self._answer())

    def end(self) -> None:
        """End it."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(20)


@contextmanager
def sides() -> Iterator[tuple[Side, Side]]:
    """Labkit's side and Celery's, each with a server of its own."""
    with ExitStack() as stack:
        server = Broker.start()
        stack.callback(server.stop)
        both = []
        for side in (("lab",), ("plain", server.url)):
            both.append(Side(*side))
            stack.callback(both[-1].end)
        yield both[0], both[1]


def chain() -> Iterator[Row]:
    """A chain of three."""
    with sides() as (lab, plain):
        alternate(lambda: lab.seconds("chain"), lambda: plain.seconds("chain"), 20)
        pairs = alternate(lambda: lab.seconds("chain"), lambda: plain.seconds("chain"), 200)
    yield pairs.ratio("chain of three", MOST)


def chord() -> Iterator[Row]:
    """A chord of 1,000."""
    with sides() as (lab, plain):
        alternate(lambda: lab.seconds("chord 100"), lambda: plain.seconds("chord 100"), 3)
        pairs = alternate(lambda: lab.seconds("chord 1000"), lambda: plain.seconds("chord 1000"), 14)
    yield pairs.ratio("chord of 1,000", MOST)
