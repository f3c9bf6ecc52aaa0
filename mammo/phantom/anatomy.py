"""One view of a breast as relative attenuation, before detector and processing.

The chest wall is on the left; a right breast is mirrored at the end. Large structures are drawn on a coarse grid with
cells of 4 x 4 pixels, texture on cells of 2 x 2 pixels. Lengths are in mm.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy import ndimage
from scipy.interpolate import PchipInterpolator

from mammo.phantom.body import Body
from mammo.phantom.texture import Field, power_law, ridges, sample_periodic, upsampled

View = Literal["CC", "MLO"]
COARSE = 4
"""Side of a cell of the coarse grid, in pixels."""

RIM_MM = 15.0
"""Width of the zone below the skin in which the compressed breast becomes thinner."""

EQUALISED = 0.65
"""Fraction of this thickness roll-off that remains after processing for presentation."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Anatomy:
    """A breast in one view, chest wall on the left; h x w is the coarse grid, cropped to the breast."""

    attenuation: Field
    """4h x 4w, from 0 (air) to about 3 (dense tissue)."""

    spacing_mm: float
    """Pixel spacing."""

    nipple: tuple[float, float]
    """Row and column of the nipple, in mm."""

    half_height_mm: float
    """Half the extent of the breast along the chest wall."""

    glandular: Field
    """h x w, amount of glandular tissue, 0 to about 1.6."""

    clearance_mm: Field
    """h x w, distance to the nearest skin, image border or pectoral muscle: the radius of a cluster that fits."""

    thickness: Field
    """h x w, fraction of the compressed thickness: 0 in air, 1 in the interior, between them near the skin."""

    vessels: tuple[tuple[npt.NDArray[np.int_], npt.NDArray[np.int_]], ...]
    """Rows and columns of each vessel's course towards the nipple, in cells of the coarse grid."""

    @property
    def cell_mm(self) -> float:
        """Side of a cell of the coarse grid."""
        return COARSE * self.spacing_mm


@dataclass(frozen=True)
class _Grid:
    """The coarse grid, h x w, cropped to the breast; coordinates in mm."""

    rows: Field
    columns: Field
    skin_mm: Field
    """Distance to the skin; 0 outside the breast."""

    inside: npt.NDArray[np.bool_]
    nipple: tuple[float, float]
    cell: float
    """Side of a cell, in mm."""

    @property
    def shape(self) -> tuple[int, int]:
        rows, columns = self.inside.shape
        return rows, columns


def draw_anatomy(
    rng: np.random.Generator, body: Body, view: View, *, width: int, height: int, spacing_mm: float
) -> Anatomy:
    """Draw the anatomy of one view.

    Args:
        width, height: size of the image receptor, in pixels; a larger breast is shrunk to fit.
        spacing_mm: pixel spacing.
    """
    grid, half_height = _outline(rng, body, view, width=width, height=height, spacing_mm=spacing_mm)
    shape = grid.shape
    medium = power_law(rng, shape, beta=3.2, spacing=grid.cell, lowest=0.02)
    fine = power_law(rng, shape, beta=2.8, spacing=grid.cell, lowest=0.05)
    polar = power_law(rng, (320, 512), beta=2.4, spacing=1.0, lowest=0.02)
    glandular = _glandular(grid, medium, fine, polar, half_height, body.glandularity)
    septa = _septa(grid, medium, fine, polar)
    vessels, courses = _random_walks(rng, grid, number=9, length=80, width=1.7, wander=0.03)
    ducts, _ = _random_walks(rng, grid, number=170, length=26, width=0.5, wander=0.045)
    tissue = 0.50 + 0.90 * glandular + 0.36 * septa * (1 - 0.4 * glandular) + 0.42 * vessels + 0.30 * ducts
    muscle: Field = np.zeros(shape, np.float32)
    if view == "MLO":
        tissue, muscle = _with_pectoral(rng, grid, tissue, height_mm=height * spacing_mm)
    scale = min(1.0, width * spacing_mm / 100)
    profile = np.sqrt(np.clip(1 - (1 - np.clip(grid.skin_mm / (RIM_MM * scale), 0, 1)) ** 2, 0, 1))
    skin = 0.50 * np.exp(-(((grid.skin_mm - 0.8) / 0.9) ** 2))
    return Anatomy(
        attenuation=_full_resolution(rng, grid, tissue, glandular * (1 - muscle), profile, skin),
        spacing_mm=spacing_mm,
        nipple=grid.nipple,
        half_height_mm=half_height,
        glandular=glandular,
        clearance_mm=_clearance(grid, muscle, height_mm=height * spacing_mm),
        thickness=np.asarray(profile * grid.inside, np.float32),
        vessels=courses,
    )


