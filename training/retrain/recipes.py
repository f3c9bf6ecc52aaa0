"""The training recipes by name: what is trained, how, and what a challenger must do to be promoted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

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
    """One kind of retrain."""

    detector: DetectorRecipe
    segmenter: SegmenterRecipe
    gate: GateRule = field(default_factory=GateRule)
    from_champion: bool = True
    """Start from the champion's weights; False: from scratch."""

    operating_rate: float = 0.5
    """False positives per image, on the validation fold, at which the challenger's threshold is set."""

    def with_gate(
        self,
        *,
        primary: Literal["mean", "sensitivity", "dice"] | None = None,
        confidence: float | None = None,
        min_patients: int | None = None,
    ) -> Recipe:
        """The same recipe with another rule for its gate, where one is given."""
        given = {"primary": primary, "confidence": confidence, "min_patients": min_patients}
        changes: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
        return replace(self, gate=replace(self.gate, **changes))


def demo_gate() -> GateRule:
    """For a handful of phantom patients: the same test, content with less certainty."""
    return GateRule(confidence=0.9, min_patients=2)


RECIPES: Mapping[str, Recipe] = {
    "smoke": Recipe(detector=detector_smoke(), segmenter=segmenter_smoke(), gate=demo_gate()),
    "demo": Recipe(detector=detector_demo(), segmenter=segmenter_demo(), gate=demo_gate()),
    "finetune": Recipe(detector=detector_finetune(), segmenter=segmenter_finetune()),
    "paper": Recipe(detector=detector_paper(), segmenter=segmenter_paper(), from_champion=False),
}
"""`smoke`: seconds, proves the machinery. `demo`: minutes on two cores. `finetune`: the default of a clinic.
`paper`: the paper's schedule from scratch, for a GPU."""
