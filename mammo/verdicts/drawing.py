"""Outlines and FROC curves as SVG: numbers and paths for the templates. Coordinates of outlines are image pixels."""

from __future__ import annotations

import math
from dataclasses import dataclass

from mammo.verdicts.record import Curve, Image, Picture, Shape

BARS_MM = (50, 20, 10, 5, 2, 1)
"""Lengths of a scale bar."""

BAR_SHARE = 0.3
"""Longest scale bar, as a share of the picture's width."""

WIDTH, HEIGHT, LEFT, TOP, RIGHT, BOTTOM = 640, 360, 56, 12, 624, 312
"""The FROC plot and its axes, in units of its SVG."""

TICKS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 4.0)


@dataclass(frozen=True)
class Bar:
    """A scale bar at the lower left of a picture."""

    x0: float
    x1: float
    y: float
    text: str


@dataclass(frozen=True)
class CurvePaths:
    """A FROC curve in the plot's coordinates."""

    line: str
    band: str


def outline(shape: Shape) -> str:
    """Return the outlines of a shape as an SVG path; its box, if there is no mask."""
    if not shape.parts:
        x0, y0, x1, y1 = shape.corners
        return f"M{x0} {y0}H{x1}V{y1}H{x0}Z"
    return "".join("M" + "L".join(f"{x + 0.5:g} {y + 0.5:g}" for x, y in part) + "Z" for part in shape.parts)


def scale_bar(image: Image, picture: Picture) -> Bar | None:
    """Return a scale bar; None without a pixel spacing, or if the picture is too small for one."""
    if image.spacing is None:
        return None
    x0, _, x1, y1 = picture.frame
    for length in BARS_MM:
        pixels = length / image.spacing[1]
        if pixels <= BAR_SHARE * (x1 - x0):
            left = x0 + 0.04 * (x1 - x0)
            return Bar(left, left + pixels, y1 - 0.04 * (x1 - x0), f"{length} mm")
    return None


def curve_paths(curve: Curve) -> CurvePaths:
    """Return a FROC curve and its band as SVG paths."""
    xs = [x_of(rate) for rate in curve.false_positives]

    def points(values: tuple[float, ...]) -> list[str]:
        return [f"{x:.1f} {y_of(value):.1f}" for x, value in zip(xs, values, strict=True)]

    band = [*points(curve.low), *reversed(points(curve.high))]
    # Between two points the sensitivity is that of the lower rate: a curve of steps.
    steps = "".join(f"H{x:.1f}V{y_of(value):.1f}" for x, value in zip(xs, curve.sensitivity, strict=True))
    return CurvePaths(f"M{xs[0]:.1f} {y_of(curve.sensitivity[0]):.1f}{steps}", "M" + "L".join(band) + "Z")


def x_of(rate: float) -> float:
    """Return the place of a rate of false positives on the logarithmic axis."""
    share = math.log(max(rate, TICKS[0]) / TICKS[0]) / math.log(TICKS[-1] / TICKS[0])
    return LEFT + share * (RIGHT - LEFT)


def y_of(sensitivity: float) -> float:
    """Return the place of a sensitivity on its axis."""
    return BOTTOM - sensitivity * (BOTTOM - TOP)
