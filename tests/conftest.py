"""What several test modules use."""

import shutil
import sys
import threading
import traceback
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest
from celery import _state
from playwright.sync_api import Page, sync_playwright

import labkit
import tasks
from tests.jupyter import Jupyter


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Side by side the modules are kept whole; all that open a browser are one group, the first and longest."""

    def in_browser(item: pytest.Item) -> bool:
        return "browser" in item.path.stem or bool({"page", "jupyter"} & set(getattr(item, "fixturenames", ())))

    groups = {item.path: "browser" for item in items if in_browser(item)}
    for item in items:
        item.add_marker(pytest.mark.xdist_group(groups.get(item.path, item.path.stem)))
    items.sort(key=lambda item: item.path not in groups)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A failure says where every thread stood; lone surrogates, which hostile tasks log, cannot travel in a report."""
    report = yield
    if report.failed:
        names = {thread.ident: thread.name for thread in threading.enumerate()}
        for ident, frame in sys._current_frames().items():
            if ident != threading.get_ident():
                stack = "".join(traceback.format_stack(frame, limit=14))
                report.sections.append((f"thread {names.get(ident, ident)}", stack))
    report.sections = [(name, text.encode(errors="replace").decode()) for name, text in report.sections]
    return report


@pytest.fixture(autouse=True, scope="module")
def shared_tasks() -> Iterator[None]:
    """Shared tasks of one module are not registered with the apps of the next."""
    before = set(_state._on_app_finalizers)
    yield
    _state._on_app_finalizers.intersection_update(before)


@pytest.fixture
def page() -> Iterator[Page]:
    """A page of a Chromium without a window; where there is none, the test is skipped."""
    found = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if not found:
        pytest.skip("no Chromium here (Debian: apt install chromium)")
    with sync_playwright() as api, api.chromium.launch(executable_path=found, args=["--no-sandbox"]) as browser:
        page = browser.new_page()
        page.set_default_timeout(30_000)
        yield page


@pytest.fixture
def screenshots() -> Path:
    """The folder that CI keeps."""
    folder = Path(__file__).parents[1] / "build" / "screenshots"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@pytest.fixture(scope="module")
def jupyter(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Jupyter]:
    with Jupyter(tmp_path_factory.mktemp("jupyter")) as jupyter:
        yield jupyter


@pytest.fixture(scope="module")
def lesson_lab() -> Iterator[labkit.Lab]:
    """A lab on the app of the lessons."""
    lab = labkit.start(tasks.app)
    yield lab
    labkit.stop()


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Progress is written to the folder worked in."""
    monkeypatch.chdir(tmp_path)
