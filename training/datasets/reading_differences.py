"""Which findings of an annotation are read otherwise than the items of a dataset version hold them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from mammo.efforts.edit_effort import changes
from mammo.errors import InvalidRegion
from mammo.findings import CLUSTER, Finding
from mammo.geometry import Box, Size
from mammo.images.task_images import MAMMOGRAM_KEY
from mammo.masks import Mask
from training.datasets.annotation_reading import ImageReading
from training.datasets.items import Item
from training.datasets.reread_result import FindingChange


def differences(images: Sequence[ImageReading], items: Sequence[Item]) -> Iterable[FindingChange]:
    """What became of the findings of an annotation, image by image; what is as it was is passed over.

    Raises:
        InvalidRegion: a finding lies outside of its image.
    """
    left = list(items)
    for image in images:
        item = _item_of(image, left)
        if item is None:  # an earlier release knew one image a task
            now = list(image.said.findings)
            yield from _between([], now, image.tags.image_key)
            continue
        left.remove(item)
        now = [_inside(each, Size(*item.size)) for each in image.said.findings]
        yield from _between(_findings_of(item), now, image.tags.image_key)
    for item in left:
        yield from _between(_findings_of(item), [], item.image_key)


def _item_of(image: ImageReading, items: Sequence[Item]) -> Item | None:
    """The item of an image; one that names none, as earlier releases wrote it, is told by what it shows."""
    named = next((item for item in items if item.image_key == image.tags.image_key), None)
    if named is not None:
        return named
    return next((item for item in items if not item.image_key and _shows(item, image.data)), None)


def _shows(item: Item, data: Mapping[str, object]) -> bool:
    key = MAMMOGRAM_KEY if MAMMOGRAM_KEY in item.task_data else "image"
    return item.task_data.get(key) is not None and item.task_data.get(key) == data.get(key)


def _between(before: Sequence[Finding], now: Sequence[Finding], image: str) -> Iterable[FindingChange]:
    """Those of `before` by their number in the version, new ones by their number now; from 1."""
    then = {f"before-{number}": (number, each) for number, each in enumerate(before, 1)}
    new = {f"now-{number}": (number, each) for number, each in enumerate(now, 1)}
    for name, (_, finding) in list(new.items()):  # most are the very same, and comparing outlines costs
        same = next((each for each, (_, other) in then.items() if _is_equal(finding, other)), None)
        if same is not None:
            del new[name], then[same]
    for is_point in (False, True):
        one, other = (
            [replace(each, id=name) for name, (_, each) in named.items() if each.is_point is is_point]
            for named in (then, new)
        )
        for change in changes(one, other):
            if change.kind == "accepted":
                continue
            number, finding = (then | new)[change.finding]
            yield FindingChange(
                kind="gone" if change.kind == "deleted" else "new" if change.kind == "added" else "reshaped",
                number=number,
                box=finding.box.as_tuple(),
                image=image,
                overlap=change.dice,
            )


def _is_equal(one: Finding, other: Finding) -> bool:
    if (one.box, one.is_point) != (other.box, other.is_point) or None in (one.mask, other.mask):
        return (one.box, one.is_point, one.mask) == (other.box, other.is_point, other.mask)
    assert one.mask is not None
    assert other.mask is not None
    return one.mask.frame == other.mask.frame and np.array_equal(one.mask.bitmap, other.mask.bitmap)


def _findings_of(item: Item) -> list[Finding]:
    """All that an item holds, places of unknown extent too."""
    return [
        Finding(
            label=CLUSTER,
            score=1.0,
            box=Box(*finding["box"]),
            mask=Mask.from_coco(finding["mask"]) if finding["mask"] else None,
            is_point=bool(finding.get("point")),
        )
        for finding in item.findings
    ]


def _inside(finding: Finding, size: Size) -> Finding:
    try:
        box = finding.box.within(size)
    except ValueError as error:
        raise InvalidRegion(str(error)) from error
    return replace(finding, box=box, mask=finding.mask.within(size.box) if finding.mask else None)
