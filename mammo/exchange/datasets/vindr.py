"""VinDr-Mammo (Nguyen et al. 2023): full-field DICOM and boxes in a CSV table.

    finding_annotations.csv
    images/<study_id>/<image_id>.dicom

A box whose categories include `Suspicious Calcification` comes in; other findings are counted only. One study is one
person. An image without such a box comes in as one without clusters; one with a row that cannot be read, or with rows
that contradict each other, is refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from mammo.errors import InvalidTaskData
from mammo.exchange.datasets.contents import (
    DatasetImage,
    DatasetOptions,
    boxed,
    find_file,
    number,
    read_rows,
    repeated,
)
from mammo.exchange.export.labelled_image import Refusal
from mammo.findings import Finding
from mammo.geometry import Size
from mammo.printable import printable
from mammo.stated_facts import stated_laterality, stated_view

TABLE = "finding_annotations.csv"
CORNERS = ("xmin", "ymin", "xmax", "ymax")
COLUMNS = (
    "study_id",
    "image_id",
    "laterality",
    "view_position",
    "height",
    "width",
    "finding_categories",
    *CORNERS,
)
CALCIFICATION = "Suspicious Calcification"
CATEGORY = re.compile(r"'([^']{1,60})'|\"([^\"]{1,60})\"")
CATEGORIES = re.compile(rf"\[\s*(?:{CATEGORY.pattern})(?:\s*,\s*(?:{CATEGORY.pattern}))*\s*,?\s*\]")
NOTHING = "No Finding"
SAME = ("laterality", "view_position", "height", "width")
"""Columns that are of the image, and so alike in all its rows."""

MAX_CATEGORIES = 1000
NAME = re.compile(r"[0-9A-Za-z_.-]{1,128}")
Row = dict[str, str]


def read_vindr(options: DatasetOptions) -> Iterator[DatasetImage | Refusal]:
    """Every image of the table."""
    images: dict[tuple[str, str], list[tuple[int, Row]]] = {}
    for line, row in read_rows(options.folder / TABLE, COLUMNS):
        if not NAME.fullmatch(row["study_id"]) or not NAME.fullmatch(row["image_id"]):
            yield Refusal(f"{TABLE}, line {line}", "study_id and image_id are letters and digits")
            continue
        images.setdefault((row["study_id"], row["image_id"]), []).append((line, row))
    twice = repeated(image for _, image in images)
    for (study, image), rows in images.items():
        line, first = rows[0]
        where = f"{TABLE}, line {line}"
        try:
            if image in twice:
                raise ValueError("two studies have an image of this image_id")
            _require_agreement([row for _, row in rows])
            file = _file(options.folder, study, image)
            classes = tuple(name for _, row in rows for name in _categories(row))
            boxes = tuple(
                (number(row["xmin"]), number(row["ymin"]), number(row["xmax"]), number(row["ymax"]))
                for _, row in rows
                if CALCIFICATION in _categories(row)
            )
            stated = number(first["width"]), number(first["height"])
            side, view = stated_laterality(first["laterality"]), stated_view(first["view_position"])
        except (ValueError, InvalidTaskData) as error:
            yield Refusal(where, str(error))
            continue
        yield DatasetImage(
            file=file,
            where=where,
            patient=study,
            findings=partial(_findings, boxes, stated),
            classes=classes,
            laterality=side,
            view=view,
        )


def _findings(
    boxes: tuple[tuple[float, float, float, float], ...], stated: tuple[float, float], size: Size
) -> list[Finding]:
    if stated != (float(size.width), float(size.height)):
        raise ValueError(f"the table states another size than the image has ({size.width} x {size.height})")
    return [boxed(*box, size) for box in boxes]


def _require_agreement(rows: list[Row]) -> None:
    """
    Raises:
        ValueError: the rows of one image contradict each other, or one of them is there twice.
    """
    for column in SAME:
        if len({row[column] for row in rows}) > 1:
            raise ValueError(f"its rows state different values of {column}")
    if len({NOTHING in _categories(row) for row in rows}) > 1:
        raise ValueError(f"one row says {NOTHING}, another one does not")
    if repeated(str(sorted(row.items())) for row in rows):
        raise ValueError("a row is there twice")


def _categories(row: Row) -> list[str]:
    """A Python list of strings, as the table writes it; never evaluated.

    Raises:
        ValueError: it is none, or a word for calcifications that is not in the data set's description.
    """
    text = row["finding_categories"]
    if len(text) > MAX_CATEGORIES or not CATEGORIES.fullmatch(text):
        raise ValueError("its finding_categories are no list of names")
    names = [one or other for one, other in CATEGORY.findall(text)]
    if odd := [name for name in names if "calcif" in name.lower() and name != CALCIFICATION]:
        raise ValueError(f"{printable(odd[0], length=40)!r} may or may not be {CALCIFICATION!r}")
    return [printable(name) for name in names]


def _file(folder: Path, study: str, image: str) -> Path:
    found = [find_file(folder, f"images/{study}/{image}{suffix}") for suffix in (".dicom", ".dcm", ".png")]
    files = [file for file in found if file is not None]
    if len(files) != 1:
        raise ValueError(
            "several files may be the image" if files else "the image is not in the folder images/<study_id>"
        )
    return files[0]
