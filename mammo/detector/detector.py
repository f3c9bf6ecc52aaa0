"""Detector: a whole mammogram in, clusters out (step 2 of the walk)."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
import torch

from mammo.blobs import hash_file
from mammo.detector.network import DetectorNetwork
from mammo.detector.normalise import Breast, find_breast, normalise
from mammo.detector.resample import Scale, resample, scale_to
from mammo.detector.runtime import Runtime, RuntimeName, TorchRuntime, open_runtime
from mammo.detector.spec import DetectorSpec
from mammo.detector.tiling import MAX_PIXELS, STRIDE, Candidate, Detection, cut_tile, merge, plan_tiles
from mammo.detector.weights import load_network
from mammo.errors import UnreadableImage
from mammo.geometry import Box, Size, Spacing
from mammo.pixels import Pixels

Mode = Literal["auto", "tiles", "whole"]
"""`whole` looks at the breast in one pass where `MAX_WHOLE` allows it; `auto` does so on a GPU."""

MAX_SIDE = 20_000
"""Longest side, in pixels."""

MAX_WHOLE = 24 * 2**20
"""Largest breast looked at in one pass, in pixels."""


class Detector:
    """CBAM-YOLOv8 at native resolution. Keeps no state between calls: any number of threads may share one."""

    def __init__(
        self,
        network: DetectorNetwork,
        *,
        facts: dict[str, Any] | None = None,
        runtime: RuntimeName = "torch",
        cache: Path | None = None,
        key: str = "",
        threads: int = 0,
        mode: Mode = "auto",
    ) -> None:
        """Prepare a network for detection.

        Args:
            network: with its final weights; it is fused in place and cannot be trained any more.
            facts: what is known about its training.
            runtime, cache, key, threads: see `open_runtime`.
            mode: see `Mode`.

        Raises:
            UnusableRuntime: see `open_runtime`.
        """
        self.spec: DetectorSpec = network.spec
        self.facts: dict[str, Any] = facts or {}
        network.eval().fuse(verbose=False)
        self.runtime: Runtime = open_runtime(network, name=runtime, key=key, cache=cache, threads=threads)
        on_gpu = isinstance(self.runtime, TorchRuntime) and self.runtime.device.type == "cuda"
        self._whole = mode == "whole" or (mode == "auto" and on_gpu)

    @classmethod
    def load(
        cls,
        weights: Path,
        *,
        threads: int = 0,
        runtime: RuntimeName = "auto",
        cache: Path | None = None,
        mode: Mode = "auto",
    ) -> Self:
        """Read one safetensors file.

        Args:
            threads: CPU threads of torch in this process and of the runtime; 0 leaves them as they are.
            runtime: see `mammo.detector.runtime`.
            cache: folder where exported networks are kept for the next start; None keeps none.
            mode: see `Mode`.

        Raises:
            InvalidWeights: see `load_network`.
            UnusableRuntime: see `open_runtime`.
        """
        if threads > 0:
            torch.set_num_threads(threads)
        network, facts = load_network(weights)
        key = hash_file(weights)
        return cls(network, facts=facts, runtime=runtime, cache=cache, key=key, threads=threads, mode=mode)

    @property
    def computes(self) -> str:
        """The runtime that was opened, by name."""
        return self.runtime.name

    def detect(self, pixels: Pixels, *, threshold: float, spacing: Spacing | None) -> list[Detection]:
        """Find the clusters of a mammogram.

        Args:
            pixels: H x W, float32 in [0, 1], dense tissue bright, native resolution.
            threshold: least score, in (0, 1).
            spacing: of the pixels; None: unknown, taken as that of training.

        Returns:
            Detections inside the image, best first; empty when nothing reaches the threshold.

        Raises:
            UnreadableImage: `too_large`, or `not_finite`: a pixel is no number.
            ValueError: wrong type, shape or threshold.
        """
        size = _check(pixels, threshold)
        scale = scale_to(self.spec.spacing_mm, spacing=spacing, size=size, max_pixels=MAX_PIXELS)
        seen = resample(pixels, scale)
        breast = find_breast(seen)
        frame = breast.frame(scale.size)
        part = breast.inside(frame)
        planes = normalise(seen[frame.slices], part)
        candidates: list[Candidate] = []
        for tile in self._plan(part, Size(frame.width, frame.height)):
            found = self.runtime.look(cut_tile(planes, tile), threshold=threshold)
            place = tile.shifted(frame.x0, frame.y0)
            candidates += [_placed(row, place, scale) for row in found.tolist()]
        return merge(candidates, size)

    def _plan(self, breast: Breast, size: Size) -> list[Box]:
        longest = max(breast.box.width, breast.box.height)
        if self._whole and breast.box.area <= MAX_WHOLE:
            return plan_tiles(breast, size, tile=-(-longest // STRIDE) * STRIDE, overlap=0)
        return plan_tiles(breast, size, tile=self.spec.tile, overlap=self.spec.overlap)


def _check(pixels: Pixels, threshold: float) -> Size:
    if pixels.ndim != 2 or pixels.dtype != np.float32 or not pixels.size:
        raise ValueError(f"expected H x W float32 pixels, got {pixels.dtype} {pixels.shape}")
    if not 0.0 < threshold < 1.0:
        raise ValueError(f"a threshold lies between 0 and 1, got {threshold}")
    height, width = pixels.shape
    if width * height > MAX_PIXELS or max(width, height) > MAX_SIDE:
        raise UnreadableImage(
            f"the detector takes up to {MAX_PIXELS} pixels and sides up to {MAX_SIDE}, got {width} x {height}; "
            "crop the image to one breast",
            code="too_large",
        )
    if not np.isfinite(pixels).all():
        raise UnreadableImage(
            "the image holds pixels that are no finite numbers; write it again as whole numbers",
            code="not_finite",
        )
    return Size(width, height)


def _placed(row: list[float], tile: Box, scale: Scale) -> Candidate:
    """A box of a tile in the frame of the mammogram."""
    x0, y0, x1, y1, score = row
    seen = Candidate(x0 + tile.x0, y0 + tile.y0, x1 + tile.x0, y1 + tile.y0, score, cut=False)
    seen = seen.touching(tile, scale.size)
    return Candidate(
        seen.x0 / scale.x, seen.y0 / scale.y, seen.x1 / scale.x, seen.y1 / scale.y, score, cut=seen.cut
    )
