"""Every number of a detector run, and the named runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from mammo.detector import DetectorSpec
from training.detector.box_loss import BoxLoss


@dataclass(frozen=True, kw_only=True)
class Replay:
    """Phantoms that a fine-tune sees again beside its new material, against forgetting what the starter knew.

    They are drawn from their seeds when they are needed, so they are always at hand and are nobody's images.
    """

    views: int = 0
    """How many; two of three hold two clusters. 0: no replay."""

    seed: int = 60_000
    """Of the first one; no other phantoms of this product use seeds from here on."""

    width: int = 1408
    height: int = 1664
    """Of a view: a small breast at native resolution, quickly drawn."""


@dataclass(frozen=True, kw_only=True)
class DetectorRecipe:
    """How to train a detector."""

    name: str

    spec: DetectorSpec = field(default_factory=DetectorSpec)
    """The network of a run from scratch; a run with start weights keeps the spec of those."""

    gate_bias: float = 0.0
    """Where the attention's gates start in a run from scratch; see `build_attention`."""

    box_loss: BoxLoss | None = None
    """None: the rule that the start weights were trained by, CIoU from scratch."""

    tile: int = 640
    """Side of a training tile in native pixels, a multiple of 32."""

    crops: int = 4
    """Tiles for every cluster."""

    background: float = 0.3
    """Share of tiles without a cluster, half of them hard ones."""

    mined: int = 0
    """False alarms of the start weights that an image gives as hard tiles at most; 0: those richest in specks."""

    replay: Replay = field(default_factory=Replay)
    """What a run on top of other weights sees again."""

    validation_crops: int = 0
    """Tiles for every validation cluster; 0: no validation between epochs, the last weights are the result."""

    epochs: int = 150
    batch: int = 8
    optimizer: Literal["SGD", "AdamW"] = "SGD"
    lr0: float = 0.01
    """Highest learning rate; falls to `lrf * lr0` along a cosine."""

    lrf: float = 0.01
    momentum: float = 0.937
    """Of SGD; beta1 of AdamW."""

    weight_decay: float = 5e-4
    warmup_epochs: float = 3.0
    freeze: int = 0
    """Layers whose weights stay, counted from the input; 10 is the backbone."""

    fixed_norms: bool = False
    """Batch norms keep the statistics of the start weights. In a run of a few hundred steps they would lag behind
    the weights, and the network would be another one in training than at work."""

    mosaic: float = 1.0
    """Probability that a training image is put together from four tiles."""

    close_mosaic: int = 10
    """Last epochs without mosaic."""

    zoom: float = 0.1
    """Half of the tiles are scaled by up to this part; small, because the size of a calcification means something."""

    seed: int = 0


def detector_paper() -> DetectorRecipe:
    """Section 4: batch 8, 150 epochs, learning rate 0.01, cosine annealing, mosaic."""
    return DetectorRecipe(name="paper", validation_crops=2)


def detector_finetune() -> DetectorRecipe:
    """Corrections of a site on top of the champion, on a machine with time or a GPU."""
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
    """About 16 mammograms in 90 seconds on two cores, on top of the starter."""
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
    """From scratch on phantoms, in some 25 minutes on one core: the weights the product ships with."""
    return replace(
        detector_paper(),
        name="starter",
        tile=384,
        crops=3,
        validation_crops=0,
        epochs=9,
        optimizer="AdamW",
        lr0=2e-3,
        momentum=0.9,
        warmup_epochs=1.0,
        mosaic=0.0,
        close_mosaic=0,
    )


def detector_smoke() -> DetectorRecipe:
    """A few seconds: shows that the parts fit, teaches nothing."""
    return replace(
        detector_demo(),
        name="smoke",
        spec=DetectorSpec(tile=256, overlap=64),
        fixed_norms=False,
        replay=Replay(),
        tile=128,
        crops=2,
        epochs=1,
        batch=4,
        warmup_epochs=0.0,
    )


def detector_table() -> DetectorRecipe:
    """From scratch, in a few minutes on one core: to compare attentions (Table 1), not to serve."""
    return replace(detector_starter(), name="table", tile=256, epochs=6)


DETECTOR_RECIPES: Mapping[str, Callable[[], DetectorRecipe]] = {
    "paper": detector_paper,
    "finetune": detector_finetune,
    "demo": detector_demo,
    "starter": detector_starter,
    "table": detector_table,
    "smoke": detector_smoke,
}
"""By name, as the command line calls them."""

FROM_SCRATCH = frozenset({"paper", "starter", "table"})
"""Recipes that begin with random weights."""
