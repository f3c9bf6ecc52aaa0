"""DetectorRecipe: every number of a detector's training, and the recipes by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from mammo.detector import DetectorSpec
from training.detector.box_loss import BoxLoss
from training.precision import Precision


@dataclass(frozen=True, kw_only=True)
class Replay:
    """Phantoms mixed into the material of a fine-tune, against forgetting what the starter was trained on.

    They are drawn from their seeds when needed, so nothing is stored and no patient is involved.
    """

    views: int = 0
    """Number of views; two out of three have two clusters. 0: no replay."""

    seed: int = 60_000
    """Of the first view; no other phantoms of this product use seeds from here on."""

    width: int = 1408
    height: int = 1664
    """Size of a view in pixels: a small breast at native resolution, fast to draw."""


@dataclass(frozen=True, kw_only=True)
class DetectorRecipe:
    """One way to train a detector."""

    name: str

    spec: DetectorSpec = field(default_factory=DetectorSpec)
    """The network of a run from scratch; a run with start weights keeps their spec."""

    gate_bias: float = 0.0
    """Initial bias of the attention gates in a run from scratch; see `build_attention`."""

    box_loss: BoxLoss | None = None
    """None: the box loss of the start weights; CIoU from scratch."""

    tile: int = 640
    """Side of a training tile in native pixels, a multiple of 32."""

    crops: int = 4
    """Tiles per cluster."""

    background: float = 0.3
    """Share of tiles without a cluster; half of them are hard."""

    mined: int = 0
    """Maximum number of false alarms of the start weights that become hard tiles, per image. 0: hard tiles are those
    with most specks."""

    replay: Replay = field(default_factory=Replay)
    """Phantoms that a run with start weights trains on as well."""

    validation_crops: int = 0
    """Tiles per validation cluster. 0: no validation between epochs; the last weights are the result."""

    epochs: int = 150
    batch: int = 8
    optimizer: Literal["SGD", "AdamW"] = "SGD"
    lr0: float = 0.01
    """Peak learning rate; a cosine schedule ends at `lrf * lr0`."""

    lrf: float = 0.01
    momentum: float = 0.937
    """Of SGD; beta1 of AdamW."""

    weight_decay: float = 5e-4
    warmup_epochs: float = 3.0
    freeze: int = 0
    """Number of frozen layers, counted from the input; 10 is the backbone."""

    fixed_norms: bool = False
    """Whether batch norms keep the statistics of the start weights. In a run of a few hundred steps the statistics lag
    behind the weights, so the network would compute differently in training and in serving."""

    mosaic: float = 1.0
    """Probability that a training image is a mosaic of four tiles."""

    close_mosaic: int = 10
    """Number of last epochs without mosaic."""

    zoom: float = 0.1
    """Maximum relative change of scale of the zoomed half of the tiles; small, because the size of a calcification is
    diagnostic."""

    precision: Precision = "float32"
    """See `Precision`. Where the processor has it, bfloat16 takes three fifths of the time of float32."""

    seed: int = 0


def detector_paper() -> DetectorRecipe:
    """The paper's section 4: batch 8, 150 epochs, learning rate 0.01, cosine annealing, mosaic."""
    return DetectorRecipe(name="paper", validation_crops=2)


def detector_finetune() -> DetectorRecipe:
    """Fine-tune the champion on a site's corrections, with a GPU or enough time."""
    return replace(
        detector_paper(),
        name="finetune",
        epochs=30,
        optimizer="AdamW",
        lr0=5e-4,
        momentum=0.9,
        warmup_epochs=0.5,
        fixed_norms=True,
        close_mosaic=5,
        mosaic=0.5,
        mined=2,
        replay=Replay(views=48),
    )


def detector_demo() -> DetectorRecipe:
    """Fine-tune the starter on about 16 mammograms, in 90 seconds on two cores."""
    return replace(
        detector_finetune(),
        name="demo",
        tile=384,
        crops=4,
        validation_crops=0,
        epochs=6,
        mosaic=0.0,
        close_mosaic=0,
        mined=0,
        replay=Replay(views=9),
    )


def detector_starter() -> DetectorRecipe:
    """From scratch on the starter's material, in about an hour on two cores with avx512_bf16: the shipped weights."""
    return replace(
        detector_paper(),
        name="starter",
        tile=384,
        crops=3,
        background=0.45,
        zoom=0.15,
        validation_crops=0,
        epochs=8,
        precision="bfloat16",
        optimizer="AdamW",
        lr0=2e-3,
        momentum=0.9,
        warmup_epochs=1.0,
        mosaic=0.0,
        close_mosaic=0,
    )


def detector_starter_mined() -> DetectorRecipe:
    """Second stage of the starter: on new images, with the false alarms of the first stage as hard tiles."""
    return replace(detector_starter(), name="starter_mined", epochs=4, lr0=7e-4, background=0.5, mined=4)


def detector_smoke() -> DetectorRecipe:
    """A few seconds: tests that the parts work together. From scratch the weights are useless; start weights change
    little."""
    return replace(
        detector_demo(),
        name="smoke",
        spec=DetectorSpec(tile=256, overlap=64),
        lr0=2e-5,
        replay=Replay(),
        tile=128,
        crops=2,
        epochs=1,
        batch=4,
        warmup_epochs=0.0,
    )


def detector_table() -> DetectorRecipe:
    """From scratch, in a few minutes on one core: to compare attention modules (Table 1), not to serve."""
    return replace(detector_starter(), name="table", tile=256, epochs=6)


DETECTOR_RECIPES: Mapping[str, Callable[[], DetectorRecipe]] = {
    "paper": detector_paper,
    "finetune": detector_finetune,
    "demo": detector_demo,
    "starter": detector_starter,
    "starter_mined": detector_starter_mined,
    "table": detector_table,
    "smoke": detector_smoke,
}
"""By name, as on the command line."""

FROM_SCRATCH = frozenset({"paper", "starter", "table"})
"""Recipes that start from random weights."""
