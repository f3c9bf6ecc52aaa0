"""Rehearsal: what a project's tools make of findings, read back before anything is written.

An annotation is the truth that models learn. One that holds fewer findings than the data set, or boxes where it had
masks, would say that there is less than there is.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence

from mammo.errors import InvalidRegion
from mammo.findings import Finding
from mammo.geometry import Size
from mammo.labelstudio import ControlTags, from_regions, truth_regions
from mammo.labelstudio.regions import Region
from mammo.masks import union

NEAREST_DICE = 0.9
"""Least agreement of all masks together, written and given: an outline follows a mask to a fraction of a pixel."""


def rehearsed(findings: Sequence[Finding], *, size: Size, tags: ControlTags, kind: str) -> list[Region]:
    """The regions of an annotation, once reading them back has given the same findings.

    Args:
        kind: of the data set; stands in each region.

    Raises:
        InvalidRegion: the project's tools cannot hold them, or hold others (code `tools`).
    """
    num_boxes = sum(finding.mask is None for finding in findings)
    num_masks = len(findings) - num_boxes
    if num_boxes and not tags.rectangle:
        raise _refused(
            f"{num_boxes} of its {len(findings)} clusters are boxes, and the project has no RectangleLabels for "
            "clusters: a box is no outline. Add the control, or take another project"
        )
    if num_masks and not (tags.brush or tags.polygon):
        raise _refused(
            f"{num_masks} of its {len(findings)} clusters have a mask, and the project has neither BrushLabels nor "
            "PolygonLabels for clusters. Add one, or give --boxes-only to keep their boxes alone"
        )
    made = truth_regions(findings, size=size, tags=tags, source=kind)
    regions = [_drawn_by_a_person(region, kind) for region in made]
    back = from_regions(regions, tags=tags)
    masks_back = sum(finding.mask is not None for finding in back)
    if (len(back), masks_back) != (len(findings), num_masks):
        raise _refused(
            f"its {len(findings)} clusters, {num_masks} of them with a mask, would be read back from the project as "
            f"{len(back)}, {masks_back} with a mask: masks that touch or overlap need a RectangleLabels that parts them"
        )
    if num_masks and _dice(findings, back) < NEAREST_DICE:
        raise _refused(
            "its masks would be read back with another shape. Add BrushLabels for clusters to the project"
        )
    return regions


def _drawn_by_a_person(region: Region, kind: str) -> Region:
    """The same region without a model's name and score."""
    region = copy.copy(region)
    region.pop("score", None)
    region["meta"] = {"dataset": kind}
    return region


def _dice(given: Sequence[Finding], back: Sequence[Finding]) -> float:
    """Dice coefficient of all masks together."""
    one, other = (union(found.mask for found in findings if found.mask) for findings in (given, back))
    return one.dice(other) if one and other else 0.0


def _refused(reason: str) -> InvalidRegion:
    return InvalidRegion(reason, code="tools")
