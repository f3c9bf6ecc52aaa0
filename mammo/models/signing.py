"""Signatures of files that travel: Ed25519 (RFC 8032), and the key beside the signature, both in hexadecimal."""

from __future__ import annotations

import os
import re
from collections.abc import Collection
from pathlib import Path
from typing import Any

import orjson
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from mammo.errors import InvalidBundle, StorageUnavailable
from mammo.input_files import read_input
from mammo.printable import printable

KEY, SIGNED = re.compile("[0-9a-f]{64}"), re.compile("[0-9a-f]{128}")
"""A public key and a signature, in hexadecimal."""

MAX_KEY_BYTES = 2**20
"""Largest file of a private key, in bytes."""


def make_key(path: Path) -> str:
    """Write a new private key, readable by its owner only; returns the public key in hexadecimal.

    Raises:
        StorageUnavailable: The file already exists, or cannot be written.
    """
    key = Ed25519PrivateKey.generate()
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "wb") as file:
            file.write(pem)
    except FileExistsError:
        raise StorageUnavailable(
            f"{path.name} already exists, and a key is never overwritten; choose another file name"
        ) from None
    except OSError as error:
        raise StorageUnavailable(
            f"{path.name} cannot be written: {error.strerror}; check the folder and its permissions"
        ) from error
    return key.public_key().public_bytes_raw().hex()


def private_key(path: Path) -> Ed25519PrivateKey:
    """Read a private key.

    Raises:
        InvalidBundle: the file cannot be read, or holds no Ed25519 key.
    """
    try:
        key = load_pem_private_key(read_input(path, max_bytes=MAX_KEY_BYTES), password=None)
    except (OSError, ValueError, TypeError) as error:
        raise InvalidBundle(
            f"{path.name} is no private key; create one with `yolo-mlsam models keygen`"
        ) from error
    if not isinstance(key, Ed25519PrivateKey):
        raise InvalidBundle(f"{path.name} is no Ed25519 key; create one with `yolo-mlsam models keygen`")
    return key


def public_key_of(signer: Ed25519PrivateKey) -> str:
    """Return the public key, in hexadecimal."""
    return signer.public_key().public_bytes_raw().hex()


def signature_of(content: bytes, signer: Ed25519PrivateKey) -> bytes:
    """Return the signature of a content, with the public key, as JSON."""
    return orjson.dumps({"key": public_key_of(signer), "signature": signer.sign(content).hex()})


def require_trusted(content: bytes, signature: bytes, *, trusted: Collection[str], name: str) -> None:
    """Check a signature.

    Args:
        content: what was signed; unparsed.
        signature: of `signature_of`; any bytes.
        trusted: public keys, in hexadecimal.
        name: of the file, printable, for messages.

    Raises:
        InvalidBundle: the content is not signed with a trusted key.
    """
    signed = parsed_object(signature, name)
    key, value = str(signed.get("key")).lower(), str(signed.get("signature")).lower()
    if not KEY.fullmatch(key) or not SIGNED.fullmatch(value):
        raise InvalidBundle(f"{name} is not signed: it holds no key and signature; get a new copy")
    if key not in {each.strip().lower() for each in trusted}:
        raise InvalidBundle(
            f"{name} is signed with the key {key}, which this installation does not trust; verify it with "
            "the sender over another channel, then pass it with --trust or YOLO_MLSAM_TRUSTED_KEYS"
        )
    try:
        Ed25519PublicKey.from_public_bytes(bytes.fromhex(key)).verify(bytes.fromhex(value), content)
    except (InvalidSignature, ValueError):  # ValueError: the key is no point of the curve
        raise InvalidBundle(
            f"{name}: the signature does not match, so it was changed after it was signed; get a new copy"
        ) from None


def parsed_object(content: bytes, name: str) -> dict[str, Any]:
    """Parse a JSON object of a signed file.

    Raises:
        InvalidBundle: It is none.
    """
    try:
        parsed = orjson.loads(content)
        orjson.dumps(parsed)  # what is nested more deeply could not be stored
    except (orjson.JSONDecodeError, orjson.JSONEncodeError) as error:
        raise InvalidBundle(f"{name} is damaged: {printable(error, length=100)}; copy it again") from None
    if not isinstance(parsed, dict):
        raise InvalidBundle(f"{name} is damaged: expected a JSON object; copy it again")
    return parsed
