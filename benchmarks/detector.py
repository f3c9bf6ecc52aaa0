"""The detector on whole mammograms: runtimes, one pass against tiles, and SAHI with the same weights."""

from __future__ import annotations

import multiprocessing
import statistics
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import psutil

from benchmarks.result import Result
from mammo.detector import Detector, load_network
from mammo.detector.detector import Mode
from mammo.detector.runtime import RuntimeName
from mammo.geometry import Box
from mammo.models import STARTER
from mammo.phantom import phantom_view
from mammo.pixels import Pixels

SEEDS = range(9301, 9309)
ROUNDS = 2
WEIGHTS = STARTER / "detector.safetensors"
THRESHOLD: float = load_network(WEIGHTS)[1]["operating_point"]["threshold"]

ScoredBoxes = list[tuple[Box, float]]
Detect = Callable[[Pixels], ScoredBoxes]

BASELINE, SAHI = "torch, tiles (baseline)", "SAHI, torch, slices of 1024"


def run() -> Result:
    views = [
        phantom_view(seed, clusters=1 + seed % 2, view="MLO" if seed % 4 < 2 else "CC") for seed in SEEDS
    ]
    images = [(view.stored / np.float32(2**view.bits - 1)).astype(np.float32, copy=False) for view in views]
    truths = [[finding.box for finding in view.truth] for view in views]
    with tempfile.TemporaryDirectory() as folder:
        cache = Path(folder)
        detectors, unsupported = _open(cache)
        seconds: dict[str, list[float]] = {name: [] for name in detectors}
        results: dict[str, list[ScoredBoxes]] = {name: [] for name in detectors}
        for detect in detectors.values():
            detect(images[0])
        for _ in range(ROUNDS):  # interleaved, so that load on the machine affects all candidates alike
            for image in images:
                for name, detect in detectors.items():
                    began = time.process_time()
                    boxes = detect(image)
                    seconds[name].append(time.process_time() - began)
                    results[name].append(boxes)
        rows = [
            _row(name, seconds, _score(results[name][: len(images)], truths), len(images))
            for name in detectors
        ]
        rows = [
            (*row, f"{peak:.0f} MB", f"{gain:.0f} MB")
            for row, (peak, gain) in (
                (row, _memory(name, images[0], cache)) for row, name in zip(rows, detectors, strict=True)
            )
        ]
    rows += [(name, "not on this processor", "", "", "", "", "", "") for name in unsupported]
    rows += [
        (f"OpenVINO float32, {tiles} tiles of 1024", f"{cost:.2f} s", "", "", "", "", "", "")
        for tiles, cost in _cost_of_tiles()
    ]
    return Result(
        title="Detector, starter model, 2560 x 3328 phantoms",
        method=(
            f"Mean processor seconds per image, one thread, {len(images)} views (seeds {SEEDS.start} to "
            f"{SEEDS.stop - 1}), {ROUNDS} interleaved rounds after a warm-up; sensitivity (centre rule) and false "
            f"positives per image at threshold {THRESHOLD}; memory: the largest RSS of a fresh process over one image, "
            "and how much of it that image cost."
        ),
        columns=(
            "what",
            "processor time",
            "torch tiles / it",
            "SAHI / it",
            "clusters",
            "false per image",
            "peak RSS",
            "of it one image",
        ),
        rows=rows,
    )


class _Unsupported(Exception):
    """This processor does not support the candidate."""


def _open(cache: Path) -> tuple[dict[str, Detect], list[str]]:
    """The candidates that this processor supports, and the names of the others."""
    detectors, unsupported = {}, []
    for name, make in CANDIDATES.items():
        try:
            detectors[name] = make(cache)
        except _Unsupported:
            unsupported.append(name)
    return detectors, unsupported


def _ours(cache: Path, *, runtime: RuntimeName, mode: Mode) -> Detect:
    detector = Detector.load(WEIGHTS, threads=1, runtime=runtime, cache=cache, mode=mode)
    if detector.runtime.name != runtime:  # fell back from bfloat16 to float32
        raise _Unsupported

    def detect(pixels: Pixels) -> ScoredBoxes:
        return [(d.box, d.score) for d in detector.detect(pixels, threshold=THRESHOLD, spacing=None)]

    return detect


