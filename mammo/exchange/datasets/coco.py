"""A COCO JSON file and the images that it names: masks as run lengths or polygons, or only boxes.

    *.json                  exactly one with `images`, `annotations` and `categories`, or `coco.json`
    <file_name>             below the folder, or below its `images/`; or an address of Label Studio, by its last part

An image's patient is its file's PatientID, else its `patient` field, else what --patient-pattern finds in its
`file_name`. An image without annotations comes in as one without clusters, but not out of Label Studio's own export.
What is said of an image must be said once: where ids or files are there twice, all that they are of stay out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import numpy as np
from pydantic import BaseModel, BeforeValidator, Field, ValidationError

from mammo.errors import InvalidTaskData, MammoError
from mammo.exchange.coco_rle import mask_of_rle
from mammo.exchange.datasets.categories import cluster_categories, paired
from mammo.exchange.datasets.contents import DatasetImage, DatasetOptions, boxed, invalid, repeated
from mammo.exchange.datasets.json_files import read_object
from mammo.exchange.datasets.named_files import image_file
from mammo.exchange.datasets.patients import PatientRule
from mammo.exchange.export.labelled_image import Refusal
from mammo.findings import CLUSTER, Finding
from mammo.geometry import Size
from mammo.identifiers import identifier
from mammo.masks import Mask, union
from mammo.masks.polygons import polygon_mask
from mammo.printable import printable
from mammo.stated_facts import stated_laterality, stated_spacing, stated_view

Row = TypeVar("Row", bound=BaseModel)
Read = TypeVar("Read")
MAX_CORNERS = 20_000
MAX_POLYGONS = 1000


def _id(value: object) -> str:
    try:
        known = identifier(value)
    except InvalidTaskData as error:
        raise ValueError(str(error)) from None
    if known is None:
        raise ValueError("an id is missing")
    return known


def _read(read: Callable[[object], Read]) -> BeforeValidator:
    """pydantic takes a ValueError for "this field is wrong"; ours are of another kind."""

    def checked(value: object) -> Read:
        try:
            return read(value)
        except InvalidTaskData as error:
            raise ValueError(str(error)) from None

    return BeforeValidator(checked)


Id = Annotated[str, BeforeValidator(_id)]
"""Compared as a value: tables that went through a spreadsheet have 1.0, others "1"."""


class CocoImage(BaseModel):
    """A row of `images`."""

    id: Id
    file_name: str = Field(min_length=1, max_length=4096)
    width: int | None = Field(default=None, ge=1, le=2**20)
    """None: Label Studio leaves it out where it could not open the image itself."""

    height: int | None = Field(default=None, ge=1, le=2**20)
    patient: Annotated[str | None, _read(identifier)] = Field(default=None)
    laterality: Annotated[Literal["L", "R"] | None, _read(stated_laterality)] = None
    view: Annotated[str | None, _read(stated_view)] = None
    spacing_mm: Annotated[Any, _read(stated_spacing)] = None
    """A `Spacing`, or None."""


class CocoAnnotation(BaseModel):
    """A row of `annotations`; `bbox` is x, y, width, height."""

    id: Id
    image_id: Id
    category_id: Id
    bbox: list[float] | None = Field(default=None, max_length=4)
    segmentation: dict[str, Any] | Annotated[list[Any], Field(max_length=MAX_POLYGONS)] | None = None
    keypoints: list[Any] | None = None


class CocoCategory(BaseModel):
    """A row of `categories`."""

    id: Id
    name: str = Field(max_length=500)


@dataclass
class _Document:
    """The rows of one file; what is wrong with an image stands in `problems`, by its id."""

    path: Path
    names: dict[str, str]
    images: list[tuple[str, CocoImage]] = field(default_factory=list)
    annotations: dict[str, list[CocoAnnotation]] = field(default_factory=dict)
    problems: dict[str, str] = field(default_factory=dict)
    refusals: list[Refusal] = field(default_factory=list)
    by_label_studio: bool = False


def read_coco(options: DatasetOptions) -> Iterator[DatasetImage | Refusal]:
    """Every image of the file."""
    rule = PatientRule.of_options(options)
    path = _document(options.folder)
    content = read_object(path)
    categories = [row for _, row, _ in _rows(content, "categories", CocoCategory, path, []) if row]
    if twice := repeated(row.id for row in categories):
        raise invalid(f"{path.name} has two categories with the id {printable(min(twice), length=20)}")
    wanted = cluster_categories({row.id: row.name for row in categories}, options.label)
    document = _Document(path, {row.id: printable(row.name, length=40) for row in categories})
    info = content.get("info")
    document.by_label_studio = isinstance(info, dict) and info.get("contributor") == "Label Studio"
    _read_annotations(content, document)
    _read_images(content, document)
    files: dict[Path, str] = {}
    found: list[DatasetImage] = []
    for where, image in document.images:
        try:
            item = _image(options, image, document, wanted, rule, where)
        except (ValueError, MammoError) as error:
            document.refusals.append(Refusal(where, str(error)))
            continue
        found.append(item)
        first = files.setdefault(item.file.resolve(), where)
        if first != where:
            document.refusals.append(Refusal(where, f"it is of the same file as {first}; so both stay out"))
    shared = {item.file.resolve() for item in found if files[item.file.resolve()] != item.where}
    for item in found:
        if item.file.resolve() not in shared:
            yield item
        elif files[item.file.resolve()] == item.where:
            document.refusals.append(Refusal(item.where, "another row is of the same file; so both stay out"))
    yield from document.refusals


def _read_annotations(content: dict[str, Any], document: _Document) -> None:
    path, owners = document.path, dict[str, list[str]]()
    for where, row, stated in _rows(content, "annotations", CocoAnnotation, path, document.refusals):
        if row is None:
            # Without it the image would pass for one with fewer clusters.
            with suppress(ValueError, MammoError):
                document.problems[_id(stated)] = "one of its annotations cannot be read"
            continue
        owners.setdefault(row.id, []).append(row.image_id)
        if row.category_id not in document.names:
            document.refusals.append(Refusal(where, "its category is not among the categories"))
            document.problems[row.image_id] = "one of its annotations cannot be read"
        else:
            document.annotations.setdefault(row.image_id, []).append(row)
    for name, images in owners.items():
        if len(images) > 1:
            problem = f"{len(images)} annotations have the id {printable(name, length=20)}, and one of them is of it"
            document.problems |= dict.fromkeys(images, problem)


def _read_images(content: dict[str, Any], document: _Document) -> None:
    rows = list(_rows(content, "images", CocoImage, document.path, document.refusals))
    document.images = [(where, image) for where, image, _ in rows if image is not None]
    ids = [image.id for _, image in document.images]
    for name in repeated(ids):
        document.problems[name] = f"{ids.count(name)} images have the id {printable(name, length=20)}"
    known = set(ids)
    if lost := sum(len(each) for image, each in document.annotations.items() if image not in known):
        document.refusals.append(Refusal(document.path.name, f"{lost} annotations belong to no image"))


def _image(
    options: DatasetOptions,
    image: CocoImage,
    document: _Document,
    wanted: set[str],
    rule: PatientRule,
    where: str,
) -> DatasetImage:
    if image.id in document.problems:
        raise ValueError(document.problems[image.id])
    rows = document.annotations.get(image.id, [])
    if not rows and document.by_label_studio:
        raise ValueError(
            "Label Studio's COCO export leaves out what was drawn with a brush and names tasks that nobody annotated, "
            "so an image without annotations says nothing; `yolo-mlsam export --format coco` knows"
        )
    file, path = image_file(options.folder, image.file_name)
    stated = None if image.width is None or image.height is None else Size(image.width, image.height)
    spacing = image.spacing_mm
    return DatasetImage(
        file=file,
        where=where,
        patient=image.patient or rule.of(path),
        path=None if image.patient else path,
        findings=partial(
            _findings,
            [row for row in rows if row.category_id in wanted],
            stated,
            are_paired=document.by_label_studio,
        ),
        classes=tuple(document.names[row.category_id] for row in rows),
        laterality=image.laterality,
        view=image.view,
        trusts_file=True,
        spacing_mm=(spacing.row_mm, spacing.column_mm) if spacing else None,
    )


def _findings(
    rows: list[CocoAnnotation], stated: Size | None, size: Size, *, are_paired: bool = False
) -> list[Finding]:
    """One finding of each row; where boxes and outlines `are_paired`, a box and the outlines in it are one."""
    if stated not in (None, size):
        raise ValueError(f"the file states another size than the image has ({size.width} x {size.height})")
    found = [_finding(row, size) for row in rows]
    return paired(found) if are_paired else found


def _finding(row: CocoAnnotation, size: Size) -> Finding:
    name = f"annotation-{row.id}"
    mask = _mask(row.segmentation, size)
    if mask is not None:
        return Finding(label=CLUSTER, score=1.0, box=mask.frame, mask=mask, id=name)
    if row.keypoints:
        raise ValueError("an annotation has key points only: neither a mask nor a box")
    if row.bbox is None or len(row.bbox) != 4 or not all(abs(value) <= 1e6 for value in row.bbox):
        raise ValueError("an annotation has neither a mask nor a box of four numbers")
    x, y, width, height = row.bbox
    return replace(boxed(x, y, x + width, y + height, size), id=name)


def _mask(segmentation: dict[str, Any] | list[Any] | None, size: Size) -> Mask | None:
    """Run lengths, or polygons that belong together; None when there is no segmentation."""
    if not segmentation:
        return None
    if isinstance(segmentation, dict):
        mask = mask_of_rle(segmentation, size=size)
        if mask is None:
            raise ValueError("the run lengths of an annotation hold no pixel")
        return mask
    parts: list[Mask] = []
    num_corners = 0
    for polygon in segmentation:
        num_corners += len(polygon) // 2 if isinstance(polygon, list) else 0
        if not isinstance(polygon, list) or len(polygon) < 6 or len(polygon) % 2 or num_corners > MAX_CORNERS:
            raise ValueError("a polygon is a list of at least three pairs x, y")
        if not all(type(value) in (int, float) and abs(value) <= 1e6 for value in polygon):
            raise ValueError("a polygon holds something else than coordinates")
        part = polygon_mask(np.array(polygon, np.float64).reshape(-1, 2), size=size)
        if part is None:
            raise ValueError("a polygon lies outside the image or covers no pixel of it")
        parts.append(part)
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
            refusals.append(Refusal(where, printable(f"{field}: {problem['msg']}", length=120)))
            yield where, None, stated if isinstance(stated, int | str) else None
