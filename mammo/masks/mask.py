"""Mask: the pixels of one finding, kept at ROI size with its place in the image.

A full-field mammogram has 8 to 14 million pixels and a cluster a few thousand, so nothing here builds a
full-size array unless a caller asks for one.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from faster_coco_eval import mask_api_new_cpp as runs
from faster_coco_eval.core import mask as coco

from mammo.geometry import Box, Point, Size

Bitmap = npt.NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Mask:
    """A set of pixels: `bitmap` (h x w, bool) with its top-left corner at column `x0`, row `y0` of the image."""

    bitmap: Bitmap
    x0: int
    y0: int

    def __post_init__(self) -> None:
        if self.bitmap.ndim != 2 or self.bitmap.dtype != np.bool_ or not self.bitmap.size:
            raise ValueError(
                f"expected a non-empty 2-D bool array, got {self.bitmap.dtype} {self.bitmap.shape}"
            )

    @classmethod
    def from_full(cls, full: npt.NDArray[Any], *, box: Box | None = None) -> Mask | None:
        """Cut the tight mask out of a full-size array (non-zero = set); None when it is empty.

        Args:
            full: H x W, any integer or bool type.
            box: look only here (half-open pixels inside the image).
        """
        rows, columns = (box or Box(0, 0, full.shape[1], full.shape[0])).slices
        return cls(np.asarray(full[rows, columns]) != 0, columns.start, rows.start).tight()

    @property
    def frame(self) -> Box:
        """The rectangle that the bitmap covers, set or not."""
        return Box(self.x0, self.y0, self.x0 + self.bitmap.shape[1], self.y0 + self.bitmap.shape[0])

    @property
    def area(self) -> int:
        """Number of set pixels."""
        return int(np.count_nonzero(self.bitmap))

    @property
    def box(self) -> Box | None:
        """The tight box of the set pixels; None when there are none."""
        tight = self.tight()
        return tight.frame if tight else None

    def tight(self) -> Mask | None:
        """The same pixels in the smallest bitmap; None when no pixel is set."""
        rows = np.flatnonzero(self.bitmap.any(axis=1))
        if not rows.size:
            return None
        columns = np.flatnonzero(self.bitmap[rows[0] : rows[-1] + 1].any(axis=0))
        cut = self.bitmap[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        return Mask(np.ascontiguousarray(cut), self.x0 + int(columns[0]), self.y0 + int(rows[0]))

    def within(self, box: Box) -> Mask | None:
        """The part inside a box, tight; None when there is none."""
        common = self.frame.intersection(box)
        if common is None:
            return None
        rows, columns = common.shifted(-self.x0, -self.y0).slices
        return Mask(self.bitmap[rows, columns], common.x0, common.y0).tight()

    def paste(self, full: npt.NDArray[Any], value: int = 1) -> None:
        """Set the mask's pixels to `value` in a full-size H x W array; what lies outside it is cut off."""
        common = self.frame.intersection(Box(0, 0, full.shape[1], full.shape[0]))
        if common is None:
            return
        rows, columns = common.shifted(-self.x0, -self.y0).slices
        full[common.slices][self.bitmap[rows, columns]] = value

    def full(self, size: Size) -> npt.NDArray[np.uint8]:
        """H x W uint8 with 1 where set."""
        out = np.zeros((size.height, size.width), np.uint8)
        self.paste(out)
        return out

    def intersection_area(self, other: Mask) -> int:
        common = self.frame.intersection(other.frame)
        if common is None:
            return 0
        mine = self.bitmap[common.shifted(-self.x0, -self.y0).slices]
        theirs = other.bitmap[common.shifted(-other.x0, -other.y0).slices]
        return int(np.count_nonzero(mine & theirs))

    def dice(self, other: Mask) -> float:
        """2 |A and B| / (|A| + |B|), in [0, 1]; 1 when both are empty."""
        total = self.area + other.area
        return 2 * self.intersection_area(other) / total if total else 1.0

    def iou(self, other: Mask) -> float:
        """|A and B| / |A or B|, in [0, 1]; 1 when both are empty."""
        common = self.intersection_area(other)
        either = self.area + other.area - common
        return common / either if either else 1.0

    def components(self) -> list[Mask]:
        """8-connected parts, each tight, largest first."""
        count, labels, stats, _ = cv2.connectedComponentsWithStats(self.bitmap.view(np.uint8), connectivity=8)
        parts = []
        for index in range(1, count):
            x, y, width, height, area = (int(v) for v in stats[index])
            bitmap = labels[y : y + height, x : x + width] == index
            parts.append((area, Mask(bitmap, self.x0 + x, self.y0 + y)))
        return [part for _, part in sorted(parts, key=lambda item: -item[0])]

    def holds(self, point: Point) -> bool:
        """Whether a pixel of the image is in the mask."""
        return self.frame.contains(point) and bool(self.bitmap[point.y - self.y0, point.x - self.x0])

    def parts_at(self, points: Collection[Point]) -> Mask | None:
        """The 8-connected parts that hold one of the points, as one tight mask; None when none does."""
        return union(part for part in self.components() if any(part.holds(point) for point in points))

    def outline(self) -> list[Point]:
        """The outer border of the largest part as pixels in order; empty when the mask is empty."""
        contours, _ = cv2.findContours(self.bitmap.view(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
        if not contours:
            return []
        largest = max(contours, key=cv2.contourArea)
        return [Point(int(x) + self.x0, int(y) + self.y0) for x, y in largest[:, 0, :]]

    def to_coco(self, size: Size) -> dict[str, Any]:
        """COCO compressed RLE of the full image: `{"size": [height, width], "counts": str}`."""
        encoded = coco.encode(np.asfortranarray(self.full(size)))
        return {"size": [size.height, size.width], "counts": encoded["counts"].decode("ascii")}

    @classmethod
    def from_coco(cls, rle: dict[str, Any]) -> Mask | None:
        """Inverse of `to_coco`; None for an empty mask. Only the columns that hold the mask are painted."""
        height, counts = rle["size"][0], rle["counts"]
        raw = counts.encode("ascii") if isinstance(counts, str) else counts
        (plain,) = runs.toUncompressedRLE([{"size": rle["size"], "counts": raw}])
        ends = np.cumsum([0, *plain["counts"]])  # background and mask in turn, column by column
        starts, stops = ends[1:-1:2], ends[2::2]
        filled = stops > starts
        if not filled.any():
            return None
        x0, x1 = int(starts[filled].min()) // height, -(-int(stops[filled].max()) // height)
        lengths = np.diff(np.clip(ends, x0 * height, x1 * height))
        columns = np.repeat(np.arange(len(lengths)) % 2 == 1, lengths).reshape(x1 - x0, height)
        tight = cls.from_full(columns.T)
        return None if tight is None else cls(tight.bitmap, tight.x0 + x0, tight.y0)


def union(masks: Iterable[Mask]) -> Mask | None:
    """All pixels that any of the masks holds; None without masks."""
    parts = list(masks)
    if not parts:
        return None
    frame = parts[0].frame
    for part in parts[1:]:
        frame = frame.union(part.frame)
    bitmap = np.zeros((frame.height, frame.width), np.bool_)
    for part in parts:
        rows, columns = part.frame.shifted(-frame.x0, -frame.y0).slices
        bitmap[rows, columns] |= part.bitmap
    return Mask(bitmap, frame.x0, frame.y0)
