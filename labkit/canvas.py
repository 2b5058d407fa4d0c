"""Canvas signatures as they are: what kind, what parts, a copy that shares nothing, and errors for what is none."""

from __future__ import annotations

from collections import OrderedDict, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from copy import deepcopy
from operator import is_
from typing import Any, Final, SupportsIndex

from celery.app.task import Task
from celery.canvas import Signature, _chain, _chord, group, xmap, xstarmap
from celery.local import Proxy
from celery.result import ResultBase
from celery.utils.functional import _regen, regen

from labkit.errors import LabError

#: Options of a call that a reader of a plan wants to see.
SHOWN_OPTIONS: Final = (
    "countdown",
    "eta",
    "expires",
    "queue",
    "routing_key",
    "priority",
    "ignore_result",
    "serializer",
    "time_limit",
    "soft_time_limit",
)

#: Built-in tasks that call another task with each of their items, by the construct that they are.
BUILT_IN: Final = {"celery.map": "map", "celery.starmap": "starmap", "celery.chunks": "chunks"}

#: What an argument can hold that may be changed after it was given.
_CHANGING: Final = frozenset({list, dict, OrderedDict, defaultdict, set, tuple})
#: How deep lists and dicts in each other are copied.
_DEEP: Final = 100


def kind(signature: Signature) -> str:
    """The construct a signature is: ``task``, ``chain``, ``group``, ``chord``, ``map``, ``starmap`` or ``chunks``."""
    for name, cls in (("chain", _chain), ("group", group), ("chord", _chord)):
        if isinstance(signature, cls):
            return name
    # A clone of map, starmap or chunks is a plain Signature of a built-in task.
    if signature.task in BUILT_IN and "it" in (signature.kwargs or ()):
        return BUILT_IN[signature.task]
    return "task"


def members(signature: Signature) -> list[Any]:
    """The parts of a chain, a group or a chord's header, as a list. A generator is read; Celery keeps its items."""
    tasks = signature.tasks
    return list(tasks.tasks if isinstance(tasks, group) else tasks)


def links(options: Mapping[str, Any], option: str) -> list[Any]:
    """The callbacks (``link``) or errbacks (``link_error``) in options: given as one, a list or a tuple."""
    given = options.get(option)
    if given is None:
        return []
    return list(given) if isinstance(given, list | tuple) else [given]


def as_signature(thing: Any, place: str = "this") -> Signature:
    """``thing`` as a signature that shares its options with nobody; a dict or parsed JSON will do.

    Raises ``LabError`` that says what it is instead, and how to make a signature of it.
    """
    if isinstance(thing, Signature):
        return thing
    if isinstance(thing, Task) or (hasattr(thing, "apply_async") and hasattr(thing, "name")):
        name = str(thing.name).rpartition(".")[2]
        raise LabError(f"{place} is the task {name!r} itself, not a signature of it. Write {name}.s(…).")
    if isinstance(thing, ResultBase):
        raise LabError(
            f"{place} is a result: it has been sent already. Leave out the last pair of brackets (or .delay()), "
            "and give the signature itself; to look at a result use labkit.draw(result)."
        )
    if isinstance(thing, dict):
        if not isinstance(thing.get("task"), str):
            raise LabError(f"{place} is a dict, but no signature: it has no 'task' that names one.")
        try:
            full = {"args": (), "options": {}, "kwargs": {}, "subtask_type": None, "immutable": False, **thing}
            return Signature.from_dict({**full, "kwargs": dict(full["kwargs"]), "options": dict(full["options"])})
        except (KeyError, TypeError, ValueError) as error:
            raise LabError(f"{place} is a dict, but no complete signature: {type(error).__name__}: {error}.") from error
    if isinstance(thing, list | tuple):
        raise LabError(f"{place} is a {type(thing).__name__}. Wrap its signatures: chain(…) or group(…).")
    raise LabError(
        f"{place} is of type {type(thing).__name__}, not a signature. "
        "If you called a task while building, as in add(2, 2), write add.s(2, 2)."
    )


def copied(value: Any, seen: dict[int, Any] | None = None, depth: int = 0) -> Any:
    """``value`` with the lists, dicts and sets in it copied, down to a depth of 100; any other object is shared.

    What is in it twice, or in itself, is so in the copy (``seen``: what was copied already, by identity).

    >>> given = [1, {"a": [2]}]
    >>> kept = copied(given)
    >>> given[1]["a"].append(3)
    >>> kept
    [1, {'a': [2]}]
    """
    which = type(value)
    if which not in _CHANGING or depth > _DEEP:
        return value
    seen = {} if seen is None else seen
    if id(value) in seen:
        return seen[id(value)]
    if which is tuple:
        items = [copied(item, seen, depth + 1) for item in value]
        seen[id(value)] = value if all(map(is_, items, value)) else tuple(items)
        return seen[id(value)]
    fresh = seen[id(value)] = value.copy()
    if which is not set:
        for place, item in enumerate(fresh) if which is list else [*fresh.items()]:
            if type(item) in _CHANGING:
                fresh[place] = copied(item, seen, depth + 1)
    return fresh


