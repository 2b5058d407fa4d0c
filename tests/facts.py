"""Facts written by hand, as the listener would note them: what tests of folding share."""

from __future__ import annotations

import random
from typing import Any

from labkit.graph import Graph
from labkit.happened import fold
from labkit.record import Fact


class Story:
    """What happened, one fact a second."""

    def __init__(self, plan: Graph | None = None) -> None:
        self.plan = plan or Graph()
        self.facts: list[Fact] = []

    def id(self, name: str) -> str:
        """The id of a node of the plan by its number; any other name is its own id."""
        return (self.plan.node(name).id or name) if name.startswith("#") else name

    def add(self, kind: str, name: str, **more: Any) -> Story:
        """One fact more, at the full second."""
        n = len(self.facts)
        self.facts.append({"kind": kind, "id": self.id(name), "at": 100.0 + n, "n": n, **more})
        return self

    def sent(self, name: str, task: str = "t", parent: str | None = None, **more: Any) -> Story:
        """A message is published."""
        fact: dict[str, Any] = dict.fromkeys(("group", "eta", "expires", "chain", "chord", "link", "link_error"))
        fact |= {"args": [], "kwargs": {}, "retries": 0, "nesting": 0, "queue": "celery", "inside": bool(parent)}
        return self.add("published", name, task=task, parent=self.id(parent) if parent else None, **{**fact, **more})

    def ran(self, name: str, end: str = "succeeded", **more: Any) -> Story:
        """A message is received, started, and ends."""
        which = {"retries": more.pop("retries", 0), "nesting": more.pop("nesting", 0)}
        ends: dict[str, Any] = {"succeeded": {"value": None, "seconds": 1.0}, "failed": {"error": "ValueError: boom"}}
        self.add("received", name, **which, worker="w@h", redelivered=False)
        self.add("started", name, **which, worker="w@h", slot="slot_0")
        return self.add(end, name, **which, **{**ends.get(end, {}), **more})

    def graph(self) -> Graph:
        """The facts folded: as told, backwards and shuffled it is the same graph."""
        graph = fold(self.plan, self.facts)
        shuffled = list(self.facts)
        random.Random(3).shuffle(shuffled)
        assert fold(self.plan, self.facts[::-1]) == graph
        assert fold(self.plan, shuffled) == graph
        return graph
