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

Kind = Literal["punctate", "pleomorphic", "linear", "amorphous"]
KINDS: dict[Kind, float] = {"punctate": 0.3, "pleomorphic": 0.4, "linear": 0.2, "amorphous": 0.1}
"""Morphology and how common it is here."""

Distribution = Literal["grouped", "linear", "segmental"]
DISTRIBUTIONS: tuple[Distribution, ...] = ("grouped", "linear", "segmental")
"""BI-RADS distributions that are drawn: in one place, along a duct, in the wedge of a lobe."""

MEDIAN_MM: dict[Kind, float] = {"punctate": 0.28, "pleomorphic": 0.33, "linear": 0.30, "amorphous": 0.20}
MIN_DISTANCE_MM = 0.35
"""Between two calcifications of a cluster, as seen in either view."""

OUTLINE_MM = 1.0
"""The cluster's outline: convex hull of its calcifications, grown by this much."""

SUPERSAMPLING = 4
VISIBLE_SHARE = 0.3
"""A pixel belongs to a calcification when it has this share of its peak thickness."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Cluster:
    """One cluster in the breast, independent of the view."""

    kind: Kind
    distribution: Distribution = "grouped"
    offsets: npt.NDArray[np.float64]
    """N x 3, mm from the centre: towards the nipple, then the two axes that CC and MLO project on their rows."""

    diameters: npt.NDArray[np.float64]
    """N equivalent diameters, mm."""

    densities: npt.NDArray[np.float64]
    """N factors on the contrast."""

    seeds: npt.NDArray[np.int64]
    """N seeds of the shapes: the same calcification has the same shape in both views."""

    depth: float
    """Where it lies: share of the way from the chest wall to the nipple."""

    lateral: float
    vertical: float
    """Where it lies along the rows of CC and of MLO, -1 to 1 of the breast's half height."""

    def rows(self, view: str) -> npt.NDArray[np.float64]:
        """N row offsets in a view, mm."""
        return self.offsets[:, 1 if view == "CC" else 2]

    @property
    def columns(self) -> npt.NDArray[np.float64]:
        """N column offsets, mm."""
        return self.offsets[:, 0]

    @property
    def radius_mm(self) -> float:
        """Farthest calcification from the centre, with its outline."""
        return float(np.linalg.norm(self.offsets, axis=1).max()) + OUTLINE_MM + 0.5


@dataclass(frozen=True, eq=False)
class Speck:
    """Something small and dense: relative attenuation on a patch with its top-left pixel at (x0, y0)."""

    patch: Field
    x0: int
    y0: int

    @classmethod
    def at(cls, row_mm: float, column_mm: float, patch: Field, *, spacing_mm: float) -> Speck:
        """A patch centred on a place in the image, mm from its top-left corner."""
        height, width = patch.shape
        return cls(patch, round(column_mm / spacing_mm - width / 2), round(row_mm / spacing_mm - height / 2))

    @property
    def frame(self) -> Box:
        """The pixels that the patch covers; may leave the image."""
        height, width = self.patch.shape
        return Box(self.x0, self.y0, self.x0 + width, self.y0 + height)

    @property
    def mask(self) -> Mask:
        """Its visible pixels, tight."""
        mask = Mask(self.patch > VISIBLE_SHARE * self.patch.max(), self.x0, self.y0).tight()
        assert mask is not None, "a patch has a positive peak"
        return mask

    def shifted(self, dx: int, dy: int) -> Speck:
        return Speck(self.patch, self.x0 + dx, self.y0 + dy)


