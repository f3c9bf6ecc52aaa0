"""What the regions of an annotation state about their image, checked when an event is stored: nothing is decoded.

A brush stroke of a few kilobytes can state an image of any size, and whoever decodes it pays for that size. An event is
stored whatever it holds; a revision that no reader will read is marked with the code of the reason.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mammo.geometry import Size

MAX_POINTS = 20_000
"""Maximum number of vertices of a polygon region."""

MAX_COORDINATE = 1e6
"""Largest coordinate of a region, in percent."""

COORDINATES = ("x", "y", "width", "height", "radiusX", "radiusY", "rotation")


def problem_of(result: Sequence[Mapping[str, Any]], images: Mapping[str, Size]) -> str | None:
    """Return the code of why an annotation cannot be read; None if nothing was found, which does not mean that it can.

    Args:
        result: of the annotation.
        images: sizes of the task's images, by image key, as far as they are known.
    """
    # Which of several images a region lies on depends on the labeling config, which is not known here.
    only = images.get("") if len(images) == 1 else None
    return next((problem for region in result if (problem := _problem_of_region(region, only))), None)


def _problem_of_region(region: Mapping[str, Any], image: Size | None) -> str | None:
    width, height = region.get("original_width"), region.get("original_height")
    value = region.get("value")
    if type(width) is not int or type(height) is not int or not isinstance(value, Mapping):
        return None
    if not (width > 0 and height > 0):
        return "invalid_region"
    stated = Size(width, height)
    if not stated.is_plausible:
        return "too_large"
    if image not in (None, stated):
        return "other_size"
    if not _is_stream_of(value.get("rle"), stated) or not _are_points(value.get("points")):
        return "invalid_region"
    coordinates = all(_is_coordinate(value.get(key)) for key in COORDINATES)
    return None if coordinates else "invalid_region"


def _is_stream_of(rle: object, size: Size) -> bool:
    """Whether a brush RLE states the number of values of an image, four for each pixel; true for another value."""
    if (
        not isinstance(rle, list)
        or len(rle) < 4
        or not all(type(each) is int and 0 <= each < 256 for each in rle[:4])
    ):
        return True
    return int.from_bytes(bytes(rle[:4]), "big") == 4 * size.box.area


def _are_points(points: object) -> bool:
    if not isinstance(points, list):
        return True
    if len(points) > MAX_POINTS:
        return False
    return all(_is_coordinate(each) for point in points if isinstance(point, list) for each in point[:2])


def _is_coordinate(value: object) -> bool:
    """Whether a number lies in the range of coordinates; true for another value, which this module does not judge."""
    return not isinstance(value, int | float) or -MAX_COORDINATE <= value <= MAX_COORDINATE
