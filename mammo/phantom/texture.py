"""Random fields that look like tissue."""

from __future__ import annotations

from typing import cast

import cv2
import numpy as np
import numpy.typing as npt
from scipy import fft, ndimage

Field = npt.NDArray[np.float32]


def power_law(
    rng: np.random.Generator, shape: tuple[int, int], *, beta: float, spacing: float, lowest: float = 0.01
) -> Field:
    """A Gaussian field with power spectrum 1 / f**beta, zero mean and unit variance.

    Mammographic texture has beta near 3 (Burgess et al. 2001).

    Args:
        shape: rows, columns.
        spacing: mm per cell.
        lowest: frequency in 1/mm below which the spectrum is flat.
    """
    rows, columns = fft.next_fast_len(shape[0], real=True), fft.next_fast_len(shape[1], real=True)
    spectrum = fft.rfft2(rng.standard_normal((rows, columns), dtype=np.float32))
    down = fft.fftfreq(rows, spacing)[:, None]
    across = fft.rfftfreq(columns, spacing)[None]
    frequency = np.hypot(down, across).astype(np.float32)
    spectrum *= np.maximum(frequency, lowest) ** np.float32(-beta / 2)
    spectrum[0, 0] = 0
    field = fft.irfft2(spectrum, (rows, columns))[: shape[0], : shape[1]]
    return cast(Field, ((field - field.mean()) / field.std()).astype(np.float32))


def doubled(field: Field) -> Field:
    """Twice the resolution, bilinear."""
    rows, columns = field.shape
    return cast(Field, cv2.resize(field, (2 * columns, 2 * rows), interpolation=cv2.INTER_LINEAR))


def looked_up(field: Field, rows: Field, columns: Field) -> Field:
    """Values of a periodic field at real coordinates, bilinear."""
    return cast(Field, ndimage.map_coordinates(field, [rows, columns], order=1, mode="grid-wrap"))


def ridges(field: Field, *, width: float) -> Field:
    """Bright curves along the zero crossings of a field: connective tissue septa. In [0, 1]; width in cells."""
    down, across = np.gradient(field)
    distance = field / (np.hypot(down, across) + np.float32(1e-3))
    return cast(Field, np.exp(-((distance / np.float32(width)) ** 2)))


def difference_of_gaussians(field: Field, *, fine: float, coarse: float) -> Field:
    """Band pass that responds to specks between two sizes (standard deviations in pixels)."""
    return cast(Field, cv2.GaussianBlur(field, (0, 0), fine) - cv2.GaussianBlur(field, (0, 0), coarse))
