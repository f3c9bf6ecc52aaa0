from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch

from mammo.geometry import Box, Point, Spacing
from mammo.segmenter import Segmenter
from mammo.segmenter.network import BOTTOM_RIGHT, NEGATIVE, PADDING, POSITIVE, TOP_LEFT
from mammo.segmenter.roi import dilated
from mammo.segmenter.segmenter import prompt_tokens
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

    def decode(self, neck, fused, coordinates, labels):
        y, x = torch.meshgrid(torch.arange(16.0), torch.arange(16.0), indexing="ij")

        class Out:
            logits = self.paint(x, y)[None, None]

        return Out()


def everything(x, y):
    return torch.ones_like(x)


def nothing(x, y):
    return -torch.ones_like(x)


def test_a_mask_lies_in_the_image_frame_inside_the_dilated_box():
    segmenter = Segmenter(Painter(everything))
    mask = segmenter.segment(segmenter.embed(PIXELS, BOX, spacing=None), box=BOX)
    assert mask is not None
    assert mask.box == dilated(BOX)
    assert mask.area == dilated(BOX).area


def test_logits_land_on_the_pixels_they_were_computed_for():
    """The left half of a 64-pixel input at 1:1 is the left half of the crop."""
    segmenter = Segmenter(Painter(lambda x, y: 7.5 - x))
    embedding = segmenter.embed(PIXELS, BOX, spacing=None)
    mask = segmenter.segment(embedding, box=None, points=[Point(110, 80)])
    crop = embedding.roi.crop
    assert embedding.roi.side == 80
    assert mask is not None
    assert mask.box == Box(crop.x0, crop.y0, crop.x0 + 40, crop.y1)


def test_an_empty_mask_is_none():
    segmenter = Segmenter(Painter(nothing))
    assert segmenter.segment(segmenter.embed(PIXELS, BOX, spacing=None), box=BOX) is None


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
    mask = segmenter.segment(segmenter.embed(PIXELS, box, spacing=None), box=box)
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
    assert embedding.num_bytes == 4 * (32 * 4 * 4 + 4 * 16 * 16)
    logits = []
    for field, points in ((PIXELS, []), (PIXELS, [Point(105, 70)]), (1 - PIXELS, [])):
        at = segmenter.embed(field, BOX, spacing=None)
        coordinates, labels = prompt_tokens(at.roi, box=BOX, points=points, negative=[])
        with torch.inference_mode():
            decoded = segmenter._network.decode(
                at.neck, at.fused, torch.tensor([coordinates]), torch.tensor([labels])
            )
        logits.append(decoded.logits)
    assert not torch.equal(logits[0], logits[1])
    assert not torch.equal(logits[0], logits[2])


def test_threads_share_a_segmenter():
    segmenter = Segmenter(small(combine="hq"))
    boxes = [Box(x, 60, x + 30, 100) for x in range(40, 120, 10)]

    def area(box):
        mask = segmenter.segment(segmenter.embed(PIXELS, box, spacing=None), box=box)
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
    ],
    ids=["nothing", "only negative", "box elsewhere", "point elsewhere"],
)
def test_a_prompt_that_says_nothing_about_the_region_is_the_callers_mistake(prompt):
    segmenter = Segmenter(Painter(everything))
    embedding = segmenter.embed(PIXELS, BOX, spacing=None)
    with pytest.raises(ValueError, match=r"needs|outside"):
        segmenter.segment(embedding, **prompt)
