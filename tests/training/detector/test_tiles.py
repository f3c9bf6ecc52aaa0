from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from mammo.detector.normalise import find_breast, normalise
from mammo.detector.spec import DetectorSpec
from mammo.detector.tiling import cut_tile
from mammo.dicom import Mammogram
from mammo.errors import Cancelled, InvalidTrainingData
from mammo.geometry import Box, Spacing
from mammo.pixels import Pixels
from tests.training.detector_cases import case
from training.cases import Case, silent
from training.detector.false_alarms import FalseAlarmMiner
from training.detector.tiles import TileRules, TileSet, write_tiles

CLUSTER_BOX = Box(60, 200, 100, 250)
SIDE = 128


def cut(
    cases: list[Case],
    folder: Path,
    *,
    crops: int = 4,
    background: float = 0.3,
    seed: int = 0,
    key: str = "",
    false_alarms: FalseAlarmMiner | None = None,
) -> TileSet:
    return write_tiles(
        cases,
        folder,
        TileRules(
            side=SIDE,
            crops=crops,
            background=background,
            spacing_mm=DetectorSpec().spacing_mm,
            normalisation=DetectorSpec().normalisation,
            seed=seed,
        ),
        progress=silent,
        key=key,
        false_alarms=false_alarms,
    )


def with_boxes(tiles: TileSet) -> list[int]:
    return [index for index, tile in enumerate(tiles.tiles) if tile.boxes]


def test_every_cluster_gives_its_crops_and_background_fills_its_share(tmp_path: Path) -> None:
    tiles = cut([case(1, CLUSTER_BOX), case(2), case(3, CLUSTER_BOX)], tmp_path, crops=6)
    assert tiles.count("positive") == 12
    assert (
        6 <= tiles.count("hard") + tiles.count("background") <= 9
    )  # a normal image gives as much as one cluster
    assert tiles.count("hard") >= tiles.count("background")
    assert len(with_boxes(tiles)) == 12
    assert len(list(tmp_path.glob("*.npy"))) == len(tiles)


def test_a_label_encloses_the_specks_that_the_tile_shows(tmp_path: Path) -> None:
    tiles = cut([case(1, CLUSTER_BOX)], tmp_path, crops=8, background=0.0)
    assert len(tiles) == 8
    for index, tile in enumerate(tiles.tiles):
        ((x0, y0, x1, y1),) = tile.boxes
        assert (x1 - x0, y1 - y0) == (40, 50)
        rows, columns = np.nonzero(tiles.read(index)[..., 0] > 0.98)
        assert len(rows) > 20
        assert x0 <= columns.min() <= columns.max() < x1
        assert y0 <= rows.min() <= rows.max() < y1


def test_a_tile_holds_what_serving_computes_to_half_of_a_16_bit_step(tmp_path: Path) -> None:
    tiles = cut([case(1, CLUSTER_BOX)], tmp_path, crops=3)
    pixels = case(1, CLUSTER_BOX).read().pixels
    planes = normalise(pixels, find_breast(pixels), kind=DetectorSpec().normalisation, finer=1.0)
    rows, columns = planes.shape[1] - SIDE + 1, planes.shape[2] - SIDE + 1
    for index in range(len(tiles)):
        tile = tiles.read(index).transpose(2, 0, 1)
        corner = tile[0, :4, :4]
        places = (Box(x, y, x + SIDE, y + SIDE) for y in range(rows) for x in range(columns))
        fitting = [
            p for p in places if np.abs(planes[0, p.y0 : p.y0 + 4, p.x0 : p.x0 + 4] - corner).max() < 1e-4
        ]
        best = min(float(np.abs(cut_tile(planes, place) - tile).max()) for place in fitting)
        assert best <= 0.51 / 65535


def test_crops_of_one_cluster_lie_in_different_places(tmp_path: Path) -> None:
    tiles = cut([case(1, CLUSTER_BOX)], tmp_path, crops=8, background=0.0)
    assert len({tile.boxes for tile in tiles.tiles}) > 5


