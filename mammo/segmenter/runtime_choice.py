"""Which runtime carries the network out.

auto            torch on a GPU and for a small network; else OpenVINO in float32 where exported networks can be kept, if
                it passes its proof
torch           the reference, float32
openvino        float32, proven equal to torch within the bounds of `runtime_openvino.py`
openvino-bf16   the encoder in bfloat16: twice as fast where the processor has it; only ever an explicit choice.
                Elsewhere it is `openvino`, and says so
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

SMALL = 20_000_000
"""Parameters below which `auto` is torch: the starter answers in 50 ms, and every export takes seconds."""

log = structlog.get_logger()


def open_runtime(
    network: Mlsam, *, name: RuntimeName, weights: str, exported: Path | None, threads: int
) -> Runtime:
    """Choose and prepare a runtime.

    Args:
        network: in evaluation mode; kept by torch's runtime only.
        weights: SHA-256 of its weights.
        exported: folder of exported networks; without one `auto` is torch: an export takes seconds, every time.
        threads: CPU threads; 0 lets the runtime choose.

    Raises:
        UnusableRuntime: the runtime asked for by name is missing, or does not compute what torch computes.
    """
    on_gpu = torch.cuda.is_available()
    small = sum(parameter.numel() for parameter in network.parameters()) < SMALL
    if name == "torch" or (name == "auto" and (on_gpu or exported is None or small)):
        return TorchRuntime(network.to("cuda" if on_gpu else "cpu"))
    # OpenVINO takes a third of a second to import: only who uses it waits.
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
        log.warning("the segmenter runs in float32", reason="this processor has no bfloat16")
    return runtime
