"""A run: waited for, asked for its value, shown, kept."""

import asyncio
import json
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from celery import Celery, chain, chord, group
from celery.exceptions import ChordError, Ignore, TaskRevokedError
from celery.result import AsyncResult, GroupResult

import labkit
from labkit.errors import LabError
from labkit.graph import Graph
from labkit.record import SCHEMA, Recording, snapshot

app = Celery("runs", set_as_current=False)
go_on = threading.Event()


@app.task(name="runs.add", shared=False)
def add(x: float, y: float) -> float:
    return x + y


@app.task(name="runs.same", shared=False)
def same(value: Any = None) -> Any:
    return value


@app.task(name="runs.set_of", shared=False)
def set_of(*numbers: float) -> set[float]:
    return set(numbers)  # no JSON


@app.task(name="runs.total", shared=False)
def total(numbers: list[float]) -> float:
    return sum(numbers)


@app.task(name="runs.broken", shared=False)
def broken(*args: Any) -> None:
    raise ValueError("broken on purpose")


@app.task(name="runs.ignoring", shared=False)
def ignoring(*args: Any) -> None:
    raise Ignore


@app.task(name="runs.linger", shared=False)
def linger(*args: Any) -> str:
    assert go_on.wait(20)
    return "done"


@app.task(name="runs.instead", shared=False, bind=True)
def instead(self: Any) -> None:
    raise self.replace(chain(chord([add.s(1, 1), add.s(2, 2)], total.s()), set_of.si(), add.s(3)))


@app.task(name="runs.moody", shared=False, bind=True, max_retries=2)
def moody(self: Any, times: int) -> int:
    if self.request.retries < times:
        raise self.retry(exc=KeyError("not yet"), countdown=0)
    return int(self.request.retries)


@app.task(name="runs.growing", shared=False, bind=True)
def growing(self: Any, n: int) -> Any:
    raise self.replace(group(add.s(n, each) for each in range(3)) | total.s())


@pytest.fixture(scope="module")
def lab() -> Iterator[labkit.Lab]:
    labkit.stop()
    yield labkit.start(app)
    labkit.stop()


@pytest.fixture(autouse=True)
def lingering() -> Iterator[None]:
    go_on.clear()
    yield
    go_on.set()


def states(run: labkit.Run) -> list[str]:
    return [node.state for node in run.graph.nodes.values()]


def six() -> Any:
    return chain(add.s(1, 1), group(add.s(i) for i in range(3)), total.s(), add.s(9))


# --- values --------------------------------------------------------------------------------------------------------


def test_the_plan_has_six_nodes_and_the_same_ids_carry_the_values(lab: labkit.Lab) -> None:
    run = lab.run(six())
    keys = list(run.plan.nodes)
    edges = {(keys.index(edge.source), keys.index(edge.target)) for edge in run.plan.task_edges()}
    assert edges == {(0, 1), (0, 2), (0, 3), (1, 4), (2, 4), (3, 4), (4, 5)}
    assert {node.state for node in run.plan.nodes.values()} == {"planned"}
    assert run.get() == 18
    assert [(node.id, node.value) for node in run.graph.nodes.values()] == list(
        zip([node.id for node in run.plan.nodes.values()], [2, 2, 3, 4, 9, 18], strict=True)
    )
    assert states(run) == ["succeeded"] * 6
    assert {node.backend_state for node in run.graph.nodes.values()} == {"SUCCESS"}
    assert {node.state for node in run.plan.nodes.values()} == {"planned"}


def test_the_result_is_celerys_own(lab: labkit.Lab) -> None:
    single, several = lab.run(add.s(1, 1)), lab.run(group(add.s(1, 1), add.s(2, 2)))
    assert isinstance(single.result, AsyncResult)
    assert isinstance(several.result, GroupResult)
    assert (several.get(), several.result.get(timeout=5)) == ([2, 4], [2, 4])
    assert (single.get(), single.result.state) == (2, "SUCCESS")


def test_waiting_gives_the_final_drawing_and_can_be_repeated(lab: labkit.Lab) -> None:
    run = lab.run(chain(add.s(1, 1), add.s(2)))
    assert run.wait().text == run.wait(timeout=0).text == "chain ✓\n├─ #1 add(1, 1) ✓ 2\n└─ #2 add(2, 2) ✓ 4"
    assert run.over
    assert (run.get(), run.get(timeout=0)) == (4, 4)