def _sahi(cache: Path, *, side: int, overlap: int) -> Detect:
    from benchmarks.sahi_baseline import detect_with_sahi

    detector = Detector.load(WEIGHTS, threads=1, runtime="torch")
    return partial(
        detect_with_sahi,
        detector.runtime,
        kind=detector.spec.normalisation,
        side=side,
        overlap=overlap,
        threshold=THRESHOLD,
    )


CANDIDATES: dict[str, Callable[[Path], Detect]] = {
    BASELINE: partial(_ours, runtime="torch", mode="tiles"),
    "torch, one pass": partial(_ours, runtime="torch", mode="whole"),
    "OpenVINO float32, tiles": partial(_ours, runtime="openvino", mode="tiles"),
    "OpenVINO float32, one pass": partial(_ours, runtime="openvino", mode="whole"),
    "OpenVINO bfloat16, tiles": partial(_ours, runtime="openvino-bf16", mode="tiles"),
    SAHI: partial(_sahi, side=1024, overlap=320),
    "SAHI, torch, slices of 2048": partial(_sahi, side=2048, overlap=320),
}


def _row(
    name: str, seconds: dict[str, list[float]], score: tuple[int, int, int], num_images: int
) -> tuple[str, ...]:
    cost = statistics.mean(seconds[name])
    hits, clusters, false = score
    return (
        name,
        f"{cost:.2f} s",
        f"{statistics.mean(seconds[BASELINE]) / cost:.2f} x",
        f"{statistics.mean(seconds[SAHI]) / cost:.2f} x",
        f"{hits} of {clusters}",
        f"{false / num_images:.2f}",
    )


def _score(results: list[ScoredBoxes], truths: list[list[Box]]) -> tuple[int, int, int]:
    """Number of clusters hit by the centre of a detection, of all clusters, and of detections that hit none."""
    hits = false = 0
    for detections, boxes in zip(results, truths, strict=True):
        inside = [
            {i for i, b in enumerate(boxes) if b.x0 <= box.centre[0] < b.x1 and b.y0 <= box.centre[1] < b.y1}
            for box, _ in detections
        ]
        hits += len(set().union(*inside))
        false += sum(not each for each in inside)
    return hits, sum(map(len, truths)), false


def _memory(name: str, image: Pixels, cache: Path) -> tuple[float, float]:
    """Peak memory of a fresh process during one image, and its increase since the detector was loaded, in MB."""
    np.save(cache / "image.npy", image)
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(_peak_and_gain, (name, cache))


def _peak_and_gain(name: str, cache: Path) -> tuple[float, float]:
    """Sampled every 3 ms, because the kernel's own peak includes that of the parent process."""
    detect = CANDIDATES[name](cache)
    image = np.load(cache / "image.npy")
    process, done = psutil.Process(), threading.Event()
    before = peak = process.memory_info().rss

    def watch() -> None:
        nonlocal peak
        while not done.wait(0.003):
            peak = max(peak, process.memory_info().rss)

    watcher = threading.Thread(target=watch)
    watcher.start()
    detect(image)
    done.set()
    watcher.join()
    return peak / 2**20, (peak - before) / 2**20


def _cost_of_tiles() -> list[tuple[int, float]]:
    """Processor seconds of images without air, by their number of tiles."""
    network, _ = load_network(WEIGHTS)
    network.spec = replace(network.spec, tile=1024)
    detector = Detector(network, runtime="openvino", threads=1)
    costs = []
    for columns, rows in ((1, 1), (1, 2), (2, 2), (2, 3), (3, 4)):
        height, width = (count * (1024 - 320) + 320 for count in (rows, columns))
        image = np.random.default_rng(0).uniform(0.3, 0.6, (height, width)).astype(np.float32)
        call = partial(detector.detect, image, threshold=THRESHOLD, spacing=None)
        call()
        best = float("inf")
        for _ in range(2 * ROUNDS):
            began = time.process_time()
            call()
            best = min(best, time.process_time() - began)
        costs.append((rows * columns, best))
    return costs
