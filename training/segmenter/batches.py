"""Training batches of the segmenter: views of regions with prompts, and the features of the frozen encoder."""

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
from training.segmenter.encoder_split import EncoderSplit, FrozenFeatures
from training.segmenter.features import FeatureCache, fill_cache, weights_key
from training.segmenter.plan import Plan, PlannedView, generator
from training.segmenter.process_group import ProcessGroup
from training.segmenter.prompts import draw_prompt
from training.segmenter.recipes import SegmenterRecipe
from training.segmenter.rois import TrainingRoi
from training.segmenter.views import View, draw_view


class Batch(NamedTuple):
    """B regions with P prompts each; the prompts of one region are adjacent."""

    features: FrozenFeatures
    """Of the B regions; see `EncoderSplit.frozen_features`."""

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
    """B*P bool: whether the view is at the cluster level and so shows all of the region; only then presence counts."""

    corrects: bool
    """Whether a second click follows, at a place where the first mask is wrong."""


@dataclass(frozen=True)
class BatchSource:
    """All that the batches of a run are made of."""

    network: Mlsam
    split: EncoderSplit
    rois: Sequence[TrainingRoi]
    plan: Plan
    cache: FeatureCache | None
    """None if the recipe freezes no part of the encoder."""

    def view(self, planned: PlannedView, *, with_planes: bool) -> View:
        """Draw a planned view; the same crop every time."""
        recipe = self.plan.recipe
        entry = self.plan.entries[planned.entry]
        rng = generator(recipe.seed, "view", planned.view, planned.entry)
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
    group: ProcessGroup,
    progress: Progress,
) -> BatchSource:
    """Plan the run and, if a part of the encoder is frozen, compute its features for every planned view.

    Args:
        folder: of the feature cache; features of another encoder or other views are replaced.
        progress: called while views are encoded.
    """
    split, plan = EncoderSplit(network, recipe.policy), Plan.of(rois, recipe)
    uncached = BatchSource(network, split, rois, plan, None)
    if not split.has_frozen_part:
        return uncached
    cache = FeatureCache(folder, _features_key(network, rois, plan), count=recipe.views * len(plan.entries))

    def planes(number: int) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
        view, entry = divmod(number, len(plan.entries))
        return uncached.view(PlannedView(entry, view), with_planes=True).planes

    if group.is_first:
        device = next(network.parameters()).device
        fill_cache(cache, planes=planes, encode=split.frozen_features, device=device, progress=progress)
    group.wait()
    return BatchSource(network, split, rois, plan, cache)


def _features_key(network: Mlsam, rois: Sequence[TrainingRoi], plan: Plan) -> str:
    """Identifies the encoder's weights and the views. The decoder's configuration does not matter."""
    config, recipe = asdict(network.config), plan.recipe
    shape = [config[name] for name in ("encoder", "input_size", "channels", "final_source")]
    regions = [[roi.image, roi.box.as_tuple(), roi.pixels().shape] for roi in rois]
    parts = [shape, recipe.policy == "lora", recipe.seed, recipe.views, regions, list(plan.entries)]
    return weights_key(parts, list(network.image_encoder.state_dict().values()))


def batches(
    source: BatchSource, *, first: int, group: ProcessGroup, device: torch.device
) -> Iterator[tuple[int, Batch]]:
    """Yield each step from `first` on (a run starts at 0), with this process's share of its batch."""
    recipe = source.plan.recipe
    for step in range(first, recipe.steps):
        planned = source.plan.step(step)
        slots = range(group.rank, len(planned), group.size)
        yield step, make_batch(source, step, [(slot, planned[slot]) for slot in slots], device=device)


def make_batch(
    source: BatchSource, step: int, planned: Sequence[tuple[int, PlannedView]], *, device: torch.device
) -> Batch:
    """The batch of some slots of a step.

    Args:
        planned: slot and view.
    """
    plan, recipe = source.plan, source.plan.recipe
    views = [source.view(each, with_planes=source.cache is None) for _, each in planned]
    prompts = [
        draw_prompt(view, generator(recipe.seed, "prompt", step, slot, p), num_points=recipe.num_points)
        for (slot, _), view in zip(planned, views, strict=True)
        for p in range(recipe.prompts)
    ]
    if source.cache is None:
        planes = torch.from_numpy(np.stack([view.planes for view in views])).to(device)
        features: FrozenFeatures = {"planes": planes}
    else:
        numbers = [each.view * len(plan.entries) + each.entry for _, each in planned]
        features = source.cache.read(numbers, device=device)
    present = torch.tensor([view.present for view in views]).repeat_interleave(recipe.prompts)
    whole = torch.tensor([plan.entries[each.entry].level == "cluster" for _, each in planned])
    coordinates, labels, candidates, truth = (
        torch.from_numpy(np.stack(column)).to(device) for column in zip(*prompts, strict=True)
    )
    return Batch(
        features=features,
        coordinates=coordinates,
        labels=labels,
        candidates=candidates,
        truth=truth,
        present=present.to(device),
        whole=whole.repeat_interleave(recipe.prompts).to(device),
        corrects=plan.corrects(step),
    )
