from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch

from mammo.errors import InvalidPrompt
from mammo.geometry import Box, Point, Spacing
from mammo.prompts import MAX_POINTS
from mammo.segmenter import Segmenter
from mammo.segmenter.network import BOTTOM_RIGHT, NEGATIVE, PADDING, POSITIVE, TOP_LEFT
from mammo.segmenter.prompt_tokens import prompt_tokens
from mammo.segmenter.roi import dilated
from mammo.segmenter.weights import save_segmenter
from tests.mammo.segmenter.networks import small

BOX = Box(100, 60, 130, 100)
PIXELS = np.random.default_rng(0).uniform(0, 1, (200, 240)).astype(np.float32)


class Painter(torch.nn.Module):
    """A fake network whose logit at (x, y) of its 16 x 16 map is given by a function."""

    def __init__(self, paint) -> None:
        super().__init__()
        self.config = small().config
        self.weight = torch.nn.Parameter(torch.zeros(1))
        self.paint = paint
        self.encoded = 0

    def encode(self, pixels):
        self.encoded += 1
        return small().encode(pixels)

    def fuse(self, levels):
        return None

    def decode(self, neck, fused, coordinates, labels, previous=None):
        self.previous = previous
        y, x = torch.meshgrid(torch.arange(16.0), torch.arange(16.0), indexing="ij")

        class Out:
            presence = None
            logits = self.paint(x, y)[None, None]

        return Out()


def everything(x, y):
    return torch.ones_like(x)


def nothing(x, y):
    return -torch.ones_like(x)


def test_a_mask_lies_in_the_image_frame_inside_the_dilated_box():
    segmenter = Segmenter(Painter(everything))
    mask = segmenter.segment(segmenter.embed(PIXELS, BOX, spacing=None), box=BOX).mask
    assert mask is not None
    assert mask.box == dilated(BOX)
    assert mask.area == dilated(BOX).area


def test_logits_land_on_the_pixels_they_were_computed_for():
    """The left half of the input is the left half of the crop."""
    segmenter = Segmenter(Painter(lambda x, y: 7.5 - x))
    embedding = segmenter.embed(PIXELS, BOX, spacing=None)
    mask = segmenter.segment(embedding, box=None, points=[Point(110, 80)]).mask
    crop = embedding.roi.crop
    assert embedding.roi.side == crop.width == 80
    assert mask is not None
    assert mask.box == Box(crop.x0, crop.y0, crop.x0 + 40, crop.y1)


def test_an_empty_mask_is_none():
    segmenter = Segmenter(Painter(nothing))
    assert segmenter.segment(segmenter.embed(PIXELS, BOX, spacing=None), box=BOX).mask is None


def test_many_prompts_need_one_encoding():
    network = Painter(everything)
    segmenter = Segmenter(network)
    embedding = segmenter.embed(PIXELS, BOX, spacing=None)
    for x in range(100, 120, 5):
        segmenter.segment(embedding, box=BOX, points=[Point(x, 80)])
    assert network.encoded == 1


def test_a_box_at_the_border_of_the_image_is_fine():
    segmenter = Segmenter(Painter(everything))
    box = Box(220, 190, 250, 210)
    mask = segmenter.segment(segmenter.embed(PIXELS, box, spacing=None), box=box).mask
    assert mask is not None
    assert mask.box == Box(217, 188, 240, 200)


def test_the_real_network_answers_to_its_prompt_and_to_the_pixels(tmp_path):
    path = tmp_path / "segmenter.safetensors"
    save_segmenter(path, small(combine="hq"), facts={"seed": 3})
    segmenter = Segmenter.load(path)
    assert segmenter.facts == {"seed": 3}
    spacing = Spacing(0.07, 0.07, "imager")
    embedding = segmenter.embed(PIXELS, BOX, spacing=spacing)
    assert embedding.spacing == spacing
    assert embedding.num_bytes == 2 * (32 * 4 * 4 + 4 * 16 * 16)
    logits = []
    for field, points in ((PIXELS, []), (PIXELS, [Point(105, 70)]), (1 - PIXELS, [])):
        at = segmenter.embed(field, BOX, spacing=None)
        coordinates, labels = prompt_tokens(at.roi, box=BOX, points=points, negative=[])
        decoded = segmenter._runtime.decode(at.features, coordinates, labels, previous=None)
        logits.append(decoded.logits)
    assert not np.array_equal(logits[0], logits[1])
    assert not np.array_equal(logits[0], logits[2])


def test_threads_share_a_segmenter():
    segmenter = Segmenter(small(combine="hq"))
    boxes = [Box(x, 60, x + 30, 100) for x in range(40, 120, 10)]

    def area(box):
        mask = segmenter.segment(segmenter.embed(PIXELS, box, spacing=None), box=box).mask
        return mask.area if mask else 0

    alone = [area(box) for box in boxes]
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(area, boxes)) == alone


