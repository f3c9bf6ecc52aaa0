"""Detector: finds the clusters of a mammogram (step 2 of the walk)."""

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
from mammo.detector.specks import weigh
from mammo.detector.tiling import MAX_PIXELS, STRIDE, Candidate, Detection, cut_tile, merge, plan_tiles
from mammo.detector.weights import load_network
from mammo.errors import UnreadableImage
from mammo.geometry import Box, Size, Spacing
from mammo.pixels import Pixels, size_of

Mode = Literal["auto", "tiles", "whole"]
"""`tiles` processes the breast in tiles; `whole` in one pass up to `MAX_WHOLE` pixels; `auto` is `whole` on a GPU."""

MAX_SIDE = 20_000
"""Maximum side of a mammogram, in pixels."""

MAX_WHOLE = 24 * 2**20
"""Maximum area of a breast that is processed in one pass, in pixels."""


class Detector:
    """CBAM-YOLOv8 at native resolution. Stateless between calls; threads may share one detector."""

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
        bfloat16: bool = False,
    ) -> None:
        """Prepare a network for detection.

        Args:
            network: with its final weights; it is fused in place and cannot be trained afterwards.
            facts: metadata of the training.
            runtime, cache, key, threads, bfloat16: see `open_runtime`.
            mode: see `Mode`.

        Raises:
            UnusableRuntime: see `open_runtime`.
        """
        self.spec: DetectorSpec = network.spec
        self.facts: dict[str, Any] = facts or {}
        network.eval().fuse(verbose=False)
        self.runtime: Runtime = open_runtime(
            network, name=runtime, key=key, cache=cache, threads=threads, bfloat16=bfloat16
        )
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
        bfloat16: bool = False,
    ) -> Self:
        """Load a detector from a safetensors file.

        Args:
            weights: the file.
            threads: CPU threads of torch in this process and of the runtime; 0 keeps their defaults.
            runtime: see `mammo.detector.runtime`.
            cache: folder of exported networks; None disables the cache.
            mode: see `Mode`.
            bfloat16: see `open_runtime`.

        Raises:
            InvalidWeights: see `load_network`.
            UnusableRuntime: see `open_runtime`.
        """
        if threads > 0:
            torch.set_num_threads(threads)
        network, facts = load_network(weights)
        key = hash_file(weights)
        return cls(
            network,
            facts=facts,
            runtime=runtime,
            cache=cache,
            key=key,
            threads=threads,
            mode=mode,
            bfloat16=bfloat16,
        )

    @property
    def computes(self) -> str:
        """Name of the runtime in use."""
        return self.runtime.name

    def detect(self, pixels: Pixels, *, threshold: float, spacing: Spacing | None) -> list[Detection]:
        """Find the clusters of a mammogram.

        Args:
            pixels: H x W, float32 in [0, 1], dense tissue bright, native resolution.
            threshold: minimum score, in (0, 1).
            spacing: pixel spacing; None when unknown, which is treated as the spacing of training.

        Returns:
            Detections inside the image, best first; empty when no score reaches the threshold. Those whose centre lies
            beside the breast, on a label or on dirt of the scanner, are dropped.

        Raises:
            UnreadableImage: the image is too large (`too_large`), or a pixel is NaN or infinite (`not_finite`).
            ValueError: wrong type, shape or threshold.
        """
        size = _check(pixels, threshold)
        scale = scale_to(self.spec.spacing_mm, spacing=spacing, size=size, max_pixels=MAX_PIXELS)
        resampled = resample(pixels, scale)
        breast = find_breast(resampled)
        frame = breast.frame(scale.size)
        cropped = breast.cropped(frame)
        planes = normalise(
            resampled[frame.slices], cropped, kind=self.spec.normalisation, finer=max(scale.x, scale.y)
        )
        candidates: list[Candidate] = []
        for tile in self._plan(cropped, Size(frame.width, frame.height)):
            rows = self.runtime.detect(cut_tile(planes, tile), threshold=threshold)
            tile_in_image = tile.shifted(frame.x0, frame.y0)
            candidates += [_to_mammogram(row, tile_in_image, scale) for row in rows.tolist()]
        found = [each for each in merge(candidates, size) if breast.holds(*scale.position(*each.box.centre))]
        if not self.spec.speck_weight:
            return found
        found = weigh(found, pixels, spacing=spacing, weight=self.spec.speck_weight)  # lowers scores only
        return [each for each in found if each.score >= threshold]

    def _plan(self, breast: Breast, size: Size) -> list[Box]:
        """The tiles of a breast: a single one in `whole` mode, where it is small enough."""
        longest = max(breast.box.width, breast.box.height)
        if self._whole and breast.box.area <= MAX_WHOLE:
            return plan_tiles(breast, size, tile=-(-longest // STRIDE) * STRIDE, overlap=0)
        return plan_tiles(breast, size, tile=self.spec.tile, overlap=self.spec.overlap)


def _check(pixels: Pixels, threshold: float) -> Size:
    """Validate the arguments of `Detector.detect`; return the size of the image."""
    if pixels.ndim != 2 or pixels.dtype != np.float32 or not pixels.size:
        raise ValueError(f"expected H x W float32 pixels, got {pixels.dtype} {pixels.shape}")
    if not 0.0 < threshold < 1.0:
        raise ValueError(f"expected a threshold between 0 and 1, got {threshold}")
    size = size_of(pixels)
    if size.box.area > MAX_PIXELS or max(size.width, size.height) > MAX_SIDE:
        raise UnreadableImage(
            f"expected at most {MAX_PIXELS} pixels and sides up to {MAX_SIDE}, got {size.width} x {size.height}; "
            "crop the image to one breast",
            code="too_large",
        )
    if not np.isfinite(pixels).all():
        raise UnreadableImage(
            "the image has pixels that are NaN or infinite; save it again with integer pixels",
            code="not_finite",
        )
    return size


def _to_mammogram(row: list[float], tile: Box, scale: Scale) -> Candidate:
    """Map a box from the frame of its tile to the frame of the mammogram."""
    x0, y0, x1, y1, score = row
    resampled = Candidate(x0 + tile.x0, y0 + tile.y0, x1 + tile.x0, y1 + tile.y0, score, cut=False)
    resampled = resampled.marked_as_cut(tile, scale.size)
    return Candidate(
        resampled.x0 / scale.x,
        resampled.y0 / scale.y,
        resampled.x1 / scale.x,
        resampled.y1 / scale.y,
        score,
        cut=resampled.cut,
    )