def test_background_tiles_hold_breast_and_no_cluster(tmp_path: Path) -> None:
    tiles = cut([case(1, CLUSTER_BOX), case(2)], tmp_path, crops=4, background=0.5)
    empty = [index for index, tile in enumerate(tiles.tiles) if not tile.boxes]
    assert empty
    for index in empty:
        grey = tiles.read(index)[..., 0]
        assert np.count_nonzero(grey > 0.98) < 30
        assert float((grey > 0.02).mean()) > 0.25


def test_a_false_alarm_of_the_start_model_becomes_a_hard_tile(tmp_path: Path) -> None:
    alarm = Box(150, 60, 170, 80)
    calls: list[tuple[Sequence[Box], Spacing | None]] = []

    def alarms(pixels: Pixels, taken: Sequence[Box], *, spacing: Spacing | None) -> list[Box]:
        calls.append((taken, spacing))
        return [alarm, CLUSTER_BOX]  # the second would put a cluster into an empty tile: it is passed over

    pixels = case(1, CLUSTER_BOX).read().pixels
    patch = normalise(pixels, find_breast(pixels), kind=DetectorSpec().normalisation, finer=1.0)[
        0, alarm.y0 : alarm.y1, alarm.x0 : alarm.x1
    ]
    tiles = cut([case(1, CLUSTER_BOX)], tmp_path, crops=4, background=0.5, false_alarms=alarms)
    assert calls == [([CLUSTER_BOX], None)]
    hard = [index for index, tile in enumerate(tiles.tiles) if tile.kind == "hard"]
    assert hard
    windows = np.lib.stride_tricks.sliding_window_view(tiles.read(hard[0])[..., 0], patch.shape)
    assert np.abs(windows - patch).max((2, 3)).min() < 1e-4
    assert all(not tiles.tiles[index].boxes for index in hard)


def test_false_alarms_are_looked_for_in_the_mammogram_as_serving_gets_it(tmp_path: Path) -> None:
    """Not in resampled pixels: those would get none of the noise that images made finer get."""
    flat = Spacing(0.07, 0.14, "imager")
    drawn = case(1, CLUSTER_BOX)
    mammogram = replace(drawn.read(), spacing=flat)
    alarm = Box(150, 60, 170, 80)
    calls: list[tuple[bool, Sequence[Box], Spacing | None]] = []

    def alarms(pixels: Pixels, taken: Sequence[Box], *, spacing: Spacing | None) -> list[Box]:
        calls.append((pixels is mammogram.pixels, taken, spacing))
        return [alarm]

    wide = replace(drawn, read=lambda: mammogram)
    tiles = cut([wide], tmp_path, crops=4, background=0.5, false_alarms=alarms)
    assert calls == [(True, [CLUSTER_BOX], flat)]
    pixels = cv2.resize(
        mammogram.pixels, (2 * mammogram.size.width, mammogram.size.height), interpolation=cv2.INTER_CUBIC
    ).clip(0, 1)
    planes = normalise(pixels, find_breast(pixels), kind=DetectorSpec().normalisation, finer=2.0)
    patch = planes[1, alarm.y0 : alarm.y1, 2 * alarm.x0 : 2 * alarm.x1]
    hard = next(index for index, tile in enumerate(tiles.tiles) if tile.kind == "hard")
    windows = np.lib.stride_tricks.sliding_window_view(tiles.read(hard)[..., 1], patch.shape)
    assert np.abs(windows - patch).max((2, 3)).min() < 1e-4


def test_a_film_scan_is_cut_at_the_spacing_that_the_detector_works_at(tmp_path: Path) -> None:
    plain = case(1, CLUSTER_BOX)
    film = replace(plain.read(), spacing=Spacing(0.14, 0.14, "scanned"))
    (tile,) = cut([replace(plain, read=lambda: film)], tmp_path, crops=1, background=0.0).tiles
    (box,) = tile.boxes
    assert box[2] - box[0] == min(2 * CLUSTER_BOX.width, SIDE)
    assert box[3] - box[1] == min(2 * CLUSTER_BOX.height, SIDE)


