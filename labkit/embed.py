"""Signatures as messages carry them, as plain dicts: the ids in them, and what is worth showing of a map."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def first_id(signature: Any) -> str | None:
    """The id of the first task of a signature as a message carries it (a dict), ``None`` if it has none.

    >>> first_id({"task": "celery.chain", "kwargs": {"tasks": [{"task": "add", "options": {"task_id": "a"}}]}})
    'a'
    """
    kwargs = signature.get("kwargs") or {}
    parts = kwargs.get("tasks") if "tasks" in kwargs else kwargs.get("header")
    if signature.get("task") in ("celery.chain", "celery.group", "celery.chord") and parts is not None:
        parts = parts.get("kwargs", {}).get("tasks", ()) if isinstance(parts, dict) else parts
        for part in [*parts, *([kwargs["body"]] if kwargs.get("body") else ())]:
            return first_id(part)
    found = (signature.get("options") or {}).get("task_id")
    return str(found) if found else None


def ids_in(*parts: Any) -> list[str]:
    """All task ids in signatures as messages carry them."""
    found: list[str] = []
    waiting = [part for part in parts if part and not isinstance(part, str)]
    while waiting:
        part = waiting.pop()
        if isinstance(part, list | tuple):
            waiting.extend(part)  # not +=: a group made from a generator has a list that would take over
        elif isinstance(part, dict):
            options, kwargs = part.get("options") or {}, part.get("kwargs") or {}
            if options.get("task_id"):
                found.append(options["task_id"])
            if isinstance(options.get("chain"), list):
                waiting.extend(options["chain"])
            if part.get("task") in ("celery.chain", "celery.group", "celery.chord"):
                for name in ("tasks", "header", "body"):
                    if kwargs.get(name):
                        inner = kwargs[name]
                        waiting.extend(inner if isinstance(inner, list | tuple) else [inner])
    return found


def counted(task: str, kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of a message; of ``map``, ``starmap`` and ``chunks`` the task's name and the number of items.

    >>> counted("celery.map", {"task": {"task": "tasks.xsum"}, "it": [[1], [2]]})
    {'task': 'tasks.xsum', 'items': 2}
    """
    items, inner = kwargs.get("it"), kwargs.get("task")
    if not task.startswith("celery.") or not isinstance(items, list | tuple) or not isinstance(inner, dict):
        return dict(kwargs)
    size = {"n": kwargs["n"]} if "n" in kwargs else {}
    return {"task": inner.get("task"), "items": len(items), **size}
