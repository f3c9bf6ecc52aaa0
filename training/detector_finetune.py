"""Fine-tune the detector: cases in, a weights file out (step 10 of the walk)."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from mammo.detector import load_network, save_detector
from mammo.errors import InsufficientData
from training.cases import Case, Progress
from training.detector_recipes import DetectorRecipe
from training.detector_tiles import TileSet, write_tiles
from training.detector_trainer import AttentionTrainer, TrainableNetwork

_TILING = 0.2
"""Part of the work that is cutting tiles, for the progress."""


def finetune_detector(
    train: Sequence[Case],
    validation: Sequence[Case],
    *,
    start: Path | None,
    recipe: DetectorRecipe,
    folder: Path,
    progress: Progress,
) -> Path:
    """Train a detector, from scratch or on top of another one.

    Args:
        train: at least one of them with a cluster.
        validation: other patients; used when the recipe validates between epochs.
        start: weights to begin with; their spec stays. None: random weights and the recipe's spec.
        folder: for the files of the run, overwritten; the tiles cut there are removed at the end.
        progress: told how far the run is; may raise `Cancelled`, which comes through.

    Returns:
        `folder/detector.safetensors`, to be read by `Detector.load`.

    Raises:
        InsufficientData: no training case has a cluster.
        InvalidWeights: `start` is no detector.
    """
    if not any(case.truth for case in train):
        raise InsufficientData(
            f"none of {len(train)} training images has a cluster: the detector cannot learn"
        )
    torch.manual_seed(recipe.seed)
    network = _network(start, recipe)
    shutil.rmtree(folder / "tiles", ignore_errors=True)

    def cut(cases: Sequence[Case], name: str, crops: int, low: float, high: float) -> TileSet:
        return write_tiles(
            cases,
            folder / "tiles" / name,
            side=recipe.tile,
            crops=crops,
            background=recipe.background,
            seed=recipe.seed,
            progress=lambda fraction, message: progress(low + fraction * (high - low), message),
        )

    tiles = cut(train, "train", recipe.crops, 0.0, _TILING * 0.8)
    validates = recipe.validation_crops > 0 and any(case.truth for case in validation)
    checks = (
        cut(validation, "validation", recipe.validation_crops, _TILING * 0.8, _TILING) if validates else tiles
    )

    num_threads = torch.get_num_threads()  # ultralytics takes one thread and deterministic kernels for itself
    trainer = AttentionTrainer(
        network,
        recipe=recipe,
        validates=validates,
        train=tiles.folder,
        validation=checks.folder,
        folder=folder,
        progress=lambda fraction, message: progress(_TILING + fraction * (1 - _TILING), message),
    )
    try:
        trainer.train()
    finally:
        torch.set_num_threads(num_threads)
        shutil.rmtree(folder / "tiles", ignore_errors=True)  # patients' pixels, and many of them
    best, _ = load_network(trainer.result)
    result = folder / "detector.safetensors"
    trainer.result.unlink()
    save_detector(result, best, facts=_facts(recipe, tiles, train, start))
    progress(1.0, "detector: trained")
    return result


def _network(start: Path | None, recipe: DetectorRecipe) -> TrainableNetwork:
    if start is None:
        return TrainableNetwork(recipe.spec, gate_bias=recipe.gate_bias, rule=recipe.box_loss)
    known, _ = load_network(start)
    network = TrainableNetwork(known.spec, gate_bias=0.0, rule=recipe.box_loss)
    network.load_state_dict(known.state_dict(), strict=True)
    return network


def _facts(
    recipe: DetectorRecipe, tiles: TileSet, train: Sequence[Case], start: Path | None
) -> dict[str, Any]:
    return {
        "recipe": asdict(recipe),
        "from_scratch": start is None,
        "images": len(train),
        "patients": len({case.patient for case in train}),
        "clusters": sum(len(case.truth) for case in train),
        "positive_tiles": tiles.num_positive,
        "background_tiles": tiles.num_background,
        "torch": torch.__version__,
    }
