"""BoundedFolder: a folder of cached files, one per key, that never grows beyond its size."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import structlog

from mammo.atomic_files import replacing

T = TypeVar("T")

log = structlog.get_logger()


class BoundedFolder:
    """The least recently used files go first. A full disk, a damaged file or a missing folder is only a cache miss.

    Threads may share one, and processes may share the folder.
    """

    def __init__(self, folder: Path, *, suffix: str, max_bytes: int, what: str) -> None:
        """
        Args:
            folder: created with mode 0700 when the first file is written.
            suffix: of the files.
            max_bytes: total size of the files.
            what: one of them, for the log: `an embedding`.
        """
        self._folder = folder
        self._suffix = suffix
        self._max_bytes = max_bytes
        self._what = what
        self._lock = threading.Lock()
        self._total: int | None = None
        """Size of the folder when it was last listed, plus the bytes written since; None before."""

    def read(self, key: str, load: Callable[[Path], T], *, damaged: tuple[type[Exception], ...]) -> T | None:
        """Return what `load` returns for the file of a key; None on a miss. A damaged file is deleted.

        Args:
            load: reads a file.
            damaged: what it raises, besides OSError, for a file that is damaged.
        """
        path = self._path(key)
        unreadable: tuple[type[Exception], ...] = (OSError, *damaged)
        try:
            content = load(path)
            os.utime(path)
        except FileNotFoundError:
            return None
        except unreadable as error:
            log.warning(
                "a cached file cannot be read and is made again", what=self._what, error=type(error).__name__
            )
            with contextlib.suppress(OSError):
                path.unlink()
            return None
        return content

    def write(self, key: str, save: Callable[[Path], object], *, failed: tuple[type[Exception], ...]) -> None:
        """Store a file atomically; a failure is logged.

        Args:
            save: writes the file.
            failed: what it raises, besides OSError, if it cannot.
        """
        problems: tuple[type[Exception], ...] = (OSError, *failed)
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            with replacing(self._path(key), shared=True, mode=0o600) as part:
                save(part)
                written = part.stat().st_size
            self._shrink(written)
        except problems as error:
            log.warning("a cached file cannot be stored", what=self._what, error=type(error).__name__)

    def _path(self, key: str) -> Path:
        return self._folder / f"{key}{self._suffix}"

    def _shrink(self, written: int) -> None:
        """Delete the least recently used files until the folder fits its size; other processes may do the same."""
        with self._lock, contextlib.suppress(FileNotFoundError):
            if self._total is not None and self._total + written <= self._max_bytes:
                self._total += written
                return
            files = []
            for path in self._folder.iterdir():
                with contextlib.suppress(FileNotFoundError):
                    stat = path.stat()
                    files.append((stat.st_mtime_ns, stat.st_size, path))
            total = sum(size for _, size, _ in files)
            for _, size, path in sorted(files):
                if total <= self._max_bytes:
                    break
                path.unlink(missing_ok=True)
                total -= size
            self._total = total
