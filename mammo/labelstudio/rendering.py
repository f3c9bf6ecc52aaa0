"""Rendering: findings as Label Studio regions (step 5 of the walk).

    finding   one region: a polygon, brush or rectangle, depending on the project's controls and the finding's mask
    words     one result each, with the id of the finding's region
    findings  a choice about the whole image, if the project has one
    failure   a note about the whole image with the reason, if the project has one
    cut       a note about the whole image with the number of findings that are not shown, if the project has one

Each finding is exactly one region, so an annotator deletes a finding with one deletion and affects no other. Data that
a region cannot express (the detector's box, the prompts) are in its `meta`, and are valid until the region is changed.
`mammo.labelstudio.interpretation` is the inverse.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from mammo.errors import InvalidRegion
from mammo.findings import Finding, ImageFindings
from mammo.geometry import Size
from mammo.labelstudio.descriptors import descriptor_regions
from mammo.labelstudio.labeling_config import ControlTags
from mammo.labelstudio.region_meta import frame_and_area
from mammo.labelstudio.regions import (
    EDITABLE,
    EXACT,
    OutlineForm,
    Region,
    brush_region,
    mask_of,
    point_region,
    polygon_region,
    rectangle_region,
)
from mammo.masks import Mask


def to_regions(
    findings: Sequence[Finding], *, size: Size, tags: ControlTags, model_version: str, packed: bool = False
) -> list[Region]:
    """Return the regions of a prediction, one per finding, and the choice about the image if the project has one.

    A mask becomes a polygon, else a brush region, else the rectangle of its box, depending on the project's controls.
    Polygons are simplified so that a person can edit them: holes are filled and crumbs left out; the IoU of every
    remaining component is at least `mammo.masks.outlines.MIN_IOU`. A box without a mask becomes a rectangle, or the
    polygon or brush region of the box. A point becomes a key point.

    Args:
        findings: with boxes and masks inside the image; a finding without an id gets a stable one.
        size: of the mammogram.
        tags: control tags of the image.
        model_version: recorded in the `meta` of every region, because Label Studio does not record it for accepted
            regions.
        packed: return each brush RLE as a uint8 array (for orjson) instead of a list.

    Raises:
        ValueError: two findings have the same id, or a box or mask extends beyond the image.
        InvalidRegion: the project has no control for one of the findings (code `no_tool`).
    """
    return _regions(findings, size=size, tags=tags, version=model_version, packed=packed, outline=EDITABLE)


def truth_regions(findings: Sequence[Finding], *, size: Size, tags: ControlTags, source: str) -> list[Region]:
    """Return the regions of findings that people drew: as `to_regions`, but with exact outlines of every component.

    Args:
        findings: see `to_regions`.
        size: of the mammogram.
        tags: control tags of the image.
        source: the data set or reader, recorded as the model version.

    Raises:
        ValueError, InvalidRegion: see `to_regions`.
    """
    return _regions(findings, size=size, tags=tags, version=source, packed=False, outline=EXACT)


def _regions(
    findings: Sequence[Finding],
    *,
    size: Size,
    tags: ControlTags,
    version: str,
    packed: bool,
    outline: OutlineForm,
) -> list[Region]:
    names = [
        region_id(finding.id, tags=tags) or _digest(version, tags.image_tag, finding.box, index)
        for index, finding in enumerate(findings)
    ]
    if len(set(names)) != len(names):
        raise ValueError(f"expected findings with different ids, got {names}")
    regions = []
    for name, each in zip(names, findings, strict=True):
        region = _finding_region(
            name, each, size=size, tags=tags, version=version, packed=packed, outline=outline
        )
        regions += [region, *descriptor_regions(each, region, tags)]
    return regions + _choice(findings, tags=tags, version=version)


def region_id(finding: str, *, tags: ControlTags) -> str:
    """Return the id of a finding's region, unique within the task: the image's name precedes it if there are several.

    Label Studio takes results with one id for one region, even on two images, and gives both the same shape.

    Args:
        finding: id of the finding, unique on its image; empty for none.
        tags: control tags of the image.
    """
    if not finding or tags.is_only_image:
        return finding
    prefix = tags.image if tags.page is None else f"{tags.image}-{tags.page}"
    return finding if finding.startswith(f"{prefix}-") else f"{prefix}-{finding}"


def share_ids(regions: Iterable[Region]) -> bool:
    """Whether regions on two images have the same id, as those of earlier releases do."""
    places = {(each.get("id"), each.get("to_name"), each.get("item_index")) for each in regions}
    return len({name for name, *_ in places}) < len(places)


def _finding_region(
    name: str,
    finding: Finding,
    *,
    size: Size,
    tags: ControlTags,
    version: str,
    packed: bool,
    outline: OutlineForm,
) -> Region:
    common = {"id": name, "score": finding.score}
    if finding.is_point:
        if tags.keypoint is None:
            raise InvalidRegion(
                "the project has no KeyPointLabels control for clusters; add one to its labeling config",
                code="no_tool",
            )
        region = point_region(finding.box, size=size, tags=tags)
        return region | common | {"meta": {"model_version": version}}
    mask, box = finding.mask, finding.box
    meta: dict[str, Any] = {
        "model_version": version,
        "finding": name,
        "box": list(box.as_tuple()),
        "prompts": [[point.x, point.y] for point in finding.prompts],
    }
    if finding.text:
        meta["text"] = list(finding.text)
    if finding.proposed:
        meta["words"] = {"head": finding.word_head, **dict(finding.proposed)}
    if tags.rectangle and (mask is None or not (tags.polygon or tags.brush)):
        return rectangle_region(box, size=size, tags=tags) | common | {"meta": meta}
    if mask is None:
        mask = Mask(np.ones((box.height, box.width), np.bool_), box.x0, box.y0)
        meta["only_box"] = True
    if tags.polygon:
        region = polygon_region(
            mask, score=finding.score, size=size, tags=tags, meta={}, region_id=name, form=outline
        )
        mask = mask_of(region)
        assert mask is not None, "the outline of set pixels encloses some"
    elif tags.brush:
        region = brush_region(
            mask, score=finding.score, size=size, tags=tags, meta={}, region_id=name, packed=packed
        )
    else:
        raise InvalidRegion(
            "the project has no PolygonLabels, BrushLabels or RectangleLabels control for clusters; add one to its "
            "labeling config",
            code="no_tool",
        )
    return region | {"meta": meta | {"pixels": frame_and_area(mask)}}


def _choice(findings: Sequence[Finding], *, tags: ControlTags, version: str) -> list[Region]:
    """Return the choice about the whole image; empty when the project has no such choice."""
    choice = tags.choice_found if findings else tags.choice_nothing
    if not tags.choices or choice is None:
        return []
    return [
        {
            "id": _digest(version, tags.image_tag, "choice"),
            "from_name": tags.choices,
            "to_name": tags.image,
            "type": "choices",
            "value": {"choices": [choice]},
            "meta": {"model_version": version},
        }
    ]


def note_regions(reason: str, *, tags: ControlTags, model_version: str) -> list[Region]:
    """Return the note that an image has no prediction; empty when the project has no note control.

    Args:
        reason: error code; shown in the note and recorded in its `meta`.
        tags: control tags of the image.
        model_version: recorded in the `meta`.
    """
    if tags.note is None:
        return []
    place = "this image" if tags.is_only_image else "these images"
    text = f"The model could not look at {place} ({reason})."
    return [_note(tags.note, tags.image, [text], version=model_version, meta={"reason": reason})]


def notes_of_images(
    images: Sequence[tuple[ControlTags, ImageFindings]], *, model_version: str, news: Sequence[str]
) -> list[Region]:
    """Return the notes that the model found more than a prediction shows, and of news; empty without either.

    Images without a note control have no note. The pages of one image share a note, because Label Studio displays only
    one of a control.

    Args:
        images: control tags and findings of each image of a task.
        model_version: recorded in the `meta`.
        news: sentences for the note of every image.
    """
    lines: dict[tuple[str, str], list[str]] = {}
    cuts: Counter[tuple[str, str]] = Counter()
    for tags, found in images:
        if found.num_cut and tags.note is not None:
            place = "this image" if tags.page is None else f"page {tags.page + 1}"
            num_shown = len(found.findings)
            lines.setdefault((tags.note, tags.image), []).append(
                f"The model found {num_shown + found.num_cut} clusters on {place} and shows the {num_shown} with the "
                f"highest scores: look for the other {found.num_cut}."
            )
            cuts[tags.note, tags.image] += found.num_cut
    for tags, _ in images if news else ():
        if tags.note is not None and news[0] not in lines.setdefault((tags.note, tags.image), []):
            lines[tags.note, tags.image] += news
    return [
        _note(control, image, text, version=model_version, meta={"num_cut": cuts[control, image]})
        for (control, image), text in lines.items()
    ]


def _note(control: str, image: str, text: list[str], *, version: str, meta: dict[str, Any]) -> Region:
    return {
        "id": _digest(version, image, "note"),
        "from_name": control,
        "to_name": image,
        "type": "textarea",
        "value": {"text": text},
        "meta": {"model_version": version} | meta,
    }


def _digest(*parts: object) -> str:
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:10]
