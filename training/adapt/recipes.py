"""The recipes of an adaptation by name: what is drawn, how the networks are trained, what a challenger must achieve."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from training.detector.recipes import DetectorRecipe, Replay, detector_finetune, detector_smoke
from training.retrain.recipes import Recipe, demo_gate
from training.segmenter.recipes import SegmenterRecipe, segmenter_finetune, segmenter_smoke


@dataclass(frozen=True, kw_only=True)
class AdaptRecipe(Recipe):
    """One way to adapt. `operating_rate` is in false positives per untouched held-out image."""

    copies: int
    """Images with inserted clusters drawn from each background to train on; one in five has none."""

    held_out_copies: int
    """The same of each held-out background."""

    seed: int = 0
    """Of what is drawn."""


def detector_adapt() -> DetectorRecipe:
    """Fine-tune the champion on about 64 film images of a site, in about 25 minutes on two cores."""
    return replace(
        detector_finetune(),
        name="adapt",
        tile=384,
        crops=2,
        background=0.45,  # the false alarms of a new look are its first trouble
        validation_crops=0,
        epochs=12,
        mosaic=0.0,
        close_mosaic=0,
        mined=4,
        replay=Replay(views=24),
    )


def segmenter_adapt() -> SegmenterRecipe:
    """Fine-tune the champion's decoder on the same images, in a few minutes on two cores."""
    return replace(segmenter_finetune(), name="segmenter_adapt", views=2, steps=400)


ADAPT_RECIPES: Mapping[str, AdaptRecipe] = {
    "adapt": AdaptRecipe(detector=detector_adapt(), segmenter=segmenter_adapt(), copies=4, held_out_copies=3),
    "smoke": AdaptRecipe(
        detector=replace(detector_smoke(), mined=1),
        segmenter=segmenter_smoke(),
        gate=demo_gate(),
        copies=1,
        held_out_copies=1,
    ),
}
"""By name.

    adapt   the default
    smoke   seconds: tests that the parts work together
"""
