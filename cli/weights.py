"""Public weights: downloaded, checked by hash, and converted to safetensors that training can start from.

Only this module, which no service imports, calls the converters, because they read pickled checkpoints. A network's
converter is `convert(path, *, name, out) -> Path`: it takes the verified file and its catalogue name, and writes the
safetensors file atomically.
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
from mammo.models.public_weights import CATALOGUE, PublicWeights, find, identify
from mammo.pinned_files import fetch, verify
from mammo.site import Site


@dataclass(frozen=True, kw_only=True)
class AddOptions:
    """Options of `weights add`."""

    target: str
    """Name in the catalogue, or a file."""

    sha256: str | None = None
    """SHA-256 that the file must have."""

    file: Path | None = None
    """Use this file instead of a download."""

    known_as: str | None = None
    """Catalogue name of a file whose hash is unknown."""

    keep: bool = False
    """Keep the downloaded file."""


def list_weights() -> None:
    """Print the catalogue, and which of its weights have been added."""
    folder = Site.load().public_weights
    table = Table("name", "network", "size", "SHA-256", "licence", "added")
    for entry in CATALOGUE:
        converted_file = folder / f"{entry.name}.safetensors"
        table.add_row(
            entry.name,
            entry.network,
            "unknown" if entry.size is None else f"{entry.size / 1e6:.0f} MB",
            f"{entry.sha256[:12]}…" if entry.sha256 else "give --sha256",
            entry.licence,
            "yes" if converted_file.is_file() else "",
        )
    Console().print(table)
    Console().print(f"converted files: {folder}", soft_wrap=True)


def add_weights(options: AddOptions) -> Path:
    """Download a file or take a given one, check it and convert it; return the converted file.

    Raises:
        WrongFile: the content does not match the hash, or no hash is known for a download.
        InvalidWeights: the options name no file with a hash, or it is not of that network.
        FileUnavailable: it cannot be downloaded.
        WeightsUnavailable: there is no such entry.
        StorageUnavailable: the data folder cannot be written.
    """
    folder = Site.load(creates=True).public_weights
    entry, file = _resolve(options)
    out = folder / f"{entry.name}.safetensors"
    if _is_converted(entry, out):
        Console().print(f"{entry.name}: already here, {out}", soft_wrap=True)
        return out
    if file is None:
        source = _download(entry, folder / "downloads")
    else:
        if entry.sha256 is None:
            raise InvalidWeights(
                f"{entry.name}: no trusted SHA-256 is known. {entry.note} Give it with --sha256",
                code="unknown_hash",
            )
        verify(file, sha256=entry.sha256, size=entry.size)
        source = file
    convert = importlib.import_module(f"mammo.{entry.network}.public").convert
    try:
        convert(source, name=entry.name, out=out)
        _write_manifest(out, entry)
    except OSError as error:
        raise StorageUnavailable(
            f"{entry.name}: {folder} cannot be written ({type(error).__name__}); is the disk full, or read-only?"
        ) from error
    if file is None and not options.keep:
        source.unlink()
    Console().print(f"{entry.name}: {_transfer_summary(out)}{out}", soft_wrap=True)
    return out


def converted(name: str, *, network: str) -> Path:
    """Return the converted file of public weights that were added before.

    Raises:
        WeightsUnavailable: there are no such weights, or they have not been added.
        InvalidWeights: they belong to the other network, or the file has changed since.
    """
    entry = find(name)
    if entry.network != network:
        raise InvalidWeights(f"{name} belongs to the {entry.network}; the {network} cannot start from it")
    out = Site.load().public_weights / f"{name}.safetensors"
    if not out.is_file():
        raise WeightsUnavailable(
            f"{name} has not been added; get it with `yolo-mlsam weights add {name}`", code="not_added"
        )
    if _read_manifest(out).get("converted") != _hash(out):
        raise InvalidWeights(
            f"{out.name} does not match the hash in its manifest; make it again with `yolo-mlsam weights add {name}`",
            code="wrong_hash",
        )
    return out


def _is_converted(entry: PublicWeights, out: Path) -> bool:
    """Whether `out` is the unchanged conversion of this entry's file."""
    manifest = _read_manifest(out)
    return (
        entry.sha256 is not None
        and manifest.get("sha256") == entry.sha256
        and manifest.get("converted") == _hash(out)
    )


def _resolve(options: AddOptions) -> tuple[PublicWeights, Path | None]:
    """Return the catalogue entry, under the hash that was given, and the file if there is one."""
    file = options.file
    if file is None and (os.sep in options.target or Path(options.target).is_file()):
        file = Path(options.target)
    if file is not None and not file.is_file():
        raise InvalidWeights(f"{file} is no file; check the path", code="missing_file")
    sha256 = options.sha256.strip().lower() if options.sha256 else None
    if sha256 is not None and not SHA256.fullmatch(sha256):
        raise InvalidWeights(
            f"--sha256 takes 64 hexadecimal digits, got {options.sha256!r}", code="wrong_hash"
        )
    entry = _find_entry(options, file)
    if sha256 is None:
        return entry, file
    if entry.sha256 is not None and entry.sha256 != sha256:
        if file is None:
            raise InvalidWeights(
                f"{entry.name}: --sha256 {sha256} is not the pinned {entry.sha256}, which the file at {entry.url} "
                "must have; leave --sha256 out, or name your own file with --file",
                code="wrong_hash",
            )
        return replace(entry, sha256=sha256, size=None), file  # a file of the user's own, at the user's risk
    return replace(entry, sha256=sha256), file


def _find_entry(options: AddOptions, file: Path | None) -> PublicWeights:
    """Return the entry of the given name, or the one that a file's hash identifies."""
    if options.known_as is not None:
        return find(options.known_as)
    if file is None or options.file is not None:
        return find(options.target)
    digest = hash_file(file)
    entry = identify(digest)
    if entry is None:
        raise InvalidWeights(
            f"{file.name}: its SHA-256 {digest} is unknown; name the weights with --as NAME, and give --sha256 from a "
            "source you trust",
            code="unknown_hash",
        )
    return entry


def _download(entry: PublicWeights, folder: Path) -> Path:
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task(entry.file_name, total=entry.size)

        def progress(received: int, total: int | None) -> None:
            bar.update(task, completed=received, total=total)

        return fetch(entry, folder, progress=progress, allow_network=True)


def _write_manifest(out: Path, entry: PublicWeights) -> None:
    is_official = entry.sha256 == find(entry.name).sha256  # else it is the user's own file
    manifest = {
        "name": entry.name,
        "network": entry.network,
        "url": entry.url if is_official else None,
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
        return {}  # missing or damaged: convert again
    return manifest if isinstance(manifest, dict) else {}


def _hash(path: Path) -> str | None:
    return hash_file(path) if path.is_file() else None


def _facts(out: Path) -> dict[str, Any]:
    """Return the facts that the converter wrote into its file."""
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


def _transfer_summary(out: Path) -> str:
    transfer = _facts(out).get("transfer")
    if not isinstance(transfer, dict) or "copied" not in transfer:
        return ""
    return (
        f"{transfer['copied']} of {transfer['of']} tensors fit, "
        f"{len(transfer['fresh'])} of the network start from random values; "
    )
