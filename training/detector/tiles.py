"""Training tiles: 16-bit crops of the network's input planes at native resolution, with the boxes of their clusters.

Every cluster yields several crops, in which it lies at different places. Tiles without a cluster are of two kinds. Hard
tiles lie at false alarms of the start weights, or where the tissue has most specks; background tiles lie anywhere in
the breast. No tile of any kind shows a place where it is unknown whether there is a cluster (`Case.uncertain`).

    tiles/index.json     the tiles, with their clusters and the CRC-32 of their files
    tiles/000123.npy     3 planes as side x side x 3 uint16: plane = stored / 65535
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from mammo.atomic_files import replacing
from mammo.detector.normalise import Breast, Normalisation, Planes, find_breast, normalise
from mammo.detector.resample import resample, scale_to
from mammo.detector.tiling import MAX_PIXELS, cut_tile
from mammo.errors import InvalidTrainingData
from mammo.geometry import Box, Size
from training.cases import Case, Progress

if TYPE_CHECKING:  # brings torch in
    from training.detector.false_alarms import FalseAlarmMiner

FULL = 65535
"""Stored value of 1.0."""

Kind = Literal["positive", "hard", "background"]

MIN_VISIBLE = 0.4
"""Minimum part of a cluster (or of the tile, if it is smaller) that must lie inside a tile for a label."""

_MIN_BREAST = 0.3
"""Minimum share of breast in a tile without a cluster."""

_TRIES = 24
"""Random places tried per two tiles without a cluster."""

_SPECK = 180 / 255
"""Minimum value of a speck in the smooth-contrast plane: 5.5 standard deviations."""

_INDEX = "index.json"


@dataclass(frozen=True, kw_only=True)
class TileRules:
    """How tiles are cut. The same cases and rules give the same tiles."""

    side: int
    """Of a tile, in pixels."""

    crops: int
    """Tiles per cluster. Fewer, down to none, for a cluster beside an uncertain place."""

    background: float
    """Target share of tiles without a cluster, in [0, 1). A normal image yields as many as an image with one
    cluster."""

    spacing_mm: float
    """Pixel spacing of the network; images of another spacing are resampled to it."""

    normalisation: Normalisation
    """That of the network."""

    seed: int


@dataclass(frozen=True)
class Tile:
    """One tile."""

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
        """The planes of one tile: side x side x 3 float32 in [0, 1], within 1/131070 of those in serving.

        Raises:
            InvalidTrainingData: the file is missing or damaged (code `corrupt_tile`).
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
                f"training tile {path.name} is damaged or missing ({len(content)} bytes); the disk may be full or "
                f"failing: delete {self.folder.name} in the run's folder and start the run again",
                code="corrupt_tile",
            )
        stored = np.frombuffer(content, np.uint16, offset=len(content) - expected)
        return stored.reshape(self.side, self.side, 3) * np.float32(1 / FULL)


def write_tiles(
    cases: Sequence[Case],
    folder: Path,
    rules: TileRules,
    *,
    progress: Progress,
    key: str = "",
    replay: Iterator[Case] | None = None,
    false_alarms: FalseAlarmMiner | None = None,
) -> TileSet:
    """Cut the tiles of all cases; tiles of an earlier call with the same key are reused.

    Args:
        folder: receives the tiles.
        key: identifies all arguments; empty: never reuse tiles.
        replay: further cases, drawn while they are cut.
        false_alarms: finds the places of hard tiles; None: the places with most specks.
    """
    reusable = _read_index(folder, key) if key else None
    if reusable is not None:
        return reusable
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    (folder / _INDEX).unlink(missing_ok=True)
    cutter = _Cutter(folder, rules, false_alarms, np.random.default_rng(rules.seed))
    for number, case in enumerate(cases):
        progress(number / len(cases), f"cutting tiles, image {number + 1} of {len(cases)}")
        cutter.cut(case)
    for case in replay or ():
        progress(1.0, "cutting tiles of replayed phantoms")
        cutter.cut(case)
    tiles = TileSet(folder, rules.side, tuple(cutter.tiles))
    _write_index(tiles, key)
    return tiles


