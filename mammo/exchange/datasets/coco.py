"""A COCO JSON file and its images: masks as RLE or polygons, or boxes.

    *.json                  `coco.json`, or the only JSON file, with `images`, `annotations` and `categories`
    <file_name>             below the folder or its `images/`; of an address of Label Studio, the last part

The patient of an image is the PatientID of its file, else its `patient` field, else the match of --patient-pattern in
its `file_name`. Words of BI-RADS are those of `attributes` and of the image's `density` and `assessment`; others are
left out and counted. An image without annotations has no clusters, except in Label Studio's own export, where it is
refused. Images with the same id or file are all refused.
"""

from __future__ import annotations

import os
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
from mammo.exchange.datasets.stated_words import stated_words
from mammo.exchange.export.labelled_image import Refusal
from mammo.findings import CLUSTER, Finding
from mammo.geometry import Size
from mammo.identifiers import identifier
from mammo.labelstudio.config_controls import COMMENT, OF_EXAMS, OF_FINDINGS
from mammo.masks import Mask, PixelBudget, union
from mammo.masks.polygons import polygon_mask
from mammo.printable import printable
from mammo.stated_facts import stated_laterality, stated_spacing, stated_view

Row = TypeVar("Row", bound=BaseModel)
Parsed = TypeVar("Parsed")
MAX_CORNERS = 20_000
"""Maximum number of vertices of one annotation's polygons."""

MAX_POLYGONS = 1000
"""Maximum number of polygons of one annotation."""


def _id(value: object) -> str:
    try:
        parsed = identifier(value)
    except InvalidTaskData as error:
        raise ValueError(str(error)) from None
    if parsed is None:
        raise ValueError("an id is missing")
    return parsed


def _parsed_by(parse: Callable[[object], Parsed]) -> BeforeValidator:
    """Return a validator; pydantic expects a ValueError for an invalid field, and our parsers raise InvalidTaskData."""

    def validate(value: object) -> Parsed:
        try:
            return parse(value)
        except InvalidTaskData as error:
            raise ValueError(str(error)) from None

    return BeforeValidator(validate)


Id = Annotated[str, BeforeValidator(_id)]
"""An id, normalised: spreadsheets write 1.0, other programs 1 or "1"."""


class CocoImage(BaseModel):
    """A row of `images`."""

    id: Id
    file_name: str = Field(min_length=1, max_length=4096)
    width: int | None = Field(default=None, ge=1, le=2**20)
    """None if Label Studio could not open the image when it exported."""

    height: int | None = Field(default=None, ge=1, le=2**20)
    patient: Annotated[str | None, _parsed_by(identifier)] = Field(default=None)
    laterality: Annotated[Literal["L", "R"] | None, _parsed_by(stated_laterality)] = None
    view: Annotated[str | None, _parsed_by(stated_view)] = None
    spacing_mm: Annotated[Any, _parsed_by(stated_spacing)] = None
    """A `Spacing` or None."""

    density: Any = None
    assessment: Any = None
    """What is said about the exam; see `mammo.exchange.datasets.stated_words`."""


class CocoAnnotation(BaseModel):
    """A row of `annotations`; `bbox` is x, y, width, height."""

    id: Id
    image_id: Id
    category_id: Id
    bbox: list[float] | None = Field(default=None, max_length=4)
    segmentation: dict[str, Any] | Annotated[list[Any], Field(max_length=MAX_POLYGONS)] | None = None
    keypoints: list[Any] | None = None
    attributes: Any = None
    """What is said about the cluster, in an object; see `mammo.exchange.datasets.stated_words`."""

    @property
    def said(self) -> dict[str, Any]:
        """The attributes; empty if they are something else."""
        return self.attributes if isinstance(self.attributes, dict) else {}

    @property
    def comment(self) -> str:
        """What a person wrote about the cluster."""
        written = self.said.get(COMMENT)
        return written if isinstance(written, str) else ""

    @property
    def unread(self) -> list[str]:
        """Descriptions of what is said about the cluster and not understood; what a person wrote is not quoted."""
        _, unread = stated_words(self.said, of=OF_FINDINGS)
        if self.attributes and not self.said:
            unread.append("attributes that are no object")
        if not isinstance(self.said.get(COMMENT), str | None):
            unread.append("a comment that is no text")
        return unread


class CocoCategory(BaseModel):
    """A row of `categories`."""

    id: Id
    name: str = Field(max_length=500)


