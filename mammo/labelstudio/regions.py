"""Conversion between one region and its pixels. Percent coordinates exist only in this module.

`mammo.labelstudio.interpretation` reads the findings of a whole annotation, `mammo.labelstudio.rendering` draws them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from mammo.annotations.stated_sizes import MAX_COORDINATE, MAX_POINTS
from mammo.errors import InvalidRegion
from mammo.geometry import Box, Point, Size
from mammo.labelstudio import rle, vectors
from mammo.labelstudio.bitmask import bitmask_pixels
from mammo.labelstudio.brush_parts import CRUMB
from mammo.labelstudio.labeling_config import ControlTags
from mammo.lenient_json import shown
from mammo.masks import Mask, PixelBudget
from mammo.masks.outlines import FINE_IOU, MIN_IOU, TARGET_VERTICES, mask_outline
from mammo.masks.polygons import polygon_mask

Region = dict[str, Any]
"""A region as Label Studio's JSON represents it: one element of `result`."""

POINT_WIDTH = 0.3
"""Diameter of a drawn key point, in percent of the image's width."""

ELLIPSE_VERTICES = 180
"""Vertices of the polygon that approximates an ellipse; its area is 0.02 % too small."""

_SNAP = 1e-3
"""Distance in pixels within which a rectangle's side is moved to the pixel edge, because percent values are rounded."""

_DECIMALS = 6
"""Decimal places of a polygon's vertices, in pixels."""


@dataclass(frozen=True, kw_only=True)
class OutlineForm:
    """Parameters of `mammo.masks.outlines.mask_outline`."""

    min_part: float
    min_iou: float
    target_vertices: int | None


EDITABLE = OutlineForm(min_part=CRUMB, min_iou=MIN_IOU, target_vertices=TARGET_VERTICES)
"""Few vertices and no crumbs, for a prelabel that a person corrects."""

COMPLETE = OutlineForm(min_part=0.0, min_iou=MIN_IOU, target_vertices=TARGET_VERTICES)
"""Few vertices and every component, for the answer to a click."""

FINE = OutlineForm(min_part=0.0, min_iou=FINE_IOU, target_vertices=None)
"""More vertices, for an answer whose simpler outline contradicts a click."""

EXACT = OutlineForm(min_part=0.0, min_iou=1.0, target_vertices=None)
"""Along the pixel edges, for annotations by people."""


def rectangle_region(box: Box, *, size: Size, tags: ControlTags) -> Region:
    """Return a rectangle region. The project must have a rectangle control.

    Raises:
        ValueError: the box extends beyond the image.
    """
    assert tags.rectangle is not None
    return _region("rectanglelabels", tags.rectangle, _box_value(box, size), tags=tags, size=size)


def point_region(pixel: Box, *, size: Size, tags: ControlTags) -> Region:
    """Return a key point region at the centre of a one-pixel box. The project must have a key point control."""
    assert tags.keypoint is not None
    return _region("keypointlabels", tags.keypoint, _point_value(pixel, size), tags=tags, size=size)


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
    """Return a brush region. The project must have a brush control.

    Args:
        mask: its pixels; None for an empty region.
        score: in [0, 1].
        size: of the image.
        tags: control tags of the image.
        meta: the region's `meta`.
        region_id: the region's `id`.
        packed: return the brush RLE as a uint8 array (for orjson) instead of a list.

    Raises:
        ValueError: the mask extends beyond the image.
    """
    assert tags.brush is not None
    encoded = rle.encode_bytes(mask, size=size) if packed else rle.encode(mask, size=size)
    value = {"format": "rle", "rle": encoded}
    region = _region("brushlabels", tags.brush, value, tags=tags, size=size)
    return region | {"id": region_id, "score": score, "meta": dict(meta)}


