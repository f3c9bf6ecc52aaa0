"""Clicks bind: where an expert clicked, the mask says what the expert said, whatever the network makes of it.

A decoder takes a click as a hint, and a small one may pass over it. What it says is kept as far as it can be: its
logits z get the smooth change that is zero at the clicks that hold already and just enough at the others,

    z'(p) = z(p) + sum_i w_i exp(-|p - c_i|^2 / 2 r_i^2),   s_i z'(c_i) = max(s_i z(c_i), MARGIN),

for clicks c_i with signs s_i = +1 or -1 (interpolation by radial basis functions). A click reaches r_i = REACH, and no
further than half the way to the nearest click of the other sign. The constraint is that of backpropagating refinement
(Jang and Kim 2019, BRS), without its optimisation through the network at every click. Reach and margin were chosen on
phantoms by simulated clicks (docs/experiments.md, 2026-11-29).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from mammo.segmenter.runtime import Logits

REACH = 3.0
"""Standard deviation of a click's influence, in logits: 0.8 mm at the cluster level, 0.2 mm at that of calcifications
(0.07 mm a pixel)."""

MIN_REACH = 0.5
"""Standard deviation below which the grid of the logits could not show it."""

MARGIN = 2.0
"""Logit that a click has at least, on its side: a probability of 0.88. More carries further around the click."""

RIDGE = 1e-3
"""Tikhonov's: opposite clicks within one logit cannot both hold; each then gives way, and no weight explodes."""

Floats = npt.NDArray[np.float64]


def bound(
    logits: Logits, positive: Sequence[tuple[float, float]], negative: Sequence[tuple[float, float]]
) -> Logits:
    """The logits after every click holds; the same array where all hold already.

    Args:
        logits: s x s, positive = lesion.
        positive: continuous places (x, y) in the frame of the logits, whose first centre is (0.5, 0.5).
        negative: as `positive`, of what is not the lesion.
    """
    places = np.array([*positive, *negative], np.float64).reshape(-1, 2)
    signs = np.array([1.0] * len(positive) + [-1.0] * len(negative))
    x, y = (_hats(places[:, axis], len(logits)) for axis in (0, 1))
    lacking = np.maximum(0.0, MARGIN - signs * ((y @ logits) * x).sum(axis=1))
    if not lacking.any():
        return logits
    centres = np.arange(len(logits)) + 0.5
    width = 2 * _reach(places, signs)[:, None] ** 2
    across, down = (np.exp(-((centres - places[:, axis, None]) ** 2) / width) for axis in (0, 1))
    # [j, i]: at click j, of click i; bilinear values of a product of two profiles are the product of their linear ones.
    influence = (x @ across.T) * (y @ down.T)
    normal = influence.T @ influence + RIDGE * np.eye(len(places))
    weights = np.linalg.solve(normal, influence.T @ (signs * lacking))
    bent: Logits = (logits + (weights[:, None] * down).T @ across).astype(np.float32)
    return bent


def _reach(places: Floats, signs: Floats) -> Floats:
    """Of each click, in logits."""
    apart = np.linalg.norm(places[:, None] - places[None], axis=2)
    apart[signs[:, None] == signs[None]] = np.inf
    reach: Floats = np.clip(apart.min(axis=1) / 2, MIN_REACH, REACH)
    return reach


def _hats(places: Floats, side: int) -> Floats:
    """K x side: how much of each logit along an axis is in the value at a place; linear, as the mask is drawn."""
    at = np.clip(places - 0.5, 0, side - 1)
    hats: Floats = np.maximum(0.0, 1.0 - np.abs(at[:, None] - np.arange(side)))
    return hats
