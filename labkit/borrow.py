"""A Celery app on loan: pointed at the lab's broker while it runs, and given back as it was."""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Final

from celery import Celery, _state
from celery.local import Proxy
from kombu import pools

from labkit.errors import LabError

#: Variables that beat every setting of the program (celery/app/utils.py: Settings).
_VARIABLES: Final = ("CELERY_BROKER_URL", "CELERY_BROKER_READ_URL", "CELERY_BROKER_WRITE_URL", "CELERY_RESULT_BACKEND")

#: What a worker sets in the configuration when it starts (celery/worker/worker.py: setup_includes).
_OF_WORKERS: Final = ("include",)

#: What an app keeps that knows its broker: made anew while it is on loan.
_CACHED: Final = ("amqp", "control", "events")


def real(app: Any) -> Celery | None:
    """The app behind ``app``, which may be a proxy (``celery.current_app``) or ``None``.

    Raises ``LabError`` if it is no app.
    """
    while isinstance(app, Proxy):
        app = app._get_current_object()
    if app is None or isinstance(app, Celery):
        return app
    raise LabError(f"this is of type {type(app).__name__}, not a Celery app. Give labkit.start(…) the app itself.")


class Loan:
    """``app`` with other ``settings`` until `end`; then configuration, connections and current app come back."""

    def __init__(self, app: Celery, settings: Mapping[str, Any]) -> None:
        self.app = app
        self._current, self._default = _state._tls.current_app, _state.default_app
        self._variables = {name: os.environ.pop(name) for name in _VARIABLES if name in os.environ}
        changes = app.conf.changes
        self._changed = (*settings, *_OF_WORKERS)
        self._before = {name: changes[name] for name in self._changed if name in changes}
        self._kept = {name: app.__dict__.pop(name) for name in _CACHED if name in app.__dict__}
        self._pool, app._pool = app._pool, None
        self._local, app._local = app._local, threading.local()
        self._backend, app._backend_cache = app._backend_cache, None
        self._observers = list(app.conf._observers)
        self._backends: list[weakref.ref[Any]] = []
        self._make = app._get_backend
        app._get_backend = self._made
        for name, value in settings.items():
            app.conf[name] = value
        app.set_current()
        app.set_default()  # in threads that have no current app this is it; else Celery makes one, without a broker

    def _made(self, *args: Any, **kwargs: Any) -> Any:
        backend = self._make(*args, **kwargs)
        self._backends.append(weakref.ref(backend))
        return backend

    def quiet(self) -> None:
        """Results that outlive the lab unsubscribe when they are collected, and may still be asked: nobody is there.

        Each thread has a backend of its own, and each would try to reconnect for seconds.
        """
        for reference in self._backends:
            backend = reference()
            consumer = getattr(backend, "result_consumer", None)
            if backend is None or consumer is None:
                continue
            consumer.cancel_for = consumer.consume_from = _ignore
            backend.retry_policy = {**backend.retry_policy, "max_retries": 0}

    def disconnect(self) -> None:
        """Close what was opened on loan, the consumers of results first: without a broker they would retry for 20 s."""
        self.quiet()
        for reference in self._backends:
            with suppress(Exception):
                backend = reference()
                if backend is not None:
                    backend.result_consumer.stop()
                    backend.__dict__["client"].connection_pool.disconnect()
        with suppress(Exception):
            if self.app._pool is not None:
                self.app._pool.force_close_all()
                ours = (self.app._pool, self.app.amqp._producer_pool)
                for kept in (pools.connections, pools.producers):
                    for key in [key for key, pool in kept.items() if pool in ours]:
                        dict.__delitem__(kept, key)  # its own would hash the key once more

    def end(self) -> None:
        """Give the app back."""
        app = self.app
        self.disconnect()
        app.__dict__.pop("_get_backend", None)
        app.conf.__dict__["_observers"] = self._observers.copy()
        for name in self._changed:
            if name in self._before:
                app.conf.changes[name] = self._before[name]
            else:
                app.conf.changes.pop(name, None)
        for name in _CACHED:
            app.__dict__.pop(name, None)
        app.__dict__.update(self._kept)
        app._pool, app._local, app._backend_cache = self._pool, self._local, self._backend
        os.environ.update(self._variables)
        _state._set_current_app(self._current)
        _state.default_app = self._default


def _ignore(*_: Any, **__: Any) -> None:
    """In place of what would ask a broker that is gone."""
