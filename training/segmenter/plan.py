"""Plan: the regions, levels and views of every step, as a function of the seed and the step.

So a killed run resumes exactly, and the processes of a parallel run agree without communication.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, NamedTuple

import numpy as np

from mammo.segmenter.roi import Level
from training.segmenter.recipes import SegmenterRecipe
from training.segmenter.rois import TrainingRoi

Stream = Literal["order", "view", "prompt", "click"]
STREAMS: dict[Stream, int] = {"order": 1, "view": 2, "prompt": 3, "click": 4}


def generator(seed: int, stream: Stream, *numbers: int) -> np.random.Generator:
    """The random generator of one decision.

    Args:
        numbers: identify the decision within its stream.
    """
    return np.random.default_rng([seed, STREAMS[stream], *numbers])


class Entry(NamedTuple):
    """One region at one level."""

    roi: int
    level: Level


class PlannedView(NamedTuple):
    """One view of one entry, by their indices."""

    entry: int
    view: int


@dataclass(frozen=True)
class Plan:
    """The plan of a run."""

    recipe: SegmenterRecipe
    entries: tuple[Entry, ...]
    clusters: tuple[int, ...]
    """Indices of the entries that show a cluster."""

    negatives: tuple[int, ...]
    """Indices of the entries without a lesion."""

    calcifications: tuple[int, ...]
    """Indices of the entries at the calcification level."""

    @classmethod
    def of(cls, rois: Sequence[TrainingRoi], recipe: SegmenterRecipe) -> Plan:
        """Every region at the cluster level, and at the calcification level if the recipe and the region have it."""
        entries = [Entry(index, "cluster") for index in range(len(rois))]
        tiles = [
            Entry(index, "calcification")
            for index, roi in enumerate(rois)
            if recipe.calcifications and roi.calcifications is not None
        ]
        positive = [roi.mask is not None for roi in rois]
        return cls(
            recipe=recipe,
            entries=(*entries, *tiles),
            clusters=tuple(index for index, is_cluster in enumerate(positive) if is_cluster),
            negatives=tuple(index for index, is_cluster in enumerate(positive) if not is_cluster),
            calcifications=tuple(range(len(entries), len(entries) + len(tiles))),
        )

    def step(self, number: int) -> tuple[PlannedView, ...]:
        """The views of a step, counted from 0. An epoch shows every cluster once."""
        batch = self.recipe.batch
        return tuple(self._planned_view(i) for i in range(number * batch, (number + 1) * batch))

    def corrects(self, number: int) -> bool:
        """Whether the prompts of a step get a second click."""
        return bool(generator(self.recipe.seed, "click", number).random() < self.recipe.second_click)

    @property
    def epoch_length(self) -> int:
        """Number of views."""
        return len(_epoch(self, 0))

    def _planned_view(self, index: int) -> PlannedView:
        epoch, place = divmod(index, self.epoch_length)
        cached = self.recipe.policy != "all"
        return PlannedView(_epoch(self, epoch)[place], epoch % self.recipe.views if cached else epoch)


@lru_cache(maxsize=8)
def _epoch(plan: Plan, number: int) -> tuple[int, ...]:
    """The entries of an epoch, in order."""
    recipe = plan.recipe
    rng = generator(recipe.seed, "order", number)
    rest = 1 - recipe.negatives - recipe.calcifications
    entries = list(plan.clusters)
    for pool, share in ((plan.negatives, recipe.negatives), (plan.calcifications, recipe.calcifications)):
        count = round(len(plan.clusters) * share / rest)
        if pool and count:
            entries += rng.choice(pool, count, replace=count > len(pool)).tolist()
    return tuple(np.asarray(entries)[rng.permutation(len(entries))].tolist())
