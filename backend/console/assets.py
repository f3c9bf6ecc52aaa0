"""Assets: style sheet and script, served under names that hold their hash, so that browsers may keep them forever."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from mammo.verdicts.report import TEMPLATES as VERDICT_TEMPLATES

STATIC = Path(__file__).parent / "static"

VERDICT_STYLE = VERDICT_TEMPLATES / "verdict.css"

STATIC_PATH = "/console/static/"
"""Path below which assets are served. They hold nothing of an installation, and need no log-in."""

MEDIA_TYPES = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}


@dataclass(frozen=True)
class Asset:
    """One file."""

    content: bytes
    media_type: str


class Assets:
    """The files of the console, in memory."""

    def __init__(self, files: dict[str, Asset], names: dict[str, str]) -> None:
        self._files = files
        self._names = names

    @classmethod
    def read(cls) -> Self:
        """Read the console's files, and the style sheet that it shares with reports.

        Raises:
            KeyError: a file has an unknown suffix.
        """
        files: dict[str, Asset] = {}
        names: dict[str, str] = {}
        for path in (*sorted(STATIC.iterdir()), VERDICT_STYLE):
            content = path.read_bytes()
            digest = hashlib.sha256(content).hexdigest()[:16]
            names[path.name] = f"{path.stem}.{digest}{path.suffix}"
            files[names[path.name]] = Asset(content, MEDIA_TYPES[path.suffix])
        return cls(files, names)

    def address(self, name: str) -> str:
        """Return the path of a file; raises KeyError: there is no such file."""
        return STATIC_PATH + self._names[name]

    def find(self, served: str) -> Asset | None:
        """Return the file that is served under a name with its hash; None if there is none."""
        return self._files.get(served)
