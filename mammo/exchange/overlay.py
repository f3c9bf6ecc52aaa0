"""Overlays: findings drawn on a mammogram, as an RGB image."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from mammo.findings import Finding
from mammo.geometry import Box
from mammo.masks import Mask
from mammo.verdicts.crops import grey_levels

Picture = npt.NDArray[np.uint8]
"""H x W x 3, RGB."""

TRUTH = (90, 220, 90)
PRELABEL = (255, 120, 60)
PROMPT = (255, 240, 80)
CALCIFICATION = (90, 230, 240)
"""Colours, as RGB."""


def grey_picture(pixels: npt.NDArray[np.float32]) -> Picture:
    """Return pixels (H x W, float32 in [0, 1]) as a picture, stretched to the percentiles 1 to 99.8 of the breast."""
    return np.repeat(grey_levels(pixels)[:, :, None], 3, axis=2)


def draw(
    picture: Picture, findings: Sequence[Finding], *, colour: tuple[int, int, int], scores: bool = True
) -> None:
    """Draw outlines, boxes, prompts and scores on a picture, in place."""
    thickness = max(1, round(max(picture.shape) / 1200))
    for finding in findings:
        box = finding.box
        cv2.rectangle(picture, (box.x0, box.y0), (box.x1 - 1, box.y1 - 1), colour, thickness)
        if finding.mask is not None:
            draw_masks(picture, [finding.mask], colour=colour, thickness=thickness)
        for point in finding.prompts:
            cv2.drawMarker(picture, (point.x, point.y), PROMPT, cv2.MARKER_CROSS, 6 * thickness, thickness)
        if scores:
            size = max(0.4, max(picture.shape) / 2600)
            at = (box.x0, max(box.y0 - 4 * thickness, 12))
            cv2.putText(
                picture, f"{finding.score:.2f}", at, cv2.FONT_HERSHEY_SIMPLEX, size, colour, thickness
            )


def draw_masks(
    picture: Picture, masks: Iterable[Mask], *, colour: tuple[int, int, int], thickness: int = 1
) -> None:
    """Draw the outlines of masks on a picture, in place."""
    for mask in masks:
        for part in mask.components():
            points = np.array([(p.x, p.y) for p in part.outline()], np.int32)
            cv2.polylines(picture, [points], isClosed=True, color=colour, thickness=thickness)


def cut(picture: Picture, box: Box) -> Picture:
    """Return the part of a picture inside a box; the box must lie inside the picture."""
    rows, columns = box.slices
    return np.ascontiguousarray(picture[rows, columns])


def write_png(path: str, picture: Picture) -> None:
    """Write a picture as PNG with fast compression.

    Raises:
        OSError: the file cannot be written.
    """
    bgr = cv2.cvtColor(picture, cv2.COLOR_RGB2BGR)
    done, encoded = cv2.imencode(".png", bgr, [cv2.IMWRITE_PNG_COMPRESSION, 1])
    assert done, "an RGB image can be encoded"
    Path(path).write_bytes(encoded.tobytes())
