import numpy as np
import pytest
import torch

from mammo.errors import InvalidPrompt
from mammo.geometry import Box, Point, Size
from mammo.prompts import MAX_POINTS
from mammo.segmenter import Segmenter
from mammo.segmenter.roi import dilated, tile_rois
from mammo.segmenter.tiles import blend
from tests.mammo.segmenter.networks import SMALL, small

SIZE = Size(300, 260)
BOX = Box(100, 60, 180, 150)


def field(frame: Box) -> np.ndarray:
    y, x = np.mgrid[frame.y0 : frame.y1, frame.x0 : frame.x1]
    return (np.sin(x / 7) + np.cos(y / 5)).astype(np.float32)


def test_tiles_that_agree_are_blended_into_what_they_agree_on():
    tiles = tile_rois(BOX, SIZE, config=SMALL, spacing=None)
    assert len(tiles) > 9
    frame = dilated(BOX)
    blended = blend([(tile, field(tile.crop)) for tile in tiles], frame)
    np.testing.assert_allclose(blended, field(frame), atol=1e-4)


def test_between_two_tiles_the_map_goes_over_without_a_step():
    tiles = tile_rois(BOX, SIZE, config=SMALL, spacing=None)
    left, right = [t for t in tiles if t.crop.y0 == tiles[0].crop.y0][:2]
    frame = Box(left.crop.x0, left.crop.y0, right.crop.x1, right.crop.y1)
    shape = (16, 16)
    row = blend([(left, np.zeros(shape, np.float32)), (right, np.ones(shape, np.float32))], frame)[8]
    assert (np.diff(row) >= 0).all()
    assert row[0] == 0
    assert row[-1] == 1
    assert np.diff(row).max() < 0.9


def test_what_no_tile_covers_is_background():
    (tile,) = tile_rois(Box(100, 60, 108, 68), SIZE, config=SMALL, spacing=None)
    blended = blend([(tile, np.ones((16, 16), np.float32))], tile.crop.dilated(2))
    assert np.isneginf(blended[0]).all()
    assert (blended[2:-2, 2:-2] == 1).all()


class SpeckPainter(torch.nn.Module):
    """Knows every bright pixel of its input, as a network at four input pixels per image pixel might."""

    def __init__(self) -> None:
        super().__init__()
        self.config = small().config
        self.weight = torch.nn.Parameter(torch.zeros(1))
        self.encoded = 0

    def encode(self, pixels):
        self.encoded += 1

        class Levels:
            neck = pixels

        return Levels()

    def fuse(self, levels):
        return None

    def decode(self, neck, fused, coordinates, labels, previous=None):
        class Out:
            presence = None
            logits = torch.nn.functional.avg_pool2d(neck[:, :1], 4) - 1.5

        return Out()


def test_specks_of_a_large_cluster_are_found_at_their_pixels():
    pixels = np.full((SIZE.height, SIZE.width), 0.3, np.float32)
    specks = [Point(x, y) for x in range(104, 180, 9) for y in range(63, 150, 11)]
    for speck in specks:
        pixels[speck.y - 1 : speck.y + 1, speck.x - 1 : speck.x + 1] = 0.9
    outside = Point(40, 40)
    pixels[outside.y, outside.x] = 0.9
    network = SpeckPainter()
    answer = Segmenter(network).segment_calcifications(pixels, BOX, spacing=None, points=specks)
    assert answer.mask is not None
    full = answer.mask.full(SIZE)
    assert all(full[speck.y - 1, speck.x - 1] for speck in specks)
    assert len(answer.mask.components()) == len(specks)
    assert answer.mask.area <= 12 * len(specks)
    assert network.encoded == len(tile_rois(BOX, SIZE, config=SMALL, spacing=None))
    assert answer.logits is None
    assert answer.roi is None


def test_a_single_tile_can_be_refined():
    pixels = np.full((SIZE.height, SIZE.width), 0.3, np.float32)
    pixels[62:64, 104:106] = 0.9
    answer = Segmenter(SpeckPainter()).segment_calcifications(pixels, Box(101, 60, 108, 67), spacing=None)
    assert answer.logits is not None
    assert answer.roi is not None
    assert answer.roi.pixels_per_logit == 1


def test_tiles_of_air_are_not_looked_at():
    network = SpeckPainter()
    pixels = np.zeros((SIZE.height, SIZE.width), np.float32)
    answer = Segmenter(network).segment_calcifications(pixels, BOX, spacing=None)
    assert answer.mask is None
    assert network.encoded == 0


def test_ten_thousand_points_are_refused():
    with pytest.raises(InvalidPrompt, match=f"at most {MAX_POINTS}"):
        Segmenter(SpeckPainter()).segment_calcifications(
            np.full((260, 300), 0.3, np.float32), BOX, spacing=None, points=[Point(120, 90)] * 10_000
        )
