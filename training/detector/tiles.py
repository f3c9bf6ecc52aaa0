"""Cases become training tiles: native-resolution crops of the network's input planes at 16 bits, and their boxes.

Every cluster gives several crops at different places of the tile. Tiles without a cluster are of two kinds: hard ones,
where the start model raised a false alarm or the tissue is richest in specks, and background as it comes. No tile of
any kind shows a place of which nobody can say whether a cluster is there (`Case.uncertain`).

    tiles/index.json     what each tile holds, and the CRC-32 of its pixels
    tiles/000123.npy     3 planes as side x side x 3 uint16: plane = stored / 65535
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
import numpy.typing as npt

from mammo.atomic_files import replacing
from mammo.detector.normalise import Breast, Planes, find_breast, normalise
from mammo.detector.resample import resample, scale_to
from mammo.detector.tiling import MAX_PIXELS, cut_tile
from mammo.errors import InvalidTrainingData
from mammo.geometry import Box, Size, Spacing
from mammo.pixels import Pixels
from training.cases import Case, Progress

FULL = 65535
"""Stored value of a plane's 1.0."""

Kind = Literal["positive", "hard", "background"]


class FalseAlarms(Protocol):
    """Where a model found a cluster in a case and there is none, worst first.

    `truth` holds also the boxes in which there may be one: what is found there is no false alarm.
    """

    def __call__(self, pixels: Pixels, truth: Sequence[Box], *, spacing: Spacing | None) -> Sequence[Box]: ...


MIN_VISIBLE = 0.4
"""A cluster cut by the tile is labelled when at least this part of it (or of the tile) is inside."""

_MIN_BREAST = 0.3
"""Background tiles hold at least this share of breast."""

_TRIES = 24
_SPECK = 180 / 255
"""From this level on, a pixel of the smooth-contrast plane is a speck: 5.5 standard deviations."""

_INDEX = "index.json"


@dataclass(frozen=True)
class Tile:
    """What is known of one tile."""

    name: str
    kind: Kind
    crc: int
    """CRC-32 of the file."""

    boxes: tuple[tuple[int, int, int, int], ...]
    """Clusters: x0, y0, x1, y1 in pixels of the tile, half open."""


@dataclass(frozen=True)
class TileSet:
    """Tiles on disk."""

    folder: Path
    side: int
    tiles: tuple[Tile, ...]

    def __len__(self) -> int:
        return len(self.tiles)

    def count(self, kind: Kind) -> int:
        return sum(tile.kind == kind for tile in self.tiles)

    def read(self, index: int) -> npt.NDArray[np.float32]:
        """The planes of one tile: side x side x 3 float32 in [0, 1], within 1/131070 of what serving computes.

        Raises:
            InvalidTrainingData: the file is missing or not the one that was written (code `corrupt_tile`).
        """
        tile = self.tiles[index]
        path = self.folder / f"{tile.name}.npy"
        try:
            content = path.read_bytes()
        except OSError:
            content = b""
        expected = self.side * self.side * 3 * 2
        if zlib.crc32(content) != tile.crc or len(content) < expected:
            raise InvalidTrainingData(
                f"training tile {path.name} is damaged or missing ({len(content)} bytes); its disk may be full or "
                f"failing: delete {self.folder.name} in the run's folder and start the run again",
                code="corrupt_tile",
            )
        stored = np.frombuffer(content, np.uint16, offset=len(content) - expected)
        return stored.reshape(self.side, self.side, 3) * np.float32(1 / FULL)


