"""The lessons as files: copies to work on, JupyterLab opened on them, the originals run and saved anew."""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Iterable, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Final, NoReturn

import nbformat
from nbformat import NotebookNode

LESSONS: Final = Path("notebooks")
WORK: Final = Path("work")
FIRST: Final = "00_the_lab.ipynb"
KERNELSPEC: Final = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}
LANGUAGE: Final = {"file_extension": ".py", "mimetype": "text/x-python", "name": "python", "pygments_lexer": "ipython3"}
#: Seconds that one cell of a lesson may take.
CELL_TIMEOUT: Final = 60
WIDGET_VIEW: Final = "application/vnd.jupyter.widget-view+json"

#: The news dialog asks for as long as the learner has not answered: this is the answer "no".
_NO_NEWS: Final = {"fetchNews": "false", "checkForUpdates": False}
_NEWS_SETTINGS: Final = Path("settings/@jupyterlab/apputils-extension/notification.jupyterlab-settings")
_IGNORED: Final = (".ipynb_checkpoints", "__pycache__")
_CELL_METADATA: Final = ("tags", "jupyter")


class LessonError(Exception):
    """A lesson could not be found, copied or run; the message says which, where and why."""


def lessons(source: Path = LESSONS) -> list[Path]:
    """Return the notebooks in ``source``, in the order of their numbers.

    Raises:
        LessonError: there are none.
    """
    if found := sorted(source.glob("*.ipynb")):
        return found
    raise LessonError(f"There is no lesson in {source}/.")


def find_lesson(name: str, source: Path = LESSONS) -> Path:
    """Return the one lesson in ``source`` with this number, name or file name: ``"05"``, ``"5"``, ``"callbacks"``.

    Raises:
        LessonError: no lesson, or more than one, fits.
    """
    wanted = Path(name).name.removesuffix(".ipynb")
    number = wanted.zfill(2) if wanted.isdigit() else wanted
    known = lessons(source)
    fitting = [path for path in known if number in (path.stem, *path.stem.split("_", 1))]
    if len(fitting) == 1:
        return fitting[0]
    raise LessonError(f"No one lesson fits {name!r}. There are: {', '.join(path.stem for path in known)}.")


def without_outputs(notebook: NotebookNode) -> NotebookNode:
    """Return a copy of ``notebook`` as if it had never run: no outputs, counts, times or widget state.

    Tags and folded solutions stay.

    >>> cell = nbformat.v4.new_code_cell("1 + 1", execution_count=3)
    >>> cell.outputs = [nbformat.v4.new_output("stream", text="2")]
    >>> bare = without_outputs(nbformat.v4.new_notebook(cells=[cell])).cells[0]
    >>> bare.source, bare.outputs, bare.execution_count
    ('1 + 1', [], None)
    """
    notebook = deepcopy(notebook)
    _tidy(notebook)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs = []
            cell.execution_count = None
    return notebook


def copy_lessons(source: Path = LESSONS, target: Path = WORK) -> list[Path]:
    """Copy the lessons, without outputs, and the files they use to ``target``; return the new files.

    What is in ``target`` already is never touched.
    """
    lessons(source)
    made = []
    for path in sorted(source.rglob("*")):
        relative = path.relative_to(source)
        if not path.is_file() or any(part in _IGNORED or part.startswith(".") for part in relative.parts):
            continue
        copy = target / relative
        if not os.path.lexists(copy):
            copy.parent.mkdir(parents=True, exist_ok=True)
            if _place(path, copy):
                made.append(copy)
    return made


def fresh_copy(lesson: str, source: Path = LESSONS, target: Path = WORK) -> Path:
    """Copy one lesson, without outputs, to ``target`` beside the copies that are there; return the new file."""
    original = find_lesson(lesson, source)
    target.mkdir(parents=True, exist_ok=True)
    number = 1
    while True:
        copy = target / (original.name if number == 1 else f"{original.stem}_{number}.ipynb")
        if not os.path.lexists(copy) and _place(original, copy):
            return copy
        number += 1


