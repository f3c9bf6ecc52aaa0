import numpy as np
import pytest
import torch

from mammo.geometry import Box
from mammo.segmenter import Segmenter
from mammo.segmenter.network import new_network
from mammo.segmenter.weights import load_segmenter, save_segmenter
from tests.training.segmenter_cases import case, region
from training.segmenter.recipes import segmenter_smoke
from training.segmenter.validation import filled_ellipse, record_held_out, score_rois


class Constant(torch.nn.Module):
    """A fake network with constant output."""

    def __init__(self, logit: float) -> None:
        super().__init__()
        self.config = segmenter_smoke().config
        self.logit = torch.nn.Parameter(torch.tensor(logit))

    def encode(self, pixels):
        class Levels:
            neck = torch.zeros(1)

        return Levels()

    def fuse(self, levels):
        return None

    def decode(self, neck, fused, coordinates, labels, previous=None):
        class Decoded:
            presence = None
            logits = self.logit.expand(1, 1, 16, 16)

        return Decoded()


def test_filling_the_dilated_box_scores_what_geometry_says(tmp_path):
    roi = region(tmp_path)
    score = score_rois(Segmenter(Constant(1.0)), [roi] * 20, seed=0)
    expected = 2 / (1 + 1.2**2)
    assert score.box == pytest.approx(expected, abs=0.05)
    assert score.box == score.box_and_points
    assert score.num_clusters == 20


def test_an_empty_mask_counts_nothing(tmp_path):
    score = score_rois(Segmenter(Constant(-1.0)), [region(tmp_path)], seed=0)
    assert (score.box, score.box_and_points) == (0.0, 0.0)
    assert 0.7 < score.ellipse < 0.95


def test_the_same_seed_gives_the_same_score(tmp_path):
    segmenter, rois = Segmenter(Constant(1.0)), [region(tmp_path)] * 3
    assert score_rois(segmenter, rois, seed=1) == score_rois(segmenter, rois, seed=1)
    assert score_rois(segmenter, rois, seed=1) != score_rois(segmenter, rois, seed=2)


def test_no_region_is_the_callers_mistake():
    with pytest.raises(ValueError, match="at least one"):
        score_rois(Segmenter(Constant(1.0)), [], seed=0)


def test_a_held_out_score_changes_the_facts_and_nothing_else(tmp_path):
    path = tmp_path / "segmenter.safetensors"
    save_segmenter(path, new_network(segmenter_smoke().config, seed=1), facts={"recipe": "none"})
    before, _ = load_segmenter(path)
    score = record_held_out(
        path, [case(4)], entry="held_out", data="one phantom", folder=tmp_path / "regions"
    )
    after, facts = load_segmenter(path)
    assert facts["recipe"] == "none"
    assert facts["held_out"]["data"] == "one phantom"
    assert facts["held_out"]["ellipse"] == score.ellipse
    assert score.num_clusters == 1
    others = after.state_dict()
    assert all(torch.equal(tensor, others[name]) for name, tensor in before.state_dict().items())
    assert [p.name for p in tmp_path.glob("*.*")] == [path.name]


def test_an_ellipse_touches_its_box_and_covers_pi_quarters_of_it():
    mask = filled_ellipse(Box(10, 20, 110, 80))
    assert mask.box == Box(10, 20, 110, 80)
    assert mask.area / Box(10, 20, 110, 80).area == pytest.approx(np.pi / 4, abs=0.01)
