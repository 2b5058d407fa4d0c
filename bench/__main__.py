"""All benchmarks, or those named: ``python -m bench [name…]``, or ``make bench`` for all."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from typing import Final

from bench import crossing, measure, scale, sending, starting, view

#: What can be measured, by name.
BENCHMARKS: Final[dict[str, Callable[[], Iterator[measure.Row]]]] = {
    "start": starting.start,
    "import": starting.imports,
    "chain": sending.chain,
    "chord": sending.chord,
    "crossing": crossing.chord,
    "plan": scale.plan,
    "recording": scale.recording,
    "unplanned": scale.unplanned,
    "view": view.live,
}


def main(names: list[str]) -> int:
    """Measure, and print one table. 0, whether bounds are met or not; 2 if there is no benchmark of such a name."""
    if unknown := set(names) - set(BENCHMARKS):
        print(f"no benchmark {', '.join(sorted(unknown))}; there are: {', '.join(BENCHMARKS)}", file=sys.stderr)
        return 2
    began = time.monotonic()
    rows: list[measure.Row] = []
    for name in names or BENCHMARKS:
        print(f"measuring: {name}", file=sys.stderr, flush=True)
        rows += BENCHMARKS[name]()
    print(*measure.lines(rows), sep="\n")
    missed = sum(row.met is False for row in rows)
    busy = f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores" if hasattr(os, "getloadavg") else "load unknown"
    print(f"\n{missed or 'no'} bound{'' if missed == 1 else 's'} missed; {time.monotonic() - began:.0f} s, {busy}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
