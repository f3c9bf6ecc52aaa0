from dataclasses import replace

import numpy as np

from cli.demo.expert import correct
from mammo.findings import CLUSTER, Finding
from mammo.geometry import Box
from mammo.masks import Mask


def cluster(x: int, y: int, side: int = 40, *, score: float = 1.0, identity: str = "") -> Finding:
    mask = Mask(np.ones((side, side), np.bool_), x, y)
    return Finding(label=CLUSTER, score=score, box=mask.frame, mask=mask, id=identity)


def test_a_good_prelabel_is_left_alone():
    prelabel = cluster(101, 100, score=0.7, identity="c1")
    assert correct([prelabel], [cluster(100, 100)]) == [prelabel]


def test_a_poor_mask_is_redrawn_under_its_own_id():
    prelabel = cluster(112, 100, score=0.7, identity="c1")
    (corrected,) = correct([prelabel], [cluster(100, 100)])
    assert corrected.id == "c1"
    assert corrected.box == Box(100, 100, 140, 140)


def test_a_prelabel_on_nothing_is_deleted_and_a_missed_cluster_is_added():
    (added,) = correct([cluster(500, 500, identity="c1")], [cluster(100, 100)])
    assert added.id == "expert-1"
    assert added.box == Box(100, 100, 140, 140)


def test_two_prelabels_of_one_cluster_leave_one():
    first = cluster(100, 100, score=0.9, identity="c1")
    assert correct([first, replace(first, score=0.5, id="c2")], [cluster(100, 100)]) == [first]


def test_an_empty_image_stays_empty():
    assert correct([], []) == []
