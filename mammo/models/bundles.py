"""Bundles: a model version in one signed file, for a site that no network reaches.

A ZIP archive, uncompressed, of four members: the version's manifest, its two weight files, and an Ed25519 signature
(RFC 8032) of the manifest's bytes. The manifest names the weights by SHA-256, so the signature covers all of it.
Nothing is registered before signature, sizes and hashes are right, and no name in a bundle chooses a path here.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import zipfile
from collections.abc import Collection
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from mammo.blobs import hash_file
from mammo.errors import InvalidBundle, StorageUnavailable
from mammo.models.registry import PARTS, ModelRegistry

FORMAT = "yolo-mlsam bundle 1"
MANIFEST, SIGNATURE = "manifest.json", "signature.json"
MEMBERS = (MANIFEST, SIGNATURE, *(f"{part}.safetensors" for part in PARTS))
LARGEST_TEXT = 2**20
"""Most bytes of manifest and of signature."""

LARGEST_WEIGHTS = 8 * 2**30
"""Most bytes of one weight file (SAM ViT-H in float32 is 2.4 GiB)."""


def make_key(path: Path) -> str:
    """Write a new private key, readable by its owner only; returns the public key in hexadecimal.

    Raises:
        StorageUnavailable: the file exists already, or cannot be written.
    """
    key = Ed25519PrivateKey.generate()
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "wb") as file:
            file.write(pem)
    except FileExistsError:
        raise StorageUnavailable(f"{path.name} exists already; a key is never written over") from None
    except OSError as error:
        raise StorageUnavailable(f"{path.name} cannot be written: {error.strerror}") from error
    return key.public_key().public_bytes_raw().hex()


def export_bundle(registry: ModelRegistry, version: str, *, key: Path, to: Path) -> str:
    """Write a version's bundle; the file appears whole or not at all. Returns the signer's public key (hexadecimal).

    Args:
        key: private key, see `make_key`.

    Raises:
        ModelNotFound: no such version.
        InvalidWeights: its files are missing or damaged.
        InvalidBundle: the key cannot be read.
        StorageUnavailable: the file cannot be written.
    """
    signer = _private_key(key)
    manifest = registry.manifest(version)
    with tempfile.TemporaryDirectory(dir=to.parent, prefix=".bundle-") as folder:
        files = registry.files(version, into=Path(folder))
        content = json.dumps({"format": FORMAT, **manifest}, sort_keys=True, indent=1).encode()
        public = signer.public_key().public_bytes_raw().hex()
        signature = json.dumps({"key": public, "signature": signer.sign(content).hex()}).encode()
        partial = Path(folder) / "bundle"
        try:
            with zipfile.ZipFile(partial, "w", zipfile.ZIP_STORED) as archive:
                archive.writestr(MANIFEST, content)
                archive.writestr(SIGNATURE, signature)
                for part in PARTS:
                    archive.write(getattr(files, part), f"{part}.safetensors")
            partial.replace(to)
        except OSError as error:
            raise StorageUnavailable(f"{to.name} cannot be written: {error.strerror}") from error
    return public


def import_bundle(registry: ModelRegistry, bundle: Path, *, trusted: Collection[str]) -> str:
    """Register what a bundle holds under the name it has at home; returns the name. Twice is once.

    Nothing is promoted: the champion moves by `promote` alone.

    Args:
        trusted: public keys (hexadecimal) of those whose models this site takes.

    Raises:
        InvalidBundle: it is no bundle, incomplete or damaged, or not signed by a trusted key.
        InvalidWeights: the name is taken by other files here.
        StorageUnavailable: it cannot be registered now.
    """
    try:
        with zipfile.ZipFile(bundle) as archive:
            content = _trusted_manifest(archive, bundle.name, trusted)
            manifest = json.loads(content)
            if not isinstance(manifest, dict) or manifest.pop("format", None) != FORMAT:
                raise InvalidBundle(f"{bundle.name} is of another format than {FORMAT!r}; update this site")
            with tempfile.TemporaryDirectory(prefix="yolo-mlsam-bundle-") as folder:
                files = {part: _unpack(archive, part, manifest, Path(folder)) for part in PARTS}
                manifest.pop("created_at", None)
                return registry.take_over(manifest, **files)
    except (zipfile.BadZipFile, KeyError, ValueError, TypeError, OSError) as error:
        raise InvalidBundle(f"{bundle.name} cannot be read as a bundle ({error}); copy it again") from error


def _trusted_manifest(archive: zipfile.ZipFile, name: str, trusted: Collection[str]) -> bytes:
    if sorted(archive.namelist()) != sorted(MEMBERS):
        raise InvalidBundle(f"{name} is no bundle: it does not hold exactly {', '.join(MEMBERS)}")
    for member in (MANIFEST, SIGNATURE):
        if archive.getinfo(member).file_size > LARGEST_TEXT:
            raise InvalidBundle(f"{name}: {member} is larger than {LARGEST_TEXT} bytes")
    content = archive.read(MANIFEST)
    signed = json.loads(archive.read(SIGNATURE))
    key = str(signed["key"]).lower()
    if key not in {each.strip().lower() for each in trusted}:
        raise InvalidBundle(
            f"{name} is signed with the key {key[:64]}, which this site does not trust; "
            "check it with the sender by another way, then name it with --trust or YOLO_MLSAM_TRUSTED_KEYS"
        )
    try:
        Ed25519PublicKey.from_public_bytes(bytes.fromhex(key)).verify(
            bytes.fromhex(signed["signature"]), content
        )
    except InvalidSignature:
        raise InvalidBundle(
            f"{name}: the signature does not fit; it was changed after it was signed"
        ) from None
    return content


def _unpack(archive: zipfile.ZipFile, part: str, manifest: dict[str, Any], folder: Path) -> Path:
    member = archive.getinfo(f"{part}.safetensors")
    expected = manifest[part]
    if member.file_size != expected["bytes"] or member.file_size > LARGEST_WEIGHTS:
        raise InvalidBundle(f"the {part} has {member.file_size} bytes, its manifest says {expected['bytes']}")
    path = folder / part
    with archive.open(member) as source, path.open("wb") as target:
        shutil.copyfileobj(source, target)
    if hash_file(path) != expected["sha256"]:
        raise InvalidBundle(f"the {part} is not the one that was signed; copy the bundle again")
    return path


def _private_key(path: Path) -> Ed25519PrivateKey:
    try:
        key = load_pem_private_key(path.read_bytes(), password=None)
    except (OSError, ValueError, TypeError) as error:
        raise InvalidBundle(
            f"{path.name} is no private key; make one with `yolo-mlsam models keygen`"
        ) from error
    if not isinstance(key, Ed25519PrivateKey):
        raise InvalidBundle(f"{path.name} is no Ed25519 key; make one with `yolo-mlsam models keygen`")
    return key
