"""SegmenterRecipe: everything that decides a segmenter's training run, and the recipes by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Literal

from mammo.segmenter.config import MlsamConfig, mlsam

Training = Literal["hq", "decoder", "lora", "all"]
"""What a run changes: what HQ-SAM, MLSAM and the presence head add to SAM (the paper's), the whole mask decoder, that
and a low-rank change of the later half of the encoder, or everything."""

Precision = Literal["float32", "bfloat16"]
"""Of the forward pass; weights, gradients and the optimiser stay in float32."""


@dataclass(frozen=True, kw_only=True)
class SegmenterRecipe:
    """One training run. `start` weights bring their own configuration; `config` is for a run from scratch."""

    name: str
    """Recorded with the weights."""

    config: MlsamConfig
    """The network of a run from scratch."""

    policy: Training = "decoder"
    """What is trained. All but `all` leave (half of) the encoder alone: its output is computed once and kept."""

    lora_rank: int = 4
    """Rank of the change to the queries and values of an encoder block; only for policy `lora` (SAMed's 4)."""

    views: int = 4
    """Views of each region that are encoded once and kept; only where the encoder is not trained."""

    steps: int = 400
    """Optimiser steps."""

    batch: int = 4
    """Regions per step, over all processes."""

    prompts: int = 3
    """Prompts per region and step; they share the region's embedding."""

    negatives: float = 0.0
    """Share of the regions that hold no lesion: they teach the presence head, never the masks."""

    calcifications: float = 0.0
    """Share of the regions that show one calcification from near by, where the truth knows them."""

    second_click: float = 0.0
    """Share of the steps whose prompts correct a first mask: a click where it is wrong, and its logits."""

    learning_rate: float = 2e-4
    """Peak rate of AdamW; cosine to zero after the warm-up."""

    warm_up: int = 20
    """Steps over which the rate rises from zero."""

    weight_decay: float = 0.01
    """AdamW's decoupled decay."""

    num_points: int = 112 * 112
    """Points per mask that the loss compares, looked up in the native pixels of the truth (HQ-SAM's 112 x 112)."""

    precision: Precision = "float32"
    """`bfloat16` for a GPU, or a CPU with avx512_bf16; one without takes ten times as long in it. A part of the recipe,
    never chosen by the machine: a run that goes on elsewhere has to end with the same weights."""

    validate_every: int = 100
    """Steps between two validations; the last step always ends with one."""

    checkpoint_every: int = 50
    """Steps between two checkpoints, from which a killed run goes on."""

    silence_middle: bool = False
    """Start the middle branch at zero: for HQ-SAM weights, which do not have one."""

    seed: int = 0
    """Of weights, views, prompts and order."""

    def __post_init__(self) -> None:
        if not 0 <= self.negatives + self.calcifications < 1:
            raise ValueError("negatives and calcifications leave no room for clusters")
        if self.policy == "lora" and self.config.encoder == "vit_t":
            raise ValueError("policy 'lora' needs a plain ViT; vit_t has no blocks of one width")


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
        precision="bfloat16",
        validate_every=1000,
        checkpoint_every=500,
        silence_middle=True,
    )


def segmenter_finetune() -> SegmenterRecipe:
    """Adapt the champion to new corrections: the whole decoder on kept features."""
    return SegmenterRecipe(
        name="segmenter_finetune",
        config=starter_network(),
        views=8,
        steps=1200,
        negatives=0.25,
        second_click=0.2,
        num_points=4096,
    )


def segmenter_demo() -> SegmenterRecipe:
    """As `segmenter_finetune`, within about a minute on two cores."""
    return replace(
        segmenter_finetune(),
        name="segmenter_demo",
        views=6,
        steps=150,
        validate_every=50,
        checkpoint_every=50,
    )


def segmenter_starter() -> SegmenterRecipe:
    """From random weights to the starter, on phantoms, in well under two hours of two cores. In float32: any processor
    can repeat it, and one without bfloat16 instructions takes ten times as long in bfloat16."""
    return SegmenterRecipe(
        name="segmenter_starter",
        config=starter_network(),
        policy="all",
        steps=2400,
        batch=4,
        prompts=3,
        negatives=0.15,
        calcifications=0.35,
        second_click=0.35,
        learning_rate=1e-3,
        warm_up=60,
        weight_decay=0.05,
        num_points=4096,
        validate_every=200,
        seed=7,
    )


def segmenter_presence() -> SegmenterRecipe:
    """Weights that never knew it learn whether there is a lesion, and their decoder second clicks: a minute or two on
    kept features."""
    return replace(
        segmenter_finetune(),
        name="segmenter_presence",
        views=2,
        steps=400,
        prompts=2,
        negatives=0.35,
        learning_rate=5e-4,
        checkpoint_every=100,
    )


def segmenter_sam() -> SegmenterRecipe:
    """A plain SAM on the starter's encoder, from random weights: on phantoms it stands for SAM's public weights, which
    the rows of the paper's tables all start from. It knows no early or middle level, so it favours no row."""
    return replace(
        segmenter_starter(),
        name="segmenter_sam",
        config=replace(starter_network(), hq_token=False, combine="sam", presence=False),
        steps=400,
        negatives=0.0,
        calcifications=0.0,
        second_click=0.2,
        precision="float32",
        seed=11,
    )


def segmenter_row() -> SegmenterRecipe:
    """One row of Table 3, 4 or 5 on top of a SAM: HQ-SAM's protocol (only what is added learns) on kept features."""
    return SegmenterRecipe(
        name="segmenter_row",
        config=starter_network(),
        policy="hq",
        views=2,
        steps=100,
        batch=4,
        prompts=2,
        learning_rate=1e-3,
        warm_up=20,
        num_points=4096,
        validate_every=100,
        checkpoint_every=100,
    )


def segmenter_smoke() -> SegmenterRecipe:
    """A few seconds: proves that the machinery turns, nothing about quality."""
    return SegmenterRecipe(
        name="segmenter_smoke",
        config=MlsamConfig(
            encoder="smoke",
            input_size=64,
            decoder_width=32,
            combine="hq",
            channels="contrast",
            presence=True,
        ),
        views=1,
        steps=3,
        batch=2,
        prompts=2,
        negatives=0.25,
        second_click=0.5,
        validate_every=3,
        checkpoint_every=1,
        num_points=64,
        warm_up=1,
    )


def starter_network() -> MlsamConfig:
    """MLSAM on a small encoder: it fits 22 MB and sees a cluster of 128 pixels at native resolution."""
    return MlsamConfig(encoder="starter", input_size=256, combine="hq", channels="contrast", presence=True)


SEGMENTER_RECIPES: Mapping[str, Callable[[], SegmenterRecipe]] = {
    "paper": segmenter_paper,
    "finetune": segmenter_finetune,
    "demo": segmenter_demo,
    "starter": segmenter_starter,
    "presence": segmenter_presence,
    "sam": segmenter_sam,
    "row": segmenter_row,
    "smoke": segmenter_smoke,
}
"""Recipes by the name that a setting or a job gives them."""
