"""`models keygen|export|import`: signed bundles between sites."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from cli.models.names import find_version
from mammo.errors import InvalidSettings
from mammo.models.bundles import export_bundle, import_bundle, make_key
from mammo.site import Site


def keygen(path: Path) -> None:
    """Write a private key, print the public one."""
    public = make_key(path)
    Console(soft_wrap=True, highlight=False).print(
        f"{path.name}: private key, keep it secret\npublic key, for YOLO_MLSAM_TRUSTED_KEYS of other sites: {public}"
    )


def export(name: str, *, key: Path, to: Path | None) -> None:
    """Write a bundle."""
    registry = Site.load().registry
    version = find_version(registry, name)
    target = to or Path(f"{version}.mlsam")
    public = export_bundle(registry, version, key=key, to=target)
    size = target.stat().st_size / 1e6
    Console(soft_wrap=True, highlight=False).print(
        f"{target}: {version}, {size:.1f} MB, signed by {public}\n"
        f"on the other site: yolo-mlsam models import {target.name}"
    )


def import_(bundle: Path, *, trust: Sequence[str]) -> None:
    """Register what a bundle holds."""
    site = Site.load(creates=True)
    trusted = [*trust, *site.settings.trusted_keys.replace(",", " ").split()]
    if not trusted:
        raise InvalidSettings(
            "no key is trusted here: name the sender's public key with --trust or YOLO_MLSAM_TRUSTED_KEYS"
        )
    version = import_bundle(site.registry, bundle, trusted=trusted)
    Console(soft_wrap=True).print(
        f"{version} is registered; it serves after `yolo-mlsam models promote {version} --reason ...`"
    )