def _outline(
    rng: np.random.Generator, body: Body, view: View, *, width: int, height: int, spacing_mm: float
) -> tuple[_Grid, float]:
    """Draw the skin line; return the grid cropped to the breast, and the half height in mm."""
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
    # Pad at the chest wall and the ends of the receptor: the breast continues there, and only the skin bounds it.
    padded = np.pad(inside, ((60, 60), (60, 0)), "edge")
    distance = distance_mm(padded, cell)[60:-60, 60:]
    return _Grid(down, across, distance, inside, nipple, cell), half


def _glandular(
    grid: _Grid, medium: Field, fine: Field, polar: Field, half_height: float, share: float
) -> Field:
    """Fibroglandular tissue: lobes that converge on the nipple, with `share` of the breast area in total."""
    down, across = grid.nipple
    distance = np.hypot(
        (grid.rows - down) / (half_height * 0.62), (grid.columns - across * 0.60) / (across * 0.50)
    )
    angle, radius = _polar(grid)
    lobes = sample_periodic(polar, (angle + 1.6) * 80 + 4 * fine, radius * 0.55 + 6 * medium)
    score = -1.4 * distance + 0.75 * medium + 0.45 * lobes - 2.2 * np.exp(-(((grid.skin_mm - 3) / 6) ** 2))
    deep = score[grid.inside & (grid.skin_mm > min(5.0, float(grid.skin_mm.max()) / 3))]
    threshold = np.quantile(deep, 1 - np.clip(share * 1.35 + 0.08, 0.1, 0.9))
    tissue = (
        1 / (1 + np.exp(-np.clip((score - threshold) * 1.7, -30, 30))) * np.clip(1 + 0.22 * fine, 0.4, 1.6)
    )
    return np.asarray(tissue, np.float32)


def _septa(grid: _Grid, medium: Field, fine: Field, polar: Field) -> Field:
    """Cooper's ligaments and septa, in [0, 1]."""
    angle, radius = _polar(grid)
    warped = sample_periodic(polar, (angle + 1.6) * 95 + 7 * medium + 90, radius * 0.9 + 8 * fine)
    curves = ridges(warped, width=1.1) * (0.55 + 0.45 * np.clip(fine, -1, 1))
    curves = curves + 0.6 * ridges(fine + 0.3 * medium, width=1.0)
    return np.asarray(np.clip(curves, 0, 1) * (grid.skin_mm > 2), np.float32)


def _polar(grid: _Grid) -> tuple[Field, Field]:
    """Polar coordinates (angle, distance in mm) around a point 12 mm in front of the nipple."""
    down, across = grid.rows - np.float32(grid.nipple[0]), np.float32(grid.nipple[1] + 12) - grid.columns
    return np.arctan2(down, across), np.hypot(down, across)


