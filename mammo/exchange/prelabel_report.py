"""The JSON report of `yolo-mlsam prelabel`: the findings of a model in one file, in original pixels."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from mammo.errors import UnreadableImage
from mammo.file_names import require_text
from mammo.findings import Finding, ImageFindings
from mammo.geometry import Size, Spacing
from mammo.masks import Mask
from mammo.masks.extents import extent
from mammo.printable import output_name, printable_path

MAX_FIELD_MM = 350.0
"""Largest plausible side of a mammogram, in mm: detectors are at most 24 cm x 31 cm, scanned films 24 cm x 30 cm."""

MIN_FIELD_MM = 40.0
"""Smallest plausible side of a whole mammogram, in mm; a cut-out of an image may be smaller."""

WHOLE = 1000
"""Shorter side, in pixels, from which an image is taken for a whole mammogram."""


TABLE = (
    "file", "model_version", "spacing_mm", "finding", "label", "score", "x0", "y0", "x1", "y1", "area_mm2",
    "longest_mm", "num_cut", "warning", "error",
)  # fmt: skip
"""Columns of the CSV file of `prelabel --csv`; boxes are in pixels, half open."""


def distinct_names(files: Iterable[Path]) -> list[str]:
    """Return unique output names: a file's stem, else its name, else its name with a number.

    A name that is not printable or too long is replaced; see `mammo.printable.output_name`.
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
    found: ImageFindings,
    size: Size | None,
    error: str | None,
) -> dict[str, Any]:
    """Return the report of one file: coordinates in original pixels, masks as COCO compressed RLE.

    `num_cut` is the number of findings of lower score that are not in it.

    `spacing_mm` is the mean of the row and column spacing; if these differ, `spacing_row_column_mm` contains both.

    Args:
        file: the file.
        model_version: of the model.
        spacing: pixel spacing; None if unknown.
        found: findings in original pixels.
        size: of the image; None if it could not be read.
        error: message if the image could not be read.
    """
    anisotropic = (
        {"spacing_row_column_mm": [spacing.row_mm, spacing.column_mm]}
        if spacing and not spacing.square
        else {}
    )
    return {
        "file": _text(file),
        "model_version": model_version,
        "spacing_mm": round(spacing.mean_mm, 6) if spacing else None,
        **anisotropic,
        "findings": [_describe_finding(finding, size, spacing) for finding in found.findings if size],
        "num_cut": found.num_cut,
        "error": error,
    }


def spacing_warning(size: Size, spacing: Spacing | None) -> str:
    """Return what is wrong with the pixel spacing of an image, else an empty text.

    Args:
        size: in pixels.
        spacing: in mm; None if unknown.
    """
    if spacing is None:
        return "its pixel spacing is unknown, so nothing is measured in mm; give --spacing"
    sides = size.width * spacing.column_mm, size.height * spacing.row_mm
    whole = min(size.width, size.height) >= WHOLE
    if max(sides) <= MAX_FIELD_MM and not (whole and min(sides) < MIN_FIELD_MM):
        return ""
    return (
        f"with its pixel spacing of {spacing.mean_mm:g} mm the image is {sides[0] / 10:.1f} cm wide and "
        f"{sides[1] / 10:.1f} cm high, which no mammogram is; its sizes in mm are wrong"
    )


def table_rows(report: Mapping[str, Any], warning: str) -> list[dict[str, Any]]:
    """Return a report as rows of a table: one per finding, or one without a finding.

    Returns:
        Rows with the keys `TABLE`.
    """
    shared = {
        **{key: report[key] for key in ("file", "model_version", "spacing_mm", "error", "num_cut")},
        "warning": warning or None,
    }
    rows = [
        {
            "finding": number,
            **{key: each[key] for key in ("label", "score", "area_mm2", "longest_mm")},
            **dict(zip(("x0", "y0", "x1", "y1"), each["box"], strict=True)),
        }
        for number, each in enumerate(report["findings"], 1)
    ]
    return [shared | row for row in rows or [{}]]


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
    """Return the path as text for JSON; printable if it is not UTF-8."""
    try:
        require_text(file)
    except UnreadableImage:
        return printable_path(file)
    return str(file)


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)


def describe_calcification(mask: Mask, spacing: Spacing | None) -> dict[str, Any]:
    """Return the report of a calcification: box, outline and size."""
    measured = extent(mask, spacing=spacing)
    return {
        "box": list(mask.frame.as_tuple()),
        "polygon": [[point.x, point.y] for point in mask.outline()],
        "area_pixels": measured.area_pixels,
        "area_mm2": _rounded(measured.area_mm2),
        "longest_mm": _rounded(measured.longest_mm),
    }
