"""What a GPU does for serving and training: one script of at most ten minutes, one table.

    python -m benchmarks.gpu [--device cuda] [--small]

On a machine without a GPU `make bench ARGS=gpu` says so and measures nothing; `--device cpu --small` tries the script.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import torch.distributed as dist
import typer
from torch import Tensor
from torch.multiprocessing.spawn import spawn
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.result import Result
from benchmarks.segmenter_epoch import drawn_region
from mammo.detector.weights import load_network
from mammo.models import STARTER
from mammo.segmenter.config import mlsam
from mammo.segmenter.network import Mlsam, new_network
from training.segmenter.batches import make_batch, prepare
from training.segmenter.finetune import select_trained
from training.segmenter.loss import SegmenterLoss
from training.segmenter.process_group import ProcessGroup
from training.segmenter.recipes import SegmenterRecipe, segmenter_paper, segmenter_starter_mixed

SEED = 0
PORT = 29_417
SIDE = 8192
"""Side of the matrices whose product measures the machine's peak."""

TARGET = 4.0
"""bfloat16 over float32 when encoding regions."""


@dataclass(frozen=True)
class Scale:
    """What is measured: published sizes, or small ones that a CPU does in seconds."""

    encoders: tuple[str, ...]
    input_size: int
    regions: int
    """Regions encoded at once, and in a training step."""

    tile: int
    """Side of the detector's input, in pixels."""

    matrix: int
    rounds: int
    trained: str
    """Encoder of the fine-tuning."""

    pretrained: str
    """Encoder of the slice of a training from scratch."""


FULL = Scale(("vit_l", "vit_h"), 1024, 8, 1280, SIDE, 10, "vit_l", "vit_b")
SMALL = Scale(("smoke",), 128, 2, 128, 256, 2, "smoke", "smoke")

Row = tuple[str, str, str]


def run() -> list[Result]:
    """Measure, if this machine has a GPU."""
    if not torch.cuda.is_available():
        print("gpu: this machine has no GPU that torch can use; nothing was measured", file=sys.stderr)
        return []
    return [measured(torch.device("cuda"), FULL)]


def measured(device: torch.device, scale: Scale) -> Result:
    peaks = {precision: _peak(device, precision, scale) for precision in (torch.float32, torch.bfloat16)}
    rows: list[Row] = [
        (
            f"matrix product {scale.matrix}, bfloat16",
            f"{peaks[torch.bfloat16] / 1e12:.3g} TFLOP/s",
            f"{peaks[torch.bfloat16] / peaks[torch.float32]:.1f} x",
        )
    ]
    for name in scale.encoders:
        rows += _segmenter_rows(name, device, scale, peak=peaks[torch.bfloat16])
    rows += _detector_rows(device, scale)
    fine_tuning = replace(segmenter_paper(), precision="bfloat16", views=1)
    rows.append(_training_row("fine-tuning, policy hq", fine_tuning, scale.trained, device, scale))
    whole = replace(segmenter_starter_mixed(), precision="bfloat16")
    rows.append(_training_row("training from scratch", whole, scale.pretrained, device, scale))
    rows.append(("processes that join by " + _backend(device), _joined(device), ""))
    return Result(
        title="On a GPU",
        method=f"{_name(device)}. Median of {scale.rounds} interleaved rounds after a warm-up, random weights, "
        f"{scale.regions} regions of {scale.input_size} pixels at once. Third column: against float32 eager in the "
        f"same run (goal {TARGET:.0f} x for encoding), and the share of the bfloat16 matrix product.",
        columns=("what", "a second", "against float32"),
        rows=rows,
    )


def _segmenter_rows(name: str, device: torch.device, scale: Scale, *, peak: float) -> Iterator[Row]:
    config = replace(mlsam("vit_l", input_size=scale.input_size), encoder=name)
    network = new_network(config, seed=SEED).eval().to(device)
    planes = torch.rand(scale.regions, 3, scale.input_size, scale.input_size, device=device)

    def encode() -> object:
        return network.fuse(network.encode(planes))

    seconds = _in_both(encode, device, rounds=scale.rounds)
    with FlopCounterMode(display=False) as counter, torch.inference_mode():
        encode()
    reached = counter.get_total_flops() / seconds["bfloat16"] / peak
    gain = seconds["float32"] / seconds["bfloat16"]
    regions = scale.regions / seconds["bfloat16"]
    yield f"{name}: regions encoded, bfloat16", f"{regions:.3g}", f"{gain:.2f} x, {reached:.0%} of the peak"
    yield f"{name}: clicks, float32", f"{1 / _click(network, planes[:1], device, scale):.3g}", ""


@torch.inference_mode()
def _click(network: Mlsam, planes: Tensor, device: torch.device, scale: Scale) -> float:
    """Seconds of a click on a region that is encoded and fused, its mask on the CPU."""
    levels = network.encode(planes)
    fused = network.fuse(levels)
    coordinates = torch.tensor([[[50.0, 50.0], [20.0, 20.0], [90.0, 90.0]]], device=device)
    labels = torch.tensor([[1, 2, 3]], device=device)

    def click() -> object:
        return (network.decode(levels.neck, fused, coordinates, labels).logits > 0).cpu()

    return _timed({"click": click}, device, rounds=scale.rounds)["click"]


