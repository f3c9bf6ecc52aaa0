"""SegmenterRecipe: every number of a segmenter's training, and the recipes by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Literal

from mammo.segmenter.config import MlsamConfig, mlsam
from training.precision import Precision

Part = Literal["presence", "box_prior"]
"""A part that not all weights have; the name is that of its field in `MlsamConfig`."""

Policy = Literal["hq", "decoder", "lora", "all"]
"""The trained part of the network.

    hq        what HQ-SAM, MLSAM and the presence head add to SAM (the paper's)
    decoder   the mask decoder
    lora      the mask decoder, and low-rank changes of the later half of the encoder
    all       everything
"""


@dataclass(frozen=True, kw_only=True)
class SegmenterRecipe:
    """One way to train a segmenter."""

    name: str
    """Recorded with the weights."""

    config: MlsamConfig
    """The network of a run from scratch; a run with start weights keeps their configuration."""

    policy: Policy = "decoder"
    """The trained part. Except for `all`, (half of) the encoder is frozen and its output cached."""

    lora_rank: int = 4
    """Rank of the change to the queries and values of an encoder block; only for policy `lora` (SAMed uses 4)."""

    views: int = 4
    """Number of cached views per region; not for policy `all`, which draws new views every epoch."""

    steps: int = 400
    """Optimiser steps."""

    batch: int = 4
    """Regions per step, over all processes."""

    prompts: int = 3
    """Prompts per region and step; they share the region's embedding."""

    negatives: float = 0.0
    """Share of the regions without a lesion; they train the presence head only."""

    calcifications: float = 0.0
    """Share of the regions at the calcification level; only of clusters whose single calcifications are known."""

    second_click: float = 0.0
    """Share of the steps whose prompts correct a first mask: a click where it is wrong, and its logits."""

    learning_rate: float = 2e-4
    """Peak learning rate of AdamW; cosine to zero after the warm-up."""

    warm_up: int = 20
    """Steps of the linear warm-up from zero."""

    weight_decay: float = 0.01
    """AdamW's decoupled weight decay."""

    num_points: int = 112 * 112
    """Points per mask at which the loss compares it with the truth in native pixels (HQ-SAM's 112 x 112)."""

    precision: Precision = "float32"
    """See `Precision`."""

    validate_every: int = 100
    """Steps between validations; the last step is always validated."""

    checkpoint_every: int = 50
    """Steps between checkpoints."""

    adds: tuple[Part, ...] = ()
    """Parts that start weights without them get. A presence head does not change their masks, a box prior does."""

    silence_middle: bool = False
    """Initialise the middle branch to zero: for HQ-SAM weights, which do not have one."""

    seed: int = 0
    """Of weights, views, prompts and order."""

    def __post_init__(self) -> None:
        if not 0 <= self.negatives + self.calcifications < 1:
            raise ValueError("the shares of negatives and calcifications must add up to less than 1")
        if self.policy == "lora" and self.config.encoder == "vit_t":
            raise ValueError("policy 'lora' needs a plain ViT; the blocks of vit_t differ in width")


def segmenter_paper() -> SegmenterRecipe:
    """MLSAM on ViT-L from SAM's or HQ-SAM's weights, on a GPU. The paper states no schedule; this one is HQ-SAM's."""
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
    """Fine-tune the champion on new corrections: the whole decoder, on cached features."""
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
    """As `segmenter_finetune`, in about a minute on two cores."""
    return replace(
        segmenter_finetune(),
        name="segmenter_demo",
        views=6,
        steps=150,
        validate_every=50,
        checkpoint_every=50,
    )


def segmenter_starter() -> SegmenterRecipe:
    """From scratch on phantoms, in less than two hours on two cores: the shipped weights. In float32, so that any
    processor can repeat it."""
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


def segmenter_starter_mixed() -> SegmenterRecipe:
    """The starter's second stage, on randomised phantoms and on clusters inserted into real backgrounds; it adds the
    box prior."""
    return replace(
        segmenter_starter(),
        name="segmenter_starter_mixed",
        adds=("box_prior",),
        steps=1800,
        negatives=0.25,
        calcifications=0.25,
        learning_rate=3e-4,
        precision="bfloat16",
        seed=8,
    )


def segmenter_presence() -> SegmenterRecipe:
    """Train the presence head, and second clicks, of weights that have never had them: a minute or two on cached
    features."""
    return replace(
        segmenter_finetune(),
        name="segmenter_presence",
        adds=("presence",),
        views=2,
        steps=400,
        prompts=2,
        negatives=0.35,
        learning_rate=5e-4,
        checkpoint_every=100,
    )


def segmenter_sam() -> SegmenterRecipe:
    """A plain SAM on the starter's encoder, from scratch. On phantoms it replaces SAM's public weights, from which all
    rows of the paper's tables start. It uses no early or middle level, so it favours no row."""
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
    """One row of Table 3, 4 or 5 from a SAM by HQ-SAM's protocol (only the added parts are trained), on cached
    features."""
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
    """A few seconds: tests that the parts work together; the weights are useless."""
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
    """MLSAM on a small encoder: 22 MB, and native resolution for clusters of up to 128 pixels."""
    return MlsamConfig(encoder="starter", input_size=256, combine="hq", channels="contrast", presence=True)


SEGMENTER_RECIPES: Mapping[str, Callable[[], SegmenterRecipe]] = {
    "paper": segmenter_paper,
    "finetune": segmenter_finetune,
    "demo": segmenter_demo,
    "starter": segmenter_starter,
    "starter_mixed": segmenter_starter_mixed,
    "presence": segmenter_presence,
    "sam": segmenter_sam,
    "row": segmenter_row,
    "smoke": segmenter_smoke,
}
"""By name, as in settings and jobs."""
