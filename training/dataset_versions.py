"""Dataset versions: the corrections of one moment, frozen under the SHA-256 of their manifest.

A manifest is JSON: one item per image with its patient, fold and findings (boxes and COCO RLE masks), and what was
left out and why. Its hash is its name, so a dataset version never changes after it is named, and building twice
from the same corrections gives the same name.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import orjson
from sqlalchemy.engine import Engine

from mammo.annotations import AnnotationStore, Correction
from mammo.blobs import Blobs
from mammo.database import dataset_item, dataset_version, insert, writing
from mammo.dicom import Mammogram
from mammo.errors import ImageNotFound, InvalidRegion, LabelStudioError, MammoError, UnreadableImage
from mammo.findings import CLUSTER, Finding
from mammo.geometry import Box, Size
from mammo.labelstudio.labeling_config import ControlTags
from mammo.labelstudio.regions import from_regions, size_of
from mammo.masks import Mask
from mammo.task_images import TASK_KEY, of_task
from training.cases import Case, Progress, silent
from training.folds import Fold, assign_folds

OpenImage = Callable[[Mapping[str, Any]], Mammogram]
"""Reads the mammogram of a task's data; `mammo.task_images.TaskImages.open`."""

IMAGE_KEYS = ("image", "mammogram", "sha256", "patient", "view", "laterality", "spacing_mm", TASK_KEY)
"""What of a task's data is kept: enough to open the image again."""

REFUSED_IMAGES = frozenset({"label_studio_404", "foreign_image", "too_large"})
"""Codes of a LabelStudioError that would come again for this image and for no other."""

MAX_PATIENT = 64
"""Longest patient key, in characters."""


@dataclass(frozen=True, kw_only=True)
class Item:
    """One image and its truth."""

    task_id: int
    annotation_id: int
    updated_at: str
    """Label Studio's moment of the annotation, ISO, UTC."""

    content_hash: str
    """Of the correction in the annotation store."""

    image: str
    """SHA-256 of the image file."""

    task_data: dict[str, Any]
    patient: str
    fold: Fold
    findings: tuple[dict[str, Any], ...]
    """`{"box": [x0, y0, x1, y1], "mask": COCO RLE or null}`, pixels of the image."""

    @property
    def truth(self) -> tuple[Finding, ...]:
        return tuple(
            Finding(
                label=CLUSTER,
                score=1.0,
                box=Box(*finding["box"]),
                mask=Mask.from_coco(finding["mask"]) if finding["mask"] else None,
            )
            for finding in self.findings
        )


@dataclass(frozen=True, kw_only=True)
class Excluded:
    """A correction that cannot be trained on."""

    task_id: int
    annotation_id: int
    code: str
    """Stable: an error's code, `no_patient`, `other_size`, `superseded`."""

    reason: str


@dataclass(frozen=True)
class DatasetVersion:
    """An immutable dataset."""

    name: str
    """SHA-256 of the manifest, hexadecimal."""

    project: int
    items: tuple[Item, ...]
    excluded: tuple[Excluded, ...]

    def cases(self, fold: Fold, *, open_image: OpenImage) -> list[Case]:
        """The images of one fold; each is checked against its hash when it is read.

        `Case.read` raises ImageNotFound (code `image_changed`) for an image that is another one now.
        """
        return [
            Case(
                image=item.image,
                patient=item.patient,
                read=lambda item=item: _read(item, open_image),  # type: ignore[misc]
                truth=item.truth,
            )
            for item in self.items
            if item.fold == fold
        ]

    def num_patients(self, fold: Fold) -> int:
        return len({item.patient for item in self.items if item.fold == fold})

    def num_findings(self, fold: Fold) -> int:
        return sum(len(item.findings) for item in self.items if item.fold == fold)

    @property
    def why_excluded(self) -> dict[str, int]:
        """How many corrections were left out, by code."""
        return dict(sorted(Counter(each.code for each in self.excluded).items()))


def build_dataset_version(
    store: AnnotationStore,
    engine: Engine,
    blobs: Blobs,
    *,
    project: int,
    open_image: OpenImage,
    tags: ControlTags | None = None,
    allow_unknown_patients: bool = False,
    progress: Progress = silent,
) -> DatasetVersion:
    """Freeze the present corrections of a project. Every image is opened once, to check it.

    Args:
        tags: the project's labels and prompt controls; None takes those of our own labeling config.
        allow_unknown_patients: take an image without a patient key as a patient of its own. Views of one person
            may then end up on both sides of the split, so it is for images that are known to be unrelated.

    Raises:
        StorageUnavailable: it cannot be kept.
        LabelStudioError: Label Studio does not hand over its images; nothing is kept.
    """
    last_event = store.last_event()
    corrections = store.corrections(project)
    items: list[Item] = []
    excluded: list[Excluded] = []
    for index, correction in enumerate(corrections, 1):
        try:
            items.append(_item(correction, open_image, tags, allow_unknown_patients=allow_unknown_patients))
        except MammoError as error:
            if not is_about_one_image(error):
                raise
            excluded.append(_excluded(correction, error.code, str(error)))
        progress(index / len(corrections), f"{index} of {len(corrections)} corrections")
    items, superseded = _one_per_image(items)
    excluded += superseded
    positive: dict[str, bool] = {}
    for item in items:
        positive[item.patient] = positive.get(item.patient, False) or bool(item.findings)
    folds = assign_folds(engine, positive)
    dataset = DatasetVersion(
        "",
        project,
        tuple(replace(item, fold=folds[item.patient]) for item in items),
        tuple(sorted(excluded, key=lambda each: (each.task_id, each.annotation_id))),
    )
    manifest = _manifest(dataset)
    dataset = replace(dataset, name=hashlib.sha256(manifest).hexdigest())
    blobs.put(manifest)
    _record(engine, dataset, last_event=last_event)
    return dataset


