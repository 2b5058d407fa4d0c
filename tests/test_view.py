"""The kernel's side of the live view: what is sent, when, how much, and what is left over afterwards."""

import asyncio
import gc
import json
import re
import threading
import time
import weakref
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from celery import Celery, chain, chord, group

import labkit
from labkit.labels import Labels
from labkit.theme import THEMES
from labkit.view import assets, page
from labkit.view.feed import Feed
from labkit.view.layout import Layout
from labkit.view.widget import OFTEN, VIEW_MIME, View

app = Celery("view")
app.conf.update(task_serializer="json", result_serializer="json", accept_content=["json"])
HOSTILE = "</script><img src=x onerror=alert(1)>\u202e\0&\"'" + "x" * 100_000


@app.task
def add(x: int, y: int) -> int:
    """Add."""
    return x + y


@app.task
def xsum(numbers: list[int]) -> int:
    """Add all."""
    return sum(numbers)


@app.task
def say(text: str) -> str:
    """Give back."""
    return text


@app.task
def fail(text: str) -> None:
    """Fail."""
    raise ValueError(text)


@app.task(bind=True)
def launch(self: Any, n: int) -> None:
    """Send n tasks."""
    for place in range(n):
        add.delay(place, place)


@app.task
def nap(seconds: float) -> None:
    """Take a while."""
    time.sleep(seconds)


@app.task(acks_late=True)
def late() -> None:
    """Be acknowledged afterwards."""


@pytest.fixture(scope="module")
def lab() -> Iterator[labkit.Lab]:
    with labkit.start(app) as lab:
        yield lab


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[tuple[float, str, dict[str, Any]]]:
    """What views send: when, in which thread, and what."""
    told: list[tuple[float, str, dict[str, Any]]] = []

    def send(view: View, content: dict[str, Any], buffers: Any = None) -> None:
        told.append((time.monotonic(), threading.current_thread().name, json.loads(json.dumps(content))))

    monkeypatch.setattr(View, "send", send)
    return told


def names_of_threads() -> set[str]:
    """Those of all threads but the worker's slots, which start when they are first used."""
    return {each.name for each in threading.enumerate() if not each.name.startswith("slot")}


def news(told: list[tuple[float, str, dict[str, Any]]]) -> list[dict[str, Any]]:
    return [content["news"] for _, _, content in told if "news" in content]


def facts_of(view: View, told: list[tuple[float, str, dict[str, Any]]], first: dict[str, Any]) -> list[dict[str, Any]]:
    """All facts, as a page puts them together."""
    facts = list(first["facts"])
    for each in news(told):
        assert each.get("from", 0) <= len(facts), "a gap"
        facts += each.get("facts", [])[len(facts) - each.get("from", len(facts)) :]
    return facts


async def until_ignored(run: labkit.Run) -> None:
    for _ in range(200):
        if run.over and not run.recording._listeners:
            return
        await asyncio.sleep(0.02)
    raise AssertionError("the view still listens")


def watched(lab: labkit.Lab, canvas: Any) -> tuple[View, labkit.Run, dict[str, Any]]:
    run = lab.run(canvas)
    view = View(run.recording, run)
    return view, run, view.everything()


