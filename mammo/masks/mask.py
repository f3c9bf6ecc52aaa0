"""Mask: the pixels of one finding, as an ROI-sized bitmap with its offset in the image.

A full-field mammogram has 8 to 14 million pixels and a cluster a few thousand, so a full-size array is only built by
the methods whose names say so (`full`, `paste`, `to_coco`).
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

from mammo.geometry import MAX_PIXELS, MAX_SIDE, Box, Point, Size
from mammo.masks.budget import PixelBudget

Bitmap = npt.NDArray[np.bool_]
Positions = npt.NDArray[np.int64]

LARGE = 2**22
"""Pixels from which labels of components are as small as possible."""

MAX_SHORT = 2**16 - 2 * MAX_SIDE
"""Runs inside the rows of a bitmap up to which two bytes suffice: each row may begin with another one."""


@dataclass(frozen=True, eq=False)
class Mask:
    """A set of pixels: `bitmap` (h x w, bool) with its top-left corner at column `x0`, row `y0` of the image."""

    bitmap: Bitmap
    x0: int
    y0: int

    def __post_init__(self) -> None:
        if self.bitmap.ndim != 2 or self.bitmap.dtype != np.bool_ or not self.bitmap.size:
            raise ValueError(
                f"expected a non-empty 2-D bool array, got {self.bitmap.dtype} of shape {self.bitmap.shape}"
            )

    @classmethod
    def from_full(cls, full: npt.NDArray[Any], *, box: Box | None = None) -> Mask | None:
        """Crop the tight mask out of a full-size array; None when no pixel is set.

        Args:
            full: H x W, any integer or bool dtype; non-zero is set.
            box: restricts the search to these pixels, which lie inside the image.
        """
        rows, columns = (box or Box(0, 0, full.shape[1], full.shape[0])).slices
        return cls(np.asarray(full[rows, columns]) != 0, columns.start, rows.start).tight()

    @classmethod
    def from_runs(
        cls,
        starts: Positions,
        ends: Positions,
        *,
        size: Size,
        by_columns: bool = False,
        budget: PixelBudget | None = None,
    ) -> Mask | None:
        """Return the tight mask of runs of set pixels; None when there are none. Memory: the smallest rectangle.

        Args:
            starts: first pixel of each run, ascending; pixels are numbered row by row.
            ends: pixel after each run; runs do not overlap.
            size: of the image.
            by_columns: pixels are numbered column by column.
            budget: what the pixels of the rectangle are counted in, before it is made.

        Raises:
            InvalidRegion: the budget is spent.
        """
        filled = ends > starts
        starts, ends = starts[filled], ends[filled]
        if not starts.size:
            return None
        length = size.height if by_columns else size.width
        lines = starts // length
        first, last = int(lines[0]), int(ends[-1] - 1) // length + 1
        begins, stops = starts - lines * length, ends - lines * length
        # A run that continues in the next line reaches both ends of a line.
        low, high = (0, length) if int(stops.max()) > length else (int(begins.min()), int(stops.max()))
        if budget is not None:
            budget.spend((last - first) * (high - low))
        bitmap = np.zeros((last - first, high - low), np.bool_)
        offsets = (lines - first) * (high - low) + begins - low
        _fill(bitmap.reshape(-1), offsets, offsets + ends - starts)
        return cls(np.ascontiguousarray(bitmap.T), first, low) if by_columns else cls(bitmap, low, first)

    @property
    def frame(self) -> Box:
        """The rectangle of the bitmap, which set pixels need not touch."""
        return Box(self.x0, self.y0, self.x0 + self.bitmap.shape[1], self.y0 + self.bitmap.shape[0])

    @property
    def area(self) -> int:
        """Number of set pixels."""
        return int(np.count_nonzero(self.bitmap))

    @property
    def num_edges(self) -> int:
        """Number of pixel edges between set and unset pixels, also at the border of the bitmap."""
        across = np.count_nonzero(self.bitmap[:, 1:] != self.bitmap[:, :-1])
        down = np.count_nonzero(self.bitmap[1:] != self.bitmap[:-1])
        border = sum(map(np.count_nonzero, (*self.bitmap[[0, -1]], *self.bitmap[:, [0, -1]].T)))
        return int(across) + int(down) + int(border)

    @property
    def box(self) -> Box | None:
        """The bounding box of the set pixels; None when no pixel is set."""
        tight = self.tight()
        return tight.frame if tight else None

    def tight(self) -> Mask | None:
        """Return the same pixels in the smallest bitmap; None when no pixel is set."""
        rows = np.flatnonzero(self.bitmap.any(axis=1))
        if not rows.size:
            return None
        columns = np.flatnonzero(self.bitmap[rows[0] : rows[-1] + 1].any(axis=0))
        cut = self.bitmap[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        return Mask(np.ascontiguousarray(cut), self.x0 + int(columns[0]), self.y0 + int(rows[0]))

    def within(self, box: Box) -> Mask | None:
        """Return the tight part of the mask inside a box; None when no pixel is set there."""
        common = self.frame.intersection(box)
        if common is None:
            return None
        rows, columns = common.shifted(-self.x0, -self.y0).slices
        return Mask(self.bitmap[rows, columns], common.x0, common.y0).tight()

    def paste(self, full: npt.NDArray[Any], value: int = 1) -> None:
        """Set the mask's pixels to `value` in an H x W array of the image, in place; pixels outside it are ignored."""
        common = self.frame.intersection(Box(0, 0, full.shape[1], full.shape[0]))
        if common is None:
            return
        rows, columns = common.shifted(-self.x0, -self.y0).slices
        full[common.slices][self.bitmap[rows, columns]] = value

    def full(self, size: Size) -> npt.NDArray[np.uint8]:
        """Return the full-size array: H x W uint8, 1 where set."""
        full = np.zeros((size.height, size.width), np.uint8)
        self.paste(full)
        return full

    def intersection_area(self, other: Mask) -> int:
        """Return the number of pixels that are set in both masks."""
        common = self.frame.intersection(other.frame)
        if common is None:
            return 0
        mine = self.bitmap[common.shifted(-self.x0, -self.y0).slices]
        theirs = other.bitmap[common.shifted(-other.x0, -other.y0).slices]
        return int(np.count_nonzero(mine & theirs))

    def dice(self, other: Mask) -> float:
        """Return the Dice coefficient 2 |A ∩ B| / (|A| + |B|), in [0, 1]; 1 when both are empty."""
        total = self.area + other.area
        return 2 * self.intersection_area(other) / total if total else 1.0

    def iou(self, other: Mask) -> float:
        """Return the intersection over union |A ∩ B| / |A ∪ B|, in [0, 1]; 1 when both are empty."""
        intersection = self.intersection_area(other)
        union_area = self.area + other.area - intersection
        return intersection / union_area if union_area else 1.0

    def components(self, *, max_parts: int | None = None) -> list[Mask]:
        """Return the 8-connected components, each tight, largest first.

        Raises:
            ValueError: there are more than `max_parts`, or parts that lie within each other are larger than
                `MAX_PIXELS` in all.
        """
        count, labels, stats, _ = cv2.connectedComponentsWithStats(
            self.bitmap.view(np.uint8), connectivity=8, ltype=_label_type(self.bitmap)
        )
        if max_parts is not None and count - 1 > max_parts:
            raise ValueError(f"expected at most {max_parts} separate parts, got {count - 1}")
        if (
            sum(int(width) * int(height) for _, _, width, height, _ in stats[1:])
            > MAX_PIXELS + self.bitmap.size
        ):
            raise ValueError("expected separate parts side by side, got many that enclose each other")
        parts = []
        for index in range(1, count):
            x, y, width, height, area = (int(v) for v in stats[index])
            bitmap = labels[y : y + height, x : x + width] == index
            parts.append((area, Mask(bitmap, self.x0 + x, self.y0 + y)))
        return [part for _, part in sorted(parts, key=lambda item: -item[0])]

    def holds(self, point: Point) -> bool:
        """Whether a pixel, in image coordinates, is set."""
        return self.frame.contains(point) and bool(self.bitmap[point.y - self.y0, point.x - self.x0])

    def parts_at(self, points: Collection[Point]) -> Mask | None:
        """Return the 8-connected components that hold a point, as one tight mask; None when there are none."""
        return union(part for part in self.components() if any(part.holds(point) for point in points))

    def outline(self) -> list[Point]:
        """Return the outer border pixels of the largest component, in order; empty when no pixel is set."""
        contours, _ = cv2.findContours(self.bitmap.view(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
        if not contours:
            return []
        largest = max(contours, key=cv2.contourArea)
        return [Point(int(x) + self.x0, int(y) + self.y0) for x, y in largest[:, 0, :]]

    def to_coco(self, size: Size) -> dict[str, Any]:
        """Return the COCO compressed RLE of the full image: `{"size": [height, width], "counts": str}`."""
        encoded = coco.encode(np.asfortranarray(self.full(size)))
        return {"size": [size.height, size.width], "counts": encoded["counts"].decode("ascii")}

    @classmethod
    def from_coco(cls, rle: dict[str, Any]) -> Mask | None:
        """Decode a COCO compressed RLE of this service; None when no pixel is set."""
        (height, width), counts = rle["size"], rle["counts"]
        raw = counts.encode("ascii") if isinstance(counts, str) else counts
        (uncompressed,) = runs.toUncompressedRLE([{"size": rle["size"], "counts": raw}])
        ends = np.cumsum([0, *uncompressed["counts"]])  # background and mask runs alternate
        return cls.from_runs(ends[1:-1:2], ends[2::2], size=Size(width, height), by_columns=True)


def _label_type(bitmap: Bitmap) -> int:
    """Return OpenCV's type of labels: of two bytes for a large bitmap, if it has too few runs to need more labels."""
    if bitmap.size < LARGE:
        return cv2.CV_32S
    begun_inside = np.count_nonzero(bitmap[:, 1:] > bitmap[:, :-1])
    return cv2.CV_16U if begun_inside < MAX_SHORT else cv2.CV_32S


def _fill(line: Bitmap, starts: Positions, ends: Positions) -> None:
    """Set half-open runs of a flat array, in place; they do not overlap."""
    if starts.size < 5000:
        for start, end in zip(starts.tolist(), ends.tolist(), strict=True):
            line[start:end] = True
        return
    edges = np.zeros(line.size + 1, np.int8)
    # Runs do not overlap, so no position occurs twice among the starts, nor among the ends.
    edges[starts] += 1
    edges[ends] -= 1
    np.cumsum(edges, dtype=np.int8, out=edges)
    line[:] = edges[:-1]


def union(masks: Iterable[Mask]) -> Mask | None:
    """Return the union of the masks, in the frame that covers them; None without masks."""
    parts = list(masks)
    if len(parts) < 2:
        return parts[0] if parts else None
    frame = parts[0].frame
    for part in parts[1:]:
        frame = frame.union(part.frame)
    bitmap = np.zeros((frame.height, frame.width), np.bool_)
    for part in parts:
        rows, columns = part.frame.shifted(-frame.x0, -frame.y0).slices
        bitmap[rows, columns] |= part.bitmap
    return Mask(bitmap, frame.x0, frame.y0)
