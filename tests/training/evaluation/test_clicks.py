import itertools
from dataclasses import replace

import numpy as np
import torch

from mammo.geometry import Point
from mammo.segmenter import Segmenter
from tests.fakes.segmenter_runtime import CountingRuntime
from tests.training.segmenter_cases import region
from training.evaluation.clicks import (
    NUM_CORRECTIONS,
    ClickScore,
    click_figures,
    middle_of,
    next_click,
    score_clicks,
)

torch.set_num_threads(1)
EVERYWHERE = (slice(None), slice(None))


def bitmap(*boxes: tuple[int, int, int, int]) -> np.ndarray:
    full = np.zeros((40, 60), np.bool_)
    for x0, y0, x1, y1 in boxes:
        full[y0:y1, x0:x1] = True
    return full


def test_the_robot_clicks_the_middle_of_the_largest_error():
    truth = bitmap((10, 10, 30, 30))
    missed = next_click(bitmap((10, 10, 30, 19)), truth, within=EVERYWHERE)
    assert missed is not None
    assert missed.positive
    assert 22 <= missed.at.y <= 26
    too_much = next_click(truth | bitmap((40, 10, 51, 21), (0, 0, 3, 3)), truth, within=EVERYWHERE)
    assert too_much == (Point(45, 15), False)


def test_a_right_mask_is_not_clicked_and_a_place_that_cannot_be_seen_neither():
    truth = bitmap((10, 10, 30, 30))
    assert next_click(truth, truth, within=EVERYWHERE) is None
    assert next_click(bitmap(), truth, within=(slice(0, 40), slice(30, 60))) is None


def test_the_middle_lies_in_the_region_however_it_is_bent():
    ring = bitmap((10, 5, 40, 35)) & ~bitmap((13, 8, 37, 32))
    middle = middle_of(ring)
    assert ring[middle.y, middle.x]


def test_every_correction_holds_and_brings_a_mask_of_everything_nearer(tmp_path):
    """With a network that fills the whole region, only the clicks improve the mask."""
    roi = region(tmp_path)
    (boxed,), (clicked,) = (
        score_clicks(Segmenter(CountingRuntime()), [roi], by_box=first) for first in (True, False)
    )
    assert len(boxed.dice) == len(clicked.dice) == NUM_CORRECTIONS + 1
    assert len(boxed.held) == len(clicked.held) == NUM_CORRECTIONS
    assert all(boxed.held + clicked.held)
    assert all(after > before for before, after in itertools.pairwise(clicked.dice))


def test_figures_are_by_patient_and_name_what_was_clicked():
    scores = [
        ClickScore("a", (0.5, 0.6, 0.7, 0.8, 0.8, 0.9), (True, False)),
        ClickScore("b", (1.0,) * 6, ()),
    ]
    figures = click_figures(scores, [replace(scores[1], dice=(0.4,) * 6)])
    assert figures["Dice, box and 0 corrections"].value == 0.75
    assert figures["Dice, box and 5 corrections"].value == 0.95
    assert figures["share of the corrections of box that held"].value == 0.5
    assert figures["Dice, one click and 1 correction"].value == 0.4
    assert "share of the corrections of one click that held" not in figures
