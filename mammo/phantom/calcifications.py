"""Microcalcification clusters: sampled once in 3-D, projected into a view, drawn and outlined.

Sizes follow 205 calcifications of 11 real clusters: equivalent diameter 0.11 to 0.71 mm (median 0.31), 8 to 41 per
cluster (median 17), cluster extent 7 to 13 mm; morphologies are the suspicious ones of BI-RADS.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
import numpy.typing as npt

from mammo.geometry import Box
from mammo.masks import Mask
from mammo.phantom.texture import Field

Morphology = Literal["punctate", "pleomorphic", "linear", "amorphous"]
MORPHOLOGIES: dict[Morphology, float] = {"punctate": 0.3, "pleomorphic": 0.4, "linear": 0.2, "amorphous": 0.1}
"""Morphology, mapped to its probability."""

Distribution = Literal["grouped", "linear", "segmental"]
DISTRIBUTIONS: tuple[Distribution, ...] = ("grouped", "linear", "segmental")
"""BI-RADS distributions: a group, a line along a duct, the wedge of a lobe."""

MEDIAN_MM: dict[Morphology, float] = {
    "punctate": 0.28,
    "pleomorphic": 0.33,
    "linear": 0.30,
    "amorphous": 0.20,
}
"""Median equivalent diameter by morphology."""

MIN_DISTANCE_MM = 0.35
"""Minimum distance between two calcifications of a cluster, in the projection of either view."""

OUTLINE_MM = 1.0
"""Margin by which the convex hull of the calcifications is grown into the cluster's outline."""

SUPERSAMPLING = 4
"""Cells per pixel, along each axis, on which shapes are drawn before averaging."""

