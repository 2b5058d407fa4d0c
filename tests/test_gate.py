"""The gate: what is held, what a step lets go, and that whoever releases decides the order."""

import asyncio
import gc
import sys
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from itertools import permutations
from typing import Any

import pytest
from celery import Celery, chain, chord, group

import labkit
from labkit.errors import LabError
from labkit.gate import Gate

app = Celery("gate", set_as_current=False)
app.conf.worker_prefetch_multiplier = 1  # as many messages as slots are fetched ahead

#: What the tasks noted, in the order in which they ran.
ran: list[Any] = []
begun, go_on = threading.Event(), threading.Event()


@app.task(name="gate.note", shared=False)
def note(value: Any) -> Any:
    ran.append(value)
    return value


@app.task(name="gate.gather", shared=False)
def gather(values: list[Any]) -> list[Any]:
    ran.append("body")
    return values


@app.task(name="gate.linger", shared=False)
def linger() -> str:
    begun.set()
    assert go_on.wait(20)
    return "done"


@app.task(name="gate.broken", shared=False)
def broken(*args: Any) -> None:
    raise ValueError("broken on purpose")


@app.task(name="gate.collecting", shared=False)
def collecting() -> None:
    begun.set()
    while True:
        gc.collect(0)
        until = time.monotonic() + 0.2
        while time.monotonic() < until:
            pass


@pytest.fixture(scope="module")
def the_lab() -> Iterator[labkit.Lab]:
    labkit.stop()
    yield labkit.start(app)
    labkit.stop()


@pytest.fixture
def lab(the_lab: labkit.Lab) -> Iterator[labkit.Lab]:
    """The lab, paused; afterwards open and empty."""
    ran.clear()
    begun.clear()
    go_on.clear()
    the_lab.pause()
    yield the_lab
    go_on.set()
    if the_lab.running:
        the_lab.resume()
        assert all(recording.over.wait(10) for recording in the_lab._active)
        wait_until(lambda: not the_lab.gate.running and not the_lab.queue().unacknowledged and not the_lab.queue())


def wait_until(condition: Callable[[], Any]) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.002)


def wait_in_broker(lab: labkit.Lab, fetched: int, waiting: int) -> None:
    """Wait until so many messages are fetched but not acknowledged, and so many wait in the queue."""

    def seen() -> tuple[int, int]:
        queue = lab.queue()
        return len(queue.unacknowledged), len(queue)

    wait_until(lambda: seen() == (fetched, waiting))


def wait_held(lab: labkit.Lab, ids: list[str]) -> None:
    """Wait until these are held, in any order."""
    wait_until(lambda: sorted(lab.gate.held) == sorted(ids))


# --- pause, step, resume -------------------------------------------------------------------------------------------


def test_each_step_lets_exactly_one_go(lab: labkit.Lab) -> None:
    run = lab.run(chord([note.s(n) for n in range(8)], gather.s()))
    wait_in_broker(lab, fetched=4, waiting=4)
    assert len(lab.gate.held) == 4
    for n in range(8):
        held = lab.gate.held
        facts = lab.step()
        assert len(ran) == n + 1
        assert {fact["id"] for fact in facts if fact["kind"] in ("started", "succeeded")} == {held[0]}
        assert [fact["kind"] for fact in facts if fact["id"] == held[0]] == ["started", "succeeded"]
        if n < 7:
            fetched = min(4, 7 - n)
            wait_in_broker(lab, fetched, 7 - n - fetched)
    assert sorted(ran) == list(range(8))
    body = next(node.id for node in run.plan.nodes.values() if node.role == "body")
    wait_until(lambda: lab.gate.held == (body,))
    assert [fact["kind"] for fact in lab.step() if fact["id"] == body] == ["started", "succeeded"]
    assert lab.step() == []
    assert run.recording.over.wait(5)
    lab.resume()
    assert sorted(run.get()) == list(range(8))


def test_a_step_of_a_chain_tells_what_it_published(lab: labkit.Lab) -> None:
    run = lab.run(chain(note.s(1), note.s(), note.s()))
    ids = [node.id for node in run.plan.nodes.values()]
    for place, id in enumerate(ids):
        facts = lab.step()
        assert [fact["id"] for fact in facts if fact["kind"] == "succeeded"] == [id]
        assert [fact["id"] for fact in facts if fact["kind"] == "published"] == ids[place + 1 : place + 2]
        assert not run.over or id == ids[-1]
    assert run.over


