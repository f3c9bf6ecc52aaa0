"""The training recipes by name: what is trained, how, and what a challenger must do to be promoted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from training.detector_recipes import (
    DetectorRecipe,
    detector_demo,
    detector_finetune,
    detector_paper,
    detector_smoke,
)
from training.gate import GateRule
from training.segmenter_recipes import (
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