def write_tiles(
    cases: Sequence[Case],
    folder: Path,
    *,
    side: int,
    crops: int,
    background: float,
    seed: int,
    progress: Progress,
    spacing_mm: float,
    key: str = "",
    more: Iterator[Case] | None = None,
    false_alarms: FalseAlarms | None = None,
) -> TileSet:
    """Cut the tiles of all cases; tiles that were cut already for the same key are used again.

    Args:
        side: of a tile, in pixels.
        crops: tiles for every cluster; fewer, down to none, of one that lies beside an uncertain place.
        background: share of tiles without a cluster aimed at, in [0, 1); a normal image gives as many as one cluster.
        seed: the same cases, arguments and seed give the same tiles.
        spacing_mm: pixel spacing that the network works at; images of another one are resampled to it.
        key: names the arguments; empty: cut in any case.
        more: further cases, drawn while they are cut.
        false_alarms: gives the places of hard tiles; without it those richest in specks are taken.
    """
    known = _read_index(folder, key) if key else None
    if known is not None:
        return known
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    (folder / _INDEX).unlink(missing_ok=True)
    cutter = _Cutter(folder, side, crops, background, spacing_mm, false_alarms, np.random.default_rng(seed))
    for number, case in enumerate(cases):
        progress(number / len(cases), f"cutting tiles, image {number + 1} of {len(cases)}")
        cutter.cut(case)
    for case in more or ():
        progress(1.0, "cutting tiles of phantoms to remember")
        cutter.cut(case)
    result = TileSet(folder, side, tuple(cutter.tiles))
    _write_index(result, key)
    return result


@dataclass
class _Cutter:
    """Cuts case after case."""

    folder: Path
    side: int
    crops: int
    background: float
    spacing_mm: float
    false_alarms: FalseAlarms | None
    rng: np.random.Generator

    def __post_init__(self) -> None:
        self.tiles: list[Tile] = []

    def cut(self, case: Case) -> None:
        mammogram = case.read()
        scale = scale_to(
            self.spacing_mm, spacing=mammogram.spacing, size=mammogram.size, max_pixels=MAX_PIXELS
        )
        pixels = resample(mammogram.pixels, scale)  # as at work
        breast = find_breast(pixels)
        planes = normalise(pixels, breast)
        size = Size(pixels.shape[1], pixels.shape[0])
        truth = [scale.resampled(finding.box) for finding in case.truth]
        uncertain = [scale.resampled(box) for box in case.uncertain]
        for box in truth:
            for _ in range(self.crops):
                place = _around(box, size, self.side, self.rng, avoid=uncertain)
                if place is not None:
                    self._write(planes, place, truth, "positive")
        wanted = self.crops * max(len(truth), 1) * self.background / (1 - self.background)
        count = int(wanted + self.rng.random())
        alarms: Sequence[Box] = ()
        if self.false_alarms:
            alarms = self.false_alarms(pixels, [*truth, *uncertain], spacing=scale.spacing(mammogram.spacing))
        for place, kind in self._empty_places(planes, breast, [*truth, *uncertain], alarms, count):
            self._write(planes, place, truth, kind)

    def _empty_places(
        self, planes: Planes, breast: Breast, taken: Sequence[Box], alarms: Sequence[Box], count: int
    ) -> list[tuple[Box, Kind]]:
        """Up to half hard ones, the rest as they come.

        Args:
            taken: boxes that none of them meets: clusters, and where there may be one.
        """
        size = Size(planes.shape[2], planes.shape[1])
        num_hard = (count + 1) // 2
        mined = [_around(box, size, self.side, self.rng, avoid=()) for box in alarms[:num_hard]]
        hard = [place for place in mined if place is not None and _is_clear(place, taken)]
        random = _random_places(breast, taken, size, side=self.side, count=count, rng=self.rng)
        by_specks = sorted(random, key=lambda place: -_num_specks(planes, place))
        hard += by_specks[: num_hard - len(hard)]
        rest = [place for place in random if place not in hard][: count - len(hard)]
        return [*((place, "hard") for place in hard), *((place, "background") for place in rest)]

    def _write(self, planes: Planes, place: Box, truth: Sequence[Box], kind: Kind) -> None:
        name = f"{len(self.tiles):06d}"
        path = self.folder / f"{name}.npy"
        np.save(path, quantised(cut_tile(planes, place)), allow_pickle=False)
        boxes = tuple(box.shifted(-place.x0, -place.y0).as_tuple() for box in visible(truth, place))
        self.tiles.append(Tile(name, kind, zlib.crc32(path.read_bytes()), boxes))


def quantised(planes: Planes) -> npt.NDArray[np.uint16]:
    """3 x H x W float32 in [0, 1] as H x W x 3 uint16, to the nearest of 65536 levels."""
    return np.ascontiguousarray(np.rint(planes * np.float32(FULL)).astype(np.uint16).transpose(1, 2, 0))


