"""What the checks of lesson 12 ask of a task: how often its body ran, how long each retry was put off, how it ended."""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from celery import group
from celery.canvas import Signature

from labkit.graph import FINAL, Node
from labkit.practice import Trial
from labkit.run import Run

#: How long the calls of one round may take, in seconds.
_LONG: Final = 3.0

#: A retry that is put off for longer is not waited for, in seconds.
_FAR: Final = 0.9

#: A task that was sent so often does not stop by itself.
_MANY: Final = 9

#: When one call is put off for long, the others may take so much longer, in seconds, if they …
_SOON: Final = 0.5
#: … are in one of these states.
_AT_WORK: Final = ("sent", "received", "running")


def published(run: Run) -> list[dict[str, Any]]:
    """The facts of publishing: of a retry too."""
    return [fact for fact in run.recording.facts if fact["kind"] == "published"]


def delays(run: Run, node: Node) -> list[float]:
    """For how many seconds each retry of a node was put off."""
    later = [fact for fact in published(run) if fact["id"] == node.id and fact["retries"]]
    found = []
    for place, fact in enumerate(later):
        said = node.attempts[place].delay if place < len(node.attempts) else None
        found.append(put_off(fact) if said is None else said)
    return found


def put_off(fact: dict[str, Any]) -> float:
    """How long after its sending a message may start its task, in seconds."""
    return datetime.fromisoformat(fact["eta"]).timestamp() - fact["at"] if fact["eta"] else 0.0


def watch(trial: Trial, calls: Mapping[str, Signature]) -> tuple[Run, dict[str, Node]]:
    """Send the calls at once, and return their nodes when all is over, or as soon as it is clear that it never is."""
    canvas = group(list(calls.values()))
    run = trial.send(canvas)
    until = time.monotonic() + min(_LONG, trial.left)

    def astray() -> bool:
        facts = published(run)
        if len(facts) > len(calls) * _MANY or max(fact["retries"] or 0 for fact in facts) >= _MANY:
            return True
        return any(wait > _FAR for node in run.graph.nodes.values() for wait in delays(run, node))

    while not run.recording.over.wait(0.02) and time.monotonic() < until and not astray():
        pass
    # One call may be far off while another, on a busy machine, has not been at its turn.
    soon = min(until, time.monotonic() + _SOON)
    while not run.over and time.monotonic() < soon and any(n.state in _AT_WORK for n in run.graph.nodes.values()):
        run.recording.over.wait(0.02)
    graph = run.graph
    if not run.over:
        trial.lab.app.control.revoke(sorted(run.recording.known))
        trial.lab.gate.raise_in_running(seconds=0.3, only=run.recording.known)
        stuck = [graph.number(key) for key, node in graph.nodes.items() if node.state == "running"]
        if stuck and time.monotonic() >= until:
            happened = f"{', '.join(stuck)} was still running after {_LONG:g} s"
            trial.refuse("the body comes to an end", "it returns, or raises", happened, got=graph)
    return run, {call: graph.by_id(each.id)[-1] for call, each in zip(calls, run.result.results, strict=True)}


def without_dots(trial: Trial, nodes: Mapping[str, Node]) -> None:
    """Refuse a task in which ``...`` still stands."""
    if any("ellipsis" in (node.error or "").lower() for node in nodes.values()):
        trial.unanswered()


def times(number: int) -> str:
    """``2 runs``."""
    return f"{number} {'run' if number == 1 else 'runs'}"


def in_seconds(waits: list[float]) -> str:
    """``0.1 s, 0.2 s``."""
    return ", ".join(f"{wait:.3g} s" for wait in waits) or "no retry"


def tried(trial: Trial, run: Run, node: Node, often: int, case: str) -> None:
    """Refuse the answer unless the body of a call ran so often, each time for a message of its own."""
    messages = [fact for fact in published(run) if fact["id"] == node.id]
    happened = len(messages) if len(messages) < _MANY else _MANY
    shown = f"{times(happened)}{' and no end' if happened == _MANY else ''}"
    if node.error and node.state == "failed":
        shown += f", then {node.error.removeprefix('Retry in ')}"
    if often > 1 and happened == 1:
        what = f"{case} is tried again by a new message"
        trial.refuse(what, times(often), shown, got=run.graph)
    far = [wait for wait in delays(run, node)[: often - 1] if wait > _FAR]
    if far:
        trial.refuse(f"{case} is tried again soon", "a short wait", in_seconds(far), got=run.graph)
    what = f"the body runs {often} times for {case}" if often > 1 else f"the body runs once for {case}"
    trial.expect(happened == often, what, times(often), shown, got=run.graph)
    ended = ends(run, node)
    what = f"each run but the last ends with Retry, for {case}"
    trial.expect(len(ended) < 2, what, "the state RETRY", f"the first run ended: {ended[:1]}", got=run.graph)


def ends(run: Run, node: Node) -> list[Any]:
    """The values and errors that the runs of a call ended with; a run that ended with a retry has none."""
    over = [fact for fact in run.recording.facts if fact["id"] == node.id and fact["kind"] in ("succeeded", "failed")]
    return [fact.get("error") or fact.get("value") for fact in sorted(over, key=lambda fact: fact["retries"])]


def comes_to_an_end(trial: Trial, run: Run, node: Node, case: str) -> None:
    """Refuse the answer if a call never came to its end."""
    trial.expect(
        node.state in FINAL, "it comes to an end", f"all done for {case}", f"it is {node.state}", got=run.graph
    )


def has_value(trial: Trial, run: Run, node: Node, right: Any, case: str) -> None:
    """Refuse the answer unless a call returned ``right`` (what is stored is not asked: it can be an earlier RETRY)."""
    same = node.state == "succeeded" and type(node.value) is type(right) and node.value == right
    trial.expect(same, f"the value is right for {case}", repr(right), _outcome(run, node), got=run.graph)


def fails_with(trial: Trial, run: Run, node: Node, error: type[Exception], case: str) -> None:
    """Refuse the answer unless a call failed with this error."""
    what = f"the task fails with the {error.__name__} itself for {case}"
    same = node.state == "failed" and (node.error or "").partition(":")[0] == error.__name__
    happened = _outcome(run, node)
    expected = error.__name__ + (", given to retry as exc=" if happened.startswith("MaxRetriesExceeded") else "")
    trial.expect(same, what, expected, happened, got=run.graph)


def _outcome(run: Run, node: Node) -> str:
    return run.graph.name_ids(node.error or f"the value {node.value!r}")
