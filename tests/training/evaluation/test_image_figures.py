from __future__ import annotations

import math

import pytest

from tests.training.evaluation.scored_images import ALL, measured
from training.evaluation.image_figures import size_range


def test_false_positives_are_those_of_normal_images_per_normal_image() -> None:
    figures = measured(*ALL)
    assert (
        figures.false_positives.value == 0.5
    )  # one on two normal images; the one on a positive does not count
    assert figures.false_positives_cm2.value == pytest.approx(1 / 100)
    assert figures.clean.value == 0.5
    assert figures.by_score[0.1].value == 1.5
    assert measured(*ALL, threshold=0.15).false_positives.value == 1.0


def test_without_normals_they_are_those_of_all_images() -> None:
    figures = measured("small", "large", on_normals=False)
    assert figures.false_positives.value == 0.5
    assert figures.false_positives_cm2.value == pytest.approx(1 / 100)
    assert math.isnan(figures.clean.value)


def test_lesions_are_counted_at_the_operating_point_and_at_every_rate() -> None:
    figures = measured(*ALL)
    assert (figures.num_lesions, figures.num_found) == (3, 2)
    assert figures.sensitivity.value == pytest.approx(2 / 3)
    # By score: .9 small, .7 false on a normal image (0.5 per image), .6 large, .3 the third, .2 false, .1 false
    assert figures.found == {0.1: 1, 0.25: 1, 0.5: 3, 1.0: 3, 2.0: 3, 4.0: 3}
    assert figures.froc[0.25].value == pytest.approx(1 / 3)
    assert figures.froc[0.5].low < 1.0
    assert figures.froc[0.5].high == 1.0


def test_the_overlap_of_a_missed_lesion_counts_as_nothing() -> None:
    assert measured(*ALL).iou.value == pytest.approx((1.0 + 0.25 + 0.0) / 3)
    assert measured("small", on_normals=False).iou.value == 1.0


def test_sensitivity_is_broken_down_by_size_in_millimetres() -> None:
    by_size = measured(*ALL).by_size
    assert list(by_size) == ["below 3 mm", "3 to 6 mm", "10 to 20 mm"]
    assert [each.lesions for each in by_size.values()] == [1, 1, 1]
    assert [each.at_operating_point.value for each in by_size.values()] == [1.0, 0.0, 1.0]
    assert [each.at_rate.value for each in by_size.values()] == [1.0, 1.0, 1.0]
    assert [size_range(each) for each in (3.0, 19.9, 20.0)] == [
        "3 to 6 mm",
        "10 to 20 mm",
        "20 mm and more",
    ]


def test_normals_alone_have_a_rate_and_positives_alone_a_sensitivity() -> None:
    normals = measured("clean", "marked")
    assert normals.false_positives.value == 0.5
    assert math.isnan(normals.sensitivity.value)
    assert normals.by_size == {}
    assert measured("small", on_normals=False).sensitivity.value == 1.0


def test_the_ranges_of_size_can_be_chosen() -> None:
    by_size = measured(*ALL, sizes_mm=(4.0, 8.0)).by_size
    assert {name: each.lesions for name, each in by_size.items()} == {
        "below 4 mm": 1,
        "4 to 8 mm": 1,
        "8 mm and more": 1,
    }
