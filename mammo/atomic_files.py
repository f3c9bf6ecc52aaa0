"""Files that appear whole or not at all: written beside their place under another name, then renamed."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def replacing(
    path: Path, *, shared: bool = False, mode: int = 0o666, durable: bool = False
) -> Iterator[Path]:
    """Name a file to write; it takes the place of `path` when the block ends, and is removed when the block raises.

    Args:
        path: its folder exists.
        shared: another thread or process may write the same file now: the name is this thread's own. Without it the
            name is always the same, so that what a killed process left is written over the next time.
        mode: permissions of the new file, before the umask.
        durable: once the block has ended, the file survives a power cut.
    """
    own = f".{os.getpid()}-{threading.get_ident()}" if shared else ""
    part = path.with_name(f".{path.name}{own}.part")
    part.unlink(missing_ok=True)
    try:
        os.close(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode))
        yield part
        if durable:
            flush(part)
        os.replace(part, path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    if durable:
        flush(path.parent)


def flush(path: Path) -> None:
    """Bring a file, or the entries of a folder, from the operating system's memory to the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
