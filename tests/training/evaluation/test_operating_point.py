from dataclasses import replace

import pytest

from mammo.geometry import Box
from tests.training.detections import at, square
from training.cases import Case, silent
from training.evaluation.operating_point import (
    MAX_THRESHOLD,
    MIN_THRESHOLD,
    operating_threshold,
    threshold_on_normals,
)


class FakeDetector:
    def __init__(self, found, threshold=0.5):
        self.found = found
        self.threshold = threshold

    def detect(self, mammogram, *, threshold):
        threshold = self.threshold if threshold is None else threshold
        return [detection for detection in self.found[mammogram] if detection.score >= threshold]


def cases(count):
    return [Case(image=str(n), patient="p", read=lambda n=n: n, truth=(square(0, 0),)) for n in range(count)]


def threshold(found, *, rate=0.5, like=None):
    detector = FakeDetector(dict(enumerate(found)))
    return operating_threshold(
        detector, cases(len(found)), rate=rate, like=like, default=0.2, progress=silent
    )


def test_the_threshold_is_the_lowest_before_there_are_too_many_false_positives():
    # Hits down to 0.4; of eight images four false positives at 0.1 are allowed, a fifth at 0.09 is not.
    found = [
        [at(5, 5, 0.4 + n / 20)] + ([at(50, 50, 0.1)] if n < 4 else [at(50, 50, 0.09)]) for n in range(8)
    ]
    assert threshold(found) == pytest.approx(0.1)


def test_no_more_false_positives_are_allowed_than_the_champion_has_on_the_same_cases():
    # False positives at 0.8, 0.7 ... in one image each; the champion has two above its operating point of 0.5.
    found = [[at(5, 5, 0.9), at(50, 50, 0.8 - n / 10)] for n in range(5)] + [[at(5, 5, 0.3)]] * 3
    champion = FakeDetector({n: [at(50, 50, 0.5 if n < 2 else 0.4)] for n in range(8)})
    assert threshold(found, like=lambda: champion) == pytest.approx(0.7)
    assert threshold(found) == pytest.approx(0.5)


def test_a_champion_that_finds_nothing_does_not_silence_its_challenger():
    found = [[at(5, 5, 0.9)]] * 18 + [[at(5, 5, 0.3), at(50, 50, 0.5)]] * 2
    mute = FakeDetector(dict.fromkeys(range(20), ()))
    assert threshold(found, like=lambda: mute) == pytest.approx(0.3)


def test_too_few_clusters_keep_the_threshold():
    assert threshold([[at(5, 5, 0.9)]] * 4) == 0.2
    assert threshold([[at(5, 5, 0.9)]] * 4, like=lambda: pytest.fail("nothing is compared")) == 0.2


def test_a_detector_that_finds_nothing_keeps_the_threshold():
    assert threshold([[]] * 8) == 0.2
    assert threshold([[at(50, 50, 0.5)]] * 8) == 0.2  # the first detection is one false positive too many


def test_the_threshold_stays_believable():
    assert threshold([[at(5, 5, 0.011)]] * 8) == MIN_THRESHOLD
    assert threshold([[at(5, 5, 0.999)]] * 8) == MAX_THRESHOLD


def test_what_is_found_where_only_a_place_is_marked_moves_no_threshold():
    found = {n: [at(5, 5, 0.6), at(55, 55, 0.9)] for n in range(8)}
    marked = [replace(each, uncertain=(Box(40, 40, 70, 70),)) for each in cases(8)]
    chosen = [
        operating_threshold(FakeDetector(found), material, rate=0.5, default=0.2, progress=silent)
        for material in (cases(8), marked)
    ]
    assert chosen == [0.2, 0.6]


@pytest.mark.parametrize(("rate", "expected"), [(0.5, 2), (1.0, 4), (0.25, 1), (0.1, 0)])
def test_on_normals_as_many_detections_pass_as_the_rate_allows(rate, expected):
    images = [(0.8, 0.3), (0.6,), (), (0.5, 0.4, 0.2)]
    threshold = threshold_on_normals(images, rate=rate)
    assert sum(score >= threshold for image in images for score in image) == expected


def test_normals_without_a_detection_allow_the_lowest_threshold():
    assert threshold_on_normals([(), ()], rate=0.1) == MIN_THRESHOLD
    assert threshold_on_normals([(0.99, 0.98)], rate=0.0) == MAX_THRESHOLD
