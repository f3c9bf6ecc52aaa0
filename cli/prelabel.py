"""`yolo-mlsam prelabel`: files in, one JSON and one overlay per file out; no server."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer
from rich.console import Console
from rich.progress import track

from cli.shown import output_name, shown_path
from mammo.errors import MammoError, UnreadableImage
from mammo.extents import extent
from mammo.file_names import require_text
from mammo.findings import Finding
from mammo.geometry import Size, Spacing
from mammo.masks import Mask

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
            typer.echo(f"{shown_path(file)}: {reason}", err=True)
            report = describe(file, prelabeller.version, spacing=None, findings=(), size=None, error=reason)
        try:
            (out / f"{name}.json").write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
        except OSError as error:
            failed = True
            typer.echo(f"{shown_path(file)}: its report cannot be written: {error.strerror}", err=True)
    return UNREADABLE if failed else 0


def distinct_names(files: Iterable[Path]) -> list[str]:
    """Output names: the stem, or the whole file name, or that with a number, until no two are equal.

    A name that cannot be printed, or is too long, becomes a harmless one.
    """
    names: dict[str, None] = {}
    for file in files:
        stem, whole = output_name(file.stem), output_name(file.name)
        candidates = itertools.chain((stem, whole), (f"{whole}.{index}" for index in itertools.count(2)))
        names[next(name for name in candidates if name not in names)] = None
    return list(names)


def describe(
    file: Path,
    model_version: str,
    *,
    spacing: Spacing | None,
    findings: Sequence[Finding],
    size: Size | None,
    error: str | None,
) -> dict[str, Any]:
    """The JSON of one input; coordinates in original pixels, masks as COCO compressed RLE.

    `spacing_mm` is the mean of rows and columns; where they differ, `spacing_row_column_mm` holds both.
    """
    both = (
        {"spacing_row_column_mm": [spacing.row_mm, spacing.column_mm]}
        if spacing and not spacing.square
        else {}
    )
    return {
        "file": _text(file),
        "model_version": model_version,
        "spacing_mm": round(spacing.mean_mm, 6) if spacing else None,
        **both,
        "findings": [_describe_finding(finding, size, spacing) for finding in findings if size],
        "error": error,
    }


def _describe_finding(finding: Finding, size: Size, spacing: Spacing | None) -> dict[str, Any]:
    measured = extent(finding.mask, spacing=spacing) if finding.mask else None
    return {
        "label": finding.label,
        "score": round(finding.score, 4),
        "box": list(finding.box.as_tuple()),
        "prompts": [[point.x, point.y] for point in finding.prompts],
        "mask": finding.mask.to_coco(size) if finding.mask else None,
        "polygon": [[point.x, point.y] for point in finding.mask.outline()] if finding.mask else [],
        "area_pixels": measured.area_pixels if measured else None,
        "area_mm2": _rounded(measured.area_mm2) if measured else None,
        "longest_mm": _rounded(measured.longest_mm) if measured else None,
        "pixels_per_logit": finding.pixels_per_logit,
        "presence": _rounded(finding.presence),
    }


def _text(file: Path) -> str:
    """The path, which JSON can hold unless it is no text."""
    try:
        require_text(file)
    except UnreadableImage:
        return shown_path(file)
    return str(file)


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)


def _prelabel_file(
    file: Path,
    prelabeller: Prelabeller,
    *,
    spacing: float | None,
    convert_for_processing: bool,
    calcifications: bool,
    overlay: Path,
) -> dict[str, Any]:
    from cli.overlay import CALCIFICATION, PRELABEL, draw, draw_masks, grey_picture, write_png
    from mammo.dicom import read_mammogram

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
            described["calcifications"] = [_describe_calcification(mask, mammogram.spacing) for mask in each]
    return report | ({"converted": True} if mammogram.converted else {})


def _describe_calcification(mask: Mask, spacing: Spacing | None) -> dict[str, Any]:
    measured = extent(mask, spacing=spacing)
    return {
        "box": list(mask.frame.as_tuple()),
        "polygon": [[point.x, point.y] for point in mask.outline()],
        "area_pixels": measured.area_pixels,
        "area_mm2": _rounded(measured.area_mm2),
        "longest_mm": _rounded(measured.longest_mm),
    }


def _sentence(error: Exception) -> str:
    if isinstance(error, OSError):
        return f"cannot be opened: {error.strerror or error}"
    return str(error)
