"""SecondLook: the doubted labels of a dataset version, strongest doubt first."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import asdict, dataclass
from typing import Any

from mammo.geometry import ASSUMED_SPACING, Box, Spacing
from mammo.second_looks import Cause
from training.datasets.items import Item
from training.datasets.versions import DatasetVersion
from training.second_look.doubts import HASTY_SCORE, Doubt, doubts
from training.second_look.model_agreement import ModelAgreement
from training.second_look.predictions import Predictions


@dataclass(frozen=True, kw_only=True)
class DoubtedLabel:
    """One doubt about the label of an image."""

    task: int
    annotation: int
    image: str
    """Key of the image within the task; empty for a single image."""

    annotator: str
    """Pseudonym of the author of the label."""

    cause: Cause
    score: float
    box: Box | None
    distance_mm: float | None
    model_version: str
    """Whose prediction disagrees; empty if none is needed (`hasty`)."""

    content_hash: str
    """Of the annotation as the dataset version has it."""

    def to_json(self) -> dict[str, Any]:
        """Return the doubt as a JSON object; the box as [x0, y0, x1, y1]."""
        box = self.box and [self.box.x0, self.box.y0, self.box.x1, self.box.y1]
        return {**asdict(self), "box": box}


@dataclass(frozen=True, kw_only=True)
class SecondLook:
    """The doubted labels of a dataset version."""

    dataset_version: str
    labels: tuple[DoubtedLabel, ...]
    """Strongest doubt first."""

    num_images: int
    num_compared: int
    """Images for which there is a prediction of a model that did not learn from the patient."""

    skipped: dict[str, int]
    """Number of images that were not compared, by reason."""


def second_look(
    dataset: DatasetVersion, predictions: Predictions, *, hasty: Collection[tuple[int, str]]
) -> SecondLook:
    """Compare the labels of a dataset version with predictions of models that did not learn from the patient.

    Args:
        predictions: `stored_predictions`, or those of `training.out_of_fold`.
        hasty: annotation and image key of the prelabels that were accepted within seconds.
    """
    labels = [
        _label(item, Doubt(cause="hasty", score=HASTY_SCORE), "")
        for item in dataset.items
        if (item.annotation_id, item.image_key) in hasty
    ]
    for version, images in predictions.by_model.items():
        agreement = ModelAgreement.of((item.clusters, found, _spacing(item)) for item, found in images)
        for item, found in images:
            raised = doubts(item.clusters, found, spacing=_spacing(item), agreement=agreement)
            labels += [_label(item, each, version) for each in raised]
    return SecondLook(
        dataset_version=dataset.name,
        labels=tuple(sorted(labels, key=lambda each: (-each.score, each.task, each.image))),
        num_images=len(dataset.items),
        num_compared=predictions.num_images,
        skipped=dict(predictions.skipped),
    )


def _spacing(item: Item) -> Spacing:
    if item.spacing_mm is None:
        return ASSUMED_SPACING
    row, column = item.spacing_mm if isinstance(item.spacing_mm, list) else (item.spacing_mm, item.spacing_mm)
    return Spacing(row, column, "given")


def _label(item: Item, doubt: Doubt, version: str) -> DoubtedLabel:
    return DoubtedLabel(
        task=item.task_id,
        annotation=item.annotation_id,
        image=item.image_key,
        annotator=item.annotator,
        cause=doubt.cause,
        score=round(doubt.score, 4),
        box=doubt.box,
        distance_mm=None if doubt.distance_mm is None else round(doubt.distance_mm, 2),
        model_version=version,
        content_hash=item.content_hash,
    )