def test_prompt_tokens_are_points_then_corners_and_points_alone_are_padded():
    segmenter = Segmenter(Painter(everything))
    roi = segmenter.embed(PIXELS, BOX, spacing=None).roi
    inside, outside = Point(110, 80), Point(90, 80)
    coordinates, labels = prompt_tokens(roi, box=BOX, points=[inside], negative=[outside])
    assert labels == [POSITIVE, NEGATIVE, TOP_LEFT, BOTTOM_RIGHT]
    assert coordinates[0] == roi.to_input(110.5, 80.5)
    assert coordinates[2:] == [roi.to_input(97, 56), roi.to_input(133, 104)]
    assert prompt_tokens(roi, box=None, points=[inside], negative=[])[1] == [POSITIVE, PADDING]


@pytest.mark.parametrize(
    "prompt",
    [
        {"box": None},
        {"box": None, "negative": [Point(110, 80)]},
        {"box": Box(0, 0, 5, 5)},
        {"box": BOX, "points": [Point(0, 0)]},
        {"box": BOX, "negative": [Point(110, 80)] * (MAX_POINTS + 1)},
        {"box": BOX, "points": [Point(110, 80)] * 10_000},
    ],
    ids=["nothing", "only negative", "box elsewhere", "point elsewhere", "many clicks", "10,000 points"],
)
def test_a_prompt_that_the_region_cannot_answer_is_refused(prompt):
    segmenter = Segmenter(Painter(everything))
    embedding = segmenter.embed(PIXELS, BOX, spacing=None)
    with pytest.raises(InvalidPrompt, match=r"needs|outside|at most"):
        segmenter.segment(embedding, **prompt)


def test_the_most_points_that_a_prompt_may_have_are_answered():
    segmenter = Segmenter(small(combine="hq"))
    embedding = segmenter.embed(PIXELS, BOX, spacing=None)
    answer = segmenter.segment(embedding, box=BOX, points=[Point(110, 80)] * MAX_POINTS)
    assert answer.logits is not None
    assert np.isfinite(answer.logits).all()


def test_an_answer_says_how_fine_it_is():
    segmenter = Segmenter(Painter(everything))
    with_spacing = segmenter.embed(PIXELS, BOX, spacing=Spacing(0.1, 0.1, "imager"))
    answer = segmenter.segment(with_spacing, box=BOX)
    assert answer.roi == with_spacing.roi
    assert answer.logits is not None
    assert answer.logits.shape == (16, 16)
    assert answer.pixels_per_logit == 80 / 16
    assert "5 pixels per logit instead of 4" in answer.notes[0]
    unknown = segmenter.segment(segmenter.embed(PIXELS, BOX, spacing=None), box=BOX)
    assert "no pixel spacing" in unknown.notes[0]


def test_a_target_below_two_logits_is_said_to_be_a_guess():
    segmenter = Segmenter(Painter(everything))
    spacing = Spacing(0.1, 0.1, "imager")
    tiny, small_box = Box(100, 60, 107, 90), Box(100, 60, 108, 90)
    notes = [
        segmenter.segment(segmenter.embed(PIXELS, box, spacing=spacing), box=box).notes
        for box in (tiny, small_box)
    ]
    assert notes[1] == ()
    assert "7 x 30 pixels and the mask resolves 8" in notes[0][0]
    fine = segmenter.segment_calcifications(PIXELS, tiny, spacing=spacing)
    assert (fine.notes, fine.pixels_per_logit) == ((), 1.0)


def test_an_earlier_answer_is_refined_in_its_own_region_only():
    network = Painter(lambda x, y: x)
    segmenter = Segmenter(network)
    embedding = segmenter.embed(PIXELS, BOX, spacing=None)
    first = segmenter.segment(embedding, box=BOX)
    assert network.previous is None
    segmenter.segment(embedding, box=None, negative=[Point(110, 80)], previous=first)
    assert torch.equal(network.previous[0, 0], torch.from_numpy(first.logits))
    elsewhere = segmenter.embed(PIXELS, Box(10, 10, 40, 40), spacing=None)
    segmenter.segment(elsewhere, box=Box(10, 10, 40, 40), previous=first)
    assert network.previous is None


def test_presence_is_a_probability():
    class Present(Painter):
        def decode(self, *arguments, **more):
            out = super().decode(*arguments, **more)
            out.presence = torch.tensor([2.0])
            return out

    segmenter = Segmenter(Present(everything))
    answer = segmenter.segment(segmenter.embed(PIXELS, BOX, spacing=None), box=BOX)
    assert answer.presence == pytest.approx(0.8808, abs=1e-4)
    assert answer.mask is not None


@pytest.mark.parametrize("box", [Box(500, 500, 510, 510), Box(-20, -20, -5, -5)])
def test_a_box_outside_the_image_is_refused(box):
    with pytest.raises(InvalidPrompt, match="outside the image of 240 x 200"):
        Segmenter(Painter(everything)).embed(PIXELS, box, spacing=None)
    with pytest.raises(InvalidPrompt, match="outside the image of 240 x 200"):
        Segmenter(Painter(everything)).segment_calcifications(PIXELS, box, spacing=None)


def test_a_region_of_air_is_refused():
    with pytest.raises(InvalidPrompt, match="is empty: every pixel is 0") as caught:
        Segmenter(Painter(everything)).embed(np.zeros_like(PIXELS), BOX, spacing=None)
    assert caught.value.code == "empty_region"
