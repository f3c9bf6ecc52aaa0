"""Finding: the value that travels from the detector to the annotator and back."""

from __future__ import annotations

from dataclasses import dataclass

from mammo.geometry import Box, Point
from mammo.masks import Mask

CLUSTER = "Cluster"
"""The label of a microcalcification cluster, in findings and in the labeling config alike."""

POINT_REACH_MM = 11.0
"""How far around a place that only a point marks its cluster may reach: half of the largest there is."""


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One microcalcification cluster in the pixel frame of one mammogram."""

    label: str
    """What it is; today always `CLUSTER`."""

    score: float
    """Detector confidence in [0, 1]; 1 for what a person drew."""

    box: Box
    """Half-open pixels inside the image."""

    prompts: tuple[Point, ...] = ()
    """The point prompts that led to the mask, brightest first."""

    mask: Mask | None = None
    """The cluster's pixels; None when only the box is known."""

    is_point: bool = False
    """A person marked only the place: nothing is known of its extent, and `box` is the one pixel marked."""

    presence: float | None = None
    """The segmenter's probability that the region holds a lesion at all; None where it does not say."""

    pixels_per_logit: float | None = None
    """Image pixels that the mask's finest detail is wide; None for what a person drew."""

    id: str = ""
    """Stable name of this finding inside its prediction or annotation; empty before it has one."""

    def __post_init__(self) -> None:
        if not 0.0 <= self.score <= 1.0:
            raise ValueError(f"a score lies in [0, 1], got {self.score}")
        if self.is_point and (self.mask is not None or self.box.area != 1):
            raise ValueError(
                f"a point is one pixel without a mask, got {self.box.as_tuple()}, mask {self.mask}"
            )
