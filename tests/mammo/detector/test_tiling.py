from __future__ import annotations

from itertools import permutations
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mammo.detector.normalise import CELL, Breast
from mammo.detector.tiling import STRIDE, Candidate, Detection, cut_tile, merge, plan_tiles
from mammo.geometry import Box, Size

SIZE = Size(2000, 3000)


def everywhere(size: Size, box: Box | None = None) -> Breast:
    cells = np.ones((-(-size.height // CELL), -(-size.width // CELL)), np.bool_)
    return Breast(cells, box or size.box)


def whole(x0: float, y0: float, x1: float, y1: float, score: float) -> Candidate:
    return Candidate(x0, y0, x1, y1, score, cut=False)


def piece(x0: float, y0: float, x1: float, y1: float, score: float) -> Candidate:
    return Candidate(x0, y0, x1, y1, score, cut=True)


@given(
    width=st.integers(40, 5000),
    height=st.integers(40, 5000),
    tile=st.sampled_from([256, 640, 1024]),
    overlap=st.integers(3, 120),
    place=st.tuples(st.floats(0, 1), st.floats(0, 1)),
)
@settings(deadline=None)
def test_a_cluster_up_to_the_overlap_is_whole_in_some_tile_wherever_it_lies(
    width: int, height: int, tile: int, overlap: int, place: tuple[float, float]
) -> None:
    size = Size(width, height)
    side = overlap - 2  # starts of tiles are rounded to whole pixels
    x, y = (int(part * (length - 1)) for part, length in zip(place, (width, height), strict=True))
    cluster = Box(x, y, x + side, y + side).within(size)
    tiles = plan_tiles(everywhere(size), size, tile=tile, overlap=overlap)
    assert any(tile_box.intersection(cluster) == cluster for tile_box in tiles)


@given(width=st.integers(40, 5000), height=st.integers(40, 5000), tile=st.sampled_from([256, 1024]))
@settings(deadline=None)
def test_tiles_are_equal_fit_the_network_and_stick_out_only_of_a_smaller_image(
    width: int, height: int, tile: int
) -> None:
    size = Size(width, height)
    tiles = plan_tiles(everywhere(size), size, tile=tile, overlap=64)
    assert len({(place.width, place.height) for place in tiles}) == 1
    assert tiles[0].width % STRIDE == 0
    assert tiles[0].height % STRIDE == 0
    assert max(tiles[0].width, tiles[0].height) <= tile
    for place in tiles:
        assert place.x0 >= 0
        assert place.y0 >= 0
        assert place.x1 <= max(width, place.width)
        assert place.y1 <= max(height, place.height)


def test_air_is_not_looked_at() -> None:
    breast = Box(0, 480, 800, 2400)
    cells = np.zeros((-(-SIZE.height // CELL), -(-SIZE.width // CELL)), np.bool_)
    cells[480 // CELL : 2400 // CELL, : 800 // CELL] = True
    cells[480 // CELL : 1440 // CELL, 400 // CELL :] = False  # an L-shaped breast
    tiles = plan_tiles(Breast(cells, breast), SIZE, tile=512, overlap=64)
    assert tiles
    assert sum(place.area for place in tiles) < 0.6 * SIZE.box.area
    assert all(place.x1 <= 800 + STRIDE * 2 for place in tiles)
    assert not any(place.x0 >= 400 and place.y1 <= 1440 for place in tiles)


def test_one_cluster_seen_by_two_tiles_is_one_detection_with_the_better_score() -> None:
    detections = merge([whole(100, 100, 180, 190, 0.6), whole(104, 98, 184, 186, 0.8)], SIZE)
    assert detections == [Detection(Box(104, 98, 184, 186), 0.8)]


def test_a_box_cut_by_a_tile_gives_way_to_the_whole_one_even_with_a_better_score() -> None:
    detections = merge([piece(100, 100, 140, 190, 0.9), whole(100, 100, 180, 190, 0.5)], SIZE)
    assert detections == [Detection(Box(100, 100, 180, 190), 0.5)]


def test_pieces_of_a_cluster_larger_than_the_overlap_are_united() -> None:
    detections = merge([piece(100, 100, 500, 300, 0.7), piece(400, 110, 900, 290, 0.6)], SIZE)
    assert detections == [Detection(Box(100, 100, 900, 300), 0.7)]


PLACES = st.integers(0, 60)
CANDIDATES = st.lists(
    st.builds(
        lambda x, y, width, height, score, cut: Candidate(
            x * 5.0, y * 5.0, x * 5.0 + width * 4.0, y * 5.0 + height * 4.0, score, cut=cut
        ),
        x=PLACES,
        y=PLACES,
        width=st.integers(0, 40),
        height=st.integers(0, 40),
        score=st.sampled_from([0.2, 0.5, 0.9]),
        cut=st.booleans(),
    ),
    max_size=12,
)
"""Many with the same score, many that overlap; on a raster, so that many are as large and as far apart."""


@given(CANDIDATES, st.randoms(use_true_random=False))
def test_in_which_order_tiles_are_looked_at_changes_nothing(
    candidates: list[Candidate], random: Random
) -> None:
    assert merge(random.sample(candidates, len(candidates)), SIZE) == merge(candidates, SIZE)


@given(CANDIDATES)
def test_no_two_united_clusters_overlap_and_every_piece_is_in_one_or_in_a_whole_box(
    candidates: list[Candidate],
) -> None:
    pieces = [candidate for candidate in candidates if candidate.cut and candidate.area]
    detections = merge(pieces, SIZE)
    for index, one in enumerate(detections):
        assert all(one.box.intersection(other.box) is None for other in detections[index + 1 :])
    for candidate in pieces:
        seen = Box.around(candidate.x0, candidate.y0, candidate.x1, candidate.y1)
        (holder,) = [each for each in detections if each.box.intersection(seen) == seen]
        assert holder.score >= candidate.score


def test_a_union_takes_in_a_piece_that_neither_of_its_parts_touches() -> None:
    """A ring of tiles around a large cluster: the last piece makes two corners one box, which holds the third."""
    corner = piece(300, 300, 400, 400, 0.9)
    pieces = [corner, piece(100, 100, 200, 500, 0.8), piece(150, 450, 500, 500, 0.7)]
    for order in permutations(pieces):
        assert merge(order, SIZE) == [Detection(Box(100, 100, 500, 500), 0.9)]


def test_of_two_whole_boxes_with_the_same_score_the_place_decides() -> None:
    pair = [whole(100, 100, 180, 190, 0.8), whole(104, 98, 184, 186, 0.8)]
    assert merge(pair, SIZE) == merge(pair[::-1], SIZE) == [Detection(Box(100, 100, 180, 190), 0.8)]


def test_neighbouring_clusters_stay_two_and_the_better_comes_first() -> None:
    detections = merge([whole(10, 10, 50, 50, 0.3), whole(48, 10, 90, 50, 0.4)], SIZE)
    assert [detection.score for detection in detections] == [0.4, 0.3]


def test_detections_are_clipped_to_the_image_and_dropped_outside_it() -> None:
    detections = merge(
        [whole(-5, -5, 30, 30, 0.9), whole(1990, 2990, 2100, 3100, 0.8), whole(2001, 0, 2050, 9, 0.7)], SIZE
    )
    assert [detection.box for detection in detections] == [Box(0, 0, 30, 30), Box(1990, 2990, 2000, 3000)]


@st.composite
def image_with_clusters(draw: st.DrawFn, *, largest: int) -> tuple[Size, list[Box], int]:
    """A mammogram, clusters in it that keep 40 pixels of distance, and the side of a tile."""
    size = Size(draw(st.integers(64, 2200)), draw(st.integers(64, 2200)))
    boxes: list[Box] = []
    for _ in range(draw(st.integers(1, 5))):
        width, height = draw(st.integers(12, largest)), draw(st.integers(12, largest))
        x, y = draw(st.integers(0, size.width - 1)), draw(st.integers(0, size.height - 1))
        box = Box(x, y, x + width, y + height).within(size)
        if all(box.dilated(40).intersection(other) is None for other in boxes):
            boxes.append(box)
    return size, boxes, draw(st.sampled_from([256, 512, 1024]))


def seen_through_tiles(
    size: Size, clusters: list[Box], *, tile: int, overlap: int, rng: np.random.Generator
) -> list[Detection]:
    """What comes out when the network draws every visible part of a cluster exactly, with random scores."""
    candidates = []
    for place in plan_tiles(everywhere(size), size, tile=tile, overlap=overlap):
        for cluster in clusters:
            part = cluster.intersection(place)
            if part is not None:
                corners = map(float, part.as_tuple())
                candidates.append(whole(*corners, float(rng.uniform(0.2, 1))).marked_as_cut(place, size))
    return merge([candidates[i] for i in rng.permutation(len(candidates))], size)


@given(drawn=image_with_clusters(largest=100), seed=st.integers(0, 99))
@settings(deadline=None)
def test_clusters_up_to_the_overlap_come_back_as_they_are_each_once(
    drawn: tuple[Size, list[Box], int], seed: int
) -> None:
    size, clusters, tile = drawn
    detections = seen_through_tiles(size, clusters, tile=tile, overlap=112, rng=np.random.default_rng(seed))
    assert sorted(d.box.as_tuple() for d in detections) == sorted(box.as_tuple() for box in clusters)


@given(drawn=image_with_clusters(largest=900), seed=st.integers(0, 99))
@settings(deadline=None)
def test_clusters_of_any_size_are_put_together_from_their_pieces(
    drawn: tuple[Size, list[Box], int], seed: int
) -> None:
    size, clusters, tile = drawn
    detections = seen_through_tiles(size, clusters, tile=tile, overlap=112, rng=np.random.default_rng(seed))
    assert sorted(d.box.as_tuple() for d in detections) == sorted(box.as_tuple() for box in clusters)


@pytest.mark.parametrize(
    ("box", "cut"),
    [
        ((300.0, 300.0, 350.0, 350.0), False),
        ((257.0, 300.0, 300.0, 350.0), True),
        ((300.0, 300.0, 350.0, 511.0), True),
    ],
)
def test_touching_the_inner_border_of_a_tile_marks_a_box_as_cut(
    box: tuple[float, float, float, float], cut: bool
) -> None:
    assert whole(*box, 0.5).marked_as_cut(Box(256, 256, 512, 512), SIZE).cut is cut


def test_the_border_of_the_image_cuts_nothing() -> None:
    assert not whole(0, 0, 40, 40, 0.5).marked_as_cut(Box(0, 0, 512, 512), SIZE).cut
    assert not whole(480, 480, 512, 512, 0.5).marked_as_cut(Box(0, 0, 512, 512), Size(512, 512)).cut


def test_a_tile_that_sticks_out_of_a_small_image_is_filled_with_zeros() -> None:
    planes = np.full((3, 20, 30), 0.7, np.float32)
    tile = cut_tile(planes, Box(0, 0, 64, 32))
    assert tile.shape == (3, 32, 64)
    assert tile[:, :20, :30].min() == np.float32(0.7)
    assert tile[:, 20:].max() == tile[:, :, 30:].max() == 0


def test_a_tile_inside_the_image_is_its_part_of_it() -> None:
    planes = np.random.default_rng(0).uniform(size=(3, 90, 100)).astype(np.float32)
    np.testing.assert_array_equal(cut_tile(planes, Box(10, 20, 42, 52)), planes[:, 20:52, 10:42])