def test_a_step_shows_a_line_for_each_fact(lab: labkit.Lab) -> None:
    lab.run(chain(note.s(1), note.s()))
    assert sorted(repr(lab.step()).splitlines()) == [
        "published  gate.note",
        "received   gate.note",
        "started    gate.note",
        "succeeded  gate.note 1",
    ]
    lab.step()
    assert repr(lab.step()) == "nothing is held"


def test_a_step_of_a_task_that_fails(lab: labkit.Lab) -> None:
    run = lab.run(chain(broken.s(), note.s()))
    assert [fact["kind"] for fact in lab.step() if fact["kind"] != "logged"] == ["started", "failed"]
    assert run.over
    assert [node.state for node in run.graph.nodes.values()] == ["failed", "never ran"]
    assert lab.step() == []


def test_paused_it_goes_on_holding_and_resumed_all_goes(lab: labkit.Lab) -> None:
    lab.pause()
    paused = [lab.paused]
    run = lab.run(group(note.s(n) for n in range(6)))
    wait_in_broker(lab, fetched=4, waiting=2)
    assert ran == []
    lab.resume()
    assert [*paused, lab.paused] == [True, False]
    assert run.get() == list(range(6))
    lab.resume()
    assert lab.run(note.s("again")).get() == "again"


def test_nothing_is_answered_for_what_is_held(lab: labkit.Lab) -> None:
    result = note.delay(1)
    wait_until(lambda: lab.gate.held == (result.id,))
    assert (result.state, ran) == ("PENDING", [])
    assert app.control.ping(timeout=0.5)  # the worker goes on answering
    lab.resume()
    assert result.get(timeout=10) == 1


def test_running_tasks_finish_while_it_is_paused(the_lab: labkit.Lab, lab: labkit.Lab) -> None:
    lab.resume()
    run = lab.run(chain(linger.s(), note.s()))
    assert begun.wait(10)
    lab.pause()
    assert lab.gate.running == (next(iter(run.plan.nodes.values())).id,)
    go_on.set()
    wait_until(lambda: len(lab.gate.held) == 1)
    wait_until(lambda: [node.state for node in run.graph.nodes.values()] == ["succeeded", "received"])
    lab.resume()
    assert run.get() == "done"


def test_a_countdown_runs_on(lab: labkit.Lab) -> None:
    run = lab.run(note.s("later").set(countdown=0.2))
    wait_until(lambda: len(lab.gate.held) == 1)
    assert ran == []
    lab.step()
    assert run.over


def test_what_is_not_paused_cannot_be_stepped(the_lab: labkit.Lab) -> None:
    with pytest.raises(LabError, match=r"not paused.*lab\.pause\(\) first"):
        the_lab.step()


def test_a_step_whose_task_does_not_end_comes_back_in_time(lab: labkit.Lab) -> None:
    run = lab.run(linger.s())
    assert [fact["kind"] for fact in lab.step(timeout=0.3)] == ["started"]
    go_on.set()
    assert run.recording.over.wait(10)


