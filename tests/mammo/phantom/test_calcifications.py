from __future__ import annotations

import numpy as np
import pytest

from mammo.masks import Mask
from mammo.phantom.calcifications import MORPHOLOGIES, Morphology, Speck, outline, sample_cluster, thickness


def test_clusters_follow_the_sizes_of_real_ones() -> None:
    rng = np.random.default_rng(0)
    clusters = [sample_cluster(rng) for _ in range(150)]
    diameters = np.concatenate([cluster.diameters for cluster in clusters])
    numbers = [len(cluster.diameters) for cluster in clusters]
    extents = [2 * (cluster.radius_mm - 1.5) for cluster in clusters]
    assert diameters.min() >= 0.1
    assert diameters.max() <= 1.0
    assert 0.25 < np.median(diameters) < 0.35
    assert min(numbers) >= 5
    assert max(numbers) <= 30
    assert 8 < np.median(extents) < 18
    assert {cluster.morphology for cluster in clusters} == set(MORPHOLOGIES)


@pytest.mark.parametrize("morphology", list(MORPHOLOGIES))
def test_a_larger_calcification_covers_more_pixels(morphology: Morphology) -> None:
    def area(diameter: float) -> int:
        shapes = [
            thickness(np.random.default_rng(seed), diameter, morphology, spacing_mm=0.07)
            for seed in range(20)
        ]
        return sum(Speck(shape, 0, 0).mask.area for shape in shapes)

    small, medium, large = area(0.15), area(0.3), area(0.8)
    assert 0 < small < medium < large


def test_thickness_is_a_share_and_ends_before_the_patch_does() -> None:
    for seed in range(30):
        shape = thickness(np.random.default_rng(seed), 0.4, "pleomorphic", spacing_mm=0.07)
        assert shape.min() >= 0
        assert 0.2 < shape.max() <= 1
        assert shape[0].max() == shape[-1].max() == shape[:, 0].max() == shape[:, -1].max() == 0


def test_an_outline_is_convex_and_a_millimetre_wider() -> None:
    dots = [Mask(np.ones((2, 2), np.bool_), x, y) for x, y in ((100, 100), (180, 120), (120, 200))]
    mask = outline(dots, spacing_mm=0.1)
    assert mask.box is not None
    assert mask.box.as_tuple() == (90, 90, 192, 212)
    for row in mask.bitmap:
        columns = np.flatnonzero(row)
        assert np.diff(columns).max(initial=1) == 1  # no hole in any row


def test_a_speck_sits_where_it_is_put() -> None:
    speck = Speck.at(7.0, 3.5, np.ones((10, 10), np.float32), spacing_mm=0.07)
    assert speck.frame.as_tuple() == (45, 95, 55, 105)
    assert speck.shifted(-45, -95).frame.as_tuple() == (0, 0, 10, 10)
