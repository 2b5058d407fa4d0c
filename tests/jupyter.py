"""A JupyterLab as `make lab` starts it, on a folder of its own, driven through a browser."""

import json
import re
import signal
import socket
import subprocess
import time
from pathlib import Path
from typing import Final, Self

import nbformat
from nbformat.v4 import new_code_cell, new_notebook
from playwright.sync_api import Locator, Page, expect

from labkit import classroom

#: How long anything may take on a busy machine, in milliseconds.
PATIENCE: Final = 40_000


class Jupyter:
    """A JupyterLab as `make lab` starts it, on a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = int(probe.getsockname()[1])
        settings = folder / ".jupyter" / classroom._NEWS_SETTINGS
        settings.parent.mkdir(parents=True)
        settings.write_text(json.dumps(classroom._NO_NEWS))
        self.log = (folder / "log").open("w+")
        self.process = subprocess.Popen(
            classroom.jupyter_command(folder, browser=False, port=self.port),
            env=classroom.jupyter_environment(folder),
            stdin=subprocess.DEVNULL,
            stdout=self.log,
            stderr=subprocess.STDOUT,
            cwd=folder,
            start_new_session=True,
        )

    def token(self) -> str:
        for _ in range(400):
            self.log.seek(0)
            if found := re.search(r"token=(\w+)", self.log.read()):
                return found[1]
            assert self.process.poll() is None
            time.sleep(0.1)
        raise AssertionError("JupyterLab does not start")

    def open(self, page: Page, name: str, *cells: str) -> None:
        """Write a notebook and open it."""
        notebook = new_notebook(cells=[new_code_cell(cell) for cell in cells])
        notebook.metadata.kernelspec = classroom.KERNELSPEC
        nbformat.write(notebook, self.folder / f"{name}.ipynb")
        self.visit(page, name)

    def visit(self, page: Page, name: str) -> None:
        """Open a notebook that is there."""
        page.set_viewport_size({"width": 1280, "height": 1000})
        page.set_default_timeout(PATIENCE)
        expect.set_options(timeout=PATIENCE)
        page.goto(f"http://127.0.0.1:{self.port}/lab/workspaces/{name}/tree/{name}.ipynb?token={self.token()}")
        ready(page)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """End the server, and with it the kernels."""
        self.process.send_signal(signal.SIGINT)
        try:
            self.process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.log.close()


def ready(page: Page) -> None:
    page.locator(".jp-Notebook .jp-CodeCell").first.wait_for()
    page.get_by_text("Python 3 (ipykernel) | Idle").wait_for()


def menu(page: Page, *items: str) -> None:
    for item in items:
        page.get_by_role("menuitem", name=item, exact=True).click()


def run_all(page: Page) -> None:
    menu(page, "Run", "Run All Cells")


def view(page: Page, place: int = 0) -> Locator:
    found = page.locator(".labkit").nth(place)
    found.wait_for()
    found.scroll_into_view_if_needed()
    return found


def states(view: Locator) -> list[str]:
    """The states of the boxes, in the order of their numbers."""
    boxes: list[str] = view.evaluate(
        """(view) => [...view.querySelectorAll("svg .box")]
            .sort((one, other) => one.dataset.name.slice(1) - other.dataset.name.slice(1))
            .map((box) => box.getAttribute("class").split(" ")[1])"""
    )
    return boxes


def wait_for_states(view: Locator, *expected: str) -> None:
    until = time.monotonic() + PATIENCE / 1000
    while states(view) != list(expected):
        assert time.monotonic() < until, states(view)
        time.sleep(0.05)


def read(path: Path) -> nbformat.NotebookNode:
    """The saved notebook, once the server has written all of it."""
    until = time.monotonic() + PATIENCE / 1000
    while True:
        try:
            notebook: nbformat.NotebookNode = nbformat.read(path, as_version=4)
        except nbformat.reader.NotJSONError:
            assert time.monotonic() < until
            time.sleep(0.05)
        else:
            return notebook


def theme(page: Page, name: str) -> None:
    menu(page, "Settings")
    page.locator(".lm-Menu-item", has_text=re.compile("^Theme$")).click()
    menu(page, f"JupyterLab {name}")
    page.wait_for_function(f"document.body.dataset.jpThemeLight === '{str(name == 'Light').lower()}'")


def screenshot(page: Page, view: Locator, folder: Path, name: str) -> None:
    view.scroll_into_view_if_needed()
    page.screenshot(path=folder / f"{name}.png")
