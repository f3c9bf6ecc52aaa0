"""What else lies in or beside a breast, on request: a laterality marker, a biopsy clip, other cluster distributions.

All of it is off by default, and drawn from a generator of its own, so the pixels of a seed stay what they are.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from mammo.geometry import Box
from mammo.phantom.anatomy import Anatomy, View
from mammo.phantom.calcifications import SUPERSAMPLING, Speck
from mammo.phantom.placement import nearest_place
from mammo.phantom.texture import Field

CLIP_ATTENUATION = 8.0
"""Of titanium: whiter than any tissue."""

CLIP_MM = 1.5
"""Radius of a clip; it needs as much room as a small cluster."""

MARKER_MM = 9.0
"""Height of a marker's letters."""


@dataclass(frozen=True, kw_only=True)
class Extras:
    """Which of them to draw."""

    marker: bool = False
    """Lead letters outside the breast that name the side and the projection."""

    clip: bool = False
    """In every second breast the metal clip that a biopsy left; in both of its views."""

    distributions: bool = False
    """Clusters may be linear or segmental, and not always grouped."""


def biopsy_clip(seed: int, laterality: str, view: View, anatomy: Anatomy, free: Field) -> Speck | None:
    """The clip of one breast, seen in one view; None when it has none or there is no room.

    The generator knows the breast and not the view: a clip lies in the same place in CC and MLO.
    """
    rng = np.random.default_rng([seed, laterality == "R", 55])
    wanted, depth, lateral, vertical = rng.random(), *rng.uniform((0.25, -0.6, -0.6), (0.75, 0.6, 0.6))
    if wanted < 0.5 or free.max() < CLIP_MM:
        return None
    centre = nearest_place(
        anatomy, free, depth=depth, along=lateral if view == "CC" else vertical, radius_mm=CLIP_MM
    )
    patch = _ribbon(rng, spacing_mm=anatomy.spacing_mm) * np.float32(CLIP_ATTENUATION)
    return Speck.at(*centre, patch, spacing_mm=anatomy.spacing_mm)


def write_marker(stored: npt.NDArray[np.uint16], text: str, *, value: int, spacing_mm: float) -> Box | None:
    """Write letters into the air, on the first free place from the top; smaller ones where that is none.

    Args:
        stored: H x W, 0 outside the breast; changed in place.
        value: grey level of the letters.

    Returns:
        The box that they fill; None when there is no place at all.
    """
    for share in (1.0, 0.6, 0.4):
        letters = _letters(text, height=round(share * MARKER_MM / spacing_mm))
        box = _free_place(stored, *letters.shape)
        if box is not None:
            stored[box.slices][letters] = value
            return box
    return None


def _letters(text: str, *, height: int) -> npt.NDArray[np.bool_]:
    scale = height / 22  # this font's capitals are about 22 pixels high at scale 1
    thick = max(1, round(scale * 2))
    (wide, tall), base = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, scale, thick)
    margin = max(2, thick)
    letters = np.zeros((tall + base + 2 * margin, wide + 2 * margin), np.uint8)
    cv2.putText(letters, text, (margin, tall + margin), cv2.FONT_HERSHEY_SIMPLEX, scale, 1, thick)
    return letters > 0


def _free_place(stored: npt.NDArray[np.uint16], tall: int, wide: int) -> Box | None:
    """The first place from the top, at the border that the chest wall is not at."""
    height, width = stored.shape
    if tall > height or wide > width:
        return None
    chest_is_right = np.count_nonzero(stored[:, -1]) > np.count_nonzero(stored[:, 0])
    x0 = 0 if chest_is_right else width - wide
    for y0 in range(0, height - tall + 1, max(1, tall // 4)):
        if not stored[y0 : y0 + tall, x0 : x0 + wide].any():
            return Box(x0, y0, x0 + wide, y0 + tall)
    return None


def _ribbon(rng: np.random.Generator, *, spacing_mm: float) -> Field:
    """A bent wire of 2 to 3 mm, in [0, 1], drawn four times finer and averaged."""
    side = int(np.ceil(2 * CLIP_MM / spacing_mm)) + 6
    fine = np.zeros((side * SUPERSAMPLING, side * SUPERSAMPLING), np.uint8)
    turn, bend = rng.uniform(0, 2 * np.pi), rng.uniform(2.2, 4.0)
    angles = turn + np.linspace(0, bend, 24)
    radius = 0.75 * CLIP_MM / spacing_mm * SUPERSAMPLING
    corners = (fine.shape[0] / 2 + radius * np.stack([np.cos(angles), np.sin(angles)], 1)).round()
    cv2.polylines(
        fine,
        [corners.astype(np.int32)],
        isClosed=False,
        color=1,
        thickness=max(1, round(0.35 / spacing_mm * SUPERSAMPLING)),
    )
    blocks = fine.reshape(side, SUPERSAMPLING, side, SUPERSAMPLING)
    return np.asarray(blocks.mean((1, 3)), np.float32)
