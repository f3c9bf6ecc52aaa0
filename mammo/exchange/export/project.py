"""Labelled images out of a Label Studio project: the newest annotation of every task."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from mammo.dicom.segmentation import Origin
from mammo.errors import ImageNotFound, InvalidRegion, MammoError
from mammo.exchange.export.file_names import path_of, shown_reference
from mammo.exchange.export.labelled_image import POINT_ONLY, LabelledImage, Refusal
from mammo.identifiers import identifier
from mammo.images.task_images import MAMMOGRAM_KEY, TaskImages, of_task
from mammo.labelstudio import ControlTags, LabelStudioClient, from_regions
from mammo.labelstudio.cluster_regions import require_on_images
from mammo.stated_facts import stated_spacing

FACTS = ("patient", "sha256", "view", "laterality", "spacing_mm")


def read_project(
    client: LabelStudioClient, project: int, images: TaskImages
) -> Iterator[LabelledImage | Refusal]:
    """Every task that somebody annotated, as its newest annotation that is not cancelled leaves it."""
    tags = ControlTags.read(str(client.project(project)["label_config"]))
    for task in client.tasks(project, all_fields=True):
        number = int(task["id"])
        kept = [row for row in task.get("annotations") or [] if not row.get("was_cancelled")]
        if not kept:
            continue
        newest = max(kept, key=lambda row: (str(row.get("updated_at") or ""), int(row.get("id") or 0)))
        data = task.get("data") or {}
        try:
            for on_image in require_on_images(newest.get("result") or [], tags=tags, data=data):
                yield _labelled(number, of_task(number, data, tags=on_image), newest, images, on_image)
        except (MammoError, ValueError) as error:
            yield Refusal(f"task {number}", str(error))


def _labelled(
    number: int, data: Mapping[str, Any], annotation: Mapping[str, Any], images: TaskImages, tags: ControlTags
) -> LabelledImage:
    """One image of a task.

    Args:
        data: what `of_task` makes of the task's for this image.
    """
    result = [region for region in annotation.get("result") or [] if tags.shows(region)]
    findings = tuple(from_regions(result, tags=tags))
    if any(finding.is_point for finding in findings):
        raise InvalidRegion(POINT_ONLY, code="point_only")
    mammogram = images.open(data)
    if any(finding.box.intersection(mammogram.size.box) != finding.box for finding in findings):
        raise ImageNotFound("the annotation was drawn on an image of another size", code="other_size")
    source = images.path(data)
    reference = str(data[MAMMOGRAM_KEY] if source else data.get("image") or "")
    name = f"task-{number}" + (f"-{tags.image_key}" if tags.image_key else "")
    return LabelledImage(
        name=name,
        file_name=reference if source else path_of(reference) or name,
        size=mammogram.size,
        findings=findings,
        origin=_origin(result),
        source=source,
        reference=None if source else shown_reference(reference),
        sha256=mammogram.sha256,
        facts=_facts(data) | {"task": number} | ({"image_tag": tags.image_key} if tags.image_key else {}),
    )


def _facts(data: Mapping[str, Any]) -> dict[str, Any]:
    """What the task states of its image; patient and spacing as they are compared everywhere.

    Raises:
        InvalidTaskData: a patient or spacing that cannot be read.
    """
    spacing = stated_spacing(data.get("spacing_mm"))
    facts = {key: data.get(key) for key in FACTS} | {
        "patient": identifier(data.get("patient")),
        "spacing_mm": [spacing.row_mm, spacing.column_mm] if spacing else None,
    }
    return {key: value for key, value in facts.items() if value is not None}


def _origin(result: list[Mapping[str, Any]]) -> Origin:
    """A person who corrected a model, when any region remembers its model; else a person."""
    for region in result:
        meta = region.get("meta")
        version = meta.get("model_version") if isinstance(meta, Mapping) else None
        if isinstance(version, str) and version:
            return Origin(made_by="semiautomatic", version=version)
    return Origin(made_by="manual")
