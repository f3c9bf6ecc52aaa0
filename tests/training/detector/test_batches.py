from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from mammo.detector.normalise import find_breast, normalise
from mammo.detector.spec import DetectorSpec
from mammo.detector.tiling import cut_tile
from mammo.geometry import Box
from tests.training.detector_cases import case
from training.cases import silent
from training.detector.batches import SCALE, Tiles, collate, flipped, make_loader, mosaic, zoomed
from training.detector.recipes import DetectorRecipe, detector_smoke
from training.detector.tiles import TileRules, TileSet, write_tiles
from training.detector.trainer import AttentionTrainer

SIDE = 96
RECIPE = replace(detector_smoke(), tile=SIDE, epochs=4, mosaic=0.5, close_mosaic=1, zoom=0.2)
CLUSTER_BOX = Box(60, 200, 110, 250)


@pytest.fixture(scope="module")
def tiles(tmp_path_factory: pytest.TempPathFactory) -> TileSet:
    return write_tiles(
        [case(1, CLUSTER_BOX), case(2)],
        tmp_path_factory.mktemp("tiles"),
        TileRules(
            side=SIDE,
            crops=4,
            background=0.4,
            spacing_mm=DetectorSpec().spacing_mm,
            normalisation=DetectorSpec().normalisation,
            seed=0,
        ),
        progress=silent,
    )


def batches(tiles: TileSet, *, epoch: int = 0, recipe: DetectorRecipe = RECIPE) -> list[dict[str, object]]:
    data = Tiles(tiles, recipe=recipe, augmented=True)
    data.start_epoch(epoch)
    return list(make_loader(data, batch=3, workers=0))


def test_what_the_network_sees_in_training_is_what_serving_computes(tmp_path: Path) -> None:
    """Through every step of a training input: tile on disk, reading, flips, batching, division by 255."""
    small = case(1, CLUSTER_BOX).read().pixels
    small = small[150 : 150 + SIDE, 20 : 20 + SIDE].copy()  # as large as one tile, so that its place is known
    whole = replace(case(1), read=lambda: replace(case(1).read(), pixels=small))
    tiles = write_tiles(
        [whole],
        tmp_path,
        TileRules(
            side=SIDE,
            crops=2,
            background=0.5,
            spacing_mm=DetectorSpec().spacing_mm,
            normalisation=DetectorSpec().normalisation,
            seed=0,
        ),
        progress=silent,
    )
    serving = cut_tile(
        normalise(small, find_breast(small), kind=DetectorSpec().normalisation, finer=1.0),
        Box(0, 0, SIDE, SIDE),
    )
    recipe = replace(RECIPE, mosaic=0.0, zoom=0.0)
    seen = set()
    trainer = SimpleNamespace(device=torch.device("cpu"), args=SimpleNamespace(multi_scale=0.0))
    for epoch in range(12):
        for batch in batches(tiles, epoch=epoch, recipe=recipe):
            for picture in AttentionTrainer.preprocess_batch(trainer, batch)["img"]:
                turned = [serving, serving[:, :, ::-1], serving[:, ::-1], serving[:, ::-1, ::-1]]
                errors = [float(np.abs(picture.numpy() - each).max()) for each in turned]
                seen.add(int(np.argmin(errors)))
                assert min(errors) <= 1 / 65535
    assert seen == {0, 1, 2, 3}
    levels = np.unique(np.round(serving * 65535))
    assert len(levels) > 1000  # far more than 8 bits could hold


def test_flips_take_the_boxes_along() -> None:
    image = np.zeros((20, 30, 3), np.float32)
    image[2:5, 4:10] = 1
    for across in (False, True):
        for down in (False, True):
            turned, ((x0, y0, x1, y1),) = flipped(
                image, np.array([[4, 2, 10, 5]], np.float32), horizontally=across, vertically=down
            )
            rows, columns = np.nonzero(turned[..., 0])
            assert (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1) == (x0, y0, x1, y1)


