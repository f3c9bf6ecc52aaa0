"""Optional objects: laterality markers, biopsy clips, ligaments, and linear or segmental clusters.

All are off by default and drawn from generators of their own, so they do not change the other pixels of a seed.
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
from mammo.phantom.texture import Field, power_law, ridges, upsampled

CLIP_ATTENUATION = 8.0
"""Relative attenuation of a titanium clip; brighter than any tissue."""

CLIP_MM = 1.5
"""Radius of a clip, and the clearance that it needs."""

MARKER_MM = 9.0
"""Height of the letters of a marker."""


@dataclass(frozen=True, kw_only=True)
class Extras:
    """Which optional objects to draw."""

    marker: bool = False
    """Lead letters outside the breast that state laterality and view."""

    clip: bool = False
    """A biopsy clip in every second breast, visible in both of its views."""

    distributions: bool = False
    """Draw linear and segmental clusters too, not only grouped ones."""

    ligaments: float = 0.0
    """Relative attenuation of fine strands that run towards the nipple, as Cooper's ligaments do; about 0.3 in sharp
    images of fatty breasts. 0: none."""


def biopsy_clip(seed: int, laterality: str, view: View, anatomy: Anatomy, clearance: Field) -> Speck | None:
    """Draw the clip of one breast in one view; None when the breast has no clip or no place for one.

    The generator depends on the breast, not on the view: the clip has the same position in CC and MLO.

    Args:
        clearance: h x w coarse grid, in mm.
    """
    rng = np.random.default_rng([seed, laterality == "R", 55])
    draw, depth, lateral, vertical = rng.random(), *rng.uniform((0.25, -0.6, -0.6), (0.75, 0.6, 0.6))
    if draw < 0.5 or clearance.max() < CLIP_MM:
        return None
    centre = nearest_place(
        anatomy, clearance, depth=depth, along=lateral if view == "CC" else vertical, radius_mm=CLIP_MM
    )
    patch = _ribbon(rng, spacing_mm=anatomy.spacing_mm) * np.float32(CLIP_ATTENUATION)
    return Speck.at(*centre, patch, spacing_mm=anatomy.spacing_mm)


def draw_marker(stored: npt.NDArray[np.uint16], text: str, *, value: int, spacing_mm: float) -> Box | None:
    """Draw letters into the first free area of air from the top; shrink them when they do not fit.

    Args:
        stored: H x W, 0 outside the breast; changed in place.
        text: the letters, such as `LCC`.
        value: grey level of the letters.
        spacing_mm: pixel spacing.

    Returns:
        The box of the letters; None when even the smallest do not fit.
    """
    for share in (1.0, 0.6, 0.4):
        letters = _letters(text, height=round(share * MARKER_MM / spacing_mm))
        box = _free_place(stored, *letters.shape)
        if box is not None:
            stored[box.slices][letters] = value
            return box
    return None


def _letters(text: str, *, height: int) -> npt.NDArray[np.bool_]:
    """Render text, with a margin; `height` is that of a capital letter, in pixels."""
    scale = height / 22  # this font's capitals are about 22 pixels high at scale 1
    thick = max(1, round(scale * 2))
    (wide, tall), base = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, scale, thick)
    margin = max(2, thick)
    letters = np.zeros((tall + base + 2 * margin, wide + 2 * margin), np.uint8)
    cv2.putText(letters, text, (margin, tall + margin), cv2.FONT_HERSHEY_SIMPLEX, scale, 1, thick)
    return letters > 0


def _free_place(stored: npt.NDArray[np.uint16], tall: int, wide: int) -> Box | None:
    """Find the first empty box from the top, along the border opposite the chest wall."""
    height, width = stored.shape
    if tall > height or wide > width:
        return None
    chest_is_right = np.count_nonzero(stored[:, -1]) > np.count_nonzero(stored[:, 0])
    x0 = 0 if chest_is_right else width - wide
    for y0 in range(0, height - tall + 1, max(1, tall // 4)):
        if not stored[y0 : y0 + tall, x0 : x0 + wide].any():
            return Box(x0, y0, x0 + wide, y0 + tall)
    return None


def draw_ligaments(seed: int, anatomy: Anatomy, *, strength: float) -> Field:
    """Draw fine, bent, interrupted strands that run mostly from the chest wall towards the nipple.

    They are the ridges of two random fields stretched along the rows, on cells of 2 x 2 pixels. Crossing strands make
    the bright dots that a detector of specks must not count.

    Returns:
        4h x 4w, relative attenuation.
    """
    rng = np.random.default_rng([seed, 77])
    rows, columns = (2 * side for side in anatomy.thickness.shape)
    cell_mm = anatomy.cell_mm / 2
    strands = np.zeros((rows, columns), np.float32)
    for stretch in (4.0, 8.0):
        narrow = power_law(rng, (rows, int(columns / stretch) + 2), beta=4.6, spacing=cell_mm, lowest=0.12)
        field = cv2.resize(narrow, (columns, rows), interpolation=cv2.INTER_LINEAR)
        width = float(rng.uniform(0.06, 0.14)) / cell_mm
        present = np.clip(power_law(rng, (rows, columns), beta=2.6, spacing=cell_mm, lowest=0.1), 0, 1.5)
        strands += ridges(np.asarray(field, np.float32), width=width) * present
    inside = upsampled(anatomy.thickness)
    return upsampled(np.asarray(strands * inside * np.float32(strength), np.float32))


def _ribbon(rng: np.random.Generator, *, spacing_mm: float) -> Field:
    """Draw a bent wire of 2 to 3 mm, in [0, 1], supersampled and averaged."""
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
