"""What a check says of an error, and of a signature that was changed: the slip behind it, where that is known."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator
from itertools import zip_longest
from types import FrameType
from typing import Any, Final

from celery.canvas import Signature, _chord

from labkit.canvas import SHOWN_OPTIONS
from labkit.errors import LabError

#: What is said of a value that cannot travel: the property, and what is expected.
NOT_JSON: Final = ("what a task hands on can be written as JSON", "numbers, text, lists, dicts, True or None")

#: Options of a call that are taken for arguments of the task.
_OPTIONS: Final = (*SHOWN_OPTIONS, "link", "link_error")

#: Methods of Celery whose first argument is all arguments of the task.
_TAKE_A_TUPLE: Final = ("apply_async", "clone", "signature")

#: What an error of the lab advises those who call the lab; an answer is sent by its check.
_ADVICE: Final = (
    " Wait longer with wait(timeout=…), or see run.graph.",
    "; to look at a result use labkit.draw(result)",
)

#: How many registered tasks are named where one is missing, and how much is shown of a long name.
_NAMES: Final = 12
_LONG: Final = 60

#: What stands in a dict that has nothing in some place.
_NOTHING: Final = object()


def slip(error: BaseException | None) -> tuple[str, str] | None:
    """The property that was violated where Celery raised ``error``, and what is expected; ``None`` if it is not known.

    >>> from celery import signature
    >>> try:
    ...     signature("tasks.sub").clone(5)
    ... except TypeError as error:
    ...     print(*slip(error), sep=" / ")
    clone takes the task's arguments as one tuple / clone((5,)): a tuple of one has a comma
    """
    frames = list(_frames(error))
    if not isinstance(error, TypeError) or not frames or not _of_celery(frames[-1]):
        return None
    said = str(error)
    found = re.search(r"unexpected keyword argument '(\w+)'", said)
    if found and found[1] in _OPTIONS:
        option = f"{found[1]}=…"
        by_the_lab = any(frame.f_globals.get("__name__") in ("labkit.lab", "labkit.sending") for frame in frames)
        expected = f".set({option}) on the signature" if by_the_lab else f"apply_async((…), {option})"
        return f"{found[1]} is an option, not an argument of the task", expected
    if said.endswith("multiple values for argument 'args'"):
        return "set() is given options, not arguments", "clone((…,))"
    if any(isinstance(each, _chord) and each.body is None for each in _values(frames[-1])):
        return "a chord has a body before a step follows it", "chord(header, body)"
    if any(frame.f_code.co_name == "__call__" and isinstance(frame.f_locals.get("self"), _chord) for frame in frames):
        return "a chord called with its body is sent at once", "chord(header, body), which only builds"
    for frame in filter(_of_celery, frames):
        name, given = frame.f_code.co_name, frame.f_locals
        args = given.get("args")
        if isinstance(args, tuple) and len(args) == 1 and isinstance(args[0], tuple) and " missing " in said:
            return "each argument is given by itself, not all as one tuple", ", ".join(map(repr, args[0]))
        if name in _TAKE_A_TUPLE and args is not None and not isinstance(args, list | tuple):
            kwargs = given.get("kwargs")
            more = given.get("starargs") or ([] if isinstance(kwargs, dict | None) else [kwargs])
            shown = repr((args, *more)) if more else f"({args!r},)"
            comma = "" if more else ": a tuple of one has a comma"
            return f"{name} takes the task's arguments as one tuple", f"{name}({shown}){comma}"
    return None


def _frames(error: BaseException | None) -> Iterator[FrameType]:
    """The calls that an error went through, the innermost last."""
    trace = error.__traceback__ if error else None
    while trace:
        yield trace.tb_frame
        trace = trace.tb_next


def _of_celery(frame: FrameType) -> bool:
    """Whether Celery is called there, or the lab looks for it whether it would refuse a call."""
    name = str(frame.f_globals.get("__name__"))
    return name.startswith("celery.") or name == "labkit.sending"


def _values(frame: FrameType) -> Iterator[Any]:
    """The variables of a call, and what is in its lists."""
    for value in frame.f_locals.values():
        yield value
        if isinstance(value, list):
            yield from value


def plainly(error: LabError) -> str:
    """What an error of the lab says, without advice that is not for an answer."""
    said = str(error)
    for advice in _ADVICE:
        said = said.replace(advice, "")
    return said


def unregistered(name: str, names: Collection[str]) -> str:
    """What to say of a task that is not among the names.

    >>> unregistered("task.add", ["tasks.add", "tasks.mul"])
    "no task 'task.add' is registered with this app. Did you mean 'tasks.add'?"
    >>> unregistered("plus", ["tasks.add", "tasks.mul"])
    "no task 'plus' is registered with this app. Registered are: tasks.add, tasks.mul"
    """
    known = sorted(each for each in names if not each.startswith("celery."))
    alike = [each for each in known if each.rpartition(".")[2] == name.rpartition(".")[2]]
    listed = f"{', '.join(known[:_NAMES])}{', …' if len(known) > _NAMES else ''}"
    shown = f"{name[:_LONG]}…" if len(name) > _LONG else name
    found = f"Did you mean {alike[0]!r}?" if alike else f"Registered are: {listed}"
    return f"no task {shown!r} is registered with this app. {found}"


def differences(before: Any, after: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """What differs between two signatures as parsed JSON: place and value before, place and value after.

    >>> list(differences({"args": [1], "options": {"countdown": 2}}, {"args": [1, 3], "options": {}}))
    [('no args[1]', 'args[1] 3'), ('options.countdown 2', 'no options.countdown')]
    """
    if isinstance(before, dict) and isinstance(after, dict):
        for key in dict.fromkeys((*before, *after)):
            place = f"{path}.{key}".lstrip(".")
            yield from differences(before.get(key, _NOTHING), after.get(key, _NOTHING), place)
    elif isinstance(before, list) and isinstance(after, list):
        for number, (was, now) in enumerate(zip_longest(before, after, fillvalue=_NOTHING)):
            yield from differences(was, now, f"{path}[{number}]")
    elif before is _NOTHING or after is _NOTHING or before != after:
        yield _at(path, before), _at(path, after)


def _at(path: str, value: Any) -> str:
    if value is _NOTHING:
        return f"no {path}"
    signatures = value if isinstance(value, list) else [value]
    if all(isinstance(each, dict) and "task" in each for each in signatures):
        return f"{path} {', '.join(repr(Signature.from_dict(each)) for each in signatures):.60}"
    return f"{path} {json.dumps(value):.60}"
