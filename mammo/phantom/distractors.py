"""What resembles a cluster and is none: benign macro and rim calcifications, single specks, vascular tram tracks."""

from __future__ import annotations

import numpy as np

from mammo.phantom.anatomy import Anatomy
from mammo.phantom.calcifications import Speck, contrast, thickness
from mammo.phantom.texture import Field

KINDS = ("macro", "rim", "single", "vascular")


def distractors(rng: np.random.Generator, anatomy: Anatomy, free: Field, *, number: int) -> list[Speck]:
    """Draw `number` distractors.

    Args:
        free: h x w coarse grid, above 0 where a distractor may lie (in the breast, away from clusters).
    """
    specks: list[Speck] = []
    places = np.argwhere(free > 0)
    for _ in range(number if len(places) else 0):
        row, column = places[rng.integers(len(places))] * anatomy.cell_mm
        kind = KINDS[rng.integers(len(KINDS))]
        if kind == "vascular":
            specks += _tram_track(rng, anatomy, free)
            continue
        low, high = {"macro": (1.0, 2.4), "rim": (1.0, 2.6), "single": (0.2, 0.6)}[kind]
        diameter = float(rng.uniform(low, high))
        patch = thickness(rng, diameter, "punctate", spacing_mm=anatomy.spacing_mm)
        if kind == "rim":  # lucent centre
            patch = patch * (1 - 0.75 * (patch > 0.75))
        patch = patch * np.float32(contrast(0) + 1.2 * diameter)
        specks.append(Speck.at(float(row), float(column), patch, spacing_mm=anatomy.spacing_mm))
    return specks


def _tram_track(rng: np.random.Generator, anatomy: Anatomy, free: Field) -> list[Speck]:
    """Calcified vessel walls: two broken parallel lines along a vessel's course."""
    rows, columns = anatomy.vessels[rng.integers(len(anatomy.vessels))]
    if len(rows) < 70:
        return []
    start = int(rng.integers(10, len(rows) - 55))
    specks: list[Speck] = []
    for step in range(start, start + 50, 2):
        for side in (-0.6, 0.6):
            drawn, shift = rng.random() < 0.55, rng.normal(0, 0.15)
            if not drawn or free[rows[step], columns[step]] <= 0:
                continue
            patch = thickness(rng, float(rng.uniform(0.2, 0.4)), "pleomorphic", spacing_mm=anatomy.spacing_mm)
            row, column = rows[step] * anatomy.cell_mm + side, columns[step] * anatomy.cell_mm + shift
            patch = patch * np.float32(0.8)
            specks.append(Speck.at(float(row), float(column), patch, spacing_mm=anatomy.spacing_mm))
    return specks