def copy(thing: Any, place: str = "this") -> Signature:
    """A copy at every depth that Celery would send alike: nothing done to it reaches the original, nor the other way.

    ``Signature.clone`` shares the members of groups, and ``copy.deepcopy`` gives back a bare dict
    (``celery/canvas.py``, Celery 5.7). Arguments are `copied`.
    """
    original = as_signature(thing, place)
    which = kind(original)
    if which == "chord" and original.body is None:
        raise LabError(f"{place} is a chord without a body. Give it one: chord(header, body), or use group(header).")
    if isinstance(original, xmap | xstarmap):
        options = _linked(deepcopy(dict(original.options)))
        return type(original)(original.kwargs["task"], items(original, place), app=original._app, **options)
    fresh = Signature.clone(original)
    _linked(fresh.options)
    fresh.update(args=copied(tuple(original.args or ())), immutable=bool(original.immutable))
    if which in ("chain", "group"):
        fresh.kwargs["tasks"] = _copies(original.tasks, members(original), which)
    elif which == "chord":
        fresh.kwargs["header"] = _copies(original.tasks, members(original), "header")
        fresh.kwargs["body"] = copy(original.body, "the body of the chord")
    elif which == "task":
        fresh.kwargs = copied(dict(original.kwargs or {}))
    else:
        fresh.kwargs["it"] = items(original, place)
    return fresh


def _linked(options: dict[str, Any]) -> dict[str, Any]:
    """Options with copies of the callbacks and errbacks in them: deepcopy has copied the outermost dict of each.

    What is no list stays none: on the body of a chord Celery takes a bare signature for a list of its keys.
    """
    for name, what in (("link", "a callback"), ("link_error", "an errback")):
        if given := options.get(name):
            listed = isinstance(given, list | tuple)
            options[name] = type(given)(copy(each, what) for each in given) if listed else copy(given, what)
    return options


def items(signature: Signature, place: str = "this") -> list[Any]:
    """The items of a ``map``, ``starmap`` or ``chunks``, `copied`. A generator is read; Celery keeps its items.

    Raises ``LabError`` if they are none, or if ``chunks`` is to make parts of less than one item.
    """
    which, given = kind(signature), signature.kwargs["it"]
    size = signature.kwargs.get("n")
    if which == "chunks" and not (isinstance(size, SupportsIndex) and int(size) > 0):
        raise LabError(f"{place} makes chunks of {size!r} items. A chunk has at least one: chunks(items, 10).")
    try:
        return list(map(copied, given))
    except (TypeError, AttributeError) as error:  # Celery wraps what it was given, and finds out when it is read
        raise LabError(f"{place} is a {which} over what has no items ({error}). Give it a list.") from error


def _copies(given: Any, parts: Iterable[Any], where: str) -> Any:
    copies = [copy(part, f"step {n} of the {where}") for n, part in enumerate(parts, 1)]
    # Celery treats a group made from a generator a little differently: leave it one.
    return regen(iter(copies)) if isinstance(given, _regen) else copies


def parts(signature: Signature) -> Iterator[Signature]:
    """A canvas and all signatures in it, at every depth, its callbacks and errbacks too."""
    waiting: list[Any] = [signature]
    while waiting:
        part = as_signature(waiting.pop())
        yield part
        which = kind(part)
        if which in ("chain", "group", "chord"):
            waiting += members(part)
            waiting += [part.body] if which == "chord" else []
        waiting += links(part.options, "link") + links(part.options, "link_error")


def apps(signature: Signature) -> set[Any]:
    """The apps that the tasks of a canvas belong to, where they know it (one made by name alone does not)."""
    which = kind(signature)
    found = {getattr(signature._type, "app", None), signature._app}
    if which in ("chain", "group", "chord"):
        for part in [*members(signature), *([signature.body] if which == "chord" else ())]:
            found |= apps(as_signature(part))
    # What Celery put together from names has a proxy of the app that is current.
    return {each._get_current_object() if isinstance(each, Proxy) else each for each in found} - {None}


def steps(chain: Signature) -> list[Signature]:
    """The steps of a chain as Celery sends them: inner chains spliced, groups joined with what follows.

    A group of one is its member, an empty group is passed over (Celery issues 1656 and 9772), a group with a
    step behind it is a chord, and so is everything behind it until the next step (``_chain.prepare_steps``).
    """
    flat: list[Signature] = []

    def add(step: Any) -> None:
        step = as_signature(step)
        if kind(step) == "chain":
            for inner in members(step):
                add(inner)
        elif kind(step) == "group" and not isinstance(step.tasks, _regen) and len(step.tasks) == 1:
            add(step.tasks[0])
        else:
            flat.append(step)

    for each in members(chain):
        add(each)
    full = [step for step in flat if not (kind(step) == "group" and not members(step))]
    joined: list[Signature] = []
    for step in reversed(full or flat[:1]):
        if kind(step) == "group" and joined:
            chord = _chord([], body=joined.pop(), app=step._app)
            chord.kwargs["header"] = step.tasks  # the very members: given to chord they would be cloned
            joined.append(chord)
        else:
            joined.append(step)
    return joined[::-1]


def entrances(signature: Signature) -> int:
    """How many tasks start when this signature is sent."""
    which = kind(signature)
    if which == "chain":
        first = steps(signature)
        return entrances(first[0]) if first else 0
    if which in ("group", "chord"):
        found = sum(entrances(as_signature(part)) for part in members(signature))
        return found if found or which == "group" else entrances(as_signature(signature.body))
    return 1


def hollow(group: Signature) -> bool:
    """Whether a group or header has parts that Celery counts, though there may be no task in them.

    Groups in it are dissolved; a chord or chain without any task is still waited for (``group._freeze_unroll``).
    """
    parts = map(as_signature, members(group))
    return any(hollow(part) if kind(part) == "group" else True for part in parts)
