"""Fine-tune the segmenter: regions from cases, one page of loop, the best weights by validation Dice."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import torch
from torch import Tensor

from mammo.errors import InsufficientData
from mammo.segmenter import Segmenter
from mammo.segmenter.network import Mlsam, new_network
from mammo.segmenter.weights import load_segmenter, save_segmenter
from training.cases import Case, Progress, silent
from training.mask_loss import mask_loss
from training.segmenter_batches import training_batches
from training.segmenter_recipes import SegmenterRecipe
from training.segmenter_rois import TrainingRoi, cut_rois
from training.segmenter_validation import RoiScore, score_rois


def finetune_segmenter(
    train: Sequence[Case],
    validation: Sequence[Case],
    *,
    start: Path | None,
    recipe: SegmenterRecipe,
    folder: Path,
    progress: Progress = silent,
) -> Path:
    """Train and return the weights with the best validation Dice; the start itself is the first candidate.

    Args:
        validation: cases of other patients; without any, the last step's weights are taken.
        start: weights to continue from; None: from scratch, by the recipe's configuration.
        folder: work files; receives `segmenter.safetensors`, whose facts tell how it came about.
        progress: told after every step; stops the run by raising `Cancelled`.

    Raises:
        InsufficientData: no training case has a mask.
        InvalidWeights: the start cannot be loaded.
        Cancelled: raised by `progress`.
    """
    network = load_segmenter(start)[0] if start else new_network(recipe.config, seed=recipe.seed)
    if recipe.silence_middle and start is None:
        network.mask_decoder.silence_middle()
    config = network.config
    rois = cut_rois(train, folder / "train", config=config, progress=_part(progress, 0.0, 0.05))
    held_out = cut_rois(validation, folder / "validation", config=config, progress=_part(progress, 0.05, 0.1))
    if not rois:
        raise InsufficientData("no training case has a cluster with a mask; correct at least one mask first")

    network.to("cuda" if torch.cuda.is_available() else "cpu")
    best, score = _train(
        network, rois, held_out, recipe=recipe, start=start, folder=folder, progress=progress
    )
    network.load_state_dict(best)
    facts = {
        "recipe": recipe.name,
        "seed": recipe.seed,
        "steps": recipe.steps,
        "start_sha256": hashlib.sha256(start.read_bytes()).hexdigest() if start else None,
        "num_train_clusters": len(rois),
        "num_train_patients": len({roi.patient for roi in rois}),
        "validation": asdict(score) if score else None,
    }
    path = folder / "segmenter.safetensors"
    save_segmenter(path, network, facts=facts)
    return path


def _train(
    network: Mlsam,
    rois: Sequence[TrainingRoi],
    held_out: Sequence[TrainingRoi],
    *,
    recipe: SegmenterRecipe,
    start: Path | None,
    folder: Path,
    progress: Progress,
) -> tuple[dict[str, Tensor], RoiScore | None]:
    """The loop. Returns the best state and its score; without held-out regions the last state and None."""
    trained = network.allow(recipe.policy)
    optimizer = torch.optim.AdamW(trained, lr=recipe.learning_rate, weight_decay=recipe.weight_decay)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: _rate(step, recipe=recipe))
    points = torch.Generator().manual_seed(recipe.seed)

    best = _validated(network, held_out, recipe=recipe) if start and held_out else None
    state = _copy(network)
    stepping = _part(progress, 0.3, 1.0)
    for step, batch in enumerate(
        training_batches(
            network, rois, recipe=recipe, folder=folder / "views", progress=_part(progress, 0.1, 0.3)
        ),
        start=1,
    ):
        neck, fused = batch.levels.neck, network.fuse(batch.levels)
        decoded = network.decode(
            neck.repeat_interleave(recipe.prompts, dim=0),
            None if fused is None else fused.repeat_interleave(recipe.prompts, dim=0),
            batch.coordinates,
            batch.labels,
        )
        loss = mask_loss(decoded.logits, batch.targets, num_points=recipe.num_points, generator=points).total
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        optimizer.step()
        schedule.step()
        stepping(step / recipe.steps, f"step {step} of {recipe.steps}, loss {loss.item():.3f}")
        if held_out and (step % recipe.validate_every == 0 or step == recipe.steps):
            score = _validated(network, held_out, recipe=recipe)
            stepping(step / recipe.steps, f"step {step}: validation Dice {score.box:.3f}")
            if best is None or score.box > best.box:
                best, state = score, _copy(network)
    return (state, best) if held_out else (_copy(network), None)


def _validated(network: Mlsam, held_out: Sequence[TrainingRoi], *, recipe: SegmenterRecipe) -> RoiScore:
    return score_rois(Segmenter(network), held_out, seed=recipe.seed)


def _copy(network: Mlsam) -> dict[str, Tensor]:
    return {name: tensor.detach().clone() for name, tensor in network.state_dict().items()}


def _rate(step: int, *, recipe: SegmenterRecipe) -> float:
    """Linear warm-up, then half a cosine to zero, as a factor on the peak rate."""
    if step < recipe.warm_up:
        return (step + 1) / recipe.warm_up
    left = (step - recipe.warm_up) / max(1, recipe.steps - recipe.warm_up)
    return 0.5 * (1 + math.cos(math.pi * min(1.0, left)))


def _part(progress: Progress, start: float, end: float) -> Progress:
    """A `Progress` for a stage that is only a part of the whole."""
    return lambda fraction, message: progress(start + (end - start) * fraction, message)
