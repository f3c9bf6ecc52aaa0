"""A breast in air with fine texture, cheap to draw, and text drawn into it."""

from __future__ import annotations

import cv2
import numpy as np

from tests.mammo.dicom.files import Stored

HEIGHT, WIDTH = 800, 640


def breast_picture(*, seed: int = 0) -> Stored:
    """800 x 640, 12 bit: a half disc of textured tissue at the left edge, air 0 elsewhere."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    inside = np.clip((1 - np.hypot(x / 400, (y - HEIGHT / 2) / 330)) * 5, 0, 1)
    texture = cv2.GaussianBlur(rng.normal(0, 1, inside.shape), (0, 0), 3) * 800 + rng.normal(
        0, 40, inside.shape
    )
    return np.clip(inside * (1700 + texture), 0, 4000).astype(np.uint16)


def with_text(
    stored: Stored, text: str, at: tuple[int, int], *, value: int = 4095, size: float = 1.0
) -> Stored:
    """A copy with text whose lower left corner is at (x, y)."""
    copy = np.ascontiguousarray(stored)
    copy = copy.copy()
    cv2.putText(copy, text, at, cv2.FONT_HERSHEY_SIMPLEX, size, value, max(1, round(2 * size)))  # type: ignore[call-overload]
    return copy
