"""EvaluationCache: what a model version found on an image is not computed twice.

A retrain evaluates the champion on nearly the same test patients as the one before. Results are cached before they are
compared with a truth, so that a corrected annotation needs no new entry. The key states everything that they depend on:

    image      SHA-256 of the file, and what else determines its pixels (`Case.reading`)
    model      SHA-256 of both weight files, operating point, prompt rule, presence threshold, runtimes, threads
    code       SHA-256 of the source of `mammo`, and every installed distribution with its version
    processor  instruction sets, which decide how sums are rounded

A case or model that cannot say all of it is not cached. A file holds the key itself besides the result, and the SHA-256
of both; it is JSON, so reading it executes nothing.
"""

from __future__ import annotations

import hashlib
import zlib
from functools import cache
from importlib.metadata import distributions
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

import mammo
from mammo.bounded_folder import BoundedFolder
from mammo.processor import instruction_sets
from training.cases import Case
from training.evaluation.image_result import ImageResult

if TYPE_CHECKING:  # brings torch in
    from mammo.pipeline import Prelabeller

FORMAT = 1
"""Of the files."""

DIGEST_BYTES = 32

Key = dict[str, Any]


class EvaluationCache:
    """Results by model version and image, in a folder of limited size. Threads and processes may share the folder."""

    def __init__(self, folder: Path, *, max_bytes: int) -> None:
        """
        Args:
            folder: made with the first file.
            max_bytes: size of all files; the least recently used go first.
        """
        self._files = BoundedFolder(folder, suffix=".json", max_bytes=max_bytes, what="an evaluated image")

    def get(self, prelabeller: Prelabeller, case: Case, *, threshold: float) -> ImageResult | None:
        """Return what a model found on an image; None if that is unknown, or cannot be known for sure.

        Args:
            threshold: least score of the detections.
        """
        key = key_of(prelabeller, case, threshold=threshold)
        if key is None:
            return None
        return self._files.read(
            _name(key),
            lambda path: _unpack(path.read_bytes(), key),
            damaged=(ValueError, KeyError, TypeError, zlib.error),
        )

    def put(self, prelabeller: Prelabeller, case: Case, result: ImageResult, *, threshold: float) -> None:
        """Store what a model found on an image; a failing disk is logged."""
        key = key_of(prelabeller, case, threshold=threshold)
        if key is not None:
            content = _pack(key, result)
            self._files.write(_name(key), lambda path: path.write_bytes(content), failed=())


def key_of(prelabeller: Prelabeller, case: Case, *, threshold: float) -> Key | None:
    """Return everything that the results of a model on an image depend on, as JSON values; None if it is unknown."""
    if prelabeller.identity is None or case.reading is None:
        return None
    return {
        "format": FORMAT,
        "image": case.image,
        "reading": case.reading,
        "model": dict(prelabeller.identity),
        "threshold": threshold,
        "code": code_digest(),
        "processor": list(instruction_sets()),
    }


@cache
def code_digest() -> str:
    """SHA-256 of the source of `mammo`, and of the names and versions of all installed distributions."""
    digest = hashlib.sha256()
    folder = Path(mammo.__file__).parent
    for path in sorted(folder.rglob("*.py")):
        digest.update(f"{path.relative_to(folder)}\n{path.stat().st_size}\n".encode())
        digest.update(path.read_bytes())
    for line in sorted({f"{each.name} {each.version}\n" for each in distributions()}):
        digest.update(line.encode())
    return digest.hexdigest()


def _canonical(key: Key) -> bytes:
    return orjson.dumps(key, option=orjson.OPT_SORT_KEYS)


def _name(key: Key) -> str:
    return hashlib.sha256(_canonical(key)).hexdigest()


def _pack(key: Key, result: ImageResult) -> bytes:
    """SHA-256 of what follows, then compressed JSON of key and result."""
    content = zlib.compress(orjson.dumps({"key": key, "result": result.to_json()}), 1)
    return hashlib.sha256(content).digest() + content


def _unpack(packed: bytes, key: Key) -> ImageResult:
    """Inverse of `_pack`; raises ValueError: the file is damaged, or of another key."""
    digest, content = packed[:DIGEST_BYTES], packed[DIGEST_BYTES:]
    if hashlib.sha256(content).digest() != digest:
        raise ValueError("damaged")
    stored = orjson.loads(zlib.decompress(content))
    if _canonical(stored["key"]) != _canonical(key):
        raise ValueError("of another key")
    return ImageResult.from_json(stored["result"])
