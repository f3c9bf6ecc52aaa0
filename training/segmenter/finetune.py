"""Fine-tune the segmenter: regions from cases, one page of loop, the best weights by validation Dice.

A run that is killed goes on from its last checkpoint and ends with the same weights. Under `torchrun` every process
takes a share of each step; the first one cuts, encodes, validates and writes.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections import Counter
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
from training.cases import Case, Progress, check_cases, silent
from training.checkpoints import Checkpoints
from training.segmenter.batches import Material, batches, prepare
from training.segmenter.growth import grown
from training.segmenter.lora import add_lora, merge_lora
from training.segmenter.loss import SegmenterLoss
from training.segmenter.parallel_training import train_in_processes
from training.segmenter.process_group import Processes
from training.segmenter.recipes import SegmenterRecipe
from training.segmenter.rois import (
    FindsBoxes,
    TrainingRoi,
    beside_a_place,
    cut_rois,
    is_tiny,
    without_outline,
)
from training.segmenter.validation import RoiScore, score_rois

FALSE_POSITIVES_FROM = 0.02
"""Detector score from which a wrong box is worth learning from: far below any operating point."""


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
) -> Path:
    """Train and return the weights with the best validation Dice; the start itself is the first candidate.

    A start from before the presence head grows one where the recipe has regions without a lesion to teach it; its masks
    are the same, but it is no candidate, since its new head knows nothing.

    Args:
        validation: cases of other patients; without any, the last step's weights are taken.
        start: weights to continue from; None: from scratch, by the recipe's configuration.
        folder: work files; receives `segmenter.safetensors`, whose facts tell how it came about. One folder, one run:
            a second call goes on where the first was killed, or returns what it finished.
        detector: weights whose false positives teach the presence head, beside places drawn at random.
        processes: how many train together, one for each GPU; the weights are those of one.
        progress: told after every step; stops the run by raising `Cancelled`.

    Raises:
        InsufficientData: no training case has a mask.
        InvalidTrainingData: a mask that does not lie in its image, a foreign label, a patient in both folds.
        InvalidWeights: the start or the detector cannot be loaded.
        InvalidCheckpoint: the folder holds a run of another recipe, start or data.
        TrainingDiverged: the loss is no number any more.
        Cancelled: raised by `progress`.
    """
    check_cases(train, validation, network="segmenter")
    network = load_segmenter(start)[0] if start else new_network(recipe.config, seed=recipe.seed)
    knew_presence = network.config.presence
    if start and recipe.config.presence and recipe.negatives and not knew_presence:
        network = grown(network, replace(network.config, presence=True), seed=recipe.seed)
    if recipe.silence_middle and network.config.middle and start is None:
        network.mask_decoder.silence_middle()
    wants_negatives = network.config.presence and recipe.negatives > 0
    finds = _finds_boxes(detector) if detector and wants_negatives else None
    rois, held_out = (
        cut_once(
            cases,
            folder / name,
            network=network,
            backgrounds=1 if wants_negatives else 0,
            finds_boxes=finds,
            progress=_part(progress, begin, begin + 0.05),
        )
        for name, cases, begin in (("train", train, 0.0), ("validation", validation, 0.05))
    )
    facts = {
        "start_sha256": hash_file(start) if start else None,
        "detector_sha256": hash_file(detector) if detector and finds else None,
        "num_train_patients": len({roi.patient for roi in rois}),
        "num_train_clusters": sum(roi.kind == "cluster" for roi in rois),
        "num_train_regions": dict(Counter(roi.kind for roi in rois)),
        "num_tiny": sum(roi.kind == "cluster" and is_tiny(roi, config=network.config) for roi in rois),
        "num_without_outline": without_outline(train),
        "num_beside_a_place": beside_a_place(train),
    }
    run: Callable[..., Path] = partial(train_network, network, rois, held_out)
    if processes > 1:
        run = partial(train_in_processes, network, count=processes)
    return run(
        recipe=recipe,
        folder=folder,
        start_competes=start is not None and knew_presence == network.config.presence,
        facts=facts,
        progress=_part(progress, 0.1, 1.0),
    )


def cut_once(
    cases: Sequence[Case],
    folder: Path,
    *,
    network: Mlsam,
    backgrounds: int,
    finds_boxes: FindsBoxes | None,
    progress: Progress,
) -> list[TrainingRoi]:
    """Cut in the first process; the others read what it has cut."""
    processes = Processes.current()

    def cut() -> list[TrainingRoi]:
        return cut_rois(
            cases,
            folder,
            config=network.config,
            backgrounds=backgrounds,
            finds_boxes=finds_boxes,
            progress=progress,
        )

    rois = cut() if processes.first else []
    processes.wait()
    return rois if processes.first else cut()


def train_network(
    network: Mlsam,
    rois: Sequence[TrainingRoi],
    held_out: Sequence[TrainingRoi],
    *,
    recipe: SegmenterRecipe,
    folder: Path,
    start_competes: bool,
    features: Path | None = None,
    facts: dict[str, Any] | None = None,
    progress: Progress = silent,
) -> Path:
    """The run proper, on regions that are cut already.

    Args:
        network: the start; it is changed.
        start_competes: whether the start may be the best; not where it knows nothing yet.
        features: folder of the kept features, to share them between runs of one encoder; None: in `folder`.
        facts: recorded with the weights.
    """
    if not any(roi.kind == "cluster" for roi in rois):
        raise InsufficientData("no training case has a cluster with a mask; correct at least one mask first")
    processes = Processes.current()
    folder.mkdir(parents=True, exist_ok=True)
    if recipe.batch % processes.count:
        raise InsufficientData(
            f"a batch of {recipe.batch} regions cannot be shared by {processes.count} processes; take a divisor"
        )
    key = _run_key(network, rois, held_out, recipe=recipe, facts=facts or {})
    path = folder / "segmenter.safetensors"
    if path.is_file() and load_segmenter(path)[1].get("run") == key:
        progress(1.0, "this run has ended before; its weights are taken")
        return path

    network.to("cuda" if torch.cuda.is_available() else "cpu").eval()
    scored = [roi for roi in held_out if roi.kind == "cluster"] and held_out
    material = prepare(
        network,
        rois,
        recipe=recipe,
        folder=features or folder / "features",
        processes=processes,
        progress=_part(progress, 0.0, 0.2),
    )
    best, score = _loop(
        material,
        scored,
        key=key,
        folder=folder,
        start_competes=start_competes,
        processes=processes,
        progress=_part(progress, 0.2, 1.0),
    )
    network.load_state_dict(best, strict=False)
    merge_lora(network)
    if processes.first:
        more = {
            "recipe": recipe.name,
            "policy": recipe.policy,
            "precision": recipe.precision,
            "seed": recipe.seed,
            "steps": recipe.steps,
            "run": key,
            "validation": asdict(score) if score else None,
        }
        save_segmenter(path, network, facts={**(facts or {}), **more})
        _checkpoints(folder).remove()
    processes.wait()
    return path


def _loop(
    material: Material,
    held_out: Sequence[TrainingRoi],
    *,
    key: str,
    folder: Path,
    start_competes: bool,
    processes: Processes,
    progress: Progress,
) -> tuple[dict[str, Tensor], RoiScore | None]:
    """Returns what was trained, at its best, and its score; without held-out regions the last state and None."""
    network, recipe = material.network, material.plan.recipe
    trained = allow(network, recipe)
    device = next(network.parameters()).device
    optimizer = torch.optim.AdamW(trained, lr=recipe.learning_rate, weight_decay=recipe.weight_decay)
    checkpoints = _checkpoints(folder)
    standing = _resumed(checkpoints, network, optimizer, key=key)
    if standing is None:
        competes = start_competes and held_out and processes.first
        score = _validated(network, held_out, recipe=recipe) if competes else None
        standing = _Standing(0, _trained_state(network), score)
    objective: nn.Module = SegmenterLoss(network, recipe)
    if processes.count > 1:
        objective = DistributedDataParallel(objective, find_unused_parameters=True)

    for step, batch in batches(material, first=standing.steps, processes=processes, device=device):
        for group in optimizer.param_groups:
            group["lr"] = recipe.learning_rate * _rate(step, recipe=recipe)
        loss = objective(batch)
        _require_number(loss.total, step, recipe)
        optimizer.zero_grad(set_to_none=True)
        loss.total.backward()
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        optimizer.step()
        done = step + 1
        share = done / recipe.steps
        progress(share, f"step {done} of {recipe.steps}, loss {loss.total.item():.3f}")
        last = done == recipe.steps
        if held_out and processes.first and (last or done % recipe.validate_every == 0):
            score = _validated(network, held_out, recipe=recipe)
            progress(share, f"step {done}: validation {_in_words(score)}")
            if standing.score is None or score.choice > standing.score.choice:
                standing = _Standing(done, _trained_state(network), score)
        if processes.first and not last and done % recipe.checkpoint_every == 0:
            checkpoints.save(done, _to_checkpoint(key, network, optimizer, standing))
    return (standing.best, standing.score) if held_out else (_trained_state(network), None)


@dataclass(frozen=True, eq=False)
class _Standing:
    """The best so far."""

    steps: int
    """Steps done, when it is resumed."""

    best: dict[str, Tensor]
    score: RoiScore | None


def allow(network: Mlsam, recipe: SegmenterRecipe) -> list[nn.Parameter]:
    """Freeze what the recipe does not train and return what it does."""
    if recipe.policy != "lora":
        return network.allow(recipe.policy)
    decoder = network.allow("decoder")
    return decoder + add_lora(network, rank=recipe.lora_rank, seed=recipe.seed)


def _resumed(
    checkpoints: Checkpoints, network: Mlsam, optimizer: torch.optim.Optimizer, *, key: str
) -> _Standing | None:
    found = checkpoints.latest()
    if found is None:
        return None
    state = found.state
    if state["run"] != key:
        raise InvalidCheckpoint(
            f"{checkpoints.folder.name} holds the checkpoint of another run: recipe, start, configuration or data "
            "differ; take an empty folder, or delete its checkpoints to start anew"
        )
    network.load_state_dict(state["network"], strict=False)
    optimizer.load_state_dict(state["optimizer"])
    score = RoiScore(**state["score"]) if state["score"] else None
    return _Standing(found.epochs, state["best"], score)


def _to_checkpoint(
    key: str, network: Mlsam, optimizer: torch.optim.Optimizer, standing: _Standing
) -> dict[str, Any]:
    return {
        "run": key,
        "network": _trained_state(network),
        "optimizer": optimizer.state_dict(),
        "best": standing.best,
        "score": asdict(standing.score) if standing.score else None,
    }


def _checkpoints(folder: Path) -> Checkpoints:
    # The key of the run is compared above: another run's checkpoint is refused, not passed over.
    return Checkpoints(folder / "checkpoints", key="segmenter")


def _require_number(loss: Tensor, step: int, recipe: SegmenterRecipe) -> None:
    if not torch.isfinite(loss):
        raise TrainingDiverged(
            f"the loss is {loss.item()} at step {step + 1} of {recipe.steps}; lower the learning rate "
            f"({recipe.learning_rate:g}), warm up longer ({recipe.warm_up} steps), or train in float32"
        )


def _validated(network: Mlsam, held_out: Sequence[TrainingRoi], *, recipe: SegmenterRecipe) -> RoiScore:
    return score_rois(Segmenter(network), held_out, seed=recipe.seed)


def _trained_state(network: Mlsam) -> dict[str, Tensor]:
    return {name: p.detach().clone() for name, p in network.named_parameters() if p.requires_grad}


def _run_key(
    network: Mlsam,
    rois: Sequence[TrainingRoi],
    held_out: Sequence[TrainingRoi],
    *,
    recipe: SegmenterRecipe,
    facts: dict[str, Any],
) -> str:
    """Names everything that decides the result; the number of processes does not."""
    seen = [[roi.image, roi.kind, roi.box.as_tuple()] for roi in (*rois, *held_out)]
    parts = [asdict(recipe), asdict(network.config), facts.get("start_sha256"), len(rois), seen]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def _finds_boxes(weights: Path) -> FindsBoxes:
    detector = Detector.load(weights)

    def finds(mammogram: Mammogram) -> list[Box]:
        found = detector.detect(mammogram.pixels, threshold=FALSE_POSITIVES_FROM, spacing=mammogram.spacing)
        return [detection.box for detection in sorted(found, key=lambda d: -d.score)]

    return finds


def _rate(step: int, *, recipe: SegmenterRecipe) -> float:
    """Linear warm-up, then half a cosine to zero, as a factor on the peak rate."""
    if step < recipe.warm_up:
        return (step + 1) / recipe.warm_up
    left = (step - recipe.warm_up) / max(1, recipe.steps - recipe.warm_up)
    return 0.5 * (1 + math.cos(math.pi * min(1.0, left)))


def _in_words(score: RoiScore) -> str:
    presence = "" if score.presence_auc is None else f", presence AUC {score.presence_auc:.3f}"
    return f"Dice {score.box:.3f} by box, {score.box_and_points:.3f} with points{presence}"


def _part(progress: Progress, start: float, end: float) -> Progress:
    """A `Progress` for a stage that is only a part of the whole."""
    return lambda fraction, message: progress(start + (end - start) * fraction, message)
