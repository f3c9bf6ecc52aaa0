"""Raw detector counts (For Processing), before a vendor's image processing."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from mammo.phantom.anatomy import EQUALISED, Anatomy
from mammo.phantom.texture import Field, upsampled

BITS = 14
AIR_COUNTS = 14_000.0
"""Counts behind air; the detector saturates at 2**BITS - 1."""

COMPRESSED_BREAST = 1.0
"""Log attenuation of a purely fatty breast of full thickness."""

TISSUE = 0.55
"""Log attenuation per unit of the phantom's relative attenuation."""


def detector_counts(
    rng: np.random.Generator, exposed: Field, anatomy: Anatomy, *, width: int, height: int
) -> npt.NDArray[np.uint16]:
    """Draw detector counts by the Beer-Lambert law, I = I0 exp(-mu t), with shot noise.

    Counts are linear in exposure, with air brightest. The thickness equalisation in `exposed` is undone: the breast
    becomes thinner towards its rim.

    Args:
        exposed: relative attenuation with noise; pixels beyond its last column are air.
        width, height: size of the image receptor, in pixels.

    Returns:
        height x width in [0, 2**BITS - 1].
    """
    thickness = upsampled(upsampled(anatomy.thickness))
    log = np.float32(COMPRESSED_BREAST) * thickness
    log += np.float32(TISSUE) * exposed * thickness / (1 - EQUALISED + EQUALISED * thickness)
    counts = np.full((height, width), AIR_COUNTS, np.float32)
    counts[: log.shape[0], : log.shape[1]] *= np.exp(-log)
    counts += np.float32(1.2) * np.sqrt(counts) * rng.standard_normal(counts.shape, dtype=np.float32)
    return np.clip(counts, 0, 2**BITS - 1).astype(np.uint16)
