"""The ZIP archive of a bundle: until its signature is verified, any file at all.

Nothing is unpacked, and no more is read than the limits below allow, whatever the archive states about itself.
"""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from io import BufferedReader
from pathlib import Path
from typing import IO, cast

from mammo.errors import InvalidBundle, MammoError, StorageUnavailable
from mammo.input_files import open_input
from mammo.printable import printable

CHUNK = 2**20
"""Most bytes that are read at once. The directory of an archive is read whole, and may state any size."""

NOT_STORED = 0x1 | 0x20 | 0x40
"""Flags of members that are encrypted or patches; bundles have none."""


class BundleArchive:
    """The members of an archive, each stored without compression."""

    def __init__(self, archive: zipfile.ZipFile, name: str, *, members: Collection[str]) -> None:
        """
        Args:
            archive: opened.
            name: printable name of the file, for messages.
            members: names that it must have, each once.

        Raises:
            InvalidBundle: it has others, or a member is compressed or encrypted.
        """
        self._archive = archive
        self._name = name
        if sorted(archive.namelist()) != sorted(members):
            raise InvalidBundle(f"{name} is no bundle: its members must be exactly {', '.join(members)}")
        for info in archive.infolist():
            if info.compress_type != zipfile.ZIP_STORED or info.flag_bits & NOT_STORED:
                raise InvalidBundle(f"{name}: {info.filename} must be neither compressed nor encrypted")

    def size(self, member: str) -> int:
        """Return the stated size of a member, in bytes."""
        return self._archive.getinfo(member).file_size

    def read(self, member: str, *, max_bytes: int) -> bytes:
        """Return the content of a small member.

        Raises:
            InvalidBundle: it is damaged, or has more than `max_bytes` bytes.
        """
        if self.size(member) > max_bytes:
            raise InvalidBundle(
                f"{self._name}: {member} must have at most {max_bytes} bytes, got {self.size(member)}"
            )
        with _damage_named(self._name), self._archive.open(member) as source:
            return source.read(max_bytes + 1)

    def copy(self, member: str, to: Path) -> str:
        """Copy a member to a file; returns the SHA-256 of its content.

        Raises:
            InvalidBundle: it is damaged.
            StorageUnavailable: the file cannot be written.
        """
        digest = hashlib.sha256()
        with _damage_named(self._name), self._archive.open(member) as source, _written(to) as target:
            while chunk := source.read(CHUNK):
                digest.update(chunk)
                target.write(chunk)
        return digest.hexdigest()


@contextmanager
def open_archive(path: Path, *, members: Collection[str]) -> Iterator[BundleArchive]:
    """Open an archive that must have exactly these members.

    Raises:
        InvalidBundle: it cannot be opened, or is no such archive.
    """
    name = printable(path.name)
    try:
        file = open_input(path)
    except OSError as error:
        raise InvalidBundle(f"{name} cannot be opened: {error.strerror}") from None
    with file:
        with _damage_named(name):
            archive = zipfile.ZipFile(cast("IO[bytes]", _BoundedReads(file)))
        with archive:
            yield BundleArchive(archive, name, members=members)


class _BoundedReads:
    """A file that refuses to read more than `CHUNK` bytes at once."""

    def __init__(self, file: BufferedReader) -> None:
        self.seek = file.seek
        self.seekable = file.seekable
        self.tell = file.tell
        self._file = file

    def read(self, size: int = -1) -> bytes:
        content = self._file.read(size if 0 <= size <= CHUNK else CHUNK + 1)
        if len(content) > CHUNK:
            raise zipfile.BadZipFile("its directory is too large")
        return content


@contextmanager
def _damage_named(name: str) -> Iterator[None]:
    """Turn whatever a damaged archive makes the zip library raise, which has no type in common, into one error."""
    try:
        yield
    except MammoError:
        raise
    except Exception as error:
        reason = printable(error, length=200) or type(error).__name__
        raise InvalidBundle(f"{name} cannot be read as a bundle ({reason}); copy it again") from error


@contextmanager
def _written(path: Path) -> Iterator[IO[bytes]]:
    try:
        with path.open("wb") as target:
            yield target
    except OSError as error:
        raise StorageUnavailable(
            f"a bundle cannot be unpacked into the temporary folder {path.parent.parent}: {error.strerror}; free some "
            "space, or set TMPDIR to another folder"
        ) from error
