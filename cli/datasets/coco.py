"""A COCO JSON file and the images that it names: masks as run lengths or polygons, or only boxes.

    *.json                  exactly one with `images`, `annotations` and `categories`, or `coco.json`
    <file_name>             below the folder, or below its `images/`

An image's patient is its file's PatientID, else its `patient` field, else what --patient-pattern finds in its
`file_name`. An image without annotations comes in as one without clusters.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from pydantic import BaseModel, Field, ValidationError

from cli.coco_rle import mask_of_rle
from cli.datasets.contents import MAX_TABLE, DatasetImage, DatasetOptions, boxed, inside, invalid
from cli.datasets.patients import patient_of, patient_pattern
from cli.export.labelled import Refusal
from cli.shown import shown
from mammo.errors import MammoError
from mammo.findings import CLUSTER, Finding
from mammo.geometry import Size
from mammo.masks import Mask, union
from mammo.polygons import polygon_mask

CLUSTER_NAMES = {
    "cluster", "calcification cluster", "microcalcification cluster", "microcalcification", "microcalcifications",
    "calcification", "calcifications", "mcc", "mc",
}  # fmt: skip
"""Category names that mean a cluster, in lower case, when --label does not name one."""

Row = TypeVar("Row", bound=BaseModel)
MAX_CORNERS = 20_000
MAX_POLYGONS = 1000


class CocoImage(BaseModel):
    """A row of `images`."""

    id: int
    file_name: str = Field(max_length=4096)
    width: int = Field(ge=1, le=2**20)
    height: int = Field(ge=1, le=2**20)
    patient: str | None = Field(default=None, max_length=500)
    laterality: str | None = Field(default=None, max_length=20)
    view: str | None = Field(default=None, max_length=20)
    spacing_mm: float | list[float] | None = None


class CocoAnnotation(BaseModel):
    """A row of `annotations`; `bbox` is x, y, width, height."""

    id: int
    image_id: int
    category_id: int
    bbox: list[float] = Field(default=[], max_length=4)
    segmentation: dict[str, Any] | list[Any] = Field(default=[], max_length=MAX_POLYGONS)


class CocoCategory(BaseModel):
    """A row of `categories`."""

    id: int
    name: str = Field(max_length=500)


def read_coco(options: DatasetOptions) -> Iterator[DatasetImage | Refusal]:
    """Every image of the file."""
    pattern = patient_pattern(options.patient_pattern)
    path = _document(options.folder)
    document = _load(path)
    categories = [row for _, row, _ in _rows(document, "categories", CocoCategory, path, []) if row]
    names = {row.id: shown(row.name, length=40) for row in categories}
    wanted = _wanted(categories, options.label)
    refusals: list[Refusal] = []
    annotations: dict[int, list[CocoAnnotation]] = {}
    broken: set[object] = set()
    for where, row, image_id in _rows(document, "annotations", CocoAnnotation, path, refusals):
        if row is None:
            broken.add(image_id)  # without it the image would pass for one with fewer clusters
        elif row.category_id not in names:
            refusals.append(Refusal(where, "its category is not among the categories"))
            broken.add(row.image_id)
        else:
            annotations.setdefault(row.image_id, []).append(row)
    orphans = dict(annotations)
    for where, image, _ in _rows(document, "images", CocoImage, path, refusals):
        if image is None:
            continue
        orphans.pop(image.id, None)
        try:
            if image.id in broken:
                raise ValueError("one of its annotations cannot be read")
            yield _image(options.folder, image, annotations.get(image.id, []), wanted, names, pattern, where)
        except ValueError as error:
            refusals.append(Refusal(where, str(error)))
    if lost := sum(map(len, orphans.values())):
        refusals.append(Refusal(path.name, f"{lost} annotations belong to no image"))
    yield from refusals


def _image(
    folder: Path,
    image: CocoImage,
    rows: list[CocoAnnotation],
    wanted: set[int],
    names: dict[int, str],
    pattern: re.Pattern[str],
    where: str,
) -> DatasetImage:
    file = next(
        (path for root in (folder, folder / "images") if (path := inside(root, image.file_name)).is_file()),
        None,
    )
    if file is None:
        raise ValueError("the image is not in the folder")
    side, view = (image.laterality or "").upper()[:1], (image.view or "").upper()
    stated = (
        image.spacing_mm[0] if isinstance(image.spacing_mm, list) and image.spacing_mm else image.spacing_mm
    )
    return DatasetImage(
        file=file,
        where=where,
        patient=(image.patient or "").strip() or patient_of(image.file_name, pattern),
        findings=partial(
            _findings, [row for row in rows if row.category_id in wanted], Size(image.width, image.height)
        ),
        classes=tuple(names[row.category_id] for row in rows),
        laterality="L" if side == "L" else "R" if side == "R" else None,
        view=view if view in ("CC", "MLO") else None,
        trusts_file=True,
        spacing_mm=stated if isinstance(stated, float) and 0.01 <= stated <= 1 else None,
    )


def _findings(rows: list[CocoAnnotation], stated: Size, size: Size) -> list[Finding]:
    if stated != size:
        raise ValueError(f"the file states another size than the image has ({size.width} x {size.height})")
    findings = []
    for row in rows:
        mask = _mask(row.segmentation, size)
        if mask is not None:
            findings.append(
                Finding(label=CLUSTER, score=1.0, box=mask.frame, mask=mask, id=f"annotation-{row.id}")
            )
            continue
        if len(row.bbox) != 4 or not all(abs(value) <= 1e6 for value in row.bbox):
            raise ValueError("an annotation has neither a mask nor a box of four numbers")
        x, y, width, height = row.bbox
        findings.append(boxed(x, y, x + width, y + height, size))
    return findings


def _mask(segmentation: dict[str, Any] | list[Any], size: Size) -> Mask | None:
    """Run lengths, or polygons that belong together; None when there is no segmentation."""
    if isinstance(segmentation, dict):
        return mask_of_rle(segmentation, size=size)
    parts: list[Mask] = []
    num_corners = 0
    for polygon in segmentation:
        num_corners += len(polygon) // 2 if isinstance(polygon, list) else 0
        if not isinstance(polygon, list) or len(polygon) < 6 or len(polygon) % 2 or num_corners > MAX_CORNERS:
            raise ValueError("a polygon is a list of at least three pairs x, y")
        if not all(type(value) in (int, float) and abs(value) <= 1e6 for value in polygon):
            raise ValueError("a polygon holds something else than coordinates")
        part = polygon_mask(np.array(polygon, np.float64).reshape(-1, 2), size=size)
        parts += [part] if part else []
    if segmentation and not parts:
        raise ValueError("a polygon lies outside the image")
    whole = union(parts)
    return whole.tight() if whole else None


def _document(folder: Path) -> Path:
    named = folder / "coco.json"
    if named.is_file():
        return named
    found = sorted(path for path in folder.glob("*.json") if path.is_file())
    if len(found) != 1:
        raise invalid(f"expected coco.json, or exactly one JSON file, in the folder; there are {len(found)}")
    return found[0]


def _load(path: Path) -> dict[str, Any]:
    if path.stat().st_size > MAX_TABLE:
        raise invalid(f"{path.name} is longer than {MAX_TABLE} bytes")
    try:
        document = json.loads(path.read_bytes())
    except (ValueError, RecursionError):
        raise invalid(f"{path.name} is no JSON") from None
    if not isinstance(document, dict):
        raise invalid(f"{path.name} is no COCO file")
    return document


def _rows(
    document: dict[str, Any], key: str, model: type[Row], path: Path, refusals: list[Refusal]
) -> Iterator[tuple[str, Row | None, object]]:
    """Where each row is, the row or None where it is refused, and the `image_id` that it states."""
    rows = document.get(key)
    if not isinstance(rows, list):
        raise invalid(f"{path.name} has no list {key}")
    for number, row in enumerate(rows):
        where, stated = f"{path.name}, {key} {number}", row.get("image_id") if isinstance(row, dict) else None
        try:
            yield where, model.model_validate(row), stated
        except ValidationError as error:
            problem = error.errors(include_input=False, include_url=False)[0]
            field = ".".join(map(str, problem["loc"])) or "row"
            refusals.append(Refusal(where, shown(f"{field}: {problem['msg']}", length=120)))
            yield where, None, stated if isinstance(stated, int | str) else None


def _wanted(categories: list[CocoCategory], label: str | None) -> set[int]:
    """The categories that mean a cluster: the one named, else those with a telling name, else the only one."""
    if label is not None:
        found = {row.id for row in categories if row.name == label}
    else:
        found = {row.id for row in categories if row.name.strip().lower() in CLUSTER_NAMES}
        found = found or ({categories[0].id} if len(categories) == 1 else set())
    if not found:
        names = ", ".join(shown(row.name, length=30) for row in categories[:10])
        raise MammoError(
            f"name the category that means a cluster with --label; there are: {names}", code="invalid_dataset"
        )
    return found
