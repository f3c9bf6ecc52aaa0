import math

import pytest

from training.metrics import Counts, Hits

IMAGES = [
    Hits((0.9, 0.6, 0.3), (True, False, True), 3),  # lesions: 2 of 3 found
    Hits((0.5,), (False,), 1),  # a lesion missed, a false alarm elsewhere
    Hits((0.7,), (False,), 0),  # a normal image called positive
    Hits((0.1,), (False,), 0),  # a normal image, rightly left alone
]


def figures_at(images, threshold):
    return Counts.of(images, threshold).figures()


def test_a_worked_example():
    figures = figures_at(IMAGES, 0.3)
    assert figures.sensitivity == pytest.approx(2 / 4)
    assert figures.precision == pytest.approx(2 / 5)
    assert figures.f1 == pytest.approx(2 * 0.4 * 0.5 / 0.9)
    assert figures.false_positives == pytest.approx(3 / 4)
    assert figures.image_sensitivity == 1.0
    assert figures.image_fpr == pytest.approx(1 / 2)
    assert figures.image_accuracy == pytest.approx(3 / 4)


def test_a_detection_at_the_threshold_counts():
    assert figures_at(IMAGES, 0.9).sensitivity == pytest.approx(1 / 4)
    assert figures_at(IMAGES, 0.91).sensitivity == 0.0


def test_figures_that_do_not_exist_are_no_numbers():
    nothing = figures_at([Hits((), (), 0)], 0.5)
    assert math.isnan(nothing.sensitivity)
    assert math.isnan(nothing.precision)
    assert (nothing.image_fpr, nothing.image_accuracy) == (0.0, 1.0)


def test_a_weight_is_a_number_of_copies():
    import numpy as np

    weights = np.array([2.0, 0.0, 1.0, 3.0])
    copies = [IMAGES[0], IMAGES[0], IMAGES[2], IMAGES[3], IMAGES[3], IMAGES[3]]
    assert Counts.of(IMAGES, 0.3).figures(weights) == figures_at(copies, 0.3)


def test_an_image_of_which_nobody_knows_whether_it_holds_a_lesion_is_in_no_figure_by_image():
    before = figures_at(IMAGES, 0.3)
    after = figures_at([*IMAGES, Hits((0.8,), (False,), 0, undecided=True)], 0.3)
    by_image = ("image_sensitivity", "image_fpr", "image_accuracy")
    assert [getattr(after, name) for name in by_image] == [getattr(before, name) for name in by_image]
    assert after.false_positives == pytest.approx(4 / 5), "a false alarm elsewhere in it is one"
