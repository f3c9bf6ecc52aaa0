"""A folder of images and a folder of masks.

    images/<patient>_<anything>.png      DICOM, PNG, JPEG, TIFF or PGM; folders below are fine
    masks/<the same path>.png            or <name>_mask.png, <name>.mask.png; anything but 0 is a cluster

A mask is lossless and has the size of its image: grey, coloured on black, with a palette, or with the lesion in its
alpha channel. Each 8-connected component is one cluster; a mask of zeros means that there is none. An image without a
mask, or with two, is refused. The patient of a DICOM file is its PatientID, else the match of --patient-pattern in the
path.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import partial
from pathlib import Path, PurePosixPath

from mammo.errors import InvalidTaskData
from mammo.exchange.datasets.contents import (
    DatasetImage,
    DatasetOptions,
    closed_folders,
    inside,
    invalid,
    repeated,
)
from mammo.exchange.datasets.masks import read_mask
from mammo.exchange.datasets.patients import PatientRule
from mammo.exchange.export.labelled_image import Refusal
from mammo.file_names import files_of
from mammo.findings import CLUSTER, Finding
from mammo.geometry import Size
from mammo.masks import Mask
from mammo.printable import printable

IMAGES = {".dcm", ".dicom", ".png", ".jpg", ".jpeg", ".tif", ".tiff", ".pgm"}
MASKS = {".png", ".tif", ".tiff", ".pgm", ".dcm", ".dicom"}
ENDINGS = ("", "_mask", ".mask")
"""Endings of a mask's name after the name of its image."""

MIN_PIXELS = 4
"""Least area of a cluster; smaller components were painted by accident."""


def read_folder(options: DatasetOptions) -> Iterator[DatasetImage | Refusal]:
    """Yield every image that has a mask."""
    rule = PatientRule.of_options(options)
    images, masks = options.folder / "images", options.folder / "masks"
    if not images.is_dir() or not masks.is_dir():
        raise invalid("expected the folders images and masks")
    files = [path for path in files_of([images]) if path.suffix.lower() in IMAGES]
    yield from closed_folders(options.folder, "images", "masks")
    shared = repeated(_stem(file.relative_to(images)) for file in files)
    masks_by_stem = _masks_by_stem(masks)
    for file in files:
        relative = file.relative_to(images)
        where = printable(relative.as_posix(), length=120)
        try:
            inside(images, relative.as_posix())  # Refuses symbolic links that leave the folder.
            if _stem(relative) in shared:
                raise ValueError(
                    "another image has the same name with another ending, so the mask is ambiguous; rename one"
                )
            small: list[int] = []
            yield DatasetImage(
                file=file,
                where=where,
                patient=rule.of(relative.as_posix()),
                path=relative.as_posix(),
                findings=partial(_findings, _mask_file(masks, masks_by_stem, relative), small),
                trusts_file=True,
                small_parts=small,
            )
        except (ValueError, InvalidTaskData) as error:
            yield Refusal(where, str(error))
    image_stems = {_stem(file.relative_to(images)) + ending for file in files for ending in ENDINGS}
    for stem, candidates in masks_by_stem.items():
        if stem not in image_stems:
            where = printable(f"masks/{candidates[0].as_posix()}", length=120)
            yield Refusal(where, "there is no image for this mask")


def _stem(relative: Path) -> str:
    return (relative.parent / relative.stem).as_posix()


def _masks_by_stem(masks: Path) -> dict[str, list[Path]]:
    """Return the relative paths of the masks, by their path without suffix."""
    by_stem: dict[str, list[Path]] = {}
    for path in files_of([masks]):
        if path.suffix.lower() in MASKS and not os.path.isdir(path):
            relative = path.relative_to(masks)
            by_stem.setdefault(_stem(relative), []).append(relative)
    return by_stem


def _mask_file(masks: Path, masks_by_stem: dict[str, list[Path]], relative: Path) -> Path:
    """Return the mask of an image.

    Raises:
        ValueError: there is no mask, or there are several.
    """
    stem = _stem(relative)
    candidates = [file for ending in ENDINGS for file in masks_by_stem.get(stem + ending, ())]
    if len(candidates) > 1:
        names = ", ".join(printable(file.name, length=40) for file in candidates[:4])
        raise ValueError(f"it has {len(candidates)} masks, {names}; remove all but one")
    if not candidates:
        stems = {(stem + ending).casefold() for ending in ENDINGS}
        similar = [each for each in masks_by_stem if each.casefold() in stems]
        if similar:
            name = printable(PurePosixPath(similar[0]).name, length=40)
            raise ValueError(f"there is only a mask in another case of its name, {name}; rename one of them")
        raise ValueError("it has no mask; add one, of zeros if it shows no cluster")
    return inside(masks, candidates[0].as_posix())


def _findings(file: Path, small: list[int], size: Size) -> list[Finding]:
    whole = Mask.from_full(read_mask(file, size=size))
    parts = whole.components() if whole else []
    clusters = [part for part in parts if part.area >= MIN_PIXELS]
    if parts and not clusters:
        raise ValueError(
            f"its mask has only parts of fewer than {MIN_PIXELS} pixels, so it is unclear whether there is a cluster"
        )
    small[:] = [part.area for part in parts if part.area < MIN_PIXELS]
    return [
        Finding(label=CLUSTER, score=1.0, box=part.frame, mask=part, id=f"part-{index}")
        for index, part in enumerate(clusters, start=1)
    ]
