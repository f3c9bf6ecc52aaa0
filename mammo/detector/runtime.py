"""Runtimes: what carries the network out. torch is the reference; OpenVINO is faster on a CPU and proven equal to it.

auto            torch on a GPU; else OpenVINO in float32 if it passes its check, else torch with the reason logged
torch           the reference
openvino        float32: every score within 1e-4 of torch's
openvino-bf16   bfloat16 where the processor has it: twice as fast, scores differ; only ever an explicit choice.
                Elsewhere it is `openvino`, and says so
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Literal, Protocol

import torch
from torch import Tensor

from mammo.detector.decode import decode
from mammo.detector.network import DetectorNetwork
from mammo.detector.normalise import Planes
from mammo.errors import UnusableRuntime

RuntimeName = Literal["auto", "torch", "openvino", "openvino-bf16"]

log = logging.getLogger(__name__)


class Runtime(Protocol):
    """Safe to share between threads."""

    name: str

    def look(self, tile: Planes, *, threshold: float) -> Tensor:
        """Boxes in one tile, best first.

        Args:
            tile: 3 x H x W float32 in [0, 1], sides multiples of 32.
            threshold: least score, in (0, 1).

        Returns:
            N x 5 float32 on the CPU: x0, y0, x1, y1 in pixels of the tile, score.
        """
        ...


class TorchRuntime:
    """The network as it was trained, on the GPU where there is one."""

    name = "torch"

    def __init__(self, network: DetectorNetwork) -> None:
        """
        Args:
            network: fused, in evaluation mode; it cannot be trained any more.
        """
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        head = network.model[-1]
        # The head then hands out its raw maps: `decode` reads them without the head's cache of anchors.
        head.training = True
        self._strides = [float(stride) for stride in head.stride]
        self._network = network.requires_grad_(False).to(self.device, memory_format=torch.channels_last)

    @torch.inference_mode()
    def look(self, tile: Planes, *, threshold: float) -> Tensor:
        batch = torch.from_numpy(tile)[None].to(self.device, memory_format=torch.channels_last)
        (found,) = decode(self._network(batch), strides=self._strides, threshold=threshold)
        return found


def open_runtime(
    network: DetectorNetwork, *, name: RuntimeName, key: str, cache: Path | None, threads: int
) -> Runtime:
    """Choose and prepare a runtime.

    Args:
        network: fused, in evaluation mode; the runtime keeps it or what it needs of it.
        key: names the network's weights: their SHA-256.
        cache: folder of exported networks; None exports every time (a second or two).
        threads: CPU threads; 0 lets the runtime choose.

    Raises:
        UnusableRuntime: the runtime asked for by name is missing or does not compute what torch computes.
    """
    if name == "torch" or (name == "auto" and torch.cuda.is_available()):
        return TorchRuntime(network)
    # OpenVINO takes a third of a second to import: only who uses it waits.
    from mammo.detector.runtime_openvino import OpenVinoRuntime

    try:
        runtime = OpenVinoRuntime.open(
            network,
            precision="bf16" if name == "openvino-bf16" else "f32",
            key=key,
            cache=cache,
            threads=threads,
        )
    except UnusableRuntime as error:
        if name != "auto":
            raise
        log.warning("detector runs on torch: %s", error)
        return TorchRuntime(network)
    if name == "openvino-bf16" and runtime.precision != "bf16":
        log.warning(
            "detector runs in float32: this processor has no bfloat16; its scores are right, and it is no faster than "
            "YOLO_MLSAM_RUNTIME=openvino"
        )
    return runtime
