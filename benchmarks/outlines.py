"""Outlines of predicted clusters: vertices and overlap, by the tolerance of the simplification."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from benchmarks.result import Result
from mammo.dicom import Mammogram, read_mammogram, write_mammogram
from mammo.geometry import Size
from mammo.masks import Mask
from mammo.masks.outlines import FINE_IOU, MIN_IOU, TARGET_VERTICES, mask_outline
from mammo.masks.polygons import Vertices, polygon_mask
from mammo.models.starter_files import starter_files
from mammo.phantom import phantom_view, vendor_a
from mammo.site import Site

CLUSTERS = 50
FIRST_SEED = 9400
SIZE = Size(1664, 2048)


def run() -> Result:
    masks = list(_predicted())
    rows = []
    for name, make in {
        "1 px (baseline)": lambda mask: _at(mask, 1.0),
        "1.5 px": lambda mask: _at(mask, 1.5),
        "2 px": lambda mask: _at(mask, 2.0),
        "16 vertices, evenly spaced": _even,
        f"largest with IoU {MIN_IOU}": lambda mask: mask_outline(
            mask, size=SIZE, min_part=0, min_iou=MIN_IOU, target_vertices=None
        ),
        f"the same, then {TARGET_VERTICES} vertices if they reach it (adopted)": lambda mask: mask_outline(
            mask, size=SIZE, min_part=0, min_iou=MIN_IOU, target_vertices=TARGET_VERTICES
        ),
        f"largest with IoU {FINE_IOU}": lambda mask: mask_outline(
            mask, size=SIZE, min_part=0, min_iou=FINE_IOU, target_vertices=None
        ),
    }.items():
        began = time.perf_counter()
        outlines = [make(mask) for mask in masks]
        seconds = (time.perf_counter() - began) / len(masks)
        counts = np.array([len(outline) for outline in outlines])
        overlaps = [
            drawn.iou(mask) if (drawn := polygon_mask(outline, size=SIZE)) else 0.0
            for outline, mask in zip(outlines, masks, strict=True)
        ]
        rows.append(
            (
                name,
                f"{counts.min()}, {np.median(counts):.0f}, {counts.max()}",
                f"{(counts <= TARGET_VERTICES).sum()} of {len(masks)}",
                f"{np.median(overlaps):.3f}",
                f"{min(overlaps):.3f}",
                f"{seconds * 1000:.1f} ms",
            )
        )
    return Result(
        title="Outlines of predicted clusters",
        method=f"`make bench ARGS=outlines`. Largest component of {len(masks)} masks of the starter model on phantoms "
        f"(seeds from {FIRST_SEED}), holes filled; tolerance of Douglas and Peucker's simplification.",
        columns=(
            "tolerance",
            "vertices: least, median, most",
            f"at most {TARGET_VERTICES}",
            "IoU, median",
            "IoU, least",
            "time",
        ),
        rows=rows,
    )


def _predicted() -> Iterator[Mask]:
    prelabeller = Site.load().load_files(starter_files())
    left = CLUSTERS
    with tempfile.TemporaryDirectory() as folder:
        for seed in range(FIRST_SEED, FIRST_SEED + CLUSTERS):
            mammogram = _phantom(seed, Path(folder) / f"{seed}.dcm")
            for finding in prelabeller.prelabel(mammogram, threshold=None).findings:
                if finding.mask is None or left == 0:
                    continue
                left -= 1
                (loop,) = [max(_contours(finding.mask), key=cv2.contourArea)]
                filled = np.zeros_like(finding.mask.bitmap, np.uint8)
                cv2.drawContours(filled, [loop], -1, 1, cv2.FILLED)
                yield Mask(filled.astype(np.bool_), finding.mask.x0, finding.mask.y0)
            if left == 0:
                return


def _phantom(seed: int, file: Path) -> Mammogram:
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
    return read_mammogram(file)


def _contours(mask: Mask) -> list[np.ndarray]:
    found, _ = cv2.findContours(mask.bitmap.view(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    return list(found)


def _at(mask: Mask, tolerance: float) -> Vertices:
    """The outline at one tolerance in pixels."""
    every = mask_outline(mask, size=SIZE, min_part=0, min_iou=1.0, target_vertices=None)
    fewer = cv2.approxPolyDP((every - every[0]).astype(np.float32)[:, None], tolerance, closed=True)[:, 0]
    return fewer.astype(np.float64) + every[0]


def _even(mask: Mask) -> Vertices:
    every = mask_outline(mask, size=SIZE, min_part=0, min_iou=1.0, target_vertices=None)
    steps = np.hypot(*(np.roll(every, -1, axis=0) - every).T)
    along = np.concatenate([[0], np.cumsum(steps)])
    at = np.linspace(0, along[-1], TARGET_VERTICES, endpoint=False)
    closed = np.concatenate([every, every[:1]])
    return np.stack([np.interp(at, along, closed[:, axis]) for axis in (0, 1)], axis=1)