@dataclass
class _Document:
    """The rows of one file."""

    path: Path
    names: dict[str, str]
    """Printable names of the categories by id."""

    clusters: set[str]
    """Ids of the categories that mean a cluster."""

    by_label_studio: bool
    """Whether Label Studio exported the file."""

    images: list[tuple[str, CocoImage]] = field(default_factory=list)
    """The rows of `images` with their places."""

    annotations: dict[str, list[CocoAnnotation]] = field(default_factory=dict)
    """By the id of their image."""

    problems: dict[str, str] = field(default_factory=dict)
    """Reason to refuse an image, by its id."""

    refusals: list[Refusal] = field(default_factory=list)


def read_coco(options: DatasetOptions) -> Iterator[DatasetImage | Refusal]:
    """Yield every image of the file."""
    rule = PatientRule.of_options(options)
    document = _read_document(options)
    first_rows: dict[Path, str] = {}
    items: list[DatasetImage] = []
    for where, image in document.images:
        try:
            item = _image(options, image, document, rule, where)
        except (ValueError, MammoError) as error:
            document.refusals.append(Refusal(where, str(error)))
            continue
        items.append(item)
        first = first_rows.setdefault(item.file.resolve(), where)
        if first != where:
            document.refusals.append(
                Refusal(where, f"it names the same file as {first}, so both are refused")
            )
    shared = {item.file.resolve() for item in items if first_rows[item.file.resolve()] != item.where}
    for item in items:
        if item.file.resolve() not in shared:
            yield item
        elif first_rows[item.file.resolve()] == item.where:
            reason = "another row names the same file, so both are refused"
            document.refusals.append(Refusal(item.where, reason))
    yield from document.refusals


def _read_document(options: DatasetOptions) -> _Document:
    path = options.document or _json_file(options.folder)
    content = read_object(path)
    categories = [row for _, row, _ in _rows(content, "categories", CocoCategory, path, []) if row]
    if duplicates := repeated(row.id for row in categories):
        raise invalid(f"{path.name} has two categories with the id {printable(min(duplicates), length=20)}")
    info = content.get("info")
    document = _Document(
        path,
        names={row.id: printable(row.name, length=40) for row in categories},
        clusters=cluster_categories({row.id: row.name for row in categories}, options.label),
        by_label_studio=isinstance(info, dict) and info.get("contributor") == "Label Studio",
    )
    _read_annotations(content, document)
    _read_images(content, document)
    return document


def _read_annotations(content: dict[str, Any], document: _Document) -> None:
    path, image_ids = document.path, dict[str, list[str]]()
    for where, row, stated in _rows(content, "annotations", CocoAnnotation, path, document.refusals):
        if row is None:
            # The image would have too few clusters without the annotation.
            with suppress(ValueError, MammoError):
                document.problems[_id(stated)] = "one of its annotations cannot be read"
            continue
        image_ids.setdefault(row.id, []).append(row.image_id)
        if row.category_id not in document.names:
            document.refusals.append(Refusal(where, "its category is not in `categories`"))
            document.problems[row.image_id] = "one of its annotations cannot be read"
        else:
            document.annotations.setdefault(row.image_id, []).append(row)
    for name, images in image_ids.items():
        if len(images) > 1:
            problem = f"{len(images)} annotations have the id {printable(name, length=20)}, one of them in this image"
            document.problems |= dict.fromkeys(images, problem)


def _read_images(content: dict[str, Any], document: _Document) -> None:
    rows = list(_rows(content, "images", CocoImage, document.path, document.refusals))
    document.images = [(where, image) for where, image, _ in rows if image is not None]
    ids = [image.id for _, image in document.images]
    for name in repeated(ids):
        document.problems[name] = f"{ids.count(name)} images have the id {printable(name, length=20)}"
    if lost := sum(len(rows) for image, rows in document.annotations.items() if image not in set(ids)):
        document.refusals.append(
            Refusal(document.path.name, f"{lost} annotations have an image_id that no image has")
        )


