"""One view of a breast as relative attenuation, before detector and processing.

Everything is drawn with the chest wall on the left; a right breast is mirrored at the end. Large structure is made on
a grid of four pixels (coarse), texture on two; quantities in mm.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy import ndimage
from scipy.interpolate import PchipInterpolator

from mammo.phantom.body import Body
from mammo.phantom.texture import Field, doubled, looked_up, power_law, ridges

View = Literal["CC", "MLO"]
COARSE = 4
"""Pixels per cell of the coarse grid."""

RIM_MM = 15.0
"""Zone below the skin where the compressed breast gets thinner."""

EQUALISED = 0.65
"""Share of that roll-off that processing for presentation leaves in the picture."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Anatomy:
    """A breast in one view, chest wall on the left. `h x w` is the coarse grid, cropped to the breast."""

    attenuation: Field
    """4h x 4w, about 0 (air) to 3 (dense)."""

    spacing_mm: float
    """Of the pixels."""

    nipple: tuple[float, float]
    """Row and column, in mm."""

    half_height_mm: float
    glandular: Field
    """h x w, share of glandular tissue, 0 to about 1.6."""

    room: Field
    """h x w, mm to the nearest skin, image border or pectoral muscle: how large a cluster fits there."""

    thickness: Field
    """h x w, share of the compressed thickness, 0 (air) to 1 (everywhere but near the skin)."""

    vessels: tuple[tuple[npt.NDArray[np.int_], npt.NDArray[np.int_]], ...]
    """Rows and columns of each vessel's course, coarse cells, towards the nipple."""

    @property
    def cell_mm(self) -> float:
        return COARSE * self.spacing_mm


@dataclass(frozen=True)
class _Frame:
    """Coordinates of the coarse grid, in mm."""

    rows: Field
    columns: Field
    skin_mm: Field
    inside: npt.NDArray[np.bool_]
    nipple: tuple[float, float]
    cell: float

    @property
    def shape(self) -> tuple[int, int]:
        rows, columns = self.inside.shape
        return rows, columns


def grow(
    rng: np.random.Generator, body: Body, view: View, *, width: int, height: int, spacing_mm: float
) -> Anatomy:
    """Draw one view.

    Args:
        width, height: of the receptor, in pixels; a breast that is too large for it is made smaller.
    """
    frame, half_height = _outline(rng, body, view, width=width, height=height, spacing_mm=spacing_mm)
    shape = frame.shape
    medium = power_law(rng, shape, beta=3.2, spacing=frame.cell, lowest=0.02)
    fine = power_law(rng, shape, beta=2.8, spacing=frame.cell, lowest=0.05)
    polar = power_law(rng, (320, 512), beta=2.4, spacing=1.0, lowest=0.02)
    glandular = _glandular(frame, medium, fine, polar, half_height, body.glandularity)
    septa = _septa(frame, medium, fine, polar)
    vessels, courses = _courses(rng, frame, number=9, length=80, width=1.7, wander=0.03)
    ducts, _ = _courses(rng, frame, number=170, length=26, width=0.5, wander=0.045)
    tissue = 0.50 + 0.90 * glandular + 0.36 * septa * (1 - 0.4 * glandular) + 0.42 * vessels + 0.30 * ducts
    muscle: Field = np.zeros(shape, np.float32)
    if view == "MLO":
        tissue, muscle = _with_pectoral(rng, frame, tissue, height_mm=height * spacing_mm)
    scale = min(1.0, width * spacing_mm / 100)
    profile = np.sqrt(np.clip(1 - (1 - np.clip(frame.skin_mm / (RIM_MM * scale), 0, 1)) ** 2, 0, 1))
    skin = 0.50 * np.exp(-(((frame.skin_mm - 0.8) / 0.9) ** 2))
    return Anatomy(
        attenuation=_full_resolution(rng, frame, tissue, glandular * (1 - muscle), profile, skin),
        spacing_mm=spacing_mm,
        nipple=frame.nipple,
        half_height_mm=half_height,
        glandular=glandular,
        room=_room(frame, muscle, height_mm=height * spacing_mm),
        thickness=np.asarray(profile * frame.inside, np.float32),
        vessels=courses,
    )


