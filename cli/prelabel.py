"""`yolo-mlsam prelabel`: prelabel files without a server, into one JSON file and one overlay each."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from cli.progress import followed
from mammo.errors import MammoError, StorageUnavailable, UnreadableImage
from mammo.exchange.prelabel_report import (
    TABLE,
    describe,
    describe_calcification,
    distinct_names,
    spacing_warning,
    table_rows,
)
from mammo.file_names import files_of, require_text
from mammo.findings import MAX_FINDINGS, ImageFindings
from mammo.printable import printable_path
from mammo.site import Site

if TYPE_CHECKING:
    from mammo.pipeline import Prelabeller

UNREADABLE = 2
"""Exit code if at least one input could not be read."""

IMAGE_SUFFIXES = frozenset({"", ".dcm", ".dicom", ".jpeg", ".jpg", ".pgm", ".png", ".tif", ".tiff"})
"""A file of a folder that has another suffix, and is no image, is left out."""

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

    csv: Path | None = None
    """File for a table of all findings."""


def prelabel_files(paths: Sequence[Path], options: PrelabelOptions) -> int:
    """Prelabel every file. Unreadable files are reported, and the others go on; a closing line counts them.

    Args:
        paths: files and folders. What is no image in a folder is counted only, and a folder's files below `out` are
            left out.

    Returns:
        0, or `UNREADABLE`.

    Raises:
        UnreadableImage: there is no file (code `no_files`).
        MammoError: the model cannot be loaded, or a result cannot be written.
    """
    out, totals = options.out, _Totals()
    files, listed = _inputs(paths, out)
    out.mkdir(parents=True, exist_ok=True)
    rows: list[dict[str, Any]] = []
    typer.echo(f"{len(files)} files; loading the model {options.model} ...", err=True)
    with Site.load() as site:
        prelabeller = site.load_files(site.model_files(options.model))
    typer.echo(f"{prelabeller.version} is loaded", err=True)
    for file, name in followed(list(zip(files, distinct_names(files), strict=True)), "Prelabelling"):
        warning = ""
        try:
            report, warning = _prelabel_file(file, prelabeller, options, overlay=out / f"{name}.overlay.png")
        except (MammoError, OSError) as error:
            if file not in listed and _is_no_image(file, getattr(error, "code", "")):
                totals.others += 1
                continue
            reason = _sentence(error)
            typer.echo(f"{printable_path(file)}: {reason}", err=True)
            report = describe(file, prelabeller.version, spacing=None, found=NOTHING, size=None, error=reason)
        if warning:
            totals.warned += 1
            typer.echo(f"{printable_path(file)}: warning: {warning}", err=True)
        rows += table_rows(report, warning)
        try:
            (out / f"{name}.json").write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
        except OSError as error:
            totals.failed += 1
            typer.echo(f"{printable_path(file)}: its report cannot be written: {error.strerror}", err=True)
        else:
            totals.add(report)
    if options.csv is not None:
        _write_table(options.csv, rows)
    typer.echo(f"{prelabeller.version}: {totals}; results in {printable_path(out)}")
    return UNREADABLE if totals.failed else 0


def _inputs(paths: Sequence[Path], out: Path) -> tuple[list[Path], frozenset[Path]]:
    """Return all files, and those of them that were named one by one."""
    listed = frozenset(path for path in paths if not path.is_dir())
    results = out.resolve()
    files = [
        file for file in files_of(paths) if file in listed or not file.absolute().is_relative_to(results)
    ]
    if not files:
        raise UnreadableImage("there are no files in these folders", code="no_files")
    return files, listed


def _is_no_image(file: Path, code: str) -> bool:
    return code == "segmentation" or (code == "not_an_image" and file.suffix.lower() not in IMAGE_SUFFIXES)


def _write_table(file: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    try:
        with file.open("w", newline="", encoding="utf-8") as handle:
            writer = csv.DictWriter(handle, TABLE)
            writer.writeheader()
            writer.writerows(rows)
    except OSError as error:
        raise StorageUnavailable(f"{printable_path(file)} cannot be written: {error.strerror}") from None


@dataclass
class _Totals:
    """Counts of the closing line."""

    prelabelled: int = 0
    failed: int = 0
    others: int = 0
    """Files of folders that are no images."""

    warned: int = 0
    """Files whose pixel spacing is unknown or impossible."""

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
        if self.others:
            line += f", {self.others} other files left out"
        if self.warned:
            line += f"; the pixel spacing of {self.warned} files is unknown or impossible"
        if self.cut:
            line += (
                f"; {self.cut} findings of {self.cut_files} files are not shown: an image shows its best "
                f"{MAX_FINDINGS}"
            )
        return line


def _prelabel_file(
    file: Path, prelabeller: Prelabeller, options: PrelabelOptions, *, overlay: Path
) -> tuple[dict[str, Any], str]:
    """Write the overlay, and return the report, and a warning about the pixel spacing or an empty text."""
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
    warning = spacing_warning(mammogram.size, mammogram.spacing)
    return report | ({"converted": True} if mammogram.converted else {}), warning


def _sentence(error: Exception) -> str:
    if isinstance(error, OSError):
        return f"cannot be opened: {error.strerror or error}"
    return str(error)
