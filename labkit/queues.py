"""What lies in the broker right now: messages nobody has fetched, and those fetched but not acknowledged."""

from __future__ import annotations

import base64
import json
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from celery import Celery

from labkit.embed import counted
from labkit.errors import LabError
from labkit.graph import Graph, Node
from labkit.labels import Labels

#: Seconds in which a broker must answer.
ANSWER: Final = 3.0

#: Other priorities lie in lists of their own (kombu/transport/redis.py).
_SEPARATOR: Final = "\x06\x16"
_STEPS: Final = (0, 3, 6, 9)
_JSON: Final = "application/json"


@dataclass(frozen=True, slots=True)
class Message:
    """One task message: what the wire says of it. ``embed`` holds what comes after it (chain, chord, links).

    Only JSON is read. Of a body in another format (pickle, YAML) ``readable`` is false, and what is in it stays empty.
    """

    id: str
    task: str
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    queue: str = ""
    headers: dict[str, Any] = field(default_factory=dict)
    embed: dict[str, Any] = field(default_factory=dict)
    readable: bool = True

    def node(self, key: str = "0") -> Node:
        """The message as a node of a graph; of a map only how many items it has."""
        return Node(key, self.task, self.id, self.args, counted(self.task, self.kwargs))

    def __repr__(self) -> str:
        return self.told(Labels(Graph([self.node()])), self.node())

    def told(self, labels: Labels, node: Node) -> str:
        """The call; of one that cannot be read only the task."""
        call = labels.call(node)
        return call if self.readable else f"{call.removesuffix('()')}(…)"

    @classmethod
    def decode(cls, raw: bytes | str, queue: str = "") -> Message:
        """A message as it lies in a Redis list: JSON whose ``body`` is base64 of ``[args, kwargs, embed]``.

        Raises ``LabError`` if it is no task message in JSON.
        """
        try:
            envelope = json.loads(raw)
            headers = envelope["headers"]
            if envelope.get("content-type", _JSON) != _JSON:
                return cls(headers["id"], headers["task"], (), {}, queue, headers, readable=False)
            body = envelope["body"]
            if envelope.get("properties", {}).get("body_encoding") == "base64":
                body = base64.b64decode(body)
            args, kwargs, embed = json.loads(body)
            return cls(headers["id"], headers["task"], tuple(args), kwargs, queue, headers, embed or {})
        except (ValueError, KeyError, TypeError) as error:
            raise LabError(f"a message in {queue!r} is no task in JSON ({type(error).__name__}).") from error


class Messages(list[Message]):
    """Messages in order, shown one a line."""

    def __init__(self, messages: Iterable[Message] = (), title: str = "", graph: Graph | None = None) -> None:
        super().__init__(messages)
        self.title = title
        self._graph = graph

    def _lines(self) -> Iterator[str]:
        yield self.title or f"{len(self)} message{'' if len(self) == 1 else 's'}"
        nodes = [each.node(str(place)) for place, each in enumerate(self, 1)]
        labels = Labels(self._graph or Graph(nodes))
        for message, node in zip(self, nodes, strict=True):
            yield f"{node.key:>3}  {message.told(labels, node)}"

    def __repr__(self) -> str:
        return "\n".join(self._lines())


@dataclass(frozen=True, slots=True)
class Queue:
    """The messages of some queues: ``waiting``, first in first out, and ``unacknowledged``, in no order."""

    names: tuple[str, ...]
    waiting: Messages
    unacknowledged: Messages

    def __len__(self) -> int:
        return len(self.waiting)

    def __repr__(self) -> str:
        return f"{self.waiting}\n{self.unacknowledged}"


def bring_back(app: Celery, ids: Collection[str]) -> None:
    """Put messages that were fetched and not acknowledged back into their queue, as Redis does after hours."""
    with app.connection_for_write() as connection:
        channel = connection.default_channel
        for tag, raw in channel.client.hgetall("unacked").items():
            if json.loads(raw)[0]["headers"]["id"] in ids:
                channel.qos.restore_by_tag(tag.decode())


def look(app: Celery, names: Iterable[str]) -> Queue:
    """What lies in these queues. Reads only.

    Raises ``LabError`` if the broker is not one of the Redis protocol, or does not answer.
    """
    names = tuple(names)
    try:
        with app.connection_for_read() as connection:
            connection.ensure_connection(max_retries=1, interval_start=0, timeout=ANSWER)
            client = getattr(connection.default_channel, "client", None)
            if client is None or not hasattr(client, "lrange"):
                raise LabError(
                    f"queues can be looked into with a Redis broker only, not with {connection.transport_cls!r}."
                )
            waiting: list[Message] = []
            for name in names:
                for step in _STEPS:
                    key = f"{name}{_SEPARATOR}{step}" if step else name
                    waiting += [Message.decode(raw, name) for raw in reversed(client.lrange(key, 0, -1))]
            fetched = [json.loads(raw) for raw in client.hvals("unacked")]
    except LabError:
        raise
    except Exception as error:
        raise LabError(f"the broker does not answer: {type(error).__name__}: {error}. Is the lab running?") from error
    held = [Message.decode(json.dumps(body), routing) for body, _, routing in fetched if routing in names]
    label = " and ".join(names)
    return Queue(
        names,
        Messages(waiting, f"waiting in {label}: {len(waiting)}"),
        Messages(sorted(held, key=repr), f"fetched, not acknowledged: {len(held)}"),
    )
