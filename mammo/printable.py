"""Untrusted text, made safe for terminals and for file names."""

from __future__ import annotations

import re
from pathlib import Path

MAX_PATH = 300
"""Maximum length of a printed path, in characters."""

MAX_NAME = 200
"""Maximum length of an output file's name, in bytes; leaves room for a suffix."""


def printable(text: object, *, length: int = 60) -> str:
    """Return one line of at most `length` printable characters.

    Control characters, which could move the terminal's cursor, become `?`. A byte of a file name that is not UTF-8
    becomes its escape sequence, such as `\\xfc`.
    """
    line = "".join(
        character if character.isprintable() else _escaped(character) for character in str(text)[: length + 1]
    )
    return line if len(line) <= length else line[: length - 1] + "…"


def printable_path(path: Path) -> str:
    """Return a printable path, shortened at its start when it is longer than `MAX_PATH`."""
    text = str(path)
    return printable(text if len(text) <= MAX_PATH else f"…{text[1 - MAX_PATH :]}", length=4 * MAX_PATH)


def output_name(name: str) -> str:
    """Return the name of an output file: `name` itself, or `file_stem` of it when it is not printable or too long."""
    usable = name.isprintable() and 0 < len(name.encode()) <= MAX_NAME
    return name if usable else file_stem(name)


def file_stem(text: str) -> str:
    """Return a file name of letters, digits, dots, dashes and underscores that is neither hidden nor empty."""
    return re.sub(r"[^A-Za-z0-9._-]+", "_", text).strip("._")[:100] or "image"


def _escaped(character: str) -> str:
    """Return the escape of a surrogate, which stands for a byte that is not UTF-8 (PEP 383); `?` for the rest."""
    return f"\\x{ord(character) - 0xDC00:02x}" if "\udc80" <= character <= "\udcff" else "?"
