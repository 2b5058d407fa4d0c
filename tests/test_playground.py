"""Controls are made of what is given, the plan follows them, runs keep their order, and errors are shown in place."""

import asyncio
from collections.abc import Iterator
from typing import Any

import ipywidgets
import pytest
from celery import chain, chord

import labkit
from labkit.playground import Playground, cost, playground
from tests import workflows


@pytest.fixture(scope="module")
def lab() -> Iterator[labkit.Lab]:
    """One lab."""
    with labkit.start(workflows.app) as lab:
        yield lab


def build(n: int = 3) -> Any:
    """A chord of n."""
    return chord([workflows.t.s(i) for i in range(n)], workflows.u.s())


def test_controls() -> None:
    """A widget for each argument."""

    def many(a: Any, b: Any, c: Any, d: Any, e: Any, f: Any = 1.5) -> Any:
        return chain(workflows.t.s(a), workflows.t.s(b))

    made = playground(many, a=range(2, 9), b=["x", "y"], c="text", d=True, e=(0.0, 1.0)).controls
    kinds = [type(control) for control in made.values()]
    expected = [ipywidgets.IntSlider, ipywidgets.Dropdown, ipywidgets.Text, ipywidgets.Checkbox]
    assert kinds == [*expected, ipywidgets.FloatSlider, ipywidgets.FloatText]
    assert (made["a"].min, made["a"].max) == (2, 8)


def test_the_plan_follows_the_controls() -> None:
    """Another number, another picture; nothing is sent."""
    ground = playground(build, n=range(1, 9))
    first = ground._picture.value
    ground.controls["n"].value = 4
    assert ground._picture.value != first
    assert "header · 4" in ground._picture.value
    assert repr(ground) == "playground of build(n=4)"
    assert ground.runs == []


@pytest.mark.parametrize(
    ("given", "says"), [({"m": 1}, "no argument 'm'"), ({"n": object()}, "no control"), ({"n": []}, "no control")]
)
def test_what_is_no_control(given: dict[str, Any], says: str) -> None:
    """It is said in words."""
    with pytest.raises(labkit.LabError, match=says):
        playground(build, **given)
    with pytest.raises(labkit.LabError, match="give a control"):
        playground(lambda n: n)


def test_ten_runs_keep_their_order(lab: labkit.Lab) -> None:
    """Started quickly, none is lost, none mixed up, and the loop is never blocked."""

    async def click() -> list[Any]:
        ground = playground(build, n=range(1, 20))
        for n in range(1, 11):
            ground.controls["n"].value = n
            ground._buttons["Run"].click()
        for run in ground.runs:
            await run
        await asyncio.sleep(0.3)
        assert "over" in ground._meter.value
        assert not any(run.recording._listeners for run in ground.runs)
        return [len(run.plan.nodes) for run in ground.runs]

    assert asyncio.run(click()) == list(range(2, 12))


