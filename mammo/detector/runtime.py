"""Runtimes that execute the network. torch is the reference; OpenVINO is faster on a CPU and checked against torch.

auto            torch on a GPU; else OpenVINO if it passes its check, else torch with the reason logged. In float32,
                unless a stored check of the weights allows bfloat16 (`mammo.models.precision_notes`)
torch           the reference
openvino        float32; every score within 1e-4 of torch's
openvino-bf16   bfloat16 on processors that support it, whatever was checked: twice as fast, with different scores. On
                other processors it is `openvino`, with a warning
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
    """Executes the network. Threads may share one."""

    name: str

    def detect(self, tile: Planes, *, threshold: float) -> Tensor:
        """Detect the clusters in one tile.

        Args:
            tile: 3 x H x W float32 in [0, 1], sides multiples of 32.
            threshold: minimum score, in (0, 1).

        Returns:
            N x 5 float32 on the CPU, best first: x0, y0, x1, y1 in pixels of the tile, score.
        """
        ...


class TorchRuntime:
    """The network in torch, on the GPU if there is one."""

    name = "torch"

    def __init__(self, network: DetectorNetwork) -> None:
        """
        Args:
            network: fused, in evaluation mode; it cannot be trained afterwards.
        """
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        head = network.model[-1]
        # In training mode the head returns its raw maps, which `decode` reads without the head's anchor cache.
        head.training = True
        self._strides = [float(stride) for stride in head.stride]
        self._network = network.requires_grad_(False).to(self.device, memory_format=torch.channels_last)

    @torch.inference_mode()
    def detect(self, tile: Planes, *, threshold: float) -> Tensor:
        batch = torch.from_numpy(tile)[None].to(self.device, memory_format=torch.channels_last)
        (boxes,) = decode(self._network(batch), strides=self._strides, threshold=threshold)
        return boxes


def open_runtime(
    network: DetectorNetwork,
    *,
    name: RuntimeName,
    key: str,
    cache: Path | None,
    threads: int,
    bfloat16: bool = False,
) -> Runtime:
    """Choose and prepare a runtime.

    Args:
        network: fused, in evaluation mode; owned by the runtime from now on.
        name: see the docstring of this module.
        key: SHA-256 of the weights.
        cache: folder of exported networks; None exports every time (a second or two).
        threads: CPU threads; 0 lets the runtime choose.
        bfloat16: whether `auto` may compute in bfloat16: a check has found the detections equal on this processor.

    Raises:
        UnusableRuntime: the runtime was requested by name and fails, or its results differ from torch's.
    """
    if name == "torch" or (name == "auto" and torch.cuda.is_available()):
        return TorchRuntime(network)
    # Imported on use: the import of OpenVINO takes a third of a second.
    from mammo.detector.runtime_openvino import OpenVinoRuntime

    if name == "auto" and bfloat16:
        try:
            reduced = OpenVinoRuntime.open(network, precision="bf16", key=key, cache=cache, threads=threads)
        except UnusableRuntime as error:
            log.warning("the detector runs in float32: %s", error)
        else:
            if reduced.precision == "bf16":
                return reduced
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
        log.warning("the detector runs on torch: %s", error)
        return TorchRuntime(network)
    if name == "openvino-bf16" and runtime.precision != "bf16":
        log.warning(
            "the detector runs in float32: this processor does not support bfloat16; scores and speed are those of "
            "YOLO_MLSAM_RUNTIME=openvino"
        )
    return runtime
