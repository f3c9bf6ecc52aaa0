"""The regions of a data set's findings, checked by reading them back before they are written.

Models are trained on annotations. An annotation with fewer findings than the data set, or with boxes instead of masks,
would be a wrong ground truth.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence

from mammo.errors import InvalidRegion
from mammo.findings import Finding
from mammo.geometry import Size
from mammo.labelstudio import ControlTags, from_regions, truth_regions
from mammo.labelstudio.region_meta import meta_value
from mammo.labelstudio.regions import Region
from mammo.masks import union

MIN_DICE = 0.9
"""Least Dice coefficient of the union of all masks before and after; an outline deviates by fractions of a pixel."""


def checked_regions(findings: Sequence[Finding], *, size: Size, tags: ControlTags, kind: str) -> list[Region]:
    """Return the regions of an annotation from which the same findings are read back.

    Args:
        findings: of one image.
        size: of the image.
        tags: control tags of the project.
        kind: of the data set; recorded in the regions' `meta`.

    Raises:
        InvalidRegion: the project's controls cannot represent the findings (code `tools`).
    """
    num_boxes = sum(finding.mask is None for finding in findings)
    num_masks = len(findings) - num_boxes
    if num_boxes and not (tags.rectangle or tags.polygon):
        raise _refused(
            f"{num_boxes} of its {len(findings)} clusters are boxes, and the project has neither RectangleLabels nor "
            "PolygonLabels for clusters. Add one, or choose another project"
        )
    if num_masks and not (tags.brush or tags.polygon):
        raise _refused(
            f"{num_masks} of its {len(findings)} clusters have a mask, and the project has neither BrushLabels nor "
            "PolygonLabels for clusters. Add one, or give --boxes-only to import boxes only"
        )
    predicted = truth_regions(findings, size=size, tags=tags, source=kind)
    regions = [_drawn_by_a_person(region, kind) for region in predicted]
    back = from_regions(regions, tags=tags)
    masks_back = sum(finding.mask is not None for finding in back)
    if (len(back), masks_back) != (len(findings), num_masks):
        raise _refused(
            f"its {len(findings)} clusters, {num_masks} of them with a mask, would be read back from the project as "
            f"{len(back)}, {masks_back} with a mask: masks that touch or overlap need a RectangleLabels control that "
            "separates them. Add the control"
        )
    if num_masks and _dice(findings, back) < MIN_DICE:
        raise _refused(
            "its masks would be read back with another shape. Add BrushLabels for clusters to the project"
        )
    return regions


def _drawn_by_a_person(region: Region, kind: str) -> Region:
    """Return a region with the data set instead of a model version and score."""
    region = copy.copy(region)
    region.pop("score", None)
    # The outline of a box means the box, until somebody changes it.
    is_outlined_box = meta_value(region, "only_box") is True
    kept = {key: region["meta"][key] for key in ("box", "pixels", "only_box")} if is_outlined_box else {}
    region["meta"] = kept | {"dataset": kind}
    return region


def _dice(given: Sequence[Finding], back: Sequence[Finding]) -> float:
    """Return the Dice coefficient of the unions of all masks."""
    one, other = (union(each.mask for each in findings if each.mask) for findings in (given, back))
    return one.dice(other) if one and other else 0.0


def _refused(reason: str) -> InvalidRegion:
    return InvalidRegion(reason, code="tools")
