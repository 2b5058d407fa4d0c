"""What lies in the broker: waiting, fetched, and the message itself."""

import base64
import json
import time
from collections.abc import Iterator
from typing import Any

import pytest
from celery import Celery, chain, chord, group

import labkit
from labkit.errors import LabError
from labkit.queues import Message, Messages, look
from tasks import add, app, ident, mul, xsum


@pytest.fixture(scope="module")
def the_lab() -> Iterator[labkit.Lab]:
    labkit.stop()
    yield labkit.start(app)
    labkit.stop()


@pytest.fixture
def lab(the_lab: labkit.Lab) -> Iterator[labkit.Lab]:
    """The lab, paused; afterwards open and empty."""
    the_lab.pause()
    yield the_lab
    the_lab.resume()
    assert all(recording.over.wait(10) for recording in the_lab._active)
    wait_for(the_lab, unacknowledged=0)


def wait_for(lab: labkit.Lab, unacknowledged: int) -> Any:
    deadline = time.monotonic() + 10
    while len((queue := lab.queue()).unacknowledged) != unacknowledged or len(queue):
        assert time.monotonic() < deadline, queue
        time.sleep(0.005)
    return queue


def raw(**changes: Any) -> str:
    body = json.dumps([[1, 2], {"z": 3}, {"chain": None}]).encode()
    message = {
        "body": base64.b64encode(body).decode(),
        "headers": {"id": "an-id", "task": "tasks.add"},
        "properties": {"body_encoding": "base64"},
    }
    return json.dumps(message | changes)


def test_an_empty_queue(the_lab: labkit.Lab) -> None:
    queue = the_lab.queue()
    assert repr(queue) == "waiting in celery: 0\nfetched, not acknowledged: 0"
    assert (len(queue), queue.names) == (0, ("celery",))


def test_what_is_held_is_not_acknowledged(lab: labkit.Lab) -> None:
    results = [add.delay(n, 1) for n in range(3)]
    queue = wait_for(lab, unacknowledged=3)
    assert repr(queue) == (
        "waiting in celery: 0\nfetched, not acknowledged: 3\n  1  add(0, 1)\n  2  add(1, 1)\n  3  add(2, 1)"
    )
    assert {message.id for message in queue.unacknowledged} == {result.id for result in results}
    lab.resume()
    assert [result.get(timeout=10) for result in results] == [1, 2, 3]


def test_what_nobody_serves_waits_first_in_first_out(the_lab: labkit.Lab) -> None:
    ids = [add.apply_async((n, 1), queue="nobody").id for n in range(3)]
    queue = the_lab.queue("nobody")
    assert [message.id for message in queue.waiting] == ids
    assert [message.queue for message in queue.waiting] == ["nobody"] * 3
    assert repr(queue.waiting) == "waiting in nobody: 3\n  1  add(0, 1)\n  2  add(1, 1)\n  3  add(2, 1)"
    assert len(the_lab.queue()) == 0
    assert len(the_lab.queue("celery", "nobody")) == 3
    assert [message.id for message in the_lab.queue("nobody").waiting] == ids  # looking takes nothing away


def test_priorities_lie_in_lists_of_their_own_and_are_found(the_lab: labkit.Lab) -> None:
    for priority in (9, 0, 6, 3):
        add.apply_async((priority, 1), queue="urgent", priority=priority)
    assert [message.args for message in the_lab.queue("urgent").waiting] == [(0, 1), (3, 1), (6, 1), (9, 1)]


def test_what_comes_after_is_in_the_message(lab: labkit.Lab) -> None:
    lab.run(chain(add.s(1, 1), mul.s(2)))
    lab.run(chord([ident.s(1)], xsum.s()))
    first, second = wait_for(lab, unacknowledged=2).unacknowledged
    assert first.embed["chain"][0]["task"] == "tasks.mul"
    assert second.embed["chord"]["task"] == "tasks.xsum"
    assert first.headers["task"] == "tasks.add"


def test_a_map_is_one_message(lab: labkit.Lab) -> None:
    run = lab.run(ident.map(list(range(1000))))
    (message,) = wait_for(lab, unacknowledged=1).unacknowledged
    assert message.node().kwargs == {"task": "tasks.ident", "items": 1000}
    assert len(repr(message)) < 100
    lab.resume()
    assert run.get() == list(range(1000))


def test_hostile_and_long_arguments_stay_on_their_line(lab: labkit.Lab) -> None:
    lab.run(group(ident.s("<script>\n\x1b[31m"), ident.s("x" * 5000)))
    shown = repr(wait_for(lab, unacknowledged=2).unacknowledged)
    assert len(shown.splitlines()) == 3
    assert "\x1b" not in shown
    assert max(map(len, shown.splitlines())) < 200


def test_messages_of_a_run_show_one_a_line(the_lab: labkit.Lab) -> None:
    run = the_lab.run(chord([add.s(1, 1), add.s(2, 2)], xsum.s()))
    run.get()
    assert repr(run.messages) == "3 messages\n  1  add(1, 1)\n  2  add(2, 2)\n  3  xsum([2, 4])"
    assert repr(Messages()) == "0 messages"


def test_a_message_is_decoded() -> None:
    message = Message.decode(raw(), "celery")
    assert (message.id, message.task, message.args, message.kwargs) == ("an-id", "tasks.add", (1, 2), {"z": 3})
    assert (message.queue, message.embed) == ("celery", {"chain": None})
    assert Message.decode(raw().encode()) == Message.decode(raw())


def test_of_a_message_in_another_format_only_the_headers_are_read(lab: labkit.Lab) -> None:
    with lab.app.connection_for_write() as connection:
        message = connection.SimpleQueue("not-json")
        task_headers = {"id": "an-id", "task": "tasks.add", "lang": "py"}
        message.put((("a secret",), {}, {}), serializer="pickle", headers=task_headers)
        message.close()
    try:
        [found] = lab.queue("not-json").waiting
        assert (found.id, found.task, found.args, found.readable) == ("an-id", "tasks.add", (), False)
        assert repr(found) == "add(…)"
        assert "add(…)" in repr(lab.queue("not-json"))
    finally:
        with lab.app.connection_for_write() as connection:
            connection.SimpleQueue("not-json").clear()


@pytest.mark.parametrize(
    "text",
    ["", "no json", "[]", "{}", raw(body="%"), raw(body=""), raw(headers={}), raw(body="e30=")],
    ids=["empty", "no json", "a list", "no keys", "no base64", "no body", "no headers", "no list"],
)
def test_what_is_no_task_message_is_one_error(text: str) -> None:
    with pytest.raises(LabError, match="a message in 'celery' is no task in JSON"):
        Message.decode(text, "celery")


def test_only_a_redis_can_be_looked_into() -> None:
    elsewhere = Celery("elsewhere", broker="memory://", set_as_current=False)
    with pytest.raises(LabError, match="with a Redis broker only"):
        look(elsewhere, ["celery"])


def test_a_broker_that_is_not_there_is_one_error() -> None:
    elsewhere = Celery("elsewhere", broker="redis://127.0.0.1:1/0", set_as_current=False)
    began = time.monotonic()
    with pytest.raises(LabError, match="the broker does not answer"):
        look(elsewhere, ["celery"])
    assert time.monotonic() - began < 5
