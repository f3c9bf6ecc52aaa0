"""DownloadCache: what was downloaded, once per content, within a budget of bytes on disk.

    content/<sha256>     the bytes
    names/<sha256>.json  what an address led to: content hash, validators, when it was last asked for

Several processes share the folder: files appear whole or not at all, and whoever finds one missing downloads again.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import orjson
import structlog

from mammo.atomic_files import replacing

FRESH_SECONDS = 60.0
"""How long an answer is taken for granted; after that the server is asked whether it is still right."""

MAX_NAMES = 20_000
"""Addresses that are remembered. A signed address is another one each time, and the content that it leads to the same:
without a bound the names would fill the disk's table of files while the contents stay within their budget."""

log = structlog.get_logger()


@dataclass(frozen=True, kw_only=True)
class Known:
    """What an address led to last time."""

    sha256: str
    etag: str
    last_modified: str
    asked_at: float
    """Seconds since 1970."""

    def fresh(self, now: float) -> bool:
        return 0 <= now - self.asked_at < FRESH_SECONDS


class DownloadCache:
    """A folder of downloads. No method fails because the disk does: a cache is a convenience."""

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
            folder: made when missing, for our eyes only.
            max_bytes: of all contents together; what was not used for longest goes first. 0 keeps nothing.
            max_names: addresses; those that were not asked for longest go first, a tenth at a time.
        """
        self._contents = folder / "content"
        self._names = folder / "names"
        self._max_bytes = max_bytes
        self._max_names = max_names
        self._clock = clock

    def find(self, name: str) -> tuple[Known, bytes] | None:
        """What a name led to, whole and unchanged; None when it is not here any more."""
        try:
            known = Known(**orjson.loads(self._entry(name).read_bytes()))
            path = self._contents / known.sha256
            content = path.read_bytes()
            if hashlib.sha256(content).hexdigest() != known.sha256:
                path.unlink(missing_ok=True)
                return None
            os.utime(path)
        except (OSError, TypeError, ValueError):
            return None
        return known, content

    def fresh(self, known: Known) -> bool:
        return known.fresh(self._clock())

    def put(self, name: str, content: bytes, *, etag: str = "", last_modified: str = "") -> None:
        """Keep what a name led to, if it fits."""
        if len(content) > self._max_bytes:
            return
        known = Known(
            sha256=hashlib.sha256(content).hexdigest(),
            etag=etag,
            last_modified=last_modified,
            asked_at=self._clock(),
        )
        try:
            for folder in (self._contents, self._names):
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            path = self._contents / known.sha256
            if not path.exists():
                _write(path, content)
            os.utime(path)
            _write(self._entry(name), orjson.dumps(asdict(known)))
            self._make_room()
        except OSError as error:
            log.warning("a download is not kept", error=type(error).__name__)

    def _make_room(self) -> None:
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
            self._forget_names()
        if len(os.listdir(self._names)) > self._max_names:
            self._forget_oldest_names()

    def _forget_oldest_names(self) -> None:
        """Also what a process that was killed left half written."""
        files = []
        for path in self._names.iterdir():
            try:
                files.append((path.stat().st_mtime_ns, path))
            except FileNotFoundError:
                continue
        files.sort()
        for _, path in files[: max(0, len(files) - self._max_names * 9 // 10)]:
            path.unlink(missing_ok=True)

    def _forget_names(self) -> None:
        """Drop the names that lead nowhere any more."""
        kept = {path.name for path in self._contents.iterdir()}
        for path in self._names.iterdir():
            try:
                if orjson.loads(path.read_bytes())["sha256"] not in kept:
                    path.unlink(missing_ok=True)
            except (FileNotFoundError, ValueError, KeyError, TypeError):
                continue

    def _entry(self, name: str) -> Path:
        # A digest: however long the address, and whatever is in it, the name of the file is short and harmless.
        return self._names / f"{hashlib.sha256(name.encode('utf-8', 'surrogatepass')).hexdigest()}.json"


def _write(path: Path, content: bytes) -> None:
    """The whole file or none, readable by us only."""
    with replacing(path, shared=True, mode=0o600) as part:
        part.write_bytes(content)