def test_tiles_are_cut_at_another_spacing_where_the_detector_works_at_one(tmp_path: Path) -> None:
    plain = case(1, CLUSTER_BOX)
    film = replace(plain.read(), spacing=Spacing(0.14, 0.14, "scanned"))
    tiles = write_tiles(
        [replace(plain, read=lambda: film)],
        tmp_path,
        TileRules(
            side=SIDE,
            crops=1,
            background=0.0,
            spacing_mm=0.14,
            normalisation=DetectorSpec().normalisation,
            seed=0,
        ),
        progress=silent,
    )
    (box,) = tiles.tiles[0].boxes
    assert (box[2] - box[0], box[3] - box[1]) == (CLUSTER_BOX.width, CLUSTER_BOX.height)


def test_the_same_seed_gives_the_same_tiles_and_another_seed_others(tmp_path: Path) -> None:
    cases = [case(1, CLUSTER_BOX), case(2)]
    first, again, other = (
        cut(cases, tmp_path / name, seed=seed) for name, seed in (("a", 1), ("b", 1), ("c", 2))
    )
    assert first.tiles == again.tiles
    assert first.tiles != other.tiles


def test_a_cluster_larger_than_the_tile_fills_it(tmp_path: Path) -> None:
    tiles = cut([case(1, Box(10, 20, 230, 400))], tmp_path, crops=3, background=0.0)
    for tile in tiles.tiles:
        ((x0, y0, x1, y1),) = tile.boxes
        assert x1 - x0 > 0.9 * SIDE
        assert y1 - y0 > 0.9 * SIDE


def test_a_cluster_at_the_border_of_the_image_is_cut_out_whole(tmp_path: Path) -> None:
    tiles = cut([case(1, Box(0, 0, 30, 40))], tmp_path, crops=4, background=0.0)
    for tile in tiles.tiles:
        ((x0, y0, x1, y1),) = tile.boxes
        assert (x1 - x0, y1 - y0) == (30, 40)


def test_tiles_of_the_same_key_are_used_again_and_of_another_cut_anew(tmp_path: Path) -> None:
    first = cut([case(1, CLUSTER_BOX)], tmp_path, key="one")
    assert cut([], tmp_path, key="one") == first
    assert len(cut([case(2)], tmp_path, key="two")) != len(first)


def test_a_cutting_that_was_stopped_half_way_starts_again(tmp_path: Path) -> None:
    def stop(fraction: float, message: str) -> None:
        if fraction > 0:
            raise Cancelled("stop")

    cases = [case(1, CLUSTER_BOX), case(2)]
    with pytest.raises(Cancelled):
        write_tiles(
            cases,
            tmp_path,
            TileRules(
                side=SIDE,
                crops=2,
                background=0.3,
                spacing_mm=DetectorSpec().spacing_mm,
                normalisation=DetectorSpec().normalisation,
                seed=0,
            ),
            progress=stop,
            key="one",
        )
    assert cut(cases, tmp_path, crops=2, key="one").tiles == cut(cases, tmp_path / "whole", crops=2).tiles


@pytest.mark.parametrize("damage", ["cut short", "one bit", "missing"])
def test_a_damaged_tile_is_an_error_that_names_it_and_the_remedy(tmp_path: Path, damage: str) -> None:
    tiles = cut([case(1, CLUSTER_BOX)], tmp_path)
    path = tmp_path / "000002.npy"
    if damage == "cut short":
        os.truncate(path, 1000)
    elif damage == "one bit":
        content = bytearray(path.read_bytes())
        content[5000] ^= 1
        path.write_bytes(content)
    else:
        path.unlink()
    with pytest.raises(InvalidTrainingData, match=r"000002\.npy is damaged .* start the run again") as error:
        tiles.read(2)
    assert error.value.code == "corrupt_tile"
    tiles.read(1)


def test_cases_without_any_cluster_give_no_tiles_of_their_own(tmp_path: Path) -> None:
    assert cut([case(1), case(2)], tmp_path).count("positive") == 0


