"""Chooses the runtime that executes the network.

auto            torch on a GPU and for small networks; else OpenVINO in float32, if there is a folder for exported
                networks and the check against torch passes
torch           the reference, float32
openvino        float32, equal to torch within the bounds of `runtime_openvino.py`
openvino-bf16   the encoder in bfloat16, twice as fast on processors that support it; never chosen by `auto`. On other
                processors it is `openvino`, with a warning
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import structlog
import torch

from mammo.errors import UnusableRuntime
from mammo.segmenter.network import Mlsam
from mammo.segmenter.runtime import Runtime, TorchRuntime

RuntimeName = Literal["auto", "torch", "openvino", "openvino-bf16"]

MIN_OPENVINO_PARAMETERS = 20_000_000
"""Number of parameters below which `auto` is torch: the starter answers in 50 ms, and an export takes seconds."""

log = structlog.get_logger()


def open_runtime(
    network: Mlsam, *, name: RuntimeName, weights: str, exported: Path | None, threads: int
) -> Runtime:
    """Choose and prepare a runtime.

    Args:
        network: in evaluation mode; only the torch runtime holds a reference to it.
        name: see the docstring of this module.
        weights: SHA-256 of its weights.
        exported: folder of exported networks; without one `auto` is torch, because every start would export.
        threads: CPU threads; 0 lets the runtime choose.

    Raises:
        UnusableRuntime: the runtime was requested by name and fails, or its results differ from torch's.
    """
    on_gpu = torch.cuda.is_available()
    is_small = sum(parameter.numel() for parameter in network.parameters()) < MIN_OPENVINO_PARAMETERS
    if name == "torch" or (name == "auto" and (on_gpu or exported is None or is_small)):
        return TorchRuntime(network.to("cuda" if on_gpu else "cpu"))
    # Imported on use: the import of OpenVINO takes a third of a second.
    from mammo.segmenter.runtime_openvino import OpenVinoRuntime

    try:
        runtime = OpenVinoRuntime.open(
            network,
            precision="bf16" if name == "openvino-bf16" else "f32",
            weights=weights,
            exported=exported,
            threads=threads,
        )
    except UnusableRuntime as error:
        if name != "auto":
            raise
        log.warning("the segmenter runs on torch", reason=str(error))
        return TorchRuntime(network)
    if name == "openvino-bf16" and runtime.encoder_precision != "bf16":
        log.warning("the segmenter runs in float32", reason="this processor does not support bfloat16")
    return runtime
