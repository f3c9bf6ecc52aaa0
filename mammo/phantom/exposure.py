"""For Processing: what the detector counts before a vendor's processing makes a picture of it."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from mammo.phantom.anatomy import EQUALISED, Anatomy
from mammo.phantom.texture import Field, doubled

BITS = 14
AIR_COUNTS = 14_000.0
"""Behind air; the detector ends at 2**14 - 1."""

COMPRESSED_BREAST = 1.0
"""Log attenuation of a breast of full thickness that holds only fat."""

TISSUE = 0.55
"""Log attenuation per unit of the phantom's relative attenuation."""


def detector_counts(
    rng: np.random.Generator, exposed: Field, anatomy: Anatomy, *, width: int, height: int
) -> npt.NDArray[np.uint16]:
    """Counts, linear in exposure, air brightest: I = I0 exp(-mu t), with shot noise of the electronics.

    The picture for presentation is equalised in thickness; here the breast gets thinner towards its rim again.

    Args:
        exposed: h x w relative attenuation with noise; columns beyond it are air.
        width, height: of the receptor, in pixels.

    Returns:
        height x width in [0, 2**BITS - 1].
    """
    thickness = doubled(doubled(anatomy.thickness))
    log = np.float32(COMPRESSED_BREAST) * thickness
    log += np.float32(TISSUE) * exposed * thickness / (1 - EQUALISED + EQUALISED * thickness)
    counts = np.full((height, width), AIR_COUNTS, np.float32)
    counts[: log.shape[0], : log.shape[1]] *= np.exp(-log)
    counts += np.float32(1.2) * np.sqrt(counts) * rng.standard_normal(counts.shape, dtype=np.float32)
    return np.clip(counts, 0, 2**BITS - 1).astype(np.uint16)
