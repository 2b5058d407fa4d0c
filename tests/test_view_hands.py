"""The view under people's hands: keyboard, focus, reading order; and that bars, titles and connectors are true."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from celery import Celery, chain, group
from playwright.sync_api import Locator, Page, expect

import labkit
from labkit.run import Run
from labkit.view import assets
from labkit.view.feed import Feed

app = Celery("hands")
app.conf.update(task_serializer="json", result_serializer="json", accept_content=["json"])

#: A grown workflow goes on at each of these.
going = threading.Semaphore(0)

#: `show` opens a view, with a kernel that answers if `lab` is given, and `tell` brings a message from that.
PAGE = """
Object.assign(window, { Pace, Runs, Timeline, dress });
window.tell = (content) => view.take(content);
window.show = (record, lab) => {
  const send = ({ number }) => setTimeout(() => tell({ answer: number }));
  window.view = new View(document.getElementById("view"), { ...record, lab }, lab && send);
};
"""
BODY = '<body><textarea id="elsewhere"></textarea><div id="view"></div><div style="height: 3000px"></div></body>'
LAB = {"running": True, "paused": False, "slow": 0, "tasks": ["tasks.add"]}


@app.task
def add(x: int, y: int) -> int:
    """Add."""
    return x + y


@app.task
def nap(x: int) -> int:
    """Take a while."""
    time.sleep(0.2)
    return x


@app.task(bind=True)
def swap(self: Any, x: int) -> None:
    """Let another task run in its place."""
    raise self.replace(add.s(x, 1))


@app.task
def sends(many: int) -> None:
    """Send chains that nobody planned."""
    for k in range(many):
        (add.s(k, k) | add.s(1)).delay()


@app.task
def grows(many: int) -> None:
    """Send a task each time that the test lets it."""
    for k in range(many):
        assert going.acquire(timeout=20)
        add.delay(k, 100)


@pytest.fixture(scope="module")
def lab() -> Iterator[labkit.Lab]:
    with labkit.start(app) as lab:
        yield lab
        going.release(9)


def told(run: Run) -> dict[str, Any]:
    """What a page is told of a run that is over."""
    run.wait()
    return Feed(run.recording).all()


def show(page: Page, record: dict[str, Any], lab: dict[str, Any] | None = None) -> Locator:
    """The view of a record, in a page of its own."""
    page.set_viewport_size({"width": 1280, "height": 900})
    page.goto("about:blank")
    page.set_content(BODY)
    page.add_style_tag(content=assets.style())
    page.add_script_tag(content=assets.script() + PAGE, type="module")
    page.wait_for_function("window.show !== undefined")
    page.evaluate("([record, lab]) => show(record, lab)", [record, lab])
    shown = page.locator(".labkit")
    expect(shown).to_have_attribute("data-facts", str(len(record["facts"])))
    return shown


def within(found: Callable[[], Any]) -> Any:
    """What is found before long."""
    until = time.monotonic() + 20
    while not (answer := found()):
        assert time.monotonic() < until
        time.sleep(0.01)
    return answer


def grown(feed: Feed, nodes: int) -> dict[str, Any]:
    """The news with which a workflow has so many nodes."""
    going.release()
    within(lambda: len(feed.recording.graph.nodes) == nodes)
    feed.reshape()
    news = feed.news() or {}
    return {**news, "shape": feed.shape.plain(), "version": nodes}


def focused(page: Page) -> str:
    """What has the focus: the name of a box, the node of a cell, or a class."""
    return str(
        page.evaluate(
            "(({ dataset, className, id, tagName }) => dataset.name ?? dataset.node ?? (id || className || tagName))"
            "(document.activeElement)"
        )
    )


def test_a_workflow_that_grows_leaves_the_focus_and_an_open_stack_alone(lab: labkit.Lab, page: Page) -> None:
    run = lab.run(group(*[add.s(k, k) for k in range(12)], grows.si(5)))
    within(lambda: sum(node.state == "succeeded" for node in run.graph.nodes.values()) == 12)
    feed = Feed(run.recording)
    shown = show(page, feed.all(), LAB)
    size = len(run.graph.nodes)

    def grow() -> None:
        nonlocal size
        size += 1
        page.evaluate("(news) => tell({ news })", grown(feed, size))
        expect(shown).to_have_attribute("data-facts", str(feed.told))
        assert len(page.evaluate("view.shape.nodes")) == size

    # A stack that was unfolded, and folded again.
    shown.locator("svg .stack").click()
    page.keyboard.press("Escape")
    assert focused(page) == "n1"
    page.locator("#elsewhere").focus()
    grow()
    assert focused(page) == "elsewhere"
    # One that is open.
    shown.locator("svg .stack").click()
    page.keyboard.press("ArrowRight")
    assert focused(page) == "1"
    grow()
    expect(shown.locator(".sheet")).to_be_visible()
    assert focused(page) == "1"
    page.locator("#elsewhere").focus()
    grow()
    expect(shown.locator(".sheet")).to_be_visible()
    assert focused(page) == "elsewhere"
    # Folded, its box has the focus, though it was drawn anew: pressed, or because it is no stack any more.
    shown.locator(".cell").first.focus()
    page.keyboard.press("Escape")
    expect(shown.locator(".sheet")).to_be_hidden()
    assert focused(page) == "n1"
    shape = feed.shape.plain()
    single = {**shape, "boxes": [{"nodes": box["nodes"]} for box in shape["boxes"]]}
    for place, after in (("#elsewhere", "elsewhere"), (".cell >> nth=3", "n1")):
        page.evaluate("(shape) => tell({ news: { shape } })", shape)
        shown.locator("svg .stack").click()
        page.locator(place).focus()
        page.evaluate("(shape) => tell({ news: { shape } })", single)
        expect(shown.locator(".sheet")).to_be_hidden()
        assert focused(page) == after
    # A box, and the panel that was opened from it.
    page.keyboard.press("ArrowDown")
    assert focused(page) == "n13"
    grow()
    assert focused(page) == "n13"
    page.keyboard.press("Enter")
    assert focused(page) == "close"
    grow()
    page.keyboard.press("Escape")
    assert focused(page) == "n13"
    run.wait()


def test_the_panel_tells_what_is_and_leaves_the_focus_alone(lab: labkit.Lab, page: Page) -> None:
    record = told(lab.run(chain(add.s(1, 1), add.s(2))))
    shown = show(page, {**record, "facts": []}, LAB)
    why = {"do": "why", "why": "#1", "sentences": [["It waits.", ""]]}
    shown.locator("[data-name=n1]").click()
    expect(shown.locator(".panel .details")).to_contain_text("planned")
    page.locator("#elsewhere").focus()
    page.evaluate("(why) => tell(why)", why)
    expect(shown.locator(".panel .why")).to_have_text("It waits.")
    assert focused(page) == "elsewhere"
    page.evaluate("(facts) => tell({ news: { from: 0, facts } })", record["facts"])
    expect(shown.locator(".panel .details")).to_contain_text("succeeded")
    assert focused(page) == "elsewhere"


def test_every_bar_ends_where_its_run_did(lab: labkit.Lab, page: Page) -> None:
    runs = "view.timeline.runs.found.map(({ end, until }) => [end, until !== null])"
    lab.faults.deliver_twice(nap)
    show(page, told(lab.run(chain(nap.s(1), add.si(1, 1)))))
    bars = page.evaluate(runs)
    assert len(bars) >= 3, "the first ran twice at the same time"
    assert bars == [["succeeded", True]] * len(bars)
    lab.reset()
    show(page, told(lab.run(chain(swap.s(1), add.s(3)))))
    assert sorted(page.evaluate(runs)) == [["ended", True], ["succeeded", True], ["succeeded", True]]
    # Its worker was killed before it acknowledged, and another ran it.
    again = [("started", 0), ("stranded", 0), ("started", 0), ("succeeded", 0)]
    assert ends(page, again) == [[1, "stranded"], [3, "succeeded"]]
    # What runs in its place began before it had ended, and was quicker.
    inside = [("started", 0), ("started", 1), ("succeeded", 1), ("ended", 0)]
    assert ends(page, inside) == [[3, "ended"], [2, "succeeded"]]


def ends(page: Page, told: list[tuple[str, int]]) -> Any:
    """When and how the runs of one task end, after facts of these kinds and depths, one each second."""
    facts = [{"kind": kind, "task": 0, "depth": depth, "at": at, "slot": "1"} for at, (kind, depth) in enumerate(told)]
    return page.evaluate(
        "(sorted) => { const runs = new Runs(); runs.follow({ sorted, length: sorted.length }, 0);"
        "return runs.found.map(({ until, end }) => [until, end]); }",
        facts,
    )


def test_a_connector_is_there_with_the_boxes_that_it_joins(lab: labkit.Lab, page: Page) -> None:
    """Only what a task sends stands in the second row: at the beginning no line leads there."""
    jumps = []
    for steps in range(1, 9):
        record = told(lab.run(chain(add.s(1, 1), *[add.s(k) for k in range(steps)], sends.si(2))))
        if "jump" in record["shape"]["svg"]:
            jumps.append(record)
    seen = set()
    for record in jumps:
        shown = show(page, {**record, "over": True})
        absent = shown.locator("svg .jump.absent")
        expect(absent).to_have_count(0)
        shown.focus()
        page.keyboard.press("Home")
        expect(shown.locator("svg .box.absent")).to_have_count(4 if shown.locator("svg .stack").count() == 0 else 2)
        there = shown.evaluate(
            """(view) => [...view.querySelectorAll(".jump")].map((jump) => {
                const { name } = jump.dataset;
                const lines = [...view.querySelectorAll(`.edge[data-source=${name}], .edge[data-target=${name}]`)];
                const absent = lines.every((line) => line.matches(".absent"));
                return [jump.textContent.trim(), jump.matches(".absent"), absent];
            })"""
        )
        letters = {letter for letter, *_ in there}
        for letter in letters:
            shown_at = {hidden for each, hidden, _ in there if each == letter}
            assert len(shown_at) == 1, "both ends of a line are there, or neither is"
            seen |= shown_at
        assert all(hidden == lines for _, hidden, lines in there)
    assert True in seen


def test_frames_drawn_as_one_are_counted_together_here_and_there(lab: labkit.Lab, page: Page) -> None:
    lab.pause()
    run = lab.run(group(add.starmap([(1, k), (2, k)]) for k in range(10)))
    lab.step()
    record = Feed(run.recording).all()
    shown = show(page, record)
    titles = shown.locator("svg .frame text")
    expect(titles).to_have_text(["group · 1 of 10", "starmap · 2 of 20 calls"])
    text = labkit.draw(run).text
    assert "group 1 of 10" in text
    assert "starmap 2 of 20 calls" in text
    lab.resume()
    run.wait()


def test_space_and_enter_press_a_box_after_a_drag_too(lab: labkit.Lab, page: Page) -> None:
    shown = show(page, {**told(lab.run(group(add.s(k, k) for k in range(12)))), "over": True})
    canvas = shown.locator(".canvas").bounding_box()
    assert canvas
    page.mouse.move(canvas["x"] + 400, canvas["y"] + 200)
    page.mouse.down()
    page.mouse.move(canvas["x"] + 440, canvas["y"] + 220, steps=4)
    page.mouse.up()
    shown.locator("svg .stack").focus()
    page.keyboard.press("Enter")
    expect(shown.locator(".sheet")).to_be_visible()
    page.keyboard.press("Space")
    expect(shown.locator(".panel h4")).to_have_text("#1 add(0, 0)")
    page.keyboard.press("Escape")
    page.keyboard.press("Escape")
    expect(shown.locator(".sheet")).to_be_hidden()
    page.keyboard.press("Space")
    expect(shown.locator(".sheet")).to_be_visible()
    assert page.evaluate("scrollY") == 0
    expect(shown.locator(".go")).to_have_text("Play")


def test_boxes_are_read_in_order_and_those_that_are_not_there_are_not_read(lab: labkit.Lab, page: Page) -> None:
    shown = show(page, {**told(lab.run(group(add.s(1, 1), sends.si(1), add.si(2, 2)))), "over": True})
    expect(shown.locator("svg .box")).to_have_count(5)

    def read() -> list[str]:
        client = page.context.new_cdp_session(page)
        nodes = client.send("Accessibility.getFullAXTree")["nodes"]
        names = [each.get("name", {}).get("value", "") for each in nodes if not each["ignored"]]
        return [name.split()[0] for name in names if name.startswith("#") and ")," in name]

    assert read() == ["#1", "#2", "#3", "#4", "#5"]
    shown.locator("svg .box").last.focus()
    page.evaluate("view.player.go(0)")
    expect(shown.locator("svg .box.absent")).to_have_count(2)
    assert read() == ["#1", "#2", "#3"]
    assert focused(page) == "n1"
    for _ in range(6):
        page.keyboard.press("ArrowDown")
    assert focused(page) == "n3"
    assert shown.locator("svg .box[tabindex='0']").get_attribute("data-name") == "n3"


def test_what_the_lab_says_stands_for_a_while_and_then_what_happens(lab: labkit.Lab, page: Page) -> None:
    record = told(lab.run(chain(add.s(1, 1), add.s(2), add.s(3))))
    facts = record["facts"]
    shown = show(page, {**record, "facts": facts[:2], "over": False}, LAB)
    page.evaluate("tell({ said: 'the next message will be lost' })")
    page.evaluate("(facts) => tell({ news: { from: 2, facts } })", facts[2:8])
    expect(shown).to_have_attribute("data-facts", "8")
    assert shown.locator(".meaning").text_content() == "the next message will be lost"
    expect(shown.locator(".meaning")).not_to_have_text("the next message will be lost", timeout=4000)
    expect(shown.locator(".meaning")).to_contain_text("#")


def test_the_faults_menu_is_whole_and_is_left_where_it_was_opened(lab: labkit.Lab, page: Page) -> None:
    record = told(lab.run(chain(add.s(1, 1), add.s(2))))
    shown = show(page, {**record, "over": False}, LAB)
    cut = """(view) => {
        const room = view.getBoundingClientRect();
        return [...view.querySelectorAll(".menu button")].filter((each) => {
            const { left, right, top, bottom } = each.getBoundingClientRect();
            const whole = left >= room.left && right <= room.right && top >= room.top && bottom <= room.bottom;
            return !whole || !each.contains(document.elementFromPoint((left + right) / 2, (top + bottom) / 2));
        }).map((each) => each.textContent);
    }"""
    for width in (1200, 820, 700, 640, 580, 560, 540, 480, 400):
        page.evaluate("(width) => { document.getElementById('view').style.width = `${width}px`; }", width)
        shown.locator(".faults summary").click()
        expect(shown.locator(".menu")).to_be_visible()
        assert shown.evaluate(cut) == [], f"{width} pixels wide"
        shown.locator(".faults .times").focus()
        page.keyboard.press("Escape")
        expect(shown.locator(".menu")).to_be_hidden()
        assert focused(page) == "SUMMARY"


def test_the_lanes_take_on_the_colours_of_another_theme(lab: labkit.Lab, page: Page) -> None:
    page.emulate_media(color_scheme="light")
    show(page, {**told(lab.run(chain(add.s(1, 1), add.s(2)))), "over": True})
    pixels = """() => {
        const lanes = document.querySelector(".lanes canvas");
        const { data } = lanes.getContext("2d").getImageData(0, 0, lanes.width, lanes.height);
        return [...new Set(new Uint32Array(data.buffer))];
    }"""
    page.wait_for_function(f"({pixels})().length > 2")
    before = json.dumps(page.evaluate(pixels))
    page.emulate_media(color_scheme="dark")
    page.wait_for_function(f"JSON.stringify(({pixels})()) !== {json.dumps(before)}".replace(", ", ","), timeout=5000)


def test_views_that_take_long_paint_in_frames_of_their_own(lab: labkit.Lab, page: Page) -> None:
    show(page, told(lab.run(add.s(1, 1))))
    frames = """async (long) => {
        const frames = [];
        const paces = [1, 2, 3].map(() => new Pace(() => {
            frames.push(document.timeline.currentTime);
            for (const until = performance.now() + long; performance.now() < until; );
        }));
        await new Promise(requestAnimationFrame);
        for (const pace of paces) pace.ask();
        while (frames.length < 3) await new Promise(requestAnimationFrame);
        return new Set(frames).size;
    }"""
    assert page.evaluate(frames, 6) == 3
    assert within(lambda: page.evaluate(frames, 0) == 1)


def test_what_failed_is_seen_among_thousands_that_did_not(lab: labkit.Lab, page: Page) -> None:
    show(page, told(lab.run(add.s(1, 1))))
    colours = page.evaluate(
        """([failed, many]) => {
            const sorted = Array.from({ length: many }, (_, task) => [
                { kind: "started", task, depth: 0, at: task, slot: "1" },
                { kind: task === failed ? "failed" : "succeeded", task, depth: 0, at: task + 1, slot: "1" },
            ]).flat();
            const timeline = new Timeline(document.querySelector(".lanes"), () => "");
            timeline.width = 300;
            timeline.follow({ sorted, length: sorted.length }, 0);
            timeline.show(many, many);
            const { data } = timeline.canvas.getContext("2d").getImageData(0, 0, 300, 13);
            const found = new Set();
            for (let at = 0; at < data.length; at += 4) found.add(data.slice(at, at + 3).join());
            const wanted = (name) => {
                const parts = timeline.colour(name).match(/[0-9a-f]{2}/gi);
                return found.has(parts.map((each) => parseInt(each, 16)).join());
            };
            return [wanted("failed-border"), wanted("succeeded-border"), wanted("lost-border")];
        }""",
        [500, 3000],
    )
    assert colours == [True, True, False]


def test_the_style_sheet_is_put_in_once(lab: labkit.Lab, page: Page) -> None:
    show(page, told(lab.run(add.s(1, 1))))
    changes = page.evaluate(
        """() => {
            const changes = [];
            const observer = new MutationObserver(() => {});
            observer.observe(document.head, { subtree: true, childList: true, characterData: true });
            for (const css of [".a { }", ".a { }", ".b { }", ".b { }"]) {
                dress(css);
                changes.push(observer.takeRecords().length > 0);
            }
            return [...changes, document.querySelectorAll("#labkit-style").length];
        }"""
    )
    assert changes == [True, False, True, False, 1]


def test_the_queue_by_keyboard_alone(lab: labkit.Lab, page: Page) -> None:
    record = told(lab.run(group(add.s(k, k) for k in range(30))))
    sent = [fact for fact in record["facts"] if fact["kind"] == "published"]
    shown = show(page, {**record, "facts": sent})
    waiting = shown.locator(".waiting-part li")
    expect(waiting).to_have_count(25)
    expect(waiting.last).to_have_text("+ 6")
    assert waiting.evaluate_all("(all) => all.filter(({ tabIndex }) => tabIndex === 0).length") == 1

    # The front is at the bottom: upwards is on.
    waiting.first.focus()
    page.keyboard.press("ArrowUp")
    page.keyboard.press("ArrowUp")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    expect(shown.locator(".panel h4")).to_have_text("#2 add(1, 1)")
    page.keyboard.press("Escape")
    assert focused(page) == "1"
    page.keyboard.press(" ")
    expect(shown.locator(".panel h4")).to_have_text("#2 add(1, 1)")
    page.keyboard.press("Escape")

    # How many more there are is no button; and nothing is there behind it.
    for _ in range(40):
        page.keyboard.press("ArrowUp")
    page.keyboard.press("Enter")
    assert waiting.last.evaluate("(last) => last === document.activeElement && last.role") == "note"
    expect(shown.locator(".panel")).to_be_hidden()

    # What has the focus goes: so does the focus, but not out of the view.
    page.keyboard.press("Home")
    expect(waiting).to_have_count(0)
    assert focused(page).startswith("labkit")


def test_who_scrubs_faster_than_it_folds_sees_something_all_the_same(lab: labkit.Lab, page: Page) -> None:
    record = told(lab.run(group(add.s(k, k) for k in range(80))))
    assert len(record["facts"]) > 310
    show(page, record)
    turns, late = page.evaluate(
        """() => {
            const { fold, facts } = view;
            fold.seek(200);
            const began = performance.now();
            for (let turn = 1; performance.now() < began + 5000; turn += 1) {
                if (fold.seekFor(0, turn % 2 ? 0 : facts.length)) return [turn, performance.now() - began];
            }
            return [0, 0];
        }"""
    )
    assert turns > 2
    assert late >= 300
