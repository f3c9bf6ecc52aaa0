from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import pytest
import torch
from safetensors.torch import save_file

from mammo.detector import DetectorNetwork, DetectorSpec
from mammo.detector.transfer import FORMAT, StockWeights, is_stock, load_stock, save_stock, transfer
from mammo.errors import InvalidWeights
from tests.mammo.detector.checkpoints import stock_network

Scale = Literal["n", "s", "m", "l", "x"]


@pytest.fixture(scope="module")
def stock() -> StockWeights:
    torch.set_num_threads(1)
    return StockWeights(architecture="yolov8n", tensors=stock_network().state_dict(), facts={"name": "test"})


def stock_of(scale: str) -> StockWeights:
    return StockWeights(architecture=f"yolov8{scale}", tensors=stock_network(scale).state_dict(), facts={})


@pytest.mark.parametrize("scale", ["n", "s", "m"])
def test_all_but_the_class_scores_move_and_all_but_those_and_attention_start_from_them(scale: Scale) -> None:
    stock = stock_of(scale)
    network = DetectorNetwork(stock.spec(DetectorSpec(scale=scale)), gate_bias=4.0)
    report = transfer(stock, network)
    assert len(report.copied) == len(stock.tensors) - 6
    assert all(".cv3." in name and name.split(".")[4] == "2" for name in report.unused)
    assert all(".attn." in name or name in report.unused for name in report.fresh)
    state = network.state_dict()
    assert all(torch.equal(state[name], stock.tensors[name]) for name in report.copied)


@pytest.mark.parametrize("scale", ["n", "x"])
def test_with_a_p2_head_every_layer_moves_to_where_it_stands_there(scale: Scale) -> None:
    stock = stock_of(scale)
    network = DetectorNetwork(stock.spec(DetectorSpec(scale=scale, p2=True)), gate_bias=4.0)
    report = transfer(stock, network)
    head = "model.22.cv"
    assert all(name.startswith(head) for name in report.unused)
    assert {"model.22.conv.weight", "model.25.conv.weight", "model.28.dfl.conv.weight"} <= set(report.copied)
    state = network.state_dict()
    assert torch.equal(state["model.27.cv1.conv.weight"], stock.tensors["model.21.cv1.conv.weight"])
    if scale != "x":  # its box branch is narrower with a P2 head
        assert torch.equal(
            state["model.28.cv2.1.0.conv.weight"], stock.tensors["model.22.cv2.0.0.conv.weight"]
        )
    kinds = [type(module).__name__ for module in network.model]
    plain = [type(module).__name__ for module in stock_network(scale).model]
    assert [kinds[i] for i in (22, 24, 25, 27, 28)] == [plain[i] for i in (16, 18, 19, 21, 22)]


def test_a_network_with_open_gates_computes_what_the_stock_one_does_up_to_its_scores(
    stock: StockWeights,
) -> None:
    theirs = stock_network().eval()
    network = DetectorNetwork(stock.spec(DetectorSpec()), gate_bias=20.0).eval()
    transfer(stock, network)
    pixels = torch.rand(1, 3, 64, 64)
    with torch.inference_mode():
        boxes, expected = (net(pixels)[0][:, :4] for net in (network, theirs))
    torch.testing.assert_close(boxes, expected, atol=1e-3, rtol=1e-4)


def test_a_wider_class_branch_is_started_as_the_stock_one(stock: StockWeights) -> None:
    head: Any = DetectorNetwork(stock.spec(DetectorSpec())).model[-1]
    usual: Any = DetectorNetwork(DetectorSpec()).model[-1]
    assert head.cv3[0][0].conv.out_channels == stock.class_width == 80
    assert usual.cv3[0][0].conv.out_channels == 64
    assert (head.cv3[0][0].bn.eps, head.cv3[0][0].bn.momentum) == (1e-3, 0.03)
    for ours, theirs in zip(head.cv3, usual.cv3, strict=True):
        assert torch.equal(ours[-1].bias, theirs[-1].bias)


def test_weights_of_another_scale_are_refused_with_the_remedy(stock: StockWeights) -> None:
    with pytest.raises(InvalidWeights, match="are yolov8n, the recipe needs yolov8s; use yolov8s weights"):
        stock.spec(DetectorSpec(scale="s"))


def test_stock_weights_come_back_from_their_file(stock: StockWeights, tmp_path: Path) -> None:
    path = tmp_path / "yolov8n.safetensors"
    save_stock(path, stock)
    again = load_stock(path)
    assert is_stock(path)
    assert (again.architecture, again.facts) == ("yolov8n", {"name": "test"})
    assert all(
        torch.equal(again.tensors[name], t.half().float()) for name, t in stock.tensors.items() if t.ndim
    )


def test_a_file_that_is_no_stock_network_is_refused(stock: StockWeights, tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    tensors = {name: tensor.clone() for name, tensor in stock.tensors.items()}
    facts = {"format": FORMAT, "architecture": "yolov8n", "facts": "{}"}

    def refused(message: str, changed: dict[str, torch.Tensor], metadata: dict[str, str]) -> None:
        save_file(changed, path, metadata=metadata)
        with pytest.raises(InvalidWeights, match=message):
            load_stock(path)

    refused("expected format .*yolo-mlsam weights add", tensors, {"format": "pt"})
    assert not is_stock(path)
    refused("facts in its metadata are not valid JSON", tensors, {**facts, "facts": "{"})
    refused("expected yolov8n, .* or yolov8x, got 'resnet'", tensors, {**facts, "architecture": "resnet"})
    refused(
        "first is 'model.0.conv.weight'",
        {k: v for k, v in tensors.items() if k != "model.0.conv.weight"},
        facts,
    )
    refused("first is 'more'", {**tensors, "more": torch.zeros(1)}, facts)
    refused("no detection head", {"a": torch.zeros(1)}, facts)
    tensors["model.0.conv.weight"][0] = torch.inf
    refused("NaN or infinite", tensors, facts)
    path.write_bytes(b"no safetensors")
    with pytest.raises(InvalidWeights, match="not a readable safetensors file"):
        load_stock(path)
    assert not is_stock(path)