def test_what_a_task_raises_get_raises(lab: labkit.Lab) -> None:
    run = lab.run(chain(broken.s(), add.s(1)))
    with pytest.raises(ValueError, match="broken on purpose"):
        run.get()
    with pytest.raises(ValueError, match="broken on purpose"):
        run.result.get(timeout=5)
    assert run.wait().text == run.wait().text
    assert states(run) == ["failed", "never ran"]
    failed, ghost = run.graph.nodes.values()
    assert failed.error == "ValueError: broken on purpose"
    assert "#1" in str(ghost.reason)
    assert ghost.backend_state == "FAILURE"  # Celery says so of what never ran


def test_a_chord_that_fails_raises_as_celery_does(lab: labkit.Lab) -> None:
    run = lab.run(chord([add.s(1, 1), broken.s()], total.s()))
    with pytest.raises(ValueError, match="broken on purpose"):
        run.get()
    with pytest.raises(ValueError, match="broken on purpose"):
        run.result.get(timeout=5)
    assert isinstance(run.result.result, ChordError)
    assert states(run) == ["succeeded", "failed", "never ran"]


def test_what_will_never_have_a_value_is_one_error_that_says_why(lab: labkit.Lab) -> None:
    run = lab.run(chain(ignoring.s(), add.s(1)))
    began = time.monotonic()
    with pytest.raises(LabError, match=r"there will never be a value.*#2.*See run\.graph"):
        run.get(timeout=20)
    assert time.monotonic() - began < 10


def test_a_task_that_expired(lab: labkit.Lab) -> None:
    run = lab.run(add.s(1, 1).set(expires=-1))
    with pytest.raises(TaskRevokedError, match="expired"):
        run.get()
    assert states(run) == ["revoked"]


def test_retries_and_replacements_are_waited_for(lab: labkit.Lab) -> None:
    assert lab.run(chain(moody.s(2), add.s(1))).get() == 3
    run = lab.run(chain(growing.s(10), add.s(100)))
    assert run.get() == 133
    assert len(run.graph.nodes) > len(run.plan.nodes)


def test_an_empty_group_is_over_at_once(lab: labkit.Lab) -> None:
    run = lab.run(group())
    assert run.get(timeout=5) == []
    assert run.over


# --- not in time ---------------------------------------------------------------------------------------------------


def test_a_wait_that_runs_out_names_what_is_open(lab: labkit.Lab) -> None:
    run = lab.run(chain(add.s(1, 1), linger.s(), add.s("!")))
    words = r"not over after 0\.2 s\. Still open: #2 linger\(2\) is running, for 0\.\d s\. Wait longer with"
    for wait in (run.wait, run.get, lambda timeout: asyncio.run(awaited(run._awaited(timeout)))):
        with pytest.raises(LabError, match=words.replace(r"0\.\d s\.", r"\d+\.\d s\.")):
            wait(timeout=0.2)
    assert not run.over
    go_on.set()
    assert run.get() == "done!"


def test_a_wait_that_runs_out_names_five_at_most(lab: labkit.Lab) -> None:
    run = lab.run(group(linger.s(n) for n in range(9)))
    with pytest.raises(LabError, match="and 4 more") as caught:
        run.wait(timeout=0.2)
    assert str(caught.value).count("linger") == 5
    go_on.set()
    assert run.get() == ["done"] * 9


@pytest.mark.parametrize("timeout", [None, "5", [5]], ids=str)
def test_every_wait_has_an_end(timeout: Any, lab: labkit.Lab) -> None:
    run = lab.run(add.s(1, 1))
    for wait in (run.wait, run.get):
        with pytest.raises(LabError, match=r"each wait in the lab has an end.*timeout=600"):
            wait(timeout=timeout)
    assert run.get(timeout=10) == 2


def test_a_queue_that_nobody_serves(lab: labkit.Lab) -> None:
    run = lab.run(add.s(1, 1).set(queue="nobody"))
    with pytest.raises(LabError, match=r"#1 add\(1, 1\) is sent"):
        run.wait(timeout=0.2)
    app.control.purge()


async def awaited(waiting: Any) -> Any:
    return await waiting


# --- await ---------------------------------------------------------------------------------------------------------


