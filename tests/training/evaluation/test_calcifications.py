from dataclasses import replace

import pytest
import torch

from mammo.segmenter import Segmenter
from tests.training.segmenter_cases import region
from training.evaluation.calcifications import calcification_figures, score_calcifications
from training.segmenter.recipes import segmenter_smoke

torch.set_num_threads(1)


class Painter(torch.nn.Module):
    """A fake network: logits as a function of the image, at a quarter of its resolution."""

    def __init__(self, paint) -> None:
        super().__init__()
        self.config = segmenter_smoke().config
        self.weight = torch.nn.Parameter(torch.zeros(1))
        self.paint = paint

    def encode(self, pixels):
        class Levels:
            neck = pixels

        return Levels()

    def fuse(self, levels):
        return None

    def decode(self, neck, fused, coordinates, labels, previous=None):
        grey = torch.nn.functional.avg_pool2d(neck[:, :1], 4)

        class Decoded:
            presence = None
            logits = self.paint(grey)

        return Decoded()


def scores(tmp_path, paint, **changes):
    return score_calcifications(Segmenter(Painter(paint)), [replace(region(tmp_path), **changes)], seed=0)


def bright(grey):
    """Positive where the image stands out from the noise."""
    return grey - torch.maximum((grey.amin() + grey.amax()) / 2, grey.mean() + 4 * grey.std())


def test_a_network_that_sees_each_speck_outlines_it_given_its_box_or_a_click(tmp_path):
    single, (together,) = scores(tmp_path, bright)
    assert [score.pixels for score in single] == [9, 9]
    assert all(score.box > 0.8 and score.point > 0.8 for score in single)
    assert all(score.point_boundary > 0.6 for score in single)
    assert (together.met, together.right) == (1.0, 1.0)


def test_a_network_that_fills_what_it_is_given_is_as_good_as_a_square_box_and_no_click(tmp_path):
    single, (together,) = scores(tmp_path, torch.ones_like)
    assert all(score.box == 1.0 and score.box_boundary == 1.0 for score in single)
    assert all(score.point < 0.1 for score in single)
    assert together.met == 1.0
    assert together.dice < 0.1


def test_an_empty_mask_counts_nothing(tmp_path):
    single, (together,) = scores(tmp_path, lambda grey: -torch.ones_like(grey))
    assert [(score.box, score.point, score.point_boundary) for score in single] == [(0.0, 0.0, 0.0)] * 2
    assert all(score.ellipse > 0.5 for score in single)
    assert (together.dice, together.met) == (0.0, 0.0)
    assert "share of this mask's parts that touch one" not in calcification_figures(single, [together])


def test_a_cluster_whose_calcifications_nobody_knows_is_passed_over(tmp_path):
    single, together = scores(tmp_path, bright, calcifications=None)
    assert (single, together) == ([], [])
    assert calcification_figures(single, together) == {}


def test_the_figures_are_means_with_an_interval_by_patient(tmp_path):
    single, together = scores(tmp_path, bright)
    pair = [*single, *(replace(score, patient="other", box=0.0) for score in single)]
    figure = calcification_figures(pair, together)["Dice, its true box"]
    assert figure.value == pytest.approx(sum(score.box for score in single) / 4)
    assert figure.low == 0.0
    assert figure.high == pytest.approx(2 * figure.value)