class TestFeed:
    def test_all_facts_come_in_batches_from_the_loop_and_then_nobody_listens(
        self, lab: labkit.Lab, told: list[Any]
    ) -> None:
        threads = names_of_threads()

        async def main() -> None:
            view, run, first = watched(lab, chord([add.s(place, 1) for place in range(100)], xsum.s()))
            await run
            await until_ignored(run)
            assert len(facts_of(view, told, first)) == len(run.recording.facts) == 5 * 101

        asyncio.run(main())
        batches = news(told)
        assert 1 <= len(batches) < 60
        assert batches[-1]["over"]
        assert {thread for _, thread, _ in told} == {"MainThread"}
        gaps = [after[0] - before[0] for before, after in pairwise(told)]
        assert sum(gap < OFTEN * 0.8 for gap in gaps) <= 3, "more often than agreed"
        assert names_of_threads() <= threads

    def test_a_blocked_loop_gets_everything_later(self, lab: labkit.Lab, told: list[Any]) -> None:
        async def main() -> None:
            view, run, first = watched(lab, chain(add.s(1, 1), add.s(2)))
            run.wait()
            assert told == []
            await until_ignored(run)
            assert len(facts_of(view, told, first)) == len(run.recording.facts)

        asyncio.run(main())

    def test_a_page_that_comes_late_gets_all_at_once(self, lab: labkit.Lab, told: list[Any]) -> None:
        async def main() -> None:
            view, run, _ = watched(lab, chain(add.s(1, 1), add.s(2)))
            await run
            await until_ignored(run)
            state = view.get_state()["record"]
            assert len(state["facts"]) == len(run.recording.facts)
            assert state["over"]
            told.clear()
            view._asked(None, {"do": "all", "have": 3, "version": 0, "number": 7}, [])
            view._asked(None, {"do": "all", "have": len(run.recording.facts), "version": -1, "number": 8}, [])
            await asyncio.sleep(0.05)
            assert [content.get("answer") for _, _, content in told] == [7, 8]
            first, second = (content["news"] for _, _, content in told)
            assert (first["from"], len(first["facts"])) == (3, len(run.recording.facts) - 3)
            assert "svg" in str(first["picture"].keys()), "what is saved in place of the view"
            assert "shape" not in first
            assert (second["facts"], len(second["shape"]["nodes"])) == ([], 2)

        asyncio.run(main())

    def test_a_run_that_ends_while_its_view_is_made_is_told_to_its_end(
        self, lab: labkit.Lab, told: list[Any], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        everything = View.everything

        def slowly(view: View) -> dict[str, Any]:
            state = everything(view)
            view._feed.recording.over.wait(10)
            return state

        async def main() -> None:
            lab.pause()
            run = lab.run(chain(add.s(1, 1), add.s(2)))
            with monkeypatch.context() as patched:
                patched.setattr(View, "everything", slowly)
                threading.Timer(0.1, lab.resume).start()
                view = View(run.recording, run)
            assert run.over
            had = view._feed.told
            assert had < len(run.recording.facts)
            await until_ignored(run)
            last = news(told)
            assert sum(len(each.get("facts", ())) for each in last) == len(run.recording.facts) - had
            assert last[-1]["over"]

        asyncio.run(main())

    def test_the_shape_is_sent_again_only_when_there_are_new_nodes(self, lab: labkit.Lab, told: list[Any]) -> None:
        async def main() -> None:
            _, run, _ = watched(lab, chord([add.s(1, 1), fail.s("no")], xsum.s()))
            await run
            await until_ignored(run)
            assert [each for each in news(told) if "shape" in each] == []
            told.clear()
            lab.pause()
            _, run, first = watched(lab, launch.s(5))
            lab.resume()
            assert len(first["shape"]["nodes"]) == 1
            await run
            await until_ignored(run)
            shapes = [each["shape"] for each in news(told) if "shape" in each]
            assert 1 <= len(shapes) <= 6
            assert len(shapes[-1]["nodes"]) == 6
            assert {node.get("born", -1) >= 0 for node in shapes[-1]["nodes"][1:]} == {True}

        asyncio.run(main())

    def test_a_second_page_takes_no_shape_away_from_the_first(self, lab: labkit.Lab, told: list[Any]) -> None:
        async def main() -> None:
            lab.pause()
            view, run, first = watched(lab, launch.s(4))
            lab.resume()
            run.wait()  # nothing is told meanwhile
            assert len(view.everything()["shape"]["nodes"]) == 5
            await until_ignored(run)
            shapes = [len(each["shape"]["nodes"]) for each in news(told) if "shape" in each]
            assert (len(first["shape"]["nodes"]), shapes) == (1, [5])

        asyncio.run(main())

    def test_a_page_that_comes_late_knows_how_long_a_task_runs(self, lab: labkit.Lab, told: list[Any]) -> None:
        async def main() -> None:
            view, run, _ = watched(lab, nap.s(1.0))
            await asyncio.sleep(0.6)
            again = view.everything()
            view._asked(None, {"do": "all", "have": 0, "version": 0, "number": 1}, [])
            await asyncio.sleep(0.02)
            assert 0.3 < again["age"] < 0.9
            assert 0.3 < news(told)[-1]["age"] < 0.9
            await run
            assert "age" not in view.everything()

        asyncio.run(main())

    def test_what_is_saved_is_the_plan_until_all_is_over(self, lab: labkit.Lab, told: list[Any]) -> None:
        async def main() -> None:
            lab.pause()
            view, run, first = watched(lab, chain(add.s(1, 1), add.s(2)))
            plan = labkit.draw(run.plan)._repr_mimebundle_()
            lab.step()
            assert first["picture"] == view.everything()["picture"] == plan
            assert not first["over"]
            lab.resume()
            await run
            await until_ignored(run)
            told.clear()
            view._asked(None, {"do": "picture"}, [])
            await asyncio.sleep(0.02)
            assert news(told)[0] == {"picture": labkit.draw(run.graph)._repr_mimebundle_(), "over": True}

        asyncio.run(main())

    def test_what_is_sent_is_bounded(self, lab: labkit.Lab) -> None:
        run = lab.run(chain(say.s(HOSTILE), fail.si(HOSTILE)))
        run.wait()
        record = Feed(run.recording).all()
        assert max(len(json.dumps(fact)) for fact in record["facts"]) < 4_000
        assert len(json.dumps(record)) < 40_000

    def test_what_has_not_been_sent_has_no_arguments_yet(self, lab: labkit.Lab) -> None:
        run = lab.run(add.s(1, 1) | add.s(2))
        run.wait()
        record = Feed(run.recording).all()
        assert [node["call"] for node in record["shape"]["nodes"]] == ["add(1, 1)", "add(…, 2)"]
        assert [fact["call"] for fact in record["facts"] if fact["kind"] == "published"] == ["add(1, 1)", "add(2, 2)"]

    def test_bytes_per_task(self, lab: labkit.Lab) -> None:
        run = lab.run(chord([add.s(place, 1) for place in range(300)], xsum.s()))
        run.wait()
        record = Feed(run.recording).all()
        assert len(json.dumps(record["facts"])) / 301 < 700
        assert len(json.dumps(record)) / 301 < 1_200

    def test_tasks_acknowledged_late_are_marked(self, lab: labkit.Lab, told: list[Any]) -> None:
        async def main() -> None:
            _, run, first = watched(lab, chain(late.si(), add.si(1, 1)))
            assert [node.get("late", False) for node in first["shape"]["nodes"]] == [True, False]
            await run

        asyncio.run(main())


class TestLayout:
    def test_boxes_and_frames_are_named_and_it_holds_no_colour_of_a_state(self) -> None:
        graph = labkit.plan(chord([add.s(1, 1), add.s(2, 2)], xsum.s()) | add.s(1))
        layout = Layout(graph, Labels(graph))
        named = re.findall(r'data-name="(n\d+)" class="box"', layout.svg)
        assert sorted(named) == ["n1", "n2", "n3", "n4"]
        assert 'data-name="frame1" class="frame"' in layout.svg
        assert 'data-source="n1"' in layout.svg
        assert THEMES["light"].looks["succeeded"].fill not in layout.svg

    def test_it_stands_still_whatever_happens(self, lab: labkit.Lab) -> None:
        run = lab.run(chord([add.s(1, 1), fail.s("no")], xsum.s()))
        before = Feed(run.recording).shape.plain()["svg"]
        run.wait()
        assert Feed(run.recording).shape.plain()["svg"] == before

    def test_a_thousand_are_one_box(self) -> None:
        graph = labkit.plan(group(add.s(place, 1) for place in range(1000)))
        layout = Layout(graph, Labels(graph))
        assert [len(box) for box in layout.boxes] == [1000]


class TestButtons:
    def ask(self, view: View, told: list[Any], **content: Any) -> dict[str, Any]:
        told.clear()
        view._asked(None, {"number": 1, **content}, [])
        return content

    def test_pause_step_resume(self, lab: labkit.Lab, told: list[Any]) -> None:
        async def ended(run: labkit.Run, many: int) -> int:
            for _ in range(100):
                if run.graph.counts().get("succeeded", 0) >= many:
                    break
                await asyncio.sleep(0.05)
            await asyncio.sleep(0.2)
            return run.graph.counts().get("succeeded", 0)

        async def main() -> None:
            lab.pause()
            view, run, first = watched(lab, chain(add.s(1, 1), *[add.s(place) for place in range(6)]))
            assert first["lab"]["paused"]
            for _ in range(3):
                self.ask(view, told, do="step")
            assert await ended(run, 3) == 3
            self.ask(view, told, do="resume")
            assert not lab.paused
            await run
            await until_ignored(run)
            await asyncio.sleep(0.5)
            assert not [each.name for each in threading.enumerate() if each.name.startswith("labkit step")]

        asyncio.run(main())

    def test_a_step_needs_a_paused_lab(self, lab: labkit.Lab, told: list[Any]) -> None:
        async def main() -> None:
            view, run, _ = watched(lab, nap.s(0.2))
            self.ask(view, told, do="step")
            await asyncio.sleep(0.02)
            assert "not paused" in str([content.get("refused") for _, _, content in told])
            await run

        asyncio.run(main())

    @pytest.mark.parametrize("late", [{"do": "pause"}, {"do": "step"}, {"do": "slow", "seconds": 1}])
    def test_what_is_pressed_late_leaves_the_next_run_alone(
        self, lab: labkit.Lab, told: list[Any], late: dict[str, Any]
    ) -> None:
        async def main() -> None:
            view, run, _ = watched(lab, add.s(1, 1))
            await run
            await until_ignored(run)
            self.ask(view, told, **late)
            await asyncio.sleep(0.02)
            assert "this run is over" in told[0][2]["refused"]
            assert not lab.paused
            assert lab.gate.delay == 0

        asyncio.run(main())

    def test_why_is_answered_later_and_keeps_nobody_waiting(self, lab: labkit.Lab, told: list[Any]) -> None:
        async def main() -> None:
            view, run, _ = watched(lab, chain(fail.s("no"), add.s(1)))
            await run
            self.ask(view, told, do="why", name="#2")
            for _ in range(100):
                if answers := [content for _, _, content in told if content.get("why") == "#2"]:
                    break
                await asyncio.sleep(0.02)
            assert "never ran" in answers[0]["sentences"][0][0]

        asyncio.run(main())

    def test_what_makes_no_sense_is_refused(self, lab: labkit.Lab, told: list[Any]) -> None:
        async def main() -> None:
            view, run, _ = watched(lab, add.s(1, 1))
            await run
            await until_ignored(run)
            for content in (
                {"do": "explode"},
                {"do": "slow", "seconds": "x"},
                {"do": "fault", "fault": "x", "task": "y"},
            ):
                self.ask(view, told, **content)
                await asyncio.sleep(0.02)
                assert "refused" in told[0][2]

        asyncio.run(main())

    def test_a_fault_is_armed_and_undone(self, lab: labkit.Lab, told: list[Any]) -> None:
        async def main() -> None:
            view, run, _ = watched(lab, add.s(1, 1))
            await run
            self.ask(view, told, do="fault", fault="fail", task=add.name)
            again = lab.run(add.s(1, 1))
            await again
            assert again.graph.counts() == {"failed": 1}
            self.ask(view, told, do="fault", fault="undo", task="")
            assert repr(lab.faults) == "faults: none armed"

        asyncio.run(main())


class TestShowing:
    def test_without_a_kernel_a_run_is_its_picture(self, lab: labkit.Lab) -> None:
        run = lab.run(add.s(1, 1))
        assert set(run._repr_mimebundle_()) == {"image/svg+xml", "text/plain"}
        run.wait()

    def test_in_a_kernel_the_view_is_added_and_the_picture_stays(
        self, lab: labkit.Lab, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("labkit.view.widget.in_notebook", lambda: True)

        async def main() -> None:
            run = lab.run(add.s(1, 1))
            plain = labkit.draw(run.plan)._repr_mimebundle_()
            bundle = run._repr_mimebundle_()
            assert {kind: bundle[kind] for kind in plain} == plain
            assert set(bundle) - set(plain) == {VIEW_MIME}
            assert run._repr_mimebundle_()[VIEW_MIME] == bundle[VIEW_MIME], "one view for one run"
            await run

        asyncio.run(main())

    def test_without_anywidget_a_run_is_its_picture(self, lab: labkit.Lab, monkeypatch: pytest.MonkeyPatch) -> None:
        import sys

        monkeypatch.setitem(sys.modules, "labkit.view.widget", None)
        run = lab.run(add.s(1, 1))
        assert set(run._repr_mimebundle_()) == {"image/svg+xml", "text/plain"}
        run.wait()

    def test_twenty_views_of_finished_runs_hold_nothing_but_their_facts(self, lab: labkit.Lab, told: list[Any]) -> None:
        threads = names_of_threads()

        async def main() -> None:
            loop = asyncio.get_running_loop()
            views, runs = [], []
            for _ in range(20):
                view, run, _ = watched(lab, chord([add.s(place, 1) for place in range(10)], xsum.s()))
                views.append(view)
                runs.append(run)
            for run in runs:
                await run
                await until_ignored(run)
            assert {view._due for view in views} == {None}
            assert not getattr(loop, "_scheduled", [])[:] or all(h.cancelled() for h in loop._scheduled)  # type: ignore[attr-defined]
            assert max(len(json.dumps(view.get_state()["record"])) for view in views) < 60_000

        asyncio.run(main())
        assert names_of_threads() <= threads

    def test_a_closed_view_lets_its_run_go(self, lab: labkit.Lab, told: list[Any]) -> None:
        async def main() -> "weakref.ref[labkit.Run]":
            view, run, _ = watched(lab, add.s(1, 1))
            await run
            await until_ignored(run)
            view.close()
            return weakref.ref(run)

        gone = asyncio.run(main())
        gc.collect()
        assert gone() is None


class TestPage:
    @pytest.fixture
    def saved(self, lab: labkit.Lab, tmp_path: Path) -> str:
        run = lab.run(chain(say.s(HOSTILE), fail.si(HOSTILE), add.si(1, 1)))
        run.wait()
        run.save(tmp_path / "a_run.html")
        return (tmp_path / "a_run.html").read_text(encoding="utf-8")

    def test_data_cannot_become_markup(self, saved: str) -> None:
        assert "<img" not in saved
        assert len(re.findall("<script", saved)) == 2
        data = re.search(r'<script type="application/json" id="record">(.*?)</script>', saved, re.DOTALL)
        assert data
        assert not set("<>&") & set(data[1])
        assert json.loads(data[1])["over"]

    def test_it_may_load_nothing_and_run_only_its_own_script(self, saved: str) -> None:
        policy = re.search(r'Content-Security-Policy" content="([^"]*)"', saved)
        assert policy
        assert policy[1].startswith("default-src 'none'; script-src 'sha256-")
        assert "unsafe" not in policy[1]
        assert not re.search(r"https?://(?!www\.w3\.org/)", saved)
        assert not re.search(r'\s(?:on\w+|style)="', saved)

    def test_it_tells_why_without_a_kernel(self, saved: str) -> None:
        data = re.search(r'id="record">(.*?)</script>', saved, re.DOTALL)
        assert data
        assert "never ran" in json.loads(data[1])["why"]["2"][0][0]

    def test_it_is_the_same_from_a_loaded_recording(self, lab: labkit.Lab, tmp_path: Path) -> None:
        run = lab.run(chain(add.s(1, 1), add.s(2)))
        run.wait()
        run.save(tmp_path / "run.json")
        assert page.page(labkit.load(tmp_path / "run.json")) == page.page(run.recording)


class TestAssets:
    def test_the_module_has_no_imports_left_and_one_export(self) -> None:
        lines = [line for line in assets.module().splitlines() if re.match("import |export ", line)]
        [line] = lines
        shared = r"globalThis\[Symbol.for\('labkit.\w{16}'\)\] \?\?= { initialize, render: dressed };"
        assert re.fullmatch(f"export default {shared}", line)
        lines = [line for line in assets.keeper().splitlines() if re.match("import |export ", line)]
        assert lines == ["export default { initialize: keepPicture };"]

    def test_every_script_is_used_and_named_by_what_it_imports(self) -> None:
        folder = Path(assets.__file__).parent
        assert {path.stem for path in folder.glob("*.js")} == set(assets.SCRIPTS)
        for place, name in enumerate(assets.SCRIPTS):
            text = (folder / f"{name}.js").read_text()
            assert set(re.findall(r'from "\./(\w+)\.js"', text)) <= set(assets.SCRIPTS[:place])
            assert "innerHTML" not in text
            assert text.startswith("// ")
            assert len(text.splitlines()) <= 350

    def test_text_on_its_fill_can_be_read_in_both_themes(self) -> None:
        for theme in THEMES.values():
            for look in theme.looks.values():
                assert contrast(look.text, look.fill) >= 4.5
            assert contrast(theme.title, theme.paper) >= 4.5
            assert contrast(theme.looks["planned"].text, theme.looks["sent"].fill) >= 4.5


def contrast(one: str, other: str) -> float:
    """The contrast of two colours, by WCAG."""

    def light(colour: str) -> float:
        parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
        linear = [part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return sum(share * part for share, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True))

    dark, bright = sorted((light(one), light(other)))
    return (bright + 0.05) / (dark + 0.05)
