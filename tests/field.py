"""Canvases as real projects write them, slips included, beside those of `tests.workflows`."""

from collections.abc import Callable
from functools import partial
from typing import Any, Final

from celery import chain, chord, group
from celery.canvas import Signature

from tests.workflows import (
    ALL,
    Build,
    app,
    boom,
    calls,
    careless,
    cut,
    eb1,
    eb3,
    eb3_sends,
    flaky,
    given,
    gives_up,
    hopeless,
    ignoring,
    joining,
    launch,
    launch_canvas,
    linked,
    made,
    noarg,
    note,
    replaced,
    silent,
    swallows,
    t,
    tells,
    u,
    waiting,
)


@app.task
def two(first: Any, second: Any) -> None:
    """Take two arguments, which no errback is given."""


def both_ways(sig: Signature) -> Signature:
    """``sig`` with one call for success and for failure: a lock that is released in the end."""
    return linked(sig, t.si("free")).on_error(t.si("free"))


@app.task(bind=True)
def fan(self: Any, *args: Any, wide: int = 3, deep: int = 2) -> dict[str, Any]:
    """Send ``wide`` tasks like this one, which send theirs."""
    note(self)
    for _ in range(wide if deep else 0):
        fan.delay(wide=wide, deep=deep - 1)
    return made(self, args)


@app.task(bind=True)
def pages(self: Any, *args: Any, many: int = 100) -> None:
    """Be replaced by a chord with a header for each page."""
    note(self)
    raise self.replace(chord([u.si() for _ in range(many)], t.s()))


@app.task(bind=True)
def more(self: Any, *args: Any, left: int = 3) -> dict[str, Any]:
    """Add yourself to the chord again, so many times."""
    note(self)
    if left:
        self.add_to_chord(more.s(left=left - 1))
    return made(self, args)


@app.task(bind=True)
def monitor(self: Any, left: int = 3) -> dict[str, Any]:
    """Look, and send yourself again."""
    note(self)
    if left:
        monitor.apply_async((left - 1,))
    return made(self, ())


class ClearsOnFailure(app.Task):
    """A base class that tries to stop what comes after a failure."""

    def on_failure(self, exc: Any, task_id: str, args: Any, kwargs: Any, einfo: Any) -> None:
        """Too late: nothing changes."""
        self.request.chain = self.request.chord = None


@app.task(bind=True, base=ClearsOnFailure)
def clears(self: Any, *args: Any) -> None:
    """Fail."""
    note(self)
    raise ValueError("boom")


def named(sig: Any, place: int) -> Any:
    """``sig`` under an id that was written to a database before."""
    return given(sig, task_id=f"33333333-3333-4333-8333-{place:012d}")


#: What a task puts in its place, and where that task is.
PUT: Final = (
    "chord, then steps",
    "chord, then a failing step",
    "itself, by a chord and a step",
    "itself by a task, behind a chord",
    "expired",
    "unknown",
    "two groups",
    "failing, told",
    "failing, told inline",
    "with a callback",
)
AROUND: Final[dict[str, Callable[[str], Any]]] = {
    "replaced": lambda what: replaced.s(which=what),
    "replaced, then a step": lambda what: t.s() | replaced.s(which=what) | u.s(),
    "replaced in a header": lambda what: chord([replaced.s(which=what), t.s()], u.s()),
}