def _outline(
    rng: np.random.Generator, body: Body, view: View, *, width: int, height: int, spacing_mm: float
) -> tuple[_Frame, float]:
    """The skin line, and the grid cut to the breast."""
    tall, cell = height * spacing_mm, COARSE * spacing_mm
    depth = min(body.depth_mm, 0.9 * width * spacing_mm)
    half = min(body.half_height_mm, 0.47 * tall)
    rows = np.linspace(0, tall, 401)
    if view == "CC":
        middle = tall * 0.5 + rng.uniform(-0.035, 0.035) * tall
        reach = np.clip(np.abs(rows - middle) / half, 0, 1)
        skin = depth * (1 - reach ** rng.uniform(1.6, 2.1)) ** rng.uniform(0.62, 0.85)
    else:
        middle = tall * rng.uniform(0.56, 0.64)
        axilla = depth * rng.uniform(0.55, 0.75)
        below = min(middle + half * rng.uniform(0.75, 0.95), tall * 0.985) - middle
        knots = [-5.0, *(middle * share for share in (0.25, 0.55, 0.85, 1))]
        knots += [middle + below * share for share in (0.45, 0.85, 1)] + [middle + below + 9]
        shares = (0.72, 0.97, 1, 0.86, 0.42, rng.uniform(0.02, 0.12))
        skin = PchipInterpolator(knots, [axilla * 1.15, axilla, *(depth * s for s in shares), -5.0])(rows)
    skin = skin + 3.0 * np.exp(-(((rows - middle) / 4.5) ** 2)) * (skin > 0)  # nipple
    nipple = (float(middle), float(np.interp(middle, rows, skin)))
    num_rows = height // COARSE
    num_columns = min(width // COARSE, int(skin.max() / cell) + 4)
    edge = np.interp(np.arange(num_rows) * cell, rows, skin)
    down, across = np.mgrid[:num_rows, :num_columns].astype(np.float32) * np.float32(cell)
    inside = across < edge[:, None]
    # The breast goes on beyond the chest wall and the receptor's ends: only the skin limits it.
    padded = np.pad(inside, ((60, 60), (60, 0)), "edge")
    distance = distance_mm(padded, cell)[60:-60, 60:]
    return _Frame(down, across, distance, inside, nipple, cell), half


def _glandular(
    frame: _Frame, medium: Field, fine: Field, polar: Field, half_height: float, share: float
) -> Field:
    """Fibroglandular tissue: likely behind the nipple, in lobes that point to it, as much as the woman has."""
    down, across = frame.nipple
    away = np.hypot(
        (frame.rows - down) / (half_height * 0.62), (frame.columns - across * 0.60) / (across * 0.50)
    )
    angle, radius = _polar(frame)
    lobes = looked_up(polar, (angle + 1.6) * 80 + 4 * fine, radius * 0.55 + 6 * medium)
    likely = -1.4 * away + 0.75 * medium + 0.45 * lobes - 2.2 * np.exp(-(((frame.skin_mm - 3) / 6) ** 2))
    deep = likely[frame.inside & (frame.skin_mm > min(5.0, float(frame.skin_mm.max()) / 3))]
    threshold = np.quantile(deep, 1 - np.clip(share * 1.35 + 0.08, 0.1, 0.9))
    tissue = (
        1 / (1 + np.exp(-np.clip((likely - threshold) * 1.7, -30, 30))) * np.clip(1 + 0.22 * fine, 0.4, 1.6)
    )
    return np.asarray(tissue, np.float32)


def _septa(frame: _Frame, medium: Field, fine: Field, polar: Field) -> Field:
    """Cooper's ligaments and septa, in [0, 1]."""
    angle, radius = _polar(frame)
    warped = looked_up(polar, (angle + 1.6) * 95 + 7 * medium + 90, radius * 0.9 + 8 * fine)
    curves = ridges(warped, width=1.1) * (0.55 + 0.45 * np.clip(fine, -1, 1))
    curves = curves + 0.6 * ridges(fine + 0.3 * medium, width=1.0)
    return np.asarray(np.clip(curves, 0, 1) * (frame.skin_mm > 2), np.float32)


def _polar(frame: _Frame) -> tuple[Field, Field]:
    """Angle and distance (mm) seen from a point just in front of the nipple."""
    down, across = frame.rows - np.float32(frame.nipple[0]), np.float32(frame.nipple[1] + 12) - frame.columns
    return np.arctan2(down, across), np.hypot(down, across)


def _courses(
    rng: np.random.Generator, frame: _Frame, *, number: int, length: float, width: float, wander: float
) -> tuple[Field, tuple[tuple[npt.NDArray[np.int_], npt.NDArray[np.int_]], ...]]:
    """Vessels or ducts: random walks with momentum that head for the nipple. Length and width in mm."""
    shape, step = frame.shape, frame.cell * 0.7
    num_steps = max(8, int(length / step))
    down = frame.nipple[0] + (rng.uniform(0, 1, number) - 0.5) * shape[0] * frame.cell * 0.8
    across = rng.uniform(0, frame.nipple[1] * 0.85, number)
    heading = np.arctan2(frame.nipple[0] - down, frame.nipple[1] - across) + rng.normal(0, 0.45, number)
    turns = heading[:, None] + np.cumsum(rng.normal(0, wander, (number, num_steps)), 1)
    drawn = rng.uniform(0.3, 1, number)[:, None] * num_steps > np.arange(num_steps)
    rows = ((down[:, None] + np.cumsum(np.sin(turns), 1) * step) / frame.cell).astype(int)
    columns = ((across[:, None] + np.cumsum(np.cos(turns), 1) * step) / frame.cell).astype(int)
    drawn &= (rows >= 0) & (rows < shape[0]) & (columns >= 0) & (columns < shape[1])
    strength = np.broadcast_to(rng.uniform(0.35, 1, (number, 1)), drawn.shape).astype(np.float32)
    lines = np.zeros(shape, np.float32)
    np.maximum.at(lines, (rows[drawn], columns[drawn]), strength[drawn])
    sigma = width / frame.cell / 2.355
    drawing = ndimage.gaussian_filter(lines, sigma, truncate=3) * np.float32(sigma * 2.2) * frame.inside
    courses = tuple((rows[i][drawn[i]], columns[i][drawn[i]]) for i in range(number))
    return np.asarray(drawing, np.float32), courses


def _with_pectoral(
    rng: np.random.Generator, frame: _Frame, tissue: Field, *, height_mm: float
) -> tuple[Field, Field]:
    """Tissue with the pectoral muscle in its corner, and where the muscle is (h x w in [0, 1])."""
    wide, tall = frame.nipple[1] * rng.uniform(0.36, 0.55), height_mm * rng.uniform(0.5, 0.68)
    depth = wide * (1 - frame.rows / tall) + 2.5 * np.sin(frame.rows / 31 + rng.uniform(0, 6)) - frame.columns
    fibres = power_law(rng, (256, 256), beta=2.6, spacing=1.0, lowest=0.03)
    striations = looked_up(
        fibres, frame.columns * 0.55 + frame.rows * 0.25, frame.rows * 0.10 - frame.columns * 0.05
    )
    muscle = 1 / (1 + np.exp(-np.clip(depth / 1.1, -30, 30)))
    mixed = tissue * (1 - 0.35 * muscle)
    mixed = mixed + muscle * (0.85 + 0.10 * striations + 0.15 * np.clip(depth / 40, 0, 1))
    return np.asarray(mixed, np.float32), np.asarray(muscle, np.float32)


def _full_resolution(
    rng: np.random.Generator, frame: _Frame, tissue: Field, glandular: Field, profile: Field, skin: Field
) -> Field:
    rows, columns = frame.shape
    texture = power_law(rng, (2 * rows, 2 * columns), beta=2.8, spacing=frame.cell / 2, lowest=0.07)
    strength = doubled((0.085 + 0.10 * glandular).astype(np.float32))
    half = doubled(tissue.astype(np.float32)) + texture * strength
    # Thickness-equalised, as processing for presentation does: a third of the roll-off is gone.
    half *= doubled((1 - EQUALISED + EQUALISED * profile).astype(np.float32))
    half += doubled((skin * (0.5 + 0.5 * profile)).astype(np.float32))
    half *= doubled(frame.inside.astype(np.float32))
    return doubled(half)


def _room(frame: _Frame, muscle: Field, *, height_mm: float) -> Field:
    room = np.minimum(
        frame.skin_mm, np.minimum(frame.columns, np.minimum(frame.rows, height_mm - frame.rows))
    )
    if muscle.any():
        room = np.minimum(room, distance_mm(muscle < 0.3, frame.cell))
    return np.asarray(room, np.float32)


def distance_mm(free: npt.NDArray[np.bool_], cell_mm: float) -> Field:
    """Distance of each free cell to the nearest one that is not, mm; 0 where not free."""
    # OpenCV's transform rounds differently with the number of its threads; the same seed must give the same pixels.
    cells = ndimage.distance_transform_edt(free)
    return np.asarray(cells * np.float32(cell_mm), np.float32)