def test_await_gives_the_final_drawing_and_leaves_the_loop_free(lab: labkit.Lab) -> None:
    async def cell() -> tuple[str, int]:
        run, ticks = lab.run(chain(linger.s(), add.s("!"))), 0
        waiting = asyncio.ensure_future(awaited(run))
        while not waiting.done():
            ticks += 1
            if ticks == 5:
                go_on.set()
            await asyncio.sleep(0.001)
        return waiting.result().text, ticks

    text, ticks = asyncio.run(cell())
    assert text == "chain ✓\n├─ #1 linger() ✓ 'done'\n└─ #2 add('done', '!') ✓ 'done!'"
    assert ticks >= 5


def test_several_are_awaited_at_once_and_again(lab: labkit.Lab) -> None:
    async def cell() -> list[str]:
        runs = [lab.run(add.s(n, n)) for n in range(10)]
        drawings = await asyncio.gather(*map(awaited, runs), *map(awaited, runs))
        assert (await runs[0]).text == "#1 add(0, 0) ✓ 0"
        return [drawing.text for drawing in drawings]

    assert asyncio.run(cell()) == [f"#1 add({n}, {n}) ✓ {2 * n}" for n in range(10)] * 2


def test_await_of_what_fails_draws_and_raises_nothing(lab: labkit.Lab) -> None:
    async def cell() -> str:
        return (await lab.run(chain(broken.s(), add.s(1)))).text

    assert "✗ ValueError: broken on purpose" in asyncio.run(cell())


def test_an_await_that_is_cancelled_leaves_no_listener(lab: labkit.Lab) -> None:
    async def cell() -> labkit.Run:
        run = lab.run(linger.s())
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(awaited(run), 0.1)
        return run

    run = asyncio.run(cell())
    assert run.recording._listeners == []
    go_on.set()
    assert run.get() == "done"


# --- showing -------------------------------------------------------------------------------------------------------


def test_it_shows_the_plan_until_somebody_has_waited(lab: labkit.Lab) -> None:
    run = lab.run(chain(add.s(1, 1), add.s(2)))
    planned = repr(run)
    assert planned == "chain ○\n├─ #1 add(1, 1) ○\n└─ #2 add(…, 2) ○"
    assert run.recording.over.wait(10)
    assert repr(run) == planned
    assert run._repr_mimebundle_() == labkit.draw(run.plan)._repr_mimebundle_()
    run.wait()
    assert repr(run) == "chain ✓\n├─ #1 add(1, 1) ✓ 2\n└─ #2 add(2, 2) ✓ 4"
    assert run._repr_mimebundle_() == labkit.draw(run)._repr_mimebundle_()


def test_what_is_done_to_an_argument_after_sending_changes_nothing(lab: labkit.Lab) -> None:
    data: list[Any] = [1, [2]]
    lab.pause()
    run = lab.run(chain(same.s(data), same.si(data), same.si(value=data)).on_error(same.s(data)))
    data.append("later")
    data[1].append("later")
    shown = str([list(graph.nodes.values()) for graph in (run.plan, run.graph)])
    lab.resume()
    assert "later" not in shown
    assert run.get(timeout=10) == [1, [2]]
    run.wait(timeout=10)
    assert "later" not in run.recording.to_json()


def test_what_a_task_does_to_an_argument_after_sending_changes_nothing(lab: labkit.Lab) -> None:
    @lab.app.task(name="cells.sends", shared=False)
    def sends() -> None:
        data: list[Any] = [1]
        chord([same.s(data), same.s(data)], chain(same.si(data), same.si(value=data))).delay()
        chain(same.s(data), same.si(data)).delay()
        data.append("later")

    run = lab.run(sends.s())
    run.wait(timeout=10)
    assert len(run.graph.nodes) == 7
    assert "later" not in run.recording.to_json()


def test_messages_come_in_the_order_of_the_canvas(lab: labkit.Lab) -> None:
    run = lab.run(six())
    run.get()
    ids = [node.id for node in run.plan.nodes.values()]
    for _ in range(3):  # whichever header ended first
        assert [message.id for message in run.messages] == ids
    first = run.messages[0]
    assert (first.task, first.args, first.queue) == ("runs.add", (1, 1), "celery")


def test_what_could_not_be_sent_is_no_message(lab: labkit.Lab) -> None:
    run = labkit.run(set_of.s(1, 2) | total.s())
    run.wait(timeout=10)
    assert run.graph.node("#2").state == "never ran"
    assert [message.task for message in run.messages] == ["runs.set_of"]


