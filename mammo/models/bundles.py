"""Bundles: a model version in one signed file, for an installation without a network.

A bundle is an uncompressed ZIP archive with four members: the version's manifest, its two weight files, and an Ed25519
signature (RFC 8032) of the manifest's bytes. The manifest names the weights by SHA-256, so the signature covers
everything. The signature is verified before anything that it covers is parsed or unpacked, nothing is registered before
sizes and hashes are verified too, and no name in a bundle is used as a path.
"""

from __future__ import annotations

import json
import os
import re
import tempfile
import zipfile
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
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
from mammo.models.bundle_archive import BundleArchive, open_archive
from mammo.models.manifests import PARTS, STAYS_AT_SITE, problem_of_files
from mammo.models.registry import ModelFiles, ModelRegistry, require_usable
from mammo.models.starter_files import starter_files, starter_manifest
from mammo.printable import printable

FORMAT = "yolo-mlsam bundle 1"
MANIFEST, SIGNATURE = "manifest.json", "signature.json"
MEMBERS = (MANIFEST, SIGNATURE, *(f"{part}.safetensors" for part in PARTS))
MAX_TEXT_BYTES = 2**20
"""Largest manifest, in bytes."""

MAX_SIGNATURE_BYTES = 2**12
KEY, SIGNED = re.compile("[0-9a-f]{64}"), re.compile("[0-9a-f]{128}")
"""A public key and a signature, in hexadecimal."""

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
    require_usable(manifest)
    if manifest.get(STAYS_AT_SITE) and not same_site:
        raise InvalidBundle(
            f"{version} learned from images that must not leave this site: {', '.join(manifest[STAYS_AT_SITE])}; give "
            "--same-site if the receiving installation is this site's own",
            code="stays_at_site",
        )
    with _folder_beside(to) as folder:
        return _write(manifest, registry.files(version, into=folder), signer, folder=folder, to=to)


def export_starter(*, key: Path, to: Path) -> str:
    """Write the bundle of the packaged starter, which needs no registry; returns the signer's public key.

    Raises:
        InvalidWeights: Its files are damaged.
        InvalidBundle: The key cannot be read.
        StorageUnavailable: The file cannot be written.
    """
    signer = _private_key(key)
    with _folder_beside(to) as folder:
        return _write(starter_manifest(), starter_files(), signer, folder=folder, to=to)


def _write(
    manifest: Mapping[str, Any], files: ModelFiles, signer: Ed25519PrivateKey, *, folder: Path, to: Path
) -> str:
    content = json.dumps({"format": FORMAT, **manifest}, sort_keys=True, indent=1).encode()
    public_key = signer.public_key().public_bytes_raw().hex()
    signature = json.dumps({"key": public_key, "signature": signer.sign(content).hex()}).encode()
    partial = folder / "bundle"
    with zipfile.ZipFile(partial, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr(MANIFEST, content)
        archive.writestr(SIGNATURE, signature)
        for part in PARTS:
            archive.write(getattr(files, part), f"{part}.safetensors")
    partial.replace(to)
    return public_key


@contextmanager
def _folder_beside(path: Path) -> Iterator[Path]:
    """Yield a temporary folder on the same disk."""
    try:
        with tempfile.TemporaryDirectory(dir=path.parent, prefix=".bundle-") as folder:
            yield Path(folder)
    except OSError as error:
        raise StorageUnavailable(
            f"{path.name} cannot be written: {error.strerror}; check the folder and its free space"
        ) from error


def verify_bundle(bundle: Path, *, trusted: Collection[str]) -> None:
    """Check that a file is a bundle signed with a trusted key; reads nothing but its manifest and its signature.

    Raises:
        InvalidBundle: See `import_bundle`.
    """
    with open_archive(bundle, members=MEMBERS) as archive:
        _trusted_manifest(archive, printable(bundle.name), trusted)


def import_bundle(registry: ModelRegistry, bundle: Path, *, trusted: Collection[str]) -> str:
    """Register the version of a bundle under its original name; returns the name. Repeating the call changes nothing.

    Nothing is promoted: only `promote` moves the champion.

    Args:
        trusted: Public keys, in hexadecimal, whose signatures this installation accepts.

    Raises:
        InvalidBundle: The file is no bundle, incomplete or damaged, or not signed with a trusted key.
        InvalidWeights: The manifest has a value that no version may have, or the name is registered with other files.
        StorageUnavailable: The version cannot be unpacked or registered now.
    """
    name = printable(bundle.name)
    with open_archive(bundle, members=MEMBERS) as archive:
        manifest = _parsed(_trusted_manifest(archive, name, trusted), name)
        if manifest.pop("format", None) != FORMAT:
            raise InvalidBundle(f"{name} has another format than {FORMAT!r}; update this installation")
        if problem := problem_of_files(manifest):
            raise InvalidBundle(f"{name}: {problem}; get a new copy")
        with tempfile.TemporaryDirectory(prefix="yolo-mlsam-bundle-") as folder:
            files = {part: _unpack(archive, part, manifest, Path(folder)) for part in PARTS}
            return registry.register_foreign(manifest, **files)


def _trusted_manifest(archive: BundleArchive, name: str, trusted: Collection[str]) -> bytes:
    """Return the manifest, unparsed, after verifying its signature.

    Raises:
        InvalidBundle: It is not signed with a trusted key.
    """
    content = archive.read(MANIFEST, max_bytes=MAX_TEXT_BYTES)
    signed = _parsed(archive.read(SIGNATURE, max_bytes=MAX_SIGNATURE_BYTES), name)
    key, signature = str(signed.get("key")).lower(), str(signed.get("signature")).lower()
    if not KEY.fullmatch(key) or not SIGNED.fullmatch(signature):
        raise InvalidBundle(
            f"{name} is not signed: its {SIGNATURE} holds no key and signature; get a new copy"
        )
    if key not in {each.strip().lower() for each in trusted}:
        raise InvalidBundle(
            f"{name} is signed with the key {key}, which this installation does not trust; verify it with "
            "the sender over another channel, then pass it with --trust or YOLO_MLSAM_TRUSTED_KEYS"
        )
    try:
        Ed25519PublicKey.from_public_bytes(bytes.fromhex(key)).verify(bytes.fromhex(signature), content)
    except (InvalidSignature, ValueError):  # ValueError: the key is no point of the curve
        raise InvalidBundle(
            f"{name}: the signature does not match, so the bundle was changed after it was signed; get a new copy"
        ) from None
    return content


def _parsed(content: bytes, name: str) -> dict[str, Any]:
    """Parse a JSON object of a bundle.

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


def _unpack(archive: BundleArchive, part: str, manifest: dict[str, Any], folder: Path) -> Path:
    member, expected = f"{part}.safetensors", manifest[part]
    size = archive.size(member)
    if size != expected["bytes"] or size > MAX_WEIGHTS_BYTES:
        raise InvalidBundle(
            f"the {part} has {size} bytes, its manifest states {expected['bytes']}; copy the bundle again"
        )
    path = folder / part
    if archive.copy(member, path) != expected["sha256"]:
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
