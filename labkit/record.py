"""What happened to one workflow: ordered facts, folded to its Graph at any moment; JSON in and out."""

from __future__ import annotations

import json
import math
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from celery.result import ResultBase
from kombu.utils.json import dumps

from labkit.embed import ids_in
from labkit.errors import LabError
from labkit.graph import Graph
from labkit.happened import fold
from labkit.redact import Redaction

if TYPE_CHECKING:
    from labkit.why import Why

#: One thing that happened: ``kind`` (what), ``id`` (to which task), ``at`` (when, seconds since the epoch), ``n``
#: (its place among the facts of one process), and what belongs to the kind. Plain data, ready for JSON.
Fact = dict[str, Any]

#: The version of a saved recording.
SCHEMA: Final = 1

#: Longest text, in characters, that is kept of one argument, value or error.
KEPT: Final = 20_000

#: Longest whole number, in bits, that is kept as one: Python refuses to write out much longer ones.
_DIGITS: Final = 4096

#: How deep lists and dicts in each other are saved as such.
_DEEP: Final = 100

#: Most facts that one recording keeps; those after it are counted, not kept.
MOST: Final = 1_000_000


def snapshot(value: Any, kept: int = KEPT) -> Any:
    """``value`` as it travels in JSON, a copy; what is too long or no JSON as bounded text.

    >>> snapshot((1, 2)), snapshot(float("nan")), snapshot({1, 2})
    ([1, 2], 'nan', '{1, 2}')
    """
    if value is None or value is True or value is False or (type(value) is int and value.bit_length() <= _DIGITS):
        return value
    if type(value) is float:
        return value if math.isfinite(value) else str(value)
    if type(value) is str:
        return _bounded(value, kept)
    try:
        text = dumps(value)
        if len(text) <= kept and "NaN" not in text and "Infinity" not in text:
            return json.loads(text) if "__type__" not in text else _described(value, kept)
    except Exception:  # whatever an object does when it is encoded: it is described instead
        pass
    return _described(value, kept)


def _described(value: Any, kept: int) -> str:
    try:
        text = str(value) if isinstance(value, ResultBase) else repr(value)
    except Exception:  # a repr that raises must not reach the task that returned the object
        text = f"<{type(value).__name__}: its repr raises>"
    return _bounded(text, kept)


def _bounded(text: str, kept: int) -> str:
    """``text`` with its end left out so that it fits; what fits stays as it is, also when it is looked at again."""
    said = f"… ({len(text)} characters)"
    return text if len(text) <= kept else f"{text[: max(0, kept - len(said))]}{said}"


