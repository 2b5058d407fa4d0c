"""What the checks of several lessons share: the tasks, an answer's canvas, and what is asked of its run."""

from __future__ import annotations

from typing import Any

from celery import signature
from celery.canvas import Signature

from labkit.graph import Graph, Node
from labkit.practice import Refused, Trial
from labkit.run import Run


def task(name: str, *args: Any, **kwargs: Any) -> Signature:
    """A signature of one of the lessons' tasks."""
    return signature(f"tasks.{name}", args, kwargs)


def named(graph: Graph, name: str) -> list[Node]:
    """The nodes of one of the lessons' tasks, without the items of a map."""
    return [node for node in graph.nodes.values() if node.task == f"tasks.{name}" and node.role != "map"]


def name_of(node: Node) -> str:
    """The short name of a node's task."""
    return node.task.rpartition(".")[2]


def numbered(graph: Graph, node: Node) -> str:
    """A node as it is called in a drawing: ``#2 add``."""
    return f"{graph.number(node.key)} {name_of(node)}"


def calls(run: Run) -> str:
    """The messages of a run in words, the first eight of them."""
    return (", ".join(map(repr, run.messages[:8])) or "none") + (" …" if len(run.messages) > 8 else "")


def filled(trial: Trial, built: Any) -> Signature:
    """Refuse what is no signature, or one with ``...`` among its arguments."""
    for node in trial.plan(built).nodes.values():
        if any(given is ... for given in (*node.args, *node.kwargs.values())):
            trial.unanswered()
    if not isinstance(built, Signature):
        trial.refuse("the answer gives a signature, not a dict", "a Signature", type(built).__name__)
    return built


def returned(trial: Trial, answer: Any, *inputs: Any) -> Any:
    """What the learner's function returns for these inputs; an unfilled ``...`` is told as such.

    A canvas is no such function, though it can be called: that would send it.
    """
    if answer is None or isinstance(answer, dict):
        trial.refuse("the answer is a function", "something to call, made with def", f"{answer!r:.60}")
    try:
        given = trial.call(answer, *inputs)
    except Refused as no:
        if "ellipsis" in no.happened.lower():
            trial.unanswered()
        raise
    if given is ...:
        trial.unanswered()
    return given


def built(trial: Trial, answer: Any, *inputs: Any) -> Signature:
    """The signature that the learner's function returns for these inputs."""
    return filled(trial, returned(trial, answer, *inputs))


def letters_of(trial: Trial, answer: Any, pieces: Any) -> list[str]:
    """The letters of an order; refused unless each piece is used once."""
    letters = list(answer) if isinstance(answer, str | list | tuple) else None
    if isinstance(answer, Signature) or letters is None or not all(isinstance(each, str) for each in letters):
        trial.refuse("the answer is a list of letters", '["A", "B", …]', f"{answer!r:.60}")
        return []
    letters = [each.strip().upper() for each in letters]
    once = sorted(letters) == sorted(pieces)
    trial.expect(once, "each piece is used once", " ".join(pieces), " ".join(letters) or "no letter")
    return letters


def succeeds(trial: Trial, run: Run, wanted: Graph) -> None:
    """Refuse the answer if a step of the run failed; the step is named."""
    graph = run.graph
    for node in graph.nodes.values():
        if node.state == "failed":
            said = f"{numbered(graph, node)} failed: {node.error}"
            trial.refuse("every step succeeds", "no step fails", said, wanted=wanted, got=graph)


def gives(trial: Trial, run: Run, right: Any, given: str, wanted: Graph) -> None:
    """Refuse the answer unless the value of the run is ``right``."""
    value = trial.value(run)
    shown = f"{type(value).__name__}: {value}" if isinstance(value, Exception) else repr(value)
    same = type(value) is type(right) and value == right
    trial.expect(same, f"the value is right for {given}", repr(right), shown, wanted=wanted, got=run.graph)


def sends(trial: Trial, run: Run, number: int, what: str, wanted: Graph) -> None:
    """Refuse the answer unless the run took this number of messages."""
    happened = f"{len(run.messages)}: {calls(run)}"
    trial.expect(len(run.messages) == number, what, number, happened, wanted=wanted, got=run.graph)
