"""The phantom against figures measured on real mammograms; ranges are wide, for the sample is small."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from mammo.phantom import Appearance, PhantomView, phantom_view, sample_cluster, vendor_a, vendor_c
from mammo.phantom.texture import difference_of_gaussians

CLUSTERS = [sample_cluster(np.random.default_rng(seed)) for seed in range(300)]


def test_a_cluster_has_as_many_calcifications_as_real_ones() -> None:
    """Real: 8 to 41, median 17, in 11 clusters."""
    numbers = [len(cluster.diameters) for cluster in CLUSTERS]
    assert min(numbers) >= 5
    assert max(numbers) <= 41
    assert 10 <= np.median(numbers) <= 19


def test_calcifications_are_as_large_as_real_ones() -> None:
    """Real, equivalent diameters at 5, 25, 50, 75, 95 %: 0.11, 0.22, 0.31, 0.41, 0.71 mm."""
    diameters = np.concatenate([cluster.diameters for cluster in CLUSTERS])
    percentiles = np.percentile(diameters, (5, 25, 50, 75, 95))
    np.testing.assert_allclose(percentiles, (0.14, 0.22, 0.30, 0.40, 0.61), rtol=0.12)


def test_clusters_are_as_wide_and_as_loose_as_real_ones() -> None:
    """Real: greatest extent 7.4 to 12.8 mm, median 10.9; median distance to the nearest neighbour 0.7 to 1.6 mm."""
    extents, neighbours = [], []
    for cluster in CLUSTERS:
        seen = np.stack([cluster.rows("CC"), cluster.columns], 1)
        distances = np.hypot(*(seen[:, None] - seen[None]).transpose(2, 0, 1))
        extents.append(distances.max())
        neighbours.append(np.median((distances + 99 * np.eye(len(seen))).min(axis=1)))
    assert 8.5 <= np.median(extents) <= 12.5
    assert np.percentile(extents, 5) > 4
    assert np.percentile(extents, 95) < 19
    assert 0.7 <= np.median(neighbours) <= 1.6


@pytest.fixture(scope="module", params=[vendor_a, vendor_c], ids=lambda vendor: vendor.__name__)
def views(request: pytest.FixtureRequest) -> list[PhantomView]:
    vendor: Callable[[], Appearance] = request.param
    return [
        phantom_view(
            seed, view="MLO" if seed % 2 else "CC", clusters=0, num_distractors=0, appearance=vendor()
        )
        for seed in range(3)
    ]


def test_grey_levels_lie_where_those_of_processed_mammograms_lie(views: list[PhantomView]) -> None:
    """Real, 12 bit, at 10, 50, 90, 99 %: 576-596, 988-1009, 2056-2078, 2943-2993."""
    percentiles = np.mean(
        [np.percentile(view.stored[view.stored > 0], (10, 50, 90, 99)) for view in views], axis=0
    )
    low, high = (150, 650, 1300, 2100), (1200, 1850, 2550, 3300)
    assert (percentiles > low).all(), percentiles
    assert (percentiles < high).all(), percentiles


def test_specks_have_to_stand_out_of_as_much_texture_as_in_real_mammograms(views: list[PhantomView]) -> None:
    """Real: standard deviation 97 to 105 of 4096 behind a band pass of 1.2 and 4 pixels."""
    for view in views:
        patch = middle(view)
        deviation = difference_of_gaussians(patch, fine=1.2, coarse=4).std()
        assert 75 < deviation < 145


def test_texture_falls_off_like_that_of_breasts(views: list[PhantomView]) -> None:
    """Real: exponent 2.71 to 2.89 between 0.2 and 1.2 per mm; white noise would have 0."""
    slopes = [exponent(middle(view), view.spacing_mm, 0.2, 1.2) for view in views]
    assert 1.6 < np.mean(slopes) < 3.2, slopes
    fine = [exponent(middle(view), view.spacing_mm, 1.5, 4) for view in views]
    assert 1.2 < np.mean(fine) < 2.7, fine


def middle(view: PhantomView) -> npt.NDArray[np.float32]:
    """The 512 x 512 pixels that lie deepest inside the breast."""
    inside = np.pad((view.stored[::8, ::8] > 0).astype(np.uint8), 1)
    depth = cv2.distanceTransform(inside, cv2.DIST_C, 3)[1:-1, 1:-1]
    row, column = (8 * int(v) for v in np.unravel_index(int(depth.argmax()), depth.shape))
    y, x = np.clip(row - 256, 0, view.size.height - 512), np.clip(column - 256, 0, view.size.width - 512)
    patch = view.stored[y : y + 512, x : x + 512].astype(np.float32)
    assert (patch > 0).mean() > 0.98
    return patch


def exponent(patch: npt.NDArray[np.float32], spacing: float, low: float, high: float) -> float:
    """Of the radial power spectrum between two frequencies in 1/mm."""
    window = np.outer(np.hanning(512), np.hanning(512))
    power = np.abs(np.fft.rfft2((patch - patch.mean()) * window)) ** 2
    frequency = np.hypot(np.fft.fftfreq(512, spacing)[:, None], np.fft.rfftfreq(512, spacing)[None])
    edges = np.geomspace(low, high, 9)
    means = [np.log(power[(frequency >= a) & (frequency < b)].mean()) for a, b in pairwise(edges)]
    return -float(np.polyfit(np.log(np.sqrt(edges[1:] * edges[:-1])), means, 1)[0])
