"""Findings to Label Studio regions and back, side by side: nowhere else do percent coordinates exist.

    finding  -> rectangle (its box) + key points (its prompts, children of the rectangle)
    findings -> one brush region with the pixels of all their masks, or polygons where the project has no brush
    findings -> the choice about the whole image, where the project asks for one
    a reason -> the note about the whole image: why there is no finding, where the project has a place for it

A full-field brush region costs an annotator's browser about three seconds a submit, so there is one per label and
never one per cluster. The way back gives every rectangle its part of the brush again; brush that belongs to no
rectangle is a finding of its own.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from mammo.errors import InvalidRegion
from mammo.findings import CLUSTER, Finding
from mammo.geometry import Box, Point, Size
from mammo.labelstudio import rle
from mammo.labelstudio.brush_parts import share_out
from mammo.labelstudio.labeling_config import ControlTags
from mammo.masks import Mask, union
from mammo.polygons import mask_polygons, polygon_mask

Region = dict[str, Any]

POINT_WIDTH = 0.3
"""Diameter of a drawn key point, in percent of the image's width."""

MAX_VERTICES = 20_000
"""Most corners of a polygon that is read."""

_WHOLE = 1e-3
"""A coordinate this near to a whole pixel, in pixels, is that pixel: percent is written with rounding."""


def to_regions(
    findings: Sequence[Finding], *, size: Size, tags: ControlTags, model_version: str, packed: bool = False
) -> list[Region]:
    """Regions of a prediction.

    Args:
        findings: with boxes and masks inside the image; an empty `id` gets a stable one.
        size: of the mammogram.
        tags: control tags of the project; a tool it does not have is left out.
        model_version: kept in every region's `meta`, since an accepted region forgets where it came from.
        packed: brush streams as arrays of bytes, for who writes JSON with orjson; else as lists.

    Raises:
        ValueError: two findings share an id, or a box or mask reaches out of the image.
    """
    named = [
        (finding.id or _digest(model_version, finding.box, i), finding) for i, finding in enumerate(findings)
    ]
    if len({name for name, _ in named}) != len(named):
        raise ValueError(f"findings of one prediction need different ids, got {[name for name, _ in named]}")
    regions: list[Region] = []
    masks = [finding.mask for finding in findings if finding.mask]
    if tags.brush and masks:
        whole = union(masks)
        regions.append(
            brush_region(
                whole,
                score=max(finding.score for finding in findings if finding.mask),
                size=size,
                tags=tags,
                meta={"model_version": model_version, "findings": [name for name, f in named if f.mask]},
                region_id=_digest(model_version, "mask"),
                packed=packed,
            )
        )
    for name, finding in named:
        meta: dict[str, Any] = {"model_version": model_version, "finding": name}
        parent = {}
        if tags.rectangle:
            parent = {"parentID": name}
            region = _region(
                "rectanglelabels", tags.rectangle, _box_value(finding.box, size), tags=tags, size=size
            )
            regions.append(region | {"id": name, "score": finding.score, "meta": meta})
        if tags.keypoint:
            for index, point in enumerate(finding.prompts):
                region = _region(
                    "keypointlabels", tags.keypoint, _point_value(point, size), tags=tags, size=size
                )
                extra = {"id": f"{name}-p{index}", "score": finding.score, "meta": meta} | parent
                regions.append(region | extra)
        if tags.outline and finding.mask:
            for index, points in enumerate(_outlines(finding.mask, size)):
                value = {"points": points, "closed": True}
                region = _region("polygonlabels", tags.outline, value, tags=tags, size=size)
                extra = {"id": f"{name}-o{index}", "score": finding.score, "meta": meta} | parent
                regions.append(region | extra)
    return regions + _choice(findings, tags=tags, model_version=model_version)


def _choice(findings: Sequence[Finding], *, tags: ControlTags, model_version: str) -> list[Region]:
    """What the findings say about the whole image; nothing where the project has no word for it."""
    said = tags.choice_found if findings else tags.choice_nothing
    if not tags.choices or said is None:
        return []
    return [
        {
            "id": _digest(model_version, "choice"),
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
            "id": _digest(model_version, "note"),
            "from_name": tags.note,
            "to_name": tags.image,
            "type": "textarea",
            "value": {"text": [f"The model could not look at this image ({reason})."]},
            "meta": {"model_version": model_version, "reason": reason},
        }
    ]


