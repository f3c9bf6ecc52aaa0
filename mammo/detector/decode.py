"""Decodes the raw maps of the network into boxes.

The stock head caches anchor points, which two threads with tiles of different sizes would overwrite. This decoding has
no state, and decodes boxes only where the score reaches the threshold.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, TypedDict

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d


class RawMaps(TypedDict):
    """Output of YOLOv8's head in training mode, for B images, A anchors and R distance bins per side."""

    boxes: Tensor
    """B x 4R x A: distributions over the distances from the anchor to left, top, right and bottom, in strides."""

    scores: Tensor
    """B x 1 x A logits."""

    feats: list[Tensor]
    """Feature maps B x C x H x W whose cells are the A anchors."""


NMS_IOU = 0.6
"""IoU above which the lower-scoring of two boxes is suppressed."""

MAX_PER_TILE = 100
"""Maximum number of boxes per tile; not reached at a score of 0.01 on 81 real mammograms (docs/benchmarks.md)."""

MAX_ANCHORS = 2000
"""Maximum number of anchors per tile that are decoded; bounds time and memory at thresholds near 0."""

_CHUNK = 256
"""Anchors whose neighbourhoods are gathered at once: 16 MB of a map with 640 channels."""

_OFFSETS = torch.arange(-2, 3)
"""Receptive field of the box branch along one axis, in cells: two 3 x 3 convolutions and one of 1 x 1."""


