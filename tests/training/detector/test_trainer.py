from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

from mammo.detector import DetectorSpec
from training.detector.box_loss import BoxLoss
from training.detector.trainer import TrainableNetwork
from training.precision import Precision


def loss(precision: Precision) -> float:
    torch.manual_seed(0)
    network = TrainableNetwork(DetectorSpec(), gate_bias=0.0, rule=BoxLoss())
    network.args = SimpleNamespace(box=7.5, cls=0.5, dfl=1.5)
    network.precision = precision
    network.train()
    batch = {
        "img": torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(1)),
        "cls": torch.zeros(2, 1),
        "bboxes": torch.tensor([[0.4, 0.5, 0.3, 0.3], [0.6, 0.4, 0.2, 0.4]]),
        "batch_idx": torch.arange(2).float(),
    }
    total, _ = network.loss(batch)
    assert total.dtype == torch.float32
    return float(total.detach().sum())


def test_the_loss_in_bfloat16_is_that_in_float32() -> None:
    assert loss("bfloat16") == pytest.approx(loss("float32"), rel=0.02)
    assert loss("bfloat16") != loss("float32")
