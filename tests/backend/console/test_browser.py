"""The console in a real Chromium, on a real backend process with a history."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from mammo.runs import RunLedger, Runs
from mammo.runs.claims import Claim
from tests.chromium import chromium
from tests.console_history import HOSTILE, PROJECT
from tests.console_site import NAMES, PASSWORD, USERS, ConsoleSite, console_site

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page, StorageState

pytestmark = pytest.mark.slow

PATIENCE = 60_000
"""Longest wait in milliseconds: the machine may be busy."""

REFUSED = "Failed to load resource: the server responded with a status of 40"

SIZES = ((1366, 768), (1920, 1080))


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ConsoleSite]:
    with console_site(tmp_path_factory.mktemp("console")) as running:
        yield running


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as running:
        yield running


@contextmanager
def page_of(browser: Browser, site: ConsoleSite, role: str | None, **options: Any) -> Iterator[Page]:
    """A page on which a user of this role has logged in; at its end, nothing was logged to its console."""
    state = session_of(browser, site, role) if role is not None else None
    context = browser.new_context(base_url=site.url, storage_state=state, **options)
    context.set_default_timeout(PATIENCE)
    page, problems = context.new_page(), list[str]()
    # What a browser says of an answer 403 or 404 is no fault.
    page.on(
        "console",
        lambda message: None if REFUSED in message.text else problems.append(message.text),
    )
    page.on("pageerror", lambda error: problems.append(str(error)))
    try:
        if role is not None:
            page.goto("/")
            page.get_by_role("heading", name="Overview", level=1).wait_for()
        yield page
        assert problems == []
    finally:
        context.close()


def session_of(browser: Browser, site: ConsoleSite, role: str) -> StorageState:
    """The cookies of this role's session. Each logs in once: the backend allows few log-ins a minute."""
    if role not in site.sessions:
        context = browser.new_context(base_url=site.url)
        context.set_default_timeout(PATIENCE)
        page = context.new_page()
        page.goto("/")
        page.get_by_label("User name").fill(USERS[role])
        page.get_by_label("Password").fill(PASSWORD)
        page.get_by_role("button", name="Log in").click()
        page.get_by_role("heading", name="Overview", level=1).wait_for()
        site.sessions[role] = context.storage_state()
        context.close()
    return site.sessions[role]


def pages(site: ConsoleSite) -> list[str]:
    history = site.history
    runs = (history.promoted, history.kept, history.failed, history.active)
    models = (history.champion, history.loser, "previous")
    return [
        "/console",
        "/console/runs",
        *(f"/console/runs/{name}" for name in runs),
        f"/console/runs/{history.kept}/verdict",
        f"/console/runs/{history.kept}/verdict/images/0",
        "/console/models",
        *(f"/console/models/{name}" for name in models),
        f"/console/people?project={PROJECT}&period=all",
        f"/console/look-again?project={PROJECT}",
        "/console/pacs",
        "/console/notifications",
        f"/console/projects/{PROJECT}/stage",
        f"/console/projects/{PROJECT}/shadow?second=previous",
        "/console/audit",
        "/docs",
        "/console/elsewhere",
    ]


def faults(page: Page, *, rules: list[str] | None = None) -> list[str]:
    """What axe calls serious or critical.

    Args:
        rules: None: all.
    """
    from axe_playwright_python.sync_playwright import Axe

    options = {"resultTypes": ["violations"]} | ({"runOnly": rules} if rules else {})
    found = Axe().run(page, options=options).response["violations"]
    return [
        f"{page.url}: {each['id']}: {each['nodes'][0]['html'][:200]}"
        for each in found
        if each["impact"] in ("serious", "critical")
    ]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_no_serious_fault_and_no_page_is_wider_than_the_screen(
    browser: Browser, site: ConsoleSite, scheme: Any
) -> None:
    found = []
    # Only the colours differ in the dark.
    rules = ["color-contrast"] if scheme == "dark" else None
    with page_of(browser, site, "administrator", color_scheme=scheme) as page:
        for path in pages(site):
            page.goto(path)
            found += faults(page, rules=rules)
            for width, height in SIZES:
                page.set_viewport_size({"width": width, "height": height})
                too_wide = page.evaluate("document.documentElement.scrollWidth > innerWidth")
                found += [f"{path} is wider than {width}"] * too_wide
        page.goto("/console/login")
        found += faults(page, rules=rules)
        ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert (ground == "rgb(255, 255, 255)") == (scheme == "light")
    assert found == []


