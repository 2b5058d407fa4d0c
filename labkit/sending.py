"""What can be sent: looked at before anything is, and refused in words that help."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from celery import Celery
from celery.app.task import Task
from celery.canvas import Signature
from celery.utils.time import maybe_iso8601
from kombu import compression, serialization
from kombu.exceptions import EncodeError, OperationalError, SerializerNotInstalled
from kombu.utils import json

from labkit import canvas
from labkit.errors import LabError
from labkit.graph import Graph, Node
from labkit.record import Recording

#: Options that Celery itself reads and does not send, or (times) writes as text.
_OWN_OPTIONS: Final = frozenset(
    {
        *("link", "link_error", "chain", "chord", "countdown", "eta", "expires", "serializer", "compression"),
        *("queue", "exchange", "router", "producer", "publisher", "connection", "declare", "retry_policy"),
        *("event_dispatcher", "result_cls", "task_type"),
    }
)
_PLAIN: Final = frozenset({str, int, float, bool})


def belongs(signature: Signature, app: Celery) -> None:
    """Raise ``LabError`` if a task of a canvas belongs to another app than ``app``: it would go to another broker."""
    for other in canvas.apps(signature):
        if other is not app:
            raise LabError(
                f"a task of this canvas belongs to the app {other.main!r}, and the lab runs {app.main!r}. "
                f"Call labkit.stop(), then labkit.start(…) with the app {other.main!r}."
            )


def inspect(signature: Signature, graph: Graph, app: Celery, *, registered: bool = True) -> None:
    """Raise ``LabError`` for what Celery would find out while it sends, some of it when a part is out already.

    That is: a task that the app does not know (not with ``registered=False``), arguments that its serializer refuses
    or that do not fit the tasks sent first, options that cannot be sent. ``graph`` is the plan of ``signature``.
    """
    if registered:
        for node in graph.nodes.values():
            if node.role != "map" and node.task not in app._tasks:
                raise LabError(_unregistered(graph.number(node.key), node.task, app._tasks))
    _check_ids(graph)
    for node, serializer in _encoded(graph, app):
        _encode(graph, node, serializer)
    whole = True
    for part in canvas.parts(signature):
        _check_options(part)
        whole = whole and not (part.args and canvas.kind(part) in ("chain", "group", "chord"))
    for node in starting(graph):
        try:
            _check_start(node, app, complete=whole and node.role != "body")
        except Exception as error:  # whatever Celery would have raised
            raise LabError(refusal(error, f"{graph.number(node.key)} {node.task}")) from error


def _check_ids(graph: Graph) -> None:
    """Raise ``LabError`` if two calls have one id: nobody could tell which of them a message or a result is of."""
    first: dict[str, Node] = {}
    for node in graph.nodes.values():
        if node.id is not None and (other := first.setdefault(node.id, node)) is not node:
            both = " and ".join(f"{graph.number(each.key)} {each.task}" for each in (other, node))
            raise LabError(
                f"{both} have one id (freeze(), or task_id=), and Celery would keep one result for both. "
                "Give each an id of its own: a clone that was made before freeze()."
            )


def starting(graph: Graph) -> Iterator[Node]:
    """The nodes of a plan whose messages are sent at the start: all others are sent by a worker, or never."""
    later = {edge.target for edge in graph.edges}
    for key, node in graph.nodes.items():
        if key not in later and node.role != "map" and node.state == "planned":
            yield node


# --- arguments ----------------------------------------------------------------------------------------------


def _encoded(graph: Graph, app: Celery) -> Iterator[tuple[Node, str]]:
    """Each call and how it is encoded: in its own message, and in those of all the tasks that it comes after."""
    own = {key: _serializer(node, app) for key, node in graph.nodes.items() if node.role != "map"}
    if len(set(own.values())) == 1:
        serializer = next(iter(own.values()))
        yield from ((node, serializer) for node in graph.nodes.values())
        return
    carried = {key: {serializer} for key, serializer in own.items()}
    for edge in graph.edges:  # those into a task are before those out of it
        carried.setdefault(edge.target, set()).update(carried.get(edge.source, ()))
    for key, node in graph.nodes.items():
        message = key if node.role != "map" else key.rpartition(".m.")[0]
        yield from ((node, serializer) for serializer in sorted(carried[message]))


def _serializer(node: Node, app: Celery) -> str:
    task = app._tasks.get(node.task)
    return str(node.options.get("serializer") or getattr(task, "serializer", None) or app.conf.task_serializer)


def _encode(graph: Graph, node: Node, serializer: str) -> None:
    try:
        serialization.dumps((node.args, node.kwargs), serializer)
    except SerializerNotInstalled as error:
        raise LabError(
            f"{graph.number(node.key)} {node.task} is to be sent as {serializer!r}, which is not installed here. "
            "Install it, or use another serializer: json, pickle, yaml, msgpack."
        ) from error
    except EncodeError as error:
        raise LabError(
            f"the arguments of {graph.number(node.key)} {node.task} cannot be sent as {serializer}: {error}. "
            "Send what JSON knows: numbers, text, lists, dicts; list(…) for a range, a set or a generator."
        ) from error


# --- options, and the calls that are sent first -------------------------------------------------------------


def _check_options(part: Signature) -> None:
    """Raise ``LabError`` for options that cannot be sent."""
    for name in {"args", "kwargs"} & part.options.keys():
        try:  # Celery gives the options to apply_async behind both
            raise TypeError(f"apply_async() got multiple values for argument {name!r}")
        except TypeError as error:
            raise LabError(refusal(error, part.task)) from error
    for name, value in part.options.items():
        if value is None or name in _OWN_OPTIONS or (type(value) in _PLAIN and name != "headers"):
            continue
        try:
            json.dumps(dict(value) if name == "headers" else value)
        except Exception as error:  # whatever an object does when it is encoded
            raise LabError(refusal(error, f"{part.task} with the option {name!r}")) from error
    if name := part.options.get("compression"):
        try:
            compression.get_encoder(name)
        except KeyError as error:
            raise LabError(f"{part.task} is to be compressed by {name!r}, which kombu does not know.") from error


def _check_start(node: Node, app: Celery, *, complete: bool) -> None:
    """Raise what Celery would when it sends this call, which may be at the head of others that are out by then.

    (``celery/app/task.py: apply_async``, ``celery/app/base.py: send_task``, ``celery/app/amqp.py: as_task_v2``.)
    ``complete`` tells whether its arguments are all there.
    """
    task, args, kwargs = app._tasks.get(node.task), node.args, node.kwargs
    if complete and task is not None and node.task not in canvas.BUILT_IN and _plainly_sent(task):
        task.__header__(*args, **kwargs)
    options: Mapping[str, Any] = {**({"expires": task.expires} if task is not None else {}), **node.options}
    times = {name: options[name] for name in ("countdown", "eta", "expires") if options.get(name) is not None}
    if not times:
        return
    app.amqp.create_task_message("", node.task, **times)
    expires = times.get("expires", 0)
    if isinstance(expires, str | datetime):
        maybe_iso8601(expires)
    else:
        bool(expires < 0)  # what has no order with numbers raises


def _plainly_sent(task: Any) -> bool:
    """Whether Celery compares the arguments with the task's: not with ``typing=False``, nor before its own sending."""
    return bool(task.typing) and task.__class__.apply_async is Task.apply_async


