"""Which broker, and if it is somebody else's: is it there, who works on it, and a queue of this kernel's own."""

from __future__ import annotations

import os
import secrets
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import redis
from celery import Celery
from kombu import Connection
from kombu.pidbox import Mailbox

from labkit.broker import Broker, NoServer
from labkit.errors import LabError

#: Celery's transport within one process, where no server can be had.
MEMORY: Final = "memory://"

#: Seconds in which a broker must answer, and in which workers may say that they are there.
ANSWER: float = 3.0
SAY: float = 1.0


def choose(port: int | None) -> tuple[Broker | None, str, str, str]:
    """The broker to use: a server started here or ``None``, its URL, the result backend's, and what it is in words.

    ``LABKIT_BROKER_URL`` and ``LABKIT_RESULT_BACKEND`` come first, then an embedded server, then memory (it warns).
    """
    url = os.environ.get("LABKIT_BROKER_URL", "").strip()
    if url:
        reach(url)
        return None, url, os.environ.get("LABKIT_RESULT_BACKEND", "").strip() or url, "broker at LABKIT_BROKER_URL"
    try:
        broker = Broker.start(port)
    except NoServer as error:
        warnings.warn(f"{error} Until then tasks go through memory, and some lessons will be slow.", stacklevel=5)
        return None, MEMORY, "cache+memory://", "in-memory transport"
    return broker, broker.url, broker.backend_url, "embedded Valkey server"


def reach(url: str, timeout: float = ANSWER) -> None:
    """Return if a broker answers at ``url`` within ``timeout`` seconds.

    Raises ``LabError`` that names the address (without its password) and what to do if none does.
    """
    try:
        if url.startswith(("redis://", "rediss://")):
            redis.Redis.from_url(url, socket_connect_timeout=timeout, socket_timeout=timeout).ping()
        else:
            with Connection(url, connect_timeout=timeout) as connection:
                connection.ensure_connection(max_retries=1, interval_start=0, timeout=timeout)
    except Exception as error:
        raise LabError(
            f"no broker answers at LABKIT_BROKER_URL={_shown(url)} ({type(error).__name__}: {error}). "
            "Start a Redis there, correct the variable, or unset it to use the embedded server."
        ) from error


def _shown(url: str) -> str:
    try:
        return str(Connection(url).as_uri())
    except Exception:  # no URL at all: then there is no password to hide in it
        return repr(url.rpartition("@")[2])


@dataclass(frozen=True)
class OwnQueue:
    """A queue that only this kernel serves: its ``name``, the ``settings`` that route to it, if ``others`` work too."""

    name: str
    settings: dict[str, Any]
    others: bool
    forget: Callable[[], None]


def own_queue(app: Celery, url: str) -> OwnQueue:
    """On a broker that others use too, tasks of this kernel go to a queue of its own.

    If workers answer there, only tasks defined in this program's main module (a notebook's cells) go to it, and they
    run the rest; if none does, everything goes to it.
    """
    name = f"labkit-{secrets.token_hex(4)}"
    with Connection(url) as connection:
        # not app.control, which asks whatever broker the app has now
        everybody = Mailbox(app.conf.control_exchange, type="fanout", accept=["json"])(connection)
        others = bool(everybody.multi_call("ping", timeout=SAY, limit=1))
    if not others:
        return OwnQueue(name, {"task_default_queue": name, "task_routes": ()}, False, lambda: _forget(url, name))
    tasks, before = app._tasks, app.conf.task_routes or ()

    def route(
        task_name: str, args: Any, kwargs: Any, options: Any, task: Any = None, **_: Any
    ) -> dict[str, str] | None:
        known = tasks.get(task_name)
        here = known is not None and type(known).__module__ == "__main__"
        return {"queue": name} if here and "queue" not in options else None

    routes = (route, *(before if isinstance(before, list | tuple) else (before,)))
    return OwnQueue(name, {"task_routes": routes}, True, lambda: _forget(url, name))


def _forget(url: str, queue: str) -> None:
    """Leave no trace of the queue on the broker. Raises ``LabError`` if it is gone."""
    reach(url, timeout=1.0)
    with Connection(url) as connection:
        client = getattr(connection.default_channel, "client", None)
        if client is None or not hasattr(client, "srem"):
            return
        client.delete(queue, *(f"{queue}\x06\x16{step}" for step in (3, 6, 9)))
        for binding in (*client.keys("_kombu.binding.*"), *client.keys("_kombu.binding_permanent.*")):
            for member in client.smembers(binding):
                if member.endswith(f"\x06\x16{queue}".encode()):
                    client.srem(binding, member)
