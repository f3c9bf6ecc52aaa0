"""Labelled images from the JSON reports of `yolo-mlsam prelabel`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Annotated, Any

from pydantic import BaseModel, Field, ValidationError

from mammo.dicom import read_mammogram
from mammo.dicom.results import Origin
from mammo.errors import InvalidRegion, MammoError
from mammo.exchange.coco_rle import mask_of_rle
from mammo.exchange.export.labelled_image import LabelledImage, Refusal, WeightsOf, counts, no_weights
from mammo.exchange.prelabel_report import distinct_names
from mammo.file_names import real_path
from mammo.findings import CLUSTER, Finding
from mammo.geometry import Box, Point, Size
from mammo.input_files import read_input
from mammo.masks import PixelBudget
from mammo.printable import file_stem, printable

MAX_JSON = 64 * 2**20
"""Maximum size of a report, in bytes."""

Pixel = Annotated[int, Field(ge=-(2**20), le=2**20)]


class ReportedFinding(BaseModel):
    """One finding of a report; see `mammo.exchange.prelabel_report`."""

    score: float = Field(ge=0, le=1)
    box: tuple[Pixel, Pixel, Pixel, Pixel]
    prompts: list[tuple[Pixel, Pixel]] = Field(default=[], max_length=1000)
    mask: dict[str, Any] | None = None


class PrelabelReport(BaseModel):
    """One report; see `mammo.exchange.prelabel_report`."""

    file: str = Field(max_length=4096)
    model_version: str = Field(max_length=200)
    spacing_mm: float | None = None
    spacing_row_column_mm: tuple[float, float] | None = None
    findings: list[ReportedFinding] = Field(max_length=1000)
    num_cut: int = Field(default=0, ge=0)
    """Missing in reports of earlier releases."""

    error: str | None = None


def read_prelabels(
    paths: Iterable[Path], *, images: Path | None, weights: WeightsOf = no_weights
) -> Iterator[LabelledImage | Refusal]:
    """Read reports with their images.

    Args:
        paths: reports, and folders of reports.
        images: folder of the images; None for the folder of each report. Paths in a report that leave it are ignored.
        weights: says which weights a model version has.
    """
    files = [file for path in paths for file in _reports(path)]
    names = distinct_names(Path(file_stem(file.stem)) for file in files)
    for file, name in zip(files, names, strict=True):
        try:
            yield _read(file, name, folder=images or file.parent, weights=weights)
        except (MammoError, ValueError) as error:
            yield Refusal(printable(file.name), str(error))
        except OSError as error:
            yield Refusal(printable(file.name), f"it cannot be opened: {error.strerror or 'unknown reason'}")


def _reports(path: Path) -> list[Path]:
    """Return the reports in a folder; a file, or a folder that cannot be read, itself."""
    try:
        return sorted(each for each in path.iterdir() if each.suffix == ".json")
    except OSError:
        return [path]


def _read(file: Path, name: str, *, folder: Path, weights: WeightsOf) -> LabelledImage:
    content = read_input(file, max_bytes=MAX_JSON)
    try:
        report = PrelabelReport.model_validate_json(content)
    except ValidationError as error:
        problem = error.errors(include_input=False, include_url=False)[0]
        where = ".".join(map(str, problem["loc"]))
        raise ValueError(
            f"expected a report of `yolo-mlsam prelabel`: {where or 'JSON'}: {problem['msg']}"
        ) from None
    if report.error is not None:
        raise ValueError("its image could not be read by `yolo-mlsam prelabel`")
    image = find_image(report.file, folder)
    if image is None:
        raise ValueError(
            f"its image {printable(base_name(report.file))} is missing; give its folder with --images"
        )
    mammogram = read_mammogram(image)
    budget = PixelBudget()
    findings = tuple(
        _finding(finding, mammogram.size, index, budget) for index, finding in enumerate(report.findings, 1)
    )
    spacing = report.spacing_row_column_mm or report.spacing_mm
    return LabelledImage(
        name=name,
        file_name=image.relative_to(folder).as_posix(),
        size=mammogram.size,
        findings=findings,
        origin=Origin(
            made_by="automatic", version=report.model_version, weights=weights(report.model_version)
        ),
        source=image,
        sha256=mammogram.sha256,
        num_calcifications=counts(mammogram, findings),
        facts={"sha256": mammogram.sha256, "view": mammogram.view, "laterality": mammogram.laterality}
        | ({"spacing_mm": spacing} if spacing else {})
        | ({"num_cut": report.num_cut} if report.num_cut else {}),
    )


def find_image(stated: str, folder: Path) -> Path | None:
    """Return the image below a folder, by its relative path or else by its name; None when it does not exist."""
    root = folder.resolve()
    for relative in (stated, base_name(stated)):
        if not relative or "\0" in relative or PurePosixPath(relative).is_absolute():
            continue
        try:
            real = real_path(folder / relative)
        except ValueError:
            continue
        if real.is_relative_to(root) and real.is_file():
            return folder / real.relative_to(root)
    return None


def base_name(path: str) -> str:
    """Return the last component of a POSIX or Windows path."""
    return PureWindowsPath(path).name


def _finding(finding: ReportedFinding, size: Size, index: int, budget: PixelBudget) -> Finding:
    box = Box(*finding.box)
    if box.intersection(size.box) != box:
        raise InvalidRegion(f"finding {index} lies outside the image of {size.width} x {size.height} pixels")
    mask = mask_of_rle(finding.mask, size=size, budget=budget) if finding.mask else None
    prompts = tuple(Point(*point) for point in finding.prompts)
    return Finding(
        label=CLUSTER, score=finding.score, box=box, prompts=prompts, mask=mask, id=f"finding-{index}"
    )
