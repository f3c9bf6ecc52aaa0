from dataclasses import replace

import pytest

from mammo.findings import ImageFindings
from mammo.geometry import Box
from tests.training.detections import square
from training.cases import Case, silent
from training.evaluation.presence_point import PresencePoint, presence_point, presence_threshold


class FakePrelabeller:
    """Returns the given findings of each image; a "mammogram" is the image's number here."""

    def __init__(self, found):
        self.found = found

    def prelabel(self, mammogram, *, threshold):
        assert threshold is None, "presence is chosen at the operating point"
        return ImageFindings(findings=tuple(self.found[mammogram]), num_cut=0)


def found(x, presence):
    return replace(square(x, 0), presence=presence)


def cases(count):
    return [
        Case(image=str(n), patient=f"p{n}", read=lambda n=n: n, truth=(square(0, 0),)) for n in range(count)
    ]


def point(images, **more):
    return presence_point(FakePrelabeller(images), cases(len(images)), progress=silent, **more)


def test_the_threshold_lies_at_the_lowest_cluster_that_may_be_lost():
    presences = [n / 100 for n in range(1, 100)]
    assert presence_threshold(presences, keep=0.99) == 0.01
    assert presence_threshold(presences, keep=0.95) == 0.05
    assert presence_threshold(presences[1:], keep=0.99) == 0.0  # 98 clusters cannot promise 99 per cent


def test_hits_choose_the_threshold_and_false_alarms_are_counted_against_it():
    images = [[found(0, 0.5 + n / 100), found(100, n / 10)] for n in range(9)]
    assert point(images, keep=0.8) == PresencePoint(
        threshold=0.51,
        keep=0.8,
        num_clusters=9,
        num_clusters_refused=1,
        num_false=9,
        num_false_refused=6,
    )


def test_no_presence_and_few_clusters_choose_none():
    assert point([[square(0, 0)]] * 60) == PresencePoint(0.0, 0.98, 0, 0, 0, 0)
    assert point([[found(0, 0.7), found(100, 0.1)]] * 48).threshold == 0.0
    assert point([[found(0, 0.7), found(100, 0.1)]] * 49).threshold == 0.7


def test_a_threshold_that_refuses_no_false_detection_is_not_set():
    assert point([[found(0, 0.7), found(100, 0.8)]] * 60) == PresencePoint(0.0, 0.98, 60, 0, 60, 0)


def test_rounding_refuses_no_cluster():
    chosen = point([[found(0, 0.70009), found(100, 0.1)]] * 60)
    assert chosen.threshold == 0.7
    assert chosen.num_clusters_refused == 0


def test_new_clusters_of_the_same_kind_keep_their_mask_as_often_as_promised():
    import numpy as np

    rng = np.random.default_rng(0)
    lost = [
        (rng.beta(5, 1, 200) < presence_threshold(rng.beta(5, 1, 99).tolist(), keep=0.95)).mean()
        for _ in range(300)
    ]
    assert np.mean(lost) == pytest.approx(0.05, abs=0.005)


@pytest.mark.parametrize("keep", [0.0, 1.0, -1.0, float("nan")])
def test_a_share_that_is_none_is_the_callers_mistake(keep):
    with pytest.raises(ValueError, match="between 0 and 1"):
        point([[]], keep=keep)


def test_a_box_elsewhere_is_a_false_alarm():
    assert Box(100, 0, 110, 10) == found(100, 0.1).box
    assert point([[found(100, 0.1)]]).num_false == 1


def test_a_box_where_only_a_place_is_marked_is_neither():
    marked = [replace(each, uncertain=(Box(90, 0, 120, 20),)) for each in cases(1)]
    chosen = presence_point(FakePrelabeller([[found(0, 0.7), found(100, 0.1)]]), marked, progress=silent)
    assert (chosen.num_clusters, chosen.num_false) == (1, 0)
