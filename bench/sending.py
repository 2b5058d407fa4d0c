"""A workflow sent through labkit beside the same one sent plainly: warm processes that take turns."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Final

from bench.measure import Row, alternate
from labkit.broker import Broker

#: What labkit may cost: to plan, to record and to look after a run.
MOST: Final = 1.15


class Side:
    """A process of `bench.side`: ``lab``, ``plain`` or ``quick``, which need the URL of a broker."""

    def __init__(self, kind: str, url: str = "", module: str = "bench.side") -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", module, kind],
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
            raise RuntimeError(f"one side of the comparison has ended, with status {self._process.wait()}")
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
def sides(other: str) -> Iterator[tuple[Side, Side]]:
    """Labkit's side and Celery's, each with a server of its own."""
    with ExitStack() as stack:
        lab = Side("lab")
        stack.callback(lab.end)
        server = Broker.start()
        stack.callback(server.stop)
        plain = Side(other, server.url)
        stack.callback(plain.end)
        yield lab, plain


def _compare(what: str, workflow: str, pairs: int, other: str, warm_up: int) -> Row:
    with sides(other) as (lab, plain):
        alternate(lambda: lab.seconds(workflow), lambda: plain.seconds(workflow), warm_up)
        return alternate(lambda: lab.seconds(workflow), lambda: plain.seconds(workflow), pairs).ratio(what, MOST)


def chain() -> Iterator[Row]:
    """A chain of three."""
    yield _compare("chain of three", "chain", 200, "plain", 20)


def chord() -> Iterator[Row]:
    """A chord of 1,000, and the same beside a plain `get` that leaves out what makes Celery's own slow.

    ``AsyncResult.get`` asks each header, after each message, whether it failed; a run asks once, when all is over. So
    the second line is what planning and recording cost.
    """
    yield _compare("chord of 1,000", "chord 1000", 10, "plain", 1)
    yield _compare("  beside get(follow_parents=False)", "chord 1000", 10, "quick", 1)
