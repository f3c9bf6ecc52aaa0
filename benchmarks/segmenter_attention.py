"""ViT-B's encoder with our attention against segment-anything's, each arm in fresh processes with one thread."""

from __future__ import annotations

import json
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from segment_anything.modeling import ImageEncoderViT
from segment_anything.modeling.image_encoder import Attention
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.result import Result
from mammo.segmenter.attention import LowMemoryAttention
from mammo.segmenter.config import ViT, sam
from mammo.segmenter.encoder import Encoder

ROUNDS = 2
GEMM = 2048
PARTS = {"global block, 1024": (1, 64), "windowed block, 1024": (25, 14), "global block, 512": (1, 32)}


def run() -> Result:
    """Arms run in turns, so that load on the machine affects all alike."""
    rows: list[tuple[str, ...]] = []
    reports: list[dict[str, dict[str, Any]]] = [
        {f"{arm} {side}": _fresh(arm, str(side)) for side in (1024, 512) for arm in ("stock", "ours")}
        for _ in range(ROUNDS)
    ]
    for side in (1024, 512):
        seconds, memory = (
            {a: _median(reports, f"{a} {side}", k) for a in ("stock", "ours")} for k in ("s", "mib")
        )
        flops = _flops(side)
        for arm, label in (("stock", "segment-anything (baseline)"), ("ours", "ours")):
            peak = _median(reports, f"{arm} {side}", "gemm")
            rows.append(
                (
                    f"encoder at {side}, {label}",
                    f"{seconds[arm]:.2f} s",
                    f"{seconds['stock'] / seconds[arm]:.2f} x",
                    f"{memory[arm]:.0f} MiB",
                    f"{memory[arm] / memory['stock']:.2f}",
                    f"{flops / seconds[arm] / peak:.0%}",
                )
            )
        rows.append(
            (f"largest difference at {side}", f"{_fresh('equal', str(side))['difference']:.1e}", *("",) * 4)
        )
    for part in PARTS:
        seconds = {arm: _fresh(f"part-{arm}", part)["s"] for arm in ("stock", "ours")}
        rows.append(
            (
                f"attention of a {part}",
                f"{seconds['ours']:.3f} s",
                f"{seconds['stock'] / seconds['ours']:.2f} x",
                "",
                "",
                "",
            )
        )
    gemm = statistics.median(r["gemm"] for report in reports for r in report.values()) / 1e9
    return Result(
        title="Attention with relative positions, ViT-B",
        method=f"Processor seconds of one thread, batch 1, float32, random weights; median of {ROUNDS} fresh processes "
        "an arm, arms in turns; memory is the process's largest RSS (torch and weights included); peak is a matrix "
        f"product of {GEMM}^3 in the same process (median {gemm:.0f} GFLOP/s).",
        columns=("what", "time", "faster", "memory", "of baseline", "of GEMM peak"),
        rows=rows,
    )


def _median(reports: list[dict[str, dict[str, Any]]], arm: str, key: str) -> float:
    return statistics.median(report[arm][key] for report in reports)


def _fresh(*arguments: str) -> dict[str, Any]:
    command = [sys.executable, "-m", "benchmarks.segmenter_attention", *arguments]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    report: dict[str, Any] = json.loads(done.stdout)
    return report


def _stock(side: int) -> ImageEncoderViT:
    vit = sam("vit_b").vit
    assert isinstance(vit, ViT)
    return ImageEncoderViT(
        img_size=side,
        embed_dim=vit.width,
        depth=vit.depth,
        num_heads=vit.heads,
        out_chans=256,
        norm_layer=partial(nn.LayerNorm, eps=1e-6),
        use_rel_pos=True,
        window_size=vit.window,
        global_attn_indexes=tuple(block - 1 for block in vit.global_blocks),
    ).eval()


def _flops(side: int) -> float:
    with torch.device("meta"), FlopCounterMode(display=False) as counter:
        _stock(side)(torch.zeros(1, 3, side, side))
    return float(counter.get_total_flops())


def _best(call: Callable[[], object], *, passes: int) -> float:
    seconds = []
    for _ in range(passes):
        began = time.process_time()
        call()
        seconds.append(time.process_time() - began)
    return min(seconds)


def _encoder(arm: str, side: int) -> dict[str, float]:
    network = _stock(side) if arm == "stock" else Encoder(sam("vit_b", input_size=side)).eval()
    seconds = _best(partial(network, torch.randn(1, 3, side, side)), passes=1 if side > 512 else 2)
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    a = torch.randn(GEMM, GEMM)
    return {"s": seconds, "mib": memory, "gemm": 2 * GEMM**3 / _best(lambda: a @ a, passes=4)}


def _difference(side: int) -> dict[str, float]:
    """Largest difference after all twelve blocks; the values of the output are of the order of 1."""
    torch.manual_seed(0)
    stock, ours = _stock(side), Encoder(sam("vit_b", input_size=side)).eval()
    for name, parameter in stock.named_parameters():
        if "rel_pos" in name or name == "pos_embed":
            nn.init.normal_(parameter, std=0.1)
    ours.load_state_dict(stock.state_dict(), strict=True)
    x = torch.randn(1, 3, side, side)
    return {"difference": float((ours(x).neck - stock(x)).abs().max())}


def _part(arm: str, part: str) -> dict[str, float]:
    batch, side = PARTS[part]
    layer = Attention(768, num_heads=12, use_rel_pos=True, input_size=(side, side)).eval()
    layer = layer if arm == "stock" else LowMemoryAttention.like(layer).eval()
    return {"s": _best(partial(layer, torch.randn(batch, side, side, 768)), passes=4)}


if __name__ == "__main__":
    torch.set_num_threads(1)
    what, argument = sys.argv[1:]
    with torch.inference_mode():
        if what == "equal":
            print(json.dumps(_difference(int(argument))))
        elif what.startswith("part-"):
            print(json.dumps(_part(what.removeprefix("part-"), argument)))
        else:
            print(json.dumps(_encoder(what, int(argument))))
