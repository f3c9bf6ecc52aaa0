import contextlib
import io
import math

import numpy as np
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from mammo.geometry import Box
from tests.training.detections import Found
from training.metrics import average_precision
from training.metrics.average_precision import as_coco

LESION = Box(100, 100, 140, 140)


def random_images(seed):
    rng = np.random.default_rng(seed)
    images = []
    for _ in range(12):
        truth = []
        for x, y in rng.integers(0, 400, (rng.integers(0, 4), 2)):
            truth.append(
                Box(int(x), int(y), int(x) + int(rng.integers(10, 90)), int(y) + int(rng.integers(10, 90)))
            )
        found = [
            Found(box.shifted(*map(int, rng.integers(-12, 13, 2))), float(rng.uniform(0.2, 1)))
            for box in truth
        ]
        found += [
            Found(Box(int(x), int(y), int(x) + 40, int(y) + 30), float(rng.uniform(0, 0.8)))
            for x, y in rng.integers(0, 400, (rng.integers(0, 5), 2))
        ]
        images.append((found, truth))
    return images


@pytest.mark.parametrize("seed", range(5))
def test_it_is_what_pycocotools_says(seed):
    images = random_images(seed)
    truth, found = as_coco(images)
    with contextlib.redirect_stdout(io.StringIO()):
        dataset = COCO()
        dataset.dataset = truth
        dataset.createIndex()
        reference = COCOeval(dataset, dataset.loadRes(found), "bbox")
        reference.evaluate()
        reference.accumulate()
        reference.summarize()
    ours = average_precision(images)
    assert 0 < ours.ap50_95 < ours.ap50 < 1
    assert ours.ap50_95 == pytest.approx(reference.stats[0], abs=1e-9)
    assert ours.ap50 == pytest.approx(reference.stats[1], abs=1e-9)


def test_a_perfect_detector_has_one_and_a_false_alarm_above_it_costs():
    assert average_precision([([Found(LESION, 0.9)], [LESION])]).ap50_95 == pytest.approx(1.0)
    below = [([Found(LESION, 0.9), Found(Box(0, 0, 9, 9), 0.5)], [LESION])]
    above = [([Found(LESION, 0.9), Found(Box(0, 0, 9, 9), 0.95)], [LESION])]
    assert average_precision(below).ap50 == pytest.approx(1.0)
    assert average_precision(above).ap50 == pytest.approx(0.5)


def test_half_overlapping_boxes_count_at_the_first_step_only():
    found = average_precision([([Found(Box(100, 100, 120, 140), 0.9)], [LESION])])
    assert (found.ap50, found.ap50_95) == pytest.approx((1.0, 0.1))


def test_nothing_found_is_zero_and_nothing_to_find_no_number():
    assert average_precision([([], [LESION])]).ap50 == 0.0
    assert math.isnan(average_precision([([Found(LESION, 0.9)], [])]).ap50)
