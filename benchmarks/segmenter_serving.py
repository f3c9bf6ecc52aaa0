"""The segmenter in serving, ViT-B at 512 pixels, random weights: the first mask of a region, and further clicks."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import openvino
import torch
from openvino import opset13 as ops
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.hq_sam_baseline import published
from benchmarks.result import Result, interleaved, milliseconds
from mammo.geometry import Box, Point, Spacing
from mammo.models.exported_networks import CompiledNetwork, Precision
from mammo.pixels import Pixels
from mammo.segmenter import RoiEmbedding, Segmenter
from mammo.segmenter.config import hq_sam, mlsam
from mammo.segmenter.network import Mlsam, new_network
from mammo.segmenter.runtime import Runtime, TorchRuntime
from mammo.segmenter.runtime_openvino import FEATURE_BOUND, LOGIT_BOUND, OpenVinoRuntime

BASELINE = "torch: HQ-SAM's own click, fusion and all (baseline)"
BOX = Box(900, 1200, 1060, 1330)
ROI_SIDE = 512
"""Side of the region around that box, in native pixels."""

SIDE = 2048
"""Side of the matrices whose product measures the machine's peak."""


def run() -> Result:
    rng = np.random.default_rng(0)
    pixels = rng.uniform(0.2, 0.6, (3328, 2560)).astype(np.float32)
    with tempfile.TemporaryDirectory() as folder:
        network = new_network(mlsam("vit_b", input_size=512), seed=0).eval()
        baseline = new_network(hq_sam("vit_b", input_size=512), seed=0).eval()
        runtimes: dict[str, Runtime] = {"torch float32": TorchRuntime(network)}
        runtimes["OpenVINO float32"] = _openvino(network, "f32", Path(folder))
        reduced = _openvino(network, "bf16", Path(folder))
        if reduced.encoder_precision == "bf16":  # supported by this processor
            runtimes["OpenVINO bfloat16 encoder"] = reduced
        candidates: dict[str, Callable[[], object]] = {}
        for name, runtime in runtimes.items():
            segmenter = Segmenter(runtime)
            candidates[f"{name}: new region, first mask"] = partial(_first, segmenter, pixels)
            embedding = segmenter.embed(pixels, BOX, spacing=Spacing(0.07, 0.07, "imager"))
            candidates[f"{name}: next click"] = partial(_click, segmenter, embedding)
        baseline.mask_decoder = published(baseline.mask_decoder, baseline.config)
        candidates[BASELINE] = _fusing_click(baseline)
        seconds = interleaved(candidates, rounds=5)
        differences = _differences(runtimes)
        work = _encoder_gflop(network)
    peaks = {"torch": _torch_peak(), "f32": _openvino_peak("f32")}
    if reduced.encoder_precision == "bf16":
        peaks["bf16"] = _openvino_peak("bf16")
    best = max(peaks["torch"], peaks["f32"])
    own = seconds[BASELINE]
    rows = [
        (
            name,
            milliseconds(value),
            f"{work / value / (peaks['bf16'] if 'bfloat16' in name else best):.0%}"
            if "first mask" in name
            else f"{own / value:.1f} x",
        )
        for name, value in seconds.items()
    ]
    rows += [(f"{name}: largest difference from torch", text, "") for name, text in differences.items()]
    rows += [
        (f"matrix product {SIDE}, {name}", f"{peaks[key]:.0f} GFLOP/s", "")
        for name, key in (
            ("torch float32", "torch"),
            ("OpenVINO float32", "f32"),
            ("OpenVINO bfloat16", "bf16"),
        )
        if key in peaks
    ]
    return Result(
        title="Segmenter serving, ViT-B at 512, random weights",
        method=f"Median of 5 interleaved rounds after a warm-up, {torch.get_num_threads()} threads. Third column: the "
        f"{work:.0f} GFLOP of encoder and fusion (torch's FlopCounter) over the best matrix product of that number "
        "format in this run, or HQ-SAM's click over this one. On both sides a click ends with the mask in native "
        "pixels; HQ-SAM's as its predictor does it: fusion, segment-anything's layer norm, and two upsamplings "
        "of the whole region.",
        columns=("what", "time", "of the peak, or cheaper"),
        rows=rows,
    )


