"""One workflow that was sent: to wait for, to look at, to ask."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Generator, Mapping
from dataclasses import dataclass
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from celery.exceptions import TimeoutError as CeleryTimeoutError
from celery.result import AsyncResult, GroupResult

from labkit.errors import LabError
from labkit.facts import deepened, gone_out
from labkit.graph import FINAL, Graph
from labkit.labels import Labels
from labkit.queues import Message, Messages
from labkit.record import Recording

if TYPE_CHECKING:
    from labkit.draw import Drawing
    from labkit.lab import Lab
    from labkit.timeline import Timeline
    from labkit.why import Why

#: How long a wait lasts when nobody says how long, in seconds.
PATIENCE = 60.0


@dataclass(eq=False)
class Run:
    """A workflow that was sent through the lab.

    ``await run`` waits without blocking the kernel and gives the final `Drawing`; ``run.wait()`` does the same,
    blocking; ``run.get()`` blocks and gives the value. ``result`` is Celery's own result object.
    """

    lab: Lab
    recording: Recording
    result: AsyncResult | GroupResult
    _waited: bool = False
    _asked: bool = False
    _view: Any = None

    @property
    def plan(self) -> Graph:
        """The Graph of exactly what was sent, ids included, before anything happened."""
        return self.recording.plan

    @property
    def graph(self) -> Graph:
        """The workflow as it is now."""
        if self.over and not self._asked:
            self._asked = self.lab.staff.ask_backend(self.recording)
        return self.recording.graph

    @property
    def over(self) -> bool:
        """Whether nothing of it is on its way or running any more."""
        return self.recording.over.is_set()

    @property
    def messages(self) -> Messages:
        """The messages that were sent for it so far, in the order of the canvas, a retry behind its first."""
        graph = self.graph
        places: dict[str, list[int]] = {}
        for place, node in enumerate(graph.nodes.values()):
            places.setdefault(node.id or "", []).append(place)
        in_time = sorted(self.recording.facts[:], key=itemgetter("at"))
        facts = [fact for fact in deepened(gone_out(in_time)) if fact["kind"] == "published"]

        def order(fact: Mapping[str, Any]) -> tuple[int, int]:
            among = places.get(fact["id"], [len(graph.nodes)])
            return among[min(fact["nesting"], len(among) - 1)], fact["retries"]

        facts.sort(key=order)
        return Messages((_message(fact) for fact in facts), graph=graph)

    # --- waiting --------------------------------------------------------------------------------------------

    def wait(self, timeout: float = PATIENCE) -> Drawing:
        """Block until it is over, at most ``timeout`` seconds, and return the final drawing.

        Raises ``LabError`` if ``timeout`` is no number (each wait has an end), if the lab is paused, if it is not over
        in time (it tells which nodes are still open), or if the lab has stopped.
        """
        self._until_over(timeout)
        return self._final()

    def _until_over(self, timeout: float) -> None:
        _check_timeout(timeout)
        self.lab.refuse_when_paused()
        until = time.monotonic() + timeout
        while not self.recording.over.wait(min(0.05, max(0.0, until - time.monotonic()))):
            self._look()
            if time.monotonic() >= until:
                raise self._too_late(timeout)
        self._waited = True

    def get(self, timeout: float = PATIENCE, *, propagate: bool = True) -> Any:
        """Block until it is over, at most ``timeout`` seconds, and return its value as Celery tells it.

        Raises what the task raised, as ``AsyncResult.get`` does (``propagate=False`` returns it instead), and
        ``LabError`` as `wait`, and if there will never be a value (it tells why).
        """
        began = time.monotonic()
        self._until_over(timeout)
        until = began + timeout
        try:
            return self.result.get(timeout=max(0.3, min(1.0, until - time.monotonic())), propagate=propagate)
        except CeleryTimeoutError:
            graph = self.graph
            ghosts = [
                f"{graph.number(node.key)} {node.reason}" for node in graph.nodes.values() if node.state == "never ran"
            ]
            why = f": {'; '.join(ghosts[:3])}" if ghosts else ", and Celery has stored no result"
            raise LabError(f"all is quiet, and there will never be a value{why}. See run.graph.") from None

    def __await__(self) -> Generator[Any, None, Drawing]:
        return self._awaited().__await__()

    async def _awaited(self, timeout: float = PATIENCE) -> Drawing:
        loop, over = asyncio.get_running_loop(), asyncio.Event()

        def tell(fact: dict[str, Any]) -> None:
            if fact["kind"] == "over" and not loop.is_closed():
                loop.call_soon_threadsafe(over.set)

        self.recording.listen(tell)
        try:
            until = time.monotonic() + timeout
            while not self.over:
                try:
                    await asyncio.wait_for(over.wait(), 0.05)
                except TimeoutError:
                    self._look()
                    if self.lab.paused:
                        until = max(until, time.monotonic() + timeout)
                    elif time.monotonic() >= until:
                        raise self._too_late(timeout) from None
        finally:
            self.recording.ignore(tell)
        return self._final()

    def _look(self) -> None:
        if self.over:
            return
        if not self.lab.running:
            raise LabError("the lab has stopped, so this run will not go on. Call labkit.start() and send it again.")
        if self.lab.faults.broker_away:
            return  # somebody stopped it, and may start it again
        self.lab.check_worker()
        self.lab.staff.look_after(self.recording)

    def _final(self) -> Drawing:
        from labkit.draw import Drawing  # loads when first used

        self._waited = True
        return Drawing(self.graph)

    def _too_late(self, timeout: float) -> LabError:
        graph = self.graph
        labels, now = Labels(graph), time.time()
        open_nodes = [node for node in graph.nodes.values() if node.state not in FINAL and node.state != "planned"]
        said = [
            f"{graph.number(node.key)} {labels.call(node)} is {node.state}"
            + (f", for {now - (node.started or node.sent or now):.1f} s" if node.sent else "")
            for node in open_nodes[:5]
        ]
        more = f" and {len(open_nodes) - 5} more" if len(open_nodes) > 5 else ""
        return LabError(
            f"not over after {timeout:g} s. Still open: {'; '.join(said) or 'nothing that was seen'}{more}. "
            "Wait longer with wait(timeout=…), or see run.graph."
        )

    # --- showing --------------------------------------------------------------------------------------------

    def why(self, name: str) -> Why:
        """Why the node called ``name`` (``"#7"``) never ran, ran twice, still waits, or has its value.

        Raises ``LabError`` if there is no such node.
        """
        from labkit.why import why

        return why(self.graph, name, self.lab, self.recording)

    def timeline(self) -> Timeline:
        """When each task waited and ran, a lane for each slot of the workers (a picture, and it has times)."""
        from labkit.timeline import timeline  # matplotlib loads when first used

        return timeline(self.graph)

    def save(self, path: str | Path) -> None:
        """Save the recording (``.json``), a page that replays it without a kernel (``.html``), or a drawing.

        The drawing is the workflow as it is now (``.svg``, ``.png``, ``.dot``, ``.txt``).
        """
        from labkit.draw import Drawing  # loads when first used
        from labkit.view import page

        if Path(path).suffix == ".json":
            self.recording.save(path)
            return
        graph = self.graph
        if Path(path).suffix == ".html":
            page.save(self.recording, path)
        else:
            Drawing(graph).save(path)

    def __repr__(self) -> str:
        return self._shown().text

    def _shown(self) -> Drawing:
        """The plan, until somebody has waited for the end: what is done at one instant is a race."""
        from labkit.draw import Drawing  # loads when first used

        return Drawing(self.graph if self._waited else self.plan)

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:
        bundle = self._shown()._repr_mimebundle_(include, exclude)
        try:
            from labkit.view import widget  # needs the extra "jupyter"
        except ImportError:
            return bundle
        return bundle | widget.mimebundle(self._viewed)

    def _viewed(self) -> Any:
        """The live view: one for this run, wherever it is shown."""
        from labkit.view.widget import View

        self._view = self._view or View(self.recording, self)
        return self._view


def _check_timeout(timeout: Any) -> None:
    if not isinstance(timeout, int | float):
        raise LabError(
            f"a wait lasts a number of seconds, not {timeout!r}: each wait in the lab has an end. Without a timeout it "
            f"is {PATIENCE:g} s; for more, write timeout=600."
        )


def _message(fact: Mapping[str, Any]) -> Message:
    headers = {name: fact[name] for name in ("parent", "group", "retries", "eta", "expires") if fact[name]}
    embed = {name: fact[name] for name in ("chain", "chord", "link", "link_error") if fact[name]}
    return Message(fact["id"], fact["task"], tuple(fact["args"]), fact["kwargs"], fact["queue"], headers, embed)
