"""Readings of a task, image by image: an exam is one case, whose images are compared one by one.

The findings of all images are numbered through, in the order of the images, so one agreement holds the lesions of all
views of an exam. Words about the exam are compared once.
"""

from __future__ import annotations

from collections.abc import Mapping

from mammo.annotations import Correction
from mammo.errors import ImageNotFound, InvalidTaskData
from mammo.findings import Finding
from mammo.geometry import Spacing
from mammo.images.task_images import of_task
from mammo.labelstudio.descriptors import exam_descriptors
from mammo.labelstudio.interpretation import interpret_images
from mammo.labelstudio.labeling_config import ControlTags
from mammo.readings.agreement import Agreement, both_words, compare, joined
from mammo.readings.consensus import consensus
from mammo.readings.rules import ConsensusRule, ReadingRules
from mammo.stated_facts import stated_spacing


def findings_by_image(reading: Correction, tags: ControlTags) -> dict[str, list[Finding]]:
    """Return the findings of a reading by image key, in the order of the images.

    Raises:
        InvalidRegion: a region cannot be interpreted, or lies on none of the images.
    """
    read = interpret_images(reading.result, tags=tags, data=reading.task_data, sizes=reading.sizes)
    return {image_tags.image_key: list(each.findings) for image_tags, each in read}


def spacings_by_image(reading: Correction, tags: ControlTags) -> dict[str, Spacing | None]:
    """Return the pixel spacing that the task states of each image, by image key; None if it states none.

    Raises:
        InvalidTaskData: a spacing cannot be read.
    """
    return {each.image_key: _spacing(reading, each) for each in tags.on(reading.task_data)}


def task_agreement(
    first: Correction, second: Correction, *, rules: ReadingRules, tags: ControlTags
) -> Agreement:
    """Return the agreement of two readings of a task, on all of its images.

    Args:
        first, second: the readings.
        rules: of the comparison.
        tags: control tags of the project.

    Raises:
        InvalidRegion, InvalidTaskData: a reading, or its task, cannot be interpreted, or the readers saw different
            images.
    """
    on_first, on_second = findings_by_image(first, tags), findings_by_image(second, tags)
    if on_first.keys() != on_second.keys():  # what one of them found there would be compared with nothing
        raise InvalidTaskData(
            f"the two readers saw different images: {_named(on_first)} and {_named(on_second)}; give the task that "
            "lacks some the same data, and have it read again"
        )
    spacings = spacings_by_image(first, tags)
    parts = [
        (
            compare(found, on_second[image], rules=rules, spacing=spacings.get(image)),
            len(found),
            len(on_second[image]),
        )
        for image, found in on_first.items()
    ]
    words = both_words(*(exam_descriptors(reading.result, tags).stated for reading in (first, second)))
    return joined(parts, words=words)


def task_consensus(
    first: Correction,
    second: Correction,
    agreement: Agreement,
    *,
    image: str,
    rule: ConsensusRule,
    tags: ControlTags,
) -> list[Finding]:
    """Return the consensus of two readings on one image.

    Args:
        first, second: the readings, which agree.
        agreement: of `task_agreement`.
        image: image key.
        rule: how outlines are merged.
        tags: control tags of the project.
    """
    on_first, on_second = findings_by_image(first, tags), findings_by_image(second, tags)
    start_first = start_second = 0
    for each, found in on_first.items():
        end_first, end_second = start_first + len(found), start_second + len(on_second.get(each, []))
        if each == image:
            part = agreement.part(range(start_first, end_first), range(start_second, end_second))
            return consensus(found, on_second.get(each, []), part, rule=rule)
        start_first, start_second = end_first, end_second
    return []


def agreed_exam_words(first: Correction, second: Correction, tags: ControlTags) -> dict[str, str]:
    """Return the words about the exam on which two readings agree, by descriptor."""
    words = both_words(*(exam_descriptors(reading.result, tags).stated for reading in (first, second)))
    return {name: one for name, (one, other) in words.items() if one is not None and one == other}


def _named(images: Mapping[str, object]) -> str:
    return ", ".join(images) or "one"


def _spacing(reading: Correction, image: ControlTags) -> Spacing | None:
    try:
        data = of_task(reading.task_id, reading.task_data, tags=image)
    except ImageNotFound:  # outlines can be compared without it
        data = dict(reading.task_data)
    return stated_spacing(data.get("spacing_mm"))
