"""Binding clicks: at an expert's clicks the mask has the expert's label, whatever the network predicts.

A decoder treats a click as a hint, and a small decoder may ignore it. The logits z are corrected by a smooth function
that is zero at the clicks that are satisfied already and just large enough at the others,

    z'(p) = z(p) + sum_i w_i exp(-|p - c_i|^2 / 2 r_i^2),   s_i z'(c_i) = max(s_i z(c_i), MARGIN),

for clicks c_i with signs s_i = +1 or -1 (interpolation by radial basis functions). The radius r_i is REACH, but at most
half the distance to the nearest click of the other sign. The constraint is that of backpropagating refinement (Jang and
Kim 2019, BRS), without its optimisation through the network at every click. Reach and margin were chosen on phantoms by
simulated clicks (docs/experiments.md, 2026-11-29).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from mammo.segmenter.runtime import Logits

REACH = 3.0
"""Standard deviation of a click's influence, in logits: 0.8 mm at the cluster level, 0.2 mm at the calcification level
(for pixels of 0.07 mm)."""

MIN_REACH = 0.5
"""Minimum standard deviation that the grid of logits can represent."""

MARGIN = 2.0
"""Minimum logit at a click, with the click's sign: a probability of 0.88. Larger margins extend further around it."""

RIDGE = 1e-3
"""Tikhonov regularisation: bounds the weights where opposite clicks within one logit cannot both be satisfied."""

MAX_PASSES = 8
"""Maximum number of solutions. Between close opposite clicks the regularised one may leave a click on the wrong side;
the next one is for what is left."""

Floats = npt.NDArray[np.float64]


def enforce_clicks(
    logits: Logits, positive: Sequence[tuple[float, float]], negative: Sequence[tuple[float, float]]
) -> Logits:
    """Correct the logits so that every click is satisfied; return the same array if all are already.

    Args:
        logits: s x s, positive = lesion.
        positive: clicks on the lesion: continuous (x, y) in the frame of the logits, whose first centre is (0.5, 0.5).
        negative: clicks on the background, in the same frame.
    """
    clicks = np.array([*positive, *negative], np.float64).reshape(-1, 2)
    signs = np.array([1.0] * len(positive) + [-1.0] * len(negative))
    x, y = (_hats(clicks[:, axis], len(logits)) for axis in (0, 1))
    signed = signs * ((y @ logits) * x).sum(axis=1)
    if (signed >= MARGIN).all():
        return logits
    centres = np.arange(len(logits)) + 0.5
    width = 2 * _reach(clicks, signs)[:, None] ** 2
    across, down = (np.exp(-((centres - clicks[:, axis, None]) ** 2) / width) for axis in (0, 1))
    # influence[j, i] is that of click i at click j: a separable function is interpolated along each axis.
    influence = (x @ across.T) * (y @ down.T)
    normal = influence.T @ influence + RIDGE * np.eye(len(clicks))
    weights = np.zeros(len(clicks))
    reached = signed
    for _ in range(MAX_PASSES):
        deficits = np.maximum(0.0, MARGIN - reached)
        weights += np.linalg.solve(normal, influence.T @ (signs * deficits))
        reached = signed + signs * (influence @ weights)
        if (reached > 0).all():
            break
    corrected: Logits = (logits + (weights[:, None] * down).T @ across).astype(np.float32)
    return corrected


def _reach(clicks: Floats, signs: Floats) -> Floats:
    """Radius of each click's influence, in logits."""
    distances = np.linalg.norm(clicks[:, None] - clicks[None], axis=2)
    distances[signs[:, None] == signs[None]] = np.inf
    reach: Floats = np.clip(distances.min(axis=1) / 2, MIN_REACH, REACH)
    return reach


def _hats(clicks: Floats, side: int) -> Floats:
    """K x side, weights of linear interpolation at K coordinates along one axis, as the mask is upsampled."""
    at = np.clip(clicks - 0.5, 0, side - 1)
    hats: Floats = np.maximum(0.0, 1.0 - np.abs(at[:, None] - np.arange(side)))
    return hats
