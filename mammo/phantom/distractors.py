"""Benign structures that resemble clusters: macro, rim and single calcifications, and vascular tram tracks."""

from __future__ import annotations

import numpy as np

from mammo.phantom.anatomy import Anatomy
from mammo.phantom.calcifications import Speck, contrast, thickness
from mammo.phantom.texture import Field

KINDS = ("macro", "rim", "single", "vascular")


def distractors(rng: np.random.Generator, anatomy: Anatomy, clearance: Field, *, number: int) -> list[Speck]:
    """Draw `number` distractors.

    Args:
        clearance: h x w coarse grid, in mm; positive inside the breast and away from clusters.
        number: how many to draw; a tram track counts as one.
    """
    specks: list[Speck] = []
    places = np.argwhere(clearance > 0)
    for _ in range(number if len(places) else 0):
        row, column = places[rng.integers(len(places))] * anatomy.cell_mm
        kind = KINDS[rng.integers(len(KINDS))]
        if kind == "vascular":
            specks += _tram_track(rng, anatomy, clearance)
            continue
        low, high = {"macro": (1.0, 2.4), "rim": (1.0, 2.6), "single": (0.2, 0.6)}[kind]
        diameter = float(rng.uniform(low, high))
        patch = thickness(rng, diameter, "punctate", spacing_mm=anatomy.spacing_mm)
        if kind == "rim":  # lucent centre
            patch = patch * (1 - 0.75 * (patch > 0.75))
        patch = patch * np.float32(contrast(0) + 1.2 * diameter)
        specks.append(Speck.at(float(row), float(column), patch, spacing_mm=anatomy.spacing_mm))
    return specks


def _tram_track(rng: np.random.Generator, anatomy: Anatomy, clearance: Field) -> list[Speck]:
    """Calcified vessel walls: two broken parallel lines along a vessel's course; none along a short vessel."""
    rows, columns = anatomy.vessels[rng.integers(len(anatomy.vessels))]
    if len(rows) < 70:
        return []
    start = int(rng.integers(10, len(rows) - 55))
    specks: list[Speck] = []
    for step in range(start, start + 50, 2):
        for side in (-0.6, 0.6):
            drawn, shift = rng.random() < 0.55, rng.normal(0, 0.15)
            if not drawn or clearance[rows[step], columns[step]] <= 0:
                continue
            patch = thickness(rng, float(rng.uniform(0.2, 0.4)), "pleomorphic", spacing_mm=anatomy.spacing_mm)
            row, column = rows[step] * anatomy.cell_mm + side, columns[step] * anatomy.cell_mm + shift
            patch = patch * np.float32(0.8)
            specks.append(Speck.at(float(row), float(column), patch, spacing_mm=anatomy.spacing_mm))
    return specks
