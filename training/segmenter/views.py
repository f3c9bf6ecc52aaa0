"""Views: one crop of a region as the network sees it, jittered in place and scale, turned and mirrored."""

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

_NONE: npt.NDArray[np.float32] = np.zeros((3, 0, 0), np.float32)

Scalar = TypeVar("Scalar", bound="np.generic[Any]")

JITTER = 0.1
"""Each edge of a box prompt is off by up to this part of the side, as a detector's box is."""

ZOOM = (0.7, 1.5)
"""Range of the factor on the crop's side: the scales that serving may meet."""

MAX_POINTS = 4
"""Point prompts of one sample, at most."""

ON_A_SPECK = 0.75
"""Share of the calcification level's views whose middle is a calcification; the others lie anywhere in the cluster."""


@dataclass(frozen=True, eq=False)
class View:
    """One crop of a region; every coordinate is continuous in the input frame."""

    planes: npt.NDArray[np.float32]
    """3 x S x S, normalised; empty where the encoder's output is kept instead."""

    truth: npt.NDArray[np.bool_]
    """n x n native pixels of the crop, set where the lesion is: never averaged to the input's or the logits' grid."""

    box: tuple[float, float, float, float]
    """x0, y0, x1, y1 of the true lesion, or of the box that holds none."""

    bright: tuple[tuple[float, float], ...]
    """Specks, strongest first; on the lesion where there is one."""

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
        found: npt.NDArray[np.bool_] = self.truth[rows, columns]
        return found


def jittered(box: Box, size: Size, rng: np.random.Generator) -> Box:
    """A box whose edges are each off by up to `JITTER` of its side."""
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
    """A random crop; the same generator state gives the same crop with and without its planes.

    At the calcification level the lesion is every calcification in the tile, and the box is either the cluster's part
    in the tile or that of one calcification.

    Raises:
        ValueError: the calcification level of a region whose calcifications are not known.
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
    planes = roi_input(pixels, frame, channels=config.channels) if with_planes else _NONE
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
    """A tile of the calcification level in a cluster, and the box of its prompt."""
    if roi.calcifications is None:
        raise ValueError("the calcifications of this region are not known")
    parts = roi.calcifications.components()
    one = parts[int(rng.integers(len(parts)))].frame
    anywhere = Point(int(rng.integers(roi.box.x0, roi.box.x1)), int(rng.integers(roi.box.y0, roi.box.y1)))
    on_one, alone = rng.random() < ON_A_SPECK, rng.random() < 0.5
    shift = rng.uniform(-0.25, 0.25, 2) * config.input_size / 4
    middle = one if on_one else Box(anywhere.x, anywhere.y, anywhere.x + 1, anywhere.y + 1)
    middle = middle.shifted(round(shift[0]), round(shift[1])).moved_into(size)
    frame = roi_around(
        middle, size, config=config, level="calcification", spacing=roi.spacing, zoom=zoom, snap=False
    )
    whole = roi.box.intersection(frame.crop) or frame.crop
    box = one if on_one and alone and frame.crop.intersection(one) == one else whole
    return frame, box


def _limits(box: Box) -> Box:
    """Where the truth of a prompt may lie: the box, a little grown for what an annotator's box cut off."""
    return box.dilated(max(1, round(0.2 * max(box.width, box.height))))


def _on(truth: npt.NDArray[np.bool_], frame: Roi, point: Point) -> bool:
    return bool(truth[point.y - frame.crop.y0, point.x - frame.crop.x0])


def turned(view: View, *, quarter_turns: int, mirrored: bool) -> View:
    """One of the eight symmetries of the square: mirrored left to right, then turned counter-clockwise."""
    S = float(view.input_size)

    def moved(x: float, y: float) -> tuple[float, float]:
        if mirrored:
            x = S - x
        for _ in range(quarter_turns % 4):
            x, y = y, S - x
        return x, y

    (ax, ay), (bx, by) = moved(*view.box[:2]), moved(*view.box[2:])
    return View(
        planes=_turned(view.planes, quarter_turns, mirrored),
        truth=_turned(view.truth, quarter_turns, mirrored),
        box=(min(ax, bx), min(ay, by), max(ax, bx), max(ay, by)),
        bright=tuple(moved(x, y) for x, y in view.bright),
        input_size=view.input_size,
    )


def _turned(array: npt.NDArray[Scalar], quarter_turns: int, mirrored: bool) -> npt.NDArray[Scalar]:
    flipped = array[..., ::-1] if mirrored else array
    return np.ascontiguousarray(np.rot90(flipped, quarter_turns, axes=(-2, -1)))
