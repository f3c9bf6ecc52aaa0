"""Bundles: a model version in one signed file, for an installation without a network.

A bundle is an uncompressed ZIP archive with four members: the version's manifest, its two weight files, and an Ed25519
signature (RFC 8032) of the manifest's bytes. The manifest names the weights by SHA-256, so the signature covers
everything. The signature is verified before anything that it covers is parsed or unpacked, nothing is registered before
sizes and hashes are verified too, and no name in a bundle is used as a path.
"""

from __future__ import annotations

import json
import tempfile
import zipfile
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from mammo.errors import InvalidBundle, StorageUnavailable
from mammo.models.bundle_archive import BundleArchive, open_archive
from mammo.models.manifests import PARTS, STAYS_AT_SITE, problem_of_files
from mammo.models.registry import ModelFiles, ModelRegistry, require_usable
from mammo.models.signing import parsed_object, private_key, public_key_of, require_trusted, signature_of
from mammo.models.starter_files import starter_files, starter_manifest
from mammo.printable import printable

FORMAT = "yolo-mlsam bundle 1"
MANIFEST, SIGNATURE = "manifest.json", "signature.json"
MEMBERS = (MANIFEST, SIGNATURE, *(f"{part}.safetensors" for part in PARTS))
MAX_TEXT_BYTES = 2**20
"""Largest manifest, in bytes."""

MAX_SIGNATURE_BYTES = 2**12
MAX_WEIGHTS_BYTES = 8 * 2**30
"""Largest weight file, in bytes (SAM ViT-H in float32 has 2.4 GiB)."""


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
    signer = private_key(key)
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
    signer = private_key(key)
    with _folder_beside(to) as folder:
        return _write(starter_manifest(), starter_files(), signer, folder=folder, to=to)


def _write(
    manifest: Mapping[str, Any], files: ModelFiles, signer: Ed25519PrivateKey, *, folder: Path, to: Path
) -> str:
    content = json.dumps({"format": FORMAT, **manifest}, sort_keys=True, indent=1).encode()
    partial = folder / "bundle"
    with zipfile.ZipFile(partial, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr(MANIFEST, content)
        archive.writestr(SIGNATURE, signature_of(content, signer))
        for part in PARTS:
            archive.write(getattr(files, part), f"{part}.safetensors")
    partial.replace(to)
    return public_key_of(signer)


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
        manifest = parsed_object(_trusted_manifest(archive, name, trusted), name)
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
    require_trusted(
        content, archive.read(SIGNATURE, max_bytes=MAX_SIGNATURE_BYTES), trusted=trusted, name=name
    )
    return content


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
