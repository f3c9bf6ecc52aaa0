"""YOLO labels and their images: one line per box or outline, with coordinates relative to the size of the image.

    classes.txt, or data.yaml with `names`      names of the classes
    labels/<path>.txt                           class x y width height, or class x1 y1 x2 y2 x3 y3 ...
    images/<path>.png                           the image with the same path
    images.json                                 in our own exports: images and patients

An image with an empty label file has no clusters, except in Label Studio's own export, where it is refused. The patient
is the PatientID of the image's file, else the one in `images.json`, else the match of --patient-pattern in the path.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from mammo.errors import MammoError
from mammo.exchange.datasets.categories import cluster_categories, paired
from mammo.exchange.datasets.contents import (
    DatasetImage,
    DatasetOptions,
    boxed,
    closed_folders,
    inside,
    invalid,
    listing,
    read_text,
    repeated,
)
from mammo.exchange.datasets.folder import IMAGES
from mammo.exchange.datasets.json_files import read_object
from mammo.exchange.datasets.named_files import image_file
from mammo.exchange.datasets.patients import PatientRule
from mammo.exchange.export.labelled_image import Refusal
from mammo.file_names import files_of
from mammo.findings import CLUSTER, Finding
from mammo.geometry import Size
from mammo.identifiers import identifier
from mammo.masks import PixelBudget
from mammo.masks.polygons import polygon_mask
from mammo.printable import printable
from mammo.stated_facts import stated_spacing

LIST, NOTES = "images.json", "notes.json"
NAME = re.compile(r"\s+['\"]?(\d{1,4})['\"]?\s*:\s*(.+)")
MAX_LINES, MAX_WORDS = 10_000, 40_001
"""Maximum number of lines of a label file, and of words of a line."""

POSE = 7
"""Number of values of a box and one key point with its visibility."""

Shape = tuple[str, tuple[float, ...]]
"""Class, and the relative coordinates of a box or an outline."""


@dataclass(frozen=True)
class _LabelFolder:
    """A folder of labels, with what its other files say about them."""

    folder: Path
    rule: PatientRule
    names: dict[str, str]
    """Names of the classes, by number."""

    clusters: set[str]
    """Numbers of the classes that mean a cluster."""

    rows: dict[str, dict[str, Any]]
    """Rows of `images.json`, by label file."""

    by_label_studio: bool
    """Whether Label Studio exported the folder."""

    def image(self, file: Path, where: str) -> DatasetImage:
        """Return the image of a label file.

        Raises:
            ValueError, MammoError: the labels or the image cannot be read.
        """
        relative = file.relative_to(self.folder).as_posix()
        inside(self.folder, relative)
        shapes = _shapes(file, self.names)
        if not shapes and self.by_label_studio:
            raise ValueError(
                "Label Studio's YOLO export omits brush regions and includes unannotated tasks, so the image of an "
                "empty label file may contain clusters; use `yolo-mlsam export --format yolo`"
            )
        row = self.rows.get(relative, {})
        image, path = _image_file(self.folder, file.relative_to(self.folder / "labels"), row)
        patient, spacing = identifier(row.get("patient")), stated_spacing(row.get("spacing_mm"))
        clusters = [coordinates for name, coordinates in shapes if name in self.clusters]
        return DatasetImage(
            file=image,
            where=where,
            patient=patient or self.rule.of(path),
            path=None if patient else path,
            findings=partial(_findings, clusters, are_paired=self.by_label_studio),
            classes=tuple(self.names[name] for name, _ in shapes),
            trusts_file=True,
            spacing_mm=(spacing.row_mm, spacing.column_mm) if spacing else None,
        )


def read_yolo(options: DatasetOptions) -> Iterator[DatasetImage | Refusal]:
    """Yield every image that has a label file."""
    folder, labels = options.folder, options.folder / "labels"
    if not labels.is_dir():
        raise invalid("expected the folder labels")
    source = _label_folder(options)
    files = [path for path in files_of([labels]) if path.suffix.lower() == ".txt"]
    yield from closed_folders(folder, "labels", "images")
    items: list[DatasetImage] = []
    for file in files:
        where = printable(file.relative_to(folder).as_posix(), length=120)
        try:
            items.append(source.image(file, where))
        except (ValueError, MammoError) as error:
            yield Refusal(where, str(error))
    if not source.rows:
        yield from _without_labels(folder, files)
    shared = repeated(str(item.file.resolve()) for item in items)
    for item in items:
        if str(item.file.resolve()) in shared:
            yield Refusal(item.where, "another label file is of the same image, so both are refused")
        else:
            yield item


def _label_folder(options: DatasetOptions) -> _LabelFolder:
    folder = options.folder
    rule = PatientRule.of_options(options)
    names = _names(folder)
    notes = read_object(folder / NOTES) if os.path.lexists(folder / NOTES) else {}
    info = notes.get("info")
    return _LabelFolder(
        folder,
        rule,
        names,
        clusters=cluster_categories(names, options.label),
        rows=_rows(folder),
        by_label_studio=isinstance(info, dict) and info.get("contributor") == "Label Studio",
    )


def _without_labels(folder: Path, files: list[Path]) -> Iterator[Refusal]:
    """Yield the images without a label file, which may or may not contain clusters."""
    images, labels = folder / "images", folder / "labels"
    named = {file.relative_to(labels).with_suffix("") for file in files}
    for path in files_of([images]):
        if path.suffix.lower() in IMAGES and path.relative_to(images).with_suffix("") not in named:
            where = printable(path.relative_to(folder).as_posix(), length=120)
            yield Refusal(where, "it has no label file; add one, empty if it shows no cluster")


def _names(folder: Path) -> dict[str, str]:
    """Return the names of the classes, by number as text.

    Raises:
        MammoError: there is neither a classes.txt nor a data.yaml with `names`, or a number has two names.
    """
    if os.path.lexists(folder / "classes.txt"):
        lines = read_text(folder / "classes.txt").splitlines()
        pairs = [(str(number), line.strip()) for number, line in enumerate(lines) if line.strip()]
    else:
        text = read_text(folder / "data.yaml")
        _, _, below = text.partition("names:")
        first, *more = below.splitlines() or [""]
        if first.strip().startswith("["):
            words = re.findall(r"'([^']*)'|\"([^\"]*)\"|([^\s,\[\]'\"]+)", below.partition("]")[0])
            pairs = [(str(number), "".join(word)) for number, word in enumerate(words)]
        else:
            matches = [NAME.fullmatch(line.partition(" #")[0].rstrip()) for line in more]
            pairs = [(str(int(match[1])), match[2].strip().strip("'\"")) for match in matches if match]
    if not pairs or repeated(number for number, _ in pairs):
        raise invalid("expected classes.txt, or `names` in data.yaml, with one name for every number")
    return dict(pairs)


def _rows(folder: Path) -> dict[str, dict[str, Any]]:
    """Return the rows of `images.json`, by label file; empty without the file."""
    if not os.path.lexists(folder / LIST):
        return {}
    rows = read_object(folder / LIST).get("images")
    if not isinstance(rows, list) or not all(
        isinstance(row, dict) and isinstance(row.get("file"), str) for row in rows
    ):
        raise invalid(f"expected a list of images in {LIST}")
    if duplicates := repeated(row["file"] for row in rows):
        raise invalid(f"{LIST} names {printable(min(duplicates))} twice")
    return {row["file"]: row for row in rows}


def _image_file(folder: Path, relative: Path, row: dict[str, Any]) -> tuple[Path, str]:
    """Return the image of a label file, and the path in which a patient is searched."""
    if isinstance(row.get("image"), str):
        return image_file(folder, row["image"])
    images = folder / "images"
    parent = images / relative.parent
    siblings = listing(parent) if parent.is_dir() else []
    files = [path for path in siblings if path.suffix.lower() in IMAGES and path.stem == relative.stem]
    if len(files) != 1:
        raise ValueError("several images have its name" if files else "no image in images has its name")
    file = inside(folder, files[0].relative_to(folder).as_posix())
    return file, files[0].relative_to(images).as_posix()


def _shapes(file: Path, names: dict[str, str]) -> list[Shape]:
    """Return the boxes and outlines of a label file.

    Raises:
        ValueError: a line is neither a box nor an outline, or its class is unknown.
    """
    lines = read_text(file).splitlines()
    if len(lines) > MAX_LINES:
        raise ValueError(f"expected at most {MAX_LINES} lines, got {len(lines)}")
    shapes: list[Shape] = []
    for number, line in enumerate(lines, start=1):
        words = line.split()
        if not words:
            continue
        if words[0] not in names:
            raise ValueError(f"line {number}: the class has no name")
        try:
            shapes.append((words[0], _coordinates(words)))
        except ValueError as error:
            raise ValueError(f"line {number}: {error}") from None
    return shapes


def _coordinates(words: list[str]) -> tuple[float, ...]:
    """Return the relative coordinates of a box or an outline.

    Raises:
        ValueError: the line is neither.
    """
    try:
        coordinates = tuple(float(word) for word in words[1:MAX_WORDS])
    except ValueError:
        raise ValueError("a coordinate is not a number") from None
    num = len(coordinates)
    if num == POSE:
        # In a project with key points, Label Studio exports a box with one of them.
        coordinates, num = coordinates[:4], 4
    elif num > POSE and (num - 4) % 3 == 0 and set(words[7::3]) <= {"0", "1", "2"}:
        raise ValueError("it is unclear whether the line is an outline or the key points of a pose")
    if not (num == 4 or (num >= 6 and num % 2 == 0)) or len(words) > MAX_WORDS:
        raise ValueError("expected class x y width height, or class and pairs x y of an outline")
    if not all(-1 <= coordinate <= 2 for coordinate in coordinates):
        raise ValueError("expected coordinates relative to the image, in [0, 1]")
    return coordinates


def _findings(shapes: list[tuple[float, ...]], size: Size, *, are_paired: bool) -> list[Finding]:
    budget = PixelBudget()
    findings = [
        replace(_finding(shape, size, budget), id=f"line-{number}")
        for number, shape in enumerate(shapes, start=1)
    ]
    return paired(findings) if are_paired else findings


def _finding(shape: tuple[float, ...], size: Size, budget: PixelBudget) -> Finding:
    if len(shape) == 4:
        x, width = shape[0] * size.width, shape[2] * size.width
        y, height = shape[1] * size.height, shape[3] * size.height
        corners = x - width / 2, y - height / 2, x + width / 2, y + height / 2
        x0, y0, x1, y1 = (_snapped(corner) for corner in corners)
        return boxed(x0, y0, x1, y1, size)
    outline = np.array(shape, np.float64).reshape(-1, 2) * (size.width, size.height)
    mask = polygon_mask(outline, size=size, budget=budget)
    if mask is None:
        raise ValueError("an outline lies outside the image or covers no pixel of it")
    return Finding(label=CLUSTER, score=1.0, box=mask.frame, mask=mask)


def _snapped(corner: float) -> float:
    """Return a coordinate moved to the nearest pixel edge within 0.05 pixels; labels have few decimals."""
    return float(round(corner)) if abs(corner - round(corner)) < 0.05 else corner
