from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from mammo.geometry import Box
from tests.training.detector_cases import case
from training.cases import Case, silent
from training.detector_tiles import TileSet, write_tiles

CLUSTER_BOX = Box(60, 200, 100, 250)
SIDE = 128


def cut(
    cases: list[Case], folder: Path, *, crops: int = 4, background: float = 0.3, seed: int = 0
) -> TileSet:
    return write_tiles(
        cases, folder, side=SIDE, crops=crops, background=background, seed=seed, progress=silent
    )


def labels(tiles: TileSet) -> dict[str, list[list[float]]]:
    return {
        path.stem: [[float(number) for number in line.split()] for line in path.read_text().splitlines()]
        for path in sorted((tiles.folder / "labels").iterdir())
    }


def image(tiles: TileSet, name: str) -> np.ndarray:
    read = cv2.imread(str(tiles.folder / "images" / f"{name}.png"), cv2.IMREAD_UNCHANGED)
    assert read is not None
    return read[..., ::-1]


def test_every_cluster_gives_its_crops_and_background_fills_its_share(tmp_path: Path) -> None:
    tiles = cut([case(1, CLUSTER_BOX), case(2), case(3, CLUSTER_BOX)], tmp_path, crops=6)
    assert tiles.num_positive == 12
    assert 3 <= tiles.num_background <= 8
    assert sum(bool(boxes) for boxes in labels(tiles).values()) == 12
    assert {path.stem for path in (tmp_path / "images").iterdir()} == set(labels(tiles))


def test_a_label_encloses_the_specks_that_the_tile_shows(tmp_path: Path) -> None:
    tiles = cut([case(1, CLUSTER_BOX)], tmp_path, crops=8, background=0.0)
    assert len(labels(tiles)) == 8
    for name, ((kind, x, y, width, height),) in labels(tiles).items():
        pixels = image(tiles, name)
        assert pixels.shape == (SIDE, SIDE, 3)
        assert pixels.dtype == np.uint8
        assert kind == 0
        assert (width * SIDE, height * SIDE) == pytest.approx((40, 50), abs=0.01)
        rows, columns = np.nonzero(pixels[..., 0] > 250)
        assert len(rows) > 20
        assert (x - width / 2) * SIDE - 0.01 <= columns.min() <= columns.max() <= (x + width / 2) * SIDE
        assert (y - height / 2) * SIDE - 0.01 <= rows.min() <= rows.max() <= (y + height / 2) * SIDE


def test_crops_of_one_cluster_lie_in_different_places(tmp_path: Path) -> None:
    tiles = cut([case(1, CLUSTER_BOX)], tmp_path, crops=8, background=0.0)
    assert len({tuple(boxes[0]) for boxes in labels(tiles).values()}) > 5


def test_background_tiles_hold_breast_and_no_cluster(tmp_path: Path) -> None:
    tiles = cut([case(1, CLUSTER_BOX), case(2)], tmp_path, crops=4, background=0.5)
    empty = [name for name, boxes in labels(tiles).items() if not boxes]
    assert empty
    for name in empty:
        pixels = image(tiles, name)
        assert np.count_nonzero(pixels[..., 0] > 250) < 30
        assert float((pixels[..., 0] > 5).mean()) > 0.25


def test_the_same_seed_gives_the_same_tiles_and_another_seed_others(tmp_path: Path) -> None:
    cases = [case(1, CLUSTER_BOX), case(2)]
    first, again, other = (
        cut(cases, tmp_path / name, seed=seed) for name, seed in (("a", 1), ("b", 1), ("c", 2))
    )
    assert labels(first) == labels(again)
    assert labels(first) != labels(other)
    for name in labels(first):
        np.testing.assert_array_equal(image(first, name), image(again, name))


def test_a_cluster_larger_than_the_tile_fills_it(tmp_path: Path) -> None:
    tiles = cut([case(1, Box(10, 20, 230, 400))], tmp_path, crops=3, background=0.0)
    for ((_, _, _, width, height),) in labels(tiles).values():
        assert width > 0.9
        assert height > 0.9


def test_a_cluster_at_the_border_of_the_image_is_cut_out_whole(tmp_path: Path) -> None:
    tiles = cut([case(1, Box(0, 0, 30, 40))], tmp_path, crops=4, background=0.0)
    for ((_, _, _, width, height),) in labels(tiles).values():
        assert (width * SIDE, height * SIDE) == pytest.approx((30, 40), abs=0.01)


def test_cases_without_any_cluster_give_no_tiles_of_their_own(tmp_path: Path) -> None:
    assert cut([case(1), case(2)], tmp_path).num_positive == 0