def _openvino(network: Mlsam, precision: Precision, folder: Path) -> OpenVinoRuntime:
    return OpenVinoRuntime.open(
        network,
        precision=precision,
        weights="0" * 64,
        exported=folder,
        threads=torch.get_num_threads(),
    )


def _first(segmenter: Segmenter, pixels: Pixels) -> None:
    _click(segmenter, segmenter.embed(pixels, BOX, spacing=Spacing(0.07, 0.07, "imager")))


def _click(segmenter: Segmenter, embedding: RoiEmbedding) -> None:
    click = Point(980, 1260)
    segmenter.segment(embedding, box=BOX, points=[click], binding=[click])


def _fusing_click(network: Mlsam) -> Callable[[], object]:
    """HQ-SAM's predictor: fuses the features for every prompt, and upsamples the mask to the region's pixels."""
    size = network.config.input_size
    side = ROI_SIDE
    with torch.inference_mode():
        levels = network.encode(torch.zeros(1, 3, size, size))
    coordinates = torch.tensor([[[250.0, 250.0], [150.0, 150.0], [350.0, 350.0]]])
    labels = torch.tensor([[1, 2, 3]])

    @torch.inference_mode()
    def click() -> object:
        low = network.decode(levels.neck, network.fuse(levels), coordinates, labels).logits
        for pixels in (size, side):
            low = F.interpolate(low, (pixels, pixels), mode="bilinear", align_corners=False)
        return (low > 0).numpy()

    return click


def _differences(runtimes: dict[str, Runtime]) -> dict[str, str]:
    """Largest difference of features (relative to the largest) and of logits from torch, on noise."""
    reference = runtimes["torch float32"]
    size = reference.config.input_size
    planes = np.random.default_rng(1).standard_normal((3, size, size)).astype(np.float32)
    prompt: dict[str, Any] = {
        "coordinates": [(250.0, 250.0), (150.0, 150.0), (350.0, 350.0)],
        "labels": [1, 2, 3],
        "previous": None,
    }
    features = reference.encode(planes)
    logits = reference.decode(features, **prompt).logits
    differences = {}
    for name, runtime in runtimes.items():
        if runtime is reference:
            continue
        other = runtime.encode(planes)
        apart = max(
            float(np.abs(a.astype(np.float32) - b).max() / np.abs(a).max())
            for a, b in zip(features, other, strict=True)
            if a is not None and b is not None
        )
        ours = runtime.decode(other, **prompt).logits
        bound = FEATURE_BOUND["bf16" if "bfloat16" in name else "f32"]
        flipped = float(np.mean((ours > 0) != (logits > 0)))
        differences[name] = (
            f"features {apart:.1e} (bound {bound:.0e}), logits {np.abs(ours - logits).max():.1e} of "
            f"{np.abs(logits).max():.2f}, {flipped:.2%} of signs; decoder alone: bound {LOGIT_BOUND:.0e}"
        )
    return differences


def _encoder_gflop(network: Mlsam) -> float:
    size = network.config.input_size
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network.fuse(network.encode(torch.zeros(1, 3, size, size)))
    return counter.get_total_flops() / 1e9


def _torch_peak() -> float:
    """GFLOP/s of a float32 matrix product."""
    a, b = torch.randn(SIDE, SIDE), torch.randn(SIDE, SIDE)
    return _gflops(lambda: a @ b)


def _openvino_peak(precision: Precision) -> float:
    """GFLOP/s of products with constant matrices, as in a layer; four in a row hide the copies at both ends."""
    rng = np.random.default_rng(0)
    x = ops.parameter([SIDE, SIDE], np.float32)
    y: Any = x
    for _ in range(4):
        weights = ops.constant(rng.standard_normal((SIDE, SIDE), np.float32) / SIDE)
        y = ops.matmul(y, weights, False, False)
    network = CompiledNetwork(
        openvino.Model([y], [x], "products"), precision=precision, threads=torch.get_num_threads()
    )
    values = rng.standard_normal((SIDE, SIDE), np.float32)
    return 4 * _gflops(lambda: network(values))


def _gflops(product: Callable[[], object]) -> float:
    product()
    return 2 * SIDE**3 / min(_timed(product) for _ in range(7)) / 1e9


def _timed(call: Callable[[], object]) -> float:
    began = time.perf_counter()
    call()
    return time.perf_counter() - began
