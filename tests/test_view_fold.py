"""The browser folds facts as Python does: every canvas of the table, at its end and at moments before."""

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import labkit
from labkit.graph import Graph, Node
from labkit.happened import fold
from labkit.labels import Labels
from labkit.record import Recording
from labkit.view import assets
from labkit.view.feed import Feed
from labkit.view.shape import LONGEST
from tests import workflows
from tests.field import CANVASES

pytestmark = [
    pytest.mark.filterwarnings("ignore:Exception raised outside body"),
    pytest.mark.filterwarnings("ignore:task_allow_error_cb_on_chord_header"),
    pytest.mark.filterwarnings("ignore::celery.exceptions.CPendingDeprecationWarning"),
]

DRIVER = """
import { createInterface } from "node:readline";
for await (const line of createInterface({ input: process.stdin })) {
  const { record, batch, cursors, most } = JSON.parse(line);
  const facts = new Facts();
  const fold = new Fold(record.shape, facts);
  for (let from = 0; from < record.facts.length; from += batch) {
    const changed = facts.take(record.facts.slice(from, from + batch));
    for (let there = fold.seek(facts.length, changed, most); !there; ) there = fold.seek(facts.length, Infinity, most);
  }
  const answers = cursors.map((cursor) => {
    while (!fold.seek(cursor, Infinity, most)); // many small steps, or one
    const said = facts.sorted.slice(Math.max(0, cursor - 1), cursor).map((fact) => meaning(fact, fold));
    const ran = ({ attempts }) => attempts.reduce((sum, { seconds }) => sum + (seconds ?? 0), 0);
    return { said, nodes: fold.nodes.map((node) => ({ ...node, attempts: node.attempts.length, ran: ran(node) })) };
  });
  console.log(JSON.stringify(answers));
}
"""


