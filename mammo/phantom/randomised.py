"""Randomised phantoms: another detector, processing and texture for every seed.

This is domain randomisation (Tobin et al. 2017). A network that has seen one vendor's noise and sharpness counts
another vendor's ligaments as calcifications. What varies here is everything but the shapes of calcifications.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from mammo.phantom.appearance import Appearance, vendor_a
from mammo.phantom.calcifications import DISTRIBUTIONS, Cluster, sample_cluster
from mammo.phantom.extras import Extras
from mammo.phantom.view import PhantomView, phantom_view

WIDTH, HEIGHT = 1408, 1664
"""Receptor of a randomised view, in pixels: a small breast at native resolution, fast to draw."""

MIN_EXTENT_MM = 2.0
"""Extent of the smallest clusters; those of `sample_cluster` start at 6 mm."""

MIN_CALCIFICATIONS = 4
"""Least number of calcifications of a shrunk cluster. BI-RADS calls five within 1 cm grouped; of those drawn, one may
be too small to show."""


def sample_appearance(rng: np.random.Generator) -> Appearance:
    """Draw noise, its colour, sharpness, grey curve and contrast; the ranges include those of the three vendors."""
    return replace(
        vendor_a(),
        name="randomised",
        black=float(rng.uniform(0.0, 0.35)),
        white=float(rng.uniform(2.4, 3.4)),
        gamma=float(np.exp(rng.uniform(np.log(0.5), np.log(1.8)))),
        noise=float(np.exp(rng.uniform(np.log(0.015), np.log(0.1)))),
        grain=float(rng.uniform(0.0, 0.9)),
        blur=float(rng.uniform(0.4, 1.3)),
        sharpening=float(rng.choice([0.0, rng.uniform(0.1, 1.2)])),
        sharpening_mm=float(rng.uniform(0.2, 0.6)),
        calcification_contrast=float(rng.uniform(0.6, 1.1)),
        hot_pixels=int(rng.integers(0, 30)),
    )


def shrunk(cluster: Cluster, rng: np.random.Generator) -> Cluster:
    """Bring the calcifications of a cluster closer together, to an extent of down to 2 mm, and leave out some of them.

    Their sizes stay.
    """
    scale, chosen = shrinking(2 * cluster.radius_mm, len(cluster.diameters), rng)
    return replace(
        cluster,
        offsets=cluster.offsets[chosen] * scale,
        diameters=cluster.diameters[chosen],
        densities=cluster.densities[chosen],
        seeds=cluster.seeds[chosen],
    )


def shrinking(extent_mm: float, number: int, rng: np.random.Generator) -> tuple[float, npt.NDArray[np.int_]]:
    """Draw the scale that brings a cluster to an extent of down to `MIN_EXTENT_MM`, and the calcifications it keeps.

    Args:
        extent_mm: of the cluster, as large as it is drawn.
        number: of its calcifications.

    Returns:
        The factor on its distances, in (0, 1], and indices below `number`.
    """
    scale = float(rng.uniform(min(1.0, MIN_EXTENT_MM / extent_mm), 1.0))
    kept = max(MIN_CALCIFICATIONS, round(number * min(1.0, 0.4 + scale)))
    return scale, rng.permutation(number)[:kept]


def randomised_view(seed: int, *, clusters: int) -> PhantomView:
    """Draw one view with an appearance of its own; the same seed gives the same pixels.

    Args:
        clusters: how many to draw, of every distribution and from 2 mm on.
    """
    rng = np.random.default_rng([seed, 31])
    drawn = [
        shrunk(sample_cluster(rng, distribution=DISTRIBUTIONS[int(rng.integers(3))]), rng)
        for _ in range(clusters)
    ]
    return phantom_view(
        seed,
        laterality="L" if rng.random() < 0.5 else "R",
        view="CC" if rng.random() < 0.5 else "MLO",
        clusters=drawn,
        appearance=sample_appearance(rng),
        width=WIDTH,
        height=HEIGHT,
        num_distractors=int(rng.integers(0, 9)),
        extras=Extras(ligaments=float(rng.choice([0.0, rng.uniform(0.05, 0.5)]))),
    )
