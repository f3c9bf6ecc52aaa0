"""Training batches: views of regions under prompts, with the encoder's output kept where nobody trains it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from mammo.segmenter.encoder import Levels
from mammo.segmenter.network import Mlsam
from training.cases import Progress
from training.segmenter_recipes import SegmenterRecipe
from training.segmenter_rois import TrainingRoi, View, draw_prompt, draw_view


class Batch(NamedTuple):
    """B regions under P prompts each; the prompts of one region are neighbours."""

    levels: Levels
    """Of the B regions."""

    targets: Tensor
    """B*P x 1 x S x S in [0, 1]."""

    coordinates: Tensor
    """B*P x K x 2, input frame."""

    labels: Tensor
    """B*P x K."""


@dataclass(frozen=True, eq=False)
class _KeptView:
    """A view whose levels are in a file; its planes are no longer needed."""

    view: View
    file: Path


def training_batches(
    network: Mlsam,
    rois: Sequence[TrainingRoi],
    *,
    recipe: SegmenterRecipe,
    folder: Path,
    progress: Progress,
) -> Iterator[Batch]:
    """As many batches as the recipe has steps, the same for the same seed.

    Args:
        folder: receives the kept levels, float16, one file per view; small next to encoding them again.
        progress: told while views are encoded ahead.
    """
    rng = np.random.default_rng(recipe.seed)
    if recipe.policy == "all":
        yield from _fresh(network, rois, rng, recipe=recipe)
    else:
        kept = _keep(network, rois, rng, recipe=recipe, folder=folder, progress=progress)
        yield from _from_kept(network, kept, rng, recipe=recipe)


def _fresh(
    network: Mlsam, rois: Sequence[TrainingRoi], rng: np.random.Generator, *, recipe: SegmenterRecipe
) -> Iterator[Batch]:
    for chosen in _orders(len(rois), rng, recipe=recipe):
        views = [draw_view(rois[i], rng, config=network.config) for i in chosen]
        yield _batch(_encode(network, views), views, rng, recipe=recipe)


def _from_kept(
    network: Mlsam, kept: Sequence[_KeptView], rng: np.random.Generator, *, recipe: SegmenterRecipe
) -> Iterator[Batch]:
    device = next(network.parameters()).device
    for chosen in _orders(len(kept), rng, recipe=recipe):
        files = [load_file(kept[i].file) for i in chosen]
        joined = {name: torch.cat([f[name] for f in files]).float().to(device) for name in files[0]}
        levels = Levels(*(joined.get(name) for name in Levels._fields))  # type: ignore[arg-type]
        yield _batch(levels, [kept[i].view for i in chosen], rng, recipe=recipe)


def _keep(
    network: Mlsam,
    rois: Sequence[TrainingRoi],
    rng: np.random.Generator,
    *,
    recipe: SegmenterRecipe,
    folder: Path,
    progress: Progress,
) -> list[_KeptView]:
    """Encode `recipe.views` views of every region. A ViT does not turn with its input, so each view is encoded."""
    folder.mkdir(parents=True, exist_ok=True)
    kept = []
    total = len(rois) * recipe.views
    for number in range(total):
        progress(number / total, f"encoding view {number + 1} of {total}")
        view = draw_view(rois[number % len(rois)], rng, config=network.config)
        with torch.no_grad():
            levels = _encode(network, [view])
        file = folder / f"{number:06}.safetensors"
        save_file(
            {
                name: level.half().contiguous().cpu()
                for name, level in levels._asdict().items()
                if level is not None
            },
            file,
        )
        kept.append(_KeptView(replace(view, planes=view.planes[:, :0]), file))
    return kept


def _orders(count: int, rng: np.random.Generator, *, recipe: SegmenterRecipe) -> Iterator[list[int]]:
    """The indices of each step: every item once, in a new random order, then again."""
    order: list[int] = []
    for _ in range(recipe.steps):
        while len(order) < recipe.batch:
            order += rng.permutation(count).tolist()
        chosen, order = order[: recipe.batch], order[recipe.batch :]
        yield chosen


def _batch(
    levels: Levels, views: Sequence[View], rng: np.random.Generator, *, recipe: SegmenterRecipe
) -> Batch:
    device = levels.neck.device
    prompts = [draw_prompt(view, rng) for view in views for _ in range(recipe.prompts)]
    targets = torch.from_numpy(np.stack([view.target for view in views]))[:, None]
    return Batch(
        levels=levels,
        targets=targets.repeat_interleave(recipe.prompts, dim=0).to(device),
        coordinates=torch.from_numpy(np.stack([coordinates for coordinates, _ in prompts])).to(device),
        labels=torch.from_numpy(np.stack([labels for _, labels in prompts])).to(device),
    )


def _encode(network: Mlsam, views: Sequence[View]) -> Levels:
    planes = torch.from_numpy(np.stack([view.planes for view in views]))
    return network.encode(planes.to(next(network.parameters()).device))
