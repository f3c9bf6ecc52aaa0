"""Validates a prompt and converts it from the image frame to the tokens of the network."""

from __future__ import annotations

from collections.abc import Sequence

from mammo.errors import InvalidPrompt
from mammo.geometry import Box, Point
from mammo.prompts import MAX_POINTS
from mammo.segmenter.network import BOTTOM_RIGHT, NEGATIVE, PADDING, POSITIVE, TOP_LEFT
from mammo.segmenter.roi import Roi, dilated


def allowed_region(
    roi: Roi, *, box: Box | None, points: Sequence[Point], negative: Sequence[Point], previous: bool = False
) -> Box:
    """Validate a prompt; return the part of the image that its mask may cover.

    Args:
        roi: the embedded region.
        box: the box of the prompt, in the image.
        points: positive points, in the image.
        negative: negative points, in the image.
        previous: whether the prompt refines an earlier answer, which is then sufficient by itself.

    Raises:
        InvalidPrompt: the prompt does not locate the lesion, has too many points, or lies outside the region.
    """
    crop = roi.crop
    if box is None and not points and not previous:
        raise InvalidPrompt(
            f"a prompt needs a box, a positive point or an earlier answer, got only {len(negative)} negative points; "
            "click the lesion first"
        )
    if len(points) + len(negative) > MAX_POINTS:
        raise InvalidPrompt(
            f"a prompt has at most {MAX_POINTS} points, got {len(points) + len(negative)}; send the latest ones, or "
            "a box",
            code="too_many_points",
        )
    for point in (*points, *negative):
        if not crop.contains(point):
            raise InvalidPrompt(
                f"point ({point.x}, {point.y}) lies outside the region {crop.as_tuple()}; embed a region that contains "
                "all points"
            )
    if box is None:
        return crop
    allowed = dilated(box).intersection(crop)
    if allowed is None:
        raise InvalidPrompt(
            f"box {box.as_tuple()} lies outside the region {crop.as_tuple()}; embed the region around that box"
        )
    return allowed


def prompt_tokens(
    roi: Roi, *, box: Box | None, points: Sequence[Point], negative: Sequence[Point]
) -> tuple[list[tuple[float, float]], list[int]]:
    """Convert a prompt to coordinates (continuous, input frame) and labels, in the order of SAM's training.

    The box is dilated and then clipped to the region: a tile may show only a part of it.
    """
    coordinates = [roi.point_to_input(point) for point in (*points, *negative)]
    labels = [POSITIVE] * len(points) + [NEGATIVE] * len(negative)
    if box is None:
        return [*coordinates, (0.0, 0.0)], [*labels, PADDING]
    clipped = dilated(box).intersection(roi.crop) or roi.crop
    corners = [roi.to_input(clipped.x0, clipped.y0), roi.to_input(clipped.x1, clipped.y1)]
    return [*coordinates, *corners], [*labels, TOP_LEFT, BOTTOM_RIGHT]
