"""Every check of the project, one after the other, also when one fails: ``python -m tests``, or ``make test``."""

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Final
from xml.etree import ElementTree

ROOT: Final = Path(__file__).parents[1]
REPORTS: Final = ROOT / "build" / "reports"
PYTEST: Final = [sys.executable, "-m", "pytest", "-q"]
NBVAL: Final = (
    "-n2 --dist loadfile --nbval --nbval-current-env"
    " --nbval-sanitize-with tests/sanitize.cfg --nbval-cell-timeout 60 notebooks"
).split()

CHECKS: Final = {
    "lint": [sys.executable, "-m", "ruff", "check", "-q"],
    "format": [sys.executable, "-m", "ruff", "format", "--check", "-q"],
    "types": [sys.executable, "-m", "mypy"],
}
SUITES: Final = {
    "tests and doctests": [*PYTEST, *"-n2 --dist loadgroup tests labkit".split()],
    "lessons": [*PYTEST, *NBVAL],
}


def counts(report: Path) -> dict[str, int]:
    """Return how many tests passed, failed and were skipped, read from pytest's XML report."""
    if not report.exists():
        return {"passed": 0, "failed": 1, "skipped": 0}
    suites = ElementTree.parse(report).getroot().iter("testsuite")
    total = dict.fromkeys(("tests", "failures", "errors", "skipped"), 0)
    for suite in suites:
        for key in total:
            total[key] += int(suite.get(key, 0))
    failed = total["failures"] + total["errors"]
    return {"passed": total["tests"] - failed - total["skipped"], "failed": failed, "skipped": total["skipped"]}


def run(name: str, command: list[str]) -> bool:
    """Run one stage, its output going where ours goes; return whether it succeeded."""
    print(f"\n=== {name}", flush=True)
    started = time.monotonic()
    succeeded = subprocess.run(command, cwd=ROOT, env=os.environ | {"PYTHONUNBUFFERED": "1"}).returncode == 0
    print(f"=== {name}: {'passed' if succeeded else 'FAILED'} ({time.monotonic() - started:.0f} s)", flush=True)
    return succeeded


def main() -> int:
    """Run all; the last line tells the totals, in which lint, format and types count as one test each."""
    REPORTS.mkdir(parents=True, exist_ok=True)
    total = {"passed": 0, "failed": 0, "skipped": 0}
    failed = []
    for name, command in CHECKS.items():
        succeeded = run(name, command)
        total["passed" if succeeded else "failed"] += 1
        if not succeeded:
            failed.append(name)
    for name, command in SUITES.items():
        report = REPORTS / f"{name.replace(' ', '-')}.xml"
        report.unlink(missing_ok=True)
        succeeded = run(name, [*command, f"--junit-xml={report}"])
        found = counts(report)
        if not succeeded:
            failed.append(name)
            found["failed"] = max(found["failed"], 1)  # a suite that found no test has failed too
        for key, number in found.items():
            total[key] += number
    print(f"\nFAILED: {', '.join(failed)}" if failed else "\nEverything passed.")
    print(", ".join(f"{number} {key}" for key, number in total.items()), flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
