"""What a task that is put in the place of another has from it: its id, its links, and all that comes after."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from kombu.utils.json import dumps

from labkit.graph import FLOW, Graph, Node
from labkit.places import Places
from labkit.plan import Part

#: The options of a message that name its callbacks and errbacks.
LINKS: Final = ("link", "link_error")


class Replacements(Places):
    """Places in which tasks can be replaced: how deep each node is, and what its message said."""

    def __init__(self, graph: Graph) -> None:
        super().__init__(graph)
        self._nesting: dict[str, int] = {}
        self._message: dict[str, Mapping[str, Any]] = {}

    def _depth(self, node: Node) -> int:
        """How many replacements led to this node."""
        return self._nesting.get(node.key, 0)

    def _went_on(self, node: Node) -> bool:
        """Whether a body raised nothing that ends it, though it may have called ``self.replace``."""
        return bool(node.id and (node.id, self._depth(node)) in self.went_on)

    def _own_links(self, owner: Node | None, options: Mapping[str, Any]) -> dict[str, Any]:
        """The callbacks and errbacks of a replacement that those of the task it replaces were added to."""
        had = self._message.get(owner.key, {}) if owner else {}
        own = {}
        for name, kind in zip(LINKS, ("callback", "errback"), strict=True):
            theirs, every = had.get(name), options.get(name) or ()
            if theirs is None and owner and any(edge.kind == kind for edge in self._leaving(owner.key)):
                every = ()  # not told again with the message: it cannot be known which are new
            own[name] = [each for each in every if _call(each) not in map(_call, theirs or ())]
        return own

    def _is_planned(self, node: Node, owner: Node | None, part: Part) -> bool:
        """Whether a node that was just added is one that waits already: the step behind a task that is replaced.

        Celery makes a replacement that ends in a group, with a step behind it, a chord whose body is that step.
        """
        known = self.ids.get(node.id or "")
        if not known or not owner or node.id == owner.id or known[-1].sent is not None or node.key in part.first:
            return False
        there = known[-1].key
        del self.graph.nodes[node.key]
        for place in range(self._edges, len(self.graph.edges)):
            edge = self.graph.edges[place]
            ends = [there if end == node.key else end for end in (edge.source, edge.target)]
            self.graph.edges[place] = replace(edge, source=ends[0], target=ends[1])
        behind = [place for place in self._out[owner.key] if self.graph.edges[place].target == there]
        into = [place for place in range(self._edges, len(self.graph.edges)) if self.graph.edges[place].target == there]
        for old, new in zip(behind, into, strict=False):  # no value goes there from the task that was replaced
            self._out[owner.key].remove(old)
            self.graph.edges[old] = self.graph.edges.pop(new)
            self._out[self.graph.edges[old].source].append(old)
        for outline in part.outline:
            outline.children = [child for child in outline.children if child.key != node.key]
        return True

    def _take_over(self, owner: Node, node: Node) -> None:
        """A replacement has the id of the task it replaces, and all that came after that comes after it."""
        for place in self._out[owner.key]:
            edge = self.graph.edges[place]
            if edge.kind in (*FLOW, "callback", "errback"):
                self.graph.edges[place] = replace(edge, source=node.key)
        for places in (self._out, self._open):
            for place in places.pop(owner.key, ()):
                places[self.graph.edges[place].source].append(place)


def _call(signature: Mapping[str, Any]) -> str:
    """What is called, as text: equal for a signature and for what comes out of a message."""
    return str(dumps([signature.get(name) for name in ("task", "args", "kwargs", "immutable")]))
