"""Blobs: immutable files named by the SHA-256 of their content.

They are stored in a folder, or in a bucket of an S3-compatible store that several hosts share. Content is verified
against its name when it is read, so damaged or swapped content is detected and not used.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from obstore.exceptions import AlreadyExistsError, BaseError
from obstore.store import LocalStore, S3Store

from mammo.atomic_files import flush, replacing
from mammo.errors import InvalidWeights, StorageUnavailable
from mammo.input_files import open_input
from mammo.settings import Bucket

SHA256 = re.compile(r"[0-9a-f]{64}")
ROOT = "sha256"
"""First part of every key."""


@dataclass(frozen=True)
class BlobInfo:
    """A blob in a listing."""

    digest: str
    """SHA-256, in hexadecimal."""

    bytes: int
    created_at: datetime
    """Time of storing, by the store's clock."""


class Blobs:
    """Content-addressed files in a folder or a bucket. Safe to share between threads and processes."""

    def __init__(self, place: Path | Bucket) -> None:
        """
        Args:
            place: A folder, created with access for its owner only if it is missing, or an existing bucket.
        """
        if isinstance(place, Bucket):
            self._folder: Path | None = None
            self._store: LocalStore | S3Store = _open_bucket(place)
        else:
            place.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._folder = place.resolve()
            self._store = LocalStore(prefix=self._folder)

    def put(self, content: Path | bytes) -> str:
        """Store a file or bytes; returns the SHA-256 once it is on the disk. A stored blob is not stored again.

        Raises:
            StorageUnavailable: The content cannot be stored now; existing blobs are unchanged.
        """
        digest = hash_file(content) if isinstance(content, Path) else hashlib.sha256(content).hexdigest()
        try:
            try:
                self._store.put(_key(digest), content, mode="create")
            except AlreadyExistsError:
                if self._hash(digest) == digest:
                    return digest
                # A crash before the first flush can leave an incomplete file under the right name: overwrite it.
                self._store.put(_key(digest), content)
            self._flush(digest)
        except (BaseError, OSError) as error:
            raise StorageUnavailable(
                "the blob store cannot store a file; check its free space and permissions"
            ) from error
        return digest

    def all(self) -> Iterator[BlobInfo]:
        """Yield every blob, in no particular order.

        Raises:
            StorageUnavailable: The store does not respond.
        """
        try:
            for page in self._store.list(prefix=ROOT):
                for each in page:
                    digest = each["path"].rpartition("/")[2]
                    if SHA256.fullmatch(digest):
                        yield BlobInfo(digest, each["size"], each["last_modified"])
        except BaseError as error:
            raise _unavailable() from error

    def delete(self, digest: str) -> None:
        """Delete a blob, if it exists. For `yolo-mlsam models gc` only.

        Raises:
            StorageUnavailable: The store does not respond, or refuses.
        """
        try:
            self._store.delete(_key(digest))
        except FileNotFoundError:
            return
        except (BaseError, OSError) as error:
            raise _unavailable() from error

    def read(self, digest: str) -> bytes:
        """Return the content of a small blob.

        Raises:
            InvalidWeights: The blob is missing or damaged (code `missing_blob` or `damaged_blob`).
            StorageUnavailable: The store does not respond.
        """
        try:
            content = bytes(self._store.get(_key(digest)).bytes())
        except FileNotFoundError:
            raise _missing(digest) from None
        except BaseError as error:
            raise _unavailable() from error
        if hashlib.sha256(content).hexdigest() != digest:
            raise _damaged(digest)
        return content

    def verify(self, digest: str) -> None:
        """Verify the content of a blob.

        Raises:
            InvalidWeights: The blob is missing or damaged (code `missing_blob` or `damaged_blob`).
            StorageUnavailable: The store does not respond.
        """
        try:
            content = self._hash(digest)
        except FileNotFoundError:
            raise _missing(digest) from None
        except (BaseError, OSError) as error:
            raise _unavailable() from error
        if content != digest:
            raise _damaged(digest)

    def copy(self, digest: str, *, to: Path) -> None:
        """Copy a blob to a file atomically, verifying its content.

        Raises:
            InvalidWeights: The blob is missing or damaged (code `missing_blob` or `damaged_blob`).
            StorageUnavailable: The store does not respond, or the file cannot be written.
        """
        try:
            source = self._store.get(_key(digest))
        except FileNotFoundError:
            raise _missing(digest) from None
        except BaseError as error:
            raise _unavailable() from error
        try:
            to.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            digester = hashlib.sha256()
            with replacing(to, shared=True, mode=0o600, durable=True) as part:
                with part.open("wb") as target:
                    for chunk in source:
                        digester.update(chunk)
                        target.write(chunk)
                if digester.hexdigest() != digest:
                    raise _damaged(digest)
        except (BaseError, OSError) as error:
            raise StorageUnavailable(
                f"{to.name} cannot be written; check the free space and the permissions of its folder"
            ) from error

    def _hash(self, digest: str) -> str:
        if self._folder is not None:
            return hash_file(self._folder / _key(digest))
        digester = hashlib.sha256()
        for chunk in self._store.get(_key(digest)):
            digester.update(chunk)
        return digester.hexdigest()

    def _flush(self, digest: str) -> None:
        """Flush a blob in a folder to the disk, because a registered model must survive a power failure."""
        if self._folder is None:
            return
        path = self._folder / _key(digest)
        for target in (path, path.parent):
            flush(target)


def hash_file(path: Path) -> str:
    """Return the SHA-256 of a file's content, in hexadecimal."""
    with open_input(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _key(digest: str) -> str:
    if not SHA256.fullmatch(digest):
        raise ValueError(f"expected a SHA-256 in hexadecimal, got {digest!r}")
    return f"{ROOT}/{digest[:2]}/{digest}"


def _open_bucket(bucket: Bucket) -> S3Store:
    return S3Store(
        bucket.name,
        prefix=bucket.prefix or None,
        endpoint=bucket.endpoint or None,
        region=bucket.region,
        access_key_id=bucket.access_key,
        secret_access_key=bucket.secret_key.get_secret_value(),
        virtual_hosted_style_request=not bucket.endpoint,
        conditional_put="etag",  # create-only puts: If-None-Match
        client_options={"allow_http": bucket.endpoint.startswith("http://"), "timeout": "120s"},
        retry_config={"max_retries": 4, "retry_timeout": timedelta(seconds=60)},
    )


def _unavailable() -> StorageUnavailable:
    return StorageUnavailable("the blob store does not respond; check the address and the keys of its bucket")


def _missing(digest: str) -> InvalidWeights:
    return InvalidWeights(
        f"blob {digest[:12]} is not in the blob store; restore it from a backup", code="missing_blob"
    )


def _damaged(digest: str) -> InvalidWeights:
    return InvalidWeights(
        f"blob {digest[:12]} is damaged: its content does not match its name; restore it from a backup",
        code="damaged_blob",
    )
