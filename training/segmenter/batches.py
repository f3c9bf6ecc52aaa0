"""Training batches: views of regions under prompts, with the encoder's output kept where nobody trains it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from mammo.segmenter.network import Mlsam
from training.cases import Progress
from training.segmenter.encoder_split import Kept, Split
from training.segmenter.features import Features, keep_features, weights_key
from training.segmenter.plan import Plan, Sight, generator
from training.segmenter.process_group import Processes
from training.segmenter.prompts import draw_prompt
from training.segmenter.recipes import SegmenterRecipe
from training.segmenter.rois import TrainingRoi
from training.segmenter.views import View, draw_view


class Batch(NamedTuple):
    """B regions under P prompts each; the prompts of one region are neighbours."""

    kept: Kept
    """What `Split.before` gives of the B regions."""

    coordinates: Tensor
    """B*P x K x 2, input frame."""

    labels: Tensor
    """B*P x K."""

    candidates: Tensor
    """B*P x M x 2 in [0, 1]."""

    truth: Tensor
    """B*P x M in {0, 1}."""

    present: Tensor
    """B*P bool: whether there is a lesion."""

    whole: Tensor
    """B*P bool: whether the region shows all of it, at the cluster level; only there presence is asked."""

    corrects: bool
    """Whether a second click follows: its place is chosen where the first mask is wrong."""


@dataclass(frozen=True)
class Material:
    """Everything a run's batches are made of."""

    network: Mlsam
    split: Split
    rois: Sequence[TrainingRoi]
    plan: Plan
    features: Features | None
    """None where nothing is kept."""

    def view(self, sight: Sight, *, with_planes: bool) -> View:
        """The same crop each time it is asked for."""
        recipe = self.plan.recipe
        entry = self.plan.entries[sight.entry]
        rng = generator(recipe.seed, "view", sight.view, sight.entry)
        return draw_view(
            self.rois[entry.roi],
            rng,
            config=self.network.config,
            level=entry.level,
            with_planes=with_planes,
        )


def prepare(
    network: Mlsam,
    rois: Sequence[TrainingRoi],
    *,
    recipe: SegmenterRecipe,
    folder: Path,
    processes: Processes,
    progress: Progress,
) -> Material:
    """Plan the run and, where the encoder is frozen, encode every view that it will see.

    Args:
        folder: of the kept features; those of another encoder or other views are made anew.
        progress: told while views are encoded.
    """
    split, plan = Split(network, recipe.policy), Plan.of(rois, recipe)
    bare = Material(network, split, rois, plan, None)
    if not split.keeps:
        return bare
    count = recipe.views * len(plan.entries)
    device = next(network.parameters()).device

    def planes(number: int) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
        view, entry = divmod(number, len(plan.entries))
        return bare.view(Sight(entry, view), with_planes=True).planes

    features = Features(folder, _features_key(network, rois, plan), count)
    if processes.first:
        keep_features(
            folder,
            key=features.key,
            count=count,
            planes=planes,
            encode=split.before,
            device=device,
            progress=progress,
        )
    processes.wait()
    return Material(network, split, rois, plan, features)


def _features_key(network: Mlsam, rois: Sequence[TrainingRoi], plan: Plan) -> str:
    """Names the encoder's weights and the views; the decoder's configuration takes no part in it."""
    config, recipe = asdict(network.config), plan.recipe
    shape = [config[name] for name in ("encoder", "input_size", "channels", "final_source")]
    seen = [[roi.image, roi.box.as_tuple(), roi.pixels().shape] for roi in rois]
    parts = [shape, recipe.policy == "lora", recipe.seed, recipe.views, seen, list(plan.entries)]
    return weights_key(parts, list(network.image_encoder.state_dict().values()))


def batches(
    material: Material, *, first: int, processes: Processes, device: torch.device
) -> Iterator[tuple[int, Batch]]:
    """The steps from `first` on (the first of a run is 0) with their batches: this process's share of each."""
    recipe = material.plan.recipe
    for step in range(first, recipe.steps):
        sights = material.plan.step(step)
        slots = range(processes.rank, len(sights), processes.count)
        yield step, make_batch(material, step, [(slot, sights[slot]) for slot in slots], device=device)


def make_batch(
    material: Material, step: int, sights: Sequence[tuple[int, Sight]], *, device: torch.device
) -> Batch:
    """The batch of some slots of a step."""
    plan, recipe = material.plan, material.plan.recipe
    views = [material.view(sight, with_planes=material.features is None) for _, sight in sights]
    prompts = [
        draw_prompt(view, generator(recipe.seed, "prompt", step, slot, p), num_points=recipe.num_points)
        for (slot, _), view in zip(sights, views, strict=True)
        for p in range(recipe.prompts)
    ]
    if material.features is None:
        kept: Kept = {"planes": torch.from_numpy(np.stack([view.planes for view in views])).to(device)}
    else:
        numbers = [sight.view * len(plan.entries) + sight.entry for _, sight in sights]
        kept = material.features.read(numbers, device=device)
    present = torch.tensor([view.present for view in views]).repeat_interleave(recipe.prompts)
    whole = torch.tensor([plan.entries[sight.entry].level == "cluster" for _, sight in sights])
    coordinates, labels, candidates, truth = (
        torch.from_numpy(np.stack(column)).to(device) for column in zip(*prompts, strict=True)
    )
    return Batch(
        kept=kept,
        coordinates=coordinates,
        labels=labels,
        candidates=candidates,
        truth=truth,
        present=present.to(device),
        whole=whole.repeat_interleave(recipe.prompts).to(device),
        corrects=plan.corrects(step),
    )
