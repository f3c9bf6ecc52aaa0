"""`yolo-mlsam prelabel`: files in, one JSON and one overlay per file out; no server."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer
from rich.console import Console
from rich.progress import track

from mammo.errors import MammoError
from mammo.exchange.prelabel_report import describe, describe_calcification, distinct_names
from mammo.file_names import require_text
from mammo.printable import printable_path

if TYPE_CHECKING:
    from mammo.pipeline import Prelabeller

UNREADABLE = 2
"""Exit code when at least one input could not be read."""


def prelabel_files(
    files: Sequence[Path],
    *,
    out: Path,
    spacing: float | None,
    model: str,
    convert_for_processing: bool = False,
    calcifications: bool = False,
) -> int:
    """Prelabel every file; unreadable ones are reported and the others still done.

    Args:
        calcifications: outline the single calcifications of every finding too.

    Returns:
        0, or `UNREADABLE` when any input failed.
    """
    from cli.model_files import load_prelabeller

    out.mkdir(parents=True, exist_ok=True)
    prelabeller = load_prelabeller(model)
    failed = False
    names = distinct_names(files)
    console = Console(stderr=True)
    for file, name in track(
        list(zip(files, names, strict=True)), "Prelabelling", console=console, transient=True
    ):
        try:
            report = _prelabel_file(
                file,
                prelabeller,
                spacing=spacing,
                convert_for_processing=convert_for_processing,
                calcifications=calcifications,
                overlay=out / f"{name}.overlay.png",
            )
        except (MammoError, OSError) as error:
            failed = True
            reason = _sentence(error)
            typer.echo(f"{printable_path(file)}: {reason}", err=True)
            report = describe(file, prelabeller.version, spacing=None, findings=(), size=None, error=reason)
        try:
            (out / f"{name}.json").write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
        except OSError as error:
            failed = True
            typer.echo(f"{printable_path(file)}: its report cannot be written: {error.strerror}", err=True)
    return UNREADABLE if failed else 0


def _prelabel_file(
    file: Path,
    prelabeller: Prelabeller,
    *,
    spacing: float | None,
    convert_for_processing: bool,
    calcifications: bool,
    overlay: Path,
) -> dict[str, Any]:
    from mammo.dicom import read_mammogram
    from mammo.exchange.overlay import CALCIFICATION, PRELABEL, draw, draw_masks, grey_picture, write_png

    require_text(file)
    mammogram = read_mammogram(file, spacing=spacing, convert_for_processing=convert_for_processing)
    findings = prelabeller.prelabel(mammogram, threshold=None)
    picture = grey_picture(mammogram.pixels)
    draw(picture, findings, colour=PRELABEL)
    specks = [prelabeller.calcifications(mammogram, each.box) if calcifications else [] for each in findings]
    for each in specks:
        draw_masks(picture, each, colour=CALCIFICATION)
    write_png(str(overlay), picture)
    report = describe(
        file,
        prelabeller.version,
        spacing=mammogram.spacing,
        findings=findings,
        size=mammogram.size,
        error=None,
    )
    if calcifications:
        for described, each in zip(report["findings"], specks, strict=True):
            described["calcifications"] = [describe_calcification(mask, mammogram.spacing) for mask in each]
    return report | ({"converted": True} if mammogram.converted else {})


def _sentence(error: Exception) -> str:
    if isinstance(error, OSError):
        return f"cannot be opened: {error.strerror or error}"
    return str(error)