def run_lesson(path: Path) -> NotebookNode:
    """Run a lesson from top to bottom in a fresh kernel, in its own folder; return it with its outputs.

    Raises:
        LessonError: a cell failed that should not, or did not fail though it is tagged ``raises-exception``.
    """
    from nbclient import NotebookClient
    from nbclient.exceptions import CellControlSignal, DeadKernelError

    notebook = without_outputs(nbformat.read(path, as_version=4))
    reached = 0

    def note_cell(cell: NotebookNode, cell_index: int) -> None:
        nonlocal reached
        reached = cell_index

    client = NotebookClient(
        notebook,
        timeout=CELL_TIMEOUT,
        kernel_name="python3",
        record_timing=False,
        store_widget_state=False,
        coalesce_streams=True,
        resources={"metadata": {"path": str(path.parent.resolve())}},
        on_cell_start=note_cell,
    )
    # ipykernel captures less under pytest; a saved run always uses the embedded broker.
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("PYTEST_", "LABKIT_"))}
    try:
        client.execute(env=environment, transport_encryption="auto")
    except (CellControlSignal, DeadKernelError) as error:
        raise LessonError(f"{_where(path, notebook, reached)} {_plain(str(error))}") from None
    for index, cell in enumerate(notebook.cells):
        tagged = "raises-exception" in cell.metadata.get("tags", [])
        if tagged and not any(output.output_type == "error" for output in cell.get("outputs", [])):
            raise LessonError(f"{_where(path, notebook, index)} It is tagged raises-exception, but raised nothing.")
    _tidy(notebook)
    return notebook


def save_lessons(paths: Iterable[Path]) -> None:
    """Run each lesson and write it back with the outputs; where a cell fails, that file stays as it was.

    Raises:
        LessonError: names every lesson that failed, after all have run.
    """
    failures = []
    for path in paths:
        print(f"{path}: running", flush=True)
        try:
            notebook = run_lesson(path)
        except LessonError as error:
            failures.append(str(error))
        else:
            _write(notebook, path)
    if failures:
        raise LessonError("\n\n".join([*failures, "What failed was not saved."]))


def jupyter_command(work: Path, *, browser: bool = True, port: int | None = None, ip: str = "127.0.0.1") -> list[str]:
    """Return the command that opens JupyterLab on the first lesson in ``work`` and shows nothing outside it."""
    return [
        sys.executable,
        "-m",
        "jupyterlab",
        f"--ServerApp.ip={ip}",
        f"--ServerApp.root_dir={work.resolve()}",
        f"--LabApp.default_url=/lab/tree/{FIRST}",
        "--LabApp.news_url=None",
        "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
        "--LabApp.extension_manager=readonly",  # no network, and .venv stays as requirements.txt says
        "--ServerApp.answer_yes=True",  # Ctrl-C stops it, without a question
        "--LabApp.log_level=ERROR",  # the address is printed all the same
        "--ServerApp.log_level=ERROR",
        "--KernelManager.transport_encryption=auto",  # else each kernel warns in the terminal that it has none
        *(["--allow-root"] if _is_root() else []),
        *([] if browser else ["--no-browser"]),
        *([f"--ServerApp.port={port}", "--ServerApp.port_retries=0"] if port else []),
    ]


def jupyter_environment(work: Path) -> dict[str, str]:
    """Return the environment for JupyterLab: settings of its own in ``work/.jupyter``, and the kernel of this Python.

    The learner's own Jupyter settings, kernels and start-up files elsewhere are neither used nor changed.
    """
    home = work.resolve() / ".jupyter"
    environment = {key: value for key, value in os.environ.items() if key != "JUPYTER_PATH"}
    return environment | {
        "JUPYTER_CONFIG_DIR": str(home),
        "JUPYTERLAB_SETTINGS_DIR": str(home / "settings"),
        "JUPYTERLAB_WORKSPACES_DIR": str(home / "workspaces"),
        "JUPYTER_PREFER_ENV_PATH": "1",
        "IPYTHONDIR": str(home / "ipython"),
    }


