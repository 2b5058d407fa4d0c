"""Which cells of a lesson depend on what `add` returns: told apart from running them."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import nbformat

RIGHT: Final = re.compile(r"(def add\(.*?\).*?:\n(?:.*\n)*?\s+return x \+ y)\b")
#: What a drawing shows of an addition that succeeded: its value, and not only that it did.
SHOWN: Final = re.compile(r"\badd\([^()]*\) ✓ -?[\d'\"\[]")


def wrong_add(tree: Path) -> None:
    """Have `add` in a copy of the tree return one more: that of `tasks`, and those written in cells."""
    file = tree / "tasks" / "arithmetic.py"
    text, number = RIGHT.subn(r"\1 + 1", file.read_text(encoding="utf-8"))
    assert number == 1, "there is no add in tasks/arithmetic.py"
    file.write_text(text, encoding="utf-8")
    for path in (tree / "notebooks").glob("*.ipynb"):
        notebook = nbformat.read(path, as_version=4)
        for cell in notebook.cells:
            if cell.cell_type == "code":
                cell.source = RIGHT.sub(r"\1 + 1", cell.source)
        nbformat.write(notebook, path)


def changed_cells(report: Any) -> dict[str, set[int]]:
    """For each lesson the numbers of the code cells (from 1) that nbval reports."""
    changed: dict[str, set[int]] = {}
    for case in report.iter("testcase"):
        if case.find("failure") is not None or case.find("error") is not None:
            place = case.get("classname", "").replace("/", ".").split(".")
            lesson = next(part for part in (*place, case.get("file", "")) if re.match(r"\d\d_", part))
            changed.setdefault(f"{lesson}.ipynb", set()).add(int(case.get("name", "").split()[-1]) + 1)
    return changed


def shown(lesson: Path) -> set[int]:
    """The cells that have an output."""
    return {number for number, cell in _cells(lesson) if cell.outputs}


def must_change(lesson: Path) -> set[int]:
    """The cells whose saved output shows the value of an addition."""
    return {number for number, cell in _cells(lesson) if any(map(_shows_a_sum, cell.outputs))}


def _shows_a_sum(output: Any) -> bool:
    text = output.get("data", {}).get("text/plain") or output.get("text") or ""
    return bool(SHOWN.search(str(text)))


def may_change(lesson: Path) -> set[int]:
    """The cells that hang together with `add`: by its name, by a name made with it before, or by an exercise.

    (What an exercise tries an answer with is its own matter.)
    """
    made, found = {"add"}, set()
    for number, cell in _cells(lesson):
        for statement in ast.parse(_without_magic(cell.source)).body:
            used = {each.id for each in ast.walk(statement) if isinstance(each, ast.Name)}
            told = re.search(r"""\blabkit\.check\(|["'].*\badd\b""", ast.unparse(statement))
            stored = set(_stored(statement))
            if isinstance(statement, ast.Import | ast.ImportFrom):
                continue
            if used & made or told:
                found.add(number)
                made |= stored
            else:
                made -= stored - {"add"}
    return found


def _stored(statement: ast.stmt) -> Iterator[str]:
    for each in ast.walk(statement):
        if isinstance(each, ast.Name) and isinstance(each.ctx, ast.Store):
            yield each.id
        elif isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield each.name


def _without_magic(source: str) -> str:
    return "\n".join(line for line in source.splitlines() if not line.startswith(("%", "!")))


def _cells(lesson: Path) -> Iterator[tuple[int, Any]]:
    """The code cells, from 1."""
    cells = nbformat.read(lesson, as_version=4).cells
    yield from enumerate((cell for cell in cells if cell.cell_type == "code"), 1)
