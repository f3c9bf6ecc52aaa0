from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

from mammo.detector import DetectorSpec
from training.detector.box_loss import BoxLoss, DetectorLoss, box_loss
from training.detector.trainer import TrainableNetwork

# isort: split
from ultralytics.utils.loss import v8DetectionLoss
from ultralytics.utils.metrics import bbox_iou

RULES = [BoxLoss(kind="ciou"), BoxLoss(kind="paper"), BoxLoss(kind="siou")]


def pairs(num: int = 64) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(2)
    corners = torch.rand(2, num, 2, generator=generator) * 50
    sides = torch.rand(2, num, 2, generator=generator) * 40 + 1
    first, second = torch.cat([corners, corners + sides], 2).unbind(0)
    return first, second


def test_ciou_is_the_stock_loss() -> None:
    predicted, target = pairs()
    stock = 1 - bbox_iou(predicted, target, xywh=False, CIoU=True)
    torch.testing.assert_close(box_loss(predicted, target, rule=BoxLoss()), stock, atol=1e-5, rtol=0)


def test_the_papers_loss_without_its_angle_term_is_diou() -> None:
    predicted, target = pairs()
    stock = 1 - bbox_iou(predicted, target, xywh=False, DIoU=True)
    ours = box_loss(predicted, target, rule=BoxLoss(kind="paper", alpha=1.0, beta=0.0))
    torch.testing.assert_close(ours, stock, atol=1e-5, rtol=0)


def test_equation_3_by_hand() -> None:
    """20 x 10 against 10 x 10 sharing a corner: IoU 1/2, centres 5 apart, enclosing box 20 x 10."""
    predicted, target = torch.tensor([[0.0, 0, 20, 10]]), torch.tensor([[0.0, 0, 10, 10]])
    v = (4 / torch.pi**2) * (torch.atan(torch.tensor(2.0)) - torch.atan(torch.tensor(1.0))) ** 2
    expected = 1 - 0.5 + 3.0 * (25 / 500) + 2.0 * float(v)
    loss = box_loss(predicted, target, rule=BoxLoss(kind="paper", alpha=3.0, beta=2.0))
    assert float(loss) == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.kind)
def test_equal_boxes_cost_nothing_and_worse_ones_cost_more(rule: BoxLoss) -> None:
    target = torch.tensor([[10.0, 10, 50, 40]]).expand(4, 4)
    shift = torch.tensor([0.0, 3.0, 10.0, 60.0])[:, None]
    losses = box_loss(target + shift, target, rule=rule)[:, 0].tolist()
    assert losses[0] == pytest.approx(0.0, abs=1e-4)
    assert losses == sorted(losses)
    assert losses[3] > 1.0


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.kind)
def test_gradients_stay_finite_on_degenerate_boxes(rule: BoxLoss) -> None:
    predicted = torch.tensor([[5.0, 5, 5, 5], [9.0, 9, 3, 3], [0.0, 0, 10, 10]], requires_grad=True)
    target = torch.tensor([[5.0, 5, 5, 5], [0.0, 0, 10, 10], [0.0, 0, 10, 10]])
    loss = box_loss(predicted, target, rule=rule).sum()
    loss.backward()  # type: ignore[no-untyped-call]
    assert bool(torch.isfinite(loss))
    assert predicted.grad is not None
    assert bool(torch.isfinite(predicted.grad).all())


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.kind)
def test_descending_the_loss_moves_a_box_onto_its_target(rule: BoxLoss) -> None:
    target = torch.tensor([[20.0, 30, 60, 50]])
    box = torch.tensor([[10.0, 10, 40, 60]], requires_grad=True)
    optimizer = torch.optim.Adam([box], lr=0.5)
    for _ in range(300):
        optimizer.zero_grad()
        box_loss(box, target, rule=rule).sum().backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    assert float(bbox_iou(box.detach(), target, xywh=False)) > 0.85


def test_in_the_whole_detector_loss_ciou_is_stock_and_the_others_change_the_box_term_alone() -> None:
    torch.set_num_threads(1)
    torch.manual_seed(0)
    network = TrainableNetwork(DetectorSpec(), gate_bias=0.0, rule=BoxLoss())
    network.args = SimpleNamespace(box=7.5, cls=0.5, dfl=1.5)
    batch: dict[str, Any] = {
        "img": torch.rand(2, 3, 64, 64),
        "batch_idx": torch.tensor([0.0, 1.0]),
        "cls": torch.zeros(2, 1),
        "bboxes": torch.tensor([[0.5, 0.5, 0.4, 0.6], [0.3, 0.6, 0.3, 0.2]]),
    }
    raw = network.train()(batch["img"])
    stock = v8DetectionLoss(network)(raw, batch)[1]
    losses = {rule.kind: DetectorLoss(network, rule=rule)(raw, batch)[1] for rule in RULES}
    names = list(stock)
    assert names == ["box_loss", "cls_loss", "dfl_loss"]
    for name in names:
        assert float(losses["ciou"][name]) == pytest.approx(float(stock[name]), abs=1e-4)
    for kind in ("paper", "siou"):
        assert abs(float(losses[kind]["box_loss"]) - float(stock["box_loss"])) > 1e-3
        for name in names[1:]:
            assert float(losses[kind][name]) == pytest.approx(float(stock[name]), abs=1e-5)
    assert isinstance(network.init_criterion(), DetectorLoss)