class Browser:
    """The view's JavaScript in node: as much of it as needs no page."""

    def __init__(self, folder: Path) -> None:
        node = shutil.which("node")
        if not node:
            pytest.skip("no node here (Debian: apt install nodejs)")
        (folder / "driver.mjs").write_text(assets.script() + DRIVER, encoding="utf-8")
        self.process = subprocess.Popen(
            [node, str(folder / "driver.mjs")], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def fold(
        self, record: dict[str, Any], cursors: list[int], batch: int = 1000, most: int = 100_000
    ) -> list[dict[str, Any]]:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(
            json.dumps({"record": record, "cursors": cursors, "batch": batch, "most": most}) + "\n"
        )
        self.process.stdin.flush()
        answers: list[dict[str, Any]] = json.loads(self.process.stdout.readline())
        return answers

    def close(self) -> None:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.close()
        self.process.stdout.close()
        self.process.wait(timeout=10)


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    browser = Browser(tmp_path_factory.mktemp("node"))
    yield browser
    browser.close()


@pytest.fixture(scope="module")
def lab() -> Iterator[labkit.Lab]:
    with labkit.start(workflows.app) as lab:
        yield lab


def in_order(recording: Recording) -> list[dict[str, Any]]:
    return sorted(recording.facts, key=lambda fact: (fact["at"], fact["n"]))


def expected(graph: Graph, node: Node) -> dict[str, Any]:
    labels = Labels(graph)
    return {
        "state": node.state,
        "reason": None if node.reason is None else labels.plain(node.reason, LONGEST),
        "note": node.note,
        "error": None if node.error is None else labels.plain(node.error, LONGEST),
        "value": None if node.value is None else labels.literal(node.value, LONGEST),
        "answer": node.backend_state,
        "attempts": len(node.attempts),
        "ran": pytest.approx(sum(attempt.seconds or 0.0 for attempt in node.attempts), abs=1e-4),
        "sent": node.sent is not None,
        "received": node.received is not None,
        "started": node.started is not None,
    }


def told(graph: Graph, node: dict[str, Any]) -> dict[str, Any]:
    wanted = ("state", "reason", "note", "error", "value", "answer", "attempts", "ran")
    seen = {name: node[name] for name in wanted}
    return seen | {name: node[name] is not None for name in ("sent", "received", "started")}


def check_end(browser: Browser, recording: Recording, graph: Graph) -> None:
    record = Feed(recording).all()
    end = len(recording.facts)
    for batch, most in ((1000, 100_000), (1, 100_000), (40, 7)):
        last = browser.fold(record, [end // 2, end], batch, most)[1]["nodes"]
        for node, mine in zip(graph.nodes.values(), last, strict=True):
            assert mine["present"]
            assert told(graph, mine) == expected(graph, node), graph.number(node.key)


def check_moments(browser: Browser, recording: Recording, graph: Graph) -> None:
    """Before the end the browser knows the shape already; of what is there the states are the same."""
    facts = in_order(recording)
    # Until a replaced task has ended, Python cannot know that the next message of its id is the replacement.
    shared = {node.id for node in graph.nodes.values() if node.id and len(graph.by_id(node.id)) > 1}
    cursors = sorted({0, 1, len(facts) // 4, len(facts) // 2, len(facts) * 3 // 4, max(0, len(facts) - 1)})
    answers = browser.fold(Feed(recording).all(), cursors)
    for cursor, answer in zip(cursors, answers, strict=True):
        before = fold(recording.plan, facts[:cursor])
        assert len(answer["said"]) == min(1, cursor, len(facts))
        for place, key in enumerate(graph.nodes):
            mine, its = answer["nodes"][place], before.nodes.get(key)
            if shared and (its is None or not its.planned or its.id in shared or not mine["present"]):
                continue
            assert mine["present"] == (its is not None), (cursor, key)
            if its is not None:
                assert mine["state"] == its.state, (cursor, key)
                assert mine["attempts"] == len(its.attempts), (cursor, key)


@pytest.mark.parametrize("name", CANVASES)
def test_both_folds_agree(lab: labkit.Lab, browser: Browser, name: str) -> None:
    run = lab.run(CANVASES[name](), check=False)
    run.wait(timeout=10)
    graph = run.graph
    check_end(browser, run.recording, graph)
    check_moments(browser, run.recording, graph)


def test_facts_may_arrive_out_of_order(lab: labkit.Lab, browser: Browser) -> None:
    run = lab.run(CANVASES["a header fails"](), check=False)
    run.wait(timeout=10)
    graph = run.graph
    record = Feed(run.recording).all()
    record["facts"].reverse()
    for batch in (1, 3, 1000):
        last = browser.fold(record, [len(record["facts"])], batch)[0]["nodes"]
        states = [node["state"] for node in last]
        assert states == [node.state for node in graph.nodes.values()]


def test_scrubbing_back_is_as_if_the_rest_had_not_happened(lab: labkit.Lab, browser: Browser) -> None:
    run = lab.run(CANVASES["retries run out in a header"](), check=False)
    run.wait(timeout=10)
    record = Feed(run.recording).all()
    many = len(record["facts"])
    there, back = list(range(many + 1)), list(range(many, -1, -1))
    forward = browser.fold(record, there)
    backward = browser.fold(record, back)
    assert [each["nodes"] for each in forward] == [each["nodes"] for each in backward[::-1]]


def test_each_fact_has_a_sentence(lab: labkit.Lab, browser: Browser) -> None:
    run = lab.run(CANVASES["the second of three fails"](), check=False)
    run.wait(timeout=10)
    record = Feed(run.recording).all()
    answers = browser.fold(record, list(range(len(record["facts"]) + 1)))
    said = [answer["said"][0] for answer in answers[1:]]
    assert said[:2] == [
        "#1 t() was sent: its message is in the queue “celery”.",
        "the worker fetched #1 from the queue, and has not acknowledged it yet.",
    ]
    assert "the worker acknowledged #1 before running it." in said
    assert "#2 failed: ValueError: boom." in said
