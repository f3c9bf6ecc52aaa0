"""`yolo-mlsam weights`: fetch public weights, check them, and turn them into safetensors that training can start from.

A converter of a network is `convert(path, *, name, out) -> Path`: the verified file, its catalogue name, and the
safetensors file to write whole or not at all.
"""

from __future__ import annotations

import importlib
import json
import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn
from rich.table import Table
from safetensors import SafetensorError, safe_open

from mammo.atomic_files import replacing
from mammo.blobs import SHA256, hash_file
from mammo.errors import InvalidWeights, StorageUnavailable, WeightsUnavailable
from mammo.models.public_weights import CATALOGUE, PublicWeights, fetch, find, identify, verify
from mammo.site import Site


@dataclass(frozen=True, kw_only=True)
class AddOptions:
    """What a person asked for."""

    what: str
    """Name in the catalogue, or a file."""

    sha256: str | None = None
    file: Path | None = None
    """Use this file in place of a download."""

    known_as: str | None = None
    """Catalogue name of a file that its hash does not tell."""

    keep: bool = False
    """Keep the downloaded original beside the converted file."""


def list_weights() -> None:
    """Print the catalogue, and what of it is here."""
    folder = Site.load().settings.public_weights
    table = Table("name", "for", "size", "SHA-256", "licence", "here")
    for entry in CATALOGUE:
        here = folder / f"{entry.name}.safetensors"
        table.add_row(
            entry.name,
            entry.network,
            "unknown" if entry.size is None else f"{entry.size / 1e6:.0f} MB",
            f"{entry.sha256[:12]}…" if entry.sha256 else "give --sha256",
            entry.licence,
            "yes" if here.is_file() else "",
        )
    Console().print(table)
    Console().print(f"converted files: {folder}", soft_wrap=True)


def add_weights(options: AddOptions) -> Path:
    """Fetch or take one file, check it, convert it once; returns the converted file.

    Raises:
        InvalidWeights: its content is not what the hash promises, or holds no such network.
        WeightsUnavailable: no such entry, or it cannot be fetched.
        StorageUnavailable: the data folder cannot be written.
    """
    folder = Site.load().settings.public_weights
    entry, given = _resolve(options)
    out = folder / f"{entry.name}.safetensors"
    known = _read_manifest(out)
    if (
        entry.sha256 is not None
        and known.get("sha256") == entry.sha256
        and known.get("converted") == _hash(out)
    ):
        Console().print(f"{entry.name}: already here, {out}", soft_wrap=True)
        return out
    if given is None:
        source = _download(entry, folder / "downloads")
    else:
        if entry.sha256 is None:
            raise InvalidWeights(
                f"{entry.name}: we know no SHA-256 to trust. {entry.note} Give it with --sha256",
                code="unknown_hash",
            )
        verify(given, sha256=entry.sha256, size=entry.size)
        source = given
    convert = importlib.import_module(f"mammo.{entry.network}.public").convert
    try:
        convert(source, name=entry.name, out=out)
        _write_manifest(out, entry)
    except OSError as error:
        raise StorageUnavailable(
            f"{entry.name}: {folder} cannot be written ({type(error).__name__}); is the disk full, or read-only?"
        ) from error
    if given is None and not options.keep:
        source.unlink()
    Console().print(f"{entry.name}: {_outcome(out)}{out}", soft_wrap=True)
    return out


def converted(name: str, *, network: str) -> Path:
    """The converted file of public weights that were added before, unharmed.

    Raises:
        WeightsUnavailable: no such weights, or they have not been added.
        InvalidWeights: they belong to the other network, or the file is not the one that was made.
    """
    entry = find(name)
    if entry.network != network:
        raise InvalidWeights(f"{name} belongs to the {entry.network}, the {network} cannot start from it")
    out = Site.load().settings.public_weights / f"{name}.safetensors"
    if not out.is_file():
        raise WeightsUnavailable(
            f"{name} is not here; get it with `yolo-mlsam weights add {name}`", code="not_added"
        )
    if _read_manifest(out).get("converted") != _hash(out):
        raise InvalidWeights(
            f"{out.name} is not the file that its manifest names; make it again with `yolo-mlsam weights add {name}`",
            code="wrong_hash",
        )
    return out


def _resolve(options: AddOptions) -> tuple[PublicWeights, Path | None]:
    """The catalogue's entry under the hash a person gave, and the file to use when there is one."""
    file = options.file
    if file is None and (os.sep in options.what or Path(options.what).is_file()):
        file = Path(options.what)
    if file is not None and not file.is_file():
        raise InvalidWeights(f"{file} is no file; check the path", code="missing_file")
    given = options.sha256.strip().lower() if options.sha256 else None
    if given is not None and not SHA256.fullmatch(given):
        raise InvalidWeights(
            f"--sha256 takes 64 hexadecimal digits, got {options.sha256!r}", code="wrong_hash"
        )
    if file is None or options.file is not None:
        entry = find(options.known_as or options.what)
    elif options.known_as is not None:
        entry = find(options.known_as)
    else:
        digest = hash_file(file)
        found = identify(digest)
        if found is None:
            raise InvalidWeights(
                f"{file.name}: its SHA-256 {digest} is none that we know; say what it is with --as NAME, and give "
                "--sha256 from a source you trust",
                code="unknown_hash",
            )
        entry = found
    if given is None:
        return entry, file
    if entry.sha256 is not None and entry.sha256 != given:
        if file is None:
            raise InvalidWeights(
                f"{entry.name}: --sha256 {given} is not the pinned {entry.sha256}; the file at {entry.url} cannot be "
                "both: leave --sha256 out, or give your file with --file",
                code="wrong_hash",
            )
        return replace(entry, sha256=given, size=None), file  # a file of the user's own, on the user's word
    return replace(entry, sha256=given), file


def _download(entry: PublicWeights, folder: Path) -> Path:
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task(entry.file_name, total=entry.size)

        def tell(here: int, total: int | None) -> None:
            bar.update(task, completed=here, total=total)

        return fetch(entry, folder, progress=tell, allow_network=True)


def _write_manifest(out: Path, entry: PublicWeights) -> None:
    manifest = {
        "name": entry.name,
        "network": entry.network,
        "url": entry.url
        if entry.sha256 == find(entry.name).sha256
        else None,  # else it is a person's own file
        "sha256": entry.sha256,
        "licence": entry.licence,
        "source": entry.source,
        "converted": _hash(out),
        "facts": _facts(out),
    }
    with replacing(out.with_suffix(".json")) as part:
        part.write_text(json.dumps(manifest, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def _read_manifest(out: Path) -> dict[str, Any]:
    try:
        manifest = json.loads(out.with_suffix(".json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}  # not there, or torn: convert again
    return manifest if isinstance(manifest, dict) else {}


def _hash(path: Path) -> str | None:
    return hash_file(path) if path.is_file() else None


def _facts(out: Path) -> dict[str, Any]:
    """What the converter wrote into its file."""
    try:
        with safe_open(out, framework="np") as file:
            metadata: dict[str, str] = file.metadata() or {}
        facts = (
            json.loads(metadata["facts"])
            if "facts" in metadata
            else json.loads(metadata["yolo-mlsam"])["facts"]
        )
    except (SafetensorError, KeyError, TypeError, ValueError):
        return {}
    return facts if isinstance(facts, dict) else {}


def _outcome(out: Path) -> str:
    moved = _facts(out).get("transfer")
    if not isinstance(moved, dict) or "copied" not in moved:
        return ""
    return (
        f"{moved['copied']} of {moved['of']} tensors fit, {len(moved['fresh'])} of the network start fresh; "
    )
