"""VinDr-Mammo (Nguyen et al. 2023): full-field DICOM and boxes in a CSV table.

    finding_annotations.csv
    images/<study_id>/<image_id>.dicom

A box with the category `Suspicious Calcification` is a finding; other categories are only counted. A study is taken as
one patient. An image without such a box has no clusters. An image is refused if one of its rows cannot be read or its
rows contradict each other.
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
"""Columns about the image, which are equal in all of its rows."""

SUFFIXES = (".dicom", ".dcm", ".png")
MAX_CATEGORIES = 1000
"""Maximum length of a list of categories, in characters."""

NAME = re.compile(r"[0-9A-Za-z_.-]{1,128}")
Row = dict[str, str]


def read_vindr(options: DatasetOptions) -> Iterator[DatasetImage | Refusal]:
    """Yield every image of the table."""
    images: dict[tuple[str, str], list[tuple[int, Row]]] = {}
    for line, row in read_rows(options.folder / TABLE, COLUMNS):
        if not NAME.fullmatch(row["study_id"]) or not NAME.fullmatch(row["image_id"]):
            yield Refusal(f"{TABLE}, line {line}", "expected study_id and image_id of letters and digits")
            continue
        images.setdefault((row["study_id"], row["image_id"]), []).append((line, row))
    duplicates = repeated(image for _, image in images)
    for (study, image), rows in images.items():
        where = f"{TABLE}, line {rows[0][0]}"
        try:
            if image in duplicates:
                raise ValueError("two studies have an image with this image_id")
            yield _image(options.folder, study, image, rows=[row for _, row in rows], where=where)
        except (ValueError, InvalidTaskData) as error:
            yield Refusal(where, str(error))


def _image(folder: Path, study: str, image: str, *, rows: list[Row], where: str) -> DatasetImage:
    _require_agreement(rows)
    boxes = tuple(
        (number(row["xmin"]), number(row["ymin"]), number(row["xmax"]), number(row["ymax"]))
        for row in rows
        if CALCIFICATION in _categories(row)
    )
    first = rows[0]
    return DatasetImage(
        file=_file(folder, study, image),
        where=where,
        patient=study,
        exam=study,
        findings=partial(_findings, boxes, (number(first["width"]), number(first["height"]))),
        classes=tuple(name for row in rows for name in _categories(row)),
        laterality=stated_laterality(first["laterality"]),
        view=stated_view(first["view_position"]),
    )


def _findings(
    boxes: tuple[tuple[float, float, float, float], ...], stated: tuple[float, float], size: Size
) -> list[Finding]:
    if stated != (float(size.width), float(size.height)):
        raise ValueError(
            f"the table states another size than the image's {size.width} x {size.height} pixels"
        )
    return [boxed(*box, size) for box in boxes]


def _require_agreement(rows: list[Row]) -> None:
    """Refuse contradictory or repeated rows of one image.

    Raises:
        ValueError: there are such rows.
    """
    for column in SAME:
        if len({row[column] for row in rows}) > 1:
            raise ValueError(f"its rows state different values of {column}")
    if len({NOTHING in _categories(row) for row in rows}) > 1:
        raise ValueError(f"one of its rows has the category {NOTHING}, another one does not")
    if repeated(str(sorted(row.items())) for row in rows):
        raise ValueError("one of its rows is repeated")


def _categories(row: Row) -> list[str]:
    """Return the categories of a row, which the table writes as a Python list. The text is not evaluated.

    Raises:
        ValueError: it is not a list of names, or contains an unknown category of calcifications.
    """
    text = row["finding_categories"]
    if len(text) > MAX_CATEGORIES or not CATEGORIES.fullmatch(text):
        raise ValueError("expected its finding_categories to be a list of names")
    names = [one or other for one, other in CATEGORY.findall(text)]
    if unknown := [name for name in names if "calcif" in name.lower() and name != CALCIFICATION]:
        raise ValueError(
            f"the category {printable(unknown[0], length=40)!r} may or may not be {CALCIFICATION!r}"
        )
    return [printable(name) for name in names]


def _file(folder: Path, study: str, image: str) -> Path:
    candidates = [find_file(folder, f"images/{study}/{image}{suffix}") for suffix in SUFFIXES]
    files = [file for file in candidates if file is not None]
    if len(files) != 1:
        raise ValueError(
            "several files may be the image" if files else "the image is not in the folder images/<study_id>"
        )
    return files[0]
