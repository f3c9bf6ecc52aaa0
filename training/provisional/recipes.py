"""The recipes of a provisional model by name: what is drawn, what is trained, and what it must achieve.

The detector's encoder and neck keep the champion's weights and only its head learns: from a few patients, few weights
can be learned, and frozen layers take a third of the time. docs/experiments.md (2026-12-01) has the comparison.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from mammo.training_settings import MIN_CORRECTED_PATIENTS, MIN_CORRECTIONS
from training.detector.recipes import DetectorRecipe, Replay, detector_demo, detector_smoke
from training.gate.gate import GateRule
from training.retrain.recipes import Recipe
from training.segmenter.recipes import SegmenterRecipe, segmenter_demo, segmenter_smoke

HEAD = 22
"""Number of layers of YOLOv8 before its head."""


@dataclass(frozen=True, kw_only=True)
class ProvisionalRecipe(Recipe):
    """One way to make a provisional model. `gate` judges the patients that were left out, `operating_rate` is in false
    positives per left-out image."""

    copies: int
    """Images with inserted clusters drawn from each corrected image; one in five has none."""

    trains_segmenter: bool
    """Whether the segmenter's decoder learns too; otherwise the champion's segmenter serves."""

    max_groups: int = 8
    """Most fits for the judgement: up to so many patients each is left out alone, beyond that in groups."""

    min_images: int = MIN_CORRECTIONS
    min_patients: int = MIN_CORRECTED_PATIENTS
    """Least number of corrected images, and of their patients."""

    seed: int = 0
    """Of what is drawn."""


def detector_provisional() -> DetectorRecipe:
    """Train the head of the champion's detector, in about a minute on two cores."""
    return replace(
        detector_demo(),
        name="provisional",
        crops=2,
        epochs=4,
        lr0=1e-3,
        freeze=HEAD,
        replay=Replay(views=4),
    )


def segmenter_provisional() -> SegmenterRecipe:
    """Train the decoder of the champion's segmenter on cached features, in about a minute on two cores."""
    return replace(
        segmenter_demo(),
        name="segmenter_provisional",
        views=3,
        steps=120,
        validate_every=120,
        checkpoint_every=60,
    )


def provisional_rule() -> GateRule:
    """The gate's rule with a lower confidence: the model serves one project only, and the gate takes over later."""
    return GateRule(confidence=0.8, min_patients=2)


PROVISIONAL_RECIPES: Mapping[str, ProvisionalRecipe] = {
    "provisional": ProvisionalRecipe(
        detector=detector_provisional(),
        segmenter=segmenter_provisional(),
        gate=provisional_rule(),
        copies=2,
        trains_segmenter=False,
    ),
    "provisional-smoke": ProvisionalRecipe(
        detector=replace(detector_smoke(), freeze=HEAD),
        segmenter=segmenter_smoke(),
        gate=provisional_rule(),
        copies=1,
        trains_segmenter=False,
        max_groups=2,
    ),
}
"""By name.

    provisional         the default
    provisional-smoke   seconds: tests that the parts work together
"""
