"""Label Studio's dialog of *Start Training* shows no answer, so the console says what was refused, and why."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from cli.demo.stack import Stack
from cli.demo.walk import Walk
from mammo.geometry import Size
from tests.backend.console.access import PASSWORD
from tests.e2e.screen import PATIENCE, Screen

if TYPE_CHECKING:
    from playwright.sync_api import Browser

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(1500)]


def test_a_press_that_cannot_succeed_is_answered_on_the_console(
    running_stack: Stack, browser: Browser
) -> None:
    walk = Walk(running_stack)
    walk.create_project()
    page = browser.new_page()
    page.set_default_timeout(PATIENCE)
    Screen(page, Size(1, 1)).log_in(running_stack.label_studio)
    page.goto(f"{running_stack.label_studio.url}/projects/{walk.project}/settings/ml")
    page.get_by_label("Machine learning model options").click()
    page.get_by_text("Start Training", exact=True).click()
    page.get_by_role("button", name="Start Training").click()
    assert page.get_by_text("Response:").inner_text() == "Response: {}", "it could say why; then say so there"

    walk.site.access.users.add("viola", "viewer", password=PASSWORD, actor="a test")
    page.goto(f"{running_stack.backend_url}/console/login")
    page.fill("input[name=name]", "viola")
    page.fill("input[name=password]", PASSWORD)
    page.keyboard.press("Enter")
    page.wait_for_url(lambda url: "/login" not in url)
    card = page.locator(f"section[data-fragment=project-{walk.project}]")
    refused = card.locator("dd", has_text="was refused").inner_text()
    assert "Label Studio's Start Training was refused" in refused
    assert "there is no correction yet" in refused
    page.close()
