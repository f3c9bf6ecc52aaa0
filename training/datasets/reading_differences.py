"""Differences between the findings of an annotation as it is read now and as a dataset version contains them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from mammo.efforts.edit_effort import changes
from mammo.findings import Finding
from mammo.geometry import Size
from mammo.images.task_images import MAMMOGRAM_KEY
from training.datasets.annotation_reading import ImageReading
from training.datasets.items import Item, clipped
from training.datasets.reread_result import FindingChange


def differences(images: Sequence[ImageReading], items: Sequence[Item]) -> Iterable[FindingChange]:
    """Compare the findings of an annotation, image by image; unchanged findings are skipped.

    Args:
        images: the annotation as it is read now.
        items: the items that the dataset version has of it.

    Raises:
        InvalidRegion: a finding lies outside its image.
    """
    unmatched = list(items)
    for image in images:
        item = _item_of(image, unmatched)
        findings = image.interpretation.findings
        if item is None:  # an earlier release stored one image per task
            yield from _changes([], findings, image.tags.image_key)
            continue
        unmatched.remove(item)
        inside = [clipped(each, Size(*item.size)) for each in findings]
        yield from _changes(item.clusters, inside, image.tags.image_key)
    for item in unmatched:
        yield from _changes(item.clusters, [], item.image_key)


def _item_of(image: ImageReading, items: Sequence[Item]) -> Item | None:
    """The item of an image. Items of earlier releases have no image key and are identified by the file they show."""
    named = next((item for item in items if item.image_key == image.tags.image_key), None)
    if named is not None:
        return named
    return next((item for item in items if not item.image_key and _shows(item, image.data)), None)


def _shows(item: Item, data: Mapping[str, object]) -> bool:
    key = MAMMOGRAM_KEY if MAMMOGRAM_KEY in item.task_data else "image"
    return item.task_data.get(key) is not None and item.task_data.get(key) == data.get(key)


def _changes(before: Sequence[Finding], now: Sequence[Finding], image: str) -> Iterable[FindingChange]:
    """Changes of one image. Findings are numbered from 1: in `before`, or for new ones in `now`."""
    old = {f"before-{number}": (number, each) for number, each in enumerate(before, 1)}
    new = {f"now-{number}": (number, each) for number, each in enumerate(now, 1)}
    for name, (_, finding) in list(new.items()):  # most are identical, and comparing masks is expensive
        same = next((each for each, (_, other) in old.items() if _is_equal(finding, other)), None)
        if same is not None:
            del new[name], old[same]
    for is_point in (False, True):
        old_findings, new_findings = (
            [replace(each, id=name) for name, (_, each) in named.items() if each.is_point is is_point]
            for named in (old, new)
        )
        for change in changes(old_findings, new_findings):
            if change.kind == "accepted":
                continue
            number, finding = (old | new)[change.finding]
            yield FindingChange(
                kind="gone" if change.kind == "deleted" else "new" if change.kind == "added" else "reshaped",
                number=number,
                box=finding.box.as_tuple(),
                image=image,
                overlap=change.dice,
            )


def _is_equal(one: Finding, other: Finding) -> bool:
    if (one.box, one.is_point) != (other.box, other.is_point):
        return False
    if one.mask is None or other.mask is None:
        return one.mask is other.mask
    return one.mask.frame == other.mask.frame and np.array_equal(one.mask.bitmap, other.mask.bitmap)
