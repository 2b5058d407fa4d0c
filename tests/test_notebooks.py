"""The gate: what nbval does not see. A saved lesson is one clean run, loosens nothing, tells nothing of a machine.

The appendix (90) is held to the same: what only lessons have, exercises, is checked by their own tests.
"""

import re
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, Final

import nbformat
import pytest
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

NOTEBOOKS: Final = Path(__file__).parents[1] / "notebooks"
LESSONS: Final = sorted(NOTEBOOKS.glob("*.ipynb"))
Rule = Callable[[NotebookNode], Iterator[str]]

MACHINE_PATH: Final = re.compile(
    r"(?<![\w.])(?:/(?:root|home|tmp|work|Users|private|usr/local|usr/lib|opt|var/folders)|~/[\w.-]+/[\w.-]+|[A-Z]:\\Users)[/\\]?[\w.-]+"
)
# The two that everybody has, and the shape of any other: a folder `simple` behind an address.
REGISTRY: Final = re.compile(r"pythonhosted\.org|\bpypi\.org|registry\.npmjs\.org|https?://[^\s\"'<>]+/simple\b")
ADDRESS: Final = re.compile(r"\bat 0x[0-9a-f]{6,}\b")
UUID: Final = re.compile(r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b")
NO_ALT: Final = re.compile(r"!\[\s*\]|<img(?![^>]*\balt\s*=\s*[\"'][^\"']+)[^>]*>", re.IGNORECASE)
COLOUR: Final = re.compile(r"\x1b\[[0-9;]*m")
WIDGET_VIEW: Final = "application/vnd.jupyter.widget-view+json"
#: How each pitfall begins: `> **Pitfall · title** (P37)`, and in the brackets its numbers, or whence it is.
PITFALL: Final = re.compile(r"^> \*\*Pitfall · (?P<title>\S.*?)\*\* \((?P<source>[^()]+)\)$", re.MULTILINE)
NUMBERS: Final = re.compile(r"P\d+(?:, P\d+)*")
INDEX_HEAD: Final = ["| Number | Title | Lesson |", "|---|---|---|"]


def code_cells(notebook: NotebookNode) -> list[NotebookNode]:
    """Code cells with something in them: the others never get a number."""
    return [cell for cell in notebook.cells if cell.cell_type == "code" and cell.source.strip()]


def prose(notebook: NotebookNode) -> list[str]:
    return [cell.source for cell in notebook.cells if cell.cell_type == "markdown"]


def shown(output: NotebookNode) -> str:
    """What a reader sees of an output, as text; of an error the last line."""
    if output.output_type == "stream":
        return str(output.text)
    if output.output_type == "error":
        return f"{output.ename}: {output.evalue}"
    readable = (value for mime, value in output.data.items() if mime.startswith("text/") or mime.endswith("svg+xml"))
    return "\n".join(str(value) for value in readable)


def outputs(notebook: NotebookNode) -> Iterator[tuple[str, NotebookNode]]:
    """Each output of the lesson, with the name of its cell."""
    for number, cell in enumerate(code_cells(notebook), 1):
        for output in cell.outputs:
            yield f"code cell {number}", output


def one_run_from_top_to_bottom(notebook: NotebookNode) -> Iterator[str]:
    counts = [cell.execution_count for cell in code_cells(notebook)]
    if not counts or counts != list(range(1, len(counts) + 1)):
        yield f"execution counts: {counts}"


def nothing_is_loosened(notebook: NotebookNode) -> Iterator[str]:
    for number, cell in enumerate(code_cells(notebook), 1):
        tags = [tag for tag in cell.metadata.get("tags", []) if tag.startswith(("nbval-", "skip"))]
        if tags or "NBVAL_" in cell.source:
            yield f"code cell {number}: {tags or 'an NBVAL_ comment'}"


def an_error_is_stored_exactly_where_one_is_announced(notebook: NotebookNode) -> Iterator[str]:
    for number, cell in enumerate(code_cells(notebook), 1):
        failed = any(output.output_type == "error" for output in cell.outputs)
        if failed != ("raises-exception" in cell.metadata.get("tags", [])):
            yield f"code cell {number}: {'an error without' if failed else 'no error, but'} the tag raises-exception"


def nothing_of_this_machine(notebook: NotebookNode) -> Iterator[str]:
    texts = [(f"cell {number}", cell.source) for number, cell in enumerate(notebook.cells, 1)]
    for where, output in outputs(notebook):
        texts.append((f"output of {where}", shown(output)))
        texts.append((f"traceback of {where}", COLOUR.sub("", "\n".join(output.get("traceback", [])))))
    for where, text in texts:
        for pattern in (MACHINE_PATH, REGISTRY):
            if found := pattern.search(text):
                yield f"{where}: {found.group()}"


def no_address_of_an_object(notebook: NotebookNode) -> Iterator[str]:
    for where, output in outputs(notebook):
        if found := ADDRESS.search(shown(output)):
            yield f"{where}: {found.group()}"


def no_noise_of_ids(notebook: NotebookNode) -> Iterator[str]:
    for where, output in outputs(notebook):
        number = len(UUID.findall(shown(output)))
        if output.output_type != "error" and number > 3:
            yield f"{where}: {number} UUIDs"


def kernel_is_python3(notebook: NotebookNode) -> Iterator[str]:
    name = notebook.metadata.get("kernelspec", {}).get("name")
    if name != "python3":
        yield f"kernelspec is {name!r}: JupyterLab will ask for a kernel"


def pictures_have_alt_text(notebook: NotebookNode) -> Iterator[str]:
    for text in prose(notebook):
        for found in NO_ALT.finditer(text):
            yield found.group()


def nothing_on_stderr(notebook: NotebookNode) -> Iterator[str]:
    for where, output in outputs(notebook):
        if output.output_type == "stream" and output.name == "stderr":
            yield f"{where}: {output.text.strip()[:80]}"


def at_most_1600_words(notebook: NotebookNode) -> Iterator[str]:
    words = sum(len(text.split()) for text in prose(notebook))
    if words > 1600:
        yield f"{words} words"


def solutions_are_folded(notebook: NotebookNode) -> Iterator[str]:
    for number, cell in enumerate(code_cells(notebook), 1):
        solution = "reveal=True" in cell.source or "solution" in cell.metadata.get("tags", [])
        if solution and not cell.metadata.get("jupyter", {}).get("source_hidden"):
            yield f"code cell {number}: a solution in plain sight"


def cells_are_short(notebook: NotebookNode) -> Iterator[str]:
    for number, cell in enumerate(code_cells(notebook), 1):
        if (lines := len(cell.source.splitlines())) > 25:
            yield f"code cell {number}: {lines} lines"
    for where, output in outputs(notebook):
        if output.output_type == "stream" and (lines := len(shown(output).splitlines())) > 40:
            yield f"{where}: {lines} lines of output"


def light_enough_for_the_web(notebook: NotebookNode) -> Iterator[str]:
    size = len(nbformat.writes(notebook).encode())
    if size > 1_500_000:
        yield f"{size / 1e6:.1f} MB"


def pitfalls_are_marked_alike(notebook: NotebookNode) -> Iterator[str]:
    for text in prose(notebook):
        for line in text.splitlines():
            if "Pitfall ·" in line and not PITFALL.match(line):
                yield line


def no_times_and_no_dead_widgets(notebook: NotebookNode) -> Iterator[str]:
    if "widgets" in notebook.metadata:
        yield "widget state"
    for number, cell in enumerate(notebook.cells, 1):
        if "execution" in cell.metadata:
            yield f"cell {number}: execution times"
    for where, output in outputs(notebook):
        if len(output.get("data", {})) > 1 and WIDGET_VIEW in output.data:
            yield f"{where}: a widget without its state hides the picture saved beside it"


RULES: Final[list[Rule]] = [
    one_run_from_top_to_bottom,
    nothing_is_loosened,
    an_error_is_stored_exactly_where_one_is_announced,
    nothing_of_this_machine,
    no_address_of_an_object,
    no_noise_of_ids,
    kernel_is_python3,
    pictures_have_alt_text,
    nothing_on_stderr,
    at_most_1600_words,
    solutions_are_folded,
    cells_are_short,
    light_enough_for_the_web,
    pitfalls_are_marked_alike,
    no_times_and_no_dead_widgets,
]


def named(rule: Rule) -> str:
    return rule.__name__


def test_there_are_lessons() -> None:
    assert LESSONS, "notebooks/ holds no lesson: there is nothing to verify"


@pytest.mark.parametrize("rule", RULES, ids=named)
@pytest.mark.parametrize("path", LESSONS, ids=lambda path: path.stem)
def test_lesson_keeps_the_rule(path: Path, rule: Rule) -> None:
    assert list(rule(nbformat.read(path, as_version=4))) == []


@pytest.mark.parametrize("path", LESSONS, ids=lambda path: path.stem)
def test_lesson_is_a_valid_notebook(path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    ids = [cell.id for cell in notebook.cells]
    assert len(set(ids)) == len(ids)


def index_of_pitfalls(notebooks: Iterable[tuple[str, NotebookNode]]) -> list[str]:
    """The lines of the table in ``notebooks/README.md``: the pitfalls by number, at the end those that have none."""
    rows = []
    for lesson, notebook in notebooks:
        for found in PITFALL.finditer("\n".join(prose(notebook))):
            numbered = NUMBERS.fullmatch(found["source"])
            first = int(numbered[0].partition(",")[0][1:]) if numbered else sys.maxsize
            title = found["title"].replace("|", r"\|")
            rows.append((first, lesson, f"| {numbered[0] if numbered else '–'} | {title} | {lesson} |"))
    return [line for *_, line in sorted(rows, key=lambda row: row[:2])]


def test_readme_lists_the_pitfalls_there_are() -> None:
    notebooks = ((path.stem[:2], nbformat.read(path, as_version=4)) for path in LESSONS)
    expected = [*INDEX_HEAD, *index_of_pitfalls(notebooks)]
    readme = (NOTEBOOKS / "README.md").read_text(encoding="utf-8")
    _, _, section = readme.partition("\n## Pitfalls\n")
    table = [line for line in section.partition("\n## ")[0].splitlines() if line.startswith("|")]
    if table != expected:
        lines = "\n".join(expected)
        pytest.fail(f"Under “Pitfalls” in notebooks/README.md belong these lines:\n\n{lines}\n", pytrace=False)


def test_pitfalls_are_listed_by_number_those_without_one_last() -> None:
    early, late = (
        lesson(*(new_markdown_cell(f"> **Pitfall · {title}** ({source})\n\nWhy.") for title, source in boxes))
        for boxes in (
            [("Ten", "P10"), ("`a | b`", "seen in real projects"), ("Two", "P2")],
            [("Three", "P3, P11"), ("Two again", "P2"), ("Beside", "beside P2")],
        )
    )
    assert index_of_pitfalls([("04", early), ("05", late)]) == [
        "| P2 | Two | 04 |",
        "| P2 | Two again | 05 |",
        "| P3, P11 | Three | 05 |",
        "| P10 | Ten | 04 |",
        r"| – | `a \| b` | 04 |",
        "| – | Beside | 05 |",
    ]


# What follows shows that each rule can fail.


def text_output(text: str, mime: str = "text/plain") -> Any:
    return new_output("display_data", data={mime: text})


def code(source: str = "1 + 1", outputs: Any = (), count: int | None = 1, **metadata: Any) -> Any:
    return new_code_cell(source, execution_count=count, outputs=list(outputs), metadata=metadata)


def kernel(name: str) -> dict[str, str]:
    return {"name": name, "display_name": name}


def lesson(*cells: NotebookNode, **metadata: Any) -> Any:
    return new_notebook(cells=list(cells), metadata={"kernelspec": kernel("python3")} | metadata)


def error(evalue: str = "boom", traceback: str = "") -> Any:
    return new_output("error", ename="ValueError", evalue=evalue, traceback=[traceback])


def printed(text: str, name: str = "stdout") -> Any:
    return new_output("stream", name=name, text=text)


ID: Final = "12345678-1234-1234-1234-123456789abc"

GOOD: Final = lesson(
    new_markdown_cell("# A lesson\nSee ../work/01.ipynb, and/or/tmp.\n![A chain of three](images/chain.svg)"),
    new_markdown_cell("Why.\n\n> **Pitfall · Waiting** (P34, P35)\n\n> **Pitfall · `a | b`** (seen in real projects)"),
    code("add.delay(1, 1).id", [text_output(f"'{ID}'")]),
    code("   ", count=None),
    code("fail()", [error(ID * 4)], 2, tags=["raises-exception"]),
    code("labkit.check('00.1', x, reveal=True)", [printed("yes")], 3, jupyter={"source_hidden": True}),
    code("view", [new_output("display_data", data={WIDGET_VIEW: {}})], 4),
)

BAD: Final[list[tuple[Rule, NotebookNode]]] = [
    (one_run_from_top_to_bottom, lesson(code(count=2))),
    (one_run_from_top_to_bottom, lesson(code(count=None))),
    (one_run_from_top_to_bottom, lesson(code(count=1), code(count=3))),
    (one_run_from_top_to_bottom, lesson(new_markdown_cell("no code at all"))),
    (nothing_is_loosened, lesson(code(tags=["nbval-ignore-output"]))),
    (nothing_is_loosened, lesson(code(tags=["nbval-skip"]))),
    (nothing_is_loosened, lesson(code(tags=["nbval-check-output"]))),
    (nothing_is_loosened, lesson(code("# NBVAL_IGNORE_OUTPUT\n1"))),
    (an_error_is_stored_exactly_where_one_is_announced, lesson(code(outputs=[error()]))),
    (an_error_is_stored_exactly_where_one_is_announced, lesson(code(tags=["raises-exception"]))),
    (nothing_of_this_machine, lesson(code(outputs=[printed("in /home/ada/project")]))),
    (nothing_of_this_machine, lesson(code(outputs=[text_output("<a href='/tmp/x1'>", "text/html")]))),
    (nothing_of_this_machine, lesson(code(outputs=[text_output("<text>/Users/ada</text>", "image/svg+xml")]))),
    (nothing_of_this_machine, lesson(code(outputs=[error(traceback="File \x1b[32m/opt/x/y.py:3\x1b[39m")]))),
    (nothing_of_this_machine, lesson(code(outputs=[error(traceback="File ~/project/y.py:3")]))),
    (nothing_of_this_machine, lesson(code("open('/root/x')"))),
    (nothing_of_this_machine, lesson(code(r"open('C:\Users\ada')"))),
    (nothing_of_this_machine, lesson(new_markdown_cell("from https://packages.example/root/simple/"))),
    (nothing_of_this_machine, lesson(code(outputs=[printed("Looking in https://pypi.org/")]))),
    (no_address_of_an_object, lesson(code(outputs=[text_output("<object object at 0x7f0db7bb5090>")]))),
    (no_noise_of_ids, lesson(code(outputs=[text_output(f"{ID} " * 4)]))),
    (kernel_is_python3, lesson(kernelspec=kernel("conda-env"))),
    (kernel_is_python3, new_notebook()),
    (pictures_have_alt_text, lesson(new_markdown_cell("![](images/chain.svg)"))),
    (pictures_have_alt_text, lesson(new_markdown_cell("<img src='images/chain.svg'>"))),
    (pictures_have_alt_text, lesson(new_markdown_cell('<img alt="" src="images/chain.svg">'))),
    (nothing_on_stderr, lesson(code(outputs=[printed("Fontconfig warning", "stderr")]))),
    (at_most_1600_words, lesson(*(new_markdown_cell("word " * 801) for _ in range(2)))),
    (solutions_are_folded, lesson(code("labkit.check('00.1', x, reveal=True)"))),
    (solutions_are_folded, lesson(code(tags=["solution"]))),
    (cells_are_short, lesson(code("x = 1\n" * 26))),
    (cells_are_short, lesson(code(outputs=[printed("x\n" * 41)]))),
    (light_enough_for_the_web, lesson(code(outputs=[text_output("x" * 1_600_000)]))),
    (pitfalls_are_marked_alike, lesson(new_markdown_cell("> **Pitfall · Waiting**\n\nWhy."))),
    (pitfalls_are_marked_alike, lesson(new_markdown_cell("**Pitfall · Waiting** (P34)"))),
    (pitfalls_are_marked_alike, lesson(new_markdown_cell("> **Pitfall · Waiting** (P34): why"))),
    (no_times_and_no_dead_widgets, lesson(code(execution={"iopub.status.busy": "now"}))),
    (no_times_and_no_dead_widgets, lesson(widgets={})),
    (
        no_times_and_no_dead_widgets,
        lesson(code(outputs=[new_output("display_data", data={WIDGET_VIEW: {}, "image/svg+xml": "<svg/>"})])),
    ),
]


@pytest.mark.parametrize("rule", RULES, ids=named)
def test_a_good_lesson_passes(rule: Rule) -> None:
    assert list(rule(GOOD)) == []


@pytest.mark.parametrize(("rule", "notebook"), BAD, ids=[f"{rule.__name__}-{n}" for n, (rule, _) in enumerate(BAD)])
def test_a_bad_lesson_is_caught(rule: Rule, notebook: NotebookNode) -> None:
    assert list(rule(notebook)) != []


def test_each_rule_is_shown_to_fail() -> None:
    assert {named(rule) for rule, _ in BAD} == {named(rule) for rule in RULES}