def test_an_error_can_be_had_as_a_value(lab: labkit.Lab) -> None:
    error = lab.run(broken.s()).get(propagate=False)
    assert (type(error), str(error)) == (ValueError, "broken on purpose")
    assert lab.run(group(broken.s(), add.s(1, 1))).get(propagate=False)[1] == 2


def test_a_message_stands_where_its_node_does(lab: labkit.Lab) -> None:
    """Also one with the id of the task that it replaces, and of a task whose message came before one never sent."""
    run = lab.run(instead.s())
    run.wait()
    assert [each.task for each in run.messages] == [
        *("runs.instead", "runs.add", "runs.add", "runs.total", "runs.set_of"),
    ]
    assert [node.state for node in run.graph.nodes.values()][-2:] == ["failed", "never ran"]
    assert run.graph.node("#1").state == "succeeded"


def test_the_messages_of_retries_come_after_the_first(lab: labkit.Lab) -> None:
    run = lab.run(group(moody.s(2), add.s(1, 1)))
    assert run.get() == [2, 2]
    assert [(each.task, each.headers.get("retries", 0)) for each in run.messages] == [
        ("runs.moody", 0),
        ("runs.moody", 1),
        ("runs.moody", 2),
        ("runs.add", 0),
    ]


# --- many ----------------------------------------------------------------------------------------------------------


def test_runs_at_once_keep_apart(lab: labkit.Lab) -> None:
    runs = [lab.run(chord([add.s(n, 1), broken.s()] if n == 4 else [add.s(n, k) for k in range(3)], total.s()))
            for n in range(10)]  # fmt: skip
    for n, run in enumerate(runs):
        run.wait()
        ids = {node.id for node in run.plan.nodes.values()}
        assert {fact["id"] for fact in run.recording.facts} <= ids
        if n == 4:
            assert states(run) == ["succeeded", "failed", "never ran"]
        else:
            assert run.get() == 3 * n + 3


def test_runs_from_threads(lab: labkit.Lab) -> None:
    def thread(n: int) -> tuple[Any, str]:
        run = lab.run(chain(add.s(n, 1), add.s(1)))
        return run.get(), run.wait().text.splitlines()[-1]

    with ThreadPoolExecutor(5) as pool:
        found = list(pool.map(thread, range(10)))
    assert found == [(n + 2, f"└─ #2 add({n + 1}, 1) ✓ {n + 2}") for n in range(10)]


def test_the_same_signature_object_from_threads(lab: labkit.Lab) -> None:
    canvas = six()
    with ThreadPoolExecutor(5) as pool:
        runs = list(pool.map(lambda _: lab.run(canvas), range(10)))
    assert [run.get() for run in runs] == [18] * 10
    assert len({node.id for run in runs for node in run.plan.nodes.values()}) == 60


# --- keeping -------------------------------------------------------------------------------------------------------


CANVASES: dict[str, Callable[[], Any]] = {
    "six": six,
    "failing": lambda: chain(add.s(1, 1), broken.s(), add.s(1).on_error(broken.s())),
    "failing chord": lambda: chord([add.s(1, 1), broken.s()], total.s()),
    "retried": lambda: moody.s(2),
    "dynamic": lambda: chain(growing.s(10), add.s(100)),
    "map": lambda: add.starmap([(1, 1), (2, 2)]),
    "odd values": lambda: add.s("\x00é😀", "</script>"),
}


@pytest.mark.parametrize("make", CANVASES.values(), ids=CANVASES)
def test_a_saved_recording_is_loaded_as_an_equal_graph(
    make: Callable[[], Any], lab: labkit.Lab, tmp_path: Path
) -> None:
    run = lab.run(make())
    run.wait()
    graph = run.graph
    path = tmp_path / "run.json"
    run.save(path)
    assert json.loads(path.read_text(encoding="utf-8"))["schema"] == SCHEMA
    loaded = labkit.load(path)
    assert loaded.graph == graph
    assert loaded.plan == run.plan
    assert loaded.over.is_set()
    assert labkit.draw(loaded).text == labkit.draw(run).text
    assert labkit.draw(loaded).svg == labkit.draw(run).svg
    assert Recording.from_json(loaded.to_json()).graph == graph


def test_a_run_is_saved_as_a_picture_too(lab: labkit.Lab, tmp_path: Path) -> None:
    run = lab.run(add.s(1, 1))
    run.wait()
    for suffix, begins in ((".svg", b"<"), (".png", b"\x89PNG"), (".txt", b"#1 add(1, 1)"), (".dot", b"digraph")):
        path = tmp_path / f"run{suffix}"
        run.save(path)
        assert begins in path.read_bytes()[:200]


