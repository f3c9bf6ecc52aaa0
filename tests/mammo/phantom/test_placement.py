from __future__ import annotations

import numpy as np
import pytest

from mammo.geometry import Box
from mammo.phantom import sample_body, sample_cluster, vendor_a
from mammo.phantom.anatomy import Anatomy, draw_anatomy
from mammo.phantom.calcifications import Speck
from mammo.phantom.placement import MIN_SNR, add_cluster, add_specks, distance_to_box, place_cluster
from mammo.phantom.texture import difference_of_gaussians


@pytest.fixture(scope="module")
def anatomy() -> Anatomy:
    rng = np.random.default_rng(0)
    return draw_anatomy(rng, sample_body(rng), "CC", width=1024, height=1280, spacing_mm=0.07)


def test_a_cluster_is_placed_only_where_it_has_clearance(anatomy: Anatomy) -> None:
    cluster = sample_cluster(np.random.default_rng(1))
    free = np.full(anatomy.clearance_mm.shape, -1, np.float32)
    free[150:160, 80:90] = 30
    for speck in place_cluster(cluster, anatomy, free, "CC"):
        x, y = speck.frame.centre
        assert np.hypot(x - 85 * 4, y - 155 * 4) * 0.07 < cluster.radius_mm + 2


def test_a_cluster_is_squeezed_into_a_narrow_place_and_left_out_of_none(anatomy: Anatomy) -> None:
    cluster = sample_cluster(np.random.default_rng(1))
    narrow = np.where(anatomy.clearance_mm > 10, np.float32(3), np.float32(-1))
    specks = place_cluster(cluster, anatomy, narrow, "CC")
    centres = np.array([speck.frame.centre for speck in specks]) * 0.07
    assert len(specks) == len(cluster.diameters)
    assert np.ptp(centres, axis=0).max() <= 2 * 3
    assert place_cluster(cluster, anatomy, np.full_like(narrow, 1), "CC") == []


def test_a_faint_cluster_is_made_visible_and_a_bright_one_left_alone() -> None:
    noise = np.random.default_rng(0).normal(0, 0.1, (300, 300)).astype(np.float32)
    bump = np.exp(-(np.hypot(*np.mgrid[-6:7, -6:7]) ** 2) / 8).astype(np.float32)

    def peak(contrast: float) -> float:
        attenuation = np.ones((300, 300), np.float32)
        specks = [Speck(contrast * bump, 100 + 20 * i, 150) for i in range(5)]
        add_cluster(attenuation, noise, specks, vendor_a(), spacing_mm=0.07)
        return float(attenuation.max() - 1)

    assert peak(0.02) == pytest.approx(peak(0.01), rel=0.01)
    assert peak(4.0) == pytest.approx(2 * peak(2.0), rel=0.01)
    band = difference_of_gaussians(noise, fine=0.085 / 0.07, coarse=0.28 / 0.07).std()
    assert peak(0.01) > MIN_SNR * band


def test_a_speck_at_the_border_is_cut_and_one_outside_ignored() -> None:
    attenuation = np.zeros((50, 50), np.float32)
    patch = np.ones((9, 9), np.float32)
    add_specks(attenuation, [Speck(patch, -4, 20), Speck(patch, 60, 60)], vendor_a())
    assert attenuation[20:29, :5].min() > 0.2
    assert attenuation[:, 6:].max() == 0


def test_the_distance_to_a_box_is_in_millimetres(anatomy: Anatomy) -> None:
    distance = distance_to_box(anatomy.clearance_mm.shape, Box(40, 40, 80, 80), 0.28)
    assert (distance[10:20, 10:20] == -2).all()
    assert distance[15, 40] == pytest.approx(21 * 0.28 - 2, abs=0.01)
