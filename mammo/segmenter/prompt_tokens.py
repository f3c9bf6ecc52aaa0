"""A prompt in the image frame becomes the tokens that the network reads; prompts that make no sense are refused."""

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
    """Where in the image the mask of a prompt may lie.

    Args:
        previous: an earlier answer's logits are part of the prompt, and may be all of it.

    Raises:
        InvalidPrompt: nothing that says where the lesion is, too many points, or a prompt outside the region.
    """
    crop = roi.crop
    if box is None and not points and not previous:
        raise InvalidPrompt(
            f"a prompt needs a box, a positive point or an earlier answer, got {len(negative)} negative points only; "
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
                f"point ({point.x}, {point.y}) lies outside the region {crop.as_tuple()}; embed a region that holds "
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
    """Coordinates (continuous, input frame) and labels of a prompt, in the order that SAM was trained with.

    The box is dilated first and then cut at the region's border, where a tile shows only a part of it.
    """
    coordinates = [roi.point_to_input(point) for point in (*points, *negative)]
    labels = [POSITIVE] * len(points) + [NEGATIVE] * len(negative)
    if box is None:
        return [*coordinates, (0.0, 0.0)], [*labels, PADDING]
    grown = dilated(box).intersection(roi.crop) or roi.crop
    corners = [roi.to_input(grown.x0, grown.y0), roi.to_input(grown.x1, grown.y1)]
    return [*coordinates, *corners], [*labels, TOP_LEFT, BOTTOM_RIGHT]