def _random_walks(
    rng: np.random.Generator, grid: _Grid, *, number: int, length: float, width: float, wander: float
) -> tuple[Field, tuple[tuple[npt.NDArray[np.int_], npt.NDArray[np.int_]], ...]]:
    """Draw vessels or ducts as random walks with momentum towards the nipple; return the image and the courses.

    Args:
        length, width: of one course, in mm.
        wander: standard deviation of the change of direction per step, in radians.
    """
    shape, step = grid.shape, grid.cell * 0.7
    num_steps = max(8, int(length / step))
    down = grid.nipple[0] + (rng.uniform(0, 1, number) - 0.5) * shape[0] * grid.cell * 0.8
    across = rng.uniform(0, grid.nipple[1] * 0.85, number)
    heading = np.arctan2(grid.nipple[0] - down, grid.nipple[1] - across) + rng.normal(0, 0.45, number)
    turns = heading[:, None] + np.cumsum(rng.normal(0, wander, (number, num_steps)), 1)
    drawn = rng.uniform(0.3, 1, number)[:, None] * num_steps > np.arange(num_steps)
    rows = ((down[:, None] + np.cumsum(np.sin(turns), 1) * step) / grid.cell).astype(int)
    columns = ((across[:, None] + np.cumsum(np.cos(turns), 1) * step) / grid.cell).astype(int)
    drawn &= (rows >= 0) & (rows < shape[0]) & (columns >= 0) & (columns < shape[1])
    strength = np.broadcast_to(rng.uniform(0.35, 1, (number, 1)), drawn.shape).astype(np.float32)
    lines = np.zeros(shape, np.float32)
    np.maximum.at(lines, (rows[drawn], columns[drawn]), strength[drawn])
    sigma = width / grid.cell / 2.355
    drawing = ndimage.gaussian_filter(lines, sigma, truncate=3) * np.float32(sigma * 2.2) * grid.inside
    courses = tuple((rows[i][drawn[i]], columns[i][drawn[i]]) for i in range(number))
    return np.asarray(drawing, np.float32), courses


def _with_pectoral(
    rng: np.random.Generator, grid: _Grid, tissue: Field, *, height_mm: float
) -> tuple[Field, Field]:
    """Add the pectoral muscle; return the tissue and the muscle's mask, h x w in [0, 1]."""
    wide, tall = grid.nipple[1] * rng.uniform(0.36, 0.55), height_mm * rng.uniform(0.5, 0.68)
    depth = wide * (1 - grid.rows / tall) + 2.5 * np.sin(grid.rows / 31 + rng.uniform(0, 6)) - grid.columns
    fibres = power_law(rng, (256, 256), beta=2.6, spacing=1.0, lowest=0.03)
    striations = sample_periodic(
        fibres, grid.columns * 0.55 + grid.rows * 0.25, grid.rows * 0.10 - grid.columns * 0.05
    )
    muscle = 1 / (1 + np.exp(-np.clip(depth / 1.1, -30, 30)))
    mixed = tissue * (1 - 0.35 * muscle)
    mixed = mixed + muscle * (0.85 + 0.10 * striations + 0.15 * np.clip(depth / 40, 0, 1))
    return np.asarray(mixed, np.float32), np.asarray(muscle, np.float32)


def _full_resolution(
    rng: np.random.Generator, grid: _Grid, tissue: Field, glandular: Field, profile: Field, skin: Field
) -> Field:
    """Upsample to 4h x 4w; add fine texture and the skin, and apply the thickness profile."""
    rows, columns = grid.shape
    texture = power_law(rng, (2 * rows, 2 * columns), beta=2.8, spacing=grid.cell / 2, lowest=0.07)
    strength = upsampled((0.085 + 0.10 * glandular).astype(np.float32))
    half = upsampled(tissue.astype(np.float32)) + texture * strength
    # Processing for presentation equalises the thickness: a third of the roll-off is removed.
    half *= upsampled((1 - EQUALISED + EQUALISED * profile).astype(np.float32))
    half += upsampled((skin * (0.5 + 0.5 * profile)).astype(np.float32))
    half *= upsampled(grid.inside.astype(np.float32))
    return upsampled(half)


def _clearance(grid: _Grid, muscle: Field, *, height_mm: float) -> Field:
    """Distance to the nearest skin, image border or pectoral muscle, in mm."""
    clearance = np.minimum(
        grid.skin_mm, np.minimum(grid.columns, np.minimum(grid.rows, height_mm - grid.rows))
    )
    if muscle.any():
        clearance = np.minimum(clearance, distance_mm(muscle < 0.3, grid.cell))
    return np.asarray(clearance, np.float32)


def distance_mm(free: npt.NDArray[np.bool_], cell_mm: float) -> Field:
    """Distance from each free cell to the nearest occupied one, in mm; 0 in occupied cells."""
    # SciPy, because OpenCV's transform depends on its number of threads; the same seed must give the same pixels.
    cells = ndimage.distance_transform_edt(free)
    return np.asarray(cells * np.float32(cell_mm), np.float32)
