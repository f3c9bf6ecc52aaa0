"""The detector's box loss.

    L = 1 - IoU + alpha d^2 + beta v                            (eq. 3)

d is the distance of the centres over the diagonal of the enclosing box, and v the aspect-ratio term. The paper calls
this loss CIoU in the text and L_SIoU in the formula and states neither weight, so the loss is a setting:

    ciou    v = (4 / pi^2) (atan w2/h2 - atan w1/h1)^2          (Zheng et al. 2020, eq. 9)
            alpha = 1, beta = v / (1 - IoU + v)                 (Zheng et al. 2020, eq. 11)
            the default, and the loss of stock YOLOv8
    paper   eq. 3 with the same v and constant alpha and beta
    siou    L = 1 - IoU + (Delta + Omega) / 2: angle-aware distance cost Delta and shape cost Omega (Gevorgyan 2022)
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

import mammo.detector.hardening  # noqa: F401  # must precede the import of ultralytics

# isort: split

from ultralytics.utils.loss import BboxLoss, v8DetectionLoss

_EPS = 1e-7
_SHAPE_POWER = 4
"""The exponent theta of SIoU's shape cost."""


@dataclass(frozen=True, kw_only=True)
class BoxLoss:
    """The kind of box loss, and its weights."""

    kind: Literal["ciou", "paper", "siou"] = "ciou"

    alpha: float = 1.0
    """Weight of the centre distance; only for `paper`."""

    beta: float = 1.0
    """Weight of the aspect-ratio term; only for `paper`."""

    def __post_init__(self) -> None:
        if not (0 <= self.alpha < math.inf and 0 <= self.beta < math.inf):
            raise ValueError(
                f"alpha and beta must be finite and not negative, got {self.alpha} and {self.beta}"
            )


def box_loss(predicted: Tensor, target: Tensor, *, rule: BoxLoss) -> Tensor:
    """The loss of every pair of boxes.

    Args:
        predicted, target: N x 4 float32, x0, y0, x1, y1.

    Returns:
        N x 1, 0 for equal boxes. Values and gradients are finite for degenerate boxes.
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
        angle = torch.sin(2 * torch.asin(sine.clamp(0, 1 - 1e-6)))  # Lambda = sin(2 asin(sin alpha))
        gamma = 2 - angle
        distance = (  # Delta = sum over x, y of 1 - exp(-gamma rho)
            2 - torch.exp(-gamma * (dx / (cw + _EPS)) ** 2) - torch.exp(-gamma * (dy / (ch + _EPS)) ** 2)
        )
        omega_w = (pw - tw).abs() / torch.max(pw, tw).clamp(min=_EPS)
        omega_h = (ph - th).abs() / torch.max(ph, th)
        shape = (1 - torch.exp(-omega_w)) ** _SHAPE_POWER + (1 - torch.exp(-omega_h)) ** _SHAPE_POWER  # Omega
        return (1 - iou + (distance + shape) / 2).unsqueeze(-1)

    d2 = (dx * dx + dy * dy) / (cw * cw + ch * ch + _EPS)
    v = (4 / math.pi**2) * (torch.atan(tw / th) - torch.atan(pw / ph)) ** 2
    if rule.kind == "paper":
        return (1 - iou + rule.alpha * d2 + rule.beta * v).unsqueeze(-1)
    weight = (v / (1 - iou + v + _EPS)).detach()
    return (1 - iou + d2 + weight * v).unsqueeze(-1)


class _BoxTerm(BboxLoss):  # type: ignore[misc]  # ultralytics has no types
    """The stock box term with `box_loss` as its IoU part; the distribution focal loss is unchanged."""

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
    """The stock loss of YOLOv8 (boxes, classes, distributions) with `box_loss`."""

    def __init__(self, network: Any, *, rule: BoxLoss) -> None:
        super().__init__(network)
        self.bbox_loss = _BoxTerm(self.reg_max, rule).to(self.device)
