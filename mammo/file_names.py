"""Input files of a command: the files below its folders, and whether their names can be stored as text.

On Linux a file name consists of bytes. A name that is not UTF-8, as in old archives, becomes a string with lone
surrogates, which JSON, HTTP and OpenCV cannot encode. Such a file is refused; the other files are processed.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from mammo.errors import UnreadableImage


def files_of(paths: Iterable[Path]) -> Iterator[Path]:
    """Yield the given files, and all files below the given folders, sorted by path within each folder.

    A folder that cannot be read is yielded as well, so that the caller reports it when it opens it.
    """
    for path in paths:
        yield from sorted(_files_below(path)) if os.path.isdir(path) else [path]


def require_text(path: Path | str) -> None:
    """Refuse a path that is not UTF-8.

    Raises:
        UnreadableImage: code `file_name`.
    """
    try:
        str(path).encode()
    except UnicodeEncodeError:
        raise UnreadableImage(
            "its name is not UTF-8, so it cannot be stored in a task or in JSON; rename the file",
            code="file_name",
        ) from None


def real_path(path: Path) -> Path:
    """Resolve symbolic links. The file need not exist.

    Raises:
        ValueError: the path cannot be resolved: it is too long, not text, a circular link, or in a folder without
            access.
    """
    try:
        real = path.resolve()
        real.is_file()
    except (OSError, RuntimeError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is a circular link or not text"
        raise ValueError(f"its path cannot be resolved: {reason}") from None
    return real


def _files_below(folder: Path) -> Iterator[Path]:
    errors: list[OSError] = []
    for parent, _, names in os.walk(folder, onerror=errors.append):
        yield from (Path(parent) / name for name in names)
    yield from (Path(error.filename) for error in errors)
