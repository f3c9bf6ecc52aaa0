"""Points, boxes, sizes and pixel spacings, all in the pixel frame of one image.

In the pixel frame, column `x` grows to the right, row `y` grows downwards, and the first pixel is (0, 0). A `Point`
is a whole pixel, given by its indices; its centre lies at (x + 0.5, y + 0.5). A `Box` is half open: it contains the
pixels with x0 <= x < x1 and y0 <= y < y1, so its width is x1 - x0. Percent coordinates exist only in
`mammo/labelstudio/regions.py`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Self

MAX_PIXELS = 64 * 2**20
"""Maximum number of pixels of an image; digitised film has up to about 40 million."""

MAX_SIDE = 20_000
"""Maximum side of an image, in pixels."""


@dataclass(frozen=True, order=True)
class Point:
    """One pixel: column `x`, row `y`."""

    x: int
    y: int


@dataclass(frozen=True)
class Size:
    """Width and height of an image, in pixels."""

    width: int
    height: int

    def __post_init__(self) -> None:
        if self.width <= 0 or self.height <= 0:
            raise ValueError(f"expected a positive width and height, got {self.width} x {self.height}")

    @property
    def is_plausible(self) -> bool:
        """Whether an image may be so large."""
        return max(self.width, self.height) <= MAX_SIDE and self.width * self.height <= MAX_PIXELS

    @property
    def box(self) -> Box:
        """The box that covers the whole image."""
        return Box(0, 0, self.width, self.height)


@dataclass(frozen=True)
class Box:
    """A half-open, non-empty rectangle of pixels."""

    x0: int
    y0: int
    x1: int
    y1: int

    def __post_init__(self) -> None:
        if self.x1 <= self.x0 or self.y1 <= self.y0:
            raise ValueError(f"expected a box with x0 < x1 and y0 < y1, got {self.as_tuple()}")

    @classmethod
    def around(cls, x0: float, y0: float, x1: float, y1: float) -> Self:
        """Return the smallest box of whole pixels that covers a rectangle with real-valued corners."""
        left, top = math.floor(x0), math.floor(y0)
        return cls(left, top, max(math.ceil(x1), left + 1), max(math.ceil(y1), top + 1))

    @classmethod
    def centred(cls, x: float, y: float, *, width: int, height: int) -> Self:
        """Return a box of the given size, centred at (x, y) to the nearest pixel."""
        left, top = round(x - width / 2), round(y - height / 2)
        return cls(left, top, left + width, top + height)

    @property
    def width(self) -> int:
        return self.x1 - self.x0

    @property
    def height(self) -> int:
        return self.y1 - self.y0

    @property
    def area(self) -> int:
        return self.width * self.height

    @property
    def centre(self) -> tuple[float, float]:
        """(x, y) of the centre, in the continuous pixel frame."""
        return (self.x0 + self.x1) / 2, (self.y0 + self.y1) / 2

    @property
    def slices(self) -> tuple[slice, slice]:
        """Row and column slices that index an H x W array; the box must lie inside it."""
        return slice(self.y0, self.y1), slice(self.x0, self.x1)

    def as_tuple(self) -> tuple[int, int, int, int]:
        return self.x0, self.y0, self.x1, self.y1

    def contains(self, point: Point) -> bool:
        return self.x0 <= point.x < self.x1 and self.y0 <= point.y < self.y1

    def intersection(self, other: Box) -> Box | None:
        """Return the pixels that both boxes contain; None when they are disjoint."""
        x0, y0 = max(self.x0, other.x0), max(self.y0, other.y0)
        x1, y1 = min(self.x1, other.x1), min(self.y1, other.y1)
        return Box(x0, y0, x1, y1) if x0 < x1 and y0 < y1 else None

    def union(self, other: Box) -> Box:
        """Return the smallest box that contains both."""
        return Box(
            min(self.x0, other.x0), min(self.y0, other.y0), max(self.x1, other.x1), max(self.y1, other.y1)
        )

    def iou(self, other: Box) -> float:
        """Return the intersection over union, in [0, 1]."""
        common = self.intersection(other)
        if common is None:
            return 0.0
        return common.area / (self.area + other.area - common.area)

    def dilated(self, pixels: int) -> Box:
        """Return the box grown by `pixels` on every side; it may leave the image."""
        return Box(self.x0 - pixels, self.y0 - pixels, self.x1 + pixels, self.y1 + pixels)

    def shifted(self, dx: int, dy: int) -> Box:
        return Box(self.x0 + dx, self.y0 + dy, self.x1 + dx, self.y1 + dy)

    def within(self, size: Size) -> Box:
        """Return the box clipped to the image.

        Raises:
            ValueError: the box lies outside the image.
        """
        clipped = self.intersection(size.box)
        if clipped is None:
            raise ValueError(
                f"box {self.as_tuple()} lies outside an image of {size.width} x {size.height} pixels"
            )
        return clipped

    def moved_into(self, size: Size) -> Box:
        """Return the box shifted into the image; it is clipped only where it is larger than the image."""
        width, height = min(self.width, size.width), min(self.height, size.height)
        x0 = min(max(self.x0, 0), size.width - width)
        y0 = min(max(self.y0, 0), size.height - height)
        return Box(x0, y0, x0 + width, y0 + height)


@dataclass(frozen=True)
class Spacing:
    """Distance between the centres of neighbouring pixels, and its source."""

    row_mm: float
    """Between rows (down the image), in mm."""

    column_mm: float
    """Between columns (across the image), in mm."""

    source: str
    """`imager`, `pixel`, `given`, …; reported with every measurement."""

    @property
    def mean_mm(self) -> float:
        return (self.row_mm + self.column_mm) / 2

    @property
    def square(self) -> bool:
        return self.row_mm == self.column_mm

    def pixels(self, millimetres: float) -> int:
        """Return a length in whole pixels, at least one."""
        return max(1, round(millimetres / self.mean_mm))


ASSUMED_SPACING = Spacing(0.07, 0.07, "assumed")
"""Used to process an image without a pixel spacing: the most common detector pitch in FFDM. Never a measurement."""