@pytest.mark.parametrize("factor", [0.8, 1.0, 1.25])
def test_a_zoom_takes_the_boxes_along_and_fills_with_zeros(factor: float) -> None:
    image = np.full((80, 80, 3), 0.5, np.float32)
    image[30:50, 20:40] = 1
    box = np.array([[20, 30, 40, 50]], np.float32)
    moved, boxes = zoomed(image, box, factor, np.random.default_rng(3))
    rows, columns = np.nonzero(moved[..., 0] > 0.75)
    assert boxes[0] == pytest.approx((columns.min(), rows.min(), columns.max() + 1, rows.max() + 1), abs=1.0)
    assert (moved == 0).any() == (factor < 1)
    assert moved.max() <= 1.0


def test_a_mosaic_holds_four_pieces_at_their_own_scale_with_their_boxes() -> None:
    rng = np.random.default_rng(0)
    parts = []
    for value in (0.1, 0.2, 0.3, 0.4):
        image = np.full((64, 64, 3), value, np.float32)
        image[30:34, 30:34] = value + 0.5
        parts.append((image, np.array([[30, 30, 34, 34]], np.float32)))
    picture, boxes = mosaic(parts, rng)
    assert {round(float(value), 1) for value in np.unique(picture)} >= {0.1, 0.2, 0.3, 0.4}
    assert len(boxes) == 4
    for x0, y0, x1, y1 in boxes.astype(int):
        assert (x1 - x0, y1 - y0) == (4, 4)
        assert picture[y0:y1, x0:x1].min() > 0.5


def test_boxes_that_a_piece_hardly_shows_are_no_labels() -> None:
    image = np.zeros((64, 64, 3), np.float32)
    wide = np.array([[0, 0, 64, 4]], np.float32)
    for seed in range(20):
        _, boxes = mosaic([(image, wide)] * 4, np.random.default_rng(seed))
        assert all((x1 - x0) * (y1 - y0) >= 0.39 * 64 * 4 for x0, y0, x1, y1 in boxes)


def test_an_epoch_is_the_same_again_and_another_one_is_not(tiles: TileSet) -> None:
    first, again, other = batches(tiles), batches(tiles), batches(tiles, epoch=1)
    assert [each["im_file"] for each in first] == [each["im_file"] for each in again]
    assert all(torch.equal(a["img"], b["img"]) for a, b in zip(first, again, strict=True))
    assert [each["im_file"] for each in first] != [each["im_file"] for each in other]
    assert sorted(name for each in first for name in each["im_file"]) == [
        f"{n:06d}.npy" for n in range(len(tiles))
    ]


def test_mosaics_stop_before_the_end(tiles: TileSet) -> None:
    recipe = replace(RECIPE, mosaic=1.0, zoom=0.0)
    data = Tiles(tiles, recipe=recipe, augmented=True)
    plain = {float(np.float64(tiles.read(index)).sum()).__round__(1) for index in range(len(tiles))}
    for epoch, expected in ((2, 0), (3, len(tiles))):
        data.start_epoch(epoch)
        sums = [round(float(data[index]["img"].double().sum() / SCALE), 1) for index in range(len(tiles))]
        assert sum(any(abs(each - known) < 0.5 for known in plain) for each in sums) == expected


def test_boxes_of_a_batch_belong_to_their_pictures(tiles: TileSet) -> None:
    data = Tiles(tiles, recipe=RECIPE, augmented=False)
    chosen = [data[index] for index in range(len(tiles))]
    batch = collate(chosen)
    counts = [len(tile.boxes) for tile in tiles.tiles]
    assert batch["batch_idx"].tolist() == [i for i, count in enumerate(counts) for _ in range(count)]
    assert batch["cls"].shape == (sum(counts), 1)
    assert batch["bboxes"].shape == (sum(counts), 4)
    assert 0 <= float(batch["bboxes"].min()) <= float(batch["bboxes"].max()) <= 1
