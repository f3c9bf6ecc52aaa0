"""A click on an encoded region: features fused once per region, against HQ-SAM's fusion at every click."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn

from benchmarks.hq_sam_baseline import published
from benchmarks.result import Result, milliseconds
from mammo.segmenter.config import MlsamConfig, hq_sam, mlsam
from mammo.segmenter.encoder import Levels
from mammo.segmenter.network import BOTTOM_RIGHT, TOP_LEFT, Mlsam

ROUNDS = 15
BOX = (torch.tensor([[[100.0, 120.0], [300.0, 280.0]]]), torch.tensor([[TOP_LEFT, BOTTOM_RIGHT]]))


def run() -> Result:
    torch.set_num_threads(1)
    rows = []
    with torch.inference_mode():
        for side in (512, 1024):
            seconds = _turns(
                {name: call for make in (hq_sam, mlsam) for name, call in _arms(make, side).items()}
            )
            hq, ml = (seconds[f"{name}, fused in every click"] for name in ("hq_sam", "mlsam"))
            for name, value in seconds.items():
                rows.append(
                    (f"{name}, {side}", milliseconds(value), f"{hq / value:.2f} x", f"{ml / value:.2f} x")
                )
    return Result(
        title="Clicks, ViT-B levels, one box",
        method=f"Processor time of one thread, median of {ROUNDS} interleaved rounds, float32, random weights. `fused "
        "in every click` is what HQ-SAM's predictor does, in its authors' arithmetic; `ours` fuses once.",
        columns=("click", "time", "against HQ-SAM's own", "against MLSAM its way"),
        rows=rows,
    )


def _arms(make: Callable[..., MlsamConfig], side: int) -> dict[str, Callable[[], object]]:
    config = make("vit_b", input_size=side)
    ours, theirs = _network(config), _network(config)
    theirs.mask_decoder = published(ours.mask_decoder, config)
    g, C = config.grid, config.level_widths
    levels = Levels(
        neck=_channels_last(256, g),
        early=_channels_last(C[0], g),
        middle=_channels_last(C[1], g) if config.middle else None,
        final=None,
    )
    fused = ours.fuse(levels)
    return {
        f"{make.__name__}, fused in every click": lambda: theirs.decode(
            levels.neck, theirs.fuse(levels), *BOX
        ),
        f"{make.__name__}, ours": partial(ours.decode, levels.neck, fused, *BOX),
        f"{make.__name__}, fusing once, ours": partial(ours.fuse, levels),
    }


def _network(config: MlsamConfig) -> Mlsam:
    """A network without weights of the encoder, which a click does not use."""
    with torch.device("meta"):
        network = Mlsam(config)
    for part in (network.prompt_encoder, network.mask_decoder):
        part.to_empty(device="cpu")
        for tensor in (*part.parameters(), *part.buffers()):
            nn.init.normal_(tensor, std=0.05)
    return network.eval()


def _channels_last(channels: int, grid: int) -> Tensor:
    """A level in the encoder's memory layout."""
    return torch.randn(1, grid, grid, channels).permute(0, 3, 1, 2)


def _turns(calls: dict[str, Callable[[], object]]) -> dict[str, float]:
    """Median processor seconds of each candidate, run in turns so that load on the machine affects all alike."""
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    for number in range(ROUNDS + 1):
        for name, call in calls.items():
            began = time.process_time()
            call()
            if number:  # the first round is a warm-up
                seconds[name].append(time.process_time() - began)
    return {name: statistics.median(values) for name, values in seconds.items()}
