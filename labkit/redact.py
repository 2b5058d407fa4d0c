"""What is kept out of a recording: the user's ``redact``, wherever arguments and values are recorded."""

from __future__ import annotations

from collections.abc import Callable, Mapping, MutableMapping
from typing import Any, Final

from labkit import canvas
from labkit.graph import Graph

#: ``redact(task, args, kwargs)`` returns the arguments to record.
Redact = Callable[[str, tuple[Any, ...], dict[str, Any]], tuple[Any, Any]]

#: What is recorded where ``redact`` raises, or returns no arguments.
HIDDEN: Final = "***"

#: What signatures in a message are called, and where others are inside them.
_EMBEDDED: Final = ("chain", "chord", "link", "link_error")
_WHOLES: Final = ("celery.chain", "celery.group", "celery.chord")
_INSIDE: Final = ("tasks", "header", "body")


class Redaction:
    """``redact``, applied to calls, signatures, values and facts; without one they stay as they are.

    It is given copies, so whatever it does with them harms no message; where it raises, all is hidden.
    """

    def __init__(self, redact: Redact | None = None) -> None:
        self.redact = redact
        self._last: tuple[Any, Any] = (None, None)

    def call(self, task: str, args: Any, kwargs: Mapping[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """The arguments of a call as they are recorded; of a map each item is a call of its task.

        >>> Redaction(lambda task, args, kwargs: (["?" for _ in args], kwargs)).call("tasks.add", (1, 2), {})
        (('?', '?'), {})
        """
        if self.redact is None:
            return tuple(args), dict(kwargs)
        if task in canvas.BUILT_IN and "it" in kwargs:
            return (HIDDEN,) * len(args), self._items(task, kwargs)
        try:
            shown, named = self.redact(task, canvas.copied(tuple(args)), canvas.copied(dict(kwargs)))
            return tuple(shown), dict(named)
        except Exception:  # whatever it does, nothing that it may want hidden is recorded
            return (HIDDEN,) * len(args), dict.fromkeys(kwargs, HIDDEN)

    def _items(self, task: str, kwargs: Mapping[str, Any]) -> dict[str, Any]:
        inner, items = kwargs.get("task"), kwargs["it"]
        if not isinstance(inner, Mapping) or not isinstance(items, list | tuple):
            return {name: HIDDEN for name in kwargs if name != "it"}
        name = str(inner.get("task"))
        shown: list[Any] = []
        for item in items:
            if task == "celery.map" or not isinstance(item, list | tuple):
                shown.append(self.value(name, item))
            else:
                shown.append(list(self.call(name, item, {})[0]))
        return {**kwargs, "task": self.signature(inner), "it": shown}

    def value(self, task: str | None, value: Any) -> Any:
        """A value as it is recorded: what is left of it as the only argument of the task that returned it."""
        if self.redact is None or value is None:
            return value
        args = self.call(task, (value,), {})[0] if task else ()
        return args[0] if len(args) == 1 else HIDDEN

    def signature(self, given: Any) -> Any:
        """A copy of a signature, or of a list of them, with its arguments as they are recorded."""
        if isinstance(given, list | tuple):
            return [self.signature(each) for each in given]
        if not isinstance(given, Mapping):
            return given
        task, kwargs, options = str(given.get("task")), given.get("kwargs") or {}, given.get("options") or {}
        inside = {name: self.signature(kwargs[name]) for name in _INSIDE if task in _WHOLES and name in kwargs}
        own = {name: value for name, value in kwargs.items() if name not in inside}
        args, named = self.call(task, given.get("args") or (), own)
        if self.redact is None:
            args, named = canvas.copied((args, named))
        options = {
            name: self.signature(each) if name in _EMBEDDED else canvas.copied(each) for name, each in options.items()
        }
        return {**given, "args": args, "kwargs": named | inside, "options": options}

    def plan(self, graph: Graph) -> None:
        """Redact the calls of a plan, in place; those that are still partial without what is to come in front."""
        if self.redact is None:
            return
        for node in graph.nodes.values():
            if node.task not in canvas.BUILT_IN or "items" not in node.kwargs:  # else only their number is shown
                node.args, node.kwargs = self.call(node.task, node.args, node.kwargs)

    def embedded(self, fact: MutableMapping[str, Any]) -> None:
        """Put copies, as they are recorded, in place of the signatures that the fact of a message has."""
        for name in _EMBEDDED:
            if isinstance(given := fact.get(name), Mapping):
                last = self._last  # another thread may change it
                if last[0] is not given:  # all headers of a chord carry the same body
                    last = self._last = (given, self.signature(given))
                fact[name] = last[1]
            elif given:
                fact[name] = self.signature(given)
