"""`models keygen|export|import`: move model versions between sites as signed bundles."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

from cli.models.names import find_version
from cli.site_choice import changing_site
from cli.text_console import text_console
from mammo.errors import InvalidSettings
from mammo.models.bundles import export_bundle, export_starter, import_bundle, verify_bundle
from mammo.models.registry import require_usable
from mammo.models.signing import make_key
from mammo.models.starter_files import starter_files, starter_manifest
from mammo.site import Site


def keygen(path: Path) -> None:
    """Write a private key, and print the public key."""
    public = make_key(path)
    text_console(soft_wrap=True, highlight=False).print(
        f"{path.name}: private key, keep it secret\n"
        f"public key, for YOLO_MLSAM_TRUSTED_KEYS of the receiving sites: {public}"
    )


def export(name: str, *, key: Path, to: Path | None, same_site: bool) -> None:
    """Write a model version as a bundle."""
    site = Site.load()
    if (
        name in ("champion", "starter") and not site.has_database
    ):  # without a registry, the champion is the starter
        version = starter_files().version
        target = to or Path(f"{version}.mlsam")
        public = export_starter(key=key, to=target)
    else:
        version = find_version(site.registry, name)
        target = to or Path(f"{version}.mlsam")
        public = export_bundle(site.registry, version, key=key, to=target, same_site=same_site)
    size = target.stat().st_size / 1e6
    text_console(soft_wrap=True, highlight=False).print(
        f"{target}: {version}, {size:.1f} MB, signed by {public}\n"
        f"on the receiving site: yolo-mlsam models import {target.name}"
    )


def export_standalone(name: str, *, to: Path | None, same_site: bool) -> None:
    """Write a model version as a bundle that others run without us."""
    from mammo.standalone.writing import HASHES, write_standalone

    site = Site.load()
    with tempfile.TemporaryDirectory(prefix="yolo-mlsam-export-") as folder:
        if name in ("champion", "starter") and not site.has_database:
            files, manifest = starter_files(), starter_manifest()
        else:
            version = find_version(site.registry, name)
            manifest = site.registry.manifest(version)
            require_usable(manifest)
            files = site.registry.files(version, into=Path(folder))
        target = to or Path(f"{files.version}-openvino.zip")
        hashes = write_standalone(files, manifest, to=target, same_site=same_site)
    text_console(soft_wrap=True, highlight=False).print(
        f"{target}: {files.version}, {len(hashes)} files, SHA-256 of {HASHES}: {hashes[HASHES]}\n"
        "the receiver runs: python inference.py --self-test"
    )


def import_(bundle: Path, *, trust: Sequence[str]) -> None:
    """Register the model version of a bundle."""
    site = changing_site(creates=True)
    trusted = [*trust, *site.settings.trusted_keys.replace(",", " ").split()]
    if not trusted:
        raise InvalidSettings(
            "no public key is trusted here; name the sender's with --trust or YOLO_MLSAM_TRUSTED_KEYS"
        )
    verify_bundle(bundle, trusted=trusted)  # before a data folder is made for it
    version = import_bundle(site.registry, bundle, trusted=trusted)
    text_console(soft_wrap=True).print(
        f"{version} is registered; `yolo-mlsam models promote {version} --reason ...` makes it serve"
    )
