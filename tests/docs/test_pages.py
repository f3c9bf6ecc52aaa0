"""Claims about README and docs as texts: their links, their width, their pictures."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.docs.pages import PAGES, ROOT, anchors, links, name, prose

MAX_WORDS = 700
MAX_COLUMNS = 100
MAX_PICTURE_BYTES = 300_000

HAND_WRITTEN = [
    page for page in PAGES if page.name != "CHANGELOG.md" and "<!-- Written by" not in page.read_text()
]
"""Pages whose prose wraps."""


def broken(page: Path) -> list[str]:
    found = []
    for link in links(page):
        file, _, fragment = link.partition("#")
        target = (page.parent / file).resolve() if file else page
        if not target.exists() or (fragment and fragment not in anchors(target)):
            found.append(link)
    return found


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_link_of_a_page_leads_somewhere(page: Path) -> None:
    assert broken(page) == []


def test_a_link_to_a_missing_page_or_heading_is_noticed(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("# Here\n\n[a](page.md#here) [b](page.md#gone) [c](gone.md) [d](https://example.org)\n")
    assert broken(page) == ["page.md#gone", "gone.md"]


def test_the_readme_is_read_in_one_go() -> None:
    assert len((ROOT / "README.md").read_text().split()) <= MAX_WORDS


@pytest.mark.parametrize("page", HAND_WRITTEN, ids=name)
def test_prose_wraps(page: Path) -> None:
    long = [
        line
        for line in prose(page).splitlines()
        # A table's row, an image and a span of code that is longer than a line cannot be wrapped.
        if len(line) > MAX_COLUMNS and not line.startswith(("|", "!", "<!--", "[")) and "`" not in line
    ]
    assert long == []


def test_pictures_are_shown_and_small() -> None:
    pictures = sorted((ROOT / "docs/pictures").glob("*.png"))
    shown = {(page.parent / link).resolve() for page in PAGES for link in links(page)}
    assert pictures
    assert [picture.name for picture in pictures if picture not in shown] == []
    assert [each.name for each in pictures if each.stat().st_size >= MAX_PICTURE_BYTES] == []
