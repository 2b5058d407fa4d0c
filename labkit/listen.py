"""Celery's signals turned into facts: who published, received, started and ended what, told to the right recording."""

from __future__ import annotations

import logging
import threading
import weakref
from collections.abc import Callable, Iterable
from typing import Any, ClassVar, Final

from celery import Celery, signals
from celery.backends.base import Backend
from celery.exceptions import Reject
from celery.worker.request import Request

from labkit.embed import first_id, ids_in
from labkit.graph import RETURNED, UNTOLD
from labkit.inline import Watched, error_text, of_errback, safe
from labkit.origin import in_body
from labkit.record import Recording, arguments, snapshot

_log: Final = logging.getLogger("labkit.listen")

#: How many facts of workflows that nobody runs through the lab are kept.
KEPT_APART: Final = 20_000

_QUIET: Final = frozenset({"celery.backend_cleanup"})


class Listener:
    """Listens to one app while it is connected. An error in here is logged, it never reaches a task.

    ``redact(task, args, kwargs)`` may return other arguments to be recorded in place of the real ones.
    """

    #: The apps whose labs listen in this process: nobody else needs to report of them here.
    heard: ClassVar[weakref.WeakSet[Celery]] = weakref.WeakSet()

    #: How many steps of the rest of a chain are kept with each message, though the plan has them too.
    carried = 50

    def __init__(
        self,
        app: Celery,
        redact: Callable[[str, tuple[Any, ...], dict[str, Any]], tuple[Any, Any]] | None = None,
    ) -> None:
        self.app = app
        self.apart = Recording()
        self.queues: list[str] | None = None
        self._redact = redact
        self._owners: weakref.WeakValueDictionary[str, Recording] = weakref.WeakValueDictionary()
        self._local = threading.local()
        self._connected: list[tuple[Any, Any]] = []
        self._errbacks: Any = None

    # --- life -----------------------------------------------------------------------------------------------

    def connect(self) -> None:
        """Start listening."""
        if self._connected:
            return
        for signal, receiver in (
            (signals.before_task_publish, self._publishing),
            (signals.after_task_publish, self._published),
            (signals.task_received, self._received),
            (signals.task_prerun, self._started),
            (signals.task_success, self._succeeded),
            (signals.task_failure, self._failed),
            (signals.task_internal_error, self._broken),
            (signals.task_retry, self._retried),
            (signals.task_postrun, self._ended),
            (signals.task_revoked, self._revoked),
            (signals.task_unknown, self._unknown),
            (signals.task_rejected, self._rejected),
        ):
            told = safe(self._of_this_app(receiver))
            signal.connect(told, weak=False)
            self._connected.append((signal, told))
        original, listener = Backend._call_task_errbacks, self

        def call_task_errbacks(backend: Backend, request: Any, exc: Any, traceback: Any) -> None:
            if backend.app is not listener.app:
                original(backend, request, exc, traceback)
                return
            listener._local.calls_errbacks = True
            try:
                original(backend, listener._watch_errbacks(backend, request, exc), exc, traceback)
            finally:
                listener._local.calls_errbacks = False

        self._errbacks = (original, call_task_errbacks)
        Backend._call_task_errbacks = call_task_errbacks

    def disconnect(self) -> None:
        """Stop listening; Celery is as it was before."""
        while self._connected:
            signal, receiver = self._connected.pop()
            signal.disconnect(receiver)
        if self._errbacks and Backend._call_task_errbacks is self._errbacks[1]:
            Backend._call_task_errbacks = self._errbacks[0]
        self._errbacks = None

    # --- whose fact it is -----------------------------------------------------------------------------------

    def own(self, recording: Recording) -> None:
        """Facts about the ids of this recording's plan, and about all that comes of them, belong to it."""
        for id in recording.known:
            self._owners[id] = recording

    def claim(self, recording: Recording, ids: Iterable[str]) -> None:
        """These ids have come up in a recording: facts about them belong to it."""
        for id in ids:
            recording.known.add(id)
            self._owners[id] = recording

    def trouble(self, text: str) -> None:
        """Something in the recording itself went wrong: it is logged, nothing else."""
        _log.debug("%s", text)

    def recording_of(self, *ids: str | None) -> Recording:
        """The recording that one of these ids belongs to; else the one for what was sent past the lab."""
        for id in ids:
            if id and (found := self._owners.get(id)) is not None:
                return found
        if len(self.apart.facts) >= KEPT_APART:
            for each in self.apart.forget(KEPT_APART // 10):
                self._owners.pop(each, None)
        return self.apart

    def closed(self, id: str) -> None:
        """The pool is done with a message of this id, in this thread."""
        broken = self._broken_in()
        if broken and broken[0] == id:
            # Celery failed to tell of the failure: an errback that could not be sent, for one.
            note = UNTOLD if of_errback(broken[1]) else RETURNED
            self.recording_of(id).add("failed", id, **self._which(), error=error_text(broken[1]), note=note)
        elif getattr(self._local, "began", None) == id:
            why = "its body left by SystemExit, or was stopped with the lab: Celery stores nothing"
            self.recording_of(id).add("lost", id, **self._which(), why=why)
        self._local.broken = self._local.began = None
        self.recording_of(id).closed(id)

    def unsent(self) -> None:
        """A message announced in this thread was never sent (it could not be encoded, or there was no broker)."""
        fact = getattr(self._local, "announced", None)
        if fact is not None:
            self._local.announced = None
            recording = self.recording_of(fact["id"])
            recording.add("unsent", fact["id"], retries=fact["retries"])
            recording.closed(fact["id"])

    # --- signals --------------------------------------------------------------------------------------------

    def _of_this_app(self, receiver: Callable[..., None]) -> Callable[..., None]:
        """Celery's signals are those of the whole process: a task or worker of another app is not ours."""

        def told(sender: Any = None, **more: Any) -> None:
            app = getattr(sender, "app", None)
            if app is None or app == self.app:  # what a task has may be a proxy
                receiver(sender=sender, **more)

        return told

    def _ours(self, declared: Any) -> bool:
        """Whether this app sends a message: the signal does not say, but the queue declared is the app's own object."""
        queues = self.app.amqp.queues
        return not declared or any(queues.get(getattr(each, "name", None)) is each for each in declared)

    def _publishing(
        self, body: Any, headers: dict[str, Any], routing_key: str = "", declare: Any = None, **_: Any
    ) -> None:
        self.unsent()
        failed = getattr(self._local, "failed", None)  # Celery gives no parent to what an errback sends after a Reject
        id, parent = headers["id"], headers.get("parent_id") or failed
        known_here = any(each in self._owners for each in (id, parent, headers.get("root_id")))  # a queue of a route
        if headers.get("task") in _QUIET or not (known_here or self._ours(declare)):
            return
        recording = self.recording_of(id, parent, headers.get("root_id"))
        known = recording.known
        args, kwargs, embed = body
        if self._redact:
            args, kwargs = self._redact(headers["task"], tuple(args), dict(kwargs))
        chain, chord = embed.get("chain"), embed.get("chord")
        if not headers.get("replaced_task_nesting"):
            # What is known already need not be kept with each message: the rest of a long chain grows with its square.
            if chain and len(chain) > self.carried and (first_id(chain[-1]) or "") in known:
                chain = None
            if chord is not None and not self.carried and (body_id := first_id(chord)) in known:
                chord = body_id
        planned = id in known
        fact = recording.add(
            "published",
            id,
            task=headers["task"],
            **arguments(args, kwargs),
            parent=parent,
            errback=getattr(self._local, "calls_errbacks", False),
            inside=bool(parent) and (failed is not None or in_body()),
            group=headers.get("group"),
            retries=headers.get("retries") or 0,
            nesting=headers.get("replaced_task_nesting") or 0,
            eta=headers.get("eta"),
            expires=headers.get("expires"),
            queue=routing_key,
            chain=_light(chain),
            chord=chord if isinstance(chord, str) else _light(chord),
            link=None if planned and not self.carried else _light(embed.get("callbacks")),
            link_error=None if planned and not self.carried else _light(embed.get("errbacks")),
        )
        self.claim(recording, ([] if planned else [id]) + ids_in(chain, chord))
        if headers.get("eta") or (self.queues is not None and routing_key not in self.queues):
            recording.deferred.add(id)
        recording.opened(id)
        self._local.announced = fact
        if fact["retries"]:
            self._local.again = (id, fact["retries"] - 1)

    def _published(self, **_: Any) -> None:
        self._local.announced = None

    def _received(self, request: Request, sender: Any = None, **_: Any) -> None:
        self.recording_of(request.id, request.parent_id).add(
            "received",
            request.id,
            retries=request.request_dict.get("retries") or 0,
            nesting=request.replaced_task_nesting or 0,
            worker=request.hostname,
            redelivered=bool(request.delivery_info.get("redelivered")),
        )

    # A task that a body calls with ``apply()`` is part of that body: no message, and nothing is stored.

    def _started(self, task_id: str, task: Any, **_: Any) -> None:
        request = task.request
        if request.is_eager:
            return
        self._local.broken = None
        self._local.began = task_id
        self._local.which = {"retries": request.retries or 0, "nesting": request.replaced_task_nesting or 0}
        self.recording_of(task_id, request.parent_id).add(
            "started", task_id, **self._local.which, worker=request.hostname, slot=threading.current_thread().name
        )

    def _succeeded(self, sender: Any, result: Any, runtime: float, **_: Any) -> None:
        id = sender.request.id
        if sender.request.is_eager:
            return
        self._local.began = None
        self.recording_of(id).add("succeeded", id, **self._which(), value=snapshot(result), seconds=runtime)

    def _failed(self, task_id: str, exception: BaseException, sender: Any = None, **_: Any) -> None:
        if sender.request.is_eager:
            return
        again = self._sent_again(task_id)  # then it was ``on_retry`` that raised
        note = RETURNED if self._broken_in() and not again else None
        self._local.broken = self._local.began = None
        self.recording_of(task_id).add("failed", task_id, **self._which(), error=error_text(exception), note=note)

    def _broken(self, task_id: str, exception: BaseException, sender: Any = None, **_: Any) -> None:
        if not sender.request.is_eager and (self._broken_in() or ("", None))[0] != task_id:  # the first tells what was
            self._local.broken = (task_id, exception)

    def _broken_in(self) -> Any:
        return getattr(self._local, "broken", None)

    def _sent_again(self, id: str) -> bool:
        """Whether the run that this thread is busy with has sent its own next try."""
        return getattr(self._local, "again", None) == (id, self._which()["retries"])

    def _which(self) -> dict[str, int]:
        """Which run of its id this thread is busy with."""
        return getattr(self._local, "which", {"retries": 0, "nesting": 0})

    def _retried(self, request: Any, reason: Any, einfo: Any = None, **_: Any) -> None:
        if getattr(request, "is_eager", False):
            return
        retry = getattr(einfo, "exception", None)
        why = getattr(reason, "exc", None) or getattr(retry, "exc", None) or reason
        error = error_text(why) if isinstance(why, BaseException) else str(why)
        delay = _delay(getattr(reason, "when", None))
        self._local.began = None
        told = self.recording_of(request.id)
        if self._sent_again(request.id):
            told.add("retried", request.id, **self._which(), error=error, delay=delay)
        else:
            told.add("ended", request.id, **self._which(), state="RETRY", requeued=False)

    def _ended(self, task_id: str, state: str, retval: Any = None, sender: Any = None, **_: Any) -> None:
        self.unsent()
        if sender.request.is_eager:
            return
        if state in ("IGNORED", "REJECTED"):
            self._local.began = None
            requeued = isinstance(retval, Reject) and bool(retval.requeue)
            recording = self.recording_of(task_id)
            recording.add("ended", task_id, **self._which(), state=state, requeued=requeued)
            if requeued:
                recording.opened(task_id)

    def _revoked(self, request: Any, expired: bool = False, terminated: bool = False, **_: Any) -> None:
        why = "it expired before it was run" if expired else "terminated" if terminated else "revoked before it was run"
        recording = self.recording_of(request.id)
        nesting = request.replaced_task_nesting or 0
        recording.add("revoked", request.id, retries=request.retries or 0, nesting=nesting, why=why)
        recording.closed(request.id)

    def _unknown(self, name: str, id: str, message: Any = None, **_: Any) -> None:
        recording = self.recording_of(id)
        recording.add("unregistered", id, task=name, nesting=_headers(message).get("replaced_task_nesting") or 0)
        recording.closed(id)

    def _rejected(self, message: Any, exc: Any = None, **_: Any) -> None:
        headers = _headers(message)
        if id := headers.get("id"):
            recording, nesting = self.recording_of(id), headers.get("replaced_task_nesting") or 0
            recording.add("rejected", id, nesting=nesting, why=f"the worker could not read the message: {exc}")
            recording.closed(id)

    def _watch_errbacks(self, backend: Backend, request: Any, exc: Any) -> Any:
        """Errbacks of three parameters are called inline: no message and no signal tells, so watch the call itself."""
        try:
            watched, told = [], self.recording_of(request.id).add
            for errback in request.errbacks:
                signature = self.app.signature(errback)
                watched.append(Watched(signature, told, self._local, request.id, exc))
            request.errbacks = watched
        except Exception:
            _log.debug("errbacks not watched", exc_info=True)
        return request


def _headers(message: Any) -> dict[str, Any]:
    return getattr(message, "headers", None) or {}


def _delay(when: Any) -> float | None:
    return float(when) if isinstance(when, int | float) else None


def _light(signature: Any) -> Any:
    """A signature (or a list of them) as a message carries it, without what only Celery needs."""
    if signature is None:
        return None
    if isinstance(signature, list | tuple):
        return [_light(each) for each in signature] or None
    return signature
