"""Small changes that make the code wrong. Each is to turn the tests named beside it red."""

from dataclasses import dataclass
from typing import Final

CONFORMANCE: Final = ("tests/test_conformance.py",)
LAB: Final = "tests/test_lab.py"
AFTERWARDS: Final = (f"{LAB}::test_afterwards_app_and_process_are_as_they_were",)


@dataclass(frozen=True)
class Sabotage:
    """In ``file`` the text ``old``, which is there exactly once, becomes ``new``; ``tests`` are to notice."""

    what: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...] = CONFORMANCE


SABOTAGES: Final = (
    # --- the plan
    Sabotage(
        "a chord's body hangs on its first header only",
        "labkit/plan.py",
        "after = Entry(sources) if header.last",
        "after = Entry(sources[:1]) if header.last",
    ),
    Sabotage(
        "ids are lost on the way from the plan to what is sent",
        "labkit/plan.py",
        'sig.options["task_id"] = options["task_id"] = options.get',
        'options["task_id"] = options.get',
    ),
    Sabotage(
        "the signature is not copied before it is planned",
        "labkit/plan.py",
        "signature = canvas.copy(thing.group() if alone else thing)",
        "signature = canvas.as_signature(thing.group() if alone else thing)",
    ),
    Sabotage(
        "the members of a group are not copied",
        "labkit/canvas.py",
        'copies = [copy(part, f"step {n} of the {where}") for n, part in enumerate(parts, 1)]',
        'copies = [as_signature(part, f"step {n} of the {where}") for n, part in enumerate(parts, 1)]',
    ),
    Sabotage(
        "errbacks are not planned",
        "labkit/plan.py",
        'for errback in canvas.links(options, "link_error"):',
        'for errback in canvas.links(options, "linkerror"):',
    ),
    Sabotage(
        "callbacks are not planned",
        "labkit/plan.py",
        'enumerate(canvas.links(options, "link")):',
        'enumerate(canvas.links(options, "links")):',
    ),
    Sabotage(
        "an immutable step is said to get a value",
        "labkit/plan.py",
        "passes = entry.passes and not sig.immutable",
        "passes = entry.passes",
    ),
    Sabotage(
        "a group of one stays a group",
        "labkit/canvas.py",
        "not isinstance(step.tasks, _regen) and len(step.tasks) == 1:",
        "not isinstance(step.tasks, _regen) and len(step.tasks) == 0:",
        ("tests/test_canvas.py",),
    ),
    # --- what happened
    Sabotage(
        "succeeded and failed are swapped",
        "labkit/happened.py",
        'node.state, node.value, node.error = "succeeded", fact["value"], None',
        'node.state, node.value, node.error = "failed", fact["value"], None',
    ),
    Sabotage(
        "facts are folded in the order of their arrival",
        "labkit/happened.py",
        'ordered.sort(key=itemgetter("at"))',
        "ordered = list(facts)",
    ),
    Sabotage(
        "why a task never ran is forgotten",
        "labkit/ghosts.py",
        'node.state, node.reason = "never ran", reason',
        'node.state = "never ran"',
    ),
    Sabotage(
        "what can no longer run stays planned",
        "labkit/happened.py",
        "    conclude(graph)\n    _items(graph)",
        "    _items(graph)",
    ),
    Sabotage(
        "attempts are not kept",
        "labkit/happened.py",
        'node.attempts.append(Attempt(when=fact["at"], slot=slot_name(fact) or None))',
        'node.attempts = [Attempt(when=fact["at"])]',
    ),
    Sabotage(
        "an errback's message is taken for an equal callback's",
        "labkit/places.py",
        'return errback == (edge.kind == "errback")',
        "return True",
    ),
    Sabotage(
        "a revoke counts for the first run of the body",
        "labkit/listen.py",
        '"revoked", request.id, retries=request.retries or 0, nesting=nesting, why=why',
        '"revoked", request.id, nesting=nesting, why=why',
    ),
    Sabotage(
        "an inline errback is not shown",
        "labkit/happened.py",
        "        _inline(grower, fact)\n",
        "        pass\n",
    ),
    Sabotage(
        "a replacement does not take over what came after the replaced task",
        "labkit/grow.py",
        "self._take_over(owner, node)\n",
        "pass\n",
    ),
    Sabotage(
        "a message sent by a task is not put below it",
        "labkit/grow.py",
        "owner = next((node for node in reversed(parents) if self._depth(node) < nesting), parents[-1])",
        "owner = None",
    ),
    Sabotage(
        "a chord that a task sends loses all headers but one",
        "labkit/grow.py",
        "        if not ends or not id:\n",
        "        if not ends or not id or place in self._bodies:\n",
    ),
    # --- what is heard and kept
    Sabotage(
        "calls of inline errbacks are not watched",
        "labkit/listen.py",
        "Backend._call_task_errbacks = call_task_errbacks",
        "pass",
    ),
    Sabotage(
        "the chain in a message is not heard",
        "labkit/listen.py",
        "chain=_light(chain),",
        "chain=None,",
    ),
    Sabotage(
        "the group in a message is not heard",
        "labkit/listen.py",
        'group=headers.get("group"),',
        "group=None,",
    ),
    Sabotage(
        "the last fact is not saved",
        "labkit/record.py",
        '"facts": _plain(self.facts)',
        '"facts": _plain(self.facts[:-1])',
    ),
    Sabotage(
        "the reason of a retry is not heard",
        "labkit/listen.py",
        '"retried", request.id',
        '"received", request.id',
    ),
    # --- what is shown
    Sabotage(
        "control characters are not spelt out",
        "labkit/labels.py",
        'return text if text.isprintable() else "".join(map(_visible, text))',
        "return text",
        ("tests/test_labels.py", "tests/test_dot.py"),
    ),
    Sabotage(
        "a call is not escaped in DOT",
        "labkit/dot.py",
        "look.text) + escape(",
        "look.text) + str(",
        ("tests/test_draw.py",),
    ),
    Sabotage(
        "a tooltip is not escaped in SVG",
        "labkit/draw.py",
        "<title>{escape(tip, quote=False)}</title>",
        "<title>{tip}</title>",
        ("tests/test_draw.py",),
    ),
    Sabotage(
        "numbers are off by one",
        "labkit/graph.py",
        "for place, each in enumerate(self.nodes, 1)}",
        "for place, each in enumerate(self.nodes)}",
        ("tests/test_text.py", "tests/test_labels.py"),
    ),
    Sabotage(
        "nine siblings are not folded",
        "labkit/stacks.py",
        "SIBLINGS: Final = 8",
        "SIBLINGS: Final = 9",
        ("tests/test_stacks.py",),
    ),
    Sabotage(
        "the tree's last branch looks like the others",
        "labkit/text.py",
        'yield ("└─ " if last else "├─ ")',
        'yield ("├─ " if last else "├─ ")',
        ("tests/test_text.py",),
    ),
    Sabotage(
        "two tasks at once share a slot of the timeline",
        "labkit/timeline.py",
        "while busy and busy[0][0] <= bar.started:",
        "while busy:",
        ("tests/test_timeline.py",),
    ),
    Sabotage(
        "a body behind a header that replaced itself stands in its frame",
        "labkit/stacks.py",
        "or (planned and source in nodes and not nodes[source].planned)",
        "",
        ("tests/test_stacks.py",),
    ),
    Sabotage(
        "equal errbacks of one group are one",
        "labkit/errbacks.py",
        "place = alike[look, groups.get(node.key)]",
        "place = 0",
        ("tests/test_stacks.py",),
    ),
    Sabotage(
        "a run that ends while its view is made is not told to its end",
        "labkit/view/widget.py",
        "if recording.over.is_set() and self._feed.told == len(recording.facts):",
        "if recording.over.is_set():",
        ("tests/test_view.py::TestFeed::test_a_run_that_ends_while_its_view_is_made_is_told_to_its_end",),
    ),
    # --- the lab
    Sabotage(
        "a closed gate holds nothing",
        "labkit/gate.py",
        "            if self.closed:\n",
        "            if False:\n",
        ("tests/test_gate.py",),
    ),
    Sabotage(
        "what is printed is not given back",
        "labkit/guest.py",
        "                setattr(sys, name, original)\n",
        "                pass\n",
        ("tests/test_guest.py",),
    ),
    Sabotage(
        "the kernel may not wait for results",
        "labkit/guest.py",
        "        _state._set_task_join_will_block(False)\n",
        "        pass\n",
        ("tests/test_guest.py",),
    ),
    Sabotage(
        "the broker is not stopped",
        "labkit/lab.py",
        "                self._stack.append(self.broker.stop)\n",
        "                pass\n",
        AFTERWARDS,
    ),
    Sabotage(
        "the app is not given back",
        "labkit/borrow.py",
        "                app.conf.changes.pop(name, None)\n",
        "                pass\n",
        AFTERWARDS,
    ),
    Sabotage(
        "a task defined in a cell is not taught to the worker",
        "labkit/worker.py",
        "            if task is not known and app is self.app:\n",
        "            if False:\n",
        (f"{LAB}::test_what_is_defined_last_is_what_runs",),
    ),
    Sabotage(
        "unregistered tasks are sent",
        "labkit/sending.py",
        'if node.role != "map" and node.task not in app._tasks:',
        "if False:",
        (f"{LAB}::test_a_task_that_is_not_registered",),
    ),
    Sabotage(
        "the server is not ended with its process",
        "labkit/_guardian.py",
        "        os.kill(server, signal.SIGKILL)\n        os.waitpid(server, 0)\n",
        "",
        ("tests/test_broker.py",),
    ),
    Sabotage(
        "a queue is shown last in first out",
        "labkit/queues.py",
        "for raw in reversed(client.lrange(key, 0, -1))]",
        "for raw in client.lrange(key, 0, -1)]",
        ("tests/test_queues.py",),
    ),
    Sabotage(
        "what an interrupted canvas had sent is forgotten",
        "labkit/lab.py",
        "except BaseException as error:",
        "except Exception as error:",
        ("tests/test_sending.py::test_what_was_sent_before_it_was_interrupted_is_there_to_see",),
    ),
    Sabotage(
        "a message that is not JSON hides the whole queue",
        "labkit/queues.py",
        'if envelope.get("content-type", _JSON) != _JSON:',
        "if False:",
        ("tests/test_queues.py::test_of_a_message_in_another_format_only_the_headers_are_read",),
    ),
    # --- replacements, calls in a body, copies
    Sabotage(
        "the last step behind a chord that replaces a task is taken for that task",
        "labkit/facts.py",
        "depth = top.get(id, 0) + 1",
        "depth = top.get(id, 0)",
    ),
    Sabotage(
        "a message that could not be sent counts as sent",
        "labkit/facts.py",
        "left[place] = None",
        "pass",
    ),
    Sabotage(
        "the links of a replacement are lost",
        "labkit/replacements.py",
        "own[name] = [each for each in every if _call(each) not in map(_call, theirs or ())]",
        "own[name] = []",
    ),
    Sabotage(
        "a replacement that was swallowed is not told from its task",
        "labkit/replacements.py",
        "return bool(node.id and (node.id, self._depth(node)) in self.went_on)",
        "return False",
    ),
    Sabotage(
        "a body waits for itself",
        "labkit/ghosts.py",
        "if key in graph.nodes and key != waiting.key]",
        "if key in graph.nodes]",
    ),
    Sabotage(
        "a call in a body counts as a run of its own",
        "labkit/listen.py",
        "        if request.is_eager:\n",
        "        if False:\n",
    ),
    Sabotage(
        "a Retry raised by hand counts as one that is sent",
        "labkit/listen.py",
        "if self._sent_again(request.id):",
        "if True:",
    ),
    Sabotage(
        "a bare errback is put into a list",
        "labkit/canvas.py",
        "if listed else copy(given, what)",
        "if listed else [copy(given, what)]",
        ("tests/test_canvas.py",),
    ),
    Sabotage(
        "two calls with one id are sent",
        "labkit/sending.py",
        "    _check_ids(graph)\n",
        "",
        ("tests/test_sending.py",),
    ),
)
