"""Raw maps of the network become boxes.

The stock head keeps a cache of anchor points that two threads with tiles of different size would overwrite for each
other; this decoding keeps nothing, and does the work only where the score is high enough.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypedDict

import torch
from torch import Tensor
from torchvision.ops import nms  # type: ignore[import-untyped]


class RawMaps(TypedDict):
    """What the head of YOLOv8 gives in training, for a batch of B images and R distances a side."""

    boxes: Tensor
    """B x 4R x A: distributions over distances from the anchor to the left, top, right, bottom, in strides."""

    scores: Tensor
    """B x 1 x A logits."""

    feats: list[Tensor]
    """Feature maps B x C x H x W whose cells are the A anchors."""


NMS_IOU = 0.6
MAX_PER_TILE = 100


def decode(raw: RawMaps, *, strides: Sequence[float], threshold: float) -> list[Tensor]:
    """Boxes of every image of a batch, best first, overlaps removed.

    Args:
        raw: maps of the head.
        strides: pixels per cell of every feature map.
        threshold: least score, in (0, 1).

    Returns:
        One N x 5 float32 tensor an image: x0, y0, x1, y1 in pixels of the input, score.
    """
    logits = raw["scores"][:, 0].float()
    least = torch.logit(torch.tensor(threshold))
    found = []
    for image in range(len(logits)):
        chosen = torch.nonzero(logits[image] >= least.to(logits.device))[:, 0]
        centres, scale = _anchors(raw["feats"], strides, chosen)
        distributions = raw["boxes"][image][:, chosen].float()  # 4R x N
        bins = torch.arange(distributions.shape[0] // 4, device=logits.device, dtype=torch.float32)
        distances = (distributions.view(4, len(bins), -1).softmax(1) * bins[:, None]).sum(1)  # 4 x N
        corners = torch.cat([centres - distances[:2].T, centres + distances[2:].T], 1) * scale[:, None]
        scores = logits[image][chosen].sigmoid()
        kept = nms(corners, scores, NMS_IOU)[:MAX_PER_TILE]
        found.append(torch.cat([corners[kept], scores[kept, None]], 1).cpu())
    return found


def _anchors(features: Sequence[Tensor], strides: Sequence[float], chosen: Tensor) -> tuple[Tensor, Tensor]:
    """Centres (N x 2, in strides) and strides (N) of the chosen anchors, counted through all feature maps."""
    centres, scale = [], []
    for feature, stride in zip(features, strides, strict=True):
        height, width = feature.shape[-2:]
        inside = chosen[(chosen >= 0) & (chosen < height * width)]
        rows = torch.div(inside, width, rounding_mode="floor")
        centres.append(torch.stack([inside % width, rows], 1) + 0.5)
        scale.append(torch.full((len(inside),), float(stride), device=chosen.device))
        chosen = chosen - height * width  # `nonzero` is sorted, so the maps come in order
    return torch.cat(centres), torch.cat(scale)
