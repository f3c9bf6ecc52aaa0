"""The pixels of a mammogram as every stage reads them."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from mammo.geometry import Size

Pixels = npt.NDArray[np.float32]
"""H x W, float32 in [0, 1], dense tissue bright."""


def size_of(pixels: Pixels) -> Size:
    """Return the width and height of an H x W image."""
    height, width = pixels.shape
    return Size(width, height)