def _unregistered(number: str, name: str, names: Collection[str]) -> str:
    known = sorted(each for each in names if not each.startswith("celery."))
    alike = [each for each in known if each.rpartition(".")[2] == name.rpartition(".")[2]]
    hint = f"Did you mean {alike[0]!r}?" if alike else f"Registered are: {', '.join(known[:12]) or 'none'}."
    return (
        f"{number}: no task {name!r} is registered with this app. {hint} Run the cell that defines it first; "
        "to send it for a worker elsewhere, use labkit.run(…, check=False)."
    )


def refusal(error: BaseException, what: str = "this canvas") -> str:
    """What Celery's refusal to send ``what`` means, and what to do.

    >>> refusal(TypeError("add() missing 1 required positional argument: 'y'"), "#1 tasks.add")
    "Celery refuses to send #1 tasks.add: TypeError: add() missing 1 required positional argument: 'y'"
    """
    text = f"{type(error).__name__}: {error}".strip()
    if isinstance(error, OperationalError):
        return f"the broker does not answer ({text}). Call labkit.stop(), then labkit.start()."
    return f"Celery refuses to send {what}: {text}"


# --- what was sent all the same -----------------------------------------------------------------------------


def sent_before(recording: Recording, error: BaseException) -> list[str]:
    """The ids of the messages that went out before Celery refused the rest of a canvas with ``error``.

    What would have been sent with them, and was not, is marked in the recording's plan, if anything was sent.
    """
    facts = [fact for fact in recording.facts if fact["kind"] in ("published", "unsent")]
    last = {fact["id"]: fact["kind"] for fact in facts}
    sent = [id for id, kind in last.items() if kind == "published"]
    for node in starting(recording.plan) if sent else ():
        if last.get(node.id or "") != "published":
            node.state, node.reason = "never ran", f"it was not sent: {type(error).__name__}: {error}"
    return sent


def half_way(graph: Graph, sent: Sequence[str]) -> str:
    """What to say of the messages with these ids that had been sent, behind the `refusal`; nothing if there is none."""
    if not sent:
        return ""
    numbers = ", ".join(graph.number(node.key) for id in sent[:5] for node in graph.by_id(id))
    more = f" and {len(sent) - 5} more" if len(sent) > 5 else ""
    return f" — but {numbers}{more} had been sent by then, and will run: labkit.draw(lab.cut_short) shows it."
