"""DrawnFindings: the outlines on one image of a task, as the request of a click describes them.

Label Studio sends a task with the drafts, annotations and predictions of everybody, and does not say who clicked. So
what is on the screen is read from the newest draft, else from the newest annotation, else from the newest prediction;
where several people have one each, and theirs differ in a region, nothing tells which of them is on the screen.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mammo.errors import InvalidRegion
from mammo.geometry import Point, Size, Spacing
from mammo.labelstudio.cluster_regions import NOT_DRAWN, checked
from mammo.labelstudio.interpretation import MAX_REGIONS
from mammo.labelstudio.labeling_config import ControlTags
from mammo.labelstudio.regions import mask_of, shape_of, size_of
from mammo.masks import Mask, PixelBudget

NEAR_MM = 5.0
"""A click outside all outlines is about the nearest one within this distance, in mm."""

AREAS = frozenset({"polygon", "brush", "ellipse", "vector", "bitmask"})
"""Shapes that enclose pixels; rectangles and key points around or in a finding do not stand in the way of a click."""

CORRECTED = frozenset({"polygon", "brush"})
"""Shapes that a click corrects."""

SOURCES = ("drafts", "annotations", "predictions")

Result = Sequence[Mapping[str, Any]]


@dataclass(frozen=True, kw_only=True, eq=False)
class DrawnFinding:
    """One outline or brush region of a cluster, with the results that belong to it."""

    region: Mapping[str, Any]
    mask: Mask
    attributes: tuple[Mapping[str, Any], ...]
    """Results of controls about this region: choices, ratings, texts."""

    @property
    def id(self) -> str:
        return str(self.region["id"])

    def distance_mm(self, point: Point, spacing: Spacing) -> float:
        """Return the distance of a pixel from the mask in mm; 0 inside."""
        if self.mask.holds(point):
            return 0.0
        frame = self.mask.frame
        dx = max(frame.x0 - point.x, point.x - frame.x1 + 1, 0) * spacing.column_mm
        dy = max(frame.y0 - point.y, point.y - frame.y1 + 1, 0) * spacing.row_mm
        if math.hypot(dx, dy) > NEAR_MM:
            return math.inf
        rows, columns = np.nonzero(self.mask.bitmap)
        across = (columns + frame.x0 - point.x) * spacing.column_mm
        down = (rows + frame.y0 - point.y) * spacing.row_mm
        return float(np.hypot(across, down).min())


@dataclass(frozen=True, kw_only=True)
class DrawnFindings:
    """The outlines that a click can correct, and what stands in its way elsewhere."""

    findings: tuple[DrawnFinding, ...] = ()
    others: tuple[tuple[Mask, str], ...] = ()
    """Pixels of the other regions, with the reason why a click does not correct them."""

    problems: tuple[str, ...] = ()
    """Regions that cannot be read."""

    def at(self, point: Point, spacing: Spacing) -> DrawnFinding | None:
        """Return the smallest finding that holds a point, else the nearest within `NEAR_MM`; None: there is none."""
        distances = [(each.distance_mm(point, spacing), each.mask.area, each) for each in self.findings]
        near = [each for each in distances if each[0] <= NEAR_MM]
        return min(near, key=lambda each: each[:2])[2] if near else None

    def obstacle(self, point: Point) -> str | None:
        """Return why the region under a point cannot be corrected; None when there is none, or none that matters."""
        return next((reason for mask, reason in self.others if mask.holds(point)), None) or next(
            iter(self.problems), None
        )


def drawn_findings(task: Mapping[str, Any], *, tags: ControlTags, size: Size) -> DrawnFindings:
    """Return the outlines on one image.

    Args:
        task: with `drafts`, `annotations` and `predictions`, each a list of objects with a `result`; all untrusted.
        tags: control tags of the image.
        size: of the image.
    """
    results = list(_on_screen(task))
    regions = [_by_id(result, tags) for result in results]
    findings: list[DrawnFinding] = []
    others: list[tuple[Mask, str]] = []
    problems: list[str] = []
    budget = PixelBudget()
    for name in list(dict.fromkeys(name for each in regions for name in each))[:MAX_REGIONS]:
        versions = [each[name] for each in regions if name in each]
        region = versions[0]
        try:
            if size_of(region) != size:
                raise InvalidRegion("a region was drawn on an image of another size")
            mask = mask_of(region, budget=budget)
        except InvalidRegion as error:
            problems.append(f"a region of the image cannot be read ({error})")
            continue
        if mask is None:
            continue
        reason = _obstacle(region, results[0], tags)
        if len({repr(each.get("value")) for each in versions}) > 1 or len(versions) < len(regions):
            reason = "several people have drawn on this image, and the click does not say whose outline it is about"
        if reason:
            others.append((mask, reason))
        else:
            findings.append(_finding(region, mask, results[0], tags))
    return DrawnFindings(findings=tuple(findings), others=tuple(others), problems=tuple(problems))


def _on_screen(task: Mapping[str, Any]) -> Iterator[Result]:
    """Yield the newest result of every person, of the first source that has any; newest first."""
    for source in SOURCES:
        entries = task.get(source)
        known = [
            each
            for each in (entries if isinstance(entries, list) else [])
            if isinstance(each, Mapping) and isinstance(each.get("result"), list)
        ]
        if not known:
            continue
        known.sort(key=lambda each: str(each.get("updated_at") or each.get("created_at") or ""), reverse=True)
        newest: dict[str, Result] = {}
        for each in known:
            who = "" if source == "predictions" else str(each.get("user") or each.get("completed_by"))
            newest.setdefault(who, each["result"])
        yield from newest.values()
        return


def _by_id(result: Result, tags: ControlTags) -> dict[str, Mapping[str, Any]]:
    """Return the regions with pixels on the image by their id; what is no region is left out."""
    regions = {}
    for each in result:
        try:
            region = checked(each)
        except InvalidRegion:
            continue
        is_area = shape_of(region) in AREAS and region.get("from_name") not in tags.prompts
        if is_area and region.get("id") and tags.shows(region):
            regions[str(region["id"])] = region
    return regions


def _obstacle(region: Mapping[str, Any], result: Result, tags: ControlTags) -> str | None:
    labelled = region
    if not str(region.get("type")).endswith("labels"):
        labelled = next((each for each in _about(region, result) if each.get("type") == "labels"), {})
    if not tags.is_cluster(labelled):
        return f"the region under the click is not labelled {tags.label}"
    if shape_of(region) not in CORRECTED:
        return f"the region under the click is of the type {shape_of(region)}, which a click cannot correct"
    return None


def _finding(region: Mapping[str, Any], mask: Mask, result: Result, tags: ControlTags) -> DrawnFinding:
    return DrawnFinding(
        region=region,
        mask=mask,
        attributes=tuple(
            each
            for each in _about(region, result)
            if each.get("from_name") not in {region.get("from_name"), *tags.prompts}
            and each.get("type") in NOT_DRAWN
            and each.get("to_name") == region.get("to_name")
        ),
    )


def _about(region: Mapping[str, Any], result: Result) -> Iterator[Mapping[str, Any]]:
    """Yield the results with the id of a region, without the region itself."""
    for each in result:
        if isinstance(each, Mapping) and each is not region and each.get("id") == region["id"]:
            yield each