def test_an_error_is_shown_in_place(lab: labkit.Lab) -> None:
    """A function that raises, a canvas that cannot be sent."""
    ground = playground(lambda n: 1 // n, n=[0])
    assert "ZeroDivisionError" in ground._picture.value
    ground = playground(lambda n: workflows.t.s({n}), n=["<b>"])
    ground._buttons["Run"].click()
    assert "JSON" in ground._picture.value
    assert "<b>" not in ground._picture.value


def test_pause_and_step(lab: labkit.Lab) -> None:
    """Held, and let go one by one."""

    async def click() -> list[int]:
        ground = playground(lambda: chain(workflows.t.s(), workflows.t.s(), workflows.t.s()))
        ground._buttons["Pause"].click()
        ground._buttons["Run"].click()
        ended: list[int] = []
        for _ in range(3):
            while not lab.gate.held:
                await asyncio.sleep(0.01)
            ground._buttons["Step"].click()
            while len([n for n in ground.runs[0].graph.nodes.values() if n.state == "succeeded"]) <= len(ended):
                await asyncio.sleep(0.01)
            ended.append(len([n for n in ground.runs[0].graph.nodes.values() if n.state == "succeeded"]))
        ground._buttons["Pause"].click()
        return ended

    assert asyncio.run(click()) == [1, 2, 3]
    assert not lab.paused


async def until(ground: Playground, text: str) -> None:
    """Wait until the playground says so."""
    for _ in range(200):
        if text in ground._meter.value:
            return
        await asyncio.sleep(0.02)
    raise AssertionError(ground._meter.value)


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """A number for each look that a playground has taken."""
    looks: list[int] = []
    look = Playground._look

    def counted(ground: Playground) -> None:
        looks.append(len(looks))
        look(ground)

    monkeypatch.setattr(Playground, "_look", counted)
    return looks


def test_one_look_at_a_time(lab: labkit.Lab, looks: list[int]) -> None:
    """However often a button is pressed; what has not changed is not drawn again, and at the end nobody looks."""

    async def click() -> None:
        ground = playground(lambda: chain(*[workflows.t.si() for _ in range(4)]))
        ground._buttons["Pause"].click()
        ground._buttons["Run"].click()
        for _ in range(20):
            ground._buttons["Step"].click()
        while lab.gate.held:
            ground._buttons["Step"].click()
            await asyncio.sleep(0.05)
        pictures: list[str] = []
        ground._picture.observe(lambda change: pictures.append(change["new"]), names="value")
        looks.clear()
        await asyncio.sleep(1)
        assert len(looks) <= 6
        assert len(pictures) <= 2
        ground._buttons["Pause"].click()
        await ground.runs[-1]
        await until(ground, "over")
        await asyncio.sleep(0.1)
        looks.clear()
        await asyncio.sleep(0.5)
        assert (looks, ground._timer) == ([], None)

    asyncio.run(click())


def test_the_button_says_what_it_does(lab: labkit.Lab) -> None:
    """Whoever has paused or resumed the lab."""

    async def click() -> None:
        lab.pause()
        ground = playground(build, n=range(1, 9))
        pause, step = ground._buttons["Pause"], ground._buttons["Step"]
        assert (pause.description, step.disabled) == ("Resume", False)
        lab.resume()
        assert (pause.description, step.disabled) == ("Pause", True)
        await asyncio.to_thread(lab.pause)
        await asyncio.sleep(0.02)
        assert (pause.description, step.disabled) == ("Resume", False)
        pause.click()
        assert (pause.description, lab.paused) == ("Pause", False)

    asyncio.run(click())


def test_a_control_that_is_moved_shows_its_plan_and_it_stays(lab: labkit.Lab) -> None:
    """During a run and during a replay; a replay begins anew when it is asked for again."""

    async def click() -> None:
        ground = playground(build, n=range(1, 9))
        ground._buttons["Pause"].click()
        ground._buttons["Run"].click()
        await until(ground, "paused")
        ground.controls["n"].value = 3
        await asyncio.sleep(0.5)
        assert ground._meter.value == "not sent yet"
        ground._buttons["Pause"].click()
        await until(ground, "over")
        said: list[str] = []
        ground._picture.observe(lambda _: said.append(ground._meter.value), names="value")
        ground._buttons["Replay"].click()
        ground._buttons["Replay"].click()
        await asyncio.sleep(0.6)
        assert len(said) <= 4, "two replays at once"
        ground.controls["n"].value = 5
        await asyncio.sleep(0.6)
        assert (ground._meter.value, ground._timer) == ("not sent yet", None)

    asyncio.run(click())


def test_what_is_saved_of_it(lab: labkit.Lab) -> None:
    """The plan, states only once all is over, in place of the widget; and no times."""

    async def click() -> None:
        ground = playground(build, n=range(2, 9))
        assert ground._kept.of == ground.widget.model_id
        plan = labkit.draw(labkit.plan(build(2)))._repr_mimebundle_()["image/svg+xml"]
        assert ground._kept.picture["image/svg+xml"] == plan
        ground._buttons["Pause"].click()
        ground._buttons["Run"].click()
        await until(ground, "paused")
        assert ground._repr_mimebundle_()["image/svg+xml"] == plan
        ground._buttons["Pause"].click()
        await until(ground, "over")
        shown = {"image/svg+xml": labkit.draw(ground.runs[0])._repr_mimebundle_()["image/svg+xml"]}
        assert ground._kept.picture == shown | {"text/plain": "playground of build(n=2)"}

    asyncio.run(click())


def test_the_cost_of_a_map_and_of_a_group(lab: labkit.Lab) -> None:
    """One message and many calls; as many messages as calls."""
    run = lab.run(workflows.double.map([1, 2, 3]))
    run.wait()
    assert (cost(run).messages, cost(run).calls) == (1, 3)
    run = lab.run(build(3))
    run.wait()
    assert (cost(run).messages, cost(run).calls) == (4, 4)
    assert "4 messages" in str(cost(run))


def test_nobody_looks_after_the_lab_has_stopped(lab: labkit.Lab, looks: list[int]) -> None:
    """A run that is held then is never over. (The module's last test: it stops its lab.)"""

    async def click() -> None:
        ground = playground(lambda: workflows.t.s())
        ground._buttons["Pause"].click()
        ground._buttons["Run"].click()
        await until(ground, "paused")
        lab.stop()
        await until(ground, "the lab has stopped")
        assert (ground._buttons["Pause"].description, ground._buttons["Step"].disabled) == ("Pause", True)
        looks.clear()
        await asyncio.sleep(0.5)
        assert (looks, ground._timer, ground.runs[0].recording._listeners) == ([], None, [])

    asyncio.run(click())
