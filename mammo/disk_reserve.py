"""DiskReserve: disk space set aside, from which a decision can still be recorded when the disk is full.

A rollback takes a few kilobytes, and on a full disk there are none. The reserve is a file beside the database. A
command that records a decision takes a portion of it when the disk is full; events do not, so that they cannot use it
up. The backend fills it again once there is room.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import tempfile
from pathlib import Path

import structlog

SIZE = 4 * 2**20
"""Bytes of the whole reserve: eight portions."""

PORTION = 512 * 2**10
"""Bytes that one decision takes: SQLite's log, its index, and some pages of the database."""

AMPLE = 32 * 2**20
"""Free bytes from which the reserve is filled: it must not itself fill the disk."""

NEARLY_FULL = 2 * 2**30
"""Free bytes below which people are notified: a run writes a gigabyte or more."""

ROOMY_AGAIN = 3 * 2**30
"""Free bytes from which the disk no longer counts as nearly full, so that nobody is notified twice at the limit."""

FULL = frozenset({errno.ENOSPC, errno.EDQUOT})

log = structlog.get_logger()


class DiskReserve:
    """A file that takes space until it is needed."""

    def __init__(self, database: Path) -> None:
        self._path = database.with_name(f"{database.name}-reserve")

    def fill(self) -> None:
        """Fill the reserve, if there is ample room. Never raises."""
        with contextlib.suppress(OSError):
            present = self._path.stat().st_size if self._path.exists() else 0
            if present >= SIZE or shutil.disk_usage(self._path.parent).free < AMPLE:
                return
            handle = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            with open(handle, "ab") as file:
                file.write(os.urandom(SIZE - present))  # a file system cannot compress it
                file.flush()
                os.fsync(file.fileno())

    def release(self) -> bool:
        """Give a portion back if the disk is full; returns whether it did. Never raises."""
        try:
            present = self._path.stat().st_size
            if not present or not _is_full(self._path.parent):
                return False
            with self._path.open("rb+") as file:
                file.truncate(max(present - PORTION, 0))
                os.fsync(file.fileno())
        except OSError:
            return False
        log.warning("the disk is full: a part of the reserve is used", left=max(present - PORTION, 0))
        return True


def _is_full(folder: Path) -> bool:
    """Return whether a portion does not fit. Tried out, because a quota does not show in the free space."""
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            os.posix_fallocate(file.fileno(), 0, PORTION)
    except OSError as error:
        return error.errno in FULL
    return False
