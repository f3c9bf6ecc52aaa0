"""Training of the segmenter: regions from cases, one loop, the best weights by validation Dice.

A killed run resumes at its last checkpoint and ends with the same weights. Under `torchrun` every process computes a
share of each step; the first one cuts regions, encodes, validates and writes.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from mammo.blobs import hash_file
from mammo.detector import Detector
from mammo.dicom import Mammogram
from mammo.errors import InsufficientData, InvalidCheckpoint, TrainingDiverged
from mammo.geometry import Box
from mammo.segmenter import Segmenter
from mammo.segmenter.network import Mlsam, new_network
from mammo.segmenter.weights import load_segmenter, save_segmenter
from training.cases import Case, Measure, Progress, check_cases, portion, silent, unmeasured
from training.checkpoints import Checkpoints
from training.segmenter.batches import BatchSource, batches, prepare
from training.segmenter.growth import grown
from training.segmenter.lora import add_lora, merge_lora
from training.segmenter.loss import SegmenterLoss
from training.segmenter.parallel_training import train_in_processes
from training.segmenter.process_group import ProcessGroup
from training.segmenter.recipes import SegmenterRecipe
from training.segmenter.rois import (
    DetectBoxes,
    TrainingRegions,
    TrainingRoi,
    cut_rois,
    training_counts,
)
from training.segmenter.validation import RoiScore, score_rois

NUM_LOSSES = 128
MIN_FALSE_POSITIVE_SCORE = 0.02
"""Minimum detector score of the false positives to train on: far below any operating point."""


def finetune_segmenter(
    train: Sequence[Case],
    validation: Sequence[Case],
    *,
    start: Path | None,
    recipe: SegmenterRecipe,
    folder: Path,
    detector: Path | None = None,
    processes: int = 1,
    progress: Progress = silent,
    measure: Measure = unmeasured,
) -> Path:
    """Train a segmenter and return the weights with the best validation Dice; the start weights compete.

    Start weights get the parts that the recipe adds. They do not compete then, because the new parts are untrained.

    Called again with the same arguments, it resumes a killed run or returns the weights of a finished one.

    Args:
        validation: cases of other patients; without any, the last step's weights are the result.
        start: weights to continue from; None: from scratch, with the recipe's configuration.
        folder: for the files of one run; receives `segmenter.safetensors`, with facts about its training.
        detector: weights of a detector, whose false positives train the presence head beside random backgrounds.
        processes: number of processes that train together, one per GPU. It does not change the result.
        progress: called after every step; may raise `Cancelled` to stop the run.
        measure: receives the mean loss about `NUM_LOSSES` times, and every validation score.

    Raises:
        InsufficientData: no training case has a mask.
        InvalidTrainingData: see `check_cases`; a mask does not lie in its image.
        InvalidWeights: the start or the detector cannot be loaded.
        InvalidCheckpoint: the folder has a checkpoint of another recipe, start or data.
        TrainingDiverged: the loss became NaN or infinite.
        Cancelled: raised by `progress`.
    """
    check_cases(train, validation, network="segmenter")
    network, start_competes = _start_network(start, recipe)
    needs_negatives = network.config.presence and recipe.negatives > 0
    detect = _low_threshold_boxes(detector) if detector and needs_negatives else None
    rois, held_out = (
        cut_once(
            cases,
            folder / fold,
            network=network,
            backgrounds=1 if needs_negatives else 0,
            detect=detect,
            progress=portion(progress, begin, begin + 0.05),
        )
        for fold, cases, begin in (("train", train, 0.0), ("validation", validation, 0.05))
    )
    facts = {
        "start_sha256": hash_file(start) if start else None,
        "detector_sha256": hash_file(detector) if detector and detect else None,
        **training_counts(rois, train, config=network.config),
    }
    run: Callable[..., Path] = partial(train_network, network, TrainingRegions(rois, held_out))
    if processes > 1:
        run = partial(train_in_processes, network, num_processes=processes)
    return run(
        recipe=recipe,
        folder=folder,
        start_competes=start_competes,
        facts=facts,
        progress=portion(progress, 0.1, 1.0),
        measure=measure,
    )


def _start_network(start: Path | None, recipe: SegmenterRecipe) -> tuple[Mlsam, bool]:
    """The network before training, and whether it competes with the trained weights."""
    if start is None:
        network = new_network(recipe.config, seed=recipe.seed)
        if recipe.silence_middle and network.config.middle:
            network.mask_decoder.silence_middle()
        return network, False
    network = load_segmenter(start)[0]
    config = replace(
        network.config,
        presence=network.config.presence or "presence" in recipe.adds,
        box_prior=network.config.box_prior or "box_prior" in recipe.adds,
    )
    if config == network.config:
        return network, True
    return grown(network, config, seed=recipe.seed), False


def cut_once(
    cases: Sequence[Case],
    folder: Path,
    *,
    network: Mlsam,
    backgrounds: int,
    detect: DetectBoxes | None,
    progress: Progress,
) -> list[TrainingRoi]:
    """Cut the regions in the first process; the others read them."""
    group = ProcessGroup.current()

    def cut() -> list[TrainingRoi]:
        return cut_rois(
            cases,
            folder,
            config=network.config,
            backgrounds=backgrounds,
            detect=detect,
            progress=progress,
        )

    rois = cut() if group.is_first else []
    group.wait()
    return rois if group.is_first else cut()


def train_network(
    network: Mlsam,
    regions: TrainingRegions,
    *,
    recipe: SegmenterRecipe,
    folder: Path,
    start_competes: bool,
    features: Path | None = None,
    facts: dict[str, Any] | None = None,
    progress: Progress = silent,
    measure: Measure = unmeasured,
) -> Path:
    """Train a network on regions and write the best weights.

    Args:
        network: with the start weights; it is modified.
        start_competes: whether the start weights may be the best ones.
        features: folder of the feature cache, which runs with the same encoder can share; None: in `folder`.
        facts: recorded with the weights.
    """
    if not any(roi.kind == "cluster" for roi in regions.train):
        raise InsufficientData("no training case has a cluster with a mask; correct at least one mask first")
    group = ProcessGroup.current()
    folder.mkdir(parents=True, exist_ok=True)
    if recipe.batch % group.size:
        raise InsufficientData(
            f"a batch of {recipe.batch} regions cannot be shared by {group.size} processes; use a divisor"
        )
    key = _run_key(network, regions, recipe=recipe, facts=facts or {})
    path = folder / "segmenter.safetensors"
    if path.is_file() and load_segmenter(path)[1].get("run") == key:
        progress(1.0, "segmenter: already trained")
        return path

    network.to("cuda" if torch.cuda.is_available() else "cpu").eval()
    source = prepare(
        network,
        regions.train,
        recipe=recipe,
        folder=features or folder / "features",
        group=group,
        progress=portion(progress, 0.0, 0.2),
    )
    best = _train(
        source,
        regions.validation if any(roi.kind == "cluster" for roi in regions.validation) else [],
        key=key,
        checkpoints=_checkpoints(folder),
        start_competes=start_competes,
        group=group,
        progress=portion(progress, 0.2, 1.0),
        measure=measure,
    )
    network.load_state_dict(best.weights, strict=False)
    merge_lora(network)
    if group.is_first:
        save_segmenter(path, network, facts={**(facts or {}), **_run_facts(recipe, key, best)})
        _checkpoints(folder).remove()
    group.wait()
    return path


def _train(
    source: BatchSource,
    held_out: Sequence[TrainingRoi],
    *,
    key: str,
    checkpoints: Checkpoints,
    start_competes: bool,
    group: ProcessGroup,
    progress: Progress,
    measure: Measure,
) -> _Best:
    """The training loop. Returns the best trained parameters; without held-out regions the last ones."""
    network, recipe = source.network, source.plan.recipe
    trained = select_trained(network, recipe)
    device = next(network.parameters()).device
    optimizer = torch.optim.AdamW(trained, lr=recipe.learning_rate, weight_decay=recipe.weight_decay)
    first, best = _resume(checkpoints, network, optimizer, key=key)
    if best is None:
        competes = start_competes and held_out and group.is_first
        score = _validate(network, held_out, recipe=recipe) if competes else None
        best = _Best(_trained_state(network), score)
    objective: nn.Module = SegmenterLoss(network, recipe)
    if group.size > 1:
        objective = DistributedDataParallel(objective, find_unused_parameters=True)

    every, losses = max(1, recipe.steps // NUM_LOSSES), list[float]()
    for step, batch in batches(source, first=first, group=group, device=device):
        for parameters in optimizer.param_groups:
            parameters["lr"] = recipe.learning_rate * _rate_factor(step, recipe=recipe)
        loss = objective(batch)
        _require_finite(loss.total, step, recipe)
        optimizer.zero_grad(set_to_none=True)
        loss.total.backward()
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        optimizer.step()
        done = step + 1
        losses.append(loss.total.item())
        progress(done / recipe.steps, f"step {done} of {recipe.steps}, loss {losses[-1]:.3f}")
        if done % every == 0:
            measure("loss", done, sum(losses) / len(losses))
            losses.clear()
        is_last = done == recipe.steps
        if held_out and group.is_first and (is_last or done % recipe.validate_every == 0):
            score = _validate(network, held_out, recipe=recipe)
            progress(done / recipe.steps, f"step {done}: validation {_score_text(score)}")
            measure("validation Dice by box", done, score.box)
            measure("validation Dice with points", done, score.box_and_points)
            if best.score is None or score.choice > best.score.choice:
                best = _Best(_trained_state(network), score)
        if group.is_first and not is_last and done % recipe.checkpoint_every == 0:
            checkpoints.save(done, _checkpoint_state(key, network, optimizer, best))
    return best if held_out else _Best(_trained_state(network), None)


@dataclass(frozen=True, eq=False)
class _Best:
    """The best trained parameters so far, and their validation score."""

    weights: dict[str, Tensor]
    score: RoiScore | None


def _run_facts(recipe: SegmenterRecipe, key: str, best: _Best) -> dict[str, Any]:
    return {
        "recipe": recipe.name,
        "policy": recipe.policy,
        "precision": recipe.precision,
        "seed": recipe.seed,
        "steps": recipe.steps,
        "run": key,
        "validation": asdict(best.score) if best.score else None,
    }


def select_trained(network: Mlsam, recipe: SegmenterRecipe) -> list[nn.Parameter]:
    """Freeze the parameters that the recipe does not train; returns the others."""
    if recipe.policy != "lora":
        return network.set_trainable(recipe.policy)
    decoder = network.set_trainable("decoder")
    return decoder + add_lora(network, rank=recipe.lora_rank, seed=recipe.seed)


def _resume(
    checkpoints: Checkpoints, network: Mlsam, optimizer: torch.optim.Optimizer, *, key: str
) -> tuple[int, _Best | None]:
    """Load the latest checkpoint into network and optimiser; returns the number of completed steps, and the best."""
    checkpoint = checkpoints.latest()
    if checkpoint is None:
        return 0, None
    state = checkpoint.state
    if state["run"] != key:
        raise InvalidCheckpoint(
            f"{checkpoints.folder.name} has the checkpoint of another run: the recipe, start, configuration or data "
            "differ; use an empty folder, or delete the checkpoints to start from the beginning"
        )
    network.load_state_dict(state["network"], strict=False)
    optimizer.load_state_dict(state["optimizer"])
    score = RoiScore(**state["score"]) if state["score"] else None
    return checkpoint.epochs, _Best(state["best"], score)


def _checkpoint_state(
    key: str, network: Mlsam, optimizer: torch.optim.Optimizer, best: _Best
) -> dict[str, Any]:
    return {
        "run": key,
        "network": _trained_state(network),
        "optimizer": optimizer.state_dict(),
        "best": best.weights,
        "score": asdict(best.score) if best.score else None,
    }


def _checkpoints(folder: Path) -> Checkpoints:
    # A constant key, because `_resume` refuses the checkpoint of another run instead of skipping it.
    return Checkpoints(folder / "checkpoints", key="segmenter")


def _require_finite(loss: Tensor, step: int, recipe: SegmenterRecipe) -> None:
    if not torch.isfinite(loss):
        raise TrainingDiverged(
            f"the loss is {loss.item()} at step {step + 1} of {recipe.steps}; lower the learning rate "
            f"({recipe.learning_rate:g}), warm up longer ({recipe.warm_up} steps), or train in float32"
        )


def _validate(network: Mlsam, held_out: Sequence[TrainingRoi], *, recipe: SegmenterRecipe) -> RoiScore:
    return score_rois(Segmenter(network), held_out, seed=recipe.seed)


def _trained_state(network: Mlsam) -> dict[str, Tensor]:
    return {name: p.detach().clone() for name, p in network.named_parameters() if p.requires_grad}


def _run_key(
    network: Mlsam, regions: TrainingRegions, *, recipe: SegmenterRecipe, facts: dict[str, Any]
) -> str:
    """Identifies all that the result depends on; the number of processes is not part of it."""
    rois = [[roi.image, roi.kind, roi.box.as_tuple()] for roi in (*regions.train, *regions.validation)]
    parts = [asdict(recipe), asdict(network.config), facts.get("start_sha256"), len(regions.train), rois]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def _low_threshold_boxes(weights: Path) -> DetectBoxes:
    detector = Detector.load(weights)

    def detect(mammogram: Mammogram) -> list[Box]:
        detections = detector.detect(
            mammogram.pixels, threshold=MIN_FALSE_POSITIVE_SCORE, spacing=mammogram.spacing
        )
        return [detection.box for detection in sorted(detections, key=lambda d: -d.score)]

    return detect


def _rate_factor(step: int, *, recipe: SegmenterRecipe) -> float:
    """Factor on the peak learning rate: linear warm-up, then a half cosine to zero."""
    if step < recipe.warm_up:
        return (step + 1) / recipe.warm_up
    decayed = (step - recipe.warm_up) / max(1, recipe.steps - recipe.warm_up)
    return 0.5 * (1 + math.cos(math.pi * min(1.0, decayed)))


def _score_text(score: RoiScore) -> str:
    presence = "" if score.presence_auc is None else f", presence AUC {score.presence_auc:.3f}"
    return f"Dice {score.box:.3f} by box, {score.box_and_points:.3f} with points{presence}"
