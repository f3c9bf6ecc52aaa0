"""Examples: findings that a model outlined, with the words that people said about them.

The outline is the model's, and the model has not learned from the patient: a head is measured on what it will see. A
finding that a person drew is no example, and an annotation that no person has looked at has none.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from mammo.annotations import Prelabel
from mammo.efforts.edit_effort import matches, overlap
from mammo.errors import InvalidRegion, MammoError
from mammo.findings import Finding
from mammo.geometry import Size
from mammo.labelstudio.interpretation import from_regions
from mammo.labelstudio.labeling_config import ControlTags
from mammo.words.features import Floats, features
from training.cases import Progress
from training.datasets.items import AUTOMATIC, Item, OpenImage, image_changed, is_about_one_image
from training.datasets.versions import DatasetVersion
from training.second_look.predictions import unusable

DESCRIPTORS = ("morphology", "distribution")
"""What a head may propose. Suspicion is a judgement of the person who answers for it."""

MIN_OVERLAP = 0.2
"""Least overlap of a model's outline with the finding that people described."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Examples:
    """Findings with a word of one descriptor."""

    x: Floats
    """N x 35 features."""

    words: tuple[str, ...]
    patients: tuple[str, ...]
    train: tuple[bool, ...]
    """Whether the patient is one to train on; the others are held out."""

    num_proposed: int = 0
    """Words that a model had proposed before a person kept them."""


@dataclass(frozen=True, kw_only=True)
class _Example:
    x: Floats
    patient: str
    train: bool
    words: Mapping[str, str]
    proposed: frozenset[str]


def examples_of(
    dataset: DatasetVersion,
    *,
    predicted: Mapping[int, Prelabel],
    open_image: OpenImage,
    tags: ControlTags,
    progress: Progress,
) -> tuple[dict[str, Examples], dict[str, int]]:
    """Return the examples of each descriptor, and the number of described findings that are none, by reason.

    Args:
        predicted: by task, the prediction of a model that did not learn from its patient.
        tags: controls and labels of the project.

    Raises:
        MammoError: no image can be read now.
    """
    by_task: dict[int, list[Item]] = defaultdict(list)
    for item in dataset.items:
        by_task[item.task_id].append(item)
    found: list[_Example] = []
    left: Counter[str] = Counter()
    for number, item in enumerate(dataset.items, start=1):
        described = [each for each in item.truth if set(each.descriptors) & set(DESCRIPTORS)]
        if described and item.annotator == AUTOMATIC:
            left["no person has looked at the annotation"] += len(described)
        elif described:
            prelabel = predicted.get(item.task_id)
            reason, new = unusable(prelabel, by_task[item.task_id]), list[_Example]()
            if prelabel is not None and not reason:
                try:
                    new = list(_of_item(item, prelabel, open_image, tags))
                    reason = "the model has not outlined it"
                except MammoError as error:
                    if not is_about_one_image(error):
                        raise
                    reason = f"the image or its prediction cannot be read ({error.code})"
            found += new
            if len(described) > len(new):
                left[reason] += len(described) - len(new)
        progress(number / len(dataset.items), f"{number} of {len(dataset.items)} images")
    return {name: _with_word(name, found) for name in DESCRIPTORS}, dict(left)


def _of_item(item: Item, prelabel: Prelabel, open_image: OpenImage, tags: ControlTags) -> Iterator[_Example]:
    """Yield the described findings of an image that the model has outlined."""
    on_image = next(
        (each for each in tags.everywhere(prelabel.regions) if each.image_key == item.image_key), None
    )
    if on_image is None:
        raise InvalidRegion("the prediction does not fit the labeling config")
    outlined = from_regions(prelabel.regions, tags=on_image, size=Size(*item.size))
    truth = item.truth
    matched = ((outlined[row], truth[column]) for row, column in matches(outlined, truth))
    pairs: list[tuple[Finding, Finding]] = [
        (finding, described)
        for finding, described in matched
        if overlap(finding, described) >= MIN_OVERLAP and set(described.descriptors) & set(DESCRIPTORS)
    ]
    if not pairs:
        return
    mammogram = open_image(item.task_data)
    if mammogram.sha256 != item.image:
        raise image_changed(item.task_id)
    for finding, described in pairs:
        if (x := features(mammogram, finding)) is not None:
            yield _Example(
                x=x,
                patient=item.patient,
                train=item.fold == "train",
                words=described.descriptors,
                proposed=frozenset(finding.descriptors),
            )


def _with_word(name: str, found: list[_Example]) -> Examples:
    examples = [each for each in found if name in each.words]
    return Examples(
        x=np.array([each.x for each in examples]),
        words=tuple(each.words[name] for each in examples),
        patients=tuple(each.patient for each in examples),
        train=tuple(each.train for each in examples),
        num_proposed=sum(name in each.proposed for each in examples),
    )
