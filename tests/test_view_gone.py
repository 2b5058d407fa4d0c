"""A live view whose kernel goes, and a notebook that was saved before all was over, in a real JupyterLab."""

import re
import time
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.jupyter import PATIENCE, Jupyter, menu, read, ready, run_all, states, view, wait_for_states
from tests.test_view_browser import SETUP

pytestmark = pytest.mark.timeout(240)  # a JupyterLab on a busy machine

RUN = "run = labkit.run(chain(add.s(1, 1), wait_for.si({!r}), add.si(2, 3)))\nrun"
GROUND = "labkit.playground(lambda n: group(add.s(k, k) for k in range(n)), n=range(1, 9))"


def complaints(page: Page) -> list[str]:
    """What the page complains of from now on: errors that nobody caught, and failed sending."""
    heard: list[str] = []
    page.on("pageerror", lambda error: heard.append(str(error)))
    page.on("console", lambda message: heard.append(message.text) if "Cannot send" in message.text else None)
    return heard


def still(live: Locator, page: Page) -> bool:
    """Whether the time of the second task stands still."""
    before = live.locator("[data-name=n2] .times").text_content()
    page.wait_for_timeout(700)
    return live.locator("[data-name=n2] .times").text_content() == before


def saved(jupyter: Jupyter, page: Page, name: str, state: str) -> list[Any]:
    """The outputs of the run and the playground, once they have been saved with pictures in which all is so."""
    page.locator('[data-jp-item-name="save"]').first.click()
    until = time.monotonic() + PATIENCE / 1000
    while True:
        outputs = [cell.outputs for cell in read(jupyter.folder / f"{name}.ipynb").cells[1:3]]
        if all(each and f' {state}"' in each[0].data.get("image/svg+xml", "") for each in outputs):
            return [each[0] for each in outputs]
        assert time.monotonic() < until
        time.sleep(0.1)


def test_a_kernel_that_is_restarted_or_shut_down(jupyter: Jupyter, page: Page) -> None:
    heard = complaints(page)
    jupyter.open(page, "restart", SETUP, RUN.format(str(jupyter.folder / "never")), "lab.slow(0.3)")
    for end in ("restart", "shut down"):
        run_all(page)
        live = view(page)
        wait_for_states(live, "succeeded", "running", "planned")
        expect(live.locator(".slow select option:checked")).to_have_text("slow: 0.3 s")
        assert not still(live, page)
        if end == "restart":
            page.locator("[data-jp-item-name=restart]").first.click()
            page.locator(".jp-Dialog .jp-mod-accept").click()
        else:
            menu(page, "Kernel", "Shut Down Kernel")
        expect(live.locator(".meaning")).to_contain_text("The kernel is gone")
        expect(live.locator(".mode")).to_have_text("recorded")
        assert still(live, page)
        live.locator("svg .box").nth(0).click()
        live.locator(".panel .close").click()
        live.locator(".back").click()
        expect(live.locator(".count")).not_to_have_text(re.compile(r"^(\d+) of \1$"))
        assert live.locator(".faults").is_hidden()
        if end == "restart":
            page.get_by_text("Python 3 (ipykernel) | Idle").wait_for()
    assert heard == []


def test_what_is_saved_before_all_is_over(jupyter: Jupyter, page: Page) -> None:
    heard = complaints(page)
    go = jupyter.folder / "go"
    jupyter.open(page, "early", SETUP, RUN.format(str(go)), GROUND)
    run_all(page)
    wait_for_states(view(page), "succeeded", "running", "planned")
    page.get_by_role("button", name="Replay").wait_for()
    for output, text in zip(saved(jupyter, page, "early", "planned"), ("#2 wait_for", "playground of"), strict=True):
        assert set(output.data) == {"image/svg+xml", "text/plain"}
        assert text in output.data["text/plain"]
        assert "✓" not in output.data["text/plain"]

    # The page is loaded again, the kernel goes on: so does the view, with the time that its task has run by then.
    page.reload()
    ready(page)
    live = view(page)
    wait_for_states(live, "succeeded", "running", "planned")
    page.get_by_role("button", name="Replay").wait_for()
    assert not still(live, page)
    live.locator(".go").click()
    expect(live.locator(".mode")).to_have_text("live, paused")
    live.locator(".go").click()
    go.touch()
    wait_for_states(live, "succeeded", "succeeded", "succeeded")
    page.get_by_role("button", name="Run", exact=True).last.click()
    page.get_by_text("run: over").wait_for()
    expect(live).to_have_attribute("data-over", "true")
    assert states(live) == ["succeeded"] * 3

    # Opened again without its kernel: pictures, of what came of it.
    page.wait_for_timeout(1000)
    for output in saved(jupyter, page, "early", "succeeded"):
        assert set(output.data) == {"image/svg+xml", "text/plain"}
    menu(page, "Kernel", "Shut Down Kernel")
    page.reload()
    ready(page)
    for place in (1, 2):
        page.locator(".jp-CodeCell").nth(place).locator(".jp-OutputArea-output img").wait_for()
    assert page.get_by_text("model not found").count() == 0
    assert heard == []
