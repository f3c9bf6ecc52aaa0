"""Atomic writes: a file is written under a temporary name in its folder and then renamed."""

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
    """Yield a temporary file that replaces `path` when the block ends, and is removed when the block raises.

    Args:
        path: the file to create or replace; its folder exists.
        shared: other threads or processes may write the same file now, so the temporary name is unique to this
            thread. Otherwise the name is fixed, and the remains of a killed process are overwritten.
        mode: permissions of the new file, before the umask.
        durable: flush the file to disk, so that it survives a power failure after the block has ended.
    """
    suffix = f".{os.getpid()}-{threading.get_ident()}" if shared else ""
    part = path.with_name(f".{path.name}{suffix}.part")
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
    """Flush a file, or the entries of a folder, from the operating system's cache to the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
