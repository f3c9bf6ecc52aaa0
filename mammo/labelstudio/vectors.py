"""Vector regions of Label Studio: a closed path of straight lines and cubic Bezier curves."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from mammo.errors import InvalidRegion

Vertices = npt.NDArray[np.float64]

MAX_ANCHORS = 2_000
"""Most anchors of a vector that is read."""

CURVE_POINTS = 16
"""Straight pieces that a curve between two anchors becomes."""

HANDLE = 0.3
"""Where Label Studio places a missing handle: this far along the straight line from its anchor."""


def outline(value: Mapping[str, Any]) -> Vertices:
    """The corners of a closed vector, N x 2, in the units of its anchors.

    Raises:
        InvalidRegion: open, branching, or senseless numbers.
    """
    anchors = value.get("vertices")
    if not isinstance(anchors, list) or not 3 <= len(anchors) <= MAX_ANCHORS:
        raise InvalidRegion(f"a vector that encloses something has 3 to {MAX_ANCHORS} anchors")
    if value.get("closed") is not True:
        raise InvalidRegion(
            "an open vector encloses nothing: close it, or draw an outline", code="open_vector"
        )
    _require_one_path(anchors)
    pieces = []
    for start, end in zip(anchors, [*anchors[1:], anchors[0]], strict=True):
        pieces.append(_curve(start, end) if _is_curve(start, end) else _point(start)[None])
    return np.concatenate(pieces)


def _require_one_path(anchors: list[Any]) -> None:
    """Each anchor follows the one before it."""
    before = None
    for anchor in anchors:
        if not isinstance(anchor, Mapping):
            raise InvalidRegion("an anchor of a vector is an object")
        told = anchor.get("prevPointId")
        if before is not None and told is not None and told != before:
            raise InvalidRegion("a vector that branches has no outline: draw one", code="branching_vector")
        before = anchor.get("id")


def _is_curve(start: Mapping[str, Any], end: Mapping[str, Any]) -> bool:
    return _handle(start, "controlPoint2") is not None or _handle(end, "controlPoint1") is not None


def _curve(start: Mapping[str, Any], end: Mapping[str, Any]) -> Vertices:
    """A cubic Bezier curve without its end: (1-t)^3 a + 3 (1-t)^2 t b + 3 (1-t) t^2 c + t^3 d."""
    a, d = _point(start), _point(end)
    leaving, arriving = _handle(start, "controlPoint2"), _handle(end, "controlPoint1")
    b = a + HANDLE * (d - a) if leaving is None else leaving
    c = d - HANDLE * (d - a) if arriving is None else arriving
    t = np.linspace(0, 1, CURVE_POINTS, endpoint=False)[:, None]
    curve: Vertices = (1 - t) ** 3 * a + 3 * (1 - t) ** 2 * t * b + 3 * (1 - t) * t**2 * c + t**3 * d
    return curve


def _handle(anchor: Mapping[str, Any], name: str) -> Vertices | None:
    handle = anchor.get(name)
    return _point(handle) if anchor.get("isBezier") is True and isinstance(handle, Mapping) else None


def _point(anchor: Mapping[str, Any]) -> Vertices:
    pair = [anchor.get("x"), anchor.get("y")]
    for each in pair:
        if isinstance(each, bool) or not isinstance(each, int | float) or not abs(each) <= 1e6:
            raise InvalidRegion("an anchor of a vector is a pair of numbers")
    return np.array(pair, np.float64)
