"""PixelBudget: how many pixels the regions of one annotation may make this service work on."""

from __future__ import annotations

from dataclasses import dataclass

from mammo.errors import InvalidRegion
from mammo.geometry import MAX_PIXELS

MAX_DECODED = 2 * MAX_PIXELS
"""Pixels of all masks of an annotation, each in its smallest rectangle. Four mammograms painted all over have fewer."""

EDGE = 64
"""Pixels that take as long as one pixel edge of an outline, when outlines are compared."""


@dataclass
class PixelBudget:
    """Counts the pixels of masks before they are decoded, and the lengths of outlines."""

    remaining: int = MAX_DECODED

    def spend(self, pixels: int) -> None:
        """Count pixels.

        Raises:
            InvalidRegion: too many are counted now (code `too_many_pixels`).
        """
        self.remaining -= pixels
        if self.remaining < 0:
            raise InvalidRegion(
                "the regions of an annotation are too large, or too ragged, to be read; erase noise, or delete some of "
                "them",
                code="too_many_pixels",
            )
