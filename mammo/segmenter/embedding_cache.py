"""EmbeddingCache: the features of regions, in memory and on disk."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from pathlib import Path

from cachetools import LRUCache
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from mammo.bounded_folder import BoundedFolder
from mammo.segmenter.runtime import Features

SUFFIX = ".safetensors"


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
    """The disk tier."""

    def __init__(self, folder: Path, budget: int) -> None:
        self._files = BoundedFolder(folder, suffix=SUFFIX, max_bytes=budget, what="an embedding")

    def read(self, key: str) -> Features | None:
        """Read the features of a key; None on a miss."""
        return self._files.read(key, _load, damaged=(SafetensorError, KeyError))

    def write(self, key: str, features: Features) -> None:
        """Store the features of a key."""
        tensors = {name: array for name, array in features._asdict().items() if array is not None}
        self._files.write(key, partial(save_file, tensors), failed=(SafetensorError,))


def _load(path: Path) -> Features:
    tensors = load_file(path)
    return Features(tensors["neck"], tensors.get("fused"))
