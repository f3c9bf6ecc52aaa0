"""Rendering: what is drawn of findings in Label Studio.

    finding -> one region: an outline, or a brush region, or a rectangle, by what the project has and the finding holds
    findings -> the choice about the whole image, where the project asks for one
    a reason -> the note about the whole image: why there is no finding, where the project has a place for it

One region a finding: it is deleted once, and then it is gone, and nobody else's mask with it. What a region cannot say
(the detector's box, the prompts) is in its `meta`, and holds for as long as nobody has changed the outline.
The way back is `mammo.labelstudio.interpretation`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from mammo.errors import InvalidRegion
from mammo.findings import Finding
from mammo.geometry import Size
from mammo.labelstudio.labeling_config import ControlTags
from mammo.labelstudio.region_meta import pixels_of
from mammo.labelstudio.regions import (
    EXACT,
    MENDABLE,
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
    """Regions of a prediction, one a finding.

    A mask becomes an outline where the project has a polygon control, else a brush region, else the rectangle of its
    box. Outlines are simplified, so that a person can mend them: holes are filled, crumbs left out (an IoU of
    `mammo.masks.polygons.MIN_IOU` of each part stays). A box without a mask becomes a rectangle, or, where the
    project has none, the outline (or brush region) of the box. A point becomes a key point.

    Args:
        findings: with boxes and masks inside the image; an empty `id` gets a stable one.
        size: of the mammogram.
        tags: control tags of the image.
        model_version: kept in every region's `meta`, since an accepted region forgets where it came from.
        packed: brush streams as arrays of bytes, for who writes JSON with orjson; else as lists.

    Raises:
        ValueError: two findings share an id, or a box or mask reaches out of the image.
        InvalidRegion: the project has no tool that can hold a finding (code `no_tool`).
    """
    regions = [
        _finding_region(
            name, each, size=size, tags=tags, version=model_version, packed=packed, outline=MENDABLE
        )
        for name, each in _named(findings, tags, model_version)
    ]
    return regions + _choice(findings, tags=tags, model_version=model_version)


def truth_regions(findings: Sequence[Finding], *, size: Size, tags: ControlTags, source: str) -> list[Region]:
    """Regions of what people have drawn: as `to_regions`, with outlines along the pixels' edges and every part.

    Args:
        source: who drew them: a data set, or a reader. Stands where a prediction has its model version.

    Raises:
        ValueError, InvalidRegion: see `to_regions`.
    """
    regions = [
        _finding_region(name, each, size=size, tags=tags, version=source, packed=False, outline=EXACT)
        for name, each in _named(findings, tags, source)
    ]
    return regions + _choice(findings, tags=tags, model_version=source)


def _named(findings: Sequence[Finding], tags: ControlTags, source: str) -> list[tuple[str, Finding]]:
    named = [
        (finding.id or _digest(source, tags.image_tag, finding.box, i), finding)
        for i, finding in enumerate(findings)
    ]
    if len({name for name, _ in named}) != len(named):
        raise ValueError(f"findings of one prediction need different ids, got {[name for name, _ in named]}")
    return named


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
            raise InvalidRegion("the project has no KeyPointLabels control for clusters", code="no_tool")
        region = point_region(finding.box, size=size, tags=tags)
        return region | common | {"meta": {"model_version": version}}
    mask = finding.mask
    meta: dict[str, Any] = {
        "model_version": version,
        "finding": name,
        "box": list(finding.box.as_tuple()),
        "prompts": [[point.x, point.y] for point in finding.prompts],
    }
    if tags.rectangle and (mask is None or not (tags.polygon or tags.brush)):
        region = rectangle_region(finding.box, size=size, tags=tags)
        return region | common | {"meta": meta}
    if mask is None:
        mask = Mask(
            np.ones((finding.box.height, finding.box.width), np.bool_), finding.box.x0, finding.box.y0
        )
        meta["only_box"] = True
    if tags.polygon:
        region = polygon_region(
            mask, score=finding.score, size=size, tags=tags, meta={}, region_id=name, form=outline
        )
        mask = mask_of(region)
        assert mask is not None, "an outline of pixels encloses some"
    elif tags.brush:
        region = brush_region(
            mask, score=finding.score, size=size, tags=tags, meta={}, region_id=name, packed=packed
        )
    else:
        raise InvalidRegion("the project has no tool that can hold a finding", code="no_tool")
    return region | {"meta": meta | {"pixels": pixels_of(mask)}}


def _choice(findings: Sequence[Finding], *, tags: ControlTags, model_version: str) -> list[Region]:
    """What the findings say about the whole image; nothing where the project has no word for it."""
    said = tags.choice_found if findings else tags.choice_nothing
    if not tags.choices or said is None:
        return []
    return [
        {
            "id": _digest(model_version, tags.image_tag, "choice"),
            "from_name": tags.choices,
            "to_name": tags.image,
            "type": "choices",
            "value": {"choices": [said]},
            "meta": {"model_version": model_version},
        }
    ]


def note_regions(reason: str, *, tags: ControlTags, model_version: str) -> list[Region]:
    """Say in the project's note why the model drew nothing; nothing where the project has no note.

    Args:
        reason: code of what went wrong; also in the region's `meta`, for who looks for it by program.
    """
    if tags.note is None:
        return []
    return [
        {
            "id": _digest(model_version, tags.image_tag, "note"),
            "from_name": tags.note,
            "to_name": tags.image,
            "type": "textarea",
            "value": {"text": [f"The model could not look at this image ({reason})."]},
            "meta": {"model_version": model_version, "reason": reason},
        }
    ]


def _digest(*parts: object) -> str:
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:10]
