"""The JSON report of `yolo-mlsam prelabel`: what a model found in one file, in original pixels."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from mammo.errors import UnreadableImage
from mammo.file_names import require_text
from mammo.findings import Finding
from mammo.geometry import Size, Spacing
from mammo.masks import Mask
from mammo.masks.extents import extent
from mammo.printable import output_name, printable_path


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
        return printable_path(file)
    return str(file)


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)


def describe_calcification(mask: Mask, spacing: Spacing | None) -> dict[str, Any]:
    measured = extent(mask, spacing=spacing)
    return {
        "box": list(mask.frame.as_tuple()),
        "polygon": [[point.x, point.y] for point in mask.outline()],
        "area_pixels": measured.area_pixels,
        "area_mm2": _rounded(measured.area_mm2),
        "longest_mm": _rounded(measured.longest_mm),
    }
