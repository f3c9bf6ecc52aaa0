"""Replacing a region: the results that make Label Studio put a new outline in the place of an old one.

Label Studio replaces the region with the id of a suggestion that is accepted, and drops the region's attributes unless
the suggestion repeats them. It keeps the region's relations. A suggestion must not repeat these: its region has the id
of the old one while they are read, which is ambiguous, and the page shows an error instead of the images (1.23.2). It
does so as well while a suggestion for a linked region waits for ✓, so linked regions need *Auto-Accept Suggestions*.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from mammo.geometry import Point, Size
from mammo.labelstudio.drawn_findings import DrawnFinding
from mammo.labelstudio.labeling_config import ControlTags
from mammo.labelstudio.regions import (
    COMPLETE,
    EXACT,
    FINE,
    Region,
    brush_region,
    mask_of,
    polygon_region,
    shape_of,
)
from mammo.masks import Mask

GEOMETRY = frozenset({"points", "closed", "format", "rle"})
"""Keys of a value that say where a polygon or brush region lies."""

NOT_OURS = frozenset({"origin", "value", "meta"})
"""Keys of a result that are written anew; without `origin`, Label Studio notes that the region was changed."""

DRAFT: dict[str, Any] = {"score": 1.0, "meta": {}, "region_id": ""}
"""Facts of a region of which only the geometry is used."""


def replacement(
    finding: DrawnFinding,
    mask: Mask,
    *,
    positive: Sequence[Point],
    negative: Sequence[Point],
    tags: ControlTags,
    size: Size,
    meta: Mapping[str, Any],
) -> list[Region]:
    """Return the region with other pixels, and its attributes; same id, control, labels and kind.

    Args:
        finding: the region as it is.
        mask: its new pixels, inside the image. If they are the old ones, its outline stays as it is, vertex by vertex.
        positive: clicks that the outline holds.
        negative: clicks that it does not hold.
        tags: control tags of the image.
        size: of the image.
        meta: the region's `meta`.
    """
    old = finding.region
    geometry = {key: value for key, value in old["value"].items() if key in GEOMETRY}
    if mask is not finding.mask:
        made = (
            brush_region(mask, size=size, tags=_with(tags, old), packed=True, **DRAFT)
            if shape_of(old) == "brush"
            else outline_region(mask, positive, negative, size=size, tags=_with(tags, old), **DRAFT)
        )
        geometry = {key: value for key, value in made["value"].items() if key in GEOMETRY}
    region = _kept(old) | {"value": {**old["value"], **geometry}, "meta": dict(meta)}
    # An attribute repeats where its region lies.
    attributes = [
        _kept(each) | {"value": {**_without_geometry(each), **geometry}} for each in finding.attributes
    ]
    return [region, *attributes]


def outline_region(
    mask: Mask,
    positive: Sequence[Point],
    negative: Sequence[Point],
    *,
    size: Size,
    tags: ControlTags,
    score: float,
    meta: Mapping[str, Any],
    region_id: str,
) -> Region:
    """Return a polygon with every part of a mask, as simple as it can be.

    It holds the positive clicks that the mask holds, and none of the negative ones that the mask does not hold.
    """
    described: dict[str, Any] = {"score": score, "meta": meta, "region_id": region_id}
    for form in (COMPLETE, FINE):
        region = polygon_region(mask, size=size, tags=tags, form=form, **described)
        drawn = mask_of(region)
        if (
            drawn is not None
            and all(drawn.holds(point) for point in positive if mask.holds(point))
            and not any(drawn.holds(point) for point in negative if not mask.holds(point))
        ):
            return region
    return polygon_region(mask, size=size, tags=tags, form=EXACT, **described)


def _with(tags: ControlTags, region: Mapping[str, Any]) -> ControlTags:
    """Return the tags with the control that a region was drawn with."""
    control = region.get("from_name")
    return replace(tags, brush=control) if shape_of(region) == "brush" else replace(tags, polygon=control)


def _kept(result: Mapping[str, Any]) -> Region:
    return {key: value for key, value in result.items() if key not in NOT_OURS}


def _without_geometry(result: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in result["value"].items() if key not in GEOMETRY}
