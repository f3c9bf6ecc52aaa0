from __future__ import annotations

import numpy as np
import pytest

from mammo.phantom.randomised import MIN_CALCIFICATIONS
from training.insertion.insertion import draw
from training.insertion.lesions import sample_benign, sample_inserted_cluster


def extents() -> list[float]:
    clusters = [sample_inserted_cluster(np.random.default_rng(seed)) for seed in range(200)]
    return [
        2 * max(float(np.hypot(part.row_mm, part.column_mm)) for part in cluster.parts)
        for cluster in clusters
    ]


def test_clusters_extend_over_2_to_some_22_millimetres() -> None:
    drawn = extents()
    assert min(drawn) < 4
    assert max(drawn) > 12
    assert np.percentile(drawn, 99) < 30


def test_a_cluster_has_at_least_four_calcifications_of_their_natural_size() -> None:
    for seed in range(100):
        cluster = sample_inserted_cluster(np.random.default_rng(seed))
        assert len(cluster.parts) >= MIN_CALCIFICATIONS
        assert all(0.1 <= part.diameter_mm <= 1.0 for part in cluster.parts)


def test_only_film_has_dust_and_hairs() -> None:
    def kinds(*, film: bool) -> set[str]:
        return {sample_benign(np.random.default_rng(seed), film=film).kind for seed in range(200)}

    assert kinds(film=False) == {"single", "coarse", "rim", "vessel"}
    assert kinds(film=True) == kinds(film=False) | {"dust", "hair"}


@pytest.mark.parametrize("spacing_mm", [0.05, 0.07, 0.1, 0.2])
def test_a_lesion_has_the_same_size_in_millimetres_at_every_spacing(spacing_mm: float) -> None:
    cluster = sample_inserted_cluster(np.random.default_rng(3))
    drawing = draw(cluster, spacing_mm=spacing_mm, blur_mm=0.05, sharpening=0.0)
    rows, columns = np.nonzero(drawing.attenuation > 0.2 * drawing.attenuation.max())
    extent = max(np.ptp(rows), np.ptp(columns)) * spacing_mm
    positions = np.array([(part.row_mm, part.column_mm) for part in cluster.parts])
    assert extent == pytest.approx(np.ptp(positions, axis=0).max(), abs=0.9)