@pytest.mark.parametrize(
    "text",
    ["", "no json", "[]", "{}", '{"schema": 1}', '{"schema": 1, "plan": 3, "facts": []}', "\x00"],
)
def test_what_is_no_recording_is_one_error(text: str, tmp_path: Path) -> None:
    path = tmp_path / "run.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(LabError, match="no saved recording"):
        labkit.load(path)


def test_a_recording_of_a_later_version_or_none_at_all(tmp_path: Path) -> None:
    path = tmp_path / "run.json"
    path.write_text(json.dumps({"schema": SCHEMA + 1, "plan": {}, "facts": []}), encoding="utf-8")
    with pytest.raises(LabError, match=f"schema {SCHEMA + 1}.*reads {SCHEMA}"):
        labkit.load(path)
    with pytest.raises(LabError, match=r"cannot read nowhere\.json: No such file"):
        labkit.load(tmp_path / "nowhere.json")
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(LabError, match=r"cannot read run\.json"):
        labkit.load(path)


def test_what_is_loaded_needs_no_lab(lab: labkit.Lab, tmp_path: Path) -> None:
    run = lab.run(six())
    run.wait()
    run.save(tmp_path / "run.json")
    text = repr(run)
    lab.stop()
    try:
        assert labkit.draw(labkit.load(tmp_path / "run.json")).text == text
        assert repr(run) == text  # and what was waited for shows itself after the end
        assert states(run) == ["succeeded"] * 6
    finally:
        restart(lab)


def restart(lab: labkit.Lab) -> None:
    """The module's lab again."""
    lab.__dict__.update(labkit.start(app).__dict__)


# --- the recording by itself ---------------------------------------------------------------------------------------


def test_a_listener_that_breaks_is_dropped_and_harms_nothing(lab: labkit.Lab) -> None:
    run = lab.run(linger.s())
    heard: list[str] = []

    def breaks(fact: dict[str, Any]) -> None:
        raise RuntimeError("a view that breaks")

    run.recording.listen(breaks)
    run.recording.listen(lambda fact: heard.append(fact["kind"]))
    go_on.set()
    assert run.get() == "done"
    assert heard[-1] == "over"
    assert "succeeded" in heard
    assert breaks not in run.recording._listeners


def test_facts_are_numbered_in_the_order_of_coming(lab: labkit.Lab) -> None:
    run = lab.run(six())
    run.wait()
    assert [fact["n"] for fact in run.recording.facts] == list(range(len(run.recording.facts)))
    assert run.recording.open == ()


def test_a_recording_counts_what_it_does_not_keep(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("labkit.record.MOST", 3)
    recording = Recording()
    for n in range(5):
        recording.add("printed", "id", text=str(n))
    assert (len(recording.facts), recording.dropped) == (3, 2)


class Broken:
    def __repr__(self) -> str:
        raise RuntimeError


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        ("x" * 50, "x" * 13 + "… (50 characters)"),
        ([1, "é"], [1, "é"]),
        ({1: 2}, {"1": 2}),
        ({3}, "{3}"),
        (float("inf"), "inf"),
        ([float("nan")], "[nan]"),
        (Broken(), "<Broken: its repr raises>"),
        (b"ab", "b'ab'"),
    ],
    ids=["long", "list", "dict", "set", "infinite", "nan", "broken", "bytes"],
)
def test_values_are_kept_as_json_and_bounded(value: Any, kept: Any) -> None:
    assert snapshot(value, 30 if value == "x" * 50 else 100) == kept


def test_an_empty_recording_is_saved_and_loaded() -> None:
    recording = Recording()
    assert Recording.from_json(recording.to_json()).graph == Graph()
    assert repr(recording) == "<Recording: 0 facts>"


def test_a_frozen_signature_runs_again_when_its_run_is_over(lab: labkit.Lab) -> None:
    """One id at a time: else nobody could tell whose fact it is, and one of the runs would never be over."""
    frozen = add.s(1, 2)
    frozen.freeze()
    lab.pause()
    first = lab.run(frozen)
    with pytest.raises(LabError, match=r"fixed id.*not over yet\. Wait for that run"):
        lab.run(frozen)
    lab.resume()
    first.wait()
    again = lab.run(frozen)
    again.wait()
    assert again.graph.node("#1").id == first.graph.node("#1").id
    assert again.over
