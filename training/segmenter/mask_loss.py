"""The segmenter's loss: cross entropy and Dice at points of the native truth (HQ-SAM's, PointRend's), and presence."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

UNCERTAIN = 0.75
"""The part of the points that is taken where the mask is least certain; the rest is taken as drawn."""

OVERSAMPLE = 3
"""Candidates per uncertain point (Kirillov et al. 2020, PointRend)."""


class MaskLoss(NamedTuple):
    """Scalars; train on their sum."""

    cross_entropy: Tensor
    """Binary cross entropy, mean over points and masks."""

    dice: Tensor
    """1 - soft Dice, per mask, then the mean: a small mask counts as much as a large one."""

    @property
    def total(self) -> Tensor:
        return self.cross_entropy + self.dice


def num_candidates(num_points: int) -> int:
    """How many candidates `mask_loss` needs for so many points."""
    return round(num_points * UNCERTAIN) * OVERSAMPLE + num_points - round(num_points * UNCERTAIN)


def mask_loss(
    logits: Tensor, candidates: Tensor, truth: Tensor, *, num_points: int, present: Tensor
) -> MaskLoss:
    """Compare N masks with what is true at points, so that the truth is never seen at less than its own resolution.

    A target averaged down to the logits' grid would lose every object smaller than its cells; here the logits are
    interpolated at points whose truth was looked up in native pixels.

    Args:
        logits: N x 1 x s x s.
        candidates: N x M x 2, (x, y) in [0, 1] of the input's side, M = `num_candidates(num_points)`.
        truth: N x M in {0, 1}, whether the cluster covers the native pixel under each candidate.
        num_points: points per mask.
        present: N bool. A region without a lesion has no mask to learn and counts nothing here.

    Returns:
        Means over the N masks, absent ones as 0, so that the halves of a batch average to the whole.
    """
    points, y = _uncertain(logits, candidates, truth, num_points=num_points)
    z = sample(logits, points)
    p = z.sigmoid()
    weight = present.to(z.dtype)
    entropy = F.binary_cross_entropy_with_logits(z, y, reduction="none").mean(1)
    dice = 1 - (2 * (p * y).sum(1) + 1) / (p.sum(1) + y.sum(1) + 1)
    return MaskLoss((weight * entropy).mean(), (weight * dice).mean())


def presence_loss(logits: Tensor, present: Tensor, *, asked: Tensor) -> Tensor:
    """Binary cross entropy of N logits that a lesion is there at all: the mean over N, those not asked as 0."""
    entropy = F.binary_cross_entropy_with_logits(logits.float(), present.float(), reduction="none")
    return (asked.float() * entropy).mean()


def _uncertain(
    logits: Tensor, candidates: Tensor, truth: Tensor, *, num_points: int
) -> tuple[Tensor, Tensor]:
    """The points to compare, N x num_points x 2, and their truth: the least certain candidates, then the last ones."""
    chosen = round(num_points * UNCERTAIN)
    with torch.no_grad():
        doubt = -sample(logits, candidates[:, : chosen * OVERSAMPLE]).abs()
        best = doubt.topk(chosen, dim=1).indices
        rest = torch.arange(chosen * OVERSAMPLE, candidates.shape[1], device=best.device)
        index = torch.cat([best, rest.expand(len(best), -1)], dim=1)
        return candidates.gather(1, index[..., None].expand(-1, -1, 2)), truth.gather(1, index)


def sample(maps: Tensor, points: Tensor) -> Tensor:
    """Bilinear samples, as `interpolate` would upsample: N x 1 x H x W at N x P x 2 in [0, 1] -> N x P, float32."""
    sampled = F.grid_sample(
        maps.float(), 2 * points[:, :, None] - 1, mode="bilinear", padding_mode="border", align_corners=False
    )
    return sampled[:, 0, :, 0]
