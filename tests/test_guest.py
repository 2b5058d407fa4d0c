"""The guest: what a worker's thread writes, logs and waits for is kept to its own threads."""

import io
import logging
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

import celery.result
import pytest
from celery import _state

from labkit.guest import Guest

Told = list[tuple[str, str]]


@pytest.fixture
def told() -> Told:
    return []


@pytest.fixture
def streams() -> tuple[io.StringIO, io.StringIO]:
    return io.StringIO(), io.StringIO()


@pytest.fixture
def guest(told: Told) -> Guest:
    return Guest(lambda kind, text: told.append((kind, text)))


@contextmanager
def visit(guest: Guest, out: TextIO | None = None, err: TextIO | None = None) -> Iterator[None]:
    """Have the guest in, with streams of the test's own (pytest puts others in place between fixtures and test)."""
    before = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = out or io.StringIO(), err or io.StringIO()
    guest.come_in()
    try:
        yield
    finally:
        guest.leave()
        sys.stdout, sys.stderr = before


def in_thread(function: Callable[[], None], guest: Guest | None = None) -> None:
    """Run it in a thread, that of a worker if there is a guest, and raise what it raises."""
    failed: list[BaseException] = []

    def target() -> None:
        try:
            if guest:
                guest.enter_thread()
            function()
        except BaseException as error:
            failed.append(error)

    thread = threading.Thread(target=target)
    thread.start()
    thread.join(10)
    assert not thread.is_alive()
    if failed:
        raise failed[0]


def test_a_workers_thread_is_told_line_by_line_and_others_are_not(
    guest: Guest, told: Told, streams: tuple[io.StringIO, io.StringIO]
) -> None:
    def worker() -> None:
        assert guest.is_worker_thread
        print("one")
        print("two", "three\nfour", end="")
        sys.stderr.write(" five\n")
        sys.stdout.writelines(["six\n", "seven\n"])
        sys.stdout.flush()

    with visit(guest, *streams):
        in_thread(worker, guest)
        in_thread(lambda: print("another thread"))
        print("this thread")
        sys.stderr.write("and its errors\n")
    assert told == [("printed", line) for line in ("one", "two three", "four five", "six", "seven")]
    assert [stream.getvalue() for stream in streams] == ["another thread\nthis thread\n", "and its errors\n"]
    assert not guest.is_worker_thread


def test_a_line_without_an_end_is_told_when_the_task_is_over(guest: Guest, told: Told) -> None:
    def worker() -> None:
        sys.stdout.write("no end")
        assert told == []
        guest.end_line()
        guest.end_line()

    with visit(guest):
        in_thread(worker, guest)
    assert told == [("printed", "no end")]


def test_two_workers_threads_do_not_mix_their_lines(guest: Guest, told: Told) -> None:
    turn = threading.Barrier(2, timeout=10)

    def worker(name: str) -> Callable[[], None]:
        def write() -> None:
            guest.enter_thread()
            for part in range(20):
                turn.wait()
                sys.stdout.write(f"{name}{part} ")
            sys.stdout.write("\n")

        return write

    threads = [threading.Thread(target=worker(name)) for name in "ab"]
    with visit(guest):
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(10)
    assert sorted(told) == [("printed", "".join(f"{name}{part} " for part in range(20))) for name in "ab"]


def test_a_stream_behaves_like_the_one_it_stands_for(guest: Guest, tmp_path: Path) -> None:
    with (tmp_path / "out").open("w", encoding="latin-1", errors="replace") as out, visit(guest, out):
        assert (sys.stdout.encoding, sys.stdout.errors) == ("latin-1", "replace")
        assert not sys.stdout.isatty()
        assert sys.stdout.fileno() == out.fileno()
        assert sys.stdout.name == out.name
        assert sys.stdout.write("four") == 4
        sys.stdout.writelines([" five", " six"])
        sys.stdout.flush()
        assert (tmp_path / "out").read_text() == "four five six"


def test_celerys_logs_are_told_and_go_nowhere_else(
    guest: Guest, told: Told, streams: tuple[io.StringIO, io.StringIO]
) -> None:
    root, seen = logging.getLogger(), []

    class Seen(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            seen.append(record.getMessage())

    handler = Seen()
    root.addHandler(handler)
    try:
        with visit(guest, *streams):
            logging.getLogger("celery.worker").warning("from %s", "a worker")
            logging.getLogger("kombu").error("from kombu")
            logging.getLogger("mine").warning("my own")
            guest._handler.emit(logging.makeLogRecord({"levelname": "INFO", "msg": "broken %d", "args": ("format",)}))
    finally:
        root.removeHandler(handler)
    assert told == [
        ("logged", "WARNING: from a worker"),
        ("logged", "ERROR: from kombu"),
        ("logged", "INFO: 'broken %d'"),
    ]
    assert seen == ["my own"]
    assert [stream.getvalue() for stream in streams] == ["", ""]


def test_waiting_is_refused_in_the_workers_threads_alone(guest: Guest) -> None:
    refuses = celery.result.assert_will_not_block

    def allowed() -> None:
        with celery.result.allow_join_result():
            refuses()
        with pytest.raises(RuntimeError, match="within a task"):
            refuses()

    with visit(guest):
        refuses()
        in_thread(allowed, guest)
        in_thread(refuses)
        with pytest.raises(RuntimeError, match="within a task"):
            in_thread(refuses, guest)
        refuses()


def test_a_flag_that_celery_sets_for_the_whole_process_is_taken_back(guest: Guest) -> None:
    with visit(guest):
        _state._set_task_join_will_block(True)
        assert celery.result.task_join_will_block()
        guest.allow_waiting()
        assert not celery.result.task_join_will_block()


def test_when_it_leaves_all_is_as_it_was(guest: Guest, told: Told, monkeypatch: pytest.MonkeyPatch) -> None:
    out = io.StringIO()
    monkeypatch.setattr(sys, "stdout", out)
    loggers = [logging.getLogger(name) for name in ("celery", "kombu", "amqp", "vine", "billiard")]

    def state() -> list[object]:
        found: list[object] = [sys.stdout, sys.stderr, celery.result.task_join_will_block]
        found += [celery.result._set_task_join_will_block, _state._task_join_will_block]
        return found + [(logger.propagate, logger.handlers[:]) for logger in loggers]

    before = state()
    guest.come_in()
    assert state() != before
    routed = sys.stdout
    guest.leave()
    guest.leave()
    assert state() == before
    in_thread(lambda: print("late", file=routed), guest)
    print("kept by somebody", file=routed)
    assert told == []
    assert out.getvalue() == "kept by somebody\n"


def test_what_somebody_else_has_put_in_its_place_stays(guest: Guest) -> None:
    with visit(guest):
        sys.stdout = theirs = io.StringIO()
        guest.leave()
        assert sys.stdout is theirs


def test_without_a_stream_there_is_nothing_to_route(guest: Guest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", None)  # pythonw has none
    guest.come_in()
    assert sys.stdout is None
    guest.leave()
    assert sys.stdout is None
