"""Tasks that tell where their arguments came from, and the canvases that are run with them."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

from celery import Celery, chain, chord, group, signature
from celery.canvas import Signature, _chain
from celery.exceptions import Ignore, Reject, Retry
from celery.result import allow_join_result

app = Celery("flow")
app.conf.update(task_serializer="json", result_serializer="json", accept_content=["json"])

#: What the bodies themselves noted: id of the task -> how often it began.
began: dict[str, int] = {}
#: The same of errbacks, which have no id of their own when they are called inline: their names, in the order of calls.
called: list[str] = []
_lock = threading.Lock()


def ids_in(value: Any) -> Iterator[str]:
    """The ids of the tasks whose values are in ``value``."""
    if isinstance(value, dict):
        if "made by" in value:
            yield value["made by"]
            return
        for item in value.values():
            yield from ids_in(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from ids_in(item)


def note(task: Any) -> None:
    """The body of ``task`` begins."""
    with _lock:
        began[task.request.id] = began.get(task.request.id, 0) + 1


def made(task: Any, args: Any) -> dict[str, Any]:
    """The value of a task: its own id, and the ids found in its arguments."""
    return {"made by": task.request.id, "from": sorted(set(ids_in(args)))}


@app.task(bind=True)
def t(self: Any, *args: Any, **kwargs: Any) -> dict[str, Any]:
    """Tell who you are and whose values you got."""
    note(self)
    return made(self, args)


@app.task(bind=True)
def u(self: Any, *args: Any, **kwargs: Any) -> dict[str, Any]:
    """The same under another name."""
    note(self)
    return made(self, args)


@app.task(bind=True)
def boom(self: Any, *args: Any) -> None:
    """Fail."""
    note(self)
    raise ValueError("boom")


@app.task(bind=True)
def noarg(self: Any) -> dict[str, Any]:
    """Take nothing."""
    note(self)
    return made(self, ())


@app.task(bind=True, ignore_result=True)
def silent(self: Any, *args: Any) -> dict[str, Any]:
    """Store nothing."""
    note(self)
    return made(self, args)


@app.task(bind=True, max_retries=5)
def flaky(self: Any, *args: Any, times: int = 2, countdown: float = 0) -> dict[str, Any]:
    """Fail ``times`` times, then succeed."""
    note(self)
    if self.request.retries < times:
        raise self.retry(exc=KeyError("temporary"), countdown=countdown)
    return made(self, args)


@app.task(bind=True, max_retries=1)
def hopeless(self: Any, *args: Any) -> None:
    """Fail until there are no retries left."""
    note(self)
    raise self.retry(exc=KeyError("for good"), countdown=0)


@app.task(bind=True)
def ignoring(self: Any, *args: Any) -> None:
    """End without a result."""
    note(self)
    raise Ignore


@app.task(bind=True)
def rejecting(self: Any, *args: Any) -> None:
    """Refuse the message."""
    note(self)
    raise Reject("no", requeue=False)


@app.task(bind=True)
def not_json(self: Any, *args: Any) -> Any:
    """Return what cannot be stored."""
    note(self)
    return {1, 2}


@app.task(bind=True)
def cut(self: Any, *args: Any) -> dict[str, Any]:
    """Cut off what comes after."""
    note(self)
    self.request.chain = None
    return made(self, args)


@app.task
def eb1(task_id: str) -> str:
    """An errback that gets an id, by message."""
    called.append(eb1.name)
    return "told"


@app.task
def eb3(request: Any, exc: Any, traceback: Any) -> None:
    """An errback that is called inline."""
    called.append(eb3.name)


@app.task
def eb3_sends(request: Any, exc: Any, traceback: Any) -> None:
    """An inline errback that sends a task."""
    called.append(eb3_sends.name)
    t.delay()


@app.task
def eb3_raises(request: Any, exc: Any, traceback: Any) -> None:
    """An inline errback that fails itself."""
    called.append(eb3_raises.name)
    raise KeyError("errback")


@app.task
def double(x: int) -> int:
    """Twice x."""
    return 2 * x


@app.task
def plus(x: int, y: int) -> int:
    """The sum."""
    return x + y


@app.task(bind=True)
def launch(self: Any, *args: Any, n: int = 2) -> dict[str, Any]:
    """Send ``n`` tasks and do not wait for them."""
    note(self)
    for _ in range(n):
        u.delay()
    return made(self, args)


@app.task(bind=True)
def launch_canvas(self: Any, *args: Any, which: str = "chord") -> dict[str, Any]:
    """Send a canvas and do not wait for it."""
    note(self)
    CANVASES_OF_TASKS[which]().apply_async()
    return made(self, args)


@app.task(bind=True)
def replaced(self: Any, *args: Any, which: str = "task") -> None:
    """Put a canvas in your own place."""
    note(self)
    raise self.replace(CANVASES_OF_TASKS[which]())


@app.task(bind=True)
def swallows(self: Any, *args: Any) -> dict[str, Any]:
    """Put a task in your own place, but go on."""
    note(self)
    with suppress(Exception):
        self.replace(u.si())
    return made(self, args)


@app.task(bind=True)
def gives_up(self: Any, *args: Any) -> None:
    """Raise what `self.retry` raises, without it."""
    note(self)
    raise Retry("later")


class Careless(app.Task):  # type: ignore[name-defined]
    """A base class whose on_retry fails."""

    def on_retry(self, exc: Any, task_id: str, args: Any, kwargs: Any, einfo: Any) -> None:
        """Fail."""
        raise RuntimeError("careless")


@app.task(bind=True, base=Careless)
def careless(self: Any, *args: Any) -> dict[str, Any]:
    """Be tried again, though that fails."""
    note(self)
    if not self.request.retries:
        raise self.retry(exc=KeyError("temporary"), countdown=0)
    return made(self, args)


@app.task
def apart() -> None:
    """Nobody takes note of this one."""


@app.task
def apart_fails() -> None:
    """Nor of this one."""
    raise ValueError("apart")


@app.task(bind=True)
def calls(self: Any, *args: Any, tries: int = 1) -> dict[str, Any]:
    """Call tasks in your own body, in the last try."""
    note(self)
    if self.request.retries + 1 < tries:
        raise self.retry(exc=KeyError("temporary"), countdown=0)
    apart.apply()
    apart_fails.apply()
    return made(self, args)


@app.task(bind=True)
def joining(self: Any, *args: Any, more: int = 1) -> dict[str, Any]:
    """Add tasks to the chord you are in."""
    note(self)
    for _ in range(more):
        self.add_to_chord(u.s())
    return made(self, args)


@app.task(bind=True)
def waiting(self: Any, *args: Any) -> dict[str, Any]:
    """Wait for another task, with the guard lifted."""
    note(self)
    with allow_join_result():
        u.delay().get(timeout=5)
    return made(self, args)


class TellsOnFailure(app.Task):  # type: ignore[name-defined]
    """A base class whose on_failure sends a task."""

    def on_failure(self, exc: Any, task_id: str, args: Any, kwargs: Any, einfo: Any) -> None:
        """Send one."""
        u.delay()


@app.task(bind=True, base=TellsOnFailure)
def tells(self: Any, *args: Any) -> None:
    """Fail, and tell."""
    note(self)
    raise ValueError("boom")


CANVASES_OF_TASKS: dict[str, Callable[[], Signature]] = {
    "task": lambda: u.si(),
    "chain": lambda: chain(u.si(), t.s()),
    "group": lambda: group(u.si(), u.si()),
    "chord": lambda: chord([u.si(), u.si()], t.s()),
    "chord in chain": lambda: chain(u.si(), group(u.s(), u.s()), t.s()),
    "group of chains": lambda: group(u.si() | t.s(), u.si() | t.s(), u.si() | t.s()),
    "failing": lambda: boom.si(),
    "failing chord": lambda: chord([u.si(), boom.si()], t.s()),
    "chord, then steps": lambda: chain(chord([u.si(), u.si()], t.s()), t.s(), u.s()),
    "chord, then a failing step": lambda: chain(chord([u.si(), u.si()], t.s()), boom.s()),
    "itself, by a chord and a step": lambda: chain(chord([u.si()], t.s()), replaced.si(which="chord, then steps")),
    "itself by a task, behind a chord": lambda: chain(chord([u.si()], t.s()), replaced.si(which="task")),
    "linked chain behind a group": lambda: linked(chain(group(u.si(), u.si()), t.s(), t.s()), u.s()),
    "expired": lambda: given(u.si(), expires=-1),
    "unknown": lambda: signature("tests.workflows.nobody"),
    "two groups": lambda: chain(group(u.si(), u.si()), group(t.s(), t.s())),
    "failing, told": lambda: boom.si().on_error(eb1.s()),
    "failing, told inline": lambda: boom.si().on_error(eb3.s()),
    "with a callback": lambda: linked(u.si(), t.s()),
    "one that calls": lambda: calls.si(),
    "again": lambda: replaced.si(which="task"),
    "deep": lambda: chord([replaced.si(which="chord"), u.si()], t.s()),
}


def linked(sig: Signature, *callbacks: Any) -> Signature:
    """``sig`` with callbacks."""
    for callback in callbacks:
        sig.link(callback)
    return sig


def as_json(sig: Signature) -> Any:
    """``sig`` as it comes out of JSON."""
    return json.loads(json.dumps(sig))


def given(sig: Signature, **options: Any) -> Signature:
    """``sig`` with options."""
    return sig.set(**options)


one = t.si
Build = Callable[[], Any]

SIMPLE: dict[str, Build] = {
    "a task": lambda: t.s(1),
    "a task by name": lambda: signature("tests.workflows.t", (1,)),
    "a task from JSON": lambda: as_json(t.s(1)),
    "a task with an id": lambda: given(t.s(), task_id="11111111-1111-4111-8111-111111111111"),
    "chain of two": lambda: t.s(1) | t.s(),
    "chain of three": lambda: chain(t.s(), t.s(), u.s()),
    "chain of one": lambda: chain(t.s()),
    "chain of chains": lambda: chain(t.s() | t.s(), u.s() | t.s()),
    "chain, second immutable": lambda: t.s() | t.si() | t.s(),
    "chain from JSON": lambda: as_json(t.s() | t.s() | t.s()),
    "chain from a generator": lambda: chain(t.s() for _ in range(4)),
    "chain of twenty": lambda: chain(*[t.s() for _ in range(20)]),
    "chain with a fixed id at its end": lambda: given(t.s() | t.s(), task_id="22222222-2222-4222-8222-222222222222"),
    "one signature twice in a chain": lambda: (lambda s: chain(s, s))(t.s()),
    "group of two": lambda: group(t.s(), u.s()),
    "group of one": lambda: group(t.s()),
    "empty group": lambda: group([]),
    "group from a generator": lambda: group(t.s(i) for i in range(5)),
    "group of groups": lambda: group(t.s(), group(t.s(), u.s()), t.s()),
    "group of chains": lambda: group(t.s() | t.s(), u.s() | t.s()),
    "group from JSON": lambda: as_json(group(t.s(), t.s() | t.s())),
    "one signature twice in a group": lambda: (lambda s: group(s, s))(t.s()),
    "group of ten with a queue": lambda: group(given(t.s(), queue="celery") for _ in range(10)),
    "chord of three": lambda: chord([t.s(), t.s(), u.s()], t.s()),
    "chord of one": lambda: chord([t.s()], u.s()),
    "chord of none": lambda: chord([], t.s()),
    "chord from a generator": lambda: chord((t.s(i) for i in range(4)), u.s()),
    "chord from JSON": lambda: as_json(chord([t.s(), t.s()], u.s())),
    "chord, immutable body": lambda: chord([t.s(), t.s()], u.si()),
    "chord by pipe": lambda: group(t.s(), t.s()) | u.s(),
    "chord of a bare chain": lambda: chord(t.s() | t.s(), u.s()),
    "chord of a chain in a list": lambda: chord([t.s() | t.s()], u.s()),
    "chord of chains": lambda: chord([t.s() | t.s(), u.s() | t.s() | t.s()], u.s()),
    "chord, body a chain": lambda: chord([t.s(), t.s()], u.s() | t.s() | t.s()),
    "chord, body a group": lambda: chord([t.s(), t.s()], group(u.s(), u.s())),
    "chord, body a chord": lambda: chord([t.s(), t.s()], chord([u.s(), u.s()], t.s())),
    "chord, then a task": lambda: chord([t.s(), t.s()], u.s()) | t.s(),
    "chord in a header": lambda: chord([chord([t.s(), t.s()], u.s()), t.s()], t.s()),
    "group in a header": lambda: chord([group(t.s(), u.s()), t.s()], t.s()),
    "nested groups, then a task": lambda: group(t.s(1), group(t.s(2), group(t.s(3), t.s(4)))) | u.s(),
    "task, group": lambda: t.s() | group(t.s(), u.s()),
    "task, group of one": lambda: t.s() | group(u.s()),
    "task, group, task": lambda: t.s() | group(t.s(), t.s()) | u.s(),
    "task, immutable group, task": lambda: t.s() | group(t.si(), t.si()) | u.s(),
    "task, group of one, task": lambda: t.s() | group(t.s()) | u.s(),
    "task, empty group, task": lambda: chain(t.s(), group([]), u.s()),
    "group, group": lambda: group(t.s(), t.s()) | group(u.s(), u.s()),
    "task, group, group": lambda: t.s() | group(t.s(), t.s()) | group(u.s(), u.s()),
    "group, task, group, task": lambda: group(t.s(), t.s()) | u.s() | group(t.s(), t.s()) | u.s(),
    "chain(group(chain, chain), group, task)": lambda: chain(
        group(t.s() | t.s(), t.s() | u.s()), group(t.s(), u.s()), t.s()
    ),
    "a raw chain with a group inside": lambda: _chain([t.s(), group(t.s(), t.s()), u.s()]),
    "depth five": lambda: chain(
        t.s(),
        group(t.s() | group(t.s() | chord([t.s(), t.s() | t.s()], u.s()), t.s()) | u.s(), t.s()),
        u.s(),
    ),
    "map": lambda: double.map([1, 2, 3]),
    "map of nothing": lambda: double.map([]),
    "map of a generator": lambda: double.map(i for i in range(3)),
    "starmap": lambda: plus.starmap([(1, 2), (3, 4)]),
    "chunks": lambda: plus.chunks(zip(range(10), range(10), strict=True), 3),
    "chunks as a group": lambda: plus.chunks(zip(range(4), range(4), strict=True), 2).group(),
    "chunks skewed": lambda: plus.chunks(zip(range(4), range(4), strict=True), 2).group().skew(start=0.01, stop=0.02),
    "chunks group, then a task": lambda: plus.chunks([(1, 1), (2, 2), (3, 3)], 2).group() | t.s(),
    "chunks in a group": lambda: group(plus.chunks([(1, 1), (2, 2), (3, 3)], 2), t.s()),
    "map in a chain": lambda: t.s() | double.map([1, 2]) | t.s(),
    "map in a header": lambda: chord([double.map([1]), plus.starmap([(1, 2)])], t.s()),
    "a callback": lambda: linked(t.s(), u.s()),
    "two callbacks": lambda: linked(t.s(), u.s(1), u.s(2)),
    "two callbacks alike": lambda: given(t.s(), link=[u.s(), u.s()]),
    "a callback of a callback": lambda: linked(t.s(), linked(u.s(), t.s())),
    "an immutable callback": lambda: linked(t.s(), u.si()),
    "a callback given as one": lambda: given(t.s(), link=u.s()),
    "callbacks given as a tuple": lambda: given(t.s(), link=(u.s(1), t.s(2))),
    "a chain as callback": lambda: linked(t.s(), u.s() | t.s()),
    "a group as callback": lambda: linked(t.s(), group(u.s(), t.s())),
    "a chord as callback": lambda: linked(t.s(), chord([u.s(), u.s()], t.s())),
    "a callback on a chain": lambda: linked(t.s() | t.s(), u.s()),
    "a callback on a group": lambda: linked(group(t.s(), t.s()), u.s()),
    "a callback on a chord": lambda: linked(chord([t.s(), t.s()], t.s()), u.s()),
    "a callback inside a header": lambda: chord([linked(t.s(), u.s()), t.s()], t.s()),
    "a countdown": lambda: given(t.s(), countdown=0.02),
    "a countdown in a chain": lambda: t.s() | given(t.s(), countdown=0.02) | u.s(),
    "a countdown on a chain": lambda: given(t.s() | t.s(), countdown=0.02),
    "a priority on a step": lambda: t.s() | given(t.s(), priority=3),
    "a countdown on a chord": lambda: given(chord([t.s(), t.s()], u.s()), countdown=0.02),
    "a step that stores nothing": lambda: t.s() | silent.s() | u.s(),
    "a header that stores nothing": lambda: chord([silent.s(), t.s()], u.s()),
    "a signature as an argument": lambda: t.s(u.s(1, 2)),
    "a partial chain as a step": lambda: t.s() | (t.s(1) | u.s(2)),
    "errbacks that are not called": lambda: chain(t.s(), t.s()).on_error(eb1.s()),
    "errback and callback on one task": lambda: linked(t.s(), u.s()).on_error(eb3.s()),
}

FAILING: dict[str, Build] = {
    "a task fails": lambda: boom.s(),
    "the first of three fails": lambda: chain(boom.s(), t.s(), t.s()),
    "the second of three fails": lambda: chain(t.s(), boom.s(), t.s()),
    "the last of three fails": lambda: chain(t.s(), t.s(), boom.s()),
    "a member of a group fails": lambda: group(t.s(), boom.s(), t.s()),
    "a header fails": lambda: chord([t.s(), boom.s(), t.s()], u.s()),
    "two headers fail": lambda: chord([boom.s(), t.s(), boom.s()], u.s()),
    "a header fails, body a chain": lambda: chord([t.s(), boom.s()], u.s() | t.s() | t.s()),
    "a header fails, body a group": lambda: chord([t.s(), boom.s()], group(u.s(), u.s())),
    "a header fails, body a chord": lambda: chord([t.s(), boom.s()], chord([u.s(), u.s()], t.s())),
    "a header of an inner chord fails": lambda: chord([chord([boom.s(), t.s()], u.s()), t.s()], t.s()),
    "a chain in a header fails": lambda: chord([t.s() | boom.s() | t.s(), t.s()], u.s()),
    "a header fails in mid-chain": lambda: t.s() | group(t.s(), boom.s()) | u.s() | t.s(),
    "the step before a chord fails": lambda: boom.s() | group(t.s(), t.s()) | u.s(),
    "the step before a group fails": lambda: boom.s() | group(t.s(), t.s()),
    "the body fails": lambda: chord([t.s(), t.s()], boom.s()),
    "the body fails in mid-chain": lambda: t.s() | group(t.s(), t.s()) | boom.s() | t.s(),
    "an id errback": lambda: boom.s().on_error(eb1.s()),
    "an inline errback": lambda: boom.s().on_error(eb3.s()),
    "both kinds of errback": lambda: boom.s().on_error(eb1.s()).on_error(eb3.s()),
    "an inline errback that sends": lambda: boom.s().on_error(eb3_sends.s()),
    "an inline errback that fails": lambda: boom.s().on_error(eb3_raises.s()),
    "an immutable errback": lambda: boom.s().on_error(u.si()),
    "a group as errback": lambda: given(boom.s(), link_error=group(eb1.s(), eb1.s())),
    "a chain as errback": lambda: given(boom.s(), link_error=chain(eb1.s(), u.s())),
    "an errback on a chain": lambda: chain(t.s(), boom.s(), t.s()).on_error(eb1.s()),
    "an inline errback on a chain": lambda: chain(t.s(), boom.s(), t.s()).on_error(eb3.s()),
    "an errback on a later step only": lambda: chain(boom.s(), t.s().on_error(eb1.s())),
    "an errback on an early step only": lambda: chain(t.s().on_error(eb1.s()), boom.s()),
    "errbacks added one after the other": lambda: (lambda early: (early | boom.s()).on_error(u.si(2)))(
        chain(t.s(), t.s()).on_error(u.si(1))
    ),
    "an errback as step and errback": lambda: (lambda s: chain(boom.s(), s).on_error(s))(u.si()),
    "one errback for many": lambda: (lambda e: group(boom.s().on_error(e), t.s().on_error(e)))(eb1.s()),
    "an errback on a group": lambda: (lambda g: (g.link_error(eb1.s()), g)[1])(group(boom.s(), t.s(), boom.s())),
    "an errback on a body": lambda: chord([boom.s(), t.s()], u.s().on_error(eb1.s())),
    "an inline errback on a body": lambda: chord([boom.s(), t.s()], u.s().on_error(eb3.s())),
    "an errback on a chord, as an option": lambda: given(chord([boom.s(), t.s()], u.s()), link_error=eb1.s()),
    "an errback on a header": lambda: chord([boom.s().on_error(eb1.s()), t.s()], u.s()),
    "an errback on a chain with a chord": lambda: chain(t.s(), group(t.s(), boom.s()), u.s(), t.s()).on_error(eb1.s()),
    "the first fails, errback on a chain with a chord": lambda: chain(
        boom.s(), group(t.s(), t.s()), u.s(), t.s()
    ).on_error(eb1.s()),
    "errbacks at three levels": lambda: chord(
        [chain(boom.s().on_error(u.si(1)), t.s()).on_error(u.si(2)), t.s()], u.s().on_error(u.si(3))
    ),
    "a callback of a task that fails": lambda: linked(boom.s(), u.s()),
    "a callback that fails": lambda: linked(t.s(), boom.s()),
    "a callback that fails, with an errback": lambda: linked(t.s(), boom.s().on_error(eb1.s())),
    "two retries, then success": lambda: flaky.s(),
    "a retry in a chain": lambda: t.s() | flaky.s() | u.s(),
    "a retry in a header": lambda: chord([flaky.s(), t.s()], u.s()),
    "retries run out": lambda: hopeless.s(),
    "retries run out in a header": lambda: chord([hopeless.s(), t.s()], u.s().on_error(eb1.s())),
    "retries run out, with an errback": lambda: hopeless.s().on_error(eb1.s()),
    "a map with a bad item": lambda: plus.starmap([(1, 1), (2,), (3, 3)]),
    "a map in a chain fails": lambda: plus.starmap([(2,)]) | t.s(),
    "chunks in a chain": lambda: plus.chunks([(1, 1), (2, 2)], 1) | t.s(),
    "Ignore": lambda: ignoring.s(),
    "Ignore in a chain": lambda: t.s() | ignoring.s() | u.s() | t.s(),
    "Ignore in a header": lambda: chord([ignoring.s(), t.s()], u.s()),
    "Reject": lambda: rejecting.s(),
    "Reject in a chain": lambda: t.s() | rejecting.s() | u.s(),
    "Reject in a header": lambda: chord([rejecting.s(), t.s()], u.s()),
    "a task nobody knows": lambda: signature("flow.nope"),
    "a task nobody knows in a chain": lambda: t.s() | signature("flow.nope") | u.s(),
    "a task nobody knows in a header": lambda: chord([signature("flow.nope"), t.s()], u.s()),
    "expired": lambda: given(t.s(), expires=-1),
    "expired in a chain": lambda: t.s() | given(t.s(), expires=-1) | u.s(),
    "expired in a header": lambda: chord([given(t.s(), expires=-1), t.s()], u.s()),
    "expired, with links": lambda: linked(given(t.s(), expires=-1), u.s()).on_error(eb1.s()),
    "a value that is not JSON": lambda: not_json.s(),
    "a value that is not JSON, in a chain": lambda: not_json.s() | t.s(),
    "a step that takes no argument": lambda: t.s() | noarg.s() | u.s(),
    "a callback that takes no argument": lambda: linked(t.s(), noarg.s()),
    "a body that takes no argument": lambda: chord([t.s(), t.s()], noarg.s()),
    "an errback that takes no argument": lambda: boom.s().on_error(noarg.s()),
    "the rest is cut off": lambda: t.s() | cut.s() | u.s() | t.s(),
    "a base class that tells of the failure": lambda: t.s() | tells.s() | u.s(),
}

DYNAMIC: dict[str, Build] = {
    "a task launches tasks": lambda: launch.s(),
    "a launcher in a chain": lambda: t.s() | launch.s() | u.s(),
    "launchers in a header": lambda: chord([launch.s(n=1), launch.s(n=2)], t.s()),
    "a task launches a chain": lambda: launch_canvas.s(which="chain"),
    "a task launches a group": lambda: launch_canvas.s(which="group"),
    "a task launches a chord": lambda: launch_canvas.s(which="chord"),
    "a task launches a chord in a chain": lambda: launch_canvas.s(which="chord in chain"),
    "a task launches a chord that fails": lambda: launch_canvas.s(which="failing chord"),
    "a launched chord in a chain": lambda: t.s() | launch_canvas.s(which="chord") | u.s(),
    "replaced by a task": lambda: replaced.s(which="task"),
    "replaced by a chain": lambda: replaced.s(which="chain"),
    "replaced by a group": lambda: replaced.s(which="group"),
    "replaced by a chord": lambda: replaced.s(which="chord"),
    "replaced by a chord in a chain": lambda: replaced.s(which="chord in chain"),
    "replaced twice": lambda: replaced.s(which="again"),
    "replaced by what fails": lambda: replaced.s(which="failing"),
    "replaced, then a step": lambda: t.s() | replaced.s(which="task") | u.s(),
    "replaced by a chain, then a step": lambda: t.s() | replaced.s(which="chain") | u.s(),
    "replaced by a chord, then a step": lambda: t.s() | replaced.s(which="chord") | u.s() | t.s(),
    "replaced by what fails, then a step": lambda: t.s() | replaced.s(which="failing") | u.s(),
    "replaced in a header": lambda: chord([replaced.s(which="task"), t.s()], u.s()),
    "replaced by a chord in a header": lambda: chord([replaced.s(which="chord"), t.s()], u.s()),
    "replaced by a chain in a header": lambda: chord([replaced.s(which="chain"), t.s()], u.s()),
    "a chord in a replaced task in a chord": lambda: replaced.s(which="deep"),
    "replaced, with a callback": lambda: linked(replaced.s(which="task"), u.s()),
    "replaced by what fails, with an errback": lambda: replaced.s(which="failing").on_error(eb1.s()),
    "a header adds a task to its chord": lambda: chord([joining.s(), t.s()], u.s()),
    "headers add tasks to their chord": lambda: chord([joining.s(more=2), joining.s()], u.s()),
    "a task that waits for another": lambda: waiting.s(),
}

ALL = {**SIMPLE, **FAILING, **DYNAMIC}


@app.task(bind=True)
def long(self: Any, seconds: float) -> None:
    """Sleep."""
    time.sleep(seconds)


@app.task(bind=True, acks_late=True)
def late(self: Any, path: str, seconds: float) -> str:
    """Sleep, and be acknowledged only afterwards."""
    time.sleep(seconds)
    return "done"
