"""Detector: a whole mammogram in, clusters out (step 2 of the walk)."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Self

import numpy as np
import torch

from mammo.detector.decode import decode
from mammo.detector.network import DetectorNetwork
from mammo.detector.normalise import Pixels, Planes, find_breast, normalise
from mammo.detector.spec import DetectorSpec
from mammo.detector.tiling import Candidate, Detection, cut_tile, merge, plan_tiles
from mammo.detector.weights import load_network
from mammo.geometry import Box, Size


class Detector:
    """CBAM-YOLOv8 at native resolution. Keeps no state between calls: any number of threads may share one."""

    def __init__(self, network: DetectorNetwork, *, facts: dict[str, Any] | None = None) -> None:
        """Prepare a network for detection.

        Args:
            network: with its final weights; it is fused in place and cannot be trained any more.
            facts: what is known about its training.
        """
        self.spec: DetectorSpec = network.spec
        self.facts: dict[str, Any] = facts or {}
        self._device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        network.eval().fuse(verbose=False)
        head = network.model[-1]
        # The head then hands out its raw maps: `decode` reads them without the head's cache of anchors.
        head.training = True
        self._strides = [float(stride) for stride in head.stride]
        self._network = network.requires_grad_(False).to(self._device, memory_format=torch.channels_last)

    @classmethod
    def load(cls, weights: Path, *, threads: int = 0) -> Self:
        """Read one safetensors file.

        Args:
            threads: CPU threads of torch in this process; 0 leaves them as they are.

        Raises:
            InvalidWeights: see `load_network`.
        """
        if threads > 0:
            torch.set_num_threads(threads)
        network, facts = load_network(weights)
        return cls(network, facts=facts)

    def detect(self, pixels: Pixels, *, threshold: float) -> list[Detection]:
        """Find the clusters of a mammogram.

        Args:
            pixels: H x W, float32 in [0, 1], dense tissue bright, native resolution.
            threshold: least score, in (0, 1).

        Returns:
            Detections inside the image, best first; empty when nothing reaches the threshold.

        Raises:
            ValueError: wrong type, shape or threshold.
        """
        if pixels.ndim != 2 or pixels.dtype != np.float32 or not pixels.size:
            raise ValueError(f"expected H x W float32 pixels, got {pixels.dtype} {pixels.shape}")
        if not 0.0 < threshold < 1.0:
            raise ValueError(f"a threshold lies between 0 and 1, got {threshold}")
        size = Size(pixels.shape[1], pixels.shape[0])
        breast = find_breast(pixels)
        planes = normalise(pixels, breast)
        candidates: list[Candidate] = []
        for tile in plan_tiles(breast, size, tile=self.spec.tile, overlap=self.spec.overlap):
            candidates += self._look(planes, tile, threshold=threshold)
        return merge(candidates, size)

    @torch.inference_mode()
    def _look(self, planes: Planes, tile: Box, *, threshold: float) -> list[Candidate]:
        """Candidates in one tile, in the frame of the mammogram."""
        size = Size(planes.shape[2], planes.shape[1])
        batch = torch.from_numpy(cut_tile(planes, tile))[None].to(
            self._device, memory_format=torch.channels_last
        )
        (found,) = decode(self._network(batch), strides=self._strides, threshold=threshold)
        corners = (
            (x0 + tile.x0, y0 + tile.y0, x1 + tile.x0, y1 + tile.y0, score)
            for x0, y0, x1, y1, score in found.tolist()
        )
        return [Candidate(*numbers, cut=False).touching(tile, size) for numbers in corners]
