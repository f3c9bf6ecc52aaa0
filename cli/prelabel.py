"""`yolo-mlsam prelabel`: prelabel files without a server, into one JSON file and one overlay each."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer
from rich.console import Console
from rich.progress import track

from mammo.errors import MammoError
from mammo.exchange.prelabel_report import describe, describe_calcification, distinct_names
from mammo.file_names import require_text
from mammo.findings import MAX_FINDINGS, ImageFindings
from mammo.printable import printable_path
from mammo.site import Site

if TYPE_CHECKING:
    from mammo.pipeline import Prelabeller

UNREADABLE = 2
"""Exit code if at least one input could not be read."""

NOTHING = ImageFindings(findings=(), num_cut=0)
"""Findings in the report of a file that could not be read."""


@dataclass(frozen=True, kw_only=True)
class PrelabelOptions:
    """Options of the command."""

    out: Path
    spacing: float | None
    """Pixel spacing in mm, for files that do not state it."""

    model: str
    """`champion`, `starter` or a version of the registry."""

    convert_for_processing: bool = False
    calcifications: bool = False
    """Also outline the calcifications of every finding."""


def prelabel_files(files: Sequence[Path], options: PrelabelOptions) -> int:
    """Prelabel every file. Unreadable files are reported, and the others go on; a closing line counts them.

    Returns:
        0, or `UNREADABLE`.
    """
    out, totals = options.out, _Totals()
    out.mkdir(parents=True, exist_ok=True)
    with Site.load() as site:
        prelabeller = site.load_files(site.model_files(options.model))
    named_files = list(zip(files, distinct_names(files), strict=True))
    for file, name in track(named_files, "Prelabelling", console=Console(stderr=True), transient=True):
        try:
            report = _prelabel_file(file, prelabeller, options, overlay=out / f"{name}.overlay.png")
        except (MammoError, OSError) as error:
            reason = _sentence(error)
            typer.echo(f"{printable_path(file)}: {reason}", err=True)
            report = describe(file, prelabeller.version, spacing=None, found=NOTHING, size=None, error=reason)
        try:
            (out / f"{name}.json").write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
        except OSError as error:
            totals.failed += 1
            typer.echo(f"{printable_path(file)}: its report cannot be written: {error.strerror}", err=True)
        else:
            totals.add(report)
    typer.echo(f"{prelabeller.version}: {totals}")
    return UNREADABLE if totals.failed else 0


@dataclass
class _Totals:
    """Counts of the closing line."""

    prelabelled: int = 0
    failed: int = 0
    findings: int = 0
    cut: int = 0
    """Findings that no report contains."""

    cut_files: int = 0
    """Files that have such findings."""

    def add(self, report: Mapping[str, Any]) -> None:
        """Count one file."""
        if report["error"]:
            self.failed += 1
            return
        self.prelabelled += 1
        self.findings += len(report["findings"])
        self.cut_files += report["num_cut"] > 0
        self.cut += report["num_cut"]

    def __str__(self) -> str:
        line = f"{self.prelabelled} files prelabelled, {self.findings} findings, {self.failed} files failed"
        if self.cut:
            line += (
                f"; {self.cut} findings of {self.cut_files} files are not shown: an image shows its best "
                f"{MAX_FINDINGS}"
            )
        return line


def _prelabel_file(
    file: Path, prelabeller: Prelabeller, options: PrelabelOptions, *, overlay: Path
) -> dict[str, Any]:
    """Write the overlay, and return the report."""
    from mammo.dicom import read_mammogram
    from mammo.exchange.overlay import CALCIFICATION, PRELABEL, draw, draw_masks, grey_picture, write_png

    require_text(file)
    mammogram = read_mammogram(
        file, spacing=options.spacing, convert_for_processing=options.convert_for_processing
    )
    found = prelabeller.prelabel(mammogram, threshold=None)
    picture = grey_picture(mammogram.pixels)
    draw(picture, found.findings, colour=PRELABEL)
    calcifications = [
        prelabeller.calcifications(mammogram, finding.box) if options.calcifications else []
        for finding in found.findings
    ]
    for masks in calcifications:
        draw_masks(picture, masks, colour=CALCIFICATION)
    write_png(str(overlay), picture)
    report = describe(
        file,
        prelabeller.version,
        spacing=mammogram.spacing,
        found=found,
        size=mammogram.size,
        error=None,
    )
    if options.calcifications:
        for described, masks in zip(report["findings"], calcifications, strict=True):
            described["calcifications"] = [describe_calcification(mask, mammogram.spacing) for mask in masks]
    return report | ({"converted": True} if mammogram.converted else {})


def _sentence(error: Exception) -> str:
    if isinstance(error, OSError):
        return f"cannot be opened: {error.strerror or error}"
    return str(error)
