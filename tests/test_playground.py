"""Controls are made of what is given, the plan follows them, runs keep their order, and errors are shown in place."""

import asyncio
from collections.abc import Iterator
from typing import Any

import ipywidgets
import pytest
from celery import chain, chord

import labkit
from labkit.playground import cost, playground
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


def test_the_cost_of_a_map_and_of_a_group(lab: labkit.Lab) -> None:
    """One message and many calls; as many messages as calls."""
    run = lab.run(workflows.double.map([1, 2, 3]))
    run.wait()
    assert (cost(run).messages, cost(run).calls) == (1, 3)
    run = lab.run(build(3))
    run.wait()
    assert (cost(run).messages, cost(run).calls) == (4, 4)
    assert "4 messages" in str(cost(run))
