"""Blobs: files named by the SHA-256 of their content, written once and never changed."""

from __future__ import annotations

import hashlib
import os
import re
import tempfile
from pathlib import Path

from obstore.exceptions import AlreadyExistsError, BaseError
from obstore.store import LocalStore

from mammo.errors import InvalidWeights, StorageUnavailable

CHUNK = 2**20
SHA256 = re.compile(r"[0-9a-f]{64}")


class Blobs:
    """A folder of content-addressed files."""

    def __init__(self, folder: Path) -> None:
        """Args:
        folder: created when missing, open to its owner only.
        """
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._folder = folder.resolve()
        self._store = LocalStore(prefix=self._folder)

    def put(self, content: Path | bytes) -> str:
        """Keep a file or bytes; returns the SHA-256 once the content is on the disk. Twice is once.

        Raises:
            StorageUnavailable: the folder cannot take it now; nothing that was there is changed.
        """
        digest = hash_file(content) if isinstance(content, Path) else hashlib.sha256(content).hexdigest()
        try:
            try:
                self._store.put(_key(digest), content, mode="create")
            except AlreadyExistsError:
                if self._hash(digest) == digest:
                    return digest
                # A crash before the first flush can leave a torn file under the right name: put it right.
                self._store.put(_key(digest), content)
            self._flush(digest)
        except (BaseError, OSError) as error:
            raise StorageUnavailable("the blob store cannot take a file now; is its disk full?") from error
        return digest

    def read(self, digest: str) -> bytes:
        """The content of a small blob.

        Raises:
            InvalidWeights: it is missing or damaged (code `missing_blob` or `damaged_blob`).
        """
        try:
            content = bytes(self._store.get(_key(digest)).bytes())
        except FileNotFoundError:
            raise _missing(digest) from None
        if hashlib.sha256(content).hexdigest() != digest:
            raise _damaged(digest)
        return content

    def copy(self, digest: str, *, to: Path) -> None:
        """Copy a blob to a file, verified on the way; the file appears whole or not at all.

        Raises:
            InvalidWeights: it is missing or damaged (code `missing_blob` or `damaged_blob`).
            StorageUnavailable: the target cannot be written.
        """
        try:
            source = self._store.get(_key(digest))
        except FileNotFoundError:
            raise _missing(digest) from None
        try:
            to.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            handle, name = tempfile.mkstemp(dir=to.parent, prefix=f".{to.name}.")
            partial = Path(name)
            try:
                seen = hashlib.sha256()
                with os.fdopen(handle, "wb") as target:
                    for chunk in source:
                        seen.update(chunk)
                        target.write(chunk)
                    target.flush()
                    os.fsync(target.fileno())
                if seen.hexdigest() != digest:
                    raise _damaged(digest)
                partial.replace(to)
            finally:
                partial.unlink(missing_ok=True)
        except (BaseError, OSError) as error:
            raise StorageUnavailable(f"{to.name} cannot be written; is its disk full?") from error

    def _hash(self, digest: str) -> str:
        return hash_file(self._folder / _key(digest))

    def _flush(self, digest: str) -> None:
        """The store leaves flushing to the operating system; a registered model must survive a power cut."""
        path = self._folder / _key(digest)
        for target in (path, path.parent):
            handle = os.open(target, os.O_RDONLY)
            try:
                os.fsync(handle)
            finally:
                os.close(handle)


def hash_file(path: Path) -> str:
    """SHA-256 of a file's bytes, hexadecimal."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def _key(digest: str) -> str:
    if not SHA256.fullmatch(digest):
        raise ValueError(f"expected a SHA-256 in hexadecimal, got {digest!r}")
    return f"sha256/{digest[:2]}/{digest}"


def _missing(digest: str) -> InvalidWeights:
    return InvalidWeights(f"blob {digest[:12]} is not in the blob store; restore it", code="missing_blob")


def _damaged(digest: str) -> InvalidWeights:
    return InvalidWeights(
        f"blob {digest[:12]} does not have the content its name promises; restore it", code="damaged_blob"
    )