def _detector_rows(device: torch.device, scale: Scale) -> Iterator[Row]:
    network = load_network(STARTER / "detector.safetensors")[0].to(device, memory_format=torch.channels_last)
    network.model[-1].training = True  # returns its raw maps
    tile = torch.rand(1, 3, scale.tile, scale.tile, device=device).contiguous(
        memory_format=torch.channels_last
    )
    seconds = _in_both(lambda: network(tile), device, rounds=scale.rounds)
    gain = seconds["float32"] / seconds["bfloat16"]
    yield f"detector: images of {scale.tile} pixels, float32", f"{1 / seconds['float32']:.3g}", "1 x"
    yield (
        f"detector: images of {scale.tile} pixels, bfloat16",
        f"{1 / seconds['bfloat16']:.3g}",
        f"{gain:.2f} x",
    )


def _training_row(
    name: str, recipe: SegmenterRecipe, encoder: str, device: torch.device, scale: Scale
) -> Row:
    """Samples a second through batch, loss, gradient and step of a recipe."""
    config = replace(recipe.config, encoder=encoder, input_size=scale.input_size)
    recipe = replace(recipe, config=config, steps=scale.rounds, batch=scale.regions, warm_up=0)
    with tempfile.TemporaryDirectory() as folder:
        network = new_network(config, seed=SEED).to(device)
        rois = [drawn_region(Path(folder) / f"{number}.npy", number) for number in range(scale.regions)]
        prepared = prepare(
            network,
            rois,
            recipe=recipe,
            folder=Path(folder) / "features",
            group=ProcessGroup(),
            progress=lambda *_: None,
        )
        trained = select_trained(network, recipe)
        objective = SegmenterLoss(network, recipe)
        optimizer = torch.optim.AdamW(trained, lr=1e-5)
        step = iter(range(10**6))

        def train() -> object:
            number = next(step) % recipe.steps
            planned = list(enumerate(prepared.plan.step(number)))
            batch = make_batch(prepared, number, planned, device=device)
            optimizer.zero_grad(set_to_none=True)
            loss = objective(batch).total
            loss.backward()
            optimizer.step()
            return loss

        seconds = _timed({"step": train}, device, rounds=scale.rounds)["step"]
    return f"{name}, {encoder}, bfloat16: regions", f"{scale.regions / seconds:.3g}", ""


def _in_both(call: Callable[[], object], device: torch.device, *, rounds: int) -> dict[str, float]:
    """Seconds of `call` in float32 and under bfloat16 autocast."""

    @torch.inference_mode()
    def reduced() -> object:
        with torch.autocast(device.type, dtype=torch.bfloat16):
            return call()

    return _timed({"float32": torch.inference_mode()(call), "bfloat16": reduced}, device, rounds=rounds)


def _timed(
    candidates: dict[str, Callable[[], object]], device: torch.device, *, rounds: int
) -> dict[str, float]:
    """Median seconds of each candidate, in turns, the device's queue included."""
    seconds: dict[str, list[float]] = {name: [] for name in candidates}
    for number in range(rounds + 2):
        for name, call in candidates.items():
            _wait(device)
            began = time.perf_counter()
            call()
            _wait(device)
            if number >= 2:  # the first calls choose kernels and fill caches
                seconds[name].append(time.perf_counter() - began)
    return {name: statistics.median(values) for name, values in seconds.items()}


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _peak(device: torch.device, precision: torch.dtype, scale: Scale) -> float:
    """FLOP/s of a matrix product."""
    a = torch.randn(scale.matrix, scale.matrix, device=device, dtype=precision)
    seconds = _timed({"product": lambda: a @ a}, device, rounds=scale.rounds)["product"]
    return 2 * scale.matrix**3 / seconds


def _backend(device: torch.device) -> str:
    return "nccl" if device.type == "cuda" else "gloo"


def _joined(device: torch.device) -> str:
    """Sum a number over a process per GPU (two on a CPU), and say what came of it."""
    number = torch.cuda.device_count() if device.type == "cuda" else 2
    with tempfile.TemporaryDirectory() as folder:
        spawn(_add, args=(number, device.type, folder), nprocs=number)  # type: ignore[no-untyped-call]
        sums = {Path(folder, str(rank)).read_text() for rank in range(number)}
    if sums != {str(float(sum(range(1, number + 1))))}:
        raise AssertionError(f"{number} processes added up to {sums}")
    return f"{number}, sums agree"


def _add(rank: int, size: int, device_type: str, folder: str) -> None:
    device = torch.device(device_type, rank) if device_type == "cuda" else torch.device("cpu")
    with _group(rank, size, _backend(device)):
        number = torch.full((1,), rank + 1.0, device=device)
        dist.all_reduce(number)
        Path(folder, str(rank)).write_text(str(number.item()))


@contextmanager
def _group(rank: int, size: int, backend: str) -> Iterator[None]:
    if backend == "nccl":
        torch.cuda.set_device(rank)
    dist.init_process_group(backend, init_method=f"tcp://127.0.0.1:{PORT}", rank=rank, world_size=size)
    try:
        yield
    finally:
        dist.destroy_process_group()


def _name(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else "No GPU, sizes of a trial"


def main(
    device: Annotated[str, typer.Option(help="`cuda`, or `cpu` to try the script.")] = "cuda",
    small: Annotated[
        bool, typer.Option("--small", help="Small networks, which a CPU runs in seconds.")
    ] = False,
) -> None:
    """Measure and print the table."""
    if device == "cuda" and not torch.cuda.is_available():
        raise typer.BadParameter(
            "this machine has no GPU that torch can use; `--device cpu --small` tries the script"
        )
    torch.manual_seed(SEED)
    np.random.seed(SEED)
    print(measured(torch.device(device), SMALL if small else FULL).markdown())


if __name__ == "__main__":
    typer.run(main)
