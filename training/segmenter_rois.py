"""Training regions: cut once per case, then seen in many jittered views and under many prompts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from mammo.geometry import Box, Size
from mammo.masks import Mask
from mammo.prompts import robust_points
from mammo.segmenter.config import MlsamConfig
from mammo.segmenter.network import BOTTOM_RIGHT, NEGATIVE, PADDING, POSITIVE, TOP_LEFT
from mammo.segmenter.planes import roi_input
from mammo.segmenter.roi import Pixels, Roi, dilated, roi_around
from training.cases import Case, Progress, silent

JITTER = 0.1
"""Each edge of a box prompt is off by up to this part of the side, as a detector's box is."""

ZOOM = (0.7, 1.5)
"""Range of the factor on the crop's side: the scales that serving may meet."""

MOST_POINTS = 4
"""Point prompts of one sample, at most."""

TOKENS = MOST_POINTS + 1 + 2
"""Prompt tokens of one sample: positive points, one negative point, two box corners; the rest is padding."""


@dataclass(frozen=True, eq=False)
class TrainingRoi:
    """One cluster with surroundings wide enough for every jittered view; frame: the cut-out."""

    file: Path
    """Where its pixels are, H x W float32, as a `.npy` file that is read through the page cache."""

    image: str
    """SHA-256 of the mammogram."""

    patient: str
    """Patient key."""

    box: Box
    """The cluster's box as the annotator drew it, or that of the mask."""

    mask: Mask
    """The cluster's pixels."""

    def pixels(self) -> Pixels:
        """The cut-out, in [0, 1], not copied into memory."""
        loaded: Pixels = np.load(self.file, mmap_mode="r", allow_pickle=False)
        return loaded


@dataclass(frozen=True, eq=False)
class View:
    """One crop of a region, as the network sees it; every coordinate is continuous in the input frame."""

    planes: npt.NDArray[np.float32]
    """3 x S x S, normalised."""

    target: npt.NDArray[np.float32]
    """S x S in [0, 1]: the part of each input pixel that the cluster covers."""

    box: tuple[float, float, float, float]
    """x0, y0, x1, y1 of the true cluster."""

    bright: tuple[tuple[float, float], ...]
    """Specks of the cluster, strongest first; inside the target."""


def cut_rois(
    cases: Sequence[Case], folder: Path, *, config: MlsamConfig, progress: Progress = silent
) -> list[TrainingRoi]:
    """Read every case once and keep what is around its clusters; findings without a mask teach no segmenter.

    Args:
        folder: receives one file per cluster; created when missing.
    """
    folder.mkdir(parents=True, exist_ok=True)
    rois: list[TrainingRoi] = []
    for number, case in enumerate(cases):
        progress(number / max(1, len(cases)), f"reading mammogram {number + 1} of {len(cases)}")
        findings = [finding for finding in case.truth if finding.mask is not None]
        if not findings:
            continue
        mammogram = case.read()
        for finding in findings:
            assert finding.mask is not None
            file = folder / f"{len(rois):05}.npy"
            box = finding.mask.box
            if box is None:
                continue
            side = round(max(config.input_size, 2 * ZOOM[1] * max(box.width, box.height)) * (1 + 2 * JITTER))
            x, y = box.centre
            cut = Box.centred(x, y, width=side, height=side).moved_into(mammogram.size)
            np.save(file, np.ascontiguousarray(mammogram.pixels[cut.slices], dtype=np.float32))
            rois.append(
                TrainingRoi(
                    file=file,
                    image=case.image,
                    patient=case.patient,
                    box=box.shifted(-cut.x0, -cut.y0),
                    mask=Mask(finding.mask.bitmap, finding.mask.x0 - cut.x0, finding.mask.y0 - cut.y0),
                )
            )
    return rois


def jittered(box: Box, size: Size, rng: np.random.Generator) -> Box:
    """A box whose edges are each off by up to `JITTER` of its side."""
    dx, dy = rng.uniform(-JITTER, JITTER, (2, 2)) * ((box.width,), (box.height,))
    return Box.around(box.x0 + dx[0], box.y0 + dy[0], box.x1 + dx[1], box.y1 + dy[1]).within(size)


