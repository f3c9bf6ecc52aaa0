"""The segmenter's loss, at points of the native truth, and the loss of the presence head.

The paper states no loss; this is HQ-SAM's (Ke et al. 2023): cross entropy and Dice loss at points that are chosen as by
PointRend (Kirillov et al. 2020). For a mask with logits z, p = sigmoid(z), and truth y at N points:

    L_CE   = -1/N sum(y log p + (1 - y) log(1 - p))             (a)
    L_Dice = 1 - (2 sum(p y) + 1) / (sum(p) + sum(y) + 1)       (b)
    L      = L_CE + L_Dice                                      (c)
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

UNCERTAIN = 0.75
"""Share of the points at which the mask is least certain (PointRend's beta); the others are random."""

OVERSAMPLE = 3
"""Candidates per uncertain point (PointRend's k)."""


class MaskLoss(NamedTuple):
    """Scalar tensors."""

    cross_entropy: Tensor
    """Eq. (a), mean over the masks."""

    dice: Tensor
    """Eq. (b), mean over the masks: a small mask counts as much as a large one."""

    @property
    def total(self) -> Tensor:
        return self.cross_entropy + self.dice  # eq. (c)


def num_candidates(num_points: int) -> int:
    """Number of candidates from which `mask_loss` chooses its points."""
    num_uncertain = round(num_points * UNCERTAIN)
    return num_uncertain * OVERSAMPLE + num_points - num_uncertain


def mask_loss(
    logits: Tensor, candidates: Tensor, truth: Tensor, *, num_points: int, present: Tensor
) -> MaskLoss:
    """Compare N masks with the truth at points, at the truth's own resolution.

    A target averaged to the grid of the logits would lose every object smaller than a cell. Here the logits are
    interpolated at points whose truth was looked up in native pixels.

    Args:
        logits: N x 1 x s x s.
        candidates: N x M x 2, (x, y) in [0, 1] of the input's side, M = `num_candidates(num_points)`.
        truth: N x M in {0, 1}, whether the cluster covers the native pixel under each candidate.
        num_points: points per mask.
        present: N bool. A region without a lesion has no mask to learn; its loss is 0.

    Returns:
        Means over all N masks, including absent ones, so that the means of a batch's halves average to that of the
        whole.
    """
    points, y = _choose_points(logits, candidates, truth, num_points=num_points)
    z = sample(logits, points)
    p = z.sigmoid()
    weight = present.to(z.dtype)
    entropy = F.binary_cross_entropy_with_logits(z, y, reduction="none").mean(1)  # eq. (a)
    dice = 1 - (2 * (p * y).sum(1) + 1) / (p.sum(1) + y.sum(1) + 1)  # eq. (b)
    return MaskLoss((weight * entropy).mean(), (weight * dice).mean())


def presence_loss(logits: Tensor, present: Tensor, *, counted: Tensor) -> Tensor:
    """Mean binary cross entropy of the presence head.

    Args:
        logits: N, that there is a lesion.
        present: N bool.
        counted: N bool; the loss of the others is 0, and they count in the mean.
    """
    entropy = F.binary_cross_entropy_with_logits(logits.float(), present.float(), reduction="none")
    return (counted.float() * entropy).mean()


def _choose_points(
    logits: Tensor, candidates: Tensor, truth: Tensor, *, num_points: int
) -> tuple[Tensor, Tensor]:
    """The points to compare, N x num_points x 2, and their truth: the least certain candidates, and the last ones."""
    num_uncertain = round(num_points * UNCERTAIN)
    with torch.no_grad():
        uncertainty = -sample(logits, candidates[:, : num_uncertain * OVERSAMPLE]).abs()
        uncertain = uncertainty.topk(num_uncertain, dim=1).indices
        rest = torch.arange(num_uncertain * OVERSAMPLE, candidates.shape[1], device=uncertain.device)
        index = torch.cat([uncertain, rest.expand(len(uncertain), -1)], dim=1)
        return candidates.gather(1, index[..., None].expand(-1, -1, 2)), truth.gather(1, index)


def sample(maps: Tensor, points: Tensor) -> Tensor:
    """Sample maps bilinearly, as `interpolate` upsamples.

    Args:
        maps: N x 1 x H x W.
        points: N x P x 2, (x, y) in [0, 1].

    Returns:
        N x P float32.
    """
    sampled = F.grid_sample(
        maps.float(), 2 * points[:, :, None] - 1, mode="bilinear", padding_mode="border", align_corners=False
    )
    return sampled[:, 0, :, 0]
