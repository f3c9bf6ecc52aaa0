"""Lesion: calcifications that are drawn together; a cluster, or a benign structure that resembles one.

Positions and sizes are in mm relative to the centre of the lesion, so a lesion can be drawn at any pixel spacing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from mammo.phantom import Cluster, sample_cluster
from mammo.phantom.calcifications import Distribution, Morphology, contrast, thickness
from mammo.phantom.randomised import shrinking
from mammo.phantom.texture import Field

Kind = Literal["cluster", "single", "coarse", "rim", "vessel", "dust", "hair"]

DISTRIBUTION_SHARES: Mapping[Distribution, float] = {"grouped": 0.6, "linear": 0.2, "segmental": 0.2}


@dataclass(frozen=True)
class Part:
    """One calcification of a lesion."""

    row_mm: float
    column_mm: float
    diameter_mm: float
    morphology: Morphology
    peak: float
    """Relative attenuation of its thickest place."""

    seed: int
    """Of its shape."""

    lucent: bool = False
    """A rim with a lucent centre."""

    def patch(self, spacing_mm: float) -> Field:
        """The relative attenuation on a square patch."""
        drawn = thickness(
            np.random.default_rng(self.seed), self.diameter_mm, self.morphology, spacing_mm=spacing_mm
        )
        if self.lucent:
            drawn = drawn * (1 - 0.75 * (drawn > 0.75))
        return np.asarray(drawn * np.float32(self.peak), np.float32)


@dataclass(frozen=True)
class Lesion:
    """A cluster or a benign structure."""

    kind: Kind
    parts: tuple[Part, ...]

    sharp: bool = False
    """Whether it lies on the film or the scanner, so that the blur of the detector does not apply."""

    @property
    def radius_mm(self) -> float:
        """Radius of a circle that holds every part."""
        reaches = (np.hypot(part.row_mm, part.column_mm) + 2 * part.diameter_mm for part in self.parts)
        return float(max(reaches)) + 1.0


def sample_inserted_cluster(rng: np.random.Generator) -> Lesion:
    """Draw a cluster of any morphology and distribution, with an extent of 2 to 22 mm and a random orientation.

    Smaller clusters are phantoms' clusters at a reduced scale with fewer calcifications; their sizes stay.
    """
    shares = DISTRIBUTION_SHARES
    distribution = list(shares)[int(rng.choice(len(shares), p=list(shares.values())))]
    cluster = sample_cluster(rng, distribution=distribution)
    rows, columns = _projected(cluster, rng)
    extent = 2 * float(np.hypot(rows, columns).max())
    scale, chosen = shrinking(extent, len(rows), rng)
    return Lesion(
        "cluster",
        tuple(
            Part(
                float(rows[i] * scale),
                float(columns[i] * scale),
                float(cluster.diameters[i]),
                cluster.morphology,
                contrast(float(cluster.diameters[i])) * float(cluster.densities[i]),
                int(cluster.seeds[i]),
            )
            for i in chosen
        ),
    )


def _projected(
    cluster: Cluster, rng: np.random.Generator
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Row and column offsets in mm, in a view with a random orientation, centred."""
    rows, columns = cluster.rows("CC" if rng.random() < 0.5 else "MLO"), cluster.columns
    angle = rng.uniform(0, 2 * np.pi)
    turned = (
        rows * np.cos(angle) - columns * np.sin(angle),
        rows * np.sin(angle) + columns * np.cos(angle),
    )
    return turned[0] - turned[0].mean(), turned[1] - turned[1].mean()


def sample_benign(rng: np.random.Generator, *, film: bool) -> Lesion:
    """Draw a structure that is no cluster.

    Args:
        film: also draw dust and hairs on a digitised film.
    """
    kinds: list[Callable[[np.random.Generator], Lesion]] = [_single, _single, _coarse, _rim, _vessel]
    if film:
        kinds += [_dust, _dust, _hair]
    return kinds[int(rng.integers(len(kinds)))](rng)


def _one(rng: np.random.Generator, kind: Kind, low: float, high: float, *, lucent: bool = False) -> Lesion:
    diameter = float(rng.uniform(low, high))
    part = Part(0.0, 0.0, diameter, "punctate", contrast(0) + 1.2 * diameter, _seed(rng), lucent)
    return Lesion(kind, (part,))


def _single(rng: np.random.Generator) -> Lesion:
    return _one(rng, "single", 0.2, 0.6)


def _coarse(rng: np.random.Generator) -> Lesion:
    return _one(rng, "coarse", 0.8, 2.4)


def _rim(rng: np.random.Generator) -> Lesion:
    return _one(rng, "rim", 1.0, 2.6, lucent=True)


def _vessel(rng: np.random.Generator) -> Lesion:
    """The calcified walls of a vessel: two broken lines about 1.2 mm apart along a bent course."""
    along = np.arange(-rng.uniform(5, 12), rng.uniform(5, 12), 0.5)
    angle, bend, half = rng.uniform(0, 2 * np.pi), rng.normal(0, 0.02), rng.uniform(0.4, 0.9)
    parts = []
    for side in (-half, half):
        for position in along[rng.random(len(along)) < 0.55]:
            across = side + bend * position**2 + rng.normal(0, 0.08)
            row = position * np.sin(angle) + across * np.cos(angle)
            column = position * np.cos(angle) - across * np.sin(angle)
            diameter = float(rng.uniform(0.2, 0.4))
            parts.append(Part(float(row), float(column), diameter, "pleomorphic", 0.8, _seed(rng)))
    return Lesion("vessel", tuple(parts)) if parts else _single(rng)


def _dust(rng: np.random.Generator) -> Lesion:
    """One to three sharp grains on the film: too few for a cluster."""
    parts = tuple(
        Part(
            float(rng.normal(0, 3)),
            float(rng.normal(0, 3)),
            float(rng.uniform(0.2, 0.5)),
            "punctate",
            1.5,
            _seed(rng),
        )
        for _ in range(int(rng.integers(1, 4)))
    )
    return Lesion("dust", parts, sharp=True)


def _hair(rng: np.random.Generator) -> Lesion:
    """A scratch or a hair on the film: a thin bent line."""
    along = np.arange(0, rng.uniform(4, 15), 0.12)
    turns = rng.uniform(0, 2 * np.pi) + np.cumsum(rng.normal(0, 0.04, len(along)))
    rows, columns = np.cumsum(np.sin(turns)) * 0.12, np.cumsum(np.cos(turns)) * 0.12
    return Lesion(
        "hair",
        tuple(
            Part(float(row), float(column), 0.2, "punctate", 1.0, 0)
            for row, column in zip(rows - rows.mean(), columns - columns.mean(), strict=True)
        ),
        sharp=True,
    )


def _seed(rng: np.random.Generator) -> int:
    return int(rng.integers(0, 2**31))
