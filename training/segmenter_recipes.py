"""SegmenterRecipe: everything that decides a segmenter's training run, and the recipes by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from mammo.segmenter.config import MlsamConfig, mlsam
from mammo.segmenter.network import Policy


@dataclass(frozen=True, kw_only=True)
class SegmenterRecipe:
    """One training run. `start` weights bring their own configuration; `config` is for a run from scratch."""

    name: str
    """Recorded with the weights."""

    config: MlsamConfig
    """The network of a run from scratch."""

    policy: Policy = "decoder"
    """What is trained. Everything but `all` leaves the encoder alone, so its output is computed once and kept."""

    views: int = 4
    """Views of each region that are encoded once and kept; only where the encoder is not trained."""

    steps: int = 400
    """Optimiser steps."""

    batch: int = 4
    """Regions per step."""

    prompts: int = 3
    """Prompts per region and step; they share the region's embedding."""

    learning_rate: float = 2e-4
    """Peak rate of AdamW; cosine to zero after the warm-up."""

    warm_up: int = 20
    """Steps over which the rate rises from zero."""

    weight_decay: float = 0.01
    """AdamW's decoupled decay."""

    num_points: int | None = None
    """Points per mask that the loss compares; None: every pixel of the input."""

    validate_every: int = 100
    """Steps between two validations; the last step always ends with one."""

    silence_middle: bool = False
    """Start the middle branch at zero: for HQ-SAM weights, which do not have one."""

    seed: int = 0
    """Of weights, views, prompts and order."""


def segmenter_paper() -> SegmenterRecipe:
    """MLSAM on ViT-L with SAM's or HQ-SAM's weights as start; needs a GPU. The paper states no schedule: HQ-SAM's."""
    return SegmenterRecipe(
        name="segmenter_paper",
        config=mlsam("vit_l"),
        policy="hq",
        steps=12_000,
        learning_rate=1e-3,
        warm_up=250,
        weight_decay=0.0,
        num_points=112 * 112,
        validate_every=1000,
        silence_middle=True,
    )


def segmenter_finetune() -> SegmenterRecipe:
    """Adapt the champion to new corrections: the whole decoder on kept features."""
    return SegmenterRecipe(name="segmenter_finetune", config=starter_network(), views=8, steps=1200)


def segmenter_demo() -> SegmenterRecipe:
    """As `segmenter_finetune`, within about a minute on two cores."""
    return replace(segmenter_finetune(), name="segmenter_demo", views=6, steps=150, validate_every=50)


def segmenter_starter() -> SegmenterRecipe:
    """From random weights to the starter, on phantoms, in under ten minutes on two busy cores."""
    return SegmenterRecipe(
        name="segmenter_starter",
        config=starter_network(),
        policy="all",
        steps=400,
        batch=4,
        prompts=2,
        learning_rate=1e-3,
        warm_up=40,
        weight_decay=0.05,
        validate_every=100,
        seed=7,
    )


def segmenter_smoke() -> SegmenterRecipe:
    """A few seconds: proves that the machinery turns, nothing about quality."""
    return SegmenterRecipe(
        name="segmenter_smoke",
        config=MlsamConfig(
            encoder="smoke", input_size=64, decoder_width=32, combine="hq", channels="contrast"
        ),
        views=1,
        steps=3,
        batch=2,
        prompts=2,
        validate_every=3,
        num_points=64,
        warm_up=1,
    )


def starter_network() -> MlsamConfig:
    """MLSAM on a small encoder: it fits 22 MB and sees a cluster of 128 pixels at native resolution."""
    return MlsamConfig(encoder="starter", input_size=256, combine="hq", channels="contrast")


SEGMENTER_RECIPES: Mapping[str, Callable[[], SegmenterRecipe]] = {
    "paper": segmenter_paper,
    "finetune": segmenter_finetune,
    "demo": segmenter_demo,
    "starter": segmenter_starter,
    "smoke": segmenter_smoke,
}
"""Recipes by the name that a setting or a job gives them."""
