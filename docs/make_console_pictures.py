"""Make the pictures of the console: `make pictures` runs this, too.

A real backend process serves the site of the browser tests, whose history is written and not trained. Chromium shows
its pages to an administrator.
"""

from __future__ import annotations

import io
import tempfile
from pathlib import Path

from PIL import Image
from playwright.sync_api import Page, ViewportSize

from tests.chromium import chromium
from tests.console_history import HOSTILE
from tests.console_site import PASSWORD, USERS, ConsoleSite, console_site

PICTURES = Path(__file__).parent / "pictures"
WINDOW: ViewportSize = {"width": 1366, "height": 768}
WIDTH = 1100
"""Of a picture, in pixels."""

QUALITY = 60
MARGIN = 16
VERDICT_HEIGHT = 2500
"""Of the picture of a verdict, in pixels: figures, curves and the first places."""

PATIENCE = 60_000
"""Longest wait for a figure that is computed in the background, in milliseconds."""


def main() -> None:
    """Write `console-NAME.webp` of overview, run, models, verdict, people and audit."""
    with (
        tempfile.TemporaryDirectory(prefix="yolo-mlsam-console-", ignore_cleanup_errors=True) as folder,
        console_site(Path(folder), reason="a first try") as site,
        chromium() as browser,
    ):
        page = browser.new_page(base_url=site.url, viewport=WINDOW, reduced_motion="reduce")
        page.set_default_timeout(PATIENCE)
        log_in(page)
        photograph(page, site)


def log_in(page: Page) -> None:
    """Log in as the administrator."""
    page.goto("/")
    page.get_by_label("User name").fill(USERS["administrator"])
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Log in").click()
    page.get_by_role("heading", name="Overview", level=1).wait_for()


def photograph(page: Page, site: ConsoleSite) -> None:
    """Take every picture, once the figures of its page are there."""
    site.backend.wait(serves=True)
    wait_for(page, "/console", "The values")
    save(page, "overview", until="section.card")
    page.goto(f"/console/runs/{site.history.active}")
    save(page, "run", until=".log")
    wait_for(page, "/console/models", "Versions judged in project 3")
    save(page, "models", until="section.card")
    page.goto(f"/console/runs/{site.history.kept}/verdict")
    save(page, "verdict", until="main", height=VERDICT_HEIGHT)
    wait_for(page, "/console/people?project=3&period=all", "Who read what")
    save(page, "people", until="main")
    page.goto("/console/audit")
    save(page, "audit", until="table")


def wait_for(page: Page, path: str, text: str) -> None:
    """Open a page again until a figure is on it."""
    page.goto(path)
    while not page.get_by_text(text).count():
        page.wait_for_timeout(500)
        page.reload()


def save(page: Page, name: str, *, until: str, height: int = 10_000) -> None:
    """Write a page as WebP, down to the end of the first element that a selector names, or to a height in pixels."""
    assert HOSTILE not in page.content()
    box = page.locator(until).first.bounding_box()
    assert box is not None
    shot = Image.open(io.BytesIO(page.screenshot(full_page=True))).convert("RGB")
    shot = shot.crop((0, 0, shot.width, min(round(box["y"] + box["height"]) + MARGIN, shot.height, height)))
    shot = shot.resize((WIDTH, round(shot.height * WIDTH / shot.width)), Image.Resampling.LANCZOS)
    path = PICTURES / f"console-{name}.webp"
    shot.save(path, quality=QUALITY, method=6)
    print(f"docs/pictures/{path.name}: {path.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
