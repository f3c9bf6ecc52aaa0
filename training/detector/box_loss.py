"""The detector's box loss (eq. 3): L = 1 - IoU + alpha d^2 + beta v.

d is the distance of the centres over the diagonal of the enclosing box, v an angle term with weight beta. The paper
calls it CIoU in the text and L_SIoU in the formula and states neither weight, so the rule is a setting:

    ciou    v = (4 / pi^2) (atan w2/h2 - atan w1/h1)^2 with CIoU's own weight v / (1 - IoU + v) (Zheng et al. 2020);
            the default, and what stock YOLOv8 minimises
    paper   eq. 3 to the letter: the same v under constant alpha and beta
    siou    angle-aware distance plus shape cost (Gevorgyan 2022)
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

import mammo.detector.hardening  # noqa: F401  # before anything of ultralytics

# isort: split

from ultralytics.utils.loss import BboxLoss, v8DetectionLoss

_EPS = 1e-7
_SHAPE_POWER = 4


@dataclass(frozen=True, kw_only=True)
class BoxLoss:
    """Which box loss, and its weights."""

    kind: Literal["ciou", "paper", "siou"] = "ciou"

    alpha: float = 1.0
    """Weight of the centre distance; only for `paper`."""

    beta: float = 1.0
    """Weight of the angle term; only for `paper`."""

    def __post_init__(self) -> None:
        if not (0 <= self.alpha < math.inf and 0 <= self.beta < math.inf):
            raise ValueError(f"alpha and beta are finite and not negative, got {self.alpha} and {self.beta}")


def box_loss(predicted: Tensor, target: Tensor, *, rule: BoxLoss) -> Tensor:
    """Loss of every pair of boxes.

    Args:
        predicted, target: N x 4 float32, x0, y0, x1, y1.

    Returns:
        N x 1, 0 for equal boxes; finite, gradients included, for degenerate ones.
    """
    px0, py0, px1, py1 = predicted.unbind(-1)
    tx0, ty0, tx1, ty1 = target.unbind(-1)
    pw, ph, tw, th = px1 - px0, (py1 - py0).clamp(min=_EPS), tx1 - tx0, (ty1 - ty0).clamp(min=_EPS)
    common = (torch.min(px1, tx1) - torch.max(px0, tx0)).clamp(0) * (
        torch.min(py1, ty1) - torch.max(py0, ty0)
    ).clamp(0)
    iou = common / (pw * ph + tw * th - common + _EPS)
    cw, ch = torch.max(px1, tx1) - torch.min(px0, tx0), torch.max(py1, ty1) - torch.min(py0, ty0)
    dx, dy = (tx0 + tx1 - px0 - px1) / 2, (ty0 + ty1 - py0 - py1) / 2

    if rule.kind == "siou":
        sine = torch.minimum(dx.abs(), dy.abs()) / torch.sqrt(dx * dx + dy * dy + _EPS)
        angle = torch.sin(2 * torch.asin(sine.clamp(0, 1 - 1e-6)))
        pull = 2 - angle
        distance = 2 - torch.exp(-pull * (dx / (cw + _EPS)) ** 2) - torch.exp(-pull * (dy / (ch + _EPS)) ** 2)
        wider = (pw - tw).abs() / torch.max(pw, tw).clamp(min=_EPS)
        taller = (ph - th).abs() / torch.max(ph, th)
        shape = (1 - torch.exp(-wider)) ** _SHAPE_POWER + (1 - torch.exp(-taller)) ** _SHAPE_POWER
        return (1 - iou + (distance + shape) / 2).unsqueeze(-1)

    d2 = (dx * dx + dy * dy) / (cw * cw + ch * ch + _EPS)
    v = (4 / math.pi**2) * (torch.atan(tw / th) - torch.atan(pw / ph)) ** 2
    if rule.kind == "paper":
        return (1 - iou + rule.alpha * d2 + rule.beta * v).unsqueeze(-1)
    weight = (v / (1 - iou + v + _EPS)).detach()
    return (1 - iou + d2 + weight * v).unsqueeze(-1)


class _BoxTerm(BboxLoss):  # type: ignore[misc]  # ultralytics carries no types
    """The stock term with our IoU part; its distribution focal loss stays."""

    def __init__(self, num_bins: int, rule: BoxLoss) -> None:
        super().__init__(num_bins)
        self.rule = rule

    def forward(
        self,
        pred_dist: Tensor,
        pred_bboxes: Tensor,
        anchor_points: Tensor,
        target_bboxes: Tensor,
        target_scores: Tensor,
        target_scores_sum: Tensor,
        fg_mask: Tensor,
        *frame: Any,
    ) -> tuple[Tensor, Tensor]:
        _, focal = super().forward(
            pred_dist,
            pred_bboxes,
            anchor_points,
            target_bboxes,
            target_scores,
            target_scores_sum,
            fg_mask,
            *frame,
        )
        chosen = fg_mask.nonzero(as_tuple=True)
        weight = target_scores[chosen].sum(-1, keepdim=True)
        loss = box_loss(pred_bboxes[chosen].float(), target_bboxes[chosen].float(), rule=self.rule)
        return (loss * weight).sum() / target_scores_sum, focal


class DetectorLoss(v8DetectionLoss):  # type: ignore[misc]
    """The stock loss of YOLOv8 (boxes, classes, distributions) with our box term."""

    def __init__(self, network: Any, *, rule: BoxLoss) -> None:
        super().__init__(network)
        self.bbox_loss = _BoxTerm(self.reg_max, rule).to(self.device)
