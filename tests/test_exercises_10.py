"""The exercises of lesson 10: what is accepted, and what each plausible slip is told."""

import json
import threading
from collections.abc import Callable
from typing import Any, ClassVar

import pytest
from celery import chain, chord, group
from celery.result import AsyncResult, GroupResult, result_from_tuple

import labkit
import tasks
from labkit.graph import Graph
from tasks import add, ident, mul, sub, xsum
from tests.banks import Bank, raises

Answer = Callable[..., Any]


pytestmark = pytest.mark.usefixtures("lesson_lab", "elsewhere")


# --- 10.1 put in order ----------------------------------------------------------------------------------------

RIGHT_1: dict[str, Any] = {"solution": ["C", "D", "B", "A", "E"], "tuple": tuple("CDBAE"), "one string": "cdbae"}
WRONG_1: dict[str, tuple[Any, str]] = {
    "alphabet": (["A", "B", "C", "D", "E"], "first step has all its arguments"),
    "the sum first": (["B", "D", "E", "A", "C"], "first step has all its arguments"),
    "the groups exchanged": (["C", "A", "B", "D", "E"], "the graph has these arrows"),
    "both groups at once": (["C", "D", "A", "B", "E"], "the graph has these arrows"),
    "both joins at once": (["C", "D", "B", "E", "A"], "the graph has these arrows"),
    "a join before the group": (["C", "B", "D", "E", "A"], "the graph has these arrows"),
    "a list to add to": (["C", "D", "E", "A", "B"], "every step succeeds"),
    "one missing": (["C", "D", "B", "A"], "each piece is used once"),
    "one twice": (["C", "D", "B", "A", "B"], "each piece is used once"),
    "nothing": ([], "each piece is used once"),
    "the chain itself": (chain(add.s(2, 2), mul.s(3)), "list of letters"),
    "the numbers of nodes": ([1, 2, 3], "list of letters"),
    "the pieces": ([add.s(2, 2), xsum.s()], "list of letters"),
    "a function": (raises, "list of letters"),
}

# --- 10.2 fill in ---------------------------------------------------------------------------------------------


def who_gets_it(graph: Graph, number: str) -> list[str]:
    key = graph.node(number).key
    return [graph.number(edge.target) for edge in graph.task_edges() if edge.source == key and edge.passes_value]


def by_a_loop(graph: Graph, number: str) -> set[str]:
    found = set()
    for edge in graph.task_edges():
        if graph.number(edge.source) == number and edge.passes_value:
            found.add(graph.number(edge.target))
    return found


def by_a_dict(graph: Graph, number: str) -> tuple[str, ...]:
    after: dict[str, list[str]] = {}
    for edge in graph.task_edges():
        if edge.passes_value:
            after.setdefault(graph.number(edge.source), []).append(graph.number(edge.target))
    return tuple(after.get(number, ()))


def edges_where(holds: Callable[[Any, str, Graph], bool]) -> Answer:
    def answer(graph: Graph, number: str) -> list[str]:
        key = graph.node(number).key
        return [graph.number(edge.target) for edge in graph.task_edges() if holds(edge, key, graph)]

    return answer


RIGHT_2: dict[str, Answer] = {"solution": who_gets_it, "a loop, as a set": by_a_loop, "a dict, as a tuple": by_a_dict}
WRONG_2: dict[str, tuple[Any, str]] = {
    "skeleton": (lambda graph, number: [graph.node(...).key], "there is no answer yet"),
    "half filled": (edges_where(lambda edge, key, _: edge.source == key and bool(...)), "who gets the value"),
    "the result of Ellipsis": (lambda graph, number: ..., "there is no answer yet"),
    "all arrows from it": (edges_where(lambda edge, key, _: edge.source == key), "gets the value of #1 add"),
    "all that pass a value": (edges_where(lambda edge, key, _: edge.passes_value), "gets the value of #1 add"),
    "the other way round": (
        lambda graph, number: [
            graph.number(edge.source) for edge in graph.task_edges() if edge.target == graph.node(number).key
        ],
        "gets the value of #1 add",
    ),
    "only arrows of the kind result": (
        edges_where(lambda edge, key, _: edge.source == key and edge.kind == "result"),
        "gets the value of #1 add",
    ),
    "arrows that are not of the kind order": (
        edges_where(lambda edge, key, _: edge.source == key and edge.kind != "order"),
        "gets the value of #1 fail",
    ),
    "a number laid against a key": (
        lambda graph, number: [
            graph.number(edge.target) for edge in graph.task_edges() if edge.source == number and edge.passes_value
        ],
        "gets the value of #1 add",
    ),
    "keys": (
        lambda graph, number: [e.target for e in graph.task_edges() if e.source == graph.node(number).key],
        "gets the value of #1 add",
    ),
    "the frames' arrows": (
        lambda graph, number: [graph.number(e.target) for e in graph.edges if e.source == graph.node(number).key],
        "gets the value of #1 add",
    ),
    "everything that comes later": (
        lambda graph, number: [f"#{n}" for n in range(int(number[1:]) + 1, len(graph.nodes) + 1)],
        "gets the value of #1 add",
    ),
    "the next one": (lambda graph, number: [f"#{int(number[1:]) + 1}"], "gets the value of #1 add"),
    "the edges": (lambda graph, number: list(graph.task_edges()), "a list of numbers"),
    "one text": (lambda graph, number: "#2", "a list of numbers"),
    "one parameter": (lambda graph: [], "raises no error"),
    "no return": (lambda graph, number: None, "a list of numbers"),
    "nobody": (lambda graph, number: [], "gets the value of #1 add"),
}

