"""Text from outside, made harmless for a terminal and for file names."""

from __future__ import annotations

import re


def shown(text: object, *, length: int = 60) -> str:
    """One short line of printable characters: control characters, which move a terminal's cursor, are replaced."""
    line = "".join(character if character.isprintable() else "?" for character in str(text)[: length + 1])
    return line if len(line) <= length else line[: length - 1] + "…"


def file_stem(text: str) -> str:
    """A name for an output file: letters, digits, dot, dash and underscore, never hidden and never empty."""
    return re.sub(r"[^A-Za-z0-9._-]+", "_", text).strip("._")[:100] or "image"
