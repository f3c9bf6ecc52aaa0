"""Interpretation: the findings that the regions of an annotation mean, image by image.

An interpretation without findings means that a person looked and saw none, so no region may be ignored: a drawn region
with an unsupported shape, or an unknown label or image, refuses the whole annotation (`InvalidRegion`).

    polygon, ellipse, closed vector, bitmask    one finding each
    predicted brush region                      one finding; parts painted outside its reach are findings of their own
    brush region by hand                        one finding per component, unless it intersects a rectangle
    rectangle                                   one finding, with the components of the drawn masks that it intersects
    key point without a parent                  one finding with a known position and an unknown extent
    words and comment of a region               those of the findings that have its pixels
    relation with a region of another view      the same lesion
    prompts, other relations and choices        no finding
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from mammo.errors import InvalidRegion
from mammo.findings import CLUSTER, Finding
from mammo.geometry import Box, Point, Size
from mammo.labelstudio.brush_parts import (
    MAX_FINDINGS,
    components_of,
    is_crumb,
    reach,
    share_out,
    too_many_findings,
)
from mammo.labelstudio.cluster_regions import regions_of, require_on_images
from mammo.labelstudio.descriptors import finding_descriptors
from mammo.labelstudio.labeling_config import ControlTags
from mammo.labelstudio.older_prelabels import OlderPrelabel
from mammo.labelstudio.region_meta import (
    is_box_only,
    is_untouched,
    predicted_box,
    predicted_finding,
    predicted_pixels,
    predicted_prompts,
)
from mammo.labelstudio.region_words import Extent, described_findings
from mammo.labelstudio.regions import box_of, mask_of, other_size, point_of, score_of, shape_of, size_of
from mammo.labelstudio.relations import lesions_of
from mammo.masks import Mask, PixelBudget, union
from mammo.masks.budget import EDGE

MAX_REGIONS = 2000
"""Maximum number of cluster regions of an annotation on one image."""


@dataclass(frozen=True, kw_only=True)
class Interpretation:
    """The findings on one image, and the region parts that were left out."""

    findings: tuple[Finding, ...]
    deleted: tuple[str, ...] = ()
    """Ids of predicted findings that were deleted in part; they count as deleted."""

    drawn: int = 0
    """Number of cluster regions on the image, including those without a finding."""

    crumbs: int = 0
    """Number of mask parts that were left out because nobody painted them on purpose."""

    crumb_pixels: int = 0
    """Total number of pixels of the crumbs."""


def from_regions(
    result: Iterable[Mapping[str, Any]],
    *,
    tags: ControlTags,
    size: Size | None = None,
    budget: PixelBudget | None = None,
) -> list[Finding]:
    """Return the findings on one image of an annotation; see `interpret`."""
    return list(interpret(result, tags=tags, size=size, budget=budget).findings)


def interpret(
    result: Iterable[Mapping[str, Any]],
    *,
    tags: ControlTags,
    size: Size | None = None,
    budget: PixelBudget | None = None,
) -> Interpretation:
    """Interpret an annotation's regions on one image.

    Args:
        result: `annotation.result` as Label Studio sends it; regions on other images of the task are skipped.
        tags: control tags of the image.
        size: of the image, if it is known: regions that state another one are refused before they are decoded.
        budget: of the annotation, shared by its images; None: a new one.

    Returns:
        The findings: rectangles and outlines in the order of their regions, parts of brush regions, key points.

    Raises:
        InvalidRegion: a region that may mean a cluster cannot be read. One such region refuses the annotation.
    """
    clusters = _ClusterRegions(tags, size, budget or PixelBudget())
    result = list(result)
    regions = regions_of(result, tags)
    if len(regions) > MAX_REGIONS:
        raise InvalidRegion(
            f"expected at most {MAX_REGIONS} regions on an image, got {len(regions)}",
            code="too_many_findings",
        )
    for region in regions:
        clusters.add(region)
    interpretation = clusters.interpretation()
    words = finding_descriptors(result, tags, ids={str(region.get("id")) for region in regions})
    lesions = lesions_of(result)
    findings = tuple(
        replace(each, lesion=lesions.get(each.id, ""))
        for each in described_findings(
            interpretation.findings, words, clusters.extents, budget=clusters.budget
        )
    )
    return replace(interpretation, findings=findings, drawn=len(regions))


def interpret_images(
    result: Iterable[Mapping[str, Any]],
    *,
    tags: ControlTags,
    data: Mapping[str, Any],
    sizes: Mapping[str, Size],
) -> Iterator[tuple[ControlTags, Interpretation]]:
    """Interpret an annotation, image by image.

    Args:
        tags: control tags of the project.
        data: task data.
        sizes: of the task's images, by image key, as far as they are known; see `interpret`.

    Returns:
        The tags and the interpretation of every image that the task shows.

    Raises:
        InvalidRegion: see `interpret`; or a region lies on an image that the task does not show.
    """
    budget = PixelBudget()
    for on_image in require_on_images(result, tags=tags, data=data):
        yield on_image, interpret(result, tags=on_image, size=sizes.get(on_image.image_key), budget=budget)


@dataclass(frozen=True)
class _Outline:
    """A region with the pixels of one finding."""

    index: int
    """Among the cluster regions of the image; findings keep this order."""

    name: str
    mask: Mask
    region: Mapping[str, Any]

    @property
    def untouched(self) -> bool:
        return is_untouched(self.region, self.mask)


@dataclass(frozen=True)
class _Rectangle:
    index: int
    name: str
    box: Box
    score: float
    prompts: tuple[Point, ...]
    by_hand: bool


class _ClusterRegions:
    """The cluster regions of one image, in pixels."""

    def __init__(self, tags: ControlTags, size: Size | None, budget: PixelBudget) -> None:
        self._tags = tags
        self._image_size = size
        self.budget = budget
        self.extents: list[tuple[str, Extent]] = []
        """(region id, what was drawn) of all but rectangles, which are findings of their own."""

        self._size: Size | None = None
        self._index = 0
        self._outlines: list[_Outline] = []
        self._rectangles: list[_Rectangle] = []
        self._points: list[tuple[str, Point]] = []
        self._prompts: dict[str, list[Point]] = {}
        self._brush: list[Mask] = []
        self._parts: list[Finding] = []
        self._crumbs: list[Mask] = []
        self._deleted: list[str] = []
        self._older = OlderPrelabel()

    def add(self, region: Mapping[str, Any]) -> None:
        """Add a cluster region.

        Raises:
            InvalidRegion: it cannot be read, or states another image size than the others.
        """
        size = size_of(region)
        if self._image_size is not None and size != self._image_size:
            raise other_size(self._image_size)
        if self._size not in (None, size):
            raise InvalidRegion(
                f"the regions of one image state different image sizes, {self._size} and {size}; draw them again"
            )
        self._size = size
        self._index += 1
        name, shape = str(region.get("id") or ""), shape_of(region)
        if shape == "rectangle":
            self._add_rectangle(region, name, size)
        elif shape == "keypoint":
            self._add_point(region, name)
        elif shape == "brush" and predicted_pixels(region) is None:
            mask = mask_of(region, budget=self.budget)
            if mask is not None:
                self.extents.append((name, mask))
            if self._older.includes(region):
                self._older.add_brush(region, mask)
            elif mask is not None:
                self._brush.append(mask)
        else:
            self._add_outline(region, name or f"outline-{len(self._outlines)}", shape)

    def _add_rectangle(self, region: Mapping[str, Any], name: str, size: Size) -> None:
        rectangle = _Rectangle(
            self._index,
            name or f"box-{len(self._rectangles)}",
            box_of(region),
            score_of(region),
            predicted_prompts(region, size),
            by_hand=predicted_finding(region) is None,
        )
        self._rectangles.append(rectangle)

    def _add_point(self, region: Mapping[str, Any], name: str) -> None:
        parent = predicted_finding(region) or (str(region["parentID"]) if region.get("parentID") else None)
        if parent is None:
            point = point_of(region)
            self.extents.append((name, point))
            self._points.append((name or f"point-{len(self._points)}", point))
        else:
            self._prompts.setdefault(parent, []).append(point_of(region))

    def _add_outline(self, region: Mapping[str, Any], name: str, shape: str) -> None:
        mask, predicted = mask_of(region, budget=self.budget), predicted_pixels(region)
        if mask is not None:
            self.extents.append((name, mask))
        if mask is None and shape != "brush":
            raise InvalidRegion(
                f"an outline ({shape}) encloses no pixel; draw it again or delete it", code="no_area"
            )
        if mask is None:
            self._deleted.append(name)
        elif predicted_finding(region) not in (None, name):
            self._older.add_outline(region, mask)
        elif shape == "brush" and predicted is not None and not is_untouched(region, mask):
            self._add_repainted(region, name, mask, predicted)
        else:
            self._outlines.append(_Outline(self._index, name, mask, region))

    def _add_repainted(
        self, region: Mapping[str, Any], name: str, mask: Mask, predicted: Sequence[int]
    ) -> None:
        """Add a brush region that was predicted for one finding and then changed by a person.

        Args:
            region: the region.
            name: of the finding.
            mask: its pixels now.
            predicted: frame and area of the predicted pixels.
        """
        assert self._size is not None
        near, area = reach(Box(*predicted[:4])), predicted[4]
        parts = components_of(mask)
        own = [part for part in parts if part.within(near)]
        if all(is_crumb(part, area, size=self._size) for part in own):
            self._deleted.append(name)
            self._crumbs += own
        else:
            self._outlines.append(_Outline(self._index, name, union(own) or mask, region))
        for part in parts:
            if part.within(near):
                continue
            if is_crumb(part, area, size=self._size):
                self._crumbs.append(part)
            else:
                self._parts.append(_part_finding(part))

    def interpretation(self) -> Interpretation:
        """Combine the regions into findings."""
        size = self._size or Size(1, 1)
        older = self._older.assign(
            {each.name: each.box for each in self._rectangles},
            size=size,
            with_rectangles=self._tags.rectangle is not None,
        )
        by_index: dict[int, Finding] = {}
        brush = [*self._brush, *older.changed]
        for outline in self._outlines:
            intersecting = [each for each in self._rectangles if outline.mask.within(each.box)]
            if any(each.by_hand or not outline.untouched for each in intersecting):
                brush.append(outline.mask)
            else:
                by_index[outline.index] = _outline_finding(outline, size)
        boxes = [each.box for each in self._rectangles]
        shares = share_out(union(brush), boxes, size=size, erased=self._older.was_changed)
        for rectangle, share in zip(self._rectangles, shares.masks, strict=True):
            masks = (share, older.masks.get(rectangle.name))
            by_index[rectangle.index] = Finding(
                label=CLUSTER,
                score=rectangle.score,
                box=rectangle.box,
                prompts=tuple(self._prompts.get(rectangle.name, rectangle.prompts)),
                mask=union(mask for mask in masks if mask is not None),
                id=rectangle.name,
            )
        rest = [_part_finding(mask) for mask in shares.rest]
        findings = [*(by_index[index] for index in sorted(by_index)), *self._parts, *rest]
        crumbs = [*self._crumbs, *shares.crumbs]
        findings += self._point_findings(findings)
        if len(findings) > MAX_FINDINGS:
            raise too_many_findings()
        self.budget.spend(EDGE * sum(each.mask.num_edges for each in findings if each.mask is not None))
        return Interpretation(
            findings=tuple(findings),
            deleted=tuple(dict.fromkeys([*self._deleted, *older.deleted])),
            crumbs=len(crumbs),
            crumb_pixels=sum(each.area for each in crumbs),
        )

    def _point_findings(self, findings: Sequence[Finding]) -> list[Finding]:
        """Return a finding for each key point outside all other findings."""
        return [
            Finding(label=CLUSTER, score=1.0, box=Box(at.x, at.y, at.x + 1, at.y + 1), id=name, is_point=True)
            for name, at in self._points
            if not any(each.box.contains(at) for each in findings)
        ]


def _outline_finding(outline: _Outline, size: Size) -> Finding:
    """Return the finding of an outline; box and prompts of the prediction are valid while it is untouched."""
    region, mask, untouched = outline.region, outline.mask, outline.untouched
    box = predicted_box(region, size) if untouched else None
    return Finding(
        label=CLUSTER,
        score=score_of(region),
        box=box or mask.box or mask.frame,
        prompts=predicted_prompts(region, size) if untouched else (),
        mask=None if untouched and is_box_only(region) else mask,
        id=outline.name,
    )


def _part_finding(mask: Mask) -> Finding:
    """Return a component of a hand-painted mask as a finding."""
    frame = mask.frame
    return Finding(label=CLUSTER, score=1.0, box=frame, mask=mask, id=f"part-{frame.x0}-{frame.y0}")