# --- 10.3 write -----------------------------------------------------------------------------------------------


def headers(graph: Graph) -> list[Any]:
    return [node for node in graph.nodes.values() if node.role == "header"]


def latest(name: str, choose: Callable[[Graph], list[Any]] = headers) -> Answer:
    return lambda graph: graph.number(max(choose(graph), key=lambda node: getattr(node, name)).key)


def longest(graph: Graph) -> str:
    return graph.number(max(headers(graph), key=lambda node: node.finished - node.started).key)


def sorted_by_end(graph: Graph) -> str:
    into = [edge.source for edge in graph.task_edges() if graph.nodes[edge.target].role == "body"]
    return graph.number(sorted(into, key=lambda key: graph.nodes[key].finished or 0)[-1])


RIGHT_3: dict[str, Answer] = {"solution": latest("finished"), "by the arrows into the body": sorted_by_end}
WRONG_3: dict[str, tuple[Any, str]] = {
    "skeleton": (lambda graph: ..., "there is no answer yet"),
    "the longest": (longest, "ended last"),
    "the last to start": (latest("started"), "ended last"),
    "the first to end": (
        lambda graph: graph.number(min(headers(graph), key=lambda node: node.finished).key),
        "ended last",
    ),
    "the last one written": (lambda graph: graph.number(headers(graph)[-1].key), "ended last"),
    "the first one written": (lambda graph: graph.number(headers(graph)[0].key), "ended last"),
    "the last of all": (latest("finished", lambda graph: list(graph.nodes.values())), "names a header"),
    "a key": (lambda graph: max(headers(graph), key=lambda node: node.finished).key, "the number of a node"),
    "the node": (lambda graph: max(headers(graph), key=lambda node: node.finished), "the number of a node"),
    "its task": (lambda graph: "tasks.slow", "the number of a node"),
    "the time": (lambda graph: max(node.finished for node in headers(graph)), "the number of a node"),
    "a whole number": (lambda graph: 2, "the number of a node"),
    "always the second": (lambda graph: "#2", "ended last"),
    "a role that there is not": (latest("finished", lambda graph: []), "raises no error"),
    "a list": (lambda graph: [sorted_by_end(graph)], "the number of a node"),
    "no return": (lambda graph: None, "the number of a node"),
}

# --- 10.4 repair ----------------------------------------------------------------------------------------------


def first_of(result: Any) -> Any:
    while result.parent is not None:
        result = result.parent
    return result


def as_it_was(result: Any) -> list[str]:
    return [each.id for each in first_of(result).graph]


def all_ids(result: Any) -> list[str]:
    ids = []
    while result is not None:
        ids += [each.id for each in getattr(result, "results", [result])]
        result = result.parent
    return ids


def by_recursion(result: Any) -> list[str]:
    if result is None:
        return []
    own = [each.id for each in result.results] if isinstance(result, GroupResult) else [result.id]
    return by_recursion(result.parent) + own


def by_the_lab(result: Any) -> set[Any]:
    return {node.id for node in labkit.draw(result).graph.nodes.values()}


def with_the_body(result: Any) -> list[str]:
    return [*as_it_was(result), result.id]


def without_members(result: Any) -> list[str]:
    ids = []
    while result is not None:
        ids.append(result.id)
        result = result.parent
    return ids


def with_groups(result: Any) -> list[str]:
    ids = []
    while result is not None:
        ids += [result.id, *(each.id for each in getattr(result, "results", []))]
        result = result.parent
    return list(dict.fromkeys(ids))


