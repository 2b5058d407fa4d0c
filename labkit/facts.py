"""Facts as they are read: without messages that never went out, each with the run of its id that it is about."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from labkit.embed import ids_in

_Fact = Mapping[str, Any]


def gone_out(facts: Sequence[_Fact]) -> Sequence[_Fact]:
    """The facts, in the order of their times, without the messages that could not be sent after all.

    >>> out, bad = ({"kind": "published", "id": "a", "retries": 0, "n": n} for n in (1, 2))
    >>> [fact["n"] for fact in gone_out([out, bad, {"kind": "unsent", "id": "a", "retries": 0}]) if "n" in fact]
    [1]
    """
    if not any(fact["kind"] == "unsent" for fact in facts):
        return facts
    left: list[_Fact | None] = []
    last: dict[tuple[str, int], int] = {}
    for fact in facts:
        if fact["kind"] == "published":
            last[fact["id"], fact["retries"]] = len(left)
        elif fact["kind"] == "unsent" and (place := last.get((fact["id"], fact["retries"]))) is not None:
            left[place] = None
        left.append(fact)
    return [fact for fact in left if fact is not None]


def deepened(facts: Sequence[_Fact]) -> Iterator[_Fact]:
    """The facts, in the order of their times, each with the ``nesting`` that it has in truth.

    A message tells how many replacements led to it. But where a task was replaced by a chord with steps behind it,
    the last of these steps, which has the task's id, comes with none (celery/canvas.py: the options of a replacement
    go to the chord). That there will be such a step is told by the messages of the chord: they carry the id of their
    own parent. What that step sends in its own place counts from it.

    >>> header = {"kind": "published", "id": "b", "parent": "a", "retries": 0, "nesting": 1, "chord": None}
    >>> step = {"kind": "published", "id": "a", "parent": "b", "retries": 0, "nesting": 0, "chord": None, "chain": None}
    >>> told = [{**header, "chain": [{"task": "t", "options": {"task_id": "a"}}]}, step, {"kind": "started", "id": "a"}]
    >>> [fact["nesting"] for fact in deepened(told)]
    [1, 1, 1]
    """
    if not any(fact.get("nesting") for fact in facts):
        yield from facts
        return
    known: set[str] = set()
    coming: set[str] = set()
    top: dict[str, int] = {}
    shift: dict[str, int] = {}
    left: dict[str, int] = {}
    for fact in facts:
        id, raw = fact["id"], fact.get("nesting") or 0
        depth = raw + shift[id] if id in shift else raw
        if fact["kind"] == "published":
            parent = fact["parent"]
            if id in coming and not fact["retries"] and parent:
                coming.discard(id)
                if depth <= top.get(id, 0):
                    depth = top.get(id, 0) + 1
                    shift[id] = depth - raw
            elif raw and parent != id and parent in shift:
                fact = {**fact, "chord": _deeper(fact["chord"], shift[parent])}
                depth += shift[parent]
            if depth:
                top[id] = max(depth, top.get(id, 0))
            if raw and parent and parent in ids_in(fact["chain"], fact["chord"]):
                known.add(parent)
                coming.add(parent)
        elif fact["kind"] == "ended" and fact["state"] == "IGNORED":
            # What comes in the place of a task may be sent a moment before that task's own end is told.
            depth = min(left.get(id, raw), top.get(id, 0)) if id in known else depth
            left[id] = depth + 1
        yield fact if depth == raw else {**fact, "nesting": depth}


def _deeper(body: Any, by: int) -> Any:
    """The body that a message carries, by so many replacements deeper."""
    if not isinstance(body, dict):
        return body
    options = body.get("options") or {}
    nesting = (options.get("replaced_task_nesting") or 0) + by
    return {**body, "options": {**options, "replaced_task_nesting": nesting}}
