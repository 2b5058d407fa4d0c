"""A recording as the browser gets it: the shape when it changes, and the facts since the last time, in batches."""

from __future__ import annotations

import time
from typing import Any, Final

from labkit.graph import Graph
from labkit.record import Fact, Recording
from labkit.view.shape import Shape, Tasks, plain_fact, signature

#: Working out the shape anew may take this share of the time.
_SHARE: Final = 0.1


class Feed:
    """What one view has been told of a recording. Asks nothing of Jupyter: `news` is called when there is time.

    ``late`` are the names of tasks that are acknowledged late, ``lanes`` the slots to show from the beginning.
    """

    def __init__(self, recording: Recording, late: tuple[str, ...] = (), lanes: tuple[str, ...] = ()) -> None:
        self.recording, self.late, self.lanes = recording, late, lanes
        self.tasks = Tasks()
        self.since: float | None = None
        self.told = 0
        self._told_version = -1
        self._latest = 0.0
        self._aged = 0
        self._doubt = False
        self._next = 0.0
        self._version = 0
        self._shape: Shape | None = None

    @property
    def shape(self) -> Shape:
        """The shape as it was last told: the plan's, until something else comes up."""
        if self._shape is None:
            self._shape = self._shaped(self.recording.plan)
        return self._shape

    def all(self) -> dict[str, Any]:
        """Everything up to now: for a page that knows nothing yet."""
        facts = self.recording.facts[:]
        if any(map(self._new, facts)):
            self.reshape()
        if self._told_version < 0:  # the first page: others ask by themselves, and take nothing away from this one
            self.told, self._told_version = len(facts), self._version
        return {
            "shape": self.shape.plain(),
            "version": self._version,
            "facts": self._plain(facts),
            **self._moment(),
            "lanes": list(self.lanes),
        }

    def missing(self, had: int, version: int) -> dict[str, Any]:
        """What a page lacks that has the first ``had`` facts and this version of the shape."""
        facts = self.recording.facts[had:]
        told: dict[str, Any] = {"from": had, "facts": self._plain(facts), **self._moment()}
        return told if version == self._version else {**told, "shape": self.shape.plain(), "version": self._version}

    def news(self, *, final: bool = False) -> dict[str, Any] | None:
        """What was not told yet, ``None`` if there is nothing. ``final``: work out the shape, however long it takes."""
        facts = self.recording.facts[self.told :]
        told: dict[str, Any] = {}
        self._doubt = self._doubt or final or any(map(self._new, facts))
        if self._doubt and (final or time.monotonic() >= self._next):
            self.reshape()
        if self._version != self._told_version:
            told |= {"shape": self.shape.plain(), "version": self._version}
            self._told_version = self._version
        if facts:
            told |= {"from": self.told, "facts": self._plain(facts)}
            self.told += len(facts)
        if final or told:
            told |= self._moment()
        return told or None

    def _moment(self) -> dict[str, Any]:
        """Whether it is over; if not, how long ago its last fact was, in seconds: a page cannot know that."""
        if self.recording.over.is_set():
            return {"over": True}
        facts = self.recording.facts[self._aged :]
        self._aged += len(facts)
        self._latest = max(self._latest, *(fact["at"] for fact in facts), 0.0)
        return {"over": False} | ({"age": round(max(0.0, time.time() - self._latest), 3)} if self._latest else {})

    @property
    def wanting(self) -> bool:
        """Whether the shape should be worked out anew as soon as that is due."""
        return self._doubt

    def reshape(self) -> bool:
        """Work out the shape anew; whether it is another."""
        began = time.monotonic()
        graph, before = self.recording.graph, self.shape
        changed = signature(graph) != before.signature
        if changed:
            self._shape = self._shaped(graph)
            self._version += 1
        self._doubt = False
        self._next = time.monotonic() + (time.monotonic() - began) / _SHARE
        return changed

    def _shaped(self, graph: Graph) -> Shape:
        for node in self.recording.plan.nodes.values():
            if node.id:
                self.tasks[node.id]
        return Shape(graph, self.recording.facts, self.tasks, self.late, plan=self.recording.plan)

    def _new(self, fact: Fact) -> bool:
        """Whether a fact can tell of a node that the shape does not have."""
        if fact["kind"] == "published":
            return bool(fact["nesting"] or not self.shape.graph.by_id(fact["id"]))
        return bool(fact["kind"] in ("errback", "unsent"))

    def _plain(self, facts: list[Fact]) -> list[dict[str, Any]]:
        if self.since is None and facts:
            self.since = facts[0]["at"]
        return [plain_fact(fact, self.shape, self.tasks, self.since or 0.0) for fact in facts]
