"""Random fields that resemble breast tissue."""

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
    """Draw a Gaussian random field with power spectrum 1 / f**beta, zero mean and unit variance.

    Mammographic texture has beta near 3 (Burgess et al. 2001).

    Args:
        shape: rows and columns of the result.
        beta: exponent of the power spectrum.
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


def upsampled(field: Field) -> Field:
    """H x W -> 2H x 2W, by bilinear interpolation."""
    rows, columns = field.shape
    return cast(Field, cv2.resize(field, (2 * columns, 2 * rows), interpolation=cv2.INTER_LINEAR))


def sample_periodic(field: Field, rows: Field, columns: Field) -> Field:
    """Sample a periodic field at real coordinates, by bilinear interpolation."""
    return cast(Field, ndimage.map_coordinates(field, [rows, columns], order=1, mode="grid-wrap"))


def ridges(field: Field, *, width: float) -> Field:
    """Bright curves along the zero crossings of a field, in [0, 1]: connective tissue septa. `width` is in cells."""
    down, across = np.gradient(field)
    distance = field / (np.hypot(down, across) + np.float32(1e-3))
    return cast(Field, np.exp(-((distance / np.float32(width)) ** 2)))


def difference_of_gaussians(field: Field, *, fine: float, coarse: float) -> Field:
    """Band-pass filter for specks between two sizes; `fine` and `coarse` are standard deviations in pixels."""
    return cast(Field, cv2.GaussianBlur(field, (0, 0), fine) - cv2.GaussianBlur(field, (0, 0), coarse))
