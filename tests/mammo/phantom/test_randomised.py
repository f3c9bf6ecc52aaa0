from __future__ import annotations

import numpy as np
import pytest

from mammo.phantom import PhantomView, sample_cluster
from mammo.phantom.randomised import MIN_CALCIFICATIONS, randomised_view, sample_appearance, shrunk


@pytest.fixture(scope="module")
def views() -> list[PhantomView]:
    return [randomised_view(seed, clusters=2) for seed in range(900_100, 900_106)]


def test_every_seed_has_an_appearance_of_its_own_and_always_the_same(views: list[PhantomView]) -> None:
    assert len({view.appearance for view in views}) == len(views)
    again = randomised_view(900_100, clusters=2)
    assert np.array_equal(again.stored, views[0].stored)
    assert again.appearance == views[0].appearance


def test_appearances_reach_beyond_the_vendors() -> None:
    drawn = [sample_appearance(np.random.default_rng(seed)) for seed in range(300)]
    assert min(each.noise for each in drawn) < 0.045 < 0.085 < max(each.noise for each in drawn)
    assert min(each.gamma for each in drawn) < 0.6 < 1.6 < max(each.gamma for each in drawn)


def test_clusters_come_closer_together_and_their_calcifications_keep_their_size() -> None:
    for seed in range(50):
        rng = np.random.default_rng(seed)
        cluster = sample_cluster(rng)
        small = shrunk(cluster, rng)
        assert small.radius_mm <= cluster.radius_mm
        assert len(small.diameters) >= MIN_CALCIFICATIONS
        assert set(small.diameters) <= set(cluster.diameters)


def test_the_truth_lies_in_the_breast(views: list[PhantomView]) -> None:
    assert sum(len(view.truth) for view in views) >= 10
    for view in views:
        for finding in view.truth:
            assert (view.stored[finding.box.slices] > 0).mean() > 0.9
