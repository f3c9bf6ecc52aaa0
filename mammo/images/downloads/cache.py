"""DownloadCache: downloads on disk, deduplicated by content, with a limited total size.

    content/<sha256>     the bytes
    names/<sha256>.json  by address: hash of the content, HTTP validators, time of the last request

Several processes share the folder. Files are written atomically, and a missing file is downloaded again.
"""

from __future__ import annotations

import hashlib
import io
import os
import shutil
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO

import orjson
import structlog

from mammo.atomic_files import replacing

FRESH_SECONDS = 60.0
"""Age up to which a download is used without asking the server whether it is still current."""

MAX_NAMES = 20_000
"""Maximum number of addresses. Signed addresses of the same content differ each time, so without this limit their
entries would use up the inodes of the disk while the contents stay within their limit."""

log = structlog.get_logger()


@dataclass(frozen=True, kw_only=True)
class CachedDownload:
    """Metadata of a cached download."""

    sha256: str
    etag: str
    last_modified: str
    asked_at: float
    """Time of the last request, in seconds since 1970."""

    def fresh(self, now: float) -> bool:
        """Whether the download can be used without asking the server."""
        return 0 <= now - self.asked_at < FRESH_SECONDS


class DownloadCache:
    """A folder of downloads. A failing disk is logged and never raises."""

    def __init__(
        self,
        folder: Path,
        *,
        max_bytes: int,
        max_names: int = MAX_NAMES,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """
        Args:
            folder: created when missing, readable by this user only.
            max_bytes: total size of the contents; the least recently used are deleted first. 0 disables the cache.
            max_names: number of addresses; the least recently requested tenth is deleted at a time.
            clock: time in seconds since 1970.
        """
        self._contents = folder / "content"
        self._names = folder / "names"
        self._max_bytes = max_bytes
        self._max_names = max_names
        self._clock = clock

    @property
    def folder(self) -> Path:
        """The folder, which may not exist yet."""
        return self._contents.parent

    def find(self, name: str) -> tuple[CachedDownload, IO[bytes]] | None:
        """Return the cached download of an address and its content; None when it is missing or damaged.

        The content is an open file at its beginning, which the caller closes; it stays readable if it is deleted.
        """
        try:
            cached = CachedDownload(**orjson.loads(self._entry(name).read_bytes()))
            path = self._contents / cached.sha256
            with ExitStack() as opened:
                content = opened.enter_context(path.open("rb"))
                if _sha256(content) != cached.sha256:
                    path.unlink(missing_ok=True)
                    return None
                os.utime(path)
                opened.pop_all()
        except (OSError, TypeError, ValueError):
            return None
        return cached, content

    def fresh(self, cached: CachedDownload) -> bool:
        """Whether a cached download can be used without asking the server."""
        return cached.fresh(self._clock())

    def put(self, name: str, content: IO[bytes], *, etag: str = "", last_modified: str = "") -> None:
        """Store the content of an address, unless it is larger than the cache; leave it at its beginning."""
        size = content.seek(0, os.SEEK_END)
        content.seek(0)
        if size > self._max_bytes:
            return
        cached = CachedDownload(
            sha256=_sha256(content),
            etag=etag,
            last_modified=last_modified,
            asked_at=self._clock(),
        )
        try:
            for folder in (self._contents, self._names):
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            path = self._contents / cached.sha256
            if not path.exists():
                _write(path, content)
            os.utime(path)
            _write(self._entry(name), io.BytesIO(orjson.dumps(asdict(cached))))
            self._evict()
        except OSError as error:
            log.warning("a download cannot be cached", error=type(error).__name__)
        finally:
            content.seek(0)

    def _evict(self) -> None:
        files = []
        for path in self._contents.iterdir():
            try:
                files.append((path.stat().st_mtime_ns, path.stat().st_size, path))
            except FileNotFoundError:
                continue
        total = sum(size for _, size, _ in files)
        removed = False
        for _, size, path in sorted(files):
            if total <= self._max_bytes:
                break
            path.unlink(missing_ok=True)
            total -= size
            removed = True
        if removed:
            self._delete_dangling_names()
        if len(os.listdir(self._names)) > self._max_names:
            self._delete_oldest_names()

    def _delete_oldest_names(self) -> None:
        """Delete the oldest tenth, which includes partial files of killed processes."""
        files = []
        for path in self._names.iterdir():
            try:
                files.append((path.stat().st_mtime_ns, path))
            except FileNotFoundError:
                continue
        files.sort()
        for _, path in files[: max(0, len(files) - self._max_names * 9 // 10)]:
            path.unlink(missing_ok=True)

    def _delete_dangling_names(self) -> None:
        """Delete the entries whose content was deleted."""
        contents = {path.name for path in self._contents.iterdir()}
        for path in self._names.iterdir():
            try:
                if orjson.loads(path.read_bytes())["sha256"] not in contents:
                    path.unlink(missing_ok=True)
            except (FileNotFoundError, ValueError, KeyError, TypeError):
                continue

    def _entry(self, name: str) -> Path:
        # A digest is a short and safe file name for any address.
        return self._names / f"{hashlib.sha256(name.encode('utf-8', 'surrogatepass')).hexdigest()}.json"


def _write(path: Path, content: IO[bytes]) -> None:
    """Write a file atomically, readable by this user only."""
    with replacing(path, shared=True, mode=0o600) as part, part.open("wb") as file:
        shutil.copyfileobj(content, file)


def _sha256(content: IO[bytes]) -> str:
    """Return the SHA-256 of a whole content, and leave it at its beginning."""
    digest = hashlib.sha256()
    content.seek(0)
    while chunk := content.read(2**20):
        digest.update(chunk)
    content.seek(0)
    return digest.hexdigest()
