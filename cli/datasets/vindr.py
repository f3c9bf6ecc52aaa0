"""VinDr-Mammo (Nguyen et al. 2023): full-field DICOM and boxes in a CSV table.

    finding_annotations.csv
    images/<study_id>/<image_id>.dicom

A box whose categories include `Suspicious Calcification` comes in; other findings are counted only. One study is one
person. An image without such a box comes in as one without clusters.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from cli.datasets.contents import DatasetImage, DatasetOptions, boxed, inside, number, read_rows
from cli.export.labelled import Refusal
from cli.shown import shown
from mammo.findings import Finding
from mammo.geometry import Size

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
    for (study, image), rows in images.items():
        line, first = rows[0]
        where = f"{TABLE}, line {line}"
        try:
            file = _file(options.folder, study, image)
            classes = tuple(name for _, row in rows for name in _categories(row))
            boxes = tuple(
                (number(row["xmin"]), number(row["ymin"]), number(row["xmax"]), number(row["ymax"]))
                for _, row in rows
                if CALCIFICATION in _categories(row)
            )
            stated = number(first["width"]), number(first["height"])
        except ValueError as error:
            yield Refusal(where, str(error))
            continue
        side, view = first["laterality"].upper(), first["view_position"].upper()
        yield DatasetImage(
            file=file,
            where=where,
            patient=study,
            findings=partial(_findings, boxes, stated),
            classes=classes,
            laterality="L" if side == "L" else "R" if side == "R" else None,
            view=view if view in ("CC", "MLO") else None,
        )


def _findings(
    boxes: tuple[tuple[float, float, float, float], ...], stated: tuple[float, float], size: Size
) -> list[Finding]:
    if stated != (float(size.width), float(size.height)):
        raise ValueError(f"the table states another size than the image has ({size.width} x {size.height})")
    return [boxed(*box, size) for box in boxes]


def _categories(row: Row) -> list[str]:
    """A Python list of strings, as the table writes it; never evaluated."""
    found = [one or other for one, other in CATEGORY.findall(row["finding_categories"][:1000])]
    return [shown(name) for name in found] or ["unnamed"]


def _file(folder: Path, study: str, image: str) -> Path:
    for suffix in (".dicom", ".dcm", ".png"):
        file = inside(folder, f"images/{study}/{image}{suffix}")
        if file.is_file():
            return file
    raise ValueError("the image is not in the folder images/<study_id>")
