"""Views: random crops of a region as network input, jittered in place and scale, rotated and mirrored."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import numpy.typing as npt

from mammo.geometry import Box, Point, Size
from mammo.masks import Mask
from mammo.segmenter.config import MlsamConfig
from mammo.segmenter.planes import roi_input
from mammo.segmenter.roi import Level, Roi, roi_around

if TYPE_CHECKING:
    from training.segmenter.rois import TrainingRoi

_NO_PLANES: npt.NDArray[np.float32] = np.zeros((3, 0, 0), np.float32)

Scalar = TypeVar("Scalar", bound="np.generic[Any]")

JITTER = 0.1
"""Maximum offset of an edge of a box prompt, as a part of its side; about that of a detector's box."""

ZOOM = (0.7, 1.5)
"""Range of the factor on the crop's side, which covers the scales of serving."""

MAX_POINTS = 4
"""Maximum number of positive points of a prompt."""

ON_CALCIFICATION = 0.75
"""Share of the views at the calcification level that are centred on a calcification; the others are centred anywhere
in the cluster's box."""


@dataclass(frozen=True, eq=False)
class View:
    """One crop of a region; every coordinate is continuous in the input frame."""

    planes: npt.NDArray[np.float32]
    """3 x S x S, normalised; empty if the encoder's output is cached instead."""

    truth: npt.NDArray[np.bool_]
    """n x n native pixels of the crop: whether the lesion covers them. Not resampled to the input's or logits' grid."""

    box: tuple[float, float, float, float]
    """x0, y0, x1, y1 of the true lesion, or of a box without one."""

    bright: tuple[tuple[float, float], ...]
    """Specks, strongest first; only those on the lesion if there is one."""

    input_size: int
    """S."""

    @property
    def present(self) -> bool:
        """Whether there is a lesion."""
        return bool(self.truth.any())

    def covers(self, points: npt.NDArray[np.float32]) -> npt.NDArray[np.bool_]:
        """Whether the lesion covers the native pixels under K x 2 points of the input frame."""
        n = len(self.truth)
        columns, rows = np.clip((points * (n / self.input_size)).astype(np.intp), 0, n - 1).T
        covered: npt.NDArray[np.bool_] = self.truth[rows, columns]
        return covered


def jittered(box: Box, size: Size, rng: np.random.Generator) -> Box:
    """A box with each edge off by up to `JITTER` of its side."""
    dx, dy = rng.uniform(-JITTER, JITTER, (2, 2)) * ((box.width,), (box.height,))
    return Box.around(box.x0 + dx[0], box.y0 + dy[0], box.x1 + dx[1], box.y1 + dy[1]).within(size)


def draw_view(
    roi: TrainingRoi,
    rng: np.random.Generator,
    *,
    config: MlsamConfig,
    level: Level = "cluster",
    with_planes: bool = True,
) -> View:
    """Draw a random view of a region.

    At the calcification level the lesion is all calcifications of the cluster, and the box is that of one calcification
    or the part of the cluster's box in the tile.

    Args:
        with_planes: whether to compute the planes; the same generator state gives the same crop either way.

    Raises:
        ValueError: the calcification level of a region whose calcifications are unknown.
    """
    pixels = roi.pixels()
    size = Size(pixels.shape[1], pixels.shape[0])
    zoom = float(np.exp(rng.uniform(*np.log(ZOOM))))
    if level == "calcification":
        frame, box = _tile(roi, size, rng, config=config, zoom=zoom)
        lesion = roi.calcifications
    else:
        around = jittered(roi.box, size, rng)
        frame = roi_around(around, size, config=config, spacing=roi.spacing, zoom=zoom, snap=False)
        box, lesion = roi.box, roi.mask
    turns, mirrored = int(rng.integers(4)), bool(rng.integers(2))

    truth = np.zeros((frame.side, frame.side), np.bool_)
    if lesion is not None:
        part = lesion.within(frame.crop.intersection(_limits(box)) or frame.crop)
        if part is not None:
            Mask(part.bitmap, part.x0 - frame.crop.x0, part.y0 - frame.crop.y0).paste(truth)
    planes = roi_input(pixels, frame, channels=config.channels) if with_planes else _NO_PLANES
    bright = [
        frame.point_to_input(point)
        for point in roi.specks
        if frame.crop.contains(point) and (lesion is None or _on(truth, frame, point))
    ]
    corners = (*frame.to_input(box.x0, box.y0), *frame.to_input(box.x1, box.y1))
    view = View(planes, truth, corners, tuple(bright), config.input_size)
    return turned(view, quarter_turns=turns, mirrored=mirrored)


def _tile(
    roi: TrainingRoi, size: Size, rng: np.random.Generator, *, config: MlsamConfig, zoom: float
) -> tuple[Roi, Box]:
    """A random tile of the calcification level in a cluster, and the box of its prompt."""
    if roi.calcifications is None:
        raise ValueError("the calcifications of this region are not known")
    parts = roi.calcifications.components()
    calcification = parts[int(rng.integers(len(parts)))].frame
    anywhere = Point(int(rng.integers(roi.box.x0, roi.box.x1)), int(rng.integers(roi.box.y0, roi.box.y1)))
    centred, alone = rng.random() < ON_CALCIFICATION, rng.random() < 0.5
    shift = rng.uniform(-0.25, 0.25, 2) * config.input_size / 4
    middle = calcification if centred else Box(anywhere.x, anywhere.y, anywhere.x + 1, anywhere.y + 1)
    middle = middle.shifted(round(shift[0]), round(shift[1])).moved_into(size)
    frame = roi_around(
        middle, size, config=config, level="calcification", spacing=roi.spacing, zoom=zoom, snap=False
    )
    is_inside = frame.crop.intersection(calcification) == calcification
    if centred and alone and is_inside:
        return frame, calcification
    return frame, roi.box.intersection(frame.crop) or frame.crop


def _limits(box: Box) -> Box:
    """Where the truth of a prompt may lie: the box, dilated a little because annotators' boxes are sometimes tight."""
    return box.dilated(max(1, round(0.2 * max(box.width, box.height))))


def _on(truth: npt.NDArray[np.bool_], frame: Roi, point: Point) -> bool:
    return bool(truth[point.y - frame.crop.y0, point.x - frame.crop.x0])


def turned(view: View, *, quarter_turns: int, mirrored: bool) -> View:
    """Apply one of the eight symmetries of the square: mirror horizontally, then rotate counter-clockwise."""
    S = float(view.input_size)

    def turned_point(x: float, y: float) -> tuple[float, float]:
        if mirrored:
            x = S - x
        for _ in range(quarter_turns % 4):
            x, y = y, S - x
        return x, y

    (ax, ay), (bx, by) = turned_point(*view.box[:2]), turned_point(*view.box[2:])
    return View(
        planes=_turned_array(view.planes, quarter_turns, mirrored),
        truth=_turned_array(view.truth, quarter_turns, mirrored),
        box=(min(ax, bx), min(ay, by), max(ax, bx), max(ay, by)),
        bright=tuple(turned_point(x, y) for x, y in view.bright),
        input_size=view.input_size,
    )


def _turned_array(array: npt.NDArray[Scalar], quarter_turns: int, mirrored: bool) -> npt.NDArray[Scalar]:
    flipped = array[..., ::-1] if mirrored else array
    return np.ascontiguousarray(np.rot90(flipped, quarter_turns, axes=(-2, -1)))