VISIBLE_SHARE = 0.3
"""Fraction of the peak thickness above which a pixel belongs to a calcification."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Cluster:
    """One cluster in the breast, independent of the view."""

    morphology: Morphology
    distribution: Distribution = "grouped"
    offsets: npt.NDArray[np.float64]
    """N x 3, offsets from the centre in mm: towards the nipple, along the rows of CC, along the rows of MLO."""

    diameters: npt.NDArray[np.float64]
    """N equivalent diameters, in mm."""

    densities: npt.NDArray[np.float64]
    """N factors on the contrast."""

    seeds: npt.NDArray[np.int64]
    """N seeds of the shapes: a calcification has the same shape in both views."""

    depth: float
    """Position between the chest wall (0) and the nipple (1)."""

    lateral: float
    """Position along the rows of CC, -1 to 1 in half heights of the breast."""

    vertical: float
    """Position along the rows of MLO, -1 to 1 in half heights of the breast."""

    def rows(self, view: str) -> npt.NDArray[np.float64]:
        """N row offsets in a view, in mm."""
        return self.offsets[:, 1 if view == "CC" else 2]

    @property
    def columns(self) -> npt.NDArray[np.float64]:
        """N column offsets, in mm; the same in both views."""
        return self.offsets[:, 0]

    @property
    def radius_mm(self) -> float:
        """Radius of a sphere that holds every calcification and the outline."""
        return float(np.linalg.norm(self.offsets, axis=1).max()) + OUTLINE_MM + 0.5


@dataclass(frozen=True, eq=False)
class Speck:
    """A small dense object: relative attenuation on a patch whose top-left pixel is (x0, y0)."""

    patch: Field
    x0: int
    y0: int

    @classmethod
    def at(cls, row_mm: float, column_mm: float, patch: Field, *, spacing_mm: float) -> Speck:
        """Centre a patch on a position in the image, given in mm from its top-left corner."""
        height, width = patch.shape
        return cls(patch, round(column_mm / spacing_mm - width / 2), round(row_mm / spacing_mm - height / 2))

    @property
    def frame(self) -> Box:
        """The pixels that the patch covers; may extend beyond the image."""
        height, width = self.patch.shape
        return Box(self.x0, self.y0, self.x0 + width, self.y0 + height)

    @property
    def mask(self) -> Mask:
        """Tight mask of the visible pixels; see `VISIBLE_SHARE`."""
        mask = Mask(self.patch > VISIBLE_SHARE * self.patch.max(), self.x0, self.y0).tight()
        assert mask is not None, "a patch has a positive peak"
        return mask

    def shifted(self, dx: int, dy: int) -> Speck:
        return Speck(self.patch, self.x0 + dx, self.y0 + dy)


def sample_cluster(rng: np.random.Generator, *, distribution: Distribution = "grouped") -> Cluster:
    """Draw a cluster: an ellipsoid of 6 to 22 mm with 5 to 30 calcifications.

    A linear cluster is a thin line towards the nipple, a segmental one a wedge that widens away from the nipple.
    """
    morphology = list(MORPHOLOGIES)[int(rng.choice(len(MORPHOLOGIES), p=list(MORPHOLOGIES.values())))]
    extent = float(np.clip(rng.lognormal(np.log(15), 0.28), 6, 22))
    number = int(np.clip(rng.lognormal(np.log(13), 0.5), 5, 30))
    axes = np.array([1, rng.uniform(0.5, 1), rng.uniform(0.5, 1)]) * extent / 2
    rotation, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    offsets: list[npt.NDArray[np.float64]] = []
    while len(offsets) < number:
        direction = rng.normal(size=3)
        point = rotation @ (direction / np.linalg.norm(direction) * rng.random() ** 0.55 * axes)
        if distribution != "grouped":
            point = _along_a_duct(point, extent, distribution)
        if all(_apart(point, other) for other in offsets) or rng.random() < 0.02:
            offsets.append(point)
    fading = 0.6 if morphology == "amorphous" else 1.0
    return Cluster(
        morphology=morphology,
        distribution=distribution,
        offsets=np.array(offsets),
        diameters=np.clip(rng.lognormal(np.log(MEDIAN_MM[morphology]), 0.42, number), 0.1, 1.0),
        densities=rng.uniform(0.75, 1.25, number) * rng.lognormal(0, 0.25) * fading,
        seeds=rng.integers(0, 2**31, number),
        depth=float(rng.uniform(0.2, 0.8)),
        lateral=float(rng.uniform(-0.75, 0.75)),
        vertical=float(rng.uniform(-0.75, 0.75)),
    )


def _along_a_duct(
    point: npt.NDArray[np.float64], extent: float, distribution: Distribution
) -> npt.NDArray[np.float64]:
    """Squeeze a point towards the axis to the nipple: onto a line, or into a wedge that widens away from the nipple."""
    along = 1.3 * point[0]
    share = 0.5 - along / (1.3 * extent)  # 0 at the end nearest the nipple, 1 at the far end
    width = 0.12 if distribution == "linear" else 0.15 + 0.85 * float(np.clip(share, 0, 1))
    return np.array([along, point[1] * width, point[2] * width])


def contrast(diameter_mm: float) -> float:
    """Peak relative attenuation of a calcification; it grows with the diameter."""
    return 0.35 + 2.1 * diameter_mm


def thickness(
    rng: np.random.Generator, diameter_mm: float, morphology: Morphology, *, spacing_mm: float
) -> Field:
    """Draw the thickness of one calcification on a square patch, in [0, 1], supersampled and averaged."""
    stretch = 3.4 if morphology == "linear" else 1.9
    side = int(np.ceil(diameter_mm * stretch / spacing_mm)) + 6
    cells = (np.arange(side * SUPERSAMPLING) - (side * SUPERSAMPLING - 1) / 2) * (spacing_mm / SUPERSAMPLING)
    rows, columns = cells[:, None], cells[None, :]
    whole, radius = np.zeros((cells.size, cells.size)), diameter_mm / 2
    num_parts = 1 if morphology == "punctate" else 2 if morphology == "amorphous" else int(rng.integers(2, 5))
    axis = rng.uniform(0, np.pi)
    for part in range(num_parts):
        if morphology == "linear":
            along = (part - (num_parts - 1) / 2) * radius * 1.1
            shift = np.array([np.sin(axis), np.cos(axis)]) * along + rng.normal(0, 0.12 * radius, 2)
            elongation, size = rng.uniform(1.5, 2.2), rng.uniform(0.5, 0.85) * 0.75
            angle = axis + rng.normal(0, 0.35)
        else:
            shift = rng.normal(0, 0.35 * radius, 2) * (num_parts > 1)
            elongation, size = rng.uniform(1, 1.35), 1.0 if num_parts == 1 else rng.uniform(0.5, 0.85)
            angle = rng.uniform(0, np.pi)
        y, x = rows - shift[0], columns - shift[1]
        u = y * np.sin(angle) + x * np.cos(angle)
        v = y * np.cos(angle) - x * np.sin(angle)
        bumps = np.cos(np.arctan2(v, u) * rng.integers(2, 5) + rng.uniform(0, 2 * np.pi))
        wobble = 1 + (0.22 if morphology == "pleomorphic" else 0.08) * bumps
        part_radius = size * radius
        inside = (
            1
            - (u / (part_radius * elongation**0.5 * wobble)) ** 2
            - (v / (part_radius / elongation**0.5 * wobble)) ** 2
        )
        whole = np.maximum(whole, np.sqrt(np.clip(inside, 0, 1)) * min(1.0, size))
    blocks = whole.reshape(side, SUPERSAMPLING, side, SUPERSAMPLING)
    return np.asarray(blocks.mean((1, 3)), np.float32)


def outline(calcifications: list[Mask], *, spacing_mm: float) -> Mask:
    """Convex hull of all calcification pixels, grown by `OUTLINE_MM`; may extend beyond the image."""
    corners = np.concatenate(
        [np.argwhere(mask.bitmap)[:, ::-1] + (mask.x0, mask.y0) for mask in calcifications]
    ).astype(np.int32)
    margin = max(1, round(OUTLINE_MM / spacing_mm))
    x0, y0 = corners.min(0) - margin
    width, height = corners.max(0) + margin + 1 - (x0, y0)
    filled = np.zeros((height, width), np.uint8)
    cv2.fillConvexPoly(filled, cv2.convexHull(corners - np.array([x0, y0], np.int32)), 1)
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * margin + 1, 2 * margin + 1))
    mask = Mask(cv2.dilate(filled, disc) > 0, int(x0), int(y0)).tight()
    assert mask is not None, "a hull of pixels is never empty"
    return mask


def _apart(one: npt.NDArray[np.float64], other: npt.NDArray[np.float64]) -> bool:
    """Whether two calcifications are more than `MIN_DISTANCE_MM` apart in CC and in MLO."""
    difference = one - other
    projected = (np.hypot(difference[0], difference[1]), np.hypot(difference[0], difference[2]))
    return bool(min(projected) > MIN_DISTANCE_MM)
