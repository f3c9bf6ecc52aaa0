"""Labelled images from a Label Studio project: the newest annotation of every task."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from mammo.dicom.results import Origin
from mammo.errors import ImageNotFound, InvalidRegion, MammoError
from mammo.exchange.export.file_names import path_of, without_secrets
from mammo.exchange.export.labelled_image import (
    POINT_ONLY,
    LabelledImage,
    Refusal,
    WeightsOf,
    counts,
    no_weights,
)
from mammo.identifiers import identifier
from mammo.images.task_images import MAMMOGRAM_KEY, TaskImages, of_task
from mammo.labelstudio import ControlTags, LabelStudioClient, from_regions
from mammo.labelstudio.cluster_regions import require_on_images
from mammo.labelstudio.config_controls import COMMENT
from mammo.labelstudio.descriptors import exam_descriptors
from mammo.masks import PixelBudget
from mammo.stated_facts import stated_spacing

FACTS = ("patient", "sha256", "view", "laterality", "spacing_mm")


def read_project(
    client: LabelStudioClient,
    project: int,
    images: TaskImages,
    *,
    weights: WeightsOf = no_weights,
    pseudonym: Callable[[int | None], str] = lambda user: "",
    comments: bool = False,
) -> Iterator[LabelledImage | Refusal]:
    """Yield the images of every annotated task, with the findings of its newest annotation that is not cancelled.

    Args:
        client: of the Label Studio server.
        project: project id.
        images: reads the images.
        weights: says which weights a model version has.
        pseudonym: of a Label Studio user.
        comments: whether findings keep what people wrote about them, which may name a patient.
    """
    tags = ControlTags.read(str(client.project(project)["label_config"]))
    for task in client.tasks(project, all_fields=True):
        number = int(task["id"])
        annotations = [each for each in task.get("annotations") or [] if not each.get("was_cancelled")]
        if not annotations:
            continue
        newest = max(
            annotations, key=lambda each: (str(each.get("updated_at") or ""), int(each.get("id") or 0))
        )
        data = task.get("data") or {}
        try:
            budget = PixelBudget()
            for on_image in require_on_images(newest.get("result") or [], tags=tags, data=data):
                of_image = of_task(number, data, tags=on_image)
                labelled = _labelled(number, of_image, newest, images, tags=on_image, budget=budget)
                labelled = labelled if comments else labelled.without_comments()
                person = pseudonym(_author(newest))
                origin = replace(labelled.origin, weights=weights(labelled.origin.version), person=person)
                yield replace(labelled, origin=origin)
        except (MammoError, ValueError) as error:
            yield Refusal(f"task {number}", str(error))


def _labelled(
    number: int,
    data: Mapping[str, Any],
    annotation: Mapping[str, Any],
    images: TaskImages,
    *,
    tags: ControlTags,
    budget: PixelBudget,
) -> LabelledImage:
    """Return one image of a task.

    Args:
        number: task id.
        data: of the image, as `of_task` returns it.
        annotation: of the task.
        images: reads the image.
        tags: control tags of the image.
        budget: of the annotation.

    Raises:
        MammoError, ValueError: the image or its annotation cannot be exported.
    """
    result = [region for region in annotation.get("result") or [] if tags.shows(region)]
    mammogram = images.open(data)
    findings = tuple(from_regions(result, tags=tags, size=mammogram.size, budget=budget))
    if any(finding.is_point for finding in findings):
        raise InvalidRegion(POINT_ONLY, code="point_only")
    if any(finding.box.intersection(mammogram.size.box) != finding.box for finding in findings):
        raise ImageNotFound(
            "its annotation was drawn on an image of another size; restore the image", code="other_size"
        )
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
        reference=None if source else without_secrets(reference),
        sha256=mammogram.sha256,
        num_calcifications=counts(mammogram, findings),
        facts=_facts(data)
        | {"task": number}
        | ({"image_tag": tags.image_key} if tags.image_key else {})
        | exam_descriptors(annotation.get("result") or [], tags).stated,
        attributes=tuple(
            finding.attributes | ({COMMENT: finding.comment} if finding.comment else {})
            for finding in findings
        ),
    )


def _facts(data: Mapping[str, Any]) -> dict[str, Any]:
    """Return the image's facts in the task data, with patient and spacing normalised.

    Raises:
        InvalidTaskData: the patient or the spacing is invalid.
    """
    spacing = stated_spacing(data.get("spacing_mm"))
    facts = {key: data.get(key) for key in FACTS} | {
        "patient": identifier(data.get("patient")),
        "spacing_mm": [spacing.row_mm, spacing.column_mm] if spacing else None,
    }
    return {key: value for key, value in facts.items() if value is not None}


def _origin(result: list[Mapping[str, Any]]) -> Origin:
    """Return `semiautomatic` if a region was predicted by a model, else `manual`."""
    for region in result:
        meta = region.get("meta")
        version = meta.get("model_version") if isinstance(meta, Mapping) else None
        if isinstance(version, str) and version:
            return Origin(made_by="semiautomatic", version=version)
    return Origin(made_by="manual")


def _author(annotation: Mapping[str, Any]) -> int | None:
    """Return the id of the user who completed an annotation; Label Studio sends it alone or in an object."""
    author = annotation.get("completed_by")
    author = author.get("id") if isinstance(author, Mapping) else author
    return author if type(author) is int else None
