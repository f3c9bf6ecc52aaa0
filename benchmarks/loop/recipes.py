"""The recipes of the simulation: the product's own, with the parts that one core can train in a minute or two.

The retrain trains what a provisional model trains, the detector's head and the segmenter's decoder; its gate is the
product's default.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from training.gate.gate import GateRule
from training.provisional.recipes import (
    PROVISIONAL_RECIPES,
    ProvisionalRecipe,
    detector_provisional,
    segmenter_provisional,
)
from training.retrain.recipes import RECIPES, Recipe


@dataclass(frozen=True)
class Recipes:
    """What is trained after a round."""

    retrain: Recipe
    provisional: ProvisionalRecipe

    @property
    def unjudged(self) -> Recipe:
        """The retrain of the arm without a gate: its verdict is computed and ignored."""
        return replace(self.retrain, gate=GateRule(min_patients=1))


def recipes_of(*, groups: int, smoke: bool) -> Recipes:
    """Return what a simulation trains.

    Args:
        groups: left-out groups by which a provisional model is judged, and trainings besides the one on all patients.
        smoke: train for seconds: tests that the parts work together.
    """
    if smoke:
        return Recipes(RECIPES["smoke"], PROVISIONAL_RECIPES["provisional-smoke"])
    return Recipes(
        Recipe(detector=detector_provisional(), segmenter=segmenter_provisional()),
        replace(PROVISIONAL_RECIPES["provisional"], copies=1, max_groups=groups),
    )