def _image(
    options: DatasetOptions, image: CocoImage, document: _Document, rule: PatientRule, where: str
) -> DatasetImage:
    if image.id in document.problems:
        raise ValueError(document.problems[image.id])
    rows = document.annotations.get(image.id, [])
    if not rows and document.by_label_studio:
        raise ValueError(
            "Label Studio's COCO export omits brush regions and includes unannotated tasks, so an image without "
            "annotations may contain clusters; use `yolo-mlsam export --format coco`"
        )
    clusters = [row for row in rows if row.category_id in document.clusters]
    words, unread = stated_words({"density": image.density, "assessment": image.assessment}, of=OF_EXAMS)
    for row in clusters:
        unread += row.unread
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
            clusters,
            stated,
            are_paired=document.by_label_studio,
        ),
        classes=tuple(document.names[row.category_id] for row in rows),
        laterality=image.laterality,
        view=image.view,
        words=words,
        unread_words=tuple(unread),
        trusts_file=True,
        spacing_mm=(spacing.row_mm, spacing.column_mm) if spacing else None,
    )


def _findings(
    rows: list[CocoAnnotation], stated: Size | None, size: Size, *, are_paired: bool = False
) -> list[Finding]:
    """Return one finding per row; if boxes and outlines `are_paired`, one per box with its outlines."""
    if stated not in (None, size):
        raise ValueError(f"the JSON states another size than the image's {size.width} x {size.height} pixels")
    budget = PixelBudget()
    findings = [_finding(row, size, budget) for row in rows]
    return paired(findings) if are_paired else findings


def _finding(row: CocoAnnotation, size: Size, budget: PixelBudget) -> Finding:
    words, _ = stated_words(row.said, of=OF_FINDINGS)
    described: dict[str, Any] = {"id": f"annotation-{row.id}", "comment": row.comment, **words}
    mask = _mask(row.segmentation, size, budget)
    if mask is not None:
        return Finding(label=CLUSTER, score=1.0, box=mask.frame, mask=mask, **described)
    if row.keypoints:
        raise ValueError("an annotation has key points, but neither a mask nor a box")
    if row.bbox is None or len(row.bbox) != 4 or not all(abs(value) <= 1e6 for value in row.bbox):
        raise ValueError("an annotation has neither a mask nor a box of four numbers")
    x, y, width, height = row.bbox
    return replace(boxed(x, y, x + width, y + height, size), **described)


def _mask(segmentation: dict[str, Any] | list[Any] | None, size: Size, budget: PixelBudget) -> Mask | None:
    """Return the mask of an RLE or of polygons; None without a segmentation."""
    if not segmentation:
        return None
    if isinstance(segmentation, dict):
        mask = mask_of_rle(segmentation, size=size, budget=budget)
        if mask is None:
            raise ValueError("the RLE of an annotation has no set pixel")
        return mask
    parts: list[Mask] = []
    num_corners = 0
    for polygon in segmentation:
        num_corners += len(polygon) // 2 if isinstance(polygon, list) else 0
        if not isinstance(polygon, list) or len(polygon) < 6 or len(polygon) % 2 or num_corners > MAX_CORNERS:
            raise ValueError("expected every polygon to be a list of at least three pairs x, y")
        if not all(type(value) in (int, float) and abs(value) <= 1e6 for value in polygon):
            raise ValueError("expected coordinates up to 1e6 in every polygon")
        part = polygon_mask(np.array(polygon, np.float64).reshape(-1, 2), size=size, budget=budget)
        if part is None:
            raise ValueError("a polygon lies outside the image or covers no pixel of it")
        parts.append(part)
    whole = union(parts)
    return whole.tight() if whole else None


def _json_file(folder: Path) -> Path:
    default = folder / "coco.json"
    if os.path.lexists(default):
        return default
    files = sorted(path for path in folder.glob("*.json") if os.path.isfile(path))
    if len(files) != 1:
        raise invalid(f"expected coco.json, or exactly one JSON file, in the folder, got {len(files)}")
    return files[0]


def _rows(
    document: dict[str, Any], key: str, model: type[Row], path: Path, refusals: list[Refusal]
) -> Iterator[tuple[str, Row | None, object]]:
    """Yield the place of each row, the row or None if it is refused, and its `image_id`."""
    rows = document.get(key)
    if not isinstance(rows, list):
        raise invalid(f"expected a list {key} in {path.name}")
    for number, row in enumerate(rows):
        where, stated = f"{path.name}, {key} {number}", row.get("image_id") if isinstance(row, dict) else None
        try:
            yield where, model.model_validate(row), stated
        except ValidationError as error:
            problem = error.errors(include_input=False, include_url=False)[0]
            field = ".".join(map(str, problem["loc"])) or "row"
            refusals.append(Refusal(where, printable(f"{field}: {problem['msg']}", length=120)))
            yield where, None, stated if isinstance(stated, int | str) else None
