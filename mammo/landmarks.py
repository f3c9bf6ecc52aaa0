"""Landmarks: nipple and chest wall of a breast in one view, and how far behind the nipple a position lies.

The distance from the nipple is nearly the same in CC and MLO, because both views turn the breast about an axis through
nipple and chest wall. Two forms of it are in use: the straight distance from the nipple (arc: Paquerault et al.,
Medical Physics 29, 2002) and the distance along the line from the nipple to the chest wall (strip: Zheng et al.,
Medical Physics 36, 2009).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, Self

import cv2
import numpy as np
import numpy.typing as npt

from mammo.errors import UnreadableImage
from mammo.geometry import Size, Spacing

SKIN_LINE_MM = 5.0
"""Standard deviation, along the chest wall, of the smoothing of the skin line."""

NIPPLE_REACH_MM = 15.0
"""The nipple is sought this far from the foremost part of the smooth skin line, along the chest wall."""

MIN_BREAST = 8
"""Least number of cells of the breast along each axis."""


@dataclass(frozen=True, kw_only=True)
class Landmarks:
    """Nipple and chest wall of one breast in one view, in pixels of the image."""

    nipple: tuple[float, float]
    """Column and row of its tip."""

    wall: Literal["left", "right"]
    """Edge of the image at which the chest wall lies."""

    spacing: Spacing

    @classmethod
    def of(cls, cells: npt.NDArray[np.bool_], *, size: Size, spacing: Spacing) -> Self:
        """Find the landmarks of a breast.

        Args:
            cells: rows x columns over the whole image, True on the breast; see `mammo.detector.Breast`.
            size: of the image.
            spacing: of the image.

        Raises:
            UnreadableImage: the breast touches neither the left nor the right edge alone, or is too small to have a
                nipple (code `no_chest_wall`).
        """
        num_rows, num_columns = cells.shape
        cell_x, cell_y = size.width / num_columns, size.height / num_rows
        at_left, at_right = (int(cells[:, column].sum()) for column in (0, -1))
        rows = np.flatnonzero(cells.any(axis=1))
        if at_left == at_right or len(rows) < MIN_BREAST or cells.any(axis=0).sum() < MIN_BREAST:
            raise UnreadableImage(
                "expected a breast whose chest wall lies at the left or the right edge of the image; its nipple cannot "
                "be found",
                code="no_chest_wall",
            )
        wall: Literal["left", "right"] = "left" if at_left > at_right else "right"
        from_wall = cells if wall == "left" else cells[:, ::-1]
        reach_mm = _reach(from_wall) * cell_x * spacing.column_mm
        step_mm = cell_y * spacing.row_mm
        row = _nipple_row(reach_mm, step_mm)
        tip = reach_mm[row] / spacing.column_mm
        return cls(
            nipple=(tip if wall == "left" else size.width - tip, (row + 0.5) * cell_y),
            wall=wall,
            spacing=spacing,
        )

    def arc_mm(self, x: float, y: float) -> float:
        """Return the straight distance of a position from the nipple, in mm."""
        return math.hypot(
            (x - self.nipple[0]) * self.spacing.column_mm, (y - self.nipple[1]) * self.spacing.row_mm
        )

    def strip_mm(self, x: float, y: float) -> float:
        """Return the distance of a position behind the nipple, towards the chest wall, in mm; negative before it."""
        towards = self.nipple[0] - x if self.wall == "left" else x - self.nipple[0]
        return towards * self.spacing.column_mm


def _reach(from_wall: npt.NDArray[np.bool_]) -> npt.NDArray[np.float64]:
    """Return for each row of cells how far the breast reaches from the chest wall, in cells; 0 without breast."""
    columns = from_wall.shape[1]
    last = columns - np.argmax(from_wall[:, ::-1], axis=1)
    return np.where(from_wall.any(axis=1), last, 0).astype(np.float64)


def _nipple_row(reach_mm: npt.NDArray[np.float64], step_mm: float) -> int:
    """Return the row at which the skin stands out most, near the foremost part of the smooth skin line."""
    smooth = cv2.GaussianBlur(
        reach_mm.reshape(-1, 1),
        (0, 0),
        sigmaX=1e-3,
        sigmaY=SKIN_LINE_MM / step_mm,
        borderType=cv2.BORDER_REPLICATE,
    ).ravel()
    foremost = int(np.argmax(smooth))
    reach = max(1, round(NIPPLE_REACH_MM / step_mm))
    first, last = max(0, foremost - reach), foremost + reach + 1
    return first + int(np.argmax(reach_mm[first:last] + (reach_mm - smooth)[first:last]))