def _outlines(mask: Mask, size: Size) -> list[list[list[float]]]:
    """Corners of every part of a mask, in percent; a polygon of Label Studio has no holes, so they are filled."""
    return [
        [[100 * float(x) / size.width, 100 * float(y) / size.height] for x, y in polygon.vertices]
        for polygon in mask_polygons(mask)
        if not polygon.hole
    ]


def brush_region(
    mask: Mask | None,
    *,
    score: float,
    size: Size,
    tags: ControlTags,
    meta: Mapping[str, Any],
    region_id: str,
    packed: bool = False,
) -> Region:
    """One brush region; the project must have a brush control.

    Raises:
        ValueError: the mask reaches out of the image.
    """
    assert tags.brush is not None
    stream = rle.encode_bytes(mask, size=size) if packed else rle.encode(mask, size=size)
    value = {"format": "rle", "rle": stream}
    region = _region("brushlabels", tags.brush, value, tags=tags, size=size)
    return region | {"id": region_id, "score": score, "meta": dict(meta)}


def from_regions(result: Iterable[Mapping[str, Any]], *, tags: ControlTags) -> list[Finding]:
    """Findings that an annotation holds: rectangles in their order, then brush and outlines without a rectangle.

    Regions of prompt controls, other labels and relations are no findings. Two rectangles that overlap share the
    pixels in both. A brush part that leaves its rectangle a little still belongs to it whole.

    Args:
        result: `annotation.result`, as Label Studio sends it.
        tags: names the project's prompt controls and labels.

    Raises:
        InvalidRegion: a cluster region that cannot be read; one unreadable region spoils the annotation.
    """
    drawn = _Drawn()
    for region in result:
        if not isinstance(region, Mapping):
            raise InvalidRegion(f"a region is an object, got {type(region).__name__}")
        if region.get("from_name") not in tags.prompts:
            drawn.add(region, tags)
    boxes = [box for _, box, _ in drawn.boxes]
    shares, rest = share_out(union(drawn.masks), boxes)
    findings = [
        Finding(
            label=CLUSTER, score=score, box=box, prompts=tuple(drawn.points.get(name, ())), mask=mask, id=name
        )
        for (name, box, score), mask in zip(drawn.boxes, shares, strict=True)
    ]
    for mask in rest:
        frame = mask.frame
        findings.append(
            Finding(label=CLUSTER, score=1.0, box=frame, mask=mask, id=f"part-{frame.x0}-{frame.y0}")
        )
    return findings


@dataclass(frozen=True)
class _Drawn:
    """The cluster regions of one annotation, in pixels."""

    boxes: list[tuple[str, Box, float]] = field(default_factory=list)
    masks: list[Mask] = field(default_factory=list)
    points: dict[str, list[Point]] = field(default_factory=dict)
    sizes: set[Size] = field(default_factory=set)

    def add(self, region: Mapping[str, Any], tags: ControlTags) -> None:
        kind = region.get("type")
        if kind not in ("brushlabels", "rectanglelabels", "polygonlabels", "keypointlabels"):
            return
        if not is_cluster(region, tags=tags):
            return
        size = size_of(region)
        self.sizes.add(size)
        if len(self.sizes) > 1:
            raise InvalidRegion(
                f"the regions of one annotation state different image sizes: {sorted(map(str, self.sizes))}"
            )
        if kind == "brushlabels":
            self._paint(rle.decode(_value(region).get("rle", ()), size=size))
        elif kind == "polygonlabels":
            self._paint(_polygon_of(region, size))
        elif kind == "rectanglelabels":
            name = region.get("id")
            self.boxes.append((str(name or f"box-{len(self.boxes)}"), box_of(region), _score_of(region)))
        elif region.get("parentID"):
            self.points.setdefault(str(region["parentID"]), []).append(point_of(region))

    def _paint(self, mask: Mask | None) -> None:
        if mask:
            self.masks.append(mask)


def size_of(region: Mapping[str, Any]) -> Size:
    """Size of the image that a region was drawn on.

    Raises:
        InvalidRegion: not stated, not believable, or the image was rotated.
    """
    width, height = region.get("original_width"), region.get("original_height")
    if not (type(width) is int and type(height) is int and width > 0 and height > 0):
        raise InvalidRegion("a region must state original_width and original_height as whole pixels")
    if width * height > rle.MAX_PIXELS:
        raise InvalidRegion(f"an image of {width} x {height} pixels is larger than any mammogram")
    if region.get("image_rotation") not in (None, 0, 360):
        raise InvalidRegion(
            f"the image was rotated by {region['image_rotation']} degrees; rotate it back and save"
        )
    return Size(width, height)