def test_a_page_follows_its_run_without_a_reload(browser: Browser, site: ConsoleSite) -> None:
    with page_of(browser, site, "viewer") as page:
        page.goto(f"/console/runs/{site.history.active}")
        page.evaluate("window.stayed = true")
        ledger = RunLedger(site.site.engine, Claim(site.history.active, 1))
        ledger.beat("detector", 0.44, "epoch 7 of 12, loss 1.31")
        page.get_by_text("epoch 7 of 12, loss 1.31").first.wait_for()
        # A fetch during the heartbeat may show the new log with the old bar; the next fetch shows both.
        page.locator("progress[value='0.44']").first.wait_for()
        ledger.log(HOSTILE)
        page.get_by_text("<script>document.title").first.wait_for()
        assert page.evaluate("window.stayed"), "the page was not loaded again"
        assert "run" not in page.title().split()


def test_what_others_wrote_is_shown_and_not_run(browser: Browser, site: ConsoleSite) -> None:
    with page_of(browser, site, "administrator") as page:
        for path in ("/console", "/console/runs", "/console/audit"):
            page.goto(path)
            assert "{{7*7}}" in page.content() or path == "/console"
            assert page.title().endswith("Yolo-MLSAM")
            assert page.locator("main img[src='x']").count() == 0


def test_a_form_without_its_token_is_refused_and_the_page_says_so(
    browser: Browser, site: ConsoleSite
) -> None:
    with page_of(browser, site, "administrator") as page:
        page.goto(f"/console/models/{site.history.loser}")
        form = page.locator("form", has=page.get_by_role("button", name="Promote"))
        form.locator("[name=csrf]").evaluate("field => { field.value = '0'.repeat(64) }")
        form.get_by_label("Why").fill("a page of another site")
        with page.expect_response(lambda answer: answer.request.method == "POST") as sent:
            form.get_by_role("button").click()
        assert sent.value.status == 403
        page.get_by_text("made for another log-in").wait_for()
        assert site.site.registry.champion().version == site.history.champion


def test_the_keyboard_is_enough(browser: Browser, site: ConsoleSite) -> None:
    with page_of(browser, site, None) as page:
        page.goto("/console/models")
        page.keyboard.press("Tab")
        assert focused(page) == "Skip to content"
        assert page.get_by_text("Skip to content").bounding_box()["x"] >= 0, "the skip link is seen"  # type: ignore[index]
        page.keyboard.press("Tab")
        page.keyboard.type(USERS["administrator"])
        page.keyboard.press("Tab")
        page.keyboard.type(PASSWORD)
        page.keyboard.press("Enter")
        page.get_by_role("heading", name="Models", level=1).wait_for()
        order = []
        for _ in range(16):
            page.keyboard.press("Tab")
            order.append(focused(page))
            outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
            assert outline != "none" or order[-1] == "Skip to content", order
        assert order[:4] == ["Skip to content", "Overview", "Runs", "Models"]
        assert order.index("Log out") < order.index(site.history.loser), "as it is read"
        page.keyboard.press("Shift+Tab")
        while focused(page) != "Log out":
            page.keyboard.press("Shift+Tab")
        page.keyboard.press("Enter")
        page.get_by_role("heading", name="Log in", level=1).wait_for()
        page.goto("/console")
        assert "/console/login" in page.url


def focused(page: Page) -> str:
    return str(page.evaluate("document.activeElement.textContent.trim()"))


def test_everything_is_read_and_done_without_a_script(browser: Browser, site: ConsoleSite) -> None:
    with page_of(browser, site, "administrator", java_script_enabled=False) as page:
        for path in pages(site):
            answer = page.goto(path)
            assert answer is not None
            assert answer.status == (404 if path.endswith("elsewhere") else 200), path
            assert page.locator("h1").count() == 1
        page.goto("/console/runs")
        page.get_by_label("Project").select_option("5")
        page.get_by_label("Recipe").select_option(
            "provisional"
        )  # a retrain would be refused: it has no correction
        page.get_by_label("Why").fill("<b>a test</b> without a script")
        page.get_by_role("button", name="Start").click()
        page.get_by_text("<b>a test</b> without a script").first.wait_for()
        page.get_by_label("Why cancel it").fill("the test is over")
        page.get_by_role("button", name="Cancel the run").click()
        page.get_by_text("cancelled", exact=True).first.wait_for()
    assert Runs(site.site.engine).newest(project=5)[0].state == "cancelled"


