"""An epoch of the segmenter's training at ViT-L, 512 pixels: every view encoded again, or cached features."""

from __future__ import annotations

import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from benchmarks.result import Result, milliseconds
from mammo.geometry import Box, Point
from mammo.masks import Mask
from mammo.segmenter.config import mlsam
from mammo.segmenter.network import new_network
from training.cases import silent
from training.segmenter.batches import Batch, BatchSource, make_batch, prepare
from training.segmenter.finetune import select_trained
from training.segmenter.loss import SegmenterLoss
from training.segmenter.process_group import ProcessGroup
from training.segmenter.recipes import segmenter_paper
from training.segmenter.rois import TrainingRoi

REGIONS = 4
CPU = torch.device("cpu")


def run() -> Result:
    recipe = replace(
        segmenter_paper(),
        config=mlsam("vit_l", input_size=512),
        views=1,
        steps=REGIONS,
        batch=1,
        precision="float32",
    )
    with tempfile.TemporaryDirectory() as folder:
        network = new_network(recipe.config, seed=0).eval()
        rois = [drawn_region(Path(folder) / f"{number}.npy", number) for number in range(REGIONS)]
        began = time.perf_counter()
        cached = prepare(
            network,
            rois,
            recipe=recipe,
            folder=Path(folder) / "features",
            group=ProcessGroup(),
            progress=silent,
        )
        filling = time.perf_counter() - began
        fresh = BatchSource(network, cached.split, rois, cached.plan, None)
        trained = select_trained(network, recipe)
        objective = SegmenterLoss(network, recipe)
        seconds: dict[str, list[float]] = {"fresh": [], "cached": []}
        for _ in range(2):  # interleaved, so that load on the machine affects both alike
            for name, source in (("fresh", fresh), ("cached", cached)):
                began = time.perf_counter()
                for step in range(REGIONS):
                    objective(_batch(source, step)).total.backward()
                    for parameter in trained:
                        parameter.grad = None
                seconds[name].append(time.perf_counter() - began)
    slow, fast = min(seconds["fresh"]), min(seconds["cached"])
    return Result(
        title="Segmenter, one epoch at ViT-L, 512 pixels, policy hq, 3 prompts a region",
        method=f"Best of 2 interleaved rounds over {REGIONS} regions, random weights, float32, "
        f"{torch.get_num_threads()} threads; filling the features once, with one check per shard: {filling:.1f} s.",
        columns=("epoch", "per region", "faster by"),
        rows=[
            ("every view encoded again (baseline)", milliseconds(slow / REGIONS), "1 x"),
            ("cached features", milliseconds(fast / REGIONS), f"{slow / fast:.1f} x"),
        ],
    )


def _batch(source: BatchSource, step: int) -> Batch:
    batch = make_batch(source, step, list(enumerate(source.plan.step(step))), device=CPU)
    if source.cache is None:
        with torch.no_grad():
            return batch._replace(features=source.split.frozen_features(batch.features["planes"]))
    return batch


def drawn_region(file: Path, seed: int) -> TrainingRoi:
    """A region of noise, written to a file, with one finding."""
    pixels = np.random.default_rng(seed).normal(0.4, 0.02, (900, 900)).clip(0, 1).astype(np.float32)
    np.save(file, pixels)
    return TrainingRoi(
        file=file,
        image=f"{seed:064x}",
        patient=str(seed),
        kind="cluster",
        box=Box(400, 400, 520, 500),
        mask=Mask(np.ones((100, 120), np.bool_), 400, 400),
        specks=(Point(450, 450),),
        spacing=None,
    )