def with_graphs(result: Any) -> list[str]:
    """Each result on the way and all below it: what is below is noted more than once."""
    ids: list[str] = []
    while result is not None:
        for each in getattr(result, "results", [result]):
            ids += [node.id for node in each.graph if not isinstance(node, GroupResult)]
        result = result.parent
    return ids


RIGHT_4: dict[str, Answer] = {"solution": all_ids, "by recursion": by_recursion, "what the lab knows": by_the_lab}
WRONG_4: dict[str, tuple[Any, str]] = {
    "as it was": (as_it_was, "finds all tasks"),
    "the last result's graph": (lambda result: [each.id for each in result.graph], "finds all tasks"),
    "and the result itself": (with_the_body, "finds all tasks"),
    "parents without members": (without_members, "finds all tasks"),
    "groups too": (with_groups, "ids of tasks only"),
    "some twice": (with_graphs, "each id once"),
    "only children": (lambda result: [each.id for each in result.children or []], "finds all tasks"),
    "results": (lambda result: list(first_of(result).graph), "a list of ids"),
    "one id": (lambda result: result.id, "a list of ids"),
    "numbers": (lambda result: ["#1", "#2", "#3", "#4", "#5"], "finds all tasks"),
    "the values": (lambda result: result.get(), "a list of ids"),
    "no return": (lambda result: None, "a list of ids"),
    "nothing": (lambda result: [], "finds all tasks"),
    "skeleton": (lambda result: ..., "there is no answer yet"),
}

# --- 10.5 meet a constraint -----------------------------------------------------------------------------------


@tasks.app.task(name="tests.total_of")
def total_of(numbers: list[int], more: int = 0) -> int:
    return sum(numbers) + more


def halves(numbers: list[int]) -> Any:
    if len(numbers) == 2:
        return add.s(*numbers)
    half = len(numbers) // 2
    return chord([halves(numbers[:half]), halves(numbers[half:])], xsum.s())


def level_by_level(numbers: list[int]) -> Any:
    level: list[Any] = [xsum.s([a, b]) for a, b in zip(numbers[::2], numbers[1::2], strict=True)]
    while len(level) > 1:
        level = [group(a, b) | xsum.s() for a, b in zip(level[::2], level[1::2], strict=True)]
    return level[0]


def in_a_row(numbers: list[int]) -> Any:
    first, second, *rest = numbers
    return chain(add.s(first, second), *map(add.s, rest))


def one_join(numbers: list[int]) -> Any:
    pairs = [add.s(a, b) for a, b in zip(numbers[::2], numbers[1::2], strict=True)]
    return pairs[0] if len(pairs) == 1 else chord(pairs, xsum.s())


def leaves(numbers: list[int]) -> Any:
    if len(numbers) == 1:
        return ident.s(numbers[0])
    half = len(numbers) // 2
    return chord([leaves(numbers[:half]), leaves(numbers[half:])], xsum.s())


def half_in_a_row(numbers: list[int]) -> Any:
    """Pairs side by side, then one after the other."""
    if len(numbers) <= 4:
        return halves(numbers)
    return chord([in_a_row(numbers[:4]), in_a_row(numbers[4:])], xsum.s())


def known_beforehand(numbers: list[int]) -> Any:
    half = len(numbers) // 2
    return add.s(sum(numbers[:half]), sum(numbers[half:]))


