"""Vector regions of Label Studio: closed paths of straight lines and cubic Bézier curves."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from mammo.errors import InvalidRegion

Vertices = npt.NDArray[np.float64]

MAX_ANCHORS = 2_000
"""Maximum number of anchors of a vector region."""

CURVE_POINTS = 16
"""Line segments per curve between two anchors."""

HANDLE = 0.3
"""Position of a missing handle in Label Studio, as a share of the line from its anchor to the other anchor."""


def outline(value: Mapping[str, Any]) -> Vertices:
    """Return the vertices of a closed vector, N x 2, in the unit of its anchors.

    Raises:
        InvalidRegion: the vector is open or branches, or a coordinate is invalid.
    """
    anchors = value.get("vertices")
    if not isinstance(anchors, list) or not 3 <= len(anchors) <= MAX_ANCHORS:
        raise InvalidRegion(f"expected a vector of 3 to {MAX_ANCHORS} anchors; draw it again or delete it")
    if value.get("closed") is not True:
        raise InvalidRegion(
            "an open vector encloses no pixels; close it, or draw an outline", code="open_vector"
        )
    _require_one_path(anchors)
    segments = []
    for start, end in zip(anchors, [*anchors[1:], anchors[0]], strict=True):
        segments.append(_curve(start, end) if _is_curve(start, end) else _point(start)[None])
    return np.concatenate(segments)


def _require_one_path(anchors: list[Any]) -> None:
    """Refuse a vector in which an anchor does not follow the one before it."""
    previous_id = None
    for anchor in anchors:
        if not isinstance(anchor, Mapping):
            raise InvalidRegion("expected every anchor of a vector as an object; draw the vector again")
        stated = anchor.get("prevPointId")
        if previous_id is not None and stated is not None and stated != previous_id:
            raise InvalidRegion(
                "a vector that branches has no outline; draw an outline instead", code="branching_vector"
            )
        previous_id = anchor.get("id")


def _is_curve(start: Mapping[str, Any], end: Mapping[str, Any]) -> bool:
    return _handle(start, "controlPoint2") is not None or _handle(end, "controlPoint1") is not None


def _curve(start: Mapping[str, Any], end: Mapping[str, Any]) -> Vertices:
    """Return points on a cubic Bézier curve without its end: (1-t)³ a + 3 (1-t)² t b + 3 (1-t) t² c + t³ d."""
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
            raise InvalidRegion("expected numbers as x and y of a vector's anchor; draw the vector again")
    return np.array(pair, np.float64)
