"""Plan: which regions a step sees, at which level and in which view; a function of the seed and the step alone.

So a killed run goes on where it was, and the processes of a parallel run agree without talking to each other.
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
    """The random numbers of one decision, the same whenever and wherever it is made."""
    return np.random.default_rng([seed, STREAMS[stream], *numbers])


class Entry(NamedTuple):
    """One region at one level."""

    roi: int
    level: Level


class Sight(NamedTuple):
    """One view of one entry."""

    entry: int
    view: int


@dataclass(frozen=True)
class Plan:
    """The whole run, decided before it begins."""

    recipe: SegmenterRecipe
    entries: tuple[Entry, ...]
    clusters: tuple[int, ...]
    """Entries that show a cluster."""

    negatives: tuple[int, ...]
    """Entries without a lesion."""

    calcifications: tuple[int, ...]
    """Entries at the calcification level."""

    @classmethod
    def of(cls, rois: Sequence[TrainingRoi], recipe: SegmenterRecipe) -> Plan:
        """All entries that the recipe has a use for."""
        entries = [Entry(index, "cluster") for index in range(len(rois))]
        near = [
            Entry(index, "calcification")
            for index, roi in enumerate(rois)
            if recipe.calcifications and roi.calcifications is not None
        ]
        positive = [roi.mask is not None for roi in rois]
        return cls(
            recipe=recipe,
            entries=(*entries, *near),
            clusters=tuple(index for index, is_cluster in enumerate(positive) if is_cluster),
            negatives=tuple(index for index, is_cluster in enumerate(positive) if not is_cluster),
            calcifications=tuple(range(len(entries), len(entries) + len(near))),
        )

    def step(self, number: int) -> tuple[Sight, ...]:
        """What the regions of a step (the first is 0) are. An epoch shows every cluster once."""
        batch = self.recipe.batch
        return tuple(self._sight(i) for i in range(number * batch, (number + 1) * batch))

    def corrects(self, number: int) -> bool:
        """Whether the prompts of a step are second clicks."""
        return bool(generator(self.recipe.seed, "click", number).random() < self.recipe.second_click)

    @property
    def epoch_length(self) -> int:
        return len(self._epoch(0))

    def _sight(self, item: int) -> Sight:
        epoch, place = divmod(item, self.epoch_length)
        keeps = self.recipe.policy != "all"
        return Sight(self._epoch(epoch)[place], epoch % self.recipe.views if keeps else epoch)

    def _epoch(self, number: int) -> tuple[int, ...]:
        return _epoch(self, number)


@lru_cache(maxsize=8)
def _epoch(plan: Plan, number: int) -> tuple[int, ...]:
    recipe = plan.recipe
    rng = generator(recipe.seed, "order", number)
    rest = 1 - recipe.negatives - recipe.calcifications
    entries = list(plan.clusters)
    for pool, share in ((plan.negatives, recipe.negatives), (plan.calcifications, recipe.calcifications)):
        wanted = round(len(plan.clusters) * share / rest)
        if pool and wanted:
            entries += rng.choice(pool, wanted, replace=wanted > len(pool)).tolist()
    return tuple(np.asarray(entries)[rng.permutation(len(entries))].tolist())
