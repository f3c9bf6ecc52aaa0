"""`yolo-mlsam deidentify`: files that name their patient in, files that do not out.

Nothing written or printed tells which output came from which input: that table would be the way back. The key comes
from the environment and is never stored.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import typer
from rich.console import Console
from rich.progress import track

from mammo.atomic_files import replacing
from mammo.deidentification.deidentify import Deidentified, Deidentifier
from mammo.deidentification.pseudonyms import MIN_KEY
from mammo.dicom.limits import MAX_BYTES, read_bytes
from mammo.errors import InvalidSettings, MammoError
from mammo.file_names import files_of
from mammo.site import Site

FLAGGED = "needs-a-human"
"""Folder below the output for files whose picture a person must look at before anybody else does."""

REPORT = "report.json"
NUM_THREADS = 2

CONCERNS = {
    "text": "something that looks like text lies over the breast",
    "no_breast": "no breast was found, so nothing was blanked",
}


@dataclass
class Outcome:
    """What became of the files of one run; holds no name of an input."""

    written: list[str] = field(default_factory=list)
    """New names, below the output folder."""

    flagged: dict[str, str] = field(default_factory=dict)
    """New name -> concern, for a person to look at."""

    num_blanked: int = 0
    """Pixels outside breasts that were blanked."""

    refused: dict[int, str] = field(default_factory=dict)
    """Position of an input, from 1 -> code and sentence."""


def deidentify_files(
    files: Sequence[Path],
    *,
    out: Path,
    key: bytes,
    progress: Callable[[Iterable[Any], int], Iterable[Any]] = lambda done, total: done,
) -> Outcome:
    """De-identify files, two at a time, into a folder; a second run writes the same names again.

    Raises:
        ValueError: the key is shorter than 16 bytes.
    """
    deidentify, outcome = Deidentifier(key), Outcome()

    def one(file: Path) -> tuple[str, Deidentified]:
        done = deidentify(read_bytes(file, max_bytes=MAX_BYTES))
        name = f"{FLAGGED}/{done.name}.dcm" if done.concern else f"{done.name}.dcm"
        _write(out / name, done.content)
        return name, done

    executor = ThreadPoolExecutor(NUM_THREADS)
    try:
        running = {executor.submit(one, file): number for number, file in enumerate(files, 1)}
        for future in progress(as_completed(running), len(running)):
            try:
                name, done = future.result()
            except MammoError as error:
                outcome.refused[running[future]] = f"{error.code}: {error}"
                continue
            except OSError as error:
                outcome.refused[running[future]] = f"not_written: it cannot be written: {error.strerror}"
                continue
            outcome.written.append(name)
            outcome.num_blanked += done.num_blanked
            if done.concern:
                outcome.flagged[name] = done.concern
    finally:
        executor.shutdown(cancel_futures=True)
    return outcome


def deidentify_command(paths: Sequence[Path], *, out: Path) -> int:
    """Returns 0, or 2 when a file was refused or a person must look at one."""
    key = Site.load().settings.patient_secret.get_secret_value().encode()
    if len(key) < MIN_KEY:
        raise InvalidSettings(
            f"deidentify needs YOLO_MLSAM_PATIENT_SECRET, a key of at least {MIN_KEY} bytes, kept apart from the data"
        )
    target = out.resolve()
    if any(os.path.isdir(path) and target.is_relative_to(path.resolve()) for path in paths):
        raise InvalidSettings("--out lies inside an input folder; choose one outside")
    outcome = deidentify_files(
        list(files_of(paths)),
        out=target,
        key=key,
        progress=lambda done, total: track(
            done, "De-identifying", total=total, console=Console(file=sys.stderr)
        ),
    )
    _write(target / REPORT, json.dumps(_report(outcome), indent=2).encode())
    for number, reason in sorted(outcome.refused.items()):
        typer.echo(f"file {number}, in order of name: {reason}", err=True)
    for name, concern in sorted(outcome.flagged.items()):
        typer.echo(f"{name}: look at it before you share it: {CONCERNS[concern]}", err=True)
    typer.echo(
        f"{len(outcome.written)} files written, {len(outcome.flagged)} of them to {FLAGGED}, "
        f"{len(outcome.refused)} refused"
    )
    return 2 if outcome.flagged or outcome.refused else 0


def _report(outcome: Outcome) -> dict[str, Any]:
    return {
        "written": sorted(outcome.written),
        "flagged": dict(sorted(outcome.flagged.items())),
        "blanked_pixels": outcome.num_blanked,
        "refused": len(outcome.refused),
    }


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path, shared=True) as part:
        part.write_bytes(content)
