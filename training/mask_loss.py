"""The segmenter's loss: cross entropy and Dice at points of the full-resolution target (HQ-SAM's, PointRend's)."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F


class MaskLoss(NamedTuple):
    """Scalars; train on their sum."""

    cross_entropy: Tensor
    """Binary cross entropy, mean over points and masks."""

    dice: Tensor
    """1 - soft Dice, per mask, then the mean: a small mask counts as much as a large one."""

    @property
    def total(self) -> Tensor:
        return self.cross_entropy + self.dice


def mask_loss(
    logits: Tensor, targets: Tensor, *, num_points: int | None, generator: torch.Generator | None = None
) -> MaskLoss:
    """Compare N masks with their targets, never at less than the target's own resolution.

    A target averaged down to the logits' grid would lose every object smaller than its cells; here the logits are
    interpolated up to the target instead.

    Args:
        logits: N x 1 x s x s.
        targets: N x 1 x S x S in [0, 1]; S is a multiple of s.
        num_points: how many points to compare: three quarters where the mask is least certain, the rest anywhere
            (Kirillov et al. 2020, PointRend). None: every pixel of the target.
        generator: source of the points; None uses torch's own.
    """
    if num_points is None:
        full = F.interpolate(logits, size=targets.shape[-2:], mode="bilinear", align_corners=False)
        z, y = full.flatten(1), targets.flatten(1)
    else:
        points = uncertain_points(logits, num_points=num_points, generator=generator)
        z, y = _at(logits, points), _at(targets, points)
    p = z.sigmoid()
    dice = (2 * (p * y).sum(1) + 1) / (p.sum(1) + y.sum(1) + 1)
    return MaskLoss(F.binary_cross_entropy_with_logits(z, y), (1 - dice).mean())


def uncertain_points(
    logits: Tensor,
    *,
    num_points: int,
    oversample: int = 3,
    uncertain: float = 0.75,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Draw points where a mask is least certain, and some anywhere.

    Args:
        logits: N x 1 x s x s.
        num_points: points per mask.
        oversample: candidates per point; those with the smallest |logit| are taken.
        uncertain: the part of the points that is chosen so; the rest is uniform.

    Returns:
        N x num_points x 2, (x, y) in [0, 1]; no gradient flows through them.
    """
    N, chosen = len(logits), int(num_points * uncertain)
    with torch.no_grad():
        candidates = torch.rand(N, num_points * oversample, 2, generator=generator).to(logits.device)
        doubt = -_at(logits, candidates).abs()
        best = doubt.topk(chosen, dim=1).indices
        taken = candidates.gather(1, best[..., None].expand(-1, -1, 2))
        anywhere = torch.rand(N, num_points - chosen, 2, generator=generator).to(logits.device)
        return torch.cat([taken, anywhere], dim=1)


def _at(maps: Tensor, points: Tensor) -> Tensor:
    """Bilinear samples: N x 1 x H x W at N x P x 2 in [0, 1] -> N x P."""
    sampled = F.grid_sample(maps, 2 * points[:, :, None] - 1, mode="bilinear", align_corners=False)
    return sampled[:, 0, :, 0]
