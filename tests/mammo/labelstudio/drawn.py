"""Regions as a browser sends them, on an image of 160 x 120 pixels."""

from __future__ import annotations

import base64
import math
from typing import Any

import cv2
import numpy as np

from mammo.geometry import Box, Size
from mammo.labelstudio import rle
from mammo.masks import Mask, union

SIZE = Size(160, 120)
A = Box(10, 20, 40, 50)
B = Box(60, 20, 90, 60)


def filled(*boxes: Box) -> Mask:
    mask = union(Mask(np.ones((box.height, box.width), np.bool_), box.x0, box.y0) for box in boxes)
    assert mask is not None
    return mask


def region(kind: str, control: str, value: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return {
        "id": "r", "type": kind, "from_name": control, "to_name": "image", "origin": "manual",
        "original_width": SIZE.width, "original_height": SIZE.height, "image_rotation": 0,
        "value": {kind: ["Cluster"], **value}, **changes,
    }  # fmt: skip


def rectangle(box: Box = A, **changes: Any) -> dict[str, Any]:
    value = {
        "x": 100 * box.x0 / SIZE.width,
        "y": 100 * box.y0 / SIZE.height,
        "width": 100 * box.width / SIZE.width,
        "height": 100 * box.height / SIZE.height,
        "rotation": 0,
    }
    return region("rectanglelabels", "box", value, **changes)


def brush(mask: Mask | None, **changes: Any) -> dict[str, Any]:
    value = {"format": "rle", "rle": rle.encode(mask, size=SIZE)}
    return region("brushlabels", "mask", value, **({"id": "b"} | changes))


def polygon(box: Box = A, **changes: Any) -> dict[str, Any]:
    corners = [(box.x0, box.y0), (box.x1, box.y0), (box.x1, box.y1), (box.x0, box.y1)]
    points = [[100 * x / SIZE.width, 100 * y / SIZE.height] for x, y in corners]
    return region("polygonlabels", "outline", {"points": points, "closed": True}, **({"id": "p"} | changes))


def ellipse(x: float, y: float, a: float, b: float, *, rotation: float = 0.0) -> dict[str, Any]:
    value = {
        "x": 100 * x / SIZE.width, "y": 100 * y / SIZE.height, "rotation": rotation,
        "radiusX": 100 * a / SIZE.width, "radiusY": 100 * b / SIZE.height,
    }  # fmt: skip
    return region("ellipselabels", "oval", value, id="e")


def vector(box: Box = A, *, closed: bool = True, **changes: Any) -> dict[str, Any]:
    corners = [(box.x0, box.y0), (box.x1, box.y0), (box.x1, box.y1), (box.x0, box.y1)]
    vertices = [
        {"id": str(i), "x": 100 * x / SIZE.width, "y": 100 * y / SIZE.height, "isBezier": False,
         "prevPointId": str(i - 1) if i else None}
        for i, (x, y) in enumerate(corners)
    ]  # fmt: skip
    return region("vectorlabels", "path", {"vertices": vertices, "closed": closed}, **({"id": "v"} | changes))


def round_vector(x: float, y: float, radius: float) -> dict[str, Any]:
    """A circle of four Bezier curves, in pixels."""
    handle = 4 / 3 * math.tan(math.pi / 8) * radius
    around = [
        (radius, 0, 0, handle),
        (0, radius, -handle, 0),
        (-radius, 0, 0, -handle),
        (0, -radius, handle, 0),
    ]

    def point(px: float, py: float) -> dict[str, float]:
        return {"x": 100 * (x + px) / SIZE.width, "y": 100 * (y + py) / SIZE.height}

    vertices = [
        {"id": str(i), **point(px, py), "isBezier": True, "controlPoint1": point(px - hx, py - hy),
         "controlPoint2": point(px + hx, py + hy), "prevPointId": str(i - 1) if i else None}
        for i, (px, py, hx, hy) in enumerate(around)
    ]  # fmt: skip
    return region("vectorlabels", "path", {"vertices": vertices, "closed": True}, id="v")


def bitmask(mask: Mask, *, size: Size = SIZE, **changes: Any) -> dict[str, Any]:
    """As a canvas exports it: black, opaque where it is painted."""
    painted = np.zeros((size.height, size.width, 4), np.uint8)
    painted[..., 3] = mask.full(size) * 255
    data = cv2.imencode(".png", painted)[1].tobytes()
    address = "data:image/png;base64," + base64.b64encode(data).decode()
    return region("bitmasklabels", "pixels", {"imageDataURL": address}, **({"id": "m"} | changes))


def point(x: int, y: int, **changes: Any) -> dict[str, Any]:
    value = {"x": 100 * (x + 0.5) / SIZE.width, "y": 100 * (y + 0.5) / SIZE.height, "width": 0.3}
    return region("keypointlabels", "point", value, **({"id": "k"} | changes))
