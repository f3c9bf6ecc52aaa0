"""A folder of images and a folder of masks.

    images/<patient>_<anything>.png      DICOM, PNG, JPEG, TIFF or PGM; folders below are fine
    masks/<the same path>.png            or <name>_mask.png, <name>.mask.png; anything but 0 is a cluster

A mask is lossless and as large as its image. Each of its connected parts becomes one cluster; a mask of one value
says that there is none. An image without a mask is refused: nobody has said what is in it. The patient of a DICOM
file is its PatientID; else --patient-pattern finds it in the path.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

from cli.datasets.contents import DatasetImage, DatasetOptions, inside, invalid
from cli.datasets.patients import patient_of, patient_pattern
from cli.export.labelled import Refusal
from cli.shown import shown
from mammo.dicom import read_mammogram
from mammo.errors import UnreadableImage
from mammo.findings import CLUSTER, Finding
from mammo.geometry import Size
from mammo.masks import Mask

IMAGES = {".dcm", ".dicom", ".png", ".jpg", ".jpeg", ".tif", ".tiff", ".pgm"}
MASKS = (".png", ".tif", ".tiff", ".pgm", ".dcm")
LEAST_PIXELS = 4
"""Smaller parts of a mask are slips of the brush."""


def read_folder(options: DatasetOptions) -> Iterator[DatasetImage | Refusal]:
    """Every image that has a mask."""
    pattern = patient_pattern(options.patient_pattern)
    images, masks = options.folder / "images", options.folder / "masks"
    if not images.is_dir() or not masks.is_dir():
        raise invalid("expected the folders images and masks")
    for file in sorted(path for path in images.rglob("*") if path.suffix.lower() in IMAGES):
        relative = file.relative_to(images)
        where = shown(relative.as_posix(), length=120)
        try:
            inside(images, relative.as_posix())  # a symbolic link may lead anywhere
            mask = _mask_file(masks, relative)
            yield DatasetImage(
                file=file,
                where=where,
                patient=patient_of(relative.as_posix(), pattern),
                findings=partial(_findings, mask),
                trusts_file=True,
            )
        except ValueError as error:
            yield Refusal(where, str(error))


def _mask_file(masks: Path, relative: Path) -> Path:
    for ending in ("", "_mask", ".mask"):
        for suffix in MASKS:
            file = inside(masks, (relative.parent / f"{relative.stem}{ending}{suffix}").as_posix())
            if file.is_file():
                return file
    raise ValueError("there is no mask for it; a mask of zeros says that it holds no cluster")


def _findings(file: Path, size: Size) -> list[Finding]:
    try:
        read = read_mammogram(file)
    except UnreadableImage as error:
        if error.code == "constant_image":
            return []
        raise
    if read.size != size:
        raise ValueError("the mask has another size than the image")
    whole = Mask.from_full(read.pixels > 0)
    parts = [part for part in (whole.components() if whole else []) if part.area >= LEAST_PIXELS]
    return [
        Finding(label=CLUSTER, score=1.0, box=part.frame, mask=part, id=f"part-{index}")
        for index, part in enumerate(parts, start=1)
    ]
