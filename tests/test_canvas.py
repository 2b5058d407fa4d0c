"""Signatures as they are: the steps that Celery makes of a chain, and copies that share nothing."""

import json
from typing import Any

import pytest
from celery import chain, chord, group
from celery.canvas import Signature

from labkit import canvas
from tests.workflows import t, u

SHAPES: dict[str, tuple[Any, list[str]]] = {
    "tasks": (chain(t.s(), u.s()), ["task", "task"]),
    "a chain in a chain is spliced": (chain(t.s(), chain(t.s(), u.s()), u.s()), ["task"] * 4),
    "a group with a step behind it is a chord": (chain(t.s(), group(t.s(), u.s()), u.s()), ["task", "chord"]),
    "a group at the end stays one": (chain(t.s(), group(t.s(), u.s())), ["task", "group"]),
    "a group of one is its member": (chain(t.s(), group(u.s()), t.s()), ["task", "task", "task"]),
    "an empty group is passed over": (chain(t.s(), group(), u.s()), ["task", "task"]),
}


@pytest.mark.parametrize("name", SHAPES)
def test_steps_of_a_chain(name: str) -> None:
    workflow, kinds = SHAPES[name]
    # As it comes from JSON: `chain` itself would have done some of it already.
    raw = Signature.from_dict(json.loads(json.dumps({**workflow, "kwargs": {"tasks": list(workflow.tasks)}})))
    assert [canvas.kind(step) for step in canvas.steps(raw)] == kinds


def test_a_group_of_one_written_as_a_dict_is_its_member() -> None:
    raw = chain(t.s(), u.s())
    raw.kwargs["tasks"] = [t.s(), group(u.s()), t.s()]
    assert [canvas.kind(step) for step in canvas.steps(raw)] == ["task", "task", "task"]


def test_a_copy_shares_nothing_at_any_depth() -> None:
    inner = t.s(1)
    original = chord([chain(t.s(), group(inner, u.s())), t.s()], u.s().set(countdown=1))
    before = json.dumps(original, default=list)
    fresh = canvas.copy(original)
    assert json.dumps(fresh, default=list) == before
    for each in _tasks(fresh):
        each.options["task_id"] = "new"
    assert json.dumps(original, default=list) == before
    assert "task_id" not in inner.options


def _tasks(signature: Signature) -> list[Signature]:
    kind = canvas.kind(signature)
    if kind == "task":
        return [signature]
    inside = canvas.members(signature) + ([signature.body] if kind == "chord" else [])
    return [task for each in inside for task in _tasks(each)]