def arguments(args: Iterable[Any], kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of a call, each of them a `snapshot`; the items of a map one by one, so that they can be counted.

    >>> arguments((1, {2}), {"x": (3,)})
    {'args': [1, '{2}'], 'kwargs': {'x': [3]}}
    """
    named = {str(name): snapshot(value) for name, value in kwargs.items() if name != "it"}
    if "it" in kwargs:
        items = kwargs["it"]
        named["it"] = [snapshot(item) for item in items] if isinstance(items, list | tuple) else snapshot(items)
    return {"args": [snapshot(value) for value in args], "kwargs": named}


class Recording:
    """The facts of one workflow and the plan they belong to.

    ``plan`` is the Graph of what was sent, ``facts`` what happened since, ``dropped`` how many facts came after
    ``MOST``. Facts may be added from any thread; what ``redaction`` hides is not in them.
    """

    def __init__(
        self, plan: Graph | None = None, facts: Iterable[Fact] = (), redaction: Redaction | None = None
    ) -> None:
        self.plan = plan or Graph()
        self.facts: list[Fact] = list(facts)
        self.redaction = redaction or Redaction()
        #: The tasks of the messages heard of, by id: values are redacted by the name of the task.
        self._tasks = {fact["id"]: fact["task"] for fact in self.facts if fact["kind"] == "published"}
        self.dropped = 0
        self.known: set[str] = {node.id for node in self.plan.nodes.values() if node.id}
        self.over = threading.Event()
        #: The ids of tasks that a worker which does not report will have sent.
        self.expected: set[str] = set()
        self.deferred: set[str] = set()
        self._open: dict[str, int] = {}
        self._busy = 0
        self._sending = False
        self._lock = threading.RLock()  # who is told that it is over may ask what is open
        self._listeners: list[Callable[[Fact], None]] = []
        self._folded: tuple[int, Graph] = (-1, Graph())
        self._view: Any = None

    def add(self, kind: str, id: str | None, **more: Any) -> Fact:
        """Note a fact, now (or ``at``, seconds since the epoch). Tells it to the listeners; never raises for them.

        The arguments of a message are as they are to be recorded: who saw the call itself has redacted them.
        """
        return self._note({"kind": kind, "id": id, "at": more.pop("at", None) or time.time(), **more})

    def take(self, fact: Fact) -> Fact:
        """Note a fact that has its time, such as one of another process, which redacts nothing."""
        if fact["kind"] == "published" and self.redaction.redact:
            fact |= arguments(*self.redaction.call(fact["task"], fact["args"], fact["kwargs"]))
        return self._note(fact)

    def _note(self, fact: Fact) -> Fact:
        id, hides = fact["id"], self.redaction.redact is not None
        if fact["kind"] == "published":
            if hides or id not in self.known:  # what the plan has can no longer change
                self.redaction.embedded(fact)
            if hides:
                self._tasks[id] = fact["task"]
        elif hides and "value" in fact:
            task = self._tasks.get(id) or next((node.task for node in self.plan.by_id(id)), None)
            fact["value"] = snapshot(self.redaction.value(task, fact["value"]))
        fact["n"] = len(self.facts)
        if len(self.facts) < MOST:
            self.facts.append(fact)
        else:
            self.dropped += 1
        self._tell(fact)
        return fact

    def _tell(self, fact: Fact) -> None:
        for listener in self._listeners:
            try:
                listener(fact)
            except Exception:  # a view that breaks must not fail the task that is being watched
                self.ignore(listener)

    def forget(self, number: int) -> set[str]:
        """Drop the oldest facts, and all that is known of tasks that no other fact is about. Returns their ids."""
        dropped, self.facts[:number] = self.facts[:number], []
        ids = {id for fact in dropped for id in _ids(fact)} - {id for fact in self.facts for id in _ids(fact)}
        with self._lock:
            self.known -= ids
            self.deferred -= ids
            for id in ids:
                self._tasks.pop(id, None)
                self._count(id, -self._open.get(id, 0))
        return ids

    @property
    def graph(self) -> Graph:
        """The workflow as far as the facts tell. Folded when asked for; the same object until a fact is added."""
        seen = len(self.facts)
        if self._folded[0] != seen:
            self._folded = (seen, fold(self.plan, self.facts[:seen]))
        return self._folded[1]

    def listen(self, listener: Callable[[Fact], None]) -> None:
        """Call ``listener`` with each fact from now on, in whichever thread it happens."""
        self._listeners = [*self._listeners, listener]

    def ignore(self, listener: Callable[[Fact], None]) -> None:
        """Stop calling ``listener``."""
        self._listeners = [each for each in self._listeners if each != listener]

    # --- when it is over ------------------------------------------------------------------------------------

    def sending(self) -> None:
        """The canvas is being sent: it is not over before `sent`, whatever its first tasks have done."""
        self._sending = True
        self.over.clear()

    def sent(self) -> None:
        """All of the canvas has been sent."""
        with self._lock:
            self._sending = False
            self._check()

    def opened(self, id: str) -> None:
        """One more message with this id is on its way."""
        with self._lock:
            self._count(id, 1)
            if self._busy:
                self.over.clear()
            self._check()

    def closed(self, id: str) -> None:
        """A message with this id has been dealt with: run, refused or revoked, and all it published is out.

        Of other processes this can be heard before the message itself is.
        """
        with self._lock:
            self._count(id, -1)
            self._check()

    def _count(self, id: str, more: int) -> None:
        before = self._open.get(id, 0)
        left = before + more
        self._busy += (left > 0) - (before > 0)
        if left:
            self._open[id] = left
        else:
            self._open.pop(id, None)

    def _check(self) -> None:
        if not self._sending and not self._busy and not self.over.is_set():
            self.over.set()
            self._tell({"kind": "over", "id": None, "at": time.time(), "n": len(self.facts)})

    @property
    def coming(self) -> tuple[str, ...]:
        """The open ids without those that have an ETA or lie in a queue that the embedded worker does not serve."""
        return tuple(id for id in self.open if id not in self.deferred)

    @property
    def open(self) -> tuple[str, ...]:
        """The ids of messages that are on their way or running."""
        with self._lock:
            return tuple(id for id, left in self._open.items() if left > 0)

    # --- saving ---------------------------------------------------------------------------------------------

    def to_json(self) -> str:
        """The recording as JSON text, with the version of its schema."""
        return json.dumps({"schema": SCHEMA, "plan": _plain(self.plan.to_dict()), "facts": _plain(self.facts)})

    @classmethod
    def from_json(cls, text: str) -> Recording:
        """A recording from `to_json`'s text; it folds to an equal Graph.

        Raises ``LabError`` if the text is no recording, or of a later version.
        """
        try:
            data = json.loads(text)
            schema = data["schema"]
            if schema != SCHEMA:
                raise LabError(
                    f"this recording has schema {schema}; this labkit reads {SCHEMA}. Install the newer one."
                )
            recording = cls(Graph.from_dict(data["plan"]), data["facts"])
            recording.graph  # noqa: B018  # whether the facts can be folded is found out here
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise LabError(f"this is no saved recording ({type(error).__name__}: {error}).") from error
        recording.over.set()
        return recording

    def why(self, name: str) -> Why:
        """Why the node called ``name`` (``"#7"``, a key or a task id) is as it is, as far as the facts tell.

        Raises ``LabError`` if there is no such node.
        """
        from labkit.why import why  # it explains recordings, so it must know them

        return why(self.graph, name, None, self)

    def save(self, path: str | Path) -> None:
        """Write `to_json`'s text to a file."""
        Path(path).write_text(self.to_json(), encoding="utf-8")

    def __repr__(self) -> str:
        return f"<Recording: {len(self.facts)} facts>"

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:
        """What happened, drawn (the plan until it is over), and in a notebook the player: it replays the facts."""
        from labkit.draw import Drawing  # loads when first used

        bundle = Drawing(self.graph if self.over.is_set() else self.plan)._repr_mimebundle_(include, exclude)
        try:
            from labkit.view import widget  # needs the extra "jupyter"
        except ImportError:
            return bundle
        return bundle | widget.mimebundle(self._viewed)

    def _viewed(self) -> Any:
        """The live view: one for this recording, wherever it is shown."""
        from labkit.view.widget import View

        self._view = self._view or View(self)
        return self._view


def _ids(fact: Fact) -> list[str]:
    """The id of a fact, and those of what its message carries."""
    return [fact["id"], *ids_in(fact.get("chain"), fact.get("chord"))]


def _plain(value: Any, depth: int = 0) -> Any:
    """``value`` with everything that JSON has no word for, or that is too deep, snapshot."""
    if isinstance(value, Mapping) and depth < _DEEP:
        return {str(key): _plain(item, depth + 1) for key, item in value.items()}
    if isinstance(value, list | tuple) and depth < _DEEP:
        return [_plain(item, depth + 1) for item in value]
    return snapshot(value)


def load(path: str | Path) -> Recording:
    """A recording saved with ``run.save("run.json")``, to look at without any worker.

    Raises ``LabError`` if the file is not there or is no recording.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise LabError(
            f"cannot read {Path(path).name}: {error.strerror if isinstance(error, OSError) else error}."
        ) from error
    return Recording.from_json(text)
