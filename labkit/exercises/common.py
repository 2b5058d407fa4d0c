"""What the checks of several lessons share: the tasks, an answer's canvas, and what is asked of its run."""

from __future__ import annotations

import inspect
import json
from typing import Any

from celery import Task, signature
from celery.canvas import Signature

from labkit.exercises.slips import NOT_JSON, differences
from labkit.graph import Graph, Node
from labkit.practice import Trial
from labkit.run import Run
from labkit.verdict import Refused


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


def writes_json(trial: Trial, run: Run, wanted: Graph) -> None:
    """Refuse the answer if a step of the run returned, or sent, what cannot be written as JSON."""
    for node in run.graph.nodes.values():
        if node.state == "failed" and (node.error or "").startswith("EncodeError"):
            what, expected = NOT_JSON
            if node.task == "celery.chunks":
                what, expected = "chunks inside another canvas are made a group", "chunks(…).group()"
            trial.refuse(what, expected, failure(run.graph, node), wanted=wanted, got=run.graph)


def succeeds(trial: Trial, run: Run, wanted: Graph, what: str = "every step succeeds") -> None:
    """Refuse the answer if a step of the run failed; the step is named."""
    writes_json(trial, run, wanted)
    for node in run.graph.nodes.values():
        if node.state == "failed":
            trial.refuse(what, "no failure", failure(run.graph, node), wanted=wanted, got=run.graph)


def failure(graph: Graph, node: Node) -> str:
    """The failure of a step in words; of one that is blamed for the step behind it, which cannot be sent, both."""
    error, number = graph.name_ids(node.error or ""), graph.number(node.key)
    for edge in graph.task_edges():
        after = graph.nodes[edge.target]
        blamed = edge.source == node.key and edge.kind != "errback" and after.state == "never ran"
        if blamed and error.startswith(f"TypeError: {name_of(after)}()"):
            gets = f"the value of {number} comes in front" if edge.passes_value else f"it takes nothing from {number}"
            return f"{numbered(graph, after)} could not be sent: {error}; {gets}"
    return f"{numbered(graph, node)} failed: {error}"


def gives(trial: Trial, run: Run, right: Any, given: str, wanted: Graph) -> None:
    """Refuse the answer unless the value of the run is ``right``."""
    trial.expect_value(run, right, given, wanted)


def unchanged(trial: Trial, sig: Signature, before: str, what: str, **graphs: Graph) -> None:
    """Refuse the answer if it changed a signature that it was given; ``before`` is that one as JSON, earlier."""
    after = json.dumps(sig)
    if after != before:
        found = list(differences(json.loads(before), json.loads(after))) or [(before, after)]
        was, now = (", ".join(side) for side in zip(*found, strict=True))
        trial.refuse(what, was, now, **graphs)


def no_callback(trial: Trial, answer: Any, found: Signature, name: str, *callbacks: str) -> None:
    """Refuse one of the ``callbacks``, which link() gave, in place of what has a task called ``name``."""
    names = [name_of(node) for node in trial.plan(found).nodes.values()]
    written = getattr(getattr(answer, "__code__", None), "co_names", ())
    called = next((each for each in ("link", "link_error") if each in written), None)
    if called and name not in names and set(names[:1]) & set(callbacks):
        happened = f"{', '.join(names)}: {called}() gives back what is in its brackets"
        trial.refuse(f"the signature is returned, not what {called}() gives", f"a canvas with {name}", happened)


def sends(trial: Trial, run: Run, number: int, what: str, wanted: Graph) -> None:
    """Refuse the answer unless the run took this number of messages."""
    happened = f"{len(run.messages)}: {calls(run)}"
    trial.expect(len(run.messages) == number, what, number, happened, wanted=wanted, got=run.graph)


def task_of(trial: Trial, answer: Any) -> Task:
    """The learner's task."""
    if not isinstance(answer, Task):
        plain = callable(answer) and not isinstance(answer, Signature)
        had = "a function without @app.task" if plain else f"{answer!r:.60}"
        trial.refuse("the answer is a task", "a function with @app.task above it", had)
    known = trial.lab.app.tasks.get(answer.name) is not None
    trial.expect(known, "it is a task of this app", "made with @app.task", f"{answer.name} is not registered with it")
    return answer


def task_for(trial: Trial, answer: Any, *inputs: Any) -> Task:
    """The learner's task; refused if it does not take the inputs because ``self`` and ``bind`` do not go together."""
    made = task_of(trial, answer)
    run = getattr(made, "_orig_run", made.run)  # what autoretry_for has put a wrapper around
    bound, names = inspect.ismethod(run), list(inspect.signature(getattr(run, "__func__", run)).parameters)
    had = f"def {run.__name__}({', '.join(names)})"
    try:
        inspect.signature(run).bind(*inputs)
    except TypeError:
        if bound and names[:1] != ["self"]:
            better = f"def {run.__name__}({', '.join(['self', *names])})"
            trial.refuse("with bind=True, self is the first parameter", f"{better}, or no bind=True", had)
        if not bound and names[:1] == ["self"]:
            better = f"def {run.__name__}({', '.join(names[1:])})"
            happened = f"{had}, without bind=True"
            trial.refuse("self is given with bind=True only", f"@app.task(bind=True), or {better}", happened)
    return made
