"""Backgrounds in their own look: clusters come in, and the site's pixels stay what they are."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tests.training.adapt.site import SPACING_MM, background_set
from training.cases import silent
from training.insertion.looks import sample_own_look
from training.insertion.material import MaterialPlan, write_material


def plan(copies: int) -> MaterialPlan:
    return MaterialPlan(
        phantoms=0, film_phantoms=0, digital_copies=0, film_copies=0, own_copies=copies, seed=5
    )


def test_an_own_look_changes_place_and_a_little_of_size_and_greys_only() -> None:
    rng = np.random.default_rng(0)
    looks = [sample_own_look(rng, spacing_mm=0.07, depth=12) for _ in range(200)]
    assert {(each.spacing_mm, each.levels, each.jpeg, each.grain, each.blur_mm) for each in looks} == {
        (0.07, 4096, 0, 0.0, 0.0)
    }
    assert all(0.95 <= each.zoom <= 1.05 and 0.9 < each.gamma < 1.1 for each in looks)
    assert {each.turns for each in looks} == {0, 1, 2, 3}
    assert 0 < sum(each.mirrored for each in looks) < 200


def test_copies_keep_spacing_patient_and_grey_levels_and_most_have_clusters(tmp_path: Path) -> None:
    backgrounds = background_set(tmp_path / "ours", ["a", "b", "c"]).backgrounds
    cases = write_material(tmp_path / "material", plan(4), backgrounds, processes=1, progress=silent)
    assert [case.patient for case in cases] == ["a"] * 4 + ["b"] * 4 + ["c"] * 4
    assert len({case.image for case in cases}) == 12
    assert sum(bool(case.truth) for case in cases) >= 6
    for case in cases:
        mammogram = case.read()
        assert mammogram.spacing is not None
        assert mammogram.spacing.mean_mm == SPACING_MM
        levels = np.unique(np.rint(mammogram.pixels * 255).astype(int))
        assert np.abs(mammogram.pixels * 255 - np.rint(mammogram.pixels * 255)).max() < 0.01
        assert len(levels) <= 256


def test_several_processes_draw_the_same_pixels_as_one(tmp_path: Path) -> None:
    backgrounds = background_set(tmp_path / "ours", ["a", "b"]).backgrounds
    one, two = (
        write_material(tmp_path / f"by-{number}", plan(1), backgrounds, processes=number, progress=silent)
        for number in (1, 2)
    )
    for alone, together in zip(one, two, strict=True):
        assert alone.image == together.image
        np.testing.assert_array_equal(alone.read().pixels, together.read().pixels)
