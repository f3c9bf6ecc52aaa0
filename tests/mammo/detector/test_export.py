"""What an exporter of ultralytics makes of the network: it swaps `forward_split` into every C2f block first."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from mammo.detector import DetectorNetwork, DetectorSpec
from mammo.detector.attention import AttentionKind
from mammo.detector.network import C2fAttention
from tests.mammo.detector.networks import lively_network

# isort: split
from ultralytics.engine.exporter import Exporter
from ultralytics.nn.modules import C2f
from ultralytics.utils import DEFAULT_CFG_DICT

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::torch.jit.TracerWarning")
PIXELS = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(5))


def export(network: DetectorNetwork, folder: Path) -> Any:
    """The traced module that the stock exporter writes."""
    network.args = dict(DEFAULT_CFG_DICT)
    network.task = "detect"
    network.pt_path = str(folder / "detector.pt")  # names the result; is never opened
    settings = {"format": "torchscript", "imgsz": 64, "batch": 1, "device": "cpu"}
    return torch.jit.load(Exporter(overrides=settings)(model=network))


def num_sigmoids(module: Any) -> int:
    return sum(node.kind() == "aten::sigmoid" for node in module.inlined_graph.nodes())


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> int:
    """Sigmoids of the network without attention."""
    return num_sigmoids(
        export(lively_network(DetectorSpec(attention="none")), tmp_path_factory.mktemp("plain"))
    )


@pytest.mark.parametrize(("kind", "gates"), [("cbam", 4), ("se", 2), ("eca", 2)])
def test_an_exported_network_holds_every_gate_and_computes_the_same(
    kind: AttentionKind, gates: int, plain: int, tmp_path: Path
) -> None:
    network = lively_network(DetectorSpec(attention=kind))
    with torch.inference_mode():
        expected = network(PIXELS)[0]
    traced = export(network, tmp_path)
    assert num_sigmoids(traced) == plain + gates
    with torch.inference_mode():
        actual = traced(PIXELS)
    torch.testing.assert_close(actual, expected, atol=1e-3, rtol=1e-4)


def test_this_test_would_notice_a_block_that_forgets_its_attention(
    plain: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(C2fAttention, "forward_split", C2f.forward_split)
    assert num_sigmoids(export(lively_network(DetectorSpec()), tmp_path)) == plain
