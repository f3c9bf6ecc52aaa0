from __future__ import annotations

from typing import Any

import pytest
import torch

from mammo.detector.attention import AttentionKind
from mammo.detector.network import C2fAttention, DetectorNetwork
from mammo.detector.spec import DetectorSpec

# isort: split
from ultralytics.nn import tasks
from ultralytics.nn.modules import C2f
from ultralytics.nn.tasks import DetectionModel


@pytest.fixture(scope="module")
def network() -> DetectorNetwork:
    torch.set_num_threads(1)
    torch.manual_seed(0)
    return DetectorNetwork(DetectorSpec())


@pytest.fixture(scope="module")
def stock() -> Any:
    return DetectionModel("yolov8n.yaml", ch=3, nc=1, verbose=False)


def test_only_attention_is_new_every_stock_tensor_keeps_its_name_and_shape(
    network: DetectorNetwork, stock: Any
) -> None:
    ours = {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}
    theirs = {name: tuple(tensor.shape) for name, tensor in stock.state_dict().items()}
    assert theirs.items() <= ours.items()
    added = set(ours) - set(theirs)
    assert added
    assert all(name.startswith(("model.2.attn.", "model.4.attn.")) for name in added)


@pytest.mark.parametrize(("kind", "extra"), [("none", 0), ("cbam", 1846), ("se", 1648), ("eca", 8)])
def test_attention_costs_as_many_parameters_as_it_says(kind: AttentionKind, extra: int) -> None:
    network = DetectorNetwork(DetectorSpec(attention=kind))
    assert sum(parameter.numel() for parameter in network.parameters()) == 3_011_043 + extra


def test_attention_acts_in_forward_and_in_the_exporters_forward_split(network: DetectorNetwork) -> None:
    block = network.model[2].eval()
    assert isinstance(block, C2fAttention)
    features = torch.randn(1, 32, 8, 8)
    with torch.inference_mode():
        expected = block.attn(C2f.forward(block, features))
        assert not torch.allclose(expected, C2f.forward(block, features))
        torch.testing.assert_close(block(features), expected)
        torch.testing.assert_close(block.forward_split(features), expected)


def test_an_open_gate_leaves_the_stock_network_nearly_as_it_was(stock: Any) -> None:
    attended = DetectorNetwork(DetectorSpec(), gate_bias=9.0)
    attended.load_state_dict(stock.state_dict(), strict=False)
    pixels = torch.rand(1, 3, 64, 64)
    with torch.inference_mode():
        ours, theirs = attended.eval()(pixels)[0], stock.eval()(pixels)[0]
    torch.testing.assert_close(ours, theirs, atol=0.05, rtol=1e-2)


def test_attention_after_a_layer_that_is_no_c2f_is_refused() -> None:
    with pytest.raises(ValueError, match="layer 3 is Conv"):
        DetectorNetwork(DetectorSpec(after=(3,)))
    with pytest.raises(ValueError, match="layer 60 is NoneType"):
        DetectorNetwork(DetectorSpec(after=(60,)))


def test_no_global_of_ultralytics_is_touched(network: DetectorNetwork) -> None:
    assert type(network.model[2]) is C2fAttention
    assert not hasattr(tasks, "C2fAttention")
    assert not hasattr(C2f, "attn")