def draw_view(roi: TrainingRoi, rng: np.random.Generator, *, config: MlsamConfig) -> View:
    """A random crop: centre and scale jittered, turned and mirrored at random."""
    pixels = roi.pixels()
    size = Size(pixels.shape[1], pixels.shape[0])
    frame = roi_around(
        jittered(roi.box, size, rng),
        size,
        config=config,
        zoom=float(np.exp(rng.uniform(*np.log(ZOOM)))),
        snap=False,
    )
    planes = roi_input(pixels, frame, channels=config.channels)
    specks = robust_points(pixels, roi.box, count=2 * MOST_POINTS, spacing=4)
    truth = roi.mask.full(size)
    bright = [frame.point_to_input(p) for p in specks if truth[p.y, p.x] and frame.crop.contains(p)]
    corners = (*frame.to_input(roi.box.x0, roi.box.y0), *frame.to_input(roi.box.x1, roi.box.y1))
    view = View(planes, _target(truth, frame), corners, tuple(bright))
    return turned(view, quarter_turns=int(rng.integers(4)), mirrored=bool(rng.integers(2)))


def _target(truth: npt.NDArray[np.uint8], frame: Roi) -> npt.NDArray[np.float32]:
    crop = np.ascontiguousarray(truth[frame.crop.slices], dtype=np.float32)
    if frame.scale < 1:
        width, height = (max(1, round(n * frame.scale)) for n in (frame.crop.width, frame.crop.height))
        crop = cv2.resize(crop, (width, height), interpolation=cv2.INTER_AREA)  # type: ignore[assignment]
    out = np.zeros((frame.input_size, frame.input_size), np.float32)
    out[: crop.shape[0], : crop.shape[1]] = crop
    return out


def turned(view: View, *, quarter_turns: int, mirrored: bool) -> View:
    """One of the eight symmetries of the square: mirrored left to right, then turned counter-clockwise."""
    S = float(view.target.shape[-1])

    def moved(x: float, y: float) -> tuple[float, float]:
        if mirrored:
            x = S - x
        for _ in range(quarter_turns % 4):
            x, y = y, S - x
        return x, y

    def array(a: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        flipped = a[..., ::-1] if mirrored else a
        return np.ascontiguousarray(np.rot90(flipped, quarter_turns, axes=(-2, -1)))

    (ax, ay), (bx, by) = moved(*view.box[:2]), moved(*view.box[2:])
    return View(
        planes=array(view.planes),
        target=array(view.target),
        box=(min(ax, bx), min(ay, by), max(ax, bx), max(ay, by)),
        bright=tuple(moved(x, y) for x, y in view.bright),
    )


def draw_prompt(
    view: View, rng: np.random.Generator
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]:
    """A random prompt: half a box, three tenths a box with bright points, one fifth points alone.

    Returns:
        TOKENS x 2 coordinates and TOKENS labels, padded; a box is jittered and dilated as in serving.
    """
    kind = rng.choice(3, p=(0.5, 0.3, 0.2)) if view.bright else 0
    coordinates: list[tuple[float, float]] = []
    labels: list[int] = []
    if kind > 0:
        count = int(rng.integers(1, min(MOST_POINTS, len(view.bright)) + 1))
        coordinates += [view.bright[i] for i in rng.permutation(len(view.bright))[:count]]
        labels += [POSITIVE] * count
    if rng.random() < 0.15:
        outside = _outside(view, rng)
        if outside is not None:
            coordinates.append(outside)
            labels.append(NEGATIVE)
    if kind < 2:
        x0, y0, x1, y1 = view.box
        whole = Box.around(x0, y0, x1, y1)
        off = rng.uniform(-JITTER, JITTER, 4) * (whole.width, whole.height, whole.width, whole.height)
        grown = dilated(Box.around(x0 + off[0], y0 + off[1], x1 + off[2], y1 + off[3]))
        coordinates += [(grown.x0, grown.y0), (grown.x1, grown.y1)]
        labels += [TOP_LEFT, BOTTOM_RIGHT]
    missing = TOKENS - len(labels)
    coordinates += [(0.0, 0.0)] * missing
    labels += [PADDING] * missing
    return np.asarray(coordinates, np.float32), np.asarray(labels, np.int64)


def _outside(view: View, rng: np.random.Generator) -> tuple[float, float] | None:
    """A place near the cluster that is not part of it."""
    x0, y0, x1, y1 = view.box
    S = view.target.shape[-1]
    for _ in range(8):
        x = rng.uniform(x0 - 0.2 * (x1 - x0), x1 + 0.2 * (x1 - x0))
        y = rng.uniform(y0 - 0.2 * (y1 - y0), y1 + 0.2 * (y1 - y0))
        if 0 <= x < S and 0 <= y < S and view.target[int(y), int(x)] == 0:
            return float(x), float(y)
    return None
