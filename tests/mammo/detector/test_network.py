from __future__ import annotations

from typing import Any, Literal

import pytest
import torch
from torch import nn

from mammo.detector.attention import AttentionKind, build_attention
from mammo.detector.network import C2fAttention, DetectorNetwork
from mammo.detector.spec import DetectorSpec

# isort: split
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


Scale = Literal["n", "s", "m", "l", "x"]

PARAMETERS: dict[Scale, tuple[int, int, int, int]] = {
    "n": (3_011_043, 1_846, 1_648, 8),
    "s": (11_135_987, 3_478, 3_280, 10),
    "m": (25_856_899, 6_650, 6_452, 10),
    "l": (43_630_611, 10_846, 10_648, 12),
    "x": (68_153_571, 16_708, 16_510, 12),
}
"""Stock network for one class, and what CBAM, SE and ECA add after layers 2 and 4."""


def count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


@pytest.mark.parametrize("scale", list(PARAMETERS))
def test_every_scale_keeps_all_stock_tensors_and_attention_costs_what_the_table_says(scale: Scale) -> None:
    network = DetectorNetwork(DetectorSpec(scale=scale))
    reference = DetectionModel(f"yolov8{scale}.yaml", ch=3, nc=1, verbose=False)
    ours = {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}
    theirs = {name: tuple(tensor.shape) for name, tensor in reference.state_dict().items()}
    assert theirs.items() < ours.items()
    stock, *extra = PARAMETERS[scale]
    assert count(reference) == stock
    assert count(network) == stock + extra[0]
    channels = [network.model[index].cv2.conv.out_channels for index in (2, 4)]
    kinds: list[AttentionKind] = ["cbam", "se", "eca"]
    assert [sum(count(build_attention(kind, c)) for c in channels) for kind in kinds] == extra


@pytest.mark.parametrize("kind", ["cbam", "se", "eca", "none"])
def test_a_p2_head_and_other_places_keep_all_stock_tensors_too(kind: AttentionKind) -> None:
    network = DetectorNetwork(DetectorSpec(p2=True, attention=kind, after=(2, 4, 6, 8, 18)))
    reference = DetectionModel("yolov8n-p2.yaml", ch=3, nc=1, verbose=False)
    assert [int(stride) for stride in network.stride] == [4, 8, 16, 32]
    ours, theirs = network.state_dict(), reference.state_dict()
    assert {name: tensor.shape for name, tensor in theirs.items()}.items() <= {
        name: tensor.shape for name, tensor in ours.items()
    }.items()
    added = {".".join(name.split(".")[:2]) for name in set(ours) - set(theirs)}
    expected = {f"model.{index}" for index in (2, 4, 6, 8, 18)} if kind != "none" else set()
    assert added == expected


def test_without_attention_the_network_is_the_stock_one_bit_for_bit() -> None:
    torch.manual_seed(3)
    ours = DetectorNetwork(DetectorSpec(attention="none")).eval()
    torch.manual_seed(3)
    theirs = DetectionModel("yolov8n.yaml", ch=3, nc=1, verbose=False).eval()
    pixels = torch.rand(1, 3, 64, 64)
    with torch.inference_mode():
        assert torch.equal(ours(pixels)[0], theirs(pixels)[0])


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
