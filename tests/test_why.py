"""Why a node is as it is: plain sentences, each with its evidence, and nothing made up."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from celery import chain, chord, group

import labkit
from labkit.errors import LabError
from tests import workflows
from tests.field import CANVASES
from tests.test_conformance import finished
from tests.workflows import boom, flaky, ignoring, replaced, t, u


@pytest.fixture(scope="module")
def lab() -> Iterator[labkit.Lab]:
    """One lab."""
    with labkit.start(workflows.app) as lab:
        yield lab


def said(run: labkit.Run, number: str) -> str:
    """The whole answer."""
    return repr(run.why(number))


def test_a_body_whose_header_failed(lab: labkit.Lab) -> None:
    """The header, how many did, the first error, and what Celery answers all the same."""
    run = finished(lab, t.s() | group(t.s(), boom.s()) | u.s() | t.s())
    body = said(run, "#4")
    assert "#4 u(…) never ran: header #3 failed. [no message was sent for it]" in body
    assert "called when all 2 headers have succeeded; 1 did" in body
    assert "What failed is #3" in body
    assert "ValueError: boom" in body
    assert "Celery answers FAILURE for #4 all the same" in body
    assert "What failed is #3" in said(run, "#5")
    assert "failed: ValueError: boom" in said(run, "#3")


def test_a_recording_tells_as_far_as_its_facts_go(lab: labkit.Lab, tmp_path: Path) -> None:
    """A loaded one too; what only the backend knows it leaves out."""
    run = finished(lab, t.s() | group(t.s(), boom.s()) | u.s())
    run.save(tmp_path / "run.json")
    loaded = labkit.load(tmp_path / "run.json")
    assert repr(loaded.why("#4")) == repr(run.recording.why("#4"))
    assert "#4 u(…) never ran: header #3 failed. [no message was sent for it]" in repr(loaded.why("#4"))
    assert run.why("#4")[: len(loaded.why("#4"))] == loaded.why("#4")
    with pytest.raises(LabError, match="#9"):
        loaded.why("#9")


def test_a_task_that_ran_more_than_once(lab: labkit.Lab) -> None:
    """How often, and why each run was not the last."""
    answer = said(finished(lab, flaky.s(times=2)), "#1")
    assert "#1 ran 3 times. [3 starts of one id]" in answer
    assert "Run 1 was not the last: KeyError: 'temporary'. [attempt 1]" in answer
    assert "run 3]" in answer


def test_what_is_pending_for_ever(lab: labkit.Lab) -> None:
    """Celery's PENDING is called what it is."""
    run = finished(lab, chord([ignoring.s(), t.s()], u.s()))
    assert "always will: get() without a timeout never returns" in said(run, "#3")
    assert "raised Ignore" in said(run, "#1")


def test_where_a_value_comes_from(lab: labkit.Lab) -> None:
    """The values in front, and the value it gave."""
    run = finished(lab, chord([t.s(), t.s()], u.s()))
    assert "#3 was called with the values of #1, #2 in front. [the arguments in its message]" in said(run, "#3")
    assert "returned" in said(run, "#3")


def test_what_was_decided_at_run_time(lab: labkit.Lab) -> None:
    """Who decided, and who took whose place."""
    run = finished(lab, replaced.s(which="task"))
    assert "put #2 in its place, which has its id and gives its value" in said(run, "#1")
    assert "was not in the plan" in said(run, "#2")


def test_what_still_waits(lab: labkit.Lab) -> None:
    """In a queue that nobody serves; behind a header; behind the gate."""
    lonely = lab.run(t.s().set(queue="nobody"))
    assert "number 1 of 1 in the queue 'nobody'" in said(lonely, "#1")
    assert "No worker of this lab serves 'nobody'" in said(lonely, "#1")
    lab.pause()
    try:
        run = lab.run(chord([t.s(), t.s()], u.s()))
        assert lab.gate.wait_held(5)
        until = time.monotonic() + 5
        while run.graph.node("#1").state != "received" and time.monotonic() < until:
            time.sleep(0.01)
        assert "the gate is closed" in said(run, "#1")
        assert "#3 u(…) waits for #1" in said(run, "#3")
        assert "The join has counted 0 of 2" in said(run, "#3")
        lab.step()
        assert "The join has counted 1 of 2" in said(run, "#3")
    finally:
        lab.resume()
    run.wait()


def test_errbacks(lab: labkit.Lab) -> None:
    """Called inline, or not called and why not."""
    run = finished(lab, chain(t.s(), boom.s()).on_error(workflows.eb3.s()))
    assert "called with ValueError" in said(run, "#3")
    run = finished(lab, t.s().on_error(workflows.eb1.s()))
    assert "never ran: #1 did not fail" in said(run, "#2")


def test_results_of_somebody_else(lab: labkit.Lab) -> None:
    """By the result alone: what the broker and the backend know, and what cannot be known."""
    result = t.delay()
    result.get(timeout=5)
    assert "returned" in repr(labkit.why(result))
    unknown = workflows.app.AsyncResult("nobody-knows")
    assert "Nothing is known of it" in repr(labkit.why(unknown))
    assert "[PENDING" in repr(labkit.why(unknown))
    stored = workflows.app.AsyncResult("stored-by-others")
    lab.app.backend.store_result(stored.id, 4, "SUCCESS")
    assert "its value is stored" in repr(labkit.why(stored))
    failed = workflows.app.AsyncResult("failed-elsewhere")
    lab.app.backend.store_result(failed.id, ValueError("boom"), "FAILURE")
    assert "cannot be known from that" in repr(labkit.why(failed))


def test_a_node_that_is_not_there(lab: labkit.Lab) -> None:
    """Its name, and those there are."""
    run = finished(lab, t.s())
    with pytest.raises(labkit.LabError, match="#1 to #1"):
        run.why("#7")
    with pytest.raises(labkit.LabError, match="by its number"):
        labkit.why(run)


@pytest.mark.parametrize("name", CANVASES)
@pytest.mark.filterwarnings("ignore::celery.exceptions.CPendingDeprecationWarning")
@pytest.mark.filterwarnings("ignore:Exception raised outside body")
def test_there_is_an_answer_for_every_node(lab: labkit.Lab, name: str) -> None:
    """No node without a sentence, no sentence without evidence."""
    run = finished(lab, CANVASES[name]())
    for number, node in enumerate(run.graph.nodes.values(), 1):
        answer = run.why(f"#{number}")
        assert answer or node.role == "map"
        assert all(sentence.text and sentence.evidence for sentence in answer)