def visible(truth: Sequence[Box], place: Box) -> Iterator[Box]:
    """The visible parts of those boxes that a tile shows enough of."""
    for box in truth:
        common = box.intersection(place)
        if common is not None and common.area >= MIN_VISIBLE * min(box.area, place.area):
            yield common


def _around(box: Box, size: Size, side: int, rng: np.random.Generator, *, avoid: Sequence[Box]) -> Box | None:
    """A random place of the tile that holds the whole box; a part of the box where it is larger.

    Args:
        avoid: boxes that the tile must not meet; None where it cannot but meet one.
    """

    def starts(low: int, high: int) -> range:
        first, last = sorted((high - side, low))
        return range(first, last + 1)

    columns, rows = starts(box.x0, box.x1), starts(box.y0, box.y1)
    x0, y0 = int(rng.integers(columns.start, columns.stop)), int(rng.integers(rows.start, rows.stop))
    place = _placed(x0, y0, size, side)
    return place if _is_clear(place, avoid) else _moved_off(columns, rows, size, side, rng, avoid)


def _moved_off(
    columns: range, rows: range, size: Size, side: int, rng: np.random.Generator, avoid: Sequence[Box]
) -> Box | None:
    """A random one of the tile's places that meet none of those boxes; None where there is none."""
    x0 = np.clip(np.asarray(columns), 0, max(size.width - side, 0))
    y0 = np.clip(np.asarray(rows), 0, max(size.height - side, 0))
    clear = np.ones((len(y0), len(x0)), np.bool_)
    for box in avoid:
        across = (x0 < box.x1) & (x0 + side > box.x0)
        down = (y0 < box.y1) & (y0 + side > box.y0)
        clear &= ~(down[:, None] & across[None, :])
    places = np.flatnonzero(clear)
    if not len(places):
        return None
    row, column = divmod(int(rng.choice(places)), len(x0))
    return _placed(int(x0[column]), int(y0[row]), size, side)


def _placed(x0: int, y0: int, size: Size, side: int) -> Box:
    """A tile moved into the image; only an image smaller than a tile lets it stick out, on the right and below."""
    x0 = min(max(x0, 0), max(size.width - side, 0))
    y0 = min(max(y0, 0), max(size.height - side, 0))
    return Box(x0, y0, x0 + side, y0 + side)


def _random_places(
    breast: Breast, taken: Sequence[Box], size: Size, *, side: int, count: int, rng: np.random.Generator
) -> list[Box]:
    """Places in the breast that meet none of the taken boxes."""
    places = []
    for _ in range(_TRIES * max(1, count // 2)):
        x = int(rng.integers(breast.box.x0 - side // 2, breast.box.x1 - side // 2 + 1))
        y = int(rng.integers(breast.box.y0 - side // 2, breast.box.y1 - side // 2 + 1))
        place = _placed(x, y, size, side)
        if _is_clear(place, taken) and breast.coverage(place.within(size)) >= _MIN_BREAST:
            places.append(place)
    return places


def _is_clear(place: Box, taken: Sequence[Box]) -> bool:
    return all(place.intersection(box) is None for box in taken)


def _num_specks(planes: Planes, place: Box) -> int:
    """Pixels that stand out of their surroundings."""
    return int(np.count_nonzero(cut_tile(planes, place)[2] >= _SPECK))


def _write_index(tiles: TileSet, key: str) -> None:
    content = {"key": key, "side": tiles.side, "tiles": [asdict(tile) for tile in tiles.tiles]}
    with replacing(tiles.folder / _INDEX) as part:
        part.write_text(json.dumps(content))


def _read_index(folder: Path, key: str) -> TileSet | None:
    """The tiles of this key, when all of them were cut."""
    try:
        content: dict[str, Any] = json.loads((folder / _INDEX).read_bytes())
    except (OSError, ValueError):
        return None
    if content["key"] != key:
        return None
    tiles = (Tile(t["name"], t["kind"], t["crc"], tuple(map(tuple, t["boxes"]))) for t in content["tiles"])
    return TileSet(folder, content["side"], tuple(tiles))
