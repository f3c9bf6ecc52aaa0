"""Labelled images out of the JSON files that `yolo-mlsam prelabel` writes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Annotated, Any

from pydantic import BaseModel, Field, ValidationError

from mammo.dicom import read_mammogram
from mammo.dicom.segmentation import Origin
from mammo.errors import InvalidRegion, MammoError
from mammo.exchange.coco_rle import mask_of_rle
from mammo.exchange.export.labelled_image import LabelledImage, Refusal
from mammo.exchange.prelabel_report import distinct_names
from mammo.file_names import real_path
from mammo.findings import CLUSTER, Finding
from mammo.geometry import Box, Point, Size
from mammo.printable import file_stem, printable

MAX_JSON = 64 * 2**20
Pixel = Annotated[int, Field(ge=-(2**20), le=2**20)]


class PrelabelFinding(BaseModel):
    """One finding as `yolo-mlsam prelabel` describes it."""

    score: float = Field(ge=0, le=1)
    box: tuple[Pixel, Pixel, Pixel, Pixel]
    prompts: list[tuple[Pixel, Pixel]] = Field(default=[], max_length=1000)
    mask: dict[str, Any] | None = None


class Prelabels(BaseModel):
    """One JSON file of `yolo-mlsam prelabel`."""

    file: str = Field(max_length=4096)
    model_version: str = Field(max_length=200)
    spacing_mm: float | None = None
    spacing_row_column_mm: tuple[float, float] | None = None
    findings: list[PrelabelFinding] = Field(max_length=1000)
    error: str | None = None


def read_prelabels(paths: Iterable[Path], *, images: Path | None) -> Iterator[LabelledImage | Refusal]:
    """Read JSON files, or all of a folder, with the image of each.

    Args:
        images: folder of the images; None: beside each JSON file. A file's own path is never followed out of it.
    """
    files = [file for path in paths for file in (sorted(path.glob("*.json")) if path.is_dir() else [path])]
    names = distinct_names(Path(file_stem(file.stem)) for file in files)
    for file, name in zip(files, names, strict=True):
        try:
            yield _read(file, name, folder=images or file.parent)
        except (MammoError, ValueError) as error:
            yield Refusal(printable(file.name), str(error))
        except OSError as error:
            yield Refusal(printable(file.name), f"cannot be opened: {error.strerror or 'unknown reason'}")


def _read(file: Path, name: str, *, folder: Path) -> LabelledImage:
    if file.stat().st_size > MAX_JSON:
        raise ValueError(f"more than {MAX_JSON} bytes of JSON")
    try:
        prelabels = Prelabels.model_validate_json(file.read_bytes())
    except ValidationError as error:
        problem = error.errors(include_input=False, include_url=False)[0]
        where = ".".join(map(str, problem["loc"]))
        raise ValueError(
            f"not written by `yolo-mlsam prelabel`: {where or 'JSON'}: {problem['msg']}"
        ) from None
    if prelabels.error is not None:
        raise ValueError("the image could not be read when it was prelabelled")
    image = find_image(prelabels.file, folder)
    if image is None:
        raise ValueError(
            f"its image {printable(base_name(prelabels.file))} is not there; name its folder with --images"
        )
    mammogram = read_mammogram(image)
    findings = tuple(
        _finding(found, mammogram.size, index) for index, found in enumerate(prelabels.findings, 1)
    )
    spacing = prelabels.spacing_row_column_mm or prelabels.spacing_mm
    return LabelledImage(
        name=name,
        file_name=image.relative_to(folder).as_posix(),
        size=mammogram.size,
        findings=findings,
        origin=Origin(made_by="automatic", version=prelabels.model_version),
        source=image,
        sha256=mammogram.sha256,
        facts={"sha256": mammogram.sha256, "view": mammogram.view, "laterality": mammogram.laterality}
        | ({"spacing_mm": spacing} if spacing else {}),
    )


def find_image(stated: str, folder: Path) -> Path | None:
    """The image that a file names, below a folder: by its relative path, else by its name; None when not there."""
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
    """The last part of a path, whichever system wrote it."""
    return PureWindowsPath(path).name


def _finding(found: PrelabelFinding, size: Size, index: int) -> Finding:
    box = Box(*found.box)
    if box.intersection(size.box) != box:
        raise InvalidRegion(f"finding {index} lies outside the image of {size.width} x {size.height} pixels")
    mask = mask_of_rle(found.mask, size=size) if found.mask else None
    prompts = tuple(Point(*point) for point in found.prompts)
    return Finding(
        label=CLUSTER, score=found.score, box=box, prompts=prompts, mask=mask, id=f"finding-{index}"
    )
