"""What the regions of an annotation mean: the findings on each image, and what of them was left out and why.

An empty interpretation is our word for "a person looked and saw none", so nothing may fall out on the way: a drawn
region of an unknown tool, label, image or shape refuses the whole annotation with a reason (`InvalidRegion`).

    outline, ellipse, closed vector, bitmask    one finding each
    brush region that a model sent              one finding, as long as nobody painted elsewhere with it
    brush region by hand                        every part is a finding, or belongs to the rectangle it meets
    rectangle                                   a finding, with the part of the hand-painted brush that it meets
    key point without a parent                  a finding of which only the place is known
    prompts, relations, attributes, choices     no findings
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from mammo.errors import InvalidRegion
from mammo.findings import CLUSTER, Finding
from mammo.geometry import Box, Point, Size
from mammo.labelstudio.brush_parts import is_crumb, reach, share_out
from mammo.labelstudio.cluster_regions import regions_of
from mammo.labelstudio.labeling_config import ControlTags
from mammo.labelstudio.older_prelabels import OlderPrelabel
from mammo.labelstudio.region_meta import (
    as_sent,
    finding_of,
    is_only_box,
    sent_box,
    sent_pixels,
    sent_prompts,
)
from mammo.labelstudio.regions import box_of, mask_of, point_of, score_of, shape_of, size_of
from mammo.masks import Mask, union


@dataclass(frozen=True, kw_only=True)
class Interpretation:
    """The findings on one image, and what was left out on purpose."""

    findings: tuple[Finding, ...]
    deleted: tuple[str, ...] = ()
    """Prelabelled findings of which a part was deleted and the rest left as it was: deleted whole."""

    drawn: int = 0
    """Cluster regions that the annotation holds on the image, those left out included."""

    crumbs: int = 0
    """Parts of masks too small to be seen or meant, left out."""

    crumb_pixels: int = 0
    """Their pixels together."""


def from_regions(result: Iterable[Mapping[str, Any]], *, tags: ControlTags) -> list[Finding]:
    """The findings on one image of an annotation; see `interpret`."""
    return list(interpret(result, tags=tags).findings)


def interpret(result: Iterable[Mapping[str, Any]], *, tags: ControlTags) -> Interpretation:
    """What an annotation says of one image: rectangles and outlines in their order, then parts of brush regions.

    Args:
        result: `annotation.result`, as Label Studio sends it; regions of the task's other images are passed over.
        tags: the project's controls and labels on this image.

    Raises:
        InvalidRegion: a region that may mean a cluster cannot be read; one such region spoils the annotation.
    """
    drawn = _Drawn(tags)
    regions = regions_of(result, tags)
    for region in regions:
        drawn.add(region)
    return replace(drawn.interpretation(), drawn=len(regions))


@dataclass(frozen=True)
class _Outline:
    """A region that holds pixels of one finding."""

    place: int
    """Among the regions, so that findings keep their order."""

    name: str
    mask: Mask
    region: Mapping[str, Any]

    @property
    def untouched(self) -> bool:
        return as_sent(self.region, self.mask)


@dataclass(frozen=True)
class _Rectangle:
    place: int
    name: str
    box: Box
    score: float
    prompts: tuple[Point, ...]
    by_hand: bool


class _Drawn:
    """The cluster regions of one image, in pixels."""

    def __init__(self, tags: ControlTags) -> None:
        self._tags = tags
        self._size: Size | None = None
        self._place = 0
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
        size = size_of(region)
        if self._size not in (None, size):
            raise InvalidRegion(f"the regions of one image state different image sizes: {self._size}, {size}")
        self._size = size
        self._place += 1
        name, shape, finding = str(region.get("id") or ""), shape_of(region), finding_of(region)
        if shape == "rectangle":
            self._rectangles.append(
                _Rectangle(
                    self._place,
                    name or f"box-{len(self._rectangles)}",
                    box_of(region),
                    score_of(region),
                    sent_prompts(region, size),
                    by_hand=finding is None,
                )
            )
        elif shape == "keypoint":
            parent = finding or (str(region["parentID"]) if region.get("parentID") else None)
            if parent is None:
                self._points.append((name or f"point-{len(self._points)}", point_of(region)))
            else:
                self._prompts.setdefault(parent, []).append(point_of(region))
        elif shape == "brush" and sent_pixels(region) is None:
            mask = mask_of(region)
            if self._older.takes(region):
                self._older.add_brush(region, mask)
            elif mask is not None:
                self._brush.append(mask)
        else:
            self._outline(region, name or f"outline-{len(self._outlines)}", shape)

    def _outline(self, region: Mapping[str, Any], name: str, shape: str) -> None:
        mask, sent = mask_of(region), sent_pixels(region)
        if mask is None and shape != "brush":
            raise InvalidRegion(
                f"an outline ({shape}) encloses no pixel: draw it again or delete it", code="no_area"
            )
        if mask is None:
            self._deleted.append(name)
            return
        if finding_of(region) not in (None, name):
            self._older.add_outline(region, mask)
            return
        if shape == "brush" and sent is not None and not as_sent(region, mask):
            self._repainted(region, name, mask, sent)
            return
        self._outlines.append(_Outline(self._place, name, mask, region))

    def _repainted(self, region: Mapping[str, Any], name: str, mask: Mask, sent: Sequence[int]) -> None:
        """A brush region that a model sent for one finding and a person changed."""
        assert self._size is not None
        near = reach(Box(*sent[:4]))
        parts = mask.components()
        own = [part for part in parts if part.within(near)]
        meant = [part for part in own if not is_crumb(part, sent[4], size=self._size)]
        if meant:
            self._outlines.append(_Outline(self._place, name, union(own) or mask, region))
        else:
            self._deleted.append(name)
            self._crumbs += own
        for part in parts:
            if part.within(near):
                continue
            if is_crumb(part, sent[4], size=self._size):
                self._crumbs.append(part)
            else:
                self._parts.append(_part(part))

    def interpretation(self) -> Interpretation:
        """Put together what belongs together."""
        size = self._size or Size(1, 1)
        boxes = [each.box for each in self._rectangles]
        older = self._older.assign(
            {each.name: each.box for each in self._rectangles},
            size=size,
            with_rectangles=self._tags.rectangle is not None,
        )
        placed: dict[int, Finding] = {}
        brush = [*self._brush, *older.changed]
        for outline in self._outlines:
            met = [each for each in self._rectangles if outline.mask.within(each.box)]
            if any(each.by_hand or not outline.untouched for each in met):
                brush.append(outline.mask)
            else:
                placed[outline.place] = self._finding(outline, size)
        shares = share_out(union(brush), boxes, size=size, erased=self._older.was_erased)
        for each, share in zip(self._rectangles, shares.masks, strict=True):
            placed[each.place] = Finding(
                label=CLUSTER,
                score=each.score,
                box=each.box,
                prompts=tuple(self._prompts.get(each.name, each.prompts)),
                mask=union(mask for mask in (share, older.masks.get(each.name)) if mask is not None),
                id=each.name,
            )
        rest = [_part(mask) for mask in shares.rest]
        found = [*(placed[place] for place in sorted(placed)), *self._parts, *rest]
        crumbs = [*self._crumbs, *shares.crumbs]
        return Interpretation(
            findings=(*found, *self._lone_points(found)),
            deleted=tuple(dict.fromkeys([*self._deleted, *older.deleted])),
            crumbs=len(crumbs),
            crumb_pixels=sum(each.area for each in crumbs),
        )

    def _finding(self, outline: _Outline, size: Size) -> Finding:
        region, mask = outline.region, outline.mask
        box, untouched = sent_box(region, size), outline.untouched
        only_box = untouched and is_only_box(region)
        return Finding(
            label=CLUSTER,
            score=score_of(region),
            box=box if box is not None and untouched else mask.box or mask.frame,
            prompts=sent_prompts(region, size) if untouched else (),
            mask=None if only_box else mask,
            id=outline.name,
        )

    def _lone_points(self, found: Sequence[Finding]) -> list[Finding]:
        """Points that lie in no finding: each says where one is, and not how large."""
        return [
            Finding(label=CLUSTER, score=1.0, box=Box(at.x, at.y, at.x + 1, at.y + 1), id=name, is_point=True)
            for name, at in self._points
            if not any(each.box.contains(at) for each in found)
        ]


def _part(mask: Mask) -> Finding:
    """A part of a hand-painted mask, as a finding of its own."""
    frame = mask.frame
    return Finding(label=CLUSTER, score=1.0, box=frame, mask=mask, id=f"part-{frame.x0}-{frame.y0}")
