"""Which mammograms are looked at in one pass, and how large what the network sees at once can become."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from mammo.detector import Detector, DetectorNetwork, DetectorSpec
from mammo.detector import detector as module
from mammo.detector import runtime as runtimes
from mammo.detector.detector import Mode
from mammo.detector.normalise import Planes
from mammo.detector.runtime import TorchRuntime
from mammo.pixels import Pixels

SPEC = DetectorSpec(attention="none", tile=256, overlap=96)


class FakeRuntime(TorchRuntime):
    """Torch on a device of our choice; it notes the sizes of what it is shown and finds nothing."""

    def __init__(self, device: str) -> None:
        self.device = torch.device(device)
        self.seen: list[tuple[int, int]] = []

    def detect(self, tile: Planes, *, threshold: float) -> Tensor:
        self.seen.append((tile.shape[1], tile.shape[2]))
        return torch.empty(0, 5)


def seen(
    monkeypatch: pytest.MonkeyPatch, pixels: Pixels, *, device: str, mode: Mode
) -> list[tuple[int, int]]:
    """Heights and widths of what the runtime is shown of a mammogram."""
    runtime = FakeRuntime(device)
    monkeypatch.setattr(module, "open_runtime", lambda *_, **__: runtime)
    Detector(DetectorNetwork(SPEC), mode=mode).detect(pixels, threshold=0.5, spacing=None)
    return runtime.seen


def breast(height: int, width: int) -> Pixels:
    """Half breast, half air."""
    pixels = np.random.default_rng(0).uniform(0.3, 0.6, (height, width)).astype(np.float32)
    pixels[:, width // 2 :] = 0
    return pixels


@pytest.mark.parametrize(
    ("device", "mode", "passes"),
    [
        ("cuda", "auto", 1),
        ("cuda", "whole", 1),
        ("cpu", "whole", 1),
        ("cpu", "auto", 4),
        ("cuda", "tiles", 4),
    ],
)
def test_a_gpu_looks_at_the_whole_breast_at_once_and_a_cpu_at_tiles(
    monkeypatch: pytest.MonkeyPatch, device: str, mode: Mode, passes: int
) -> None:
    shown = seen(monkeypatch, breast(800, 480), device=device, mode=mode)
    if passes == 1:
        ((height, width),) = shown
        assert height >= 800
        assert width >= 240
    else:
        assert len(shown) >= passes
        assert max(max(size) for size in shown) <= SPEC.tile


def test_a_breast_over_the_limit_is_cut_into_tiles_on_a_gpu_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_WHOLE", 100 * 100)
    shown = seen(monkeypatch, breast(800, 480), device="cuda", mode="auto")
    assert len(shown) >= 4
    assert max(max(size) for size in shown) <= SPEC.tile


def test_auto_takes_torch_where_there_is_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(runtimes, "TorchRuntime", lambda _: FakeRuntime("cuda"))
    network = DetectorNetwork(SPEC)
    runtime = runtimes.open_runtime(network, name="auto", key="", cache=None, threads=1)
    assert isinstance(runtime, FakeRuntime)
