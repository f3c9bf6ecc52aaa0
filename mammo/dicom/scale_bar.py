"""The scale bar of a display twin: a ruler in the air beside the breast, with the twin's own pixels as its unit.

It is part of the picture, so that it stays true at every zoom; the page has no such place for one. Size and pixel grid
of the twin are unchanged, tissue is never covered, and the networks read the DICOM file, which has none.
"""

from __future__ import annotations

from collections.abc import Iterator

import cv2
import numpy as np
import numpy.typing as npt

from mammo.geometry import Spacing

LENGTHS_MM = (50, 20)
"""Lengths of the bar, longest first; the first that finds a place is drawn. Below 20 mm, its name is longer than it."""

TICK_MM = 10
"""Distance between two ticks."""

MAX_AIR = 24
"""Largest grey level of air, of 255."""

GREY = 200

MARGIN_MM, TICK_LENGTH_MM, LINE_MM, TEXT_MM = 3.0, 3.0, 0.6, 5.0
"""Distance from the edges of the image, length of a tick, thickness, height of the letters."""

FONT = cv2.FONT_HERSHEY_SIMPLEX


def with_scale_bar(twin: npt.NDArray[np.uint8], spacing: Spacing | None) -> npt.NDArray[np.uint8]:
    """Return a twin with a vertical scale bar in one of its corners.

    Args:
        twin: H x W grey levels, dense tissue bright. It is not changed.
        spacing: of its pixels; None if unknown.

    Returns:
        H x W; the twin itself without a spacing, or when no corner has enough air.
    """
    if spacing is None:
        return twin
    for length in LENGTHS_MM:
        bar = _bar(length, spacing)
        for rows, columns in _corners(twin.shape, bar.shape, margin=spacing.pixels(MARGIN_MM)):
            if twin[rows, columns].max() <= MAX_AIR:
                drawn = twin.copy()
                np.maximum(drawn[rows, columns], bar, out=drawn[rows, columns])
                return drawn
    return twin


def _bar(length: int, spacing: Spacing) -> npt.NDArray[np.uint8]:
    """Return the picture of a bar of some millimetres: its name at the left, a line with ticks at the right."""
    line, tick = spacing.pixels(LINE_MM), spacing.pixels(TICK_LENGTH_MM)
    end = round(length / spacing.row_mm)
    name = _name(f"{length} mm", height=spacing.pixels(TEXT_MM), thickness=line)
    height = max(end + line, name.shape[0])
    bar = np.zeros((height, name.shape[1] + line + tick), np.uint8)
    top = (height - name.shape[0]) // 2
    bar[top : top + name.shape[0], : name.shape[1]] = name
    bar[: end + line, -line:] = GREY
    for mark in range(0, length + 1, TICK_MM):
        row = round(mark / spacing.row_mm)
        bar[row : row + line, -tick:] = GREY
    return bar


def _name(text: str, *, height: int, thickness: int) -> npt.NDArray[np.uint8]:
    """Return a text that reads upwards."""
    scale = height / cv2.getTextSize(text, FONT, 1.0, 1)[0][1]
    (width, above), below = cv2.getTextSize(text, FONT, scale, thickness)
    picture = np.zeros((above + below + thickness, width + thickness), np.uint8)
    cv2.putText(picture, text, (0, above + thickness // 2), FONT, scale, GREY, thickness, cv2.LINE_AA)
    return np.ascontiguousarray(np.rot90(picture))


def _corners(whole: tuple[int, ...], part: tuple[int, ...], *, margin: int) -> Iterator[tuple[slice, slice]]:
    """Yield where a part fits into the corners of an image, the lower ones first; nothing if it is too large."""
    (height, width), (rows, columns) = whole, part
    if rows + 2 * margin > height or columns + 2 * margin > width:
        return
    for top in (height - margin - rows, margin):
        for left in (width - margin - columns, margin):
            yield slice(top, top + rows), slice(left, left + columns)