@dataclass
class _Cutter:
    """Cuts the tiles of one case after another."""

    folder: Path
    rules: TileRules
    false_alarms: FalseAlarmMiner | None
    rng: np.random.Generator

    def __post_init__(self) -> None:
        self.tiles: list[Tile] = []
        self.side = self.rules.side

    def cut(self, case: Case) -> None:
        mammogram = case.read()
        scale = scale_to(
            self.rules.spacing_mm, spacing=mammogram.spacing, size=mammogram.size, max_pixels=MAX_PIXELS
        )
        pixels = resample(mammogram.pixels, scale)  # as in serving
        breast = find_breast(pixels)
        planes = normalise(pixels, breast, kind=self.rules.normalisation, finer=max(scale.x, scale.y))
        size = Size(pixels.shape[1], pixels.shape[0])
        truth = [scale.resampled(finding.box) for finding in case.truth]
        uncertain = [scale.resampled(box) for box in case.uncertain]
        for box in truth:
            for _ in range(self.rules.crops):
                place = _around(box, size, self.side, self.rng, avoid=uncertain)
                if place is not None:
                    self._write(planes, place, truth, "positive")
        expected = self.rules.crops * max(len(truth), 1) * self.rules.background / (1 - self.rules.background)
        count = int(expected + self.rng.random())
        alarms: Sequence[Box] = ()
        if self.false_alarms:
            taken = [*(finding.box for finding in case.truth), *case.uncertain]
            # Of the mammogram itself, as in serving: the normalisation depends on how it is resampled.
            found = self.false_alarms(mammogram.pixels, taken, spacing=mammogram.spacing)
            alarms = [scale.resampled(box) for box in found]
        for place, kind in self._empty_places(planes, breast, [*truth, *uncertain], alarms, count):
            self._write(planes, place, truth, kind)

    def _empty_places(
        self, planes: Planes, breast: Breast, taken: Sequence[Box], alarms: Sequence[Box], count: int
    ) -> list[tuple[Box, Kind]]:
        """Places of tiles without a cluster: up to half of them hard, the others random.

        Args:
            taken: boxes that no tile may overlap: clusters, and boxes in which there may be one.
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
    """Convert 3 x H x W float32 in [0, 1] to H x W x 3 uint16, rounded to the nearest of 65536 levels."""
    return np.ascontiguousarray(np.rint(planes * np.float32(FULL)).astype(np.uint16).transpose(1, 2, 0))


def visible(truth: Sequence[Box], place: Box) -> Iterator[Box]:
    """The parts of the true boxes inside a tile, without those of which too little is visible (`MIN_VISIBLE`)."""
    for box in truth:
        common = box.intersection(place)
        if common is not None and common.area >= MIN_VISIBLE * min(box.area, place.area):
            yield common


def _around(box: Box, size: Size, side: int, rng: np.random.Generator, *, avoid: Sequence[Box]) -> Box | None:
    """A random place for a tile that contains a box, or lies within it if the box is larger.

    Args:
        avoid: boxes that the tile must not overlap.

    Returns:
        None if every such place overlaps one of them.
    """

    def starts(low: int, high: int) -> range:
        first, last = sorted((high - side, low))
        return range(first, last + 1)

    columns, rows = starts(box.x0, box.x1), starts(box.y0, box.y1)
    x0, y0 = int(rng.integers(columns.start, columns.stop)), int(rng.integers(rows.start, rows.stop))
    place = _placed(x0, y0, size, side)
    return place if _is_clear(place, avoid) else _clear_place(columns, rows, size, side, rng, avoid)


def _clear_place(
    columns: range, rows: range, size: Size, side: int, rng: np.random.Generator, avoid: Sequence[Box]
) -> Box | None:
    """A random one of the tile's places that overlap none of the boxes; None if there is none."""
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
    """A tile moved into the image; in an image smaller than a tile it sticks out on the right and below."""
    x0 = min(max(x0, 0), max(size.width - side, 0))
    y0 = min(max(y0, 0), max(size.height - side, 0))
    return Box(x0, y0, x0 + side, y0 + side)


def _random_places(
    breast: Breast, taken: Sequence[Box], size: Size, *, side: int, count: int, rng: np.random.Generator
) -> list[Box]:
    """Random places in the breast that overlap none of the taken boxes."""
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
    """Number of pixels that stand out from their surroundings."""
    return int(np.count_nonzero(cut_tile(planes, place)[2] >= _SPECK))


def _write_index(tiles: TileSet, key: str) -> None:
    content = {"key": key, "side": tiles.side, "tiles": [asdict(tile) for tile in tiles.tiles]}
    with replacing(tiles.folder / _INDEX) as part:
        part.write_text(json.dumps(content))


def _read_index(folder: Path, key: str) -> TileSet | None:
    """The tiles of a key; None unless all of them were cut."""
    try:
        content: dict[str, Any] = json.loads((folder / _INDEX).read_bytes())
    except (OSError, ValueError):
        return None
    if content["key"] != key:
        return None
    tiles = (Tile(t["name"], t["kind"], t["crc"], tuple(map(tuple, t["boxes"]))) for t in content["tiles"])
    return TileSet(folder, content["side"], tuple(tiles))
