"""The widget: facts go to the browser in batches from the kernel's own loop, and its buttons reach the lab."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import Callable
from functools import cached_property
from typing import Any, Final
from uuid import uuid4

import anywidget
from traitlets import Any as AnyTrait

from labkit.draw import Drawing
from labkit.errors import LabError
from labkit.record import Fact, Recording
from labkit.view import assets
from labkit.view.buttons import Buttons
from labkit.view.feed import Feed

#: The end of one task, and the sending, fetching and start of the next, come within so many seconds: one message.
BURST: Final = 0.003
#: Facts go to the browser this often at most, in seconds; where they come in crowds, less often.
OFTEN: Final = 0.012
SELDOM: Final = 0.15
CROWD: Final = 20
#: What the backend answers comes when all is over: the view listens so much longer, in seconds.
LINGER: Final = 0.5

VIEW_MIME: Final = "application/vnd.jupyter.widget-view+json"


def _everything(_: Any, view: View) -> dict[str, Any]:
    return view.everything()


class View(anywidget.AnyWidget):
    """The view of one recording; with the ``run`` it belongs to, its buttons work.

    It listens until all is over, and holds no thread and no timer after that.
    """

    _esm = assets.module()
    record = AnyTrait().tag(sync=True, to_json=_everything)

    def __init__(self, recording: Recording, run: Any = None, loop: asyncio.AbstractEventLoop | None = None) -> None:
        lab = run.lab if run is not None else None
        late = tuple(name for name, task in lab.app._tasks.items() if task.acks_late) if lab else ()
        slots = min(lab.slots, 16) if lab else 0
        self._feed = Feed(recording, late, tuple(f"kernel {place}" for place in range(1, slots + 1)))
        self._buttons = Buttons(run, self._tell) if run is not None else None
        self._loop = loop or asyncio.get_running_loop()
        self._context = contextvars.copy_context()
        self._awake = threading.Event()
        self._due: asyncio.TimerHandle | None = None
        self._state = self._buttons.state() if self._buttons else None
        self._ending = self._ended = False
        self._id = uuid4().hex
        super().__init__(model_id=self._id)
        self.on_msg(self._asked)
        if recording.over.is_set() and self._feed.told == len(recording.facts):
            self._ended = True
        else:  # also of a run that ended while this was made
            recording.listen(self._hear)
            if lab is not None:
                lab.watch(self._wake)
            self._wake()

    def everything(self) -> dict[str, Any]:
        """All that a page needs that knows nothing yet: read whenever the widget's state is."""
        return (
            self._feed.all()
            | self._picture()
            | {"lab": self._buttons.state() if self._buttons else None, "id": self._id}
        )

    def _picture(self) -> dict[str, Any]:
        """What is saved in place of the view: the plan, until all is over."""
        recording = self._feed.recording
        if recording.over.is_set():
            return {"picture": Drawing(recording.graph)._repr_mimebundle_(), "over": True}
        return {"picture": self._planned, "over": False}

    @cached_property
    def _planned(self) -> dict[str, Any]:
        return Drawing(self._feed.recording.plan)._repr_mimebundle_()

    # --- facts, to the browser ------------------------------------------------------------------------------

    def _hear(self, fact: Fact) -> None:
        """A fact, in whichever thread it happened: the kernel's loop looks at it later."""
        if not self._awake.is_set() or fact["kind"] == "over":
            self._wake()

    def _wake(self) -> None:
        self._awake.set()
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._soon, context=self._context)

    def _soon(self) -> None:
        """In the loop: tell soon, unless something was told a moment ago; but the end at once, before the next cell."""
        over = self._feed.recording.over.is_set()
        if self._due is not None and over and not self._ending:
            self._due.cancel()
            self._due = None
        if self._due is None and not self._ended:
            if over:
                self._flush()
            else:
                self._due = self._loop.call_later(BURST, self._flush, context=self._context)

    def _flush(self, final: bool = False) -> None:
        self._due = None
        self._awake.clear()
        recording = self._feed.recording
        over = recording.over.is_set()
        news = self._feed.news(final=over)
        if final:
            news = {**(news or {}), **self._picture()}
        if content := ({"news": news} if news else {}) | self._lab_news():
            self.send(content)
        self._ending = over and not final
        if final and over:
            self._ended = True
            recording.ignore(self._hear)
        elif over:
            self.send({"news": self._picture()})  # somebody may save the notebook at once
            self._due = self._loop.call_later(LINGER, self._flush, True, context=self._context)
        elif news or self._feed.wanting:
            many = len(news.get("facts", ())) if news else 0
            pause = min(SELDOM, OFTEN * (1 + many / CROWD))
            self._due = self._loop.call_later(pause, self._flush, context=self._context)

    def _tell(self, content: dict[str, Any]) -> None:
        """Send, from the kernel's loop: while a cell blocks that, no answer comes, and the page says so."""
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._answer, content, context=self._context)

    def _answer(self, content: dict[str, Any]) -> None:
        # Asked in whichever thread, answered here: only the loop works with the feed.
        if "page" in content:
            content["news"] = self._feed.missing(*content.pop("page")) | self._picture()
        self._state = content["lab"] = self._buttons.state() if self._buttons else None
        self.send(content)
        # Nobody listens any more once all is over, but the backend may have been asked since.
        if self._ended and (news := self._feed.news()):
            self.send({"news": news})

    def _lab_news(self) -> dict[str, Any]:
        """How the lab is, if that is another than was told: others pause it too."""
        state = self._buttons.state() if self._buttons else None
        if state == self._state:
            return {}
        self._state = state
        return {"lab": state}

    # --- buttons, from the browser --------------------------------------------------------------------------

    def _asked(self, _: Any, content: dict[str, Any], __: Any) -> None:
        """A button was pressed. The answer says so at once, whatever comes of it later."""
        answer: dict[str, Any] = {"answer": content.get("number")}
        try:
            if content.get("do") == "all":
                answer["page"] = (int(content["have"]), int(content["version"]))
            elif content.get("do") == "picture":
                answer["news"] = self._picture()
            elif self._buttons is not None:
                answer |= self._buttons.press(content)
            elif content.get("do") == "why":
                name = str(content.get("name"))
                sentences = self._feed.recording.why(name)
                answer |= {"why": name, "sentences": [[each.text, each.evidence] for each in sentences]}
            else:
                raise LabError("this is a recording: there is no lab behind it.")
        except LabError as error:
            answer["refused"] = str(error)
        self._tell(answer)


def in_notebook() -> bool:
    """Whether this is a kernel that shows widgets."""
    try:
        from IPython import get_ipython  # loads when a run is shown
    except ImportError:
        return False
    shell = get_ipython()
    return shell is not None and getattr(shell, "kernel", None) is not None


def mimebundle(view: Callable[[], View]) -> dict[str, Any]:
    """The widget's part of a mimebundle, empty where no widget can be shown."""
    if not in_notebook():
        return {}
    return {VIEW_MIME: {"version_major": 2, "version_minor": 0, "model_id": view().model_id}}
