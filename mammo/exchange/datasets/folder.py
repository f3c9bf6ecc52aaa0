"""A folder of images and a folder of masks.

    images/<patient>_<anything>.png      DICOM, PNG, JPEG, TIFF or PGM; folders below are fine
    masks/<the same path>.png            or <name>_mask.png, <name>.mask.png; anything but 0 is a cluster

A mask is lossless and as large as its image: grey, coloured on black, with a palette, or with the lesion in its alpha
channel. Each of its connected parts becomes one cluster; a mask of zeros says that there is none. An image without a
mask, or with two, is refused: nobody has said what is in it. The patient of a DICOM file is its PatientID; else
--patient-pattern finds it in the path.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path, PurePosixPath

from mammo.errors import InvalidTaskData
from mammo.exchange.datasets.contents import DatasetImage, DatasetOptions, inside, invalid, repeated
from mammo.exchange.datasets.masks import read_mask
from mammo.exchange.datasets.patients import PatientRule
from mammo.exchange.export.labelled_image import Refusal
from mammo.findings import CLUSTER, Finding
from mammo.geometry import Size
from mammo.masks import Mask
from mammo.printable import printable

IMAGES = {".dcm", ".dicom", ".png", ".jpg", ".jpeg", ".tif", ".tiff", ".pgm"}
MASKS = {".png", ".tif", ".tiff", ".pgm", ".dcm", ".dicom"}
ENDINGS = ("", "_mask", ".mask")
MIN_PIXELS = 4
"""Smaller parts of a mask are slips of the brush."""


def read_folder(options: DatasetOptions) -> Iterator[DatasetImage | Refusal]:
    """Every image that has a mask."""
    rule = PatientRule.of_options(options)
    images, masks = options.folder / "images", options.folder / "masks"
    if not images.is_dir() or not masks.is_dir():
        raise invalid("expected the folders images and masks")
    files = sorted(path for path in images.rglob("*") if path.suffix.lower() in IMAGES)
    shared = repeated(_stem(file.relative_to(images)) for file in files)
    known = _masks(masks)
    for file in files:
        relative = file.relative_to(images)
        where = printable(relative.as_posix(), length=120)
        try:
            inside(images, relative.as_posix())  # a symbolic link may lead anywhere
            if _stem(relative) in shared:
                raise ValueError(
                    "another image has the same name but for its ending: one mask cannot be of both"
                )
            small: list[int] = []
            yield DatasetImage(
                file=file,
                where=where,
                patient=rule.of(relative.as_posix()),
                path=relative.as_posix(),
                findings=partial(_findings, _mask_file(masks, known, relative), small),
                trusts_file=True,
                small_parts=small,
            )
        except (ValueError, InvalidTaskData) as error:
            yield Refusal(where, str(error))
    wanted = {_stem(file.relative_to(images)) + ending for file in files for ending in ENDINGS}
    for stem, found in known.items():
        if stem not in wanted:
            yield Refusal(
                printable(f"masks/{found[0].as_posix()}", length=120), "there is no image for this mask"
            )


def _stem(relative: Path) -> str:
    return (relative.parent / relative.stem).as_posix()


def _masks(masks: Path) -> dict[str, list[Path]]:
    """The files of the folder of masks, by what stands before their ending."""
    found: dict[str, list[Path]] = {}
    for path in sorted(masks.rglob("*")):
        if path.is_file() and path.suffix.lower() in MASKS:
            relative = path.relative_to(masks)
            found.setdefault(_stem(relative), []).append(relative)
    return found


def _mask_file(masks: Path, known: dict[str, list[Path]], relative: Path) -> Path:
    """The one mask of an image.

    Raises:
        ValueError: none, or several.
    """
    stem = _stem(relative)
    found = [file for ending in ENDINGS for file in known.get(stem + ending, ())]
    if len(found) > 1:
        names = ", ".join(printable(file.name, length=40) for file in found[:4])
        raise ValueError(f"{len(found)} masks may be of it: {names}; leave one")
    if not found:
        wanted = {(stem + ending).casefold() for ending in ENDINGS}
        near = [each for each in known if each.casefold() in wanted]
        if near:
            name = printable(PurePosixPath(near[0]).name, length=40)
            raise ValueError(f"there is only a mask in another case of its name, {name}; rename one of them")
        raise ValueError("there is no mask for it; a mask of zeros says that it holds no cluster")
    return inside(masks, found[0].as_posix())


def _findings(file: Path, small: list[int], size: Size) -> list[Finding]:
    whole = Mask.from_full(read_mask(file, size=size))
    parts = whole.components() if whole else []
    clusters = [part for part in parts if part.area >= MIN_PIXELS]
    if parts and not clusters:
        raise ValueError(
            f"its mask has only parts of fewer than {MIN_PIXELS} pixels: neither a cluster nor none"
        )
    small[:] = [part.area for part in parts if part.area < MIN_PIXELS]
    return [
        Finding(label=CLUSTER, score=1.0, box=part.frame, mask=part, id=f"part-{index}")
        for index, part in enumerate(clusters, start=1)
    ]
