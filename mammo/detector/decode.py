"""Raw maps of the network become boxes.

The stock head keeps a cache of anchor points that two threads with tiles of different size would overwrite for each
other; this decoding keeps nothing, and does the work only where the score is high enough.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, TypedDict

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d


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
MAX_ANCHORS = 2000
"""Only so many of a tile's best anchors become boxes: a threshold near 0 costs bounded time and memory."""

_CHUNK = 256
"""Anchors whose surroundings are gathered at once: 16 MB of a map with 640 channels."""

_AROUND = torch.arange(-2, 3)
"""The box branch sees two cells on every side of an anchor: two 3 x 3 convolutions and one of 1 x 1."""


def decode(raw: RawMaps, *, strides: Sequence[float], threshold: float) -> list[Tensor]:
    """Boxes of every image of a batch, best first, overlaps removed.

    Args:
        raw: maps of the head.
        strides: pixels per cell of every feature map.
        threshold: least score, in (0, 1).

    Returns:
        One N x 5 float32 tensor an image: x0, y0, x1, y1 in pixels of the input, score.
    """
    grid = [(*feature.shape[-2:], stride) for feature, stride in zip(raw["feats"], strides, strict=True)]
    return [
        decode_anchors(
            raw["scores"][image, 0],
            lambda chosen, boxes=raw["boxes"][image]: boxes[:, chosen],  # type: ignore[misc]
            grid=grid,
            threshold=threshold,
        )
        for image in range(len(raw["scores"]))
    ]


