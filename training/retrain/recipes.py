"""The recipes of a retrain by name: how the networks are trained, and what a challenger must achieve."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal, Self

from training.detector.recipes import (
    DetectorRecipe,
    detector_demo,
    detector_finetune,
    detector_paper,
    detector_smoke,
)
from training.gate.gate import GateRule
from training.segmenter.recipes import (
    SegmenterRecipe,
    segmenter_demo,
    segmenter_finetune,
    segmenter_paper,
    segmenter_smoke,
)


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """One way to retrain."""

    detector: DetectorRecipe
    segmenter: SegmenterRecipe
    gate: GateRule = field(default_factory=GateRule)
    from_champion: bool = True
    """Whether to start from the champion's weights; otherwise from scratch."""

    operating_rate: float = 0.5
    """False positives per image of the validation fold at which the challenger's threshold is set, if the champion has
    no fewer there."""

    def with_gate(
        self,
        *,
        primary: Literal["mean", "sensitivity", "dice"] | None = None,
        confidence: float | None = None,
        min_patients: int | None = None,
    ) -> Self:
        """The recipe with some settings of its gate replaced; None keeps a setting."""
        given = {"primary": primary, "confidence": confidence, "min_patients": min_patients}
        changes: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
        return replace(self, gate=replace(self.gate, **changes))


def demo_gate() -> GateRule:
    """The gate for a few phantom patients: the same rule with a lower confidence."""
    return GateRule(confidence=0.9, min_patients=2)


RECIPES: Mapping[str, Recipe] = {
    "smoke": Recipe(detector=detector_smoke(), segmenter=segmenter_smoke(), gate=demo_gate()),
    "demo": Recipe(detector=detector_demo(), segmenter=segmenter_demo(), gate=demo_gate()),
    "finetune": Recipe(detector=detector_finetune(), segmenter=segmenter_finetune()),
    "paper": Recipe(detector=detector_paper(), segmenter=segmenter_paper(), from_champion=False),
}
"""By name.

    smoke      seconds: tests that the parts work together
    demo       minutes on two cores
    finetune   the default for a clinic
    paper      the paper's schedule from scratch, for a GPU
"""
