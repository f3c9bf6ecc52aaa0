"""EmbeddingCache: the features of regions, in memory and on disk."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path

import structlog
from cachetools import LRUCache
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from mammo.atomic_files import replacing
from mammo.segmenter.runtime import Features

SUFFIX = ".safetensors"

log = structlog.get_logger()


class EmbeddingCache:
    """A least-recently-used cache with a memory tier and a disk tier.

    Threads may share a cache, and processes may share its folder. Concurrent requests for the same key compute it once.
    Keys are hashes of the content, so entries never become stale. Files hold two tensors and no attribute of the image.
    """

    def __init__(self, *, memory_bytes: int, folder: Path | None = None, disk_bytes: int = 0) -> None:
        """
        Args:
            memory_bytes: size of the memory tier; 0 disables it.
            folder: folder of the disk tier; created with mode 0700 if missing.
            disk_bytes: size of the disk tier; 0 disables it.
        """
        self._disk = _Folder(folder, disk_bytes) if folder is not None and disk_bytes > 0 else None
        self._lock = threading.Lock()
        self._memory: LRUCache[str, Features] = LRUCache(
            memory_bytes, getsizeof=lambda entry: entry.num_bytes
        )
        self._pending: dict[str, Future[Features]] = {}

    def get(self, key: str, compute: Callable[[], Features]) -> Features:
        """Return the features of a key, computed on a miss by one caller at a time.

        Args:
            key: see `embedding_key`.
            compute: computes the features; its exception is raised in every caller that waits for them.
        """
        with self._lock:
            cached = self._memory.get(key)
            if cached is not None:
                return cached
            pending = self._pending.get(key)
            if pending is None:
                result: Future[Features] = Future()
                self._pending[key] = result
        if pending is not None:
            return pending.result()
        try:
            features = self._disk.read(key) if self._disk else None
            if features is None:
                features = compute()
                if self._disk:
                    self._disk.write(key, features)
        except BaseException as error:
            with self._lock:
                del self._pending[key]
            result.set_exception(error)
            raise
        with self._lock:
            del self._pending[key]
            # `LRUCache` raises for an entry larger than the whole cache.
            if features.num_bytes <= self._memory.maxsize:
                self._memory[key] = features
        result.set_result(features)
        return features


class _Folder:
    """The disk tier, one file per key. A full disk, a damaged file or a missing folder is only a cache miss."""

    def __init__(self, folder: Path, budget: int) -> None:
        self._folder = folder
        self._budget = budget
        self._lock = threading.Lock()
        self._total: int | None = None
        """Size of the folder when it was last listed, plus the bytes written since; None before."""

    def read(self, key: str) -> Features | None:
        """Read the features of a key; None on a miss. A damaged file is deleted."""
        path = self._folder / f"{key}{SUFFIX}"
        try:
            tensors = load_file(path)
            features = Features(tensors["neck"], tensors.get("fused"))
            os.utime(path)
        except FileNotFoundError:
            return None
        except (OSError, SafetensorError, KeyError) as error:
            log.warning("a cached embedding cannot be read and is computed again", error=type(error).__name__)
            with contextlib.suppress(OSError):
                path.unlink()
            return None
        return features

    def write(self, key: str, features: Features) -> None:
        """Store the features of a key; a failure is logged."""
        tensors = {name: array for name, array in features._asdict().items() if array is not None}
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            with replacing(self._folder / f"{key}{SUFFIX}", shared=True, mode=0o600) as part:
                save_file(tensors, part)
                written = part.stat().st_size
            self._shrink(written)
        except (OSError, SafetensorError) as error:
            log.warning("an embedding cannot be stored on disk", error=type(error).__name__)

    def _shrink(self, written: int) -> None:
        """Delete the least recently used files until the folder fits its size; other processes may do the same."""
        with self._lock, contextlib.suppress(FileNotFoundError):
            if self._total is not None and self._total + written <= self._budget:
                self._total += written
                return
            files = []
            for path in self._folder.iterdir():
                with contextlib.suppress(FileNotFoundError):
                    stat = path.stat()
                    files.append((stat.st_mtime_ns, stat.st_size, path))
            total = sum(size for _, size, _ in files)
            for _, size, path in sorted(files):
                if total <= self._budget:
                    break
                path.unlink(missing_ok=True)
                total -= size
            self._total = total
