"""Text from outside, made harmless for a terminal and for file names."""

from __future__ import annotations

import re
from pathlib import Path

MAX_PATH = 300
"""Longest path that is shown, in characters."""

MAX_NAME = 200
"""Longest name of an output file, in bytes, so that an ending fits behind it."""


def shown(text: object, *, length: int = 60) -> str:
    """One short line of printable characters: control characters, which move a terminal's cursor, are replaced.

    A byte of a file name that is no UTF-8 becomes `\\xfc`.
    """
    line = "".join(
        character if character.isprintable() else _escaped(character) for character in str(text)[: length + 1]
    )
    return line if len(line) <= length else line[: length - 1] + "…"


def shown_path(path: Path) -> str:
    """A path for a terminal, its end where it is too long."""
    whole = str(path)
    return shown(whole if len(whole) <= MAX_PATH else f"…{whole[1 - MAX_PATH :]}", length=4 * MAX_PATH)


def output_name(name: str) -> str:
    """The same name for an output file, or a harmless one where it cannot be printed or is too long."""
    plain = name.isprintable() and 0 < len(name.encode()) <= MAX_NAME
    return name if plain else file_stem(name)


def _escaped(character: str) -> str:
    """A surrogate stands for a byte that was no UTF-8 (PEP 383)."""
    return f"\\x{ord(character) - 0xDC00:02x}" if "\udc80" <= character <= "\udcff" else "?"


def file_stem(text: str) -> str:
    """A name for an output file: letters, digits, dot, dash and underscore, never hidden and never empty."""
    return re.sub(r"[^A-Za-z0-9._-]+", "_", text).strip("._")[:100] or "image"