def test_pages_load_nothing_from_elsewhere_and_no_script_of_a_text(
    browser: Browser, site: ConsoleSite
) -> None:
    with page_of(browser, site, "administrator") as page:
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        for path in pages(site)[:-1]:
            answer = page.goto(path)
            assert answer is not None
            assert "unsafe" not in answer.headers["content-security-policy"]
        assert all(url.startswith(site.url) for url in asked), asked
        assert re.search("script-src 'self'", answer.headers["content-security-policy"])


def test_which_model_serves_project_3_and_why(browser: Browser, site: ConsoleSite) -> None:
    with page_of(browser, site, "viewer") as page:
        project = page.get_by_role("region", name=f"Project {PROJECT}")
        project.get_by_role("link", name=site.history.champion).click()
        page.get_by_text(f"promoted {site.history.champion} over").first.wait_for()
        page.get_by_role("heading", name="Model card").wait_for()
        page.get_by_text("Never tested on").wait_for()


def test_something_is_broken_what_do_i_do(browser: Browser, site: ConsoleSite) -> None:
    with page_of(browser, site, "administrator") as page:
        page.get_by_role("region", name=f"Project {PROJECT}").get_by_role("link", name="All runs").click()
        failed = page.get_by_role("row").filter(has_text="failed")
        assert "free space" in (failed.text_content() or "")
        failed.get_by_role("link").click()
        page.get_by_text("the disk is full: free space").first.wait_for()
        page.get_by_role("button", name="Resume the run").wait_for()


def test_a_lead_changes_a_stage_and_an_administrator_sees_who_and_why(
    browser: Browser, site: ConsoleSite
) -> None:
    with page_of(browser, site, "lead") as page:
        page.get_by_role("region", name="Project 5").get_by_role("link", name="its stage").click()
        page.get_by_label("assisted").first.check()
        page.get_by_label("Why").fill("readers follow the prelabels")
        page.get_by_role("button", name="Change").click()
        page.get_by_role("row").filter(has_text="readers follow the prelabels").wait_for()
    with page_of(browser, site, "administrator") as page:
        page.get_by_role("link", name="Audit").click()
        row = page.get_by_role("row").filter(has_text="stage changed")
        assert USERS["lead"] in (row.text_content() or "")


def test_a_channel_is_added_tried_and_removed(browser: Browser, site: ConsoleSite) -> None:
    with page_of(browser, site, "administrator") as page:
        page.get_by_role("link", name="Notifications").click()
        page.get_by_label("How").select_option("note")
        page.get_by_label("run failed").check()
        page.get_by_role("button", name="Add", exact=True).click()
        page.get_by_role("button", name="Send a test to channel 1").click()
        page.get_by_role("row").filter(has_text="delivered").wait_for()
        page.get_by_role("button", name="Remove channel 1").click()
        page.get_by_text("Nobody is told of anything yet.").wait_for()


def test_why_the_last_challenger_lost_and_its_worst_case(browser: Browser, site: ConsoleSite) -> None:
    with page_of(browser, site, "viewer") as page:
        project = page.get_by_role("region", name=f"Project {PROJECT}")
        project.get_by_role("link", name="on pictures").click()
        page.get_by_text(f"kept {site.history.champion}").first.wait_for()
        page.get_by_role("heading", name="worst first").wait_for()
        worst = page.get_by_role("list").filter(has=page.get_by_role("img")).get_by_role("listitem").first
        assert "only the champion found it" in (worst.text_content() or "")
        assert worst.get_by_role("img").is_visible()
        worst.get_by_role("link").first.click()
        page.get_by_role("img").first.wait_for()


def test_who_annotated_what_last_week_and_how_much_is_left(browser: Browser, site: ConsoleSite) -> None:
    with page_of(browser, site, "administrator") as page:
        page.get_by_role("link", name="People").click()
        page.get_by_role("link", name="Last week").click()
        page.get_by_text("30 of 102 tasks are still to be read").wait_for()
        rows = page.get_by_role("table", name=re.compile("^Who read what")).get_by_role("row")
        texts = [row for row in rows.all_text_contents() if any(name in row for name in NAMES.values())]
        assert 0 < len(texts) <= len(NAMES)
