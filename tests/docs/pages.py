"""The Markdown that people read: README and its neighbours, and the pages of docs/."""

from __future__ import annotations

import re
from pathlib import Path

from markdown.extensions.toc import slugify

ROOT = Path(__file__).parent.parent.parent
PAGES = [ROOT / name for name in ("README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md")]
PAGES += sorted((ROOT / "docs").rglob("*.md"))

FENCE = re.compile(r"^```.*?^```$", re.DOTALL | re.MULTILINE)
LINK = re.compile(r"\]\(([^()\s]+)\)")
MARKUP = re.compile(r"`|\*|\[|\]\([^)]*\)")


def prose(page: Path) -> str:
    """A page without its blocks of code."""
    return FENCE.sub("", page.read_text())


def links(page: Path) -> list[str]:
    """What a page links to inside this repository."""
    return [link for link in LINK.findall(prose(page)) if not re.match(r"[a-z]+:", link)]


def anchors(page: Path) -> set[str]:
    """The fragments that a page's headings and explicit anchors have."""
    headings = re.findall(r"^#+ (.*)$", prose(page), re.MULTILINE)
    return {slugify(MARKUP.sub("", heading), "-") for heading in headings} | set(
        re.findall(r'<a id="([^"]+)"', page.read_text())
    )


def name(page: Path) -> str:
    return str(page.relative_to(ROOT))