def polygon_region(
    mask: Mask,
    *,
    score: float,
    size: Size,
    tags: ControlTags,
    meta: Mapping[str, Any],
    region_id: str,
    form: OutlineForm,
) -> Region:
    """Return a polygon region. The project must have a polygon control.

    Args:
        mask: its pixels.
        score: in [0, 1].
        size: of the image.
        tags: control tags of the image.
        meta: the region's `meta`.
        region_id: the region's `id`.
        form: how the outline is drawn.

    Raises:
        ValueError: the mask is empty or extends beyond the image.
    """
    assert tags.polygon is not None
    if mask.within(size.box) is None or mask.frame.intersection(size.box) != mask.frame:
        raise ValueError(
            f"expected a mask inside {size.width} x {size.height} pixels, got one at {mask.frame.as_tuple()}"
        )
    vertices = mask_outline(
        mask,
        size=size,
        min_part=form.min_part,
        min_iou=form.min_iou,
        target_vertices=form.target_vertices,
    )
    points = [[100 * float(x) / size.width, 100 * float(y) / size.height] for x, y in vertices]
    value = {"points": points, "closed": True}
    region = _region("polygonlabels", tags.polygon, value, tags=tags, size=size)
    return region | {"id": region_id, "score": score, "meta": dict(meta)}


def size_of(region: Mapping[str, Any]) -> Size:
    """Return the size of the image on which a region was drawn.

    Raises:
        InvalidRegion: the size is missing or implausible, or the image was rotated.
    """
    width, height = region.get("original_width"), region.get("original_height")
    if not (type(width) is int and type(height) is int and width > 0 and height > 0):
        raise InvalidRegion(
            "expected a region with original_width and original_height in whole pixels; draw it again"
        )
    if not Size(width, height).is_plausible:
        raise InvalidRegion(
            f"an image of {width} x {height} pixels is larger than any mammogram", code="too_large"
        )
    if region.get("image_rotation") not in (None, 0, 360):
        raise InvalidRegion(
            f"the image was rotated by {shown(region['image_rotation'])} degrees; rotate it back and save"
        )
    return Size(width, height)


def other_size(actual: Size) -> InvalidRegion:
    """Return the error of a region that was drawn on an image of another size than the task's."""
    # Part of manifests, see `training.datasets.sources.Excluded.reason`.
    return InvalidRegion(
        f"drawn on an image of another size than its {actual.width} x {actual.height}", code="other_size"
    )


def box_of(region: Mapping[str, Any]) -> Box:
    """Return the box of a rectangle region, clipped to the image; of a rotated rectangle, its bounding box.

    Raises:
        InvalidRegion: a coordinate is missing or invalid, or the rectangle is empty or outside the image.
    """
    size, value = size_of(region), value_of(region)
    x, width = (number(value, key) * size.width / 100 for key in ("x", "width"))
    y, height = (number(value, key) * size.height / 100 for key in ("y", "height"))
    if not (width > 0 and height > 0):
        raise InvalidRegion(
            "a rectangle without area shows nothing: draw it again or delete it", code="no_area"
        )
    angle = math.radians(number({"rotation": 0, **value}, "rotation"))
    cos, sin = math.cos(angle), math.sin(angle)  # clockwise around the top-left corner, in pixels
    corners = [(x + a * cos - b * sin, y + a * sin + b * cos) for a in (0, width) for b in (0, height)]
    xs, ys = zip(*corners, strict=True)
    box = Box.around(_snap(min(xs)), _snap(min(ys)), _snap(max(xs)), _snap(max(ys))).intersection(size.box)
    if box is None:
        raise InvalidRegion(f"a rectangle lies outside its image of {size.width} x {size.height} pixels")
    return box


def point_of(region: Mapping[str, Any]) -> Point:
    """Return the pixel of a key point region, clamped to the image.

    Raises:
        InvalidRegion: a coordinate is missing or invalid.
    """
    size, value = size_of(region), value_of(region)
    x = math.floor(number(value, "x") * size.width / 100)
    y = math.floor(number(value, "y") * size.height / 100)
    return Point(min(max(x, 0), size.width - 1), min(max(y, 0), size.height - 1))


def mask_of(region: Mapping[str, Any], *, budget: PixelBudget | None = None) -> Mask | None:
    """Return the mask of a brush, polygon, ellipse, vector or bitmask region; None when it covers no pixel.

    Args:
        budget: what its pixels are counted in, before they are decoded; None: a region of this service.

    Raises:
        InvalidRegion: the region is invalid, or of another kind; or the budget is spent.
    """
    size, value, kind = size_of(region), value_of(region), shape_of(region)
    if kind == "brush":
        return rle.decode(value.get("rle", ()), size=size, budget=budget)
    if kind == "bitmask":
        if budget is not None:
            budget.spend(size.box.area)
        return Mask.from_full(bitmask_pixels(value.get("imageDataURL"), size=size))
    if kind == "polygon":
        corners = _corners(value.get("points"))
    elif kind == "ellipse":
        corners = _ellipse(value, size)
        return polygon_mask(corners, size=size, budget=budget)
    elif kind == "vector":
        corners = vectors.outline(value)
    else:
        raise InvalidRegion(
            f"expected a brush, polygon, ellipse, vector or bitmask region, got a {kind} region",
            code="unknown_tool",
        )
    # Vertices through pixel centres decide whether a pixel is set, so the rounding of percent values is undone.
    vertices = np.round(corners * (size.width / 100, size.height / 100), _DECIMALS)
    return polygon_mask(vertices, size=size, budget=budget)