FIELD: Final[dict[str, Build]] = {
    # --- links in every form
    "callbacks on a chain as an option": lambda: given(t.s() | t.s(), link=[u.s(1), u.s(2)]),
    "errbacks given as a tuple": lambda: given(boom.s(), link_error=(eb1.s(), eb3.s())),
    "an errback on a whole workflow as an option": lambda: given(
        chain(t.s(), group(t.s(), boom.s()), u.s()), link_error=[eb1.s()]
    ),
    "a group as errback of a chain": lambda: given(chain(t.s(), boom.s()), link_error=group(u.si(1), u.si(2))),
    "a chain as callback of a chain": lambda: linked(t.s() | t.s(), u.s() | u.s()),
    "a group as callback of a chord": lambda: linked(chord([t.s(), t.s()], u.s()), group(t.s(), u.s())),
    # --- one signature in several roles
    "the last step is the errback too": lambda: (lambda report: chain(t.s(), boom.s(), report).on_error(report))(
        u.si()
    ),
    "each step has the same errback": lambda: (
        lambda each: chain(t.s().on_error(each), boom.s().on_error(each), t.s().on_error(each))
    )(eb1.s()),
    "the report fails, step and errback": lambda: (lambda report: chain(t.s(), report).on_error(report))(boom.si()),
    "cleaning up as callback and as errback": lambda: (lambda clean: linked(boom.s(), clean).on_error(clean))(
        noarg.si()
    ),
    "the same errback several levels deep": lambda: (
        lambda each: chain(
            t.s().on_error(each), chord([boom.s().on_error(each), t.s()], u.s().on_error(each)), t.s()
        ).on_error(each)
    )(u.si()),
    "an inline errback that sends, in a header": lambda: chord([boom.s().on_error(eb3_sends.s()), t.s()], u.s()),
    "on_failure sends, in a header": lambda: chord([tells.s(), t.s()], u.s()),
    # --- decided in a body
    "fanned out three wide, two deep": lambda: fan.s(),
    "fanned out two wide, three deep": lambda: fan.s(wide=2, deep=3),
    "fanned out in a chain": lambda: t.s() | fan.s(wide=2, deep=1) | u.s(),
    "a hundred pages": lambda: pages.s(),
    "pages, then a step": lambda: t.s() | pages.s(many=12) | u.s(),
    "added to the chord again and again": lambda: chord([more.s(), t.s()], u.s()),
    "two that add themselves": lambda: chord([more.s(left=2), more.s(left=1)], u.s()),
    "headers that add and one that fails": lambda: chord([joining.s(), boom.s()], u.s()),
    "the body starts the next chord": lambda: chord([t.s(), t.s()], launch_canvas.s(which="chord")) | u.s(),
    "launchers in every header": lambda: chord([launch.s(n=3) for _ in range(4)], u.s()),
    "a linked chain behind a group, sent by a body": lambda: launch_canvas.s(which="linked chain behind a group"),
    "a replaced body": lambda: chord([t.s(), t.s()], replaced.s(which="chord")) | t.s(),
    # --- it succeeded, but the rest was cut off
    "cut off in a header": lambda: chord([t.s() | cut.s() | t.s(), t.s()], u.s()),
    "cut off before a chord": lambda: t.s() | cut.s() | group(t.s(), t.s()) | u.s(),
    "Ignore before a group": lambda: ignoring.s() | group(t.s(), t.s()),
    "Ignore in a group": lambda: group(ignoring.s(), t.s() | u.s()),
    "expired before a chord": lambda: t.s() | given(t.s(), expires=-1) | group(t.s(), t.s()) | u.s(),
    "an inner chord fails in a header, with errbacks": lambda: chord(
        [chord([boom.s(), t.s()], u.s().on_error(eb1.s())), t.s()], u.s().on_error(u.si())
    ),
    # --- ids beforehand, order only
    "ids set beforehand": lambda: chain(named(t.s(), 1), named(t.s(), 2), named(u.s(), 3)),
    "ids set beforehand in a chord": lambda: chord([named(t.s(), 4), named(t.s(), 5)], named(u.s(), 6)),
    "order only": lambda: chain(t.si(), t.si(), group(t.si(), t.si()), u.si(), t.si()),
    "unrelated items chained for order": lambda: chain(t.si(1), boom.si(), t.si(2), t.si(3)),
    # --- joins, monitors, retries, waiting
    "steps that do nothing but join": lambda: group(t.s(), t.s()) | noarg.si() | group(t.si(), t.si()) | noarg.si(),
    "a join that is tried again": lambda: chord([t.s(), t.s()], flaky.s(times=3)) | u.s(),
    "a monitor that sends itself again": lambda: monitor.s(),
    "a lock waited for by retries": lambda: t.s() | flaky.s(times=5) | u.s(),
    "a lock that never comes free": lambda: chord([t.s() | hopeless.s(), t.s()], noarg.si().on_error(eb1.s())),
    "a countdown in mid-chain": lambda: t.s() | given(t.s(), countdown=0.05) | u.s(),
    "a countdown in a header": lambda: chord([given(t.s(), countdown=0.05), t.s()], u.s()),
    "waiting in a header": lambda: chord([waiting.s(), t.s()], u.s()),
    # --- options of single steps, signatures as data
    "nothing stored in mid-chain": lambda: t.s() | silent.s() | u.s(),
    "nothing stored in a header": lambda: chord([silent.s(), t.s()], u.s()),
    "priorities": lambda: chain(given(t.s(), priority=3), given(u.s(), priority=9)),
    "expiry on single steps": lambda: chain(given(t.s(), expires=60), t.s(), given(u.s(), expires=60)),
    "signatures as arguments": lambda: t.s(u.s(1), [t.s() | u.s()]) | t.s(kept=u.s()),
    "options given as arguments": lambda: t.s(1, link_error=eb1.s(), queue="slow") | boom.s(),
    # --- slips
    "deleted on failure only": lambda: t.s().on_error(noarg.si()),
    "more steps after the errback": lambda: (lambda flow: (flow | t.s() | boom.s()).on_error(u.si(2)))(
        chain(t.s(), group(t.s(), t.s()), u.s()).on_error(u.si(1))
    ),
    "a lock released in a body": lambda: chord([boom.s(), t.s(), t.s()], noarg.si()),
    "finish on the third step only": lambda: chain(boom.s(), t.s(), t.s().on_error(eb1.s())),
    "a report made twice": lambda: (lambda report: linked(t.s(), report).on_error(report))(boom.si()),
    "on_failure clears the rest": lambda: t.s() | clears.s() | u.s(),
    "on_failure clears the chord": lambda: chord([clears.s(), t.s()], u.s()),
    # --- in the place of a task
    **{f"{name}: {what}": partial(build, what) for what in PUT for name, build in AROUND.items()},
    "a replacement that is swallowed": lambda: t.s() | swallows.s() | u.s(),
    # --- tried again, or not
    "Retry without self.retry": lambda: t.s() | gives_up.s() | u.s(),
    "Retry without self.retry, in a header": lambda: chord([gives_up.s(), t.s()], u.s()),
    "an on_retry that fails": lambda: t.s() | careless.s() | u.s(),
    # --- called in a body
    "called in a body": lambda: t.s() | calls.s() | u.s(),
    "called in a body that was tried again": lambda: t.s() | calls.s(tries=2) | u.s(),
    "called in the body of a replacement": lambda: t.s() | replaced.s(which="one that calls") | u.s(),
    # --- seen by learners
    "replaced by a group of chains, then a step": lambda: t.s() | replaced.s(which="group of chains") | u.s(),
    "replaced by a group of chains in a header": lambda: chord([replaced.s(which="group of chains"), t.s()], u.s()),
    "expired while it waits to be tried again": lambda: (
        t.s() | given(flaky.s(times=5, countdown=0.1), expires=0.25) | u.s()
    ),
    "one call as callback and errback of a body that never ran": lambda: chord([boom.s(), t.s()], both_ways(u.s())),
    "one call as callback and errback of a body that ran": lambda: chord([t.s(), t.s()], both_ways(u.s())),
    "one call as callback and errback of a task that fails": lambda: both_ways(boom.s()),
    "a callback that cannot be sent": lambda: linked(t.s(), noarg.s()) | u.s(),
    "an errback of a body that is in no list": lambda: chord([t.s(), boom.s()], given(u.s(), link_error=eb1.si())),
    "neither callback nor errback can be sent": lambda: linked(t.s(), noarg.s()).on_error(noarg.s()) | u.s(),
    "an errback that cannot be sent": lambda: boom.s().on_error(two.s()),
}

#: Every canvas that the tests run.
CANVASES: Final[dict[str, Build]] = {**ALL, **FIELD}
