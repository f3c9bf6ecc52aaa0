"""Predictions: what the labels of a dataset version are compared with, and the stored ones that may be used for it."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

from mammo.annotations import AnnotationStore, Prelabel
from mammo.annotations.prelabels import digest_of_images
from mammo.errors import InvalidRegion
from mammo.findings import Finding
from mammo.labelstudio.interpretation import from_regions
from mammo.labelstudio.labeling_config import ControlTags
from mammo.masks import PixelBudget
from training.datasets.items import Item
from training.datasets.versions import DatasetVersion
from training.second_look.unlearned import Lineage

CUT = "the prediction does not show all findings"
"""Why an image is not compared."""


@dataclass
class Predictions:
    """The predictions for the images of a dataset version, none by a model that learned from the image's patient."""

    by_model: dict[str, list[tuple[Item, list[Finding]]]] = field(default_factory=lambda: defaultdict(list))
    """Images and what was found in them, by the model version that predicted them. Models that are named alike are
    judged as one: how often they agree with the labels is counted over all of their images."""

    skipped: Counter[str] = field(default_factory=Counter)
    """Number of images without a prediction that can be compared, by reason."""

    @property
    def num_images(self) -> int:
        return sum(map(len, self.by_model.values()))


def stored_predictions(
    dataset: DatasetVersion, *, store: AnnotationStore, lineage: Lineage, tags: ControlTags
) -> Predictions:
    """Return the stored predictions of models that did not learn from the patient; of several, the newest model's."""
    predicted = unlearned_predictions(dataset, store=store, lineage=lineage)
    by_task: dict[int, list[Item]] = defaultdict(list)
    for item in dataset.items:
        by_task[item.task_id].append(item)
    predictions = Predictions()
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
                predictions.skipped[reason] += 1
            else:
                assert prelabel is not None
                found = findings.get(item.image_key, [])
                predictions.by_model[prelabel.model_version].append((item, found))
    return predictions


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


def unusable(prelabel: Prelabel | None, items: Sequence[Item]) -> str:
    """Return why a task's images cannot be compared with its prediction; empty if they can."""
    if prelabel is None:
        return "no model that did not learn from the patient has predicted it"
    if prelabel.num_cut:
        return CUT
    if prelabel.image_sha256 != digest_of_images({item.image_key: item.image for item in items}):
        return "the prediction is of other images"
    return ""


def _findings(prelabel: Prelabel, tags: ControlTags) -> dict[str, list[Finding]]:
    """Return the predicted findings by image key; raises InvalidRegion."""
    budget, regions = PixelBudget(), prelabel.regions
    return {
        each.image_key: from_regions(regions, tags=each, budget=budget) for each in tags.everywhere(regions)
    }
