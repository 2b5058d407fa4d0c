"""The tasks of the lessons: a plain Celery project, run by ``celery -A tasks worker``."""

from tasks.app import app
from tasks.arithmetic import (
    add,
    count,
    fail,
    ident,
    mul,
    noarg,
    note,
    power,
    report_error,
    report_failure,
    slow,
    sub,
    xsum,
)

__all__ = [
    "add",
    "app",
    "count",
    "fail",
    "ident",
    "mul",
    "noarg",
    "note",
    "power",
    "report_error",
    "report_failure",
    "slow",
    "sub",
    "xsum",
]
