"""EmbeddingCache: features of regions, computed once; the last in memory, more on disk."""

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
    """Safe to share between threads, and its folder between processes.

    Whoever asks for what is being computed waits for it. The key names the content, so nothing is ever out of date:
    the least recently used goes when the budget is full.
    Files hold two tensors and nothing about the image they came from.
    """

    def __init__(self, *, memory_bytes: int, folder: Path | None = None, disk_bytes: int = 0) -> None:
        """
        Args:
            memory_bytes: budget of what is held in memory; 0 holds nothing there.
            folder: of the disk tier; created when missing, mode 0700.
            disk_bytes: budget of the folder; 0: no disk tier.
        """
        self._disk = _Folder(folder, disk_bytes) if folder is not None and disk_bytes > 0 else None
        self._lock = threading.Lock()
        self._kept: LRUCache[str, Features] = LRUCache(memory_bytes, getsizeof=lambda kept: kept.num_bytes)
        self._underway: dict[str, Future[Features]] = {}

    def get(self, key: str, compute: Callable[[], Features]) -> Features:
        """The features under a key; computed, by one caller at a time, where they are not known.

        Args:
            key: see `embedding_key`.
            compute: makes them; what it raises reaches everybody who waits.
        """
        with self._lock:
            known = self._kept.get(key)
            if known is not None:
                return known
            underway = self._underway.get(key)
            if underway is None:
                mine: Future[Features] = Future()
                self._underway[key] = mine
        if underway is not None:
            return underway.result()
        try:
            features = self._disk.read(key) if self._disk else None
            if features is None:
                features = compute()
                if self._disk:
                    self._disk.write(key, features)
        except BaseException as error:
            with self._lock:
                del self._underway[key]
            mine.set_exception(error)
            raise
        with self._lock:
            del self._underway[key]
            # A cache refuses what is larger than all of it.
            if features.num_bytes <= self._kept.maxsize:
                self._kept[key] = features
        mine.set_result(features)
        return features

    @property
    def held_bytes(self) -> int:
        """What is held in memory now."""
        with self._lock:
            return int(self._kept.currsize)


class _Folder:
    """One file per key. A full disk, a damaged file or a folder that vanished costs time, never an answer."""

    def __init__(self, folder: Path, budget: int) -> None:
        self._folder = folder
        self._budget = budget
        self._lock = threading.Lock()
        self._total: int | None = None
        """Bytes in the folder at the last look, and what was written since; None before the first look."""

    def read(self, key: str) -> Features | None:
        path = self._folder / f"{key}{SUFFIX}"
        try:
            tensors = load_file(path)
            features = Features(tensors["neck"], tensors.get("fused"))
            os.utime(path)
        except FileNotFoundError:
            return None
        except (OSError, SafetensorError, KeyError) as error:
            log.warning("a kept region cannot be read and is made again", error=type(error).__name__)
            with contextlib.suppress(OSError):
                path.unlink()
            return None
        return features

    def write(self, key: str, features: Features) -> None:
        tensors = {name: array for name, array in features._asdict().items() if array is not None}
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            with replacing(self._folder / f"{key}{SUFFIX}", shared=True, mode=0o600) as part:
                save_file(tensors, part)
                written = part.stat().st_size
            self._shrink(written)
        except (OSError, SafetensorError) as error:
            log.warning("a region cannot be kept on disk", error=type(error).__name__)

    def _shrink(self, written: int) -> None:
        """Delete the least recently used until the folder is within its budget; another process may do the same."""
        with self._lock, contextlib.suppress(FileNotFoundError):
            if self._total is not None and self._total + written <= self._budget:
                self._total += written
                return
            files = []
            for path in self._folder.iterdir():
                with contextlib.suppress(FileNotFoundError):
                    facts = path.stat()
                    files.append((facts.st_mtime_ns, facts.st_size, path))
            total = sum(size for _, size, _ in files)
            for _, size, path in sorted(files):
                if total <= self._budget:
                    break
                path.unlink(missing_ok=True)
                total -= size
            self._total = total