def open_dataset_version(name: str, *, blobs: Blobs) -> DatasetVersion:
    """Open a dataset version by its name.

    Raises:
        InvalidWeights: the manifest is missing or damaged (code `missing_blob` or `damaged_blob`).
    """
    manifest = orjson.loads(blobs.read(name))
    return DatasetVersion(
        name,
        manifest["project"],
        tuple(Item(**{**item, "findings": tuple(item["findings"])}) for item in manifest["items"]),
        tuple(Excluded(**each) for each in manifest["excluded"]),
    )


def is_about_one_image(error: MammoError) -> bool:
    """Whether only this image or annotation is at fault, so that the others can go on without it."""
    if isinstance(error, LabelStudioError):
        return error.code in REFUSED_IMAGES
    return isinstance(error, InvalidRegion | ImageNotFound | UnreadableImage)


def _item(
    correction: Correction,
    open_image: OpenImage,
    tags: ControlTags | None,
    *,
    allow_unknown_patients: bool,
) -> Item:
    findings = from_regions(correction.result, tags=tags)
    task_data = of_task(correction.task_id, correction.task_data)
    mammogram = open_image(task_data)
    stated = correction.task_data.get("sha256")
    if stated is not None and stated != mammogram.sha256:
        raise _changed(correction.task_id)
    for region in correction.result:
        if "original_width" in region and size_of(region) != mammogram.size:
            raise InvalidRegion(
                f"drawn on an image of another size than its {mammogram.size.width} x {mammogram.size.height}",
                code="other_size",
            )
    return Item(
        task_id=correction.task_id,
        annotation_id=correction.annotation_id,
        updated_at=correction.updated_at.isoformat(),
        content_hash=correction.content_hash,
        image=mammogram.sha256,
        task_data={key: task_data[key] for key in IMAGE_KEYS if key in task_data},
        patient=_patient(correction, mammogram, allow_unknown=allow_unknown_patients),
        fold="train",  # until the patient's own is known
        findings=tuple(_finding(finding, mammogram.size) for finding in findings),
    )


def _finding(finding: Finding, size: Size) -> dict[str, Any]:
    try:
        box = finding.box.within(size)
    except ValueError as error:
        raise InvalidRegion(str(error)) from error
    mask = finding.mask.within(size.box) if finding.mask is not None else None
    return {"box": list(box.as_tuple()), "mask": mask.to_coco(size) if mask else None}


def _patient(correction: Correction, mammogram: Mammogram, *, allow_unknown: bool) -> str:
    stated = correction.task_data.get("patient")
    if isinstance(stated, str) and 0 < len(stated) <= MAX_PATIENT:
        return stated
    if mammogram.patient is not None:
        return mammogram.patient
    if allow_unknown:
        return f"image-{mammogram.sha256[:16]}"
    raise InvalidRegion(
        "the task names no patient, so its image could end up on both sides of a split; import it with "
        "`yolo-mlsam import`, which reads the patient from the DICOM file",
        code="no_patient",
    )


def _one_per_image(items: Sequence[Item]) -> tuple[list[Item], list[Excluded]]:
    """The newest annotation of each image: an image has one truth, however many people or tasks showed it."""
    newest: dict[str, Item] = {}
    for item in items:
        known = newest.get(item.image)
        if known is None or (item.updated_at, item.annotation_id) > (known.updated_at, known.annotation_id):
            newest[item.image] = item
    kept = [item for item in items if newest[item.image] is item]
    older = [
        Excluded(
            task_id=item.task_id,
            annotation_id=item.annotation_id,
            code="superseded",
            reason=f"annotation {newest[item.image].annotation_id} of the same image is newer",
        )
        for item in items
        if newest[item.image] is not item
    ]
    return kept, older


def _excluded(correction: Correction, code: str, reason: str) -> Excluded:
    return Excluded(
        task_id=correction.task_id, annotation_id=correction.annotation_id, code=code, reason=reason
    )


def _manifest(dataset: DatasetVersion) -> bytes:
    content = {
        "schema": 1,
        "project": dataset.project,
        "items": dataset.items,
        "excluded": dataset.excluded,
    }
    return orjson.dumps(content, option=orjson.OPT_SORT_KEYS)


def _record(engine: Engine, dataset: DatasetVersion, *, last_event: int) -> None:
    row = {
        "name": dataset.name,
        "project": dataset.project,
        "num_items": len(dataset.items),
        "num_excluded": len(dataset.excluded),
        "last_event": last_event,
        "created_at": datetime.now(UTC),
    }
    with writing(engine) as connection:
        new = insert(connection, dataset_version).values(row)
        connection.execute(
            new.on_conflict_do_update(index_elements=["name"], set_={"last_event": new.excluded.last_event})
        )
        for item in dataset.items:
            held = {
                "dataset": dataset.name,
                "annotation": item.annotation_id,
                "content_hash": item.content_hash,
            }
            connection.execute(insert(connection, dataset_item).values(held).on_conflict_do_nothing())


def _read(item: Item, open_image: OpenImage) -> Mammogram:
    mammogram = open_image(item.task_data)
    if mammogram.sha256 != item.image:
        raise _changed(item.task_id)
    return mammogram


def _changed(task: int) -> MammoError:
    return ImageNotFound(
        f"the image of task {task} is another one than when it was annotated: its SHA-256 has changed",
        code="image_changed",
    )
