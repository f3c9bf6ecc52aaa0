from __future__ import annotations

import numpy as np

from mammo.phantom import DENSITIES, Appearance, phantom_patient, sample_body

SMALL = Appearance(name="small", width=384, height=512)


def test_four_densities_are_drawn_about_as_often_as_in_screening() -> None:
    drawn = [sample_body(np.random.default_rng(seed)).density for seed in range(600)]
    shares = {density: drawn.count(density) / len(drawn) for density in DENSITIES}
    assert 0.05 < shares["a"] < 0.2
    assert 0.05 < shares["d"] < 0.2
    assert shares["b"] + shares["c"] > 0.65


def test_a_denser_breast_is_brighter_and_says_so() -> None:
    medians = []
    for density in DENSITIES:
        patient = phantom_patient(5, appearance=SMALL, positive=0, density=density)
        assert {view.density for view in patient} == {density}
        medians.append(np.mean([np.median(view.stored[view.stored > 0]) for view in patient]))
    assert medians == sorted(medians)
    assert medians[3] > 1.3 * medians[0]
