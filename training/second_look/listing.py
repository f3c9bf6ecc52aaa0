"""SecondLook: the doubted labels of a dataset version, strongest doubt first."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection
from dataclasses import asdict, dataclass
from typing import Any

from mammo.annotations import AnnotationStore, Prelabel
from mammo.annotations.prelabels import digest_of_images
from mammo.errors import InvalidRegion
from mammo.findings import Finding
from mammo.geometry import ASSUMED_SPACING, Box, Spacing
from mammo.labelstudio.interpretation import from_regions
from mammo.labelstudio.labeling_config import ControlTags
from mammo.masks import PixelBudget
from mammo.second_looks import Cause
from training.datasets.items import Item
from training.datasets.versions import DatasetVersion
from training.second_look.doubts import HASTY_SCORE, Doubt, doubts
from training.second_look.model_agreement import ModelAgreement
from training.second_look.unlearned import Lineage


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
    dataset: DatasetVersion,
    *,
    store: AnnotationStore,
    lineage: Lineage,
    tags: ControlTags,
    hasty: Collection[tuple[int, str]],
) -> SecondLook:
    """Compare the labels of a dataset version with stored predictions of models that did not learn from the patient.

    Of several such predictions of a task, that of the newest model version counts.

    Args:
        lineage: what each model version learned from.
        tags: controls and labels of the project.
        hasty: annotation and image key of the prelabels that were accepted within seconds.
    """
    predicted = unlearned_predictions(dataset, store=store, lineage=lineage)
    by_task: dict[int, list[Item]] = defaultdict(list)
    for item in dataset.items:
        by_task[item.task_id].append(item)
    compared: dict[str, list[tuple[Item, list[Finding]]]] = defaultdict(list)
    labels = [
        _label(item, Doubt(cause="hasty", score=HASTY_SCORE), "")
        for item in dataset.items
        if (item.annotation_id, item.image_key) in hasty
    ]
    skipped: Counter[str] = Counter()
    for task, items in by_task.items():
        prelabel = predicted.get(task)
        reason, findings = unusable(prelabel, items), dict[str, list[Finding]]()
        if prelabel is not None and not reason:
            try:
                findings = _findings(prelabel, tags)
            except InvalidRegion:
                reason = "the prediction does not fit the labeling config"
        for item in items:
            if reason:
                skipped[reason] += 1
            else:
                assert prelabel is not None
                compared[prelabel.model_version].append((item, findings.get(item.image_key, [])))
    for version, images in compared.items():
        agreement = ModelAgreement.of((item.clusters, found, _spacing(item)) for item, found in images)
        for item, found in images:
            raised = doubts(item.clusters, found, spacing=_spacing(item), agreement=agreement)
            labels += [_label(item, each, version) for each in raised]
    return SecondLook(
        dataset_version=dataset.name,
        labels=tuple(sorted(labels, key=lambda each: (-each.score, each.task, each.image))),
        num_images=len(dataset.items),
        num_compared=sum(map(len, compared.values())),
        skipped=dict(skipped),
    )


def unlearned_predictions(
    dataset: DatasetVersion, *, store: AnnotationStore, lineage: Lineage
) -> dict[int, Prelabel]:
    """Return the newest model's prediction of each task from which that model did not learn."""
    patients = {item.task_id: item.patient for item in dataset.items}
    newest: dict[int, Prelabel] = {}
    for version in lineage.versions:  # oldest first
        learned = lineage.patients(version)
        if learned is None:
            continue
        for prelabel in store.prelabels(dataset.project, version):
            if prelabel.task in patients and patients[prelabel.task] not in learned:
                newest[prelabel.task] = prelabel
    return newest


def unusable(prelabel: Prelabel | None, items: list[Item]) -> str:
    """Return why a task's images cannot be compared with its prediction; empty if they can."""
    if prelabel is None:
        return "no model that did not learn from the patient has predicted it"
    if prelabel.num_cut:
        return "the prediction does not show all findings"
    if prelabel.image_sha256 != digest_of_images({item.image_key: item.image for item in items}):
        return "the prediction is of other images"
    return ""


def _findings(prelabel: Prelabel, tags: ControlTags) -> dict[str, list[Finding]]:
    """Return the predicted findings by image key; raises InvalidRegion."""
    budget, regions = PixelBudget(), prelabel.regions
    return {
        each.image_key: from_regions(regions, tags=each, budget=budget) for each in tags.everywhere(regions)
    }


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
