"""The woman behind the four views: size and glandularity of her breasts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

GLANDULARITY = {0.08: 0.12, 0.2: 0.38, 0.4: 0.38, 0.6: 0.12}
"""Fibroglandular share of the breast area for BI-RADS density a to d, and how common each is."""

Density = Literal["a", "b", "c", "d"]
DENSITIES: tuple[Density, ...] = ("a", "b", "c", "d")
"""BI-RADS 5th ed.: almost entirely fatty, scattered areas, heterogeneously dense, extremely dense."""


@dataclass(frozen=True, kw_only=True)
class Body:
    """What the four views of one woman share."""

    depth_mm: float
    """Chest wall to nipple, compressed."""

    half_height_mm: float
    """Half the extent along the chest wall."""

    glandularity: float
    """Share of the breast area that is fibroglandular."""

    @property
    def density(self) -> Density:
        """BI-RADS density: the category whose share is nearest."""
        distances = [abs(share - self.glandularity) for share in GLANDULARITY]
        return DENSITIES[distances.index(min(distances))]


def sample_body(rng: np.random.Generator) -> Body:
    """Draw a woman."""
    shares = np.array(list(GLANDULARITY.values()))
    return Body(
        depth_mm=float(rng.uniform(80, 135)),
        half_height_mm=float(rng.uniform(80, 108)),
        glandularity=float(rng.choice(list(GLANDULARITY), p=shares / shares.sum())),
    )
