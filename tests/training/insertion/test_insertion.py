from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mammo.geometry import Box
from mammo.pixels import Pixels
from training.insertion.insertion import Inserted, InsertionPlan, insert

SPACING_MM = 0.1


def breast(*, noise: float = 0.01) -> Pixels:
    """800 x 600: a breast of noise on the left, air on the right."""
    rng = np.random.default_rng(1)
    pixels = np.zeros((800, 600), np.float32)
    pixels[60:740, :450] = rng.normal(0.4, noise, (680, 450))
    return pixels


def inserted(
    seed: int = 0,
    *,
    avoid: tuple[Box, ...] = (),
    pixels: Pixels | None = None,
    clusters: int = 2,
    benign: int = 0,
) -> Inserted:
    return insert(
        breast() if pixels is None else pixels,
        InsertionPlan(clusters=clusters, benign=benign, blur_mm=0.08),
        spacing_mm=SPACING_MM,
        rng=np.random.default_rng(seed),
        avoid=avoid,
    )


@given(seed=st.integers(0, 10_000))
@settings(deadline=None, max_examples=15)
def test_clusters_lie_in_the_breast_and_apart(seed: int) -> None:
    image = breast()
    result = inserted(seed, pixels=image)
    for finding in result.truth:
        x, y = map(int, finding.box.centre)
        assert image[y, x] > 0
    boxes = [finding.box for finding in result.truth]
    assert all(one.intersection(two) is None for i, one in enumerate(boxes) for two in boxes[:i])


def test_every_calcification_lies_in_the_outline_of_its_cluster() -> None:
    result = inserted(4)
    assert result.truth
    assert result.calcifications
    for speck in result.calcifications:
        outlines = [finding.mask for finding in result.truth if finding.mask]
        assert sum(each.intersection_area(speck) == speck.area for each in outlines) == 1


def test_only_the_surroundings_of_lesions_change() -> None:
    image = breast()
    result = inserted(4, pixels=image)
    changed = np.argwhere(np.abs(result.pixels - np.clip(image, 0, 1)) > 0.02)
    for row, column in changed:
        assert any(
            finding.box.dilated(10).x0 <= column < finding.box.dilated(10).x1
            and finding.box.dilated(10).y0 <= row < finding.box.dilated(10).y1
            for finding in result.truth
        )


def test_contrast_follows_the_noise_of_the_tissue() -> None:
    quiet, noisy = breast(noise=0.004), breast(noise=0.016)
    peaks = [float((inserted(4, pixels=pixels).pixels - pixels).max()) for pixels in (quiet, noisy)]
    assert peaks[1] == pytest.approx(4 * peaks[0], rel=0.2)


def test_nothing_is_inserted_where_it_must_not_be() -> None:
    avoid = Box(0, 0, 600, 500)
    for seed in range(10):
        for finding in inserted(seed, avoid=(avoid,)).truth:
            assert finding.box.intersection(avoid) is None


def test_a_breast_without_a_free_place_stays_as_it_is() -> None:
    image = breast()
    result = inserted(0, avoid=(Box(0, 0, 600, 800),), pixels=image, benign=3)
    assert result.truth == ()
    assert np.array_equal(result.pixels, np.clip(image, 0, 1))


def test_benign_structures_are_no_findings() -> None:
    image = breast()
    result = inserted(2, pixels=image, clusters=0, benign=5)
    assert result.truth == ()
    assert not np.array_equal(result.pixels, np.clip(image, 0, 1))


def test_the_same_seed_gives_the_same_pixels() -> None:
    assert np.array_equal(inserted(7).pixels, inserted(7).pixels)
    assert not np.array_equal(inserted(7).pixels, inserted(8).pixels)