def sample_cluster(rng: np.random.Generator, *, distribution: Distribution = "grouped") -> Cluster:
    """Draw a cluster: an ellipsoid of 6 to 22 mm with 5 to 30 calcifications.

    A linear one is a thin line towards the nipple, a segmental one a wedge that opens away from it.
    """
    kind = list(KINDS)[int(rng.choice(len(KINDS), p=list(KINDS.values())))]
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
    fading = 0.6 if kind == "amorphous" else 1.0
    return Cluster(
        kind=kind,
        distribution=distribution,
        offsets=np.array(offsets),
        diameters=np.clip(rng.lognormal(np.log(MEDIAN_MM[kind]), 0.42, number), 0.1, 1.0),
        densities=rng.uniform(0.75, 1.25, number) * rng.lognormal(0, 0.25) * fading,
        seeds=rng.integers(0, 2**31, number),
        depth=float(rng.uniform(0.2, 0.8)),
        lateral=float(rng.uniform(-0.75, 0.75)),
        vertical=float(rng.uniform(-0.75, 0.75)),
    )


def _along_a_duct(
    point: npt.NDArray[np.float64], extent: float, distribution: Distribution
) -> npt.NDArray[np.float64]:
    """The same point squeezed towards the axis that leads to the nipple: to a line, or to a wedge that opens away."""
    along = 1.3 * point[0]
    share = 0.5 - along / (1.3 * extent)  # 0 at the end near the nipple, 1 at the far one
    width = 0.12 if distribution == "linear" else 0.15 + 0.85 * float(np.clip(share, 0, 1))
    return np.array([along, point[1] * width, point[2] * width])


def contrast(diameter_mm: float) -> float:
    """Peak relative attenuation of a calcification: grows with its thickness."""
    return 0.35 + 2.1 * diameter_mm


def thickness(rng: np.random.Generator, diameter_mm: float, kind: Kind, *, spacing_mm: float) -> Field:
    """Thickness of one calcification on a square patch, in [0, 1], drawn four times finer and averaged."""
    stretch = 3.4 if kind == "linear" else 1.9
    side = int(np.ceil(diameter_mm * stretch / spacing_mm)) + 6
    cells = (np.arange(side * SUPERSAMPLING) - (side * SUPERSAMPLING - 1) / 2) * (spacing_mm / SUPERSAMPLING)
    rows, columns = cells[:, None], cells[None, :]
    whole, radius = np.zeros((cells.size, cells.size)), diameter_mm / 2
    parts = 1 if kind == "punctate" else 2 if kind == "amorphous" else int(rng.integers(2, 5))
    axis = rng.uniform(0, np.pi)
    for part in range(parts):
        if kind == "linear":
            along = (part - (parts - 1) / 2) * radius * 1.1
            shift = np.array([np.sin(axis), np.cos(axis)]) * along + rng.normal(0, 0.12 * radius, 2)
            long, size, angle = (
                rng.uniform(1.5, 2.2),
                rng.uniform(0.5, 0.85) * 0.75,
                axis + rng.normal(0, 0.35),
            )
        else:
            shift = rng.normal(0, 0.35 * radius, 2) * (parts > 1)
            long, size = rng.uniform(1, 1.35), 1.0 if parts == 1 else rng.uniform(0.5, 0.85)
            angle = rng.uniform(0, np.pi)
        y, x = rows - shift[0], columns - shift[1]
        u = y * np.sin(angle) + x * np.cos(angle)
        v = y * np.cos(angle) - x * np.sin(angle)
        bumps = np.cos(np.arctan2(v, u) * rng.integers(2, 5) + rng.uniform(0, 2 * np.pi))
        wobble = 1 + (0.22 if kind == "pleomorphic" else 0.08) * bumps
        here = size * radius
        inside = 1 - (u / (here * long**0.5 * wobble)) ** 2 - (v / (here / long**0.5 * wobble)) ** 2
        whole = np.maximum(whole, np.sqrt(np.clip(inside, 0, 1)) * min(1.0, size))
    blocks = whole.reshape(side, SUPERSAMPLING, side, SUPERSAMPLING)
    return np.asarray(blocks.mean((1, 3)), np.float32)


def outline(calcifications: list[Mask], *, spacing_mm: float) -> Mask:
    """Convex hull of all calcification pixels, grown by `OUTLINE_MM`; may reach over the image's border."""
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
    difference = one - other
    seen = (np.hypot(difference[0], difference[1]), np.hypot(difference[0], difference[2]))
    return bool(min(seen) > MIN_DISTANCE_MM)