def decode_anchors(
    logits: Tensor,
    distributions: Callable[[Tensor], Tensor],
    *,
    grid: Sequence[tuple[int, int, float]],
    threshold: float,
) -> Tensor:
    """Boxes of one image, best first, overlaps removed.

    Args:
        logits: A, of the anchors of all maps, map by map, row by row.
        distributions: gives the 4R x N distance distributions of N chosen anchors, numbered as in `logits`.
        grid: rows, columns and stride of every map.
        threshold: least score, in (0, 1).

    Returns:
        N x 5 float32 on the CPU: x0, y0, x1, y1 in pixels of the input, score.
    """
    logits = logits.float()
    chosen = torch.nonzero(logits >= math.log(threshold / (1 - threshold)))[:, 0]
    if len(chosen) > MAX_ANCHORS:
        # Sorted, not topk: which of several equal ones it takes depends on the machine.
        best = logits[chosen].argsort(descending=True, stable=True)[:MAX_ANCHORS]
        chosen = chosen[best].sort().values
    if not len(chosen):
        return torch.zeros(0, 5)
    centres, scale = _anchors(grid, chosen)
    spread = distributions(chosen).float()  # 4R x N
    bins = torch.arange(spread.shape[0] // 4, device=logits.device, dtype=torch.float32)
    distances = (spread.view(4, len(bins), -1).softmax(1) * bins[:, None]).sum(1)  # 4 x N
    corners = torch.cat([centres - distances[:2].T, centres + distances[2:].T], 1) * scale[:, None]
    found = torch.cat([corners, logits[chosen].sigmoid()[:, None]], 1).cpu()
    return found[best_apart(found[:, :4], found[:, 4])]


def best_apart(corners: Tensor, scores: Tensor, *, iou: float = NMS_IOU, limit: int = MAX_PER_TILE) -> Tensor:
    """Non-maximum suppression: numbers of the best boxes that overlap no better one, best first.

    Of boxes with the same score the place decides, not the order in which they come. Otherwise that of torchvision
    gives the same; importing it costs every process four seconds.

    Args:
        corners: N x 4 float32 on the CPU: x0, y0, x1, y1.
        scores: N.
        iou: common area over the union above which the worse of two boxes goes.
        limit: at most so many.
    """
    order = torch.arange(len(scores))
    for key in (*corners.T.flip(0), -scores):  # the last one counts most
        order = order[key[order].argsort(stable=True)]
    boxes = corners[order]
    areas = (boxes[:, 2:] - boxes[:, :2]).prod(1)
    left = torch.arange(len(boxes))
    kept: list[Tensor] = []
    while len(left) and len(kept) < limit:
        best, left = left[0], left[1:]
        kept.append(best)
        low = torch.maximum(boxes[best, :2], boxes[left, :2])
        high = torch.minimum(boxes[best, 2:], boxes[left, 2:])
        common = (high - low).clamp(min=0).prod(1)
        left = left[common <= iou * (areas[best] + areas[left] - common)]
    return order[torch.stack(kept)] if kept else order


class BoxBranch:
    """The part of the head that says how far a box reaches, run at chosen anchors only.

    A mammogram has some dozen anchors worth a box among fifty thousand; the branch is a sixth of the network's work.
    """

    def __init__(self, head: Any) -> None:
        """
        Args:
            head: of a fused YOLOv8 network: `cv2` holds two 3 x 3 convolutions and one of 1 x 1 per feature map.

        Raises:
            ValueError: another head.
        """
        self._branches: list[tuple[Any, Any, nn.Conv2d]] = [tuple(branch) for branch in head.cv2]
        for branch in self._branches:
            kernels = [module.kernel_size for module in (branch[0].conv, branch[1].conv, branch[2])]
            if kernels != [(3, 3), (3, 3), (1, 1)] or branch[0].conv.bias is None:
                raise ValueError(f"expected fused convolutions of 3, 3 and 1, got kernels {kernels}")

    def distributions(self, features: Sequence[Tensor], chosen: Tensor) -> Tensor:
        """4R x N distance distributions, equal to those of the whole maps.

        Args:
            features: C x H x W, one per map.
            chosen: N ascending anchor numbers through all maps.
        """
        found = []
        for feature, branch in zip(features, self._branches, strict=True):
            height, width = feature.shape[1:]
            inside = chosen[(chosen >= 0) & (chosen < height * width)]
            found += [self._run(feature, branch, part) for part in torch.split(inside, _CHUNK) if len(part)]
            chosen = chosen - height * width
        return torch.cat(found).T

    @staticmethod
    def _run(feature: Tensor, branch: tuple[Any, Any, nn.Conv2d], anchors: Tensor) -> Tensor:
        """N x 4R. Zeros stand beyond the border, before each convolution: what its padding would put there."""
        height, width = feature.shape[1:]
        rows = torch.div(anchors, width, rounding_mode="floor")[:, None] + _AROUND  # N x 5
        columns = (anchors % width)[:, None] + _AROUND
        here = ((rows >= 0) & (rows < height))[:, :, None] & ((columns >= 0) & (columns < width))[:, None]
        patches = feature[:, rows.clamp(0, height - 1)[:, :, None], columns.clamp(0, width - 1)[:, None]]
        patches = (patches * here).transpose(0, 1)  # N C 5 5
        first, second, last = branch
        hidden = first.act(conv2d(patches, first.conv.weight, first.conv.bias)) * here[:, None, 1:4, 1:4]
        hidden = second.act(conv2d(hidden, second.conv.weight, second.conv.bias))
        return last(hidden)[:, :, 0, 0]  # type: ignore[no-any-return]


def _anchors(grid: Sequence[tuple[int, int, float]], chosen: Tensor) -> tuple[Tensor, Tensor]:
    """Centres (N x 2, in strides) and strides (N) of the chosen anchors, counted through all feature maps."""
    centres, scale = [], []
    for height, width, stride in grid:
        inside = chosen[(chosen >= 0) & (chosen < height * width)]
        rows = torch.div(inside, width, rounding_mode="floor")
        centres.append(torch.stack([inside % width, rows], 1) + 0.5)
        scale.append(torch.full((len(inside),), float(stride), device=chosen.device))
        chosen = chosen - height * width  # `chosen` ascends, so the maps come in order
    return torch.cat(centres), torch.cat(scale)
