"""The files that a command is given: found below folders, and named as a task, a JSON file and an upload can hold it.

On Linux a file name is bytes. One that is no UTF-8, as old archives have them, becomes a string with lone surrogates,
which no JSON, no HTTP request and no OpenCV function can hold: it is refused, and the others are done.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from mammo.errors import UnreadableImage


def files_of(paths: Iterable[Path]) -> Iterator[Path]:
    """The files named, and those below the folders named, each folder in order of name.

    Whatever cannot be looked into, a folder too, is among them, for whoever reads it to refuse.
    """
    for path in paths:
        yield from sorted(_below(path)) if os.path.isdir(path) else [path]


def require_text(path: Path | str) -> None:
    """Raise UnreadableImage (`file_name`) where a path is not text."""
    try:
        str(path).encode()
    except UnicodeEncodeError:
        raise UnreadableImage(
            "its name is no UTF-8, so no task and no JSON can hold it; rename it", code="file_name"
        ) from None


def real_path(path: Path) -> Path:
    """Where a path leads, through symbolic links; it need not be there.

    Raises:
        ValueError: nobody can look: it is too long or no text, a link to itself, in a folder that may not be entered.
    """
    try:
        real = path.resolve()
        real.is_file()
    except (OSError, RuntimeError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it leads nowhere"
        raise ValueError(f"its path cannot be looked up: {reason}") from None
    return real


def _below(folder: Path) -> Iterator[Path]:
    unreadable: list[OSError] = []
    for found, _, names in os.walk(folder, onerror=unreadable.append):
        yield from (Path(found) / name for name in names)
    yield from (Path(error.filename) for error in unreadable)
