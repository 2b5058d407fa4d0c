"""What others do to the lab, and what they send, reaches the view: told from the kernel's own loop."""

import asyncio
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from celery import Celery, chain

import labkit
from labkit.view.widget import View

app = Celery("others")
app.conf.update(task_serializer="json", result_serializer="json", accept_content=["json"])


@app.task
def add(x: int, y: int) -> int:
    """Add."""
    return x + y


go = threading.Event()


@app.task
def wait() -> None:
    """Wait until it may go on."""
    go.wait(20)


@app.task
def launch(n: int) -> None:
    """Send n tasks."""
    for place in range(n):
        add.delay(place, place)


@pytest.fixture
def lab() -> Iterator[labkit.Lab]:
    """A lab that may be stopped."""
    with labkit.start(app) as lab:
        yield lab


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What views said of the lab."""
    told: list[dict[str, Any]] = []

    def send(view: View, content: dict[str, Any], buffers: Any = None) -> None:
        assert threading.current_thread() is threading.main_thread()
        if "lab" in content:
            told.append(content["lab"])

    monkeypatch.setattr(View, "send", send)
    return told


async def says(told: list[dict[str, Any]], **expected: Any) -> None:
    for _ in range(200):
        if told and expected.items() <= told[-1].items():
            return
        await asyncio.sleep(0.02)
    raise AssertionError(told)


def test_pause_resume_and_slow_motion(lab: labkit.Lab, told: list[Any]) -> None:
    async def main() -> None:
        go.clear()
        run = lab.run(wait.s())
        view = View(run.recording, run)
        lab.pause()
        await says(told, paused=True)
        lab.slow(0.3)
        await says(told, slow=0.3)
        lab.slow(0)
        await asyncio.to_thread(lab.resume)
        await says(told, paused=False, slow=0.0)
        go.set()
        await run
        while not view._ended:
            await asyncio.sleep(0.02)
        told.clear()
        lab.pause()
        await asyncio.sleep(0.1)
        assert told == [], "nobody follows it any more"

    asyncio.run(main())


def test_a_lab_that_stops_with_tasks_held(lab: labkit.Lab, told: list[Any]) -> None:
    async def main() -> None:
        lab.pause()
        run = lab.run(chain(add.s(1, 1), add.s(1)))
        view = View(run.recording, run)
        assert view.everything()["lab"]["paused"]
        lab.stop()
        await says(told, running=False, paused=False)
        await asyncio.sleep(0.2)
        assert view._due is None, "no timer is left"

    asyncio.run(main())


def test_a_view_that_breaks_keeps_nobody_from_pausing_and_none_is_kept_alive(lab: labkit.Lab) -> None:
    class Broken:
        def look(self) -> None:
            raise ValueError("no")

    broken = Broken()
    lab.watch(broken.look)
    lab.watch(broken.look)
    assert len(lab._watchers) == 1
    lab.pause()
    assert lab.paused
    lab.watch(Broken().look)
    lab.watch(Broken().look)
    assert len(lab._watchers) == 2, "the first, and the last until the next"


def test_what_is_sent_at_run_time_can_be_broken_too(lab: labkit.Lab, told: list[Any]) -> None:
    async def main() -> None:
        lab.pause()
        run = lab.run(launch.s(1))
        view = View(run.recording, run)
        assert view.everything()["lab"]["tasks"] == [launch.name]
        lab.resume()
        await run
        await says(told, tasks=[add.name, launch.name])

    asyncio.run(main())
