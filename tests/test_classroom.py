"""The learner's copies, JupyterLab on them, and the saving of the originals."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
import psutil
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from playwright.sync_api import Page

from labkit import classroom
from labkit.classroom import LessonError, copy_lessons, find_lesson, fresh_copy, run_lesson, save_lessons


def write(path: Path, *cells: Any, **metadata: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(new_notebook(cells=list(cells), metadata=metadata), path)
    return path


def read(path: Path) -> Any:
    return nbformat.read(path, as_version=4)


@pytest.fixture
def originals(tmp_path: Path) -> Path:
    folder = tmp_path / "notebooks"
    code = new_code_cell(
        "6 * 7", execution_count=5, metadata={"tags": ["solution"], "jupyter": {"source_hidden": True}}
    )
    code.outputs = [new_output("execute_result", data={"text/plain": "42"}, execution_count=5)]
    code.metadata["execution"] = {"iopub.execute_input": "2026-01-01"}
    where = new_code_cell("import os, sys\nprint(os.getcwd(), sys.executable, sep='|')")
    write(folder / "00_the_lab.ipynb", new_markdown_cell("# The lab"), code, where, widgets={"state": {}})
    write(folder / "05_callbacks.ipynb", new_code_cell("1"))
    (folder / "images").mkdir()
    (folder / "images" / "chain.svg").write_text("<svg/>")
    write(folder / ".ipynb_checkpoints" / "00_the_lab-checkpoint.ipynb")
    return folder


@pytest.fixture
def work(tmp_path: Path) -> Path:
    return tmp_path / "work"


class TestCopies:
    def test_they_have_no_outputs_counts_times_or_widget_state(self, originals: Path, work: Path) -> None:
        copy_lessons(originals, work)
        notebook = read(work / "00_the_lab.ipynb")
        assert notebook.cells[1].source == "6 * 7"
        assert notebook.cells[1].outputs == []
        assert notebook.cells[1].execution_count is None
        assert notebook.cells[1].metadata == {"tags": ["solution"], "jupyter": {"source_hidden": True}}
        assert sorted(notebook.metadata) == ["kernelspec", "language_info"]

    def test_cells_keep_their_ids(self, originals: Path, work: Path) -> None:
        copy_lessons(originals, work)
        name = "00_the_lab.ipynb"
        assert [c.id for c in read(work / name).cells] == [c.id for c in read(originals / name).cells]

    def test_pictures_come_along_and_checkpoints_do_not(self, originals: Path, work: Path) -> None:
        made = copy_lessons(originals, work)
        assert [path.relative_to(work).as_posix() for path in made] == [
            "00_the_lab.ipynb",
            "05_callbacks.ipynb",
            "images/chain.svg",
        ]
        assert sorted(path.name for path in work.iterdir()) == ["00_the_lab.ipynb", "05_callbacks.ipynb", "images"]

    def test_nothing_of_the_learners_is_overwritten(self, originals: Path, work: Path) -> None:
        work.mkdir()
        (work / "00_the_lab.ipynb").write_text("mine")
        (work / "05_callbacks.ipynb").symlink_to("nowhere")
        assert [path.name for path in copy_lessons(originals, work)] == ["chain.svg"]
        assert (work / "00_the_lab.ipynb").read_text() == "mine"
        assert (work / "05_callbacks.ipynb").is_symlink()
        assert copy_lessons(originals, work) == []

    def test_originals_stay_as_they_are(self, originals: Path, work: Path) -> None:
        before = (originals / "00_the_lab.ipynb").read_bytes()
        copy_lessons(originals, work)
        assert (originals / "00_the_lab.ipynb").read_bytes() == before

    def test_a_folder_without_lessons_is_an_error(self, tmp_path: Path, work: Path) -> None:
        with pytest.raises(LessonError, match="no lesson"):
            copy_lessons(tmp_path, work)

    def test_fresh_copies_go_beside_the_old(self, originals: Path, work: Path) -> None:
        names = [fresh_copy(lesson, originals, work).name for lesson in ("05", "5", "callbacks", "05_callbacks.ipynb")]
        assert names == [
            "05_callbacks.ipynb",
            "05_callbacks_2.ipynb",
            "05_callbacks_3.ipynb",
            "05_callbacks_4.ipynb",
        ]

    @pytest.mark.parametrize("name", ["9", "", "lab", "../00_the"])
    def test_a_name_that_fits_no_lesson_lists_those_there_are(self, originals: Path, name: str) -> None:
        with pytest.raises(LessonError, match="00_the_lab, 05_callbacks"):
            find_lesson(name, originals)


class TestSaving:
    def test_outputs_of_one_clean_run_are_saved_without_traces_of_it(self, tmp_path: Path) -> None:
        path = write(
            tmp_path / "00_x.ipynb",
            new_markdown_cell("# x"),
            new_code_cell("import os\nprint('one')\nprint(sorted(k for k in os.environ if k.startswith('PYTEST')))"),
            new_code_cell("import asyncio\nawait asyncio.sleep(0, 'two')"),
            new_code_cell("import json\njson.dumps({1})", metadata={"tags": ["raises-exception"]}),
            new_code_cell("import pathlib\npathlib.Path('here').touch()"),
        )
        save_lessons([path])
        notebook = read(path)
        cells = notebook.cells[1:]
        assert [cell.execution_count for cell in cells] == [1, 2, 3, 4]
        assert cells[0].outputs == [{"output_type": "stream", "name": "stdout", "text": "one\n[]\n"}]
        assert cells[1].outputs[0].data == {"text/plain": "'two'"}
        assert cells[2].outputs[0].ename == "TypeError"
        assert not re.search(r"[~/][\w./-]*/lib/python", "\n".join(cells[2].outputs[0].traceback))
        assert all(set(cell.metadata) <= {"tags"} for cell in cells)
        assert notebook.metadata.kernelspec.name == "python3"
        assert "version" not in notebook.metadata.language_info
        assert (tmp_path / "here").exists()

    def test_saving_twice_gives_the_same_file(self, tmp_path: Path) -> None:
        path = write(tmp_path / "00_x.ipynb", new_code_cell("print(1)\n2"))
        save_lessons([path])
        once = path.read_bytes()
        save_lessons([path])
        assert path.read_bytes() == once

    def test_a_widget_is_saved_as_its_picture(self, tmp_path: Path) -> None:
        view = {classroom.WIDGET_VIEW: {"model_id": "1"}, "text/plain": "a slider"}
        path = write(tmp_path / "00_x.ipynb", new_code_cell(f"display({view!r}, raw=True)"))
        assert run_lesson(path).cells[0].outputs[0].data == {"text/plain": "a slider"}

    def test_a_cell_that_fails_leaves_the_file_and_is_named(self, tmp_path: Path) -> None:
        bad = write(tmp_path / "00_x.ipynb", new_markdown_cell("x"), new_code_cell("1"), new_code_cell("1 / 0"))
        good = write(tmp_path / "01_y.ipynb", new_code_cell("2"))
        before = bad.read_bytes()
        with pytest.raises(LessonError, match=r"00_x.ipynb: code cell 2 failed(.|\n)*ZeroDivisionError") as caught:
            save_lessons([bad, good])
        assert "\x1b" not in str(caught.value)
        assert bad.read_bytes() == before
        assert read(good).cells[0].outputs

    def test_a_cell_that_should_fail_and_does_not_is_named(self, tmp_path: Path) -> None:
        path = write(tmp_path / "00_x.ipynb", new_code_cell("1", metadata={"tags": ["raises-exception"]}))
        with pytest.raises(LessonError, match=r"code cell 1 failed. It is tagged raises-exception, but raised nothing"):
            run_lesson(path)

    def test_a_kernel_that_dies_is_an_error(self, tmp_path: Path) -> None:
        path = write(tmp_path / "00_x.ipynb", new_code_cell("import os\nos._exit(1)"))
        with pytest.raises(LessonError, match=r"code cell 1 failed. Kernel died"):
            run_lesson(path)

    def test_a_cell_that_hangs_is_an_error(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(classroom, "CELL_TIMEOUT", 1)
        path = write(tmp_path / "00_x.ipynb", new_code_cell("import time\ntime.sleep(30)"))
        with pytest.raises(LessonError, match=r"code cell 1 failed(.|\n)*timed out"):
            run_lesson(path)


class TestCommandLine:
    def test_fresh_prints_the_new_file(self, originals: Path, work: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert classroom.main(["--source", str(originals), "--work", str(work), "fresh", "05"]) == 0
        assert capsys.readouterr().out == f"{work / '05_callbacks.ipynb'}\n"

    def test_copy_says_what_it_did(self, originals: Path, work: Path, capsys: pytest.CaptureFixture[str]) -> None:
        for expected in ("Copied 2 lessons", "as you left them"):
            assert classroom.main(["--source", str(originals), "--work", str(work), "copy"]) == 0
            assert expected in capsys.readouterr().out

    def test_an_error_is_one_sentence_on_stderr(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert classroom.main(["--source", str(tmp_path / "none"), "copy"]) == 1
        assert capsys.readouterr().err == f"There is no lesson in {tmp_path / 'none'}/.\n"

    def test_save_runs_all_or_the_one_named(self, tmp_path: Path) -> None:
        paths = [write(tmp_path / f"0{n}_x.ipynb", new_code_cell("1")) for n in range(2)]
        assert classroom.main(["--source", str(tmp_path), "save", "1"]) == 0
        assert [len(read(path).cells[0].outputs) for path in paths] == [0, 1]
        assert classroom.main(["--source", str(tmp_path), "save"]) == 0
        assert [len(read(path).cells[0].outputs) for path in paths] == [1, 1]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Lab:
    """A JupyterLab as `make lab` starts it, in a home folder with settings that would break it."""

    def __init__(self, originals: Path, work: Path, home: Path) -> None:
        config = {"IdentityProvider": {"token": ""}, "ServerApp": {"root_dir": "/", "port": 1, "ip": "0.0.0.0"}}
        (home / ".jupyter").mkdir(parents=True)
        (home / ".jupyter" / "jupyter_server_config.json").write_text(json.dumps(config))
        self.port = free_port()
        self.log = (home / "log").open("w+")
        arguments = ["--source", str(originals), "--work", str(work), "lab", "--no-browser", "--port", str(self.port)]
        self.process = subprocess.Popen(
            [sys.executable, "-m", "labkit.classroom", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=self.log,
            stderr=subprocess.STDOUT,
            cwd=home,
            env=os.environ | {"HOME": str(home)},
            start_new_session=True,
        )
        self.children: set[psutil.Process] = set()

    def said(self) -> str:
        self.log.seek(0)
        return self.log.read()

    def url(self) -> str:
        for _ in range(300):
            if found := re.search(r"http://127\.0\.0\.1:\S+", self.said()):
                return found.group()
            assert self.process.poll() is None, self.said()
            time.sleep(0.1)
        raise AssertionError(f"no address after 30 s: {self.said()}")

    def stop(self) -> int:
        """Press Ctrl-C, and remember what ran."""
        self.children = set(psutil.Process(self.process.pid).children(recursive=True))
        self.process.send_signal(signal.SIGINT)
        try:
            return self.process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            raise


@pytest.fixture
def lab(originals: Path, work: Path, tmp_path: Path) -> Iterator[Lab]:
    lab = Lab(originals, work, tmp_path / "home")
    yield lab
    if lab.process.poll() is None:
        lab.stop()
    lab.log.close()


class TestJupyterLab:
    def test_opens_on_the_first_lesson_without_a_dialog_and_runs_it(
        self, lab: Lab, page: Page, work: Path, screenshots: Path
    ) -> None:
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        page.goto(lab.url())
        page.locator(".jp-Notebook .jp-CodeCell").first.wait_for()
        page.get_by_text("Python 3 (ipykernel) | Idle").wait_for()
        page.wait_for_timeout(2_000)  # news and update dialogs come late

        assert page.locator(".jp-Dialog").count() == 0
        assert page.locator(".Toastify__toast").count() == 0
        assert page.locator(".jp-NotebookPanel:visible h1").inner_text().startswith("The lab")
        settings = json.loads(page.locator("#jupyter-config-data").text_content() or "{}")
        assert settings["news"] == {"disabled": True}
        assert {url for url in asked if url.startswith("http") and f"//127.0.0.1:{lab.port}/" not in url} == set()

        page.get_by_role("menuitem", name="Run", exact=True).click()
        page.get_by_role("menuitem", name="Run All Cells", exact=True).click()
        output = page.locator(".jp-Notebook .jp-OutputArea-output").nth(1)
        output.wait_for()
        assert output.inner_text().strip().split("|") == [str(work), sys.executable]

        page.screenshot(path=screenshots / "lab.png")

        assert lab.stop() == 0
        assert lab.children
        _, alive = psutil.wait_procs(lab.children, timeout=10)
        assert alive == []

    def test_needs_the_token_and_listens_on_this_computer_alone(self, lab: Lab) -> None:
        assert re.search(r"/lab/tree/00_the_lab\.ipynb\?token=[0-9a-f]{32,}", lab.url())
        listening = [c.laddr for c in psutil.Process(lab.process.pid).net_connections("inet") if c.status == "LISTEN"]
        assert (("127.0.0.1", lab.port)) in listening
        assert {address.ip for address in listening} == {"127.0.0.1"}
        assert fetch(f"http://127.0.0.1:{lab.port}/api/contents") == 403

    def test_a_port_in_use_is_an_error(self, originals: Path, work: Path, tmp_path: Path) -> None:
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            port = str(taken.getsockname()[1])
            arguments = ["--source", str(originals), "--work", str(work), "lab", "--no-browser", "--port", port]
            done = subprocess.run(
                [sys.executable, "-m", "labkit.classroom", *arguments],
                capture_output=True,
                text=True,
                timeout=90,
                env=os.environ | {"HOME": str(tmp_path)},
                check=False,
            )
        assert done.returncode != 0
        assert port in done.stderr


def fetch(url: str) -> int:
    """Return the status that an HTTP request gets."""
    from urllib.error import HTTPError
    from urllib.request import urlopen

    try:
        with urlopen(url, timeout=5) as answer:
            return int(answer.status)
    except HTTPError as error:
        with error:
            return error.code
