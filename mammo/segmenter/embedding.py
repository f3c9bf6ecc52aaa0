"""RoiEmbedding: one region as the decoder sees it, independent of any prompt."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from mammo.geometry import Size, Spacing
from mammo.segmenter.roi import Level, Roi


@dataclass(frozen=True, eq=False)
class RoiEmbedding:
    """Safe to keep and to share between threads."""

    roi: Roi
    """Where in the image it lies, and at which scale."""

    size: Size
    """Of the whole image."""

    level: Level
    """What the region is meant to show."""

    neck: Tensor
    """1 x C x g x g float16."""

    fused: Tensor | None
    """1 x C/8 x 4g x 4g float16: the levels fused, the costly part of MLSAM."""

    @property
    def spacing(self) -> Spacing | None:
        """Of the image's pixels, where known."""
        return self.roi.spacing

    @property
    def num_bytes(self) -> int:
        """Memory that it holds."""
        return sum(t.numel() * t.element_size() for t in (self.neck, self.fused) if t is not None)
