"""Small mammograms with one disc-shaped cluster of specks each."""

from pathlib import Path

import numpy as np

from mammo.dicom import Mammogram
from mammo.findings import CLUSTER, Finding
from mammo.geometry import Box, Point, Size
from mammo.masks import Mask
from training.cases import Case
from training.segmenter.rois import TrainingRoi


def disc(x: int, y: int, radius: int, size: Size) -> Mask:
    rows, columns = np.mgrid[: size.height, : size.width]
    mask = Mask.from_full((rows - y) ** 2 + (columns - x) ** 2 <= radius**2)
    assert mask is not None
    return mask


CENTRE, SIZE = Point(150, 120), Size(300, 260)


def mammogram(seed: int) -> Mammogram:
    rng = np.random.default_rng(seed)
    pixels = rng.normal(0.4, 0.01, (SIZE.height, SIZE.width))
    for x, y in rng.integers(-10, 10, (6, 2)):
        pixels[CENTRE.y + y : CENTRE.y + y + 3, CENTRE.x + x : CENTRE.x + x + 3] += 0.3
    return Mammogram(
        pixels=pixels.clip(0, 1).astype(np.float32),
        spacing=None,
        laterality=None,
        view=None,
        patient=None,
        sha256=f"{seed:064x}",
        depth=12,
    )


def case(seed: int, *, masked: bool = True, positive: bool = True) -> Case:
    mask = disc(CENTRE.x, CENTRE.y, 16, SIZE)
    finding = Finding(label=CLUSTER, score=1.0, box=mask.box or SIZE.box, mask=mask if masked else None)
    return Case(
        image=f"{seed:064x}",
        patient=f"patient-{seed}",
        read=lambda: mammogram(seed),
        truth=(finding,) if positive else (),
    )


def region(folder: Path, *, seed: int = 0) -> TrainingRoi:
    """A region of 200 x 200 pixels with its cluster off the middle: box (60, 80) to (101, 105)."""
    mask = Mask(np.ones((25, 41), np.bool_), 60, 80)
    pixels = np.random.default_rng(seed).normal(0.4, 0.01, (200, 200)).astype(np.float32)
    pixels[85:88, 70:73] += 0.3
    pixels[95:98, 90:93] += 0.2
    file = folder / "region.npy"
    np.save(file, pixels)
    return TrainingRoi(
        file=file,
        image="0",
        patient="p",
        kind="cluster",
        box=Box(60, 80, 101, 105),
        mask=mask,
        specks=(Point(71, 86), Point(91, 96)),
        calcifications=Mask.from_full(pixels > 0.5),
        spacing=None,
    )