def marked(plain: Case, *places: Box) -> Case:
    """The case with uncertain places of maximum brightness, so that a tile that shows one is recognised."""

    def read() -> Mammogram:
        mammogram = plain.read()
        pixels = mammogram.pixels.copy()
        for place in places:
            pixels[place.slices] = 1.0
        return replace(mammogram, pixels=pixels)

    return replace(plain, read=read, uncertain=places)


def places_of(tiles: TileSet, cluster: Box) -> list[Box]:
    """The places of a cluster's tiles in the image."""
    corners = ((cluster.x0 - tile.boxes[0][0], cluster.y0 - tile.boxes[0][1]) for tile in tiles.tiles)
    return [Box(x, y, x + SIDE, y + SIDE) for x, y in corners]


def test_a_tile_of_a_cluster_is_moved_off_a_place_that_only_a_point_marks(tmp_path: Path) -> None:
    place = Box(135, 180, 180, 260)
    before = cut([case(1, CLUSTER_BOX)], tmp_path / "before", crops=20, background=0.0)
    assert any(each.intersection(place) for each in places_of(before, CLUSTER_BOX))
    after = cut([marked(case(1, CLUSTER_BOX), place)], tmp_path / "after", crops=20, background=0.0)
    assert len(after) == 20
    assert not any(each.intersection(place) for each in places_of(after, CLUSTER_BOX))
    assert len(set(places_of(after, CLUSTER_BOX))) > 10, "moved to a random place, not to one and the same"


@pytest.mark.parametrize("place", [Box(110, 180, 160, 260), Box(80, 220, 90, 230), Box(0, 0, 240, 420)])
def test_a_cluster_that_shares_every_tile_with_a_marked_place_gives_none(tmp_path: Path, place: Box) -> None:
    cases = [marked(case(1, CLUSTER_BOX), place), case(2, CLUSTER_BOX)]
    assert cut(cases, tmp_path, crops=4, background=0.0).count("positive") == 4


@pytest.mark.parametrize("box", [None, CLUSTER_BOX], ids=["only a point", "beside a cluster"])
def test_no_tile_without_a_cluster_shows_a_marked_place(tmp_path: Path, box: Box | None) -> None:
    place = Box(120, 20, 170, 70)
    tiles = cut([marked(case(seed, box), place) for seed in range(1, 5)], tmp_path, crops=6, background=0.6)
    empty = [index for index, tile in enumerate(tiles.tiles) if tile.kind != "positive"]
    assert len(empty) > 10
    for index in empty:
        assert np.count_nonzero(tiles.read(index)[..., 0] > 0.98) < 30


def test_what_a_model_finds_where_only_a_point_is_marked_is_no_false_alarm(tmp_path: Path) -> None:
    place = Box(140, 50, 190, 100)
    calls: list[Sequence[Box]] = []

    def alarms(pixels: Pixels, taken: Sequence[Box], *, spacing: Spacing | None) -> list[Box]:
        calls.append(taken)
        return [Box(150, 60, 170, 80), Box(180, 90, 210, 120)]  # inside, and over its corner

    tiles = cut([marked(case(1, CLUSTER_BOX), place)], tmp_path, crops=6, background=0.5, false_alarms=alarms)
    assert calls == [[CLUSTER_BOX, place]]
    for index, tile in enumerate(tiles.tiles):
        if tile.kind == "hard":
            assert np.count_nonzero(tiles.read(index)[..., 0] > 0.98) < 30


def test_a_marked_place_is_seen_at_the_spacing_that_the_detector_works_at(tmp_path: Path) -> None:
    place = Box(70, 120, 90, 140)
    plain = case(1, Box(30, 100, 50, 125))

    def film() -> Mammogram:
        return replace(plain.read(), spacing=Spacing(0.14, 0.14, "scanned"))

    tiles = cut([replace(plain, read=film, uncertain=(place,))], tmp_path, crops=20, background=0.0)
    seen = Box(140, 240, 180, 280)
    assert len(tiles) == 20
    assert not any(each.intersection(seen) for each in places_of(tiles, Box(60, 200, 100, 250)))