def is_cluster(region: Mapping[str, Any], *, tags: ControlTags) -> bool:
    """Whether a region carries the project's cluster label, in any spelling of its case."""
    _value(region)
    return tags.is_cluster(region)


def box_of(region: Mapping[str, Any]) -> Box:
    """Pixels that a rectangle region covers, cut at the image's border; of a rotated one, its bounding box.

    Raises:
        InvalidRegion: missing or senseless numbers, or wholly outside the image.
    """
    size, value = size_of(region), _value(region)
    x, width = (_number(value, key) * size.width / 100 for key in ("x", "width"))
    y, height = (_number(value, key) * size.height / 100 for key in ("y", "height"))
    angle = math.radians(_number({"rotation": 0, **value}, "rotation"))
    cos, sin = math.cos(angle), math.sin(angle)  # clockwise around the top-left corner, in pixels
    corners = [(x + a * cos - b * sin, y + a * sin + b * cos) for a in (0, width) for b in (0, height)]
    xs, ys = zip(*corners, strict=True)
    box = Box.around(_snap(min(xs)), _snap(min(ys)), _snap(max(xs)), _snap(max(ys))).intersection(size.box)
    if box is None:
        raise InvalidRegion(f"a rectangle lies outside its image of {size.width} x {size.height} pixels")
    return box


def point_of(region: Mapping[str, Any]) -> Point:
    """The pixel under a key point, moved to the nearest one of the image.

    Raises:
        InvalidRegion: missing or senseless numbers.
    """
    size, value = size_of(region), _value(region)
    x = math.floor(_number(value, "x") * size.width / 100)
    y = math.floor(_number(value, "y") * size.height / 100)
    return Point(min(max(x, 0), size.width - 1), min(max(y, 0), size.height - 1))


def _polygon_of(region: Mapping[str, Any], size: Size) -> Mask | None:
    points = _value(region).get("points")
    if not isinstance(points, list) or not 3 <= len(points) <= MAX_VERTICES:
        raise InvalidRegion(f"a polygon has 3 to {MAX_VERTICES} points")
    corners = []
    for point in points:
        if not isinstance(point, list | tuple) or len(point) != 2:
            raise InvalidRegion("a point of a polygon is a pair of numbers")
        pair = {"x": point[0], "y": point[1]}
        corners.append((_number(pair, "x") * size.width / 100, _number(pair, "y") * size.height / 100))
    return polygon_mask(np.array(corners, np.float64), size=size)


def _region(kind: str, control: str, value: Mapping[str, Any], *, tags: ControlTags, size: Size) -> Region:
    return {
        "from_name": control,
        "to_name": tags.image,
        "type": kind,
        "original_width": size.width,
        "original_height": size.height,
        "image_rotation": 0,
        "value": {**value, kind: [tags.label_of(control)]},
    }


def _box_value(box: Box, size: Size) -> dict[str, float]:
    if box.intersection(size.box) != box:
        raise ValueError(f"box {box.as_tuple()} reaches out of {size.width} x {size.height} pixels")
    return {
        "x": 100 * box.x0 / size.width,
        "y": 100 * box.y0 / size.height,
        "width": 100 * box.width / size.width,
        "height": 100 * box.height / size.height,
        "rotation": 0,
    }


def _point_value(point: Point, size: Size) -> dict[str, float]:
    return {
        "x": 100 * (point.x + 0.5) / size.width,
        "y": 100 * (point.y + 0.5) / size.height,
        "width": POINT_WIDTH,
    }


def _value(region: Mapping[str, Any]) -> Mapping[str, Any]:
    value = region.get("value")
    if not isinstance(value, Mapping):
        raise InvalidRegion("a region without a value")
    return value


def _number(value: Mapping[str, Any], key: str) -> float:
    number = value.get(key)
    if isinstance(number, bool) or not isinstance(number, int | float) or not abs(number) <= 1e6:
        raise InvalidRegion(f"a region's {key} must be a number")
    return float(number)


def _score_of(region: Mapping[str, Any]) -> float:
    """What the model said of a region it made; 1 for what a person drew."""
    score = region.get("score")
    believable = isinstance(score, int | float) and not isinstance(score, bool) and 0.0 <= score <= 1.0
    return float(score) if believable and score is not None else 1.0


def _snap(coordinate: float) -> float:
    whole = round(coordinate)
    return float(whole) if abs(coordinate - whole) < _WHOLE else coordinate


def _digest(*parts: object) -> str:
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:10]
