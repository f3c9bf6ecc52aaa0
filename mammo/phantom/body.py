"""The patient behind the four views of an exam: breast size and glandularity."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

GLANDULARITY = {0.08: 0.12, 0.2: 0.38, 0.4: 0.38, 0.6: 0.12}
"""Fibroglandular share of the breast area for BI-RADS densities a to d, mapped to its prevalence."""

Density = Literal["a", "b", "c", "d"]
DENSITIES: tuple[Density, ...] = ("a", "b", "c", "d")
"""BI-RADS 5th ed.: almost entirely fatty, scattered areas, heterogeneously dense, extremely dense."""


@dataclass(frozen=True, kw_only=True)
class Body:
    """Properties that the four views of one patient share."""

    depth_mm: float
    """Distance from chest wall to nipple under compression, in mm."""

    half_height_mm: float
    """Half the extent along the chest wall, in mm."""

    glandularity: float
    """Fibroglandular share of the breast area, in [0, 1]."""

    @property
    def density(self) -> Density:
        """BI-RADS density: the category with the nearest fibroglandular share."""
        distances = [abs(share - self.glandularity) for share in GLANDULARITY]
        return DENSITIES[distances.index(min(distances))]


def sample_body(rng: np.random.Generator) -> Body:
    """Draw breast size and glandularity; glandularity follows the prevalences in `GLANDULARITY`."""
    shares = np.array(list(GLANDULARITY.values()))
    return Body(
        depth_mm=float(rng.uniform(80, 135)),
        half_height_mm=float(rng.uniform(80, 108)),
        glandularity=float(rng.choice(list(GLANDULARITY), p=shares / shares.sum())),
    )