def decode(raw: RawMaps, *, strides: Sequence[float], threshold: float) -> list[Tensor]:
    """Decode a batch into boxes, with non-maximum suppression.

    Args:
        raw: output of the head.
        strides: pixels per cell of each feature map.
        threshold: minimum score, in (0, 1).

    Returns:
        One N x 5 float32 tensor per image, best first: x0, y0, x1, y1 in pixels of the input, score.
    """
    grid = [(*feature.shape[-2:], stride) for feature, stride in zip(raw["feats"], strides, strict=True)]
    return [
        decode_anchors(
            raw["scores"][image, 0],
            lambda anchors, boxes=raw["boxes"][image]: boxes[:, anchors],  # type: ignore[misc]
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
    """Decode one image into boxes, with non-maximum suppression.

    A distance is the mean of its distribution over the bins (distribution focal loss, Li et al. 2020):
    d = sum_i i * softmax(x)_i, in strides.

    Args:
        logits: A, of the anchors of all maps, map by map, row by row.
        distributions: maps N anchors (indices into `logits`) to their 4R x N distance distributions.
        grid: rows, columns and stride of each map.
        threshold: minimum score, in (0, 1).

    Returns:
        N x 5 float32 on the CPU, best first: x0, y0, x1, y1 in pixels of the input, score.
    """
    logits = logits.float()
    anchors = torch.nonzero(logits >= math.log(threshold / (1 - threshold)))[:, 0]
    if len(anchors) > MAX_ANCHORS:
        # argsort, not topk: the order in which topk returns ties depends on the machine.
        best = logits[anchors].argsort(descending=True, stable=True)[:MAX_ANCHORS]
        anchors = anchors[best].sort().values
    if not len(anchors):
        return torch.zeros(0, 5)
    centres, strides = _anchor_points(grid, anchors)
    logits_of_bins = distributions(anchors).float()  # 4R x N
    bins = torch.arange(logits_of_bins.shape[0] // 4, device=logits.device, dtype=torch.float32)
    distances = (logits_of_bins.view(4, len(bins), -1).softmax(1) * bins[:, None]).sum(1)  # 4 x N
    corners = torch.cat([centres - distances[:2].T, centres + distances[2:].T], 1) * strides[:, None]
    boxes = torch.cat([corners, logits[anchors].sigmoid()[:, None]], 1).cpu()
    return boxes[non_maximum_suppression(boxes[:, :4], boxes[:, 4])]


def non_maximum_suppression(
    corners: Tensor, scores: Tensor, *, iou: float = NMS_IOU, limit: int = MAX_PER_TILE
) -> Tensor:
    """Return the indices of the boxes that do not overlap a better one, best first.

    Ties in score are resolved by position, not by input order. Apart from ties the result equals that of torchvision,
    whose import would cost every process four seconds.

    Args:
        corners: N x 4 float32 on the CPU: x0, y0, x1, y1.
        scores: N.
        iou: IoU above which the lower-scoring of two boxes is suppressed.
        limit: maximum number of boxes.
    """
    order = torch.arange(len(scores))
    for key in (*corners.T.flip(0), -scores):  # stable sorts: the last key is the most significant
        order = order[key[order].argsort(stable=True)]
    boxes = corners[order]
    areas = (boxes[:, 2:] - boxes[:, :2]).prod(1)
    remaining = torch.arange(len(boxes))
    selected: list[Tensor] = []
    while len(remaining) and len(selected) < limit:
        best, remaining = remaining[0], remaining[1:]
        selected.append(best)
        low = torch.maximum(boxes[best, :2], boxes[remaining, :2])
        high = torch.minimum(boxes[best, 2:], boxes[remaining, 2:])
        common = (high - low).clamp(min=0).prod(1)
        remaining = remaining[common <= iou * (areas[best] + areas[remaining] - common)]
    return order[torch.stack(selected)] if selected else order


class BoxBranch:
    """The box branch of the head, computed at selected anchors only.

    A mammogram has a few dozen anchors above the threshold among fifty thousand; the branch is a sixth of the network's
    computation.
    """

    def __init__(self, head: Any) -> None:
        """
        Args:
            head: of a fused YOLOv8 network; per feature map, `cv2` has two 3 x 3 convolutions and one of 1 x 1.

        Raises:
            ValueError: the head has another structure.
        """
        self._branches: list[tuple[Any, Any, nn.Conv2d]] = [tuple(branch) for branch in head.cv2]
        for branch in self._branches:
            kernels = [module.kernel_size for module in (branch[0].conv, branch[1].conv, branch[2])]
            if kernels != [(3, 3), (3, 3), (1, 1)] or branch[0].conv.bias is None:
                raise ValueError(f"expected fused convolutions with kernels of 3, 3 and 1, got {kernels}")

    def distributions(self, features: Sequence[Tensor], anchors: Tensor) -> Tensor:
        """Return the 4R x N distance distributions, equal to those of the complete maps.

        Args:
            features: one C x H x W map per stride.
            anchors: N ascending anchor indices, counted through all maps.
        """
        parts = []
        for feature, branch in zip(features, self._branches, strict=True):
            height, width = feature.shape[1:]
            inside = anchors[(anchors >= 0) & (anchors < height * width)]
            parts += [
                self._run(feature, branch, chunk) for chunk in torch.split(inside, _CHUNK) if len(chunk)
            ]
            anchors = anchors - height * width
        return torch.cat(parts).T

    @staticmethod
    def _run(feature: Tensor, branch: tuple[Any, Any, nn.Conv2d], anchors: Tensor) -> Tensor:
        """N x 4R. Beyond the border, the input of each convolution is set to zero, as by its padding."""
        height, width = feature.shape[1:]
        rows = torch.div(anchors, width, rounding_mode="floor")[:, None] + _OFFSETS  # N x 5
        columns = (anchors % width)[:, None] + _OFFSETS
        is_inside = ((rows >= 0) & (rows < height))[:, :, None] & ((columns >= 0) & (columns < width))[
            :, None
        ]
        patches = feature[:, rows.clamp(0, height - 1)[:, :, None], columns.clamp(0, width - 1)[:, None]]
        patches = (patches * is_inside).transpose(0, 1)  # N C 5 5
        first, second, last = branch
        hidden = first.act(conv2d(patches, first.conv.weight, first.conv.bias)) * is_inside[:, None, 1:4, 1:4]
        hidden = second.act(conv2d(hidden, second.conv.weight, second.conv.bias))
        return last(hidden)[:, :, 0, 0]  # type: ignore[no-any-return]


def _anchor_points(grid: Sequence[tuple[int, int, float]], anchors: Tensor) -> tuple[Tensor, Tensor]:
    """Centres (N x 2, in strides) and strides (N) of ascending anchors, counted through all feature maps."""
    centres, strides = [], []
    for height, width, stride in grid:
        inside = anchors[(anchors >= 0) & (anchors < height * width)]
        rows = torch.div(inside, width, rounding_mode="floor")
        centres.append(torch.stack([inside % width, rows], 1) + 0.5)
        strides.append(torch.full((len(inside),), float(stride), device=anchors.device))
        anchors = anchors - height * width  # the anchors ascend, so the maps come in order
    return torch.cat(centres), torch.cat(strides)
