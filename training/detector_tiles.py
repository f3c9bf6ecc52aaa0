"""Cases become training tiles: native-resolution crops of the network's input planes, as PNG with YOLO labels.

Every cluster gives several crops at different places of the tile. Background tiles come from the breast away from
any cluster; half of them are those richest in specks, the false positives a detector would make.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from mammo.detector.normalise import Breast, Planes, find_breast, normalise
from mammo.detector.tiling import cut_tile
from mammo.geometry import Box, Size
from training.cases import Case, Progress

_MIN_VISIBLE = 0.4
"""A cluster cut by the tile is labelled when at least this part of it (or of the tile) is inside."""

_MIN_BREAST = 0.3
"""Background tiles hold at least this share of breast."""

_TRIES = 24
_SPECK = 180 / 255
"""From this value on, a pixel of the smooth-contrast plane is a speck: 5.5 standard deviations."""


@dataclass(frozen=True)
class TileSet:
    """Tiles on disk: `folder/images/*.png` with `folder/labels/*.txt`."""

    folder: Path
    num_positive: int
    num_background: int


def write_tiles(
    cases: Sequence[Case],
    folder: Path,
    *,
    side: int,
    crops: int,
    background: float,
    seed: int,
    progress: Progress,
) -> TileSet:
    """Cut the tiles of all cases.

    Args:
        side: of a tile, in pixels.
        crops: tiles for every cluster.
        background: share of background tiles aimed at, in [0, 1).
        seed: the same cases, arguments and seed give the same tiles.
    """
    images, labels = folder / "images", folder / "labels"
    images.mkdir(parents=True, exist_ok=True)
    labels.mkdir(exist_ok=True)
    rng = np.random.default_rng(seed)
    wanted = crops * sum(len(case.truth) for case in cases)
    empty_per_case = -(-round(wanted * background / (1 - background)) // max(len(cases), 1))
    counts = {True: 0, False: 0}
    for number, case in enumerate(cases):
        progress(number / len(cases), f"cutting tiles, image {number + 1} of {len(cases)}")
        pixels = case.read().pixels
        breast = find_breast(pixels)
        planes = normalise(pixels, breast)
        size = Size(planes.shape[2], planes.shape[1])
        truth = [finding.box for finding in case.truth]
        places = [_around(box, size, side, rng) for box in truth for _ in range(crops)]
        places += _background(planes, breast, truth, side=side, count=empty_per_case, rng=rng)
        for place in places:
            boxes = list(_visible(truth, place))
            name = f"{sum(counts.values()):06d}"
            tile = np.rint(cut_tile(planes, place)[::-1] * 255).astype(np.uint8)  # OpenCV's order of planes;
            tile = np.ascontiguousarray(tile.transpose(1, 2, 0))  # ultralytics turns it back
            cv2.imwrite(str(images / f"{name}.png"), tile, [cv2.IMWRITE_PNG_COMPRESSION, 1])
            (labels / f"{name}.txt").write_text("".join(_label(box, place) for box in boxes))
            counts[bool(boxes)] += 1
    return TileSet(folder, counts[True], counts[False])


def _around(box: Box, size: Size, side: int, rng: np.random.Generator) -> Box:
    """A random place of the tile that holds the whole box; the middle of the box where it is larger."""

    def start(low: int, high: int) -> int:
        first, last = sorted((high - side, low))
        return int(rng.integers(first, last + 1))

    x0, y0 = start(box.x0, box.x1), start(box.y0, box.y1)
    return _placed(x0, y0, size, side)


def _placed(x0: int, y0: int, size: Size, side: int) -> Box:
    """A tile moved into the image; only an image smaller than a tile lets it stick out, on the right and below."""
    x0 = min(max(x0, 0), max(size.width - side, 0))
    y0 = min(max(y0, 0), max(size.height - side, 0))
    return Box(x0, y0, x0 + side, y0 + side)


def _background(
    planes: Planes,
    breast: Breast,
    truth: Sequence[Box],
    *,
    side: int,
    count: int,
    rng: np.random.Generator,
) -> list[Box]:
    """Places without any cluster: half the richest in specks among random ones, half as they come."""
    size = Size(planes.shape[2], planes.shape[1])
    places = []
    for _ in range(_TRIES * max(1, count // 2)):
        x = int(rng.integers(breast.box.x0 - side // 2, breast.box.x1 - side // 2 + 1))
        y = int(rng.integers(breast.box.y0 - side // 2, breast.box.y1 - side // 2 + 1))
        place = _placed(x, y, size, side)
        clear = all(place.intersection(box) is None for box in truth)
        if clear and breast.share(place.within(size)) >= _MIN_BREAST:
            places.append(place)
    hardest = sorted(places, key=lambda place: -_num_specks(planes, place))[: (count + 1) // 2]
    rest = [place for place in places if place not in hardest]
    return [*hardest, *rest[: count - len(hardest)]]


def _num_specks(planes: Planes, place: Box) -> int:
    """Pixels that stand out of their surroundings."""
    return int(np.count_nonzero(cut_tile(planes, place)[2] >= _SPECK))


def _visible(truth: Sequence[Box], place: Box) -> Iterator[Box]:
    for box in truth:
        common = box.intersection(place)
        if common is not None and common.area >= _MIN_VISIBLE * min(box.area, place.area):
            yield common


def _label(box: Box, place: Box) -> str:
    """One line of a YOLO label file: class, centre and size as parts of the tile."""
    x, y = box.centre
    numbers = (
        (x - place.x0) / place.width,
        (y - place.y0) / place.height,
        box.width / place.width,
        box.height / place.height,
    )
    return "0 " + " ".join(f"{number:.6f}" for number in numbers) + "\n"
