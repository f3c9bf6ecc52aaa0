"""Bundles: a model version in one signed file, for an installation without a network.

A bundle is an uncompressed ZIP archive with four members: the version's manifest, its two weight files, and an Ed25519
signature (RFC 8032) of the manifest's bytes. The manifest names the weights by SHA-256, so the signature covers
everything. Nothing is registered before signature, sizes and hashes are verified, and no name in a bundle is used as a
path.
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
from mammo.input_files import open_input, read_input
from mammo.models.registry import PARTS, STAYS_AT_SITE, ModelRegistry

FORMAT = "yolo-mlsam bundle 1"
MANIFEST, SIGNATURE = "manifest.json", "signature.json"
MEMBERS = (MANIFEST, SIGNATURE, *(f"{part}.safetensors" for part in PARTS))
MAX_TEXT_BYTES = 2**20
"""Largest manifest and largest signature, in bytes."""

MAX_WEIGHTS_BYTES = 8 * 2**30
"""Largest weight file, in bytes (SAM ViT-H in float32 has 2.4 GiB)."""


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


def export_bundle(
    registry: ModelRegistry, version: str, *, key: Path, to: Path, same_site: bool = False
) -> str:
    """Write a version's bundle atomically; returns the signer's public key in hexadecimal.

    Args:
        key: File of the private key; see `make_key`.
        same_site: Whether the receiving installation is this site's own.

    Raises:
        ModelNotFound: The version does not exist.
        InvalidWeights: Its files are missing or damaged.
        InvalidBundle: The key cannot be read; or the weights must not leave the site (code `stays_at_site`).
        StorageUnavailable: The file cannot be written.
    """
    signer = _private_key(key)
    manifest = registry.manifest(version)
    if manifest.get(STAYS_AT_SITE) and not same_site:
        raise InvalidBundle(
            f"{version} learned from images that must not leave this site: {', '.join(manifest[STAYS_AT_SITE])}; give "
            "--same-site if the receiving installation is this site's own",
            code="stays_at_site",
        )
    with tempfile.TemporaryDirectory(dir=to.parent, prefix=".bundle-") as folder:
        files = registry.files(version, into=Path(folder))
        content = json.dumps({"format": FORMAT, **manifest}, sort_keys=True, indent=1).encode()
        public_key = signer.public_key().public_bytes_raw().hex()
        signature = json.dumps({"key": public_key, "signature": signer.sign(content).hex()}).encode()
        partial = Path(folder) / "bundle"
        try:
            with zipfile.ZipFile(partial, "w", zipfile.ZIP_STORED) as archive:
                archive.writestr(MANIFEST, content)
                archive.writestr(SIGNATURE, signature)
                for part in PARTS:
                    archive.write(getattr(files, part), f"{part}.safetensors")
            partial.replace(to)
        except OSError as error:
            raise StorageUnavailable(
                f"{to.name} cannot be written: {error.strerror}; check the folder and its free space"
            ) from error
    return public_key


def import_bundle(registry: ModelRegistry, bundle: Path, *, trusted: Collection[str]) -> str:
    """Register the version of a bundle under its original name; returns the name. Repeating the call changes nothing.

    Nothing is promoted: only `promote` moves the champion.

    Args:
        trusted: Public keys, in hexadecimal, whose signatures this installation accepts.

    Raises:
        InvalidBundle: The file is no bundle, incomplete or damaged, or not signed with a trusted key.
        InvalidWeights: The name is registered with other files.
        StorageUnavailable: The version cannot be registered now.
    """
    try:
        with open_input(bundle) as file, zipfile.ZipFile(file) as archive:
            content = _trusted_manifest(archive, bundle.name, trusted)
            manifest = json.loads(content)
            if not isinstance(manifest, dict) or manifest.pop("format", None) != FORMAT:
                raise InvalidBundle(
                    f"{bundle.name} has another format than {FORMAT!r}; update this installation"
                )
            with tempfile.TemporaryDirectory(prefix="yolo-mlsam-bundle-") as folder:
                files = {part: _unpack(archive, part, manifest, Path(folder)) for part in PARTS}
                manifest.pop("created_at", None)
                return registry.register_foreign(manifest, **files)
    except (zipfile.BadZipFile, KeyError, ValueError, TypeError, OSError) as error:
        raise InvalidBundle(f"{bundle.name} cannot be read as a bundle ({error}); copy it again") from error


def _trusted_manifest(archive: zipfile.ZipFile, name: str, trusted: Collection[str]) -> bytes:
    if sorted(archive.namelist()) != sorted(MEMBERS):
        raise InvalidBundle(f"{name} is no bundle: its members must be exactly {', '.join(MEMBERS)}")
    for member in (MANIFEST, SIGNATURE):
        if archive.getinfo(member).file_size > MAX_TEXT_BYTES:
            raise InvalidBundle(
                f"{name}: {member} must have at most {MAX_TEXT_BYTES} bytes, got {archive.getinfo(member).file_size}"
            )
    content = archive.read(MANIFEST)
    signed = json.loads(archive.read(SIGNATURE))
    key = str(signed["key"]).lower()
    if key not in {each.strip().lower() for each in trusted}:
        raise InvalidBundle(
            f"{name} is signed with the key {key[:64]}, which this installation does not trust; verify it with "
            "the sender over another channel, then pass it with --trust or YOLO_MLSAM_TRUSTED_KEYS"
        )
    try:
        Ed25519PublicKey.from_public_bytes(bytes.fromhex(key)).verify(
            bytes.fromhex(signed["signature"]), content
        )
    except InvalidSignature:
        raise InvalidBundle(
            f"{name}: the signature does not match, so the bundle was changed after it was signed; get a new copy"
        ) from None
    return content


def _unpack(archive: zipfile.ZipFile, part: str, manifest: dict[str, Any], folder: Path) -> Path:
    member = archive.getinfo(f"{part}.safetensors")
    expected = manifest[part]
    if member.file_size != expected["bytes"] or member.file_size > MAX_WEIGHTS_BYTES:
        raise InvalidBundle(
            f"the {part} has {member.file_size} bytes, its manifest states {expected['bytes']}; copy the bundle again"
        )
    path = folder / part
    with archive.open(member) as source, path.open("wb") as target:
        shutil.copyfileobj(source, target)
    if hash_file(path) != expected["sha256"]:
        raise InvalidBundle(f"the {part} differs from the signed one; copy the bundle again")
    return path


def _private_key(path: Path) -> Ed25519PrivateKey:
    try:
        key = load_pem_private_key(read_input(path, max_bytes=MAX_TEXT_BYTES), password=None)
    except (OSError, ValueError, TypeError) as error:
        raise InvalidBundle(
            f"{path.name} is no private key; create one with `yolo-mlsam models keygen`"
        ) from error
    if not isinstance(key, Ed25519PrivateKey):
        raise InvalidBundle(f"{path.name} is no Ed25519 key; create one with `yolo-mlsam models keygen`")
    return key
