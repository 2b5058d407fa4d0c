"""Small changes that make the code wrong. Each is to turn the tests named beside it red."""

from dataclasses import dataclass
from typing import Final

TESTS: Final = ("tests/test_lab.py",)


@dataclass(frozen=True)
class Sabotage:
    """In ``file`` the text ``old``, which is there exactly once, becomes ``new``."""

    what: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...] = TESTS


SABOTAGES: Final = (Sabotage("x", "labkit/plan.py", "a", "b"),)
