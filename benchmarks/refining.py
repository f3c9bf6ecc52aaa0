"""Correcting an outline by clicks: seconds on the server, and how near to the truth one click comes."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import cv2
import numpy as np
import torch

from backend.click import Step
from backend.refining import Target, refine
from benchmarks.result import Result, milliseconds
from mammo.dicom import Mammogram, read_mammogram, write_mammogram
from mammo.geometry import Point, Size
from mammo.labelstudio.drawn_findings import DrawnFinding
from mammo.masks import Mask
from mammo.models.starter_files import starter_files
from mammo.phantom import phantom_view, vendor_a
from mammo.pipeline import Prelabeller
from mammo.site import Site

SEEDS = range(9500, 9508)
SIZE = Size(1664, 2048)
TOO_MUCH_MM = 2.1
"""Radius of the disc that a too large outline has at its edge."""


def run() -> Result:
    torch.set_num_threads(2)
    prelabeller = Site.load().load_files(starter_files())
    seconds: dict[str, list[float]] = {"first click": [], "next click": []}
    overlaps: dict[str, list[tuple[float, float]]] = {"too large, one negative click": []}
    overlaps["too small, one positive click"] = []
    with tempfile.TemporaryDirectory() as folder:
        for seed in SEEDS:
            mammogram, truths, specks = _phantom(seed, Path(folder) / f"{seed}.dcm")
            for truth in truths:
                large, excess = _too_large(truth, mammogram)
                small, missed = _too_small(truth, specks)
                after = _timed(
                    large, Step((excess,), False), (), mammogram, prelabeller, seconds["first click"]
                )
                assert not after.holds(excess)
                assert after.area < large.area
                overlaps["too large, one negative click"].append((large.iou(truth), after.iou(truth)))
                if missed is None:
                    continue
                after = _timed(
                    small, Step((missed,), True), (), mammogram, prelabeller, seconds["next click"]
                )
                assert after.holds(missed)
                assert after.area > small.area
                overlaps["too small, one positive click"].append((small.iou(truth), after.iou(truth)))
    rows = [
        (name, f"{len(values)}", milliseconds(float(np.median(values))), milliseconds(max(values)), "", "")
        for name, values in seconds.items()
    ]
    for name, pairs in overlaps.items():
        before, after_all = zip(*pairs, strict=True)
        means = f"{np.mean(before):.3f} to {np.mean(after_all):.3f}"
        rows.append((name, f"{len(pairs)}", "", "", means, f"{min(before):.3f} to {min(after_all):.3f}"))
    return Result(
        title="Correcting an outline by one click",
        method=f"`make bench ARGS=refining`. True clusters of phantoms (seeds {SEEDS.start} to {SEEDS.stop - 1}) "
        f"with a disc of {TOO_MUCH_MM} mm too much, clicked in its middle, or without the half of a random side, "
        "clicked on a speck of it; the starter model, 2 threads, processor time of both, the image decoded, HTTP not "
        "counted. A first click embeds its region, a next one may reuse it. Every corrected outline follows its "
        "click (asserted).",
        columns=("what", "number", "median", "most", "mean IoU", "least IoU"),
        rows=rows,
    )


def _timed(
    mask: Mask,
    step: Step,
    earlier: tuple[Step, ...],
    mammogram: Mammogram,
    prelabeller: Prelabeller,
    seconds: list[float],
) -> Mask:
    finding = DrawnFinding(region={"id": "x"}, mask=mask, attributes=())
    began = time.process_time()
    refined = refine(
        Target(finding=finding, mask=mask, earlier=earlier, fresh=(step,)),
        mammogram=mammogram,
        prelabeller=prelabeller,
    )
    seconds.append(time.process_time() - began)
    return refined.mask


def _phantom(seed: int, file: Path) -> tuple[Mammogram, list[Mask], list[Point]]:
    drawn = phantom_view(seed, clusters=2, appearance=vendor_a(), width=SIZE.width, height=SIZE.height)
    write_mammogram(
        file,
        drawn.stored,
        laterality="L",
        view="CC",
        spacing_mm=drawn.spacing_mm,
        bits=drawn.bits,
        patient_id=f"PHANTOM-{seed}",
        entropy=str(seed),
    )
    specks = [Point(*map(int, speck.frame.centre)) for speck in drawn.calcifications]
    return read_mammogram(file), [each.mask for each in drawn.truth if each.mask is not None], specks


def _direction(truth: Mask) -> tuple[Point, np.ndarray]:
    """A point of the edge, the same for the same mask, and the direction of it from the middle."""
    edge = truth.outline()
    point = edge[truth.area % len(edge)]
    away = np.array([point.x, point.y]) - truth.frame.centre
    return point, away / np.linalg.norm(away)


def _too_large(truth: Mask, mammogram: Mammogram) -> tuple[Mask, Point]:
    assert mammogram.spacing is not None
    radius = mammogram.spacing.pixels(TOO_MUCH_MM)
    point, away = _direction(truth)
    x, y = (int(each) for each in np.array([point.x, point.y]) + 0.8 * radius * away)
    full = truth.full(SIZE)
    cv2.circle(full, (x, y), radius, 1, cv2.FILLED)
    mask = Mask.from_full(full)
    assert mask is not None
    return mask, Point(x, y)


def _too_small(truth: Mask, specks: list[Point]) -> tuple[Mask, Point | None]:
    _, away = _direction(truth)
    y, x = np.mgrid[: SIZE.height, : SIZE.width]
    middle = truth.frame.centre
    full = truth.full(SIZE)
    full[(x - middle[0]) * away[0] + (y - middle[1]) * away[1] > 0] = 0
    mask = Mask.from_full(full)
    assert mask is not None
    missed = [speck for speck in specks if truth.holds(speck) and not mask.holds(speck)]
    return mask, missed[-1] if missed else None