def test_a_task_is_stopped_where_it_sees_that(
    the_lab: labkit.Lab, lab: labkit.Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    slot: list[str] = []
    swallowed: list[Any] = []

    def collected(phase: str, info: dict[str, int]) -> None:
        until = time.monotonic() + 0.2  # whatever is raised here is only printed
        while threading.current_thread().name.startswith("slot") and time.monotonic() < until:
            slot.append(phase)

    monkeypatch.setattr(sys, "unraisablehook", swallowed.append)
    the_lab.resume()
    run = lab.run(collecting.s())
    assert begun.wait(10)
    gc.callbacks.append(collected)
    try:
        wait_until(lambda: slot)
        assert the_lab.gate.raise_in_running(seconds=5) == ()
    finally:
        gc.callbacks.remove(collected)
    assert run.recording.over.wait(10)
    assert swallowed == []


# --- waiting while it is paused ------------------------------------------------------------------------------------


def test_a_blocking_wait_is_refused_at_once(lab: labkit.Lab) -> None:
    run = lab.run(note.s(1))
    for wait in (run.get, run.wait):
        began = time.monotonic()
        with pytest.raises(LabError, match=r"the lab is paused.*lab\.resume\(\), or lab\.step\(\), or await"):
            wait()
        assert time.monotonic() - began < 1


def test_await_goes_on_after_resume(lab: labkit.Lab) -> None:
    async def cells() -> str:
        run = lab.run(chain(note.s(1), note.s()))
        waiting = asyncio.ensure_future(run)
        while not lab.gate.held:
            await asyncio.sleep(0.005)
        assert not waiting.done()
        lab.resume()
        return (await waiting).text

    assert asyncio.run(cells()) == "chain ✓\n├─ #1 note(1) ✓ 1\n└─ #2 note(1) ✓ 1"


def test_await_goes_on_with_steps(lab: labkit.Lab) -> None:
    async def cells() -> str:
        run = lab.run(chain(note.s(1), note.s()))
        waiting = asyncio.ensure_future(run)
        for _ in range(2):
            assert await asyncio.to_thread(lab.step)
        return (await waiting).text

    assert asyncio.run(cells()).startswith("chain ✓")


def test_stop_opens_the_gate_and_runs_nothing_more() -> None:
    labkit.stop()
    ran.clear()
    lab = labkit.start(app)
    lab.pause()
    run = lab.run(group(note.s(n) for n in range(6)))
    wait_until(lambda: len(lab.gate.held) == 4)
    lab.stop()
    assert not lab.paused
    assert not lab.gate.closed
    assert ran == []
    with pytest.raises(LabError, match="the lab has stopped"):
        run.wait()
    again = labkit.start(app)
    assert again.run(note.s("fresh")).get() == "fresh"
    labkit.stop()


# --- the order -----------------------------------------------------------------------------------------------------


def test_every_order_of_a_chord_of_three(lab_of_four: labkit.Lab) -> None:
    lab = lab_of_four
    seen = []
    for order in permutations(range(3)):
        ran.clear()
        run = lab.run(chord([note.s(n) for n in range(3)], gather.s()))
        ids = [str(node.id) for node in run.plan.nodes.values()]
        wait_held(lab, ids[:3])
        for n in order:
            assert lab.gate.release(ids[n]) == ids[n]
            assert lab.gate.wait_ended(ids[n], 10)
        wait_held(lab, ids[3:])
        assert ran == list(order)
        lab.gate.release()
        assert run.recording.over.wait(10)
        assert [node.value for node in run.graph.nodes.values()] == [0, 1, 2, [0, 1, 2]]
        seen.append(tuple(ran))
    assert len(set(seen)) == 6


@pytest.fixture
def lab_of_four() -> Iterator[labkit.Lab]:
    labkit.stop()
    lab = labkit.start(app)
    lab.pause()
    yield lab
    labkit.stop()


def test_release_of_what_is_not_held(lab_of_four: labkit.Lab) -> None:
    assert lab_of_four.gate.release() is None
    assert lab_of_four.gate.release("nobody") is None
    assert not lab_of_four.gate.wait_held(0.01)


# --- by itself -----------------------------------------------------------------------------------------------------


def test_a_gate_starts_in_the_order_of_coming() -> None:
    gate, started = Gate(), list[str]()
    for name in "ab":
        gate.submit(name, partial(started.append, name))
    gate.close()
    for name in "cdef":
        gate.submit(name, partial(started.append, name))
    assert (started, gate.held) == (["a", "b"], ("c", "d", "e", "f"))
    assert (gate.release(), gate.release("e")) == ("c", "e")
    assert (started, gate.held) == (["a", "b", "c", "e"], ("d", "f"))
    gate.open()
    assert started == ["a", "b", "c", "e", "d", "f"]
    gate.submit("g", partial(started.append, "g"))
    assert started[-1] == "g"


def test_a_gate_forgets_what_it_drops() -> None:
    gate, started = Gate(), list[str]()
    gate.close()
    gate.submit("a", partial(started.append, "a"))
    gate.drop()
    assert (gate.held, gate.closed, started) == ((), False, [])


def test_a_gate_tells_who_runs_and_when_it_has_ended() -> None:
    told: list[str] = []
    gate = Gate(told.append)
    gate.submit("a", lambda: None)
    assert not gate.wait_ended("a", 0.01)
    gate.enter("a")
    assert (gate.current(), gate.running) == ("a", ("a",))
    gate.leave("a")
    assert gate.wait_ended("a", 0.01)
    assert (gate.current(), gate.running, told) == (None, (), ["a"])