def shape_of(region: Mapping[str, Any]) -> str:
    """Return the shape of a region from its `type`, for example `rectangle` for `rectanglelabels` and `rectangle`."""
    return str(region.get("type")).removesuffix("labels")


def _corners(points: object) -> vectors.Vertices:
    """Return the vertices of a polygon, N x 2, in percent."""
    if not isinstance(points, list) or not 3 <= len(points) <= MAX_POINTS:
        raise InvalidRegion(f"expected a polygon of 3 to {MAX_POINTS} points; draw it again or delete it")
    corners = []
    for point in points:
        if not isinstance(point, list | tuple) or len(point) != 2:
            raise InvalidRegion("expected every point of a polygon to be a pair of numbers; draw it again")
        corners.append([number({"x": each}, "x") for each in point])
    return np.array(corners, np.float64)


def _ellipse(value: Mapping[str, Any], size: Size) -> vectors.Vertices:
    """Return the vertices of an ellipse, N x 2, in pixels. It is rotated clockwise around its centre."""
    x, y = (number(value, key) * side / 100 for key, side in (("x", size.width), ("y", size.height)))
    a = number(value, "radiusX") * size.width / 100
    b = number(value, "radiusY") * size.height / 100
    if not (a > 0 and b > 0):
        raise InvalidRegion(
            "an ellipse without area shows nothing: draw it again or delete it", code="no_area"
        )
    angle = math.radians(number({"rotation": 0, **value}, "rotation"))
    turn = np.linspace(0, 2 * np.pi, ELLIPSE_VERTICES, endpoint=False)
    across, down = a * np.cos(turn), b * np.sin(turn)
    cos, sin = math.cos(angle), math.sin(angle)
    return np.stack([x + across * cos - down * sin, y + across * sin + down * cos], axis=1)


def _region(kind: str, control: str, value: Mapping[str, Any], *, tags: ControlTags, size: Size) -> Region:
    page = {} if tags.page is None else {"item_index": tags.page}
    return page | {
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
        raise ValueError(
            f"expected a box inside {size.width} x {size.height} pixels, got box {box.as_tuple()}"
        )
    return {
        "x": 100 * box.x0 / size.width,
        "y": 100 * box.y0 / size.height,
        "width": 100 * box.width / size.width,
        "height": 100 * box.height / size.height,
        "rotation": 0,
    }


def _point_value(box: Box, size: Size) -> dict[str, float]:
    x, y = box.centre
    return {
        "x": 100 * x / size.width,
        "y": 100 * y / size.height,
        "width": POINT_WIDTH,
    }


def value_of(region: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the `value` of a region.

    Raises:
        InvalidRegion: it is missing or not an object.
    """
    value = region.get("value")
    if not isinstance(value, Mapping):
        raise InvalidRegion("a region has no value; draw it again or delete it")
    return value


def number(value: Mapping[str, Any], key: str) -> float:
    """Return a number of a region's value.

    Raises:
        InvalidRegion: it is missing, not a number, or larger than `MAX_COORDINATE`.
    """
    number = value.get(key)
    if isinstance(number, bool) or not isinstance(number, int | float) or not abs(number) <= MAX_COORDINATE:
        raise InvalidRegion(f"expected a number as a region's {key}; draw the region again or delete it")
    return float(number)


def score_of(region: Mapping[str, Any]) -> float:
    """Return the score of a predicted region, in [0, 1]; 1 for a region that a person drew."""
    score = region.get("score")
    valid = isinstance(score, int | float) and not isinstance(score, bool) and 0.0 <= score <= 1.0
    return float(score) if valid and score is not None else 1.0


def _snap(coordinate: float) -> float:
    whole = round(coordinate)
    return float(whole) if abs(coordinate - whole) < _SNAP else coordinate