RIGHT_5: dict[str, Answer] = {"solution": halves, "level by level, with pipes": level_by_level}
WRONG_5: dict[str, tuple[Any, str]] = {
    "skeleton": (lambda numbers: ..., "there is no answer yet"),
    "one task for all": (lambda numbers: xsum.s(numbers), "no task adds more than two"),
    "one chord": (lambda n: chord([ident.s(each) for each in n], xsum.s()), "no task adds more than two"),
    "pairs and one join": (one_join, "no task adds more than two"),
    "a chain": (in_a_row, "the longest row is 2"),
    "two short chains": (half_in_a_row, "the longest row is 3"),
    "a task for each number": (leaves, "4 numbers are 3 additions"),
    "added up here": (known_beforehand, "each number travels"),
    "a pair is lost": (lambda numbers: halves(numbers[: len(numbers) // 2 + 1][:2]), "the value is right"),
    "multiplied": (lambda numbers: chord([mul.s(*numbers[:2]), add.s(*numbers[2:4])], xsum.s()), "value is right"),
    "no join": (lambda n: group(add.s(*n[:2]), add.s(*n[2:])) if len(n) > 2 else add.s(*n), "the value is right"),
    "add as body": (lambda n: chord([add.s(*n[:2]), add.s(*n[2:4])], add.s()), "the value is right"),
    "only four": (lambda n: chord([add.s(*n[:2]), add.s(*n[2:4])], xsum.s()), "the value is right"),
    "starmap": (
        lambda n: add.starmap(list(zip(n[::2], n[1::2], strict=True))) | xsum.s(),
        "no task adds more than two",
    ),
    "hidden in an option": (lambda n: total_of.s(n[:1], more=sum(n[1:])), "each number travels"),
    "called here": (lambda numbers: xsum(numbers), "gives a signature"),
    "sent already": (lambda n: chord([add.s(*n[:2]), add.s(*n[2:4])])(xsum.s()), "gives a signature"),
    "no return": (lambda numbers: None, "gives a signature"),
    "a constant": (lambda numbers: sub.s(9, 3), "the value is right"),
}


def never_moves(result: Any) -> Any:
    first = result
    while first.parent is not None:
        result = first.parent  # the slip: first never moves
    return result


class TestExercises(Bank):
    """Right and wrong answers."""

    answers: ClassVar = {
        "10.1": (RIGHT_1, WRONG_1),
        "10.2": (RIGHT_2, WRONG_2),
        "10.3": (RIGHT_3, WRONG_3),
        "10.4": (RIGHT_4, WRONG_4),
        "10.5": (RIGHT_5, WRONG_5),
    }
    number = 60
    endless = ("10.4", never_moves, "building comes to an end")
    solution = ("10.5", halves)


def test_the_broken_function_of_the_lesson_is_told_the_same_each_time() -> None:
    told = {repr(labkit.check("10.4", as_it_was)) for _ in range(2)}
    assert len(told) == 1
    assert "#4 xsum, #5 sub" in told.pop()


class TestWhatTheLessonSaysOfCelerysGraph:
    """Facts that the lesson tells in a sentence."""

    def test_two_equal_labels_are_one_node(self) -> None:
        import io

        from celery.utils.graph import GraphFormatter

        class Same(GraphFormatter):
            def label(self, obj: Any) -> str:
                return "same"

        run = labkit.run(add.s(1, 1) | mul.s(2))
        run.wait(timeout=10)
        text = io.StringIO()
        graph = run.result.parent.graph
        assert graph.to_dot(text, formatter=Same()) is None
        assert len(graph) == 2
        assert sum('"same" [' in line and "->" not in line for line in text.getvalue().splitlines()) == 1

    def test_the_body_is_sent_when_the_children_of_the_last_header_are_stored(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The header notes it as its child, too late."""
        backend = type(tasks.app.backend)
        joins, over = backend.on_chord_part_return, threading.Event()
        found: dict[str, list[str]] = {}

        def join(self: Any, request: Any, *args: Any, **kwargs: Any) -> Any:
            joined = joins(self, request, *args, **kwargs)
            if request.children:
                found["noted"] = [child.id for child in request.children]
                found["stored"] = [child.id for child in AsyncResult(request.id).children or ()]
                over.set()
            return joined

        monkeypatch.setattr(backend, "on_chord_part_return", join)
        run = labkit.run(chord([add.s(1, 1), add.s(2, 2)], xsum.s()))
        run.wait(timeout=10)
        assert over.wait(5)
        assert found == {"noted": [run.result.id], "stored": []}

    def test_the_walk_back_from_the_tuple_finds_all_but_what_follows_a_first_chord(self) -> None:
        two = [add.s(1, 1), add.s(2, 2)]
        for flow, missed in (
            (add.s(1, 1) | group(mul.s(2), mul.s(3)) | xsum.s() | sub.s(1), []),
            (chord(two, xsum.s()), []),
            (chord(two, xsum.s()) | mul.s(2) | sub.s(1), ["#3", "#4"]),
            (add.s(1, 1).set(link=[mul.s(2)]), ["#2"]),
        ):
            run = labkit.run(flow)
            run.wait(timeout=10)
            found = all_ids(result_from_tuple(json.loads(json.dumps(run.result.as_tuple()))))
            assert [run.graph.number(key) for key, node in run.graph.nodes.items() if node.id not in found] == missed

    def test_a_recording_shows_itself(self) -> None:
        run = labkit.run(add.s(1, 1) | mul.s(2))
        run.wait(timeout=10)
        run.save("run.json")
        shown = labkit.load("run.json")._repr_mimebundle_()
        assert shown["text/plain"] == labkit.draw(run).text
        assert set(shown) == {"image/svg+xml", "text/plain"}