def open_lab(work: Path = WORK, *, browser: bool = True, port: int | None = None, ip: str = "127.0.0.1") -> NoReturn:
    """Become JupyterLab on ``work`` (Ctrl-C stops it); does not return."""
    settings = work / ".jupyter" / _NEWS_SETTINGS
    if not settings.exists():
        settings.parent.mkdir(parents=True, exist_ok=True)
        settings.write_text(json.dumps(_NO_NEWS), encoding="utf-8")
    command = jupyter_command(work, browser=browser, port=port, ip=ip)
    sys.stdout.flush()
    os.execve(command[0], command, jupyter_environment(work))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line: ``python -m labkit.classroom lab``, ``copy``, ``fresh LESSON`` or ``save [LESSON …]``."""
    parser = argparse.ArgumentParser(prog="python -m labkit.classroom", description=__doc__)
    parser.add_argument("--source", type=Path, default=LESSONS, help="where the lessons are (default: %(default)s)")
    parser.add_argument("--work", type=Path, default=WORK, help="where the copies go (default: %(default)s)")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("copy", help="copy the lessons, without outputs; never over what is there")
    lab = commands.add_parser("lab", help="copy the lessons and open JupyterLab on the copies")
    lab.add_argument("--no-browser", action="store_true", help="only print the address")
    lab.add_argument("--port", type=int, help="this port or none (default: the first free one from 8888)")
    lab.add_argument("--ip", default="127.0.0.1", help="the address to listen on (default: %(default)s)")
    commands.add_parser("fresh", help="a new copy of one lesson beside the old").add_argument("lesson")
    save = commands.add_parser("save", help="run the originals and save their outputs")
    save.add_argument("lesson", nargs="*", help="numbers or names (default: all)")
    options = parser.parse_args(arguments)
    try:
        if options.command == "save":
            chosen = [find_lesson(name, options.source) for name in options.lesson] or lessons(options.source)
            save_lessons(chosen)
        elif options.command == "fresh":
            print(fresh_copy(options.lesson, options.source, options.work))
        else:
            _tell_copies(copy_lessons(options.source, options.work), options.work)
            if options.command == "lab":
                browser = not options.no_browser and _has_screen()
                print(f"Opening JupyterLab on {options.work / FIRST}; Ctrl-C here stops it.")
                if not browser:
                    print("Open the address below in a browser:")
                open_lab(options.work, browser=browser, port=options.port, ip=options.ip)
    except LessonError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def _tidy(notebook: NotebookNode) -> None:
    """Keep of the metadata and outputs only what a reader or the next run uses."""
    notebook.metadata = nbformat.from_dict({"kernelspec": KERNELSPEC, "language_info": LANGUAGE})
    for cell in notebook.cells:
        cell.metadata = nbformat.from_dict({k: v for k, v in cell.metadata.items() if k in _CELL_METADATA})
        for output in cell.get("outputs", []):
            if output.output_type == "error":
                output.traceback = [_anonymous(line) for line in output.traceback]
            # A saved widget is dead: JupyterLab would show an error in place of the picture saved beside it.
            elif len(output.get("data", {})) > 1:
                output.data.pop(WIDGET_VIEW, None)


def _anonymous(text: str) -> str:
    """Take the folders of this machine out of a traceback.

    >>> _anonymous("File /home/ada/.venv/lib/python3.11/site-packages/celery/result.py:251, in get()")
    'File site-packages/celery/result.py:251, in get()'
    >>> _anonymous("File /usr/lib/python3.11/json/encoder.py:180")
    'File python3.11/json/encoder.py:180'
    """
    text = re.sub(r"[~/][^\s\x1b\"'(]*/site-packages/", "site-packages/", text)
    text = re.sub(r"[~/][^\s\x1b\"'(]*/lib/(python3\.\d+)/", r"\1/", text)
    here = Path.cwd()
    for folder in (str(here), str(here).replace(str(Path.home()), "~", 1)):
        text = text.replace(f"{folder}/", "")
    return text


def _place(original: Path, copy: Path) -> bool:
    """Put ``original``, without outputs if it is a notebook, at ``copy``; False, and nothing done, if that exists.

    The file appears whole or not at all, whatever interrupts.
    """
    with tempfile.TemporaryDirectory(dir=copy.parent, prefix=".copying-") as folder:
        draft = Path(folder, copy.name)
        if original.suffix == ".ipynb":
            _write(without_outputs(nbformat.read(original, as_version=4)), draft)
        else:
            shutil.copyfile(original, draft)
        try:
            os.link(draft, copy)
        except FileExistsError:
            return False
        except OSError:  # a file system without hard links
            if os.path.lexists(copy):
                return False
            draft.rename(copy)
    return True


def _write(notebook: NotebookNode, path: Path) -> None:
    text = nbformat.writes(notebook, version=4)
    path.write_text(text if text.endswith("\n") else text + "\n", encoding="utf-8")


def _where(path: Path, notebook: NotebookNode, index: int) -> str:
    number = sum(cell.cell_type == "code" for cell in notebook.cells[: index + 1])
    return f"{path}: code cell {number} failed."


def _plain(text: str) -> str:
    """Return ``text`` without terminal colours."""
    return re.sub(r"\x1b\[[0-9;]*m", "", text)


def _has_screen() -> bool:
    return sys.platform in ("darwin", "win32") or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


def _is_root() -> bool:
    return hasattr(os, "geteuid") and os.geteuid() == 0


def _tell_copies(made: list[Path], work: Path) -> None:
    copied = [path for path in made if path.suffix == ".ipynb"]
    if copied:
        print(f"Copied {len(copied)} lesson{'s' * (len(copied) > 1)} to {work}/; these copies are yours to change.")
    else:
        print(f"Your copies in {work}/ are as you left them.")


if __name__ == "__main__":
    sys.exit(main())
