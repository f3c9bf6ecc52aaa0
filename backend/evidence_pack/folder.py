"""The folder of an evidence pack: a page, its documents, their hashes, and a signature of the hashes."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Sequence
from datetime import UTC, datetime
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from backend.evidence_pack.part import Part
from mammo.errors import InvalidBundle, StorageUnavailable
from mammo.input_files import read_input
from mammo.models.signing import private_key, require_trusted, signature_of
from mammo.printable import printable

PAGE, SUMS, SIGNATURE = "index.html", "SHA256SUMS", "SHA256SUMS.signature.json"
TEMPLATES = Path(__file__).parent / "templates"
MAX_BYTES = 2**30
"""Largest file of a pack that is checked, in bytes."""


def write_pack(parts: Sequence[Part], *, project: int | None, to: Path, key: Path | None) -> list[str]:
    """Write a pack into a new folder; returns the names of its files.

    Args:
        project: None: the pack is about the champion of the installation.
        key: file of the private key that signs it; None: it is not signed.

    Raises:
        InvalidBundle: the key cannot be read.
        StorageUnavailable: the folder exists and is not empty, or it cannot be written.
    """
    signer = None if key is None else private_key(key)
    page = _page(parts, project=project, is_signed=key is not None)
    files = {PAGE: page, **{part.file: part.content for part in parts}}
    files[SUMS] = "".join(f"{_digest(content)}  {name}\n" for name, content in sorted(files.items())).encode()
    if signer is not None:
        files[SIGNATURE] = signature_of(files[SUMS], signer)
    try:
        to.mkdir(mode=0o700, parents=True, exist_ok=True)
        if any(to.iterdir()):
            raise StorageUnavailable(
                f"{to} is not empty, and nothing in it is overwritten; name a new folder"
            )
        for name, content in files.items():
            (to / name).write_bytes(content)
    except OSError as error:
        raise StorageUnavailable(f"{to} cannot be written ({error.strerror}); name another folder") from error
    return sorted(files)


def check_pack(folder: Path, *, trusted: Collection[str] | None) -> int:
    """Check that a pack is as it was written; returns the number of its documents.

    Args:
        trusted: public keys, in hexadecimal, one of which must have signed it; None: it need not be signed.

    Raises:
        InvalidBundle: a file is missing, changed or not listed, or the pack is not signed with a trusted key.
    """
    name = printable(folder.name)
    try:
        sums = read_input(folder / SUMS, max_bytes=2**20)
        if trusted is not None:
            signature = read_input(folder / SIGNATURE, max_bytes=2**12)
            require_trusted(sums, signature, trusted=trusted, name=f"{name}/{SIGNATURE}")
        listed: dict[str, str] = {}
        for line in sums.decode().splitlines():
            digest, file = line.split("  ", 1)
            listed[file] = digest
        present = {each.name for each in folder.iterdir()} - {SUMS, SIGNATURE}
        if wrong := sorted(present ^ listed.keys()):
            raise InvalidBundle(
                f"{name} is not as it was written: {printable(wrong[0])} is missing, or was added"
            )
        for file, digest in sorted(listed.items()):
            if _digest(read_input(folder / file, max_bytes=MAX_BYTES)) != digest:
                raise InvalidBundle(f"{name} is not as it was written: {printable(file)} was changed")
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "its list of hashes is none"
        raise InvalidBundle(
            f"{name} is no evidence pack: {reason}; name the folder that holds {SUMS}"
        ) from None
    return len(listed)


def _page(parts: Sequence[Part], *, project: int | None, is_signed: bool) -> bytes:
    templates = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    now = datetime.now(UTC).isoformat(timespec="seconds")
    digests = {part.file: _digest(part.content) for part in parts}
    page = templates.get_template("evidence.html").render(
        parts=parts, project=project, now=now, digests=digests, is_signed=is_signed
    )
    return page.encode("utf-8", "replace")


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
