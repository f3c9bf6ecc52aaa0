"""`yolo-mlsam deidentify`: check key and folders, de-identify, and print the outcome."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path

import typer
from rich.console import Console
from rich.progress import track

from mammo.deidentification.files import FLAGGED, deidentify_files, write_report
from mammo.deidentification.pseudonyms import MIN_KEY
from mammo.errors import InvalidSettings
from mammo.file_names import files_of
from mammo.site import Site

CONCERNS = {
    "text": "something that looks like text lies over the breast",
    "no_breast": "no breast was found, so nothing was blanked",
}


def deidentify_command(paths: Sequence[Path], *, out: Path) -> int:
    """Return 0, or 2 if a file was refused or must be checked by a person."""
    key = Site.load().settings.patient_secret.get_secret_value().encode()
    if len(key) < MIN_KEY:
        raise InvalidSettings(
            f"set YOLO_MLSAM_PATIENT_SECRET to a key of at least {MIN_KEY} bytes; keep it apart from the data"
        )
    target = out.resolve()
    if any(os.path.isdir(path) and target.is_relative_to(path.resolve()) for path in paths):
        raise InvalidSettings("--out lies inside an input folder; choose a folder outside")
    outcome = deidentify_files(
        list(files_of(paths)),
        out=target,
        key=key,
        progress=lambda completed, total: track(
            completed, "De-identifying", total=total, console=Console(file=sys.stderr)
        ),
    )
    write_report(outcome, out=target)
    for number, reason in sorted(outcome.refused.items()):
        typer.echo(f"file {number}, in order of name: {reason}", err=True)
    for name, concern in sorted(outcome.flagged.items()):
        typer.echo(f"{name}: check it before you share it: {CONCERNS[concern]}", err=True)
    typer.echo(
        f"{len(outcome.written)} files written, {len(outcome.flagged)} of them to {FLAGGED}, "
        f"{len(outcome.refused)} refused"
    )
    return 2 if outcome.flagged or outcome.refused else 0
