"""DetectorSpec: what must be known to rebuild a detector from its tensors and to feed it as it was trained."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from pydantic import ConfigDict, Field, TypeAdapter

from mammo.detector.attention import AttentionKind


@dataclass(frozen=True, kw_only=True)
class DetectorSpec:
    """Architecture and input of one detector; travels as JSON in the weights file."""

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    scale: Literal["n", "s", "m", "l", "x"] = "n"
    """Size of YOLOv8."""

    p2: bool = False
    """Adds a detection head at stride 4, for targets below about 16 pixels."""

    attention: AttentionKind = "cbam"
    """Module put on the output of some C2f blocks; `none` is the stock network."""

    after: Annotated[tuple[Annotated[int, Field(ge=0, le=64)], ...], Field(max_length=16)] = (2, 4)
    """Layer indices of those blocks. The paper says "after two feature extraction layers", early: our reading."""

    reduction: Annotated[int, Field(ge=1, le=256)] = 16
    """Channels per hidden unit of the attention's MLP."""

    kernel: Literal[3, 7] = 7
    """Side of the spatial attention's convolution."""

    class_width: Annotated[int, Field(ge=16, le=1024)] | None = None
    """Hidden channels of the head's class branch; None is what YOLOv8 takes for one class. Official weights of scale n
    have 80 where one class would have 64."""

    tile: Annotated[int, Field(ge=64, le=8192, multiple_of=32)] = 2048
    """Largest side of a tile at detection, in native pixels."""

    overlap: Annotated[int, Field(ge=0, le=2048)] = 320
    """What two neighbouring tiles share at least, in pixels: a cluster up to this size is whole in one of them."""

    spacing_mm: Annotated[float, Field(ge=0.02, le=0.5)] = 0.07
    """Pixel spacing it was trained at, in mm; images of another one are resampled to it."""

    normalisation: Literal["grey-and-contrast"] = "grey-and-contrast"
    """Name of the rule in `normalise.py` that the tensors were trained behind."""

    def __post_init__(self) -> None:
        if self.attention != "none" and not self.after:
            raise ValueError(
                f"attention {self.attention!r} needs a place: name layers in `after`, or take 'none'"
            )
        if self.overlap * 2 > self.tile:
            raise ValueError(
                f"an overlap of {self.overlap} leaves no progress on tiles of {self.tile} pixels"
            )


SPEC = TypeAdapter(DetectorSpec)
"""Reads and writes a spec as JSON; refuses unknown keys and values out of range."""
