"""DetectorSpec: architecture and input of a detector, stored with its tensors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from pydantic import ConfigDict, Field, TypeAdapter

from mammo.detector.attention import AttentionKind
from mammo.detector.normalise import Normalisation


@dataclass(frozen=True, kw_only=True)
class DetectorSpec:
    """Architecture and input of one detector; stored as JSON in the weights file."""

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    scale: Literal["n", "s", "m", "l", "x"] = "n"
    """Scale of YOLOv8."""

    p2: bool = False
    """Add a detection head at stride 4, for targets below about 16 pixels."""

    attention: AttentionKind = "cbam"
    """Attention module on the output of some C2f blocks; `none` is the stock network."""

    after: Annotated[tuple[Annotated[int, Field(ge=0, le=64)], ...], Field(max_length=16)] = (2, 4)
    """Layer indices of those blocks; our reading of the paper's "after two feature extraction layers"."""

    reduction: Annotated[int, Field(ge=1, le=256)] = 16
    """Channels per hidden unit of the attention's MLP."""

    kernel: Literal[3, 7] = 7
    """Side of the spatial attention's convolution."""

    class_width: Annotated[int, Field(ge=16, le=1024)] | None = None
    """Hidden channels of the head's class branch; None is YOLOv8's choice for one class. Official weights of scale n
    have 80, where one class would have 64."""

    tile: Annotated[int, Field(ge=64, le=8192, multiple_of=32)] = 2048
    """Maximum side of a tile in detection, in pixels."""

    overlap: Annotated[int, Field(ge=0, le=2048)] = 320
    """Minimum overlap of neighbouring tiles, in pixels: a cluster up to this size lies completely in one of them."""

    spacing_mm: Annotated[float, Field(ge=0.02, le=0.5)] = 0.07
    """Pixel spacing of training; images of other spacings are resampled to it."""

    normalisation: Normalisation = "grey-and-p99-contrast"
    """Name of the normalisation in `normalise.py` with which the tensors were trained."""

    speck_weight: Annotated[float, Field(ge=0, le=4)] = 0.0
    """How much the contrast of its specks weighs in the score of a detection, see `specks.py`; 0 in weights that do not
    state it, whose scores are the network's alone."""

    def __post_init__(self) -> None:
        if self.attention != "none" and not self.after:
            raise ValueError(
                f"attention {self.attention!r} needs layers; name them in `after`, or use attention 'none'"
            )
        if self.overlap * 2 > self.tile:
            raise ValueError(
                f"expected an overlap of at most half the tile of {self.tile} pixels, got {self.overlap}"
            )


SPEC = TypeAdapter(DetectorSpec)
"""Reads and writes a spec as JSON; refuses unknown keys and invalid values."""
