"""RoiEmbedding: one region as the decoder sees it, independent of any prompt; and its name by content."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path

import numpy as np

from mammo.geometry import Size, Spacing
from mammo.pixels import Pixels
from mammo.segmenter.config import MlsamConfig
from mammo.segmenter.roi import Level, Roi
from mammo.segmenter.runtime import Features


@dataclass(frozen=True, eq=False)
class RoiEmbedding:
    """Safe to keep and to share between threads."""

    roi: Roi
    """Where in the image it lies, and at which scale."""

    size: Size
    """Of the whole image."""

    level: Level
    """What the region is meant to show."""

    features: Features
    """In float16, also where nothing is cached: a first click and a later one see the same numbers."""

    @property
    def spacing(self) -> Spacing | None:
        """Of the image's pixels, where known."""
        return self.roi.spacing

    @property
    def num_bytes(self) -> int:
        """Memory that it holds."""
        return self.features.num_bytes


def embedding_key(pixels: Pixels, roi: Roi, *, config: MlsamConfig, weights: str, precision: str) -> str:
    """The name under which features are kept: 64 hexadecimal digits that tell nothing about the patient.

    It is the hash of everything that decides the features: the crop's pixels (and with them the window), where the
    crop lies and its zoom, the filters' spacing, the network's configuration and weights, the number format, and the
    code of this package.

    Args:
        pixels: H x W, float32: the whole image.
        weights: SHA-256 of the weights.
        precision: `Runtime.precision`.
    """
    crop = np.ascontiguousarray(pixels[roi.crop.slices])
    parts = {
        "pixels": hashlib.sha256(crop.data).hexdigest(),
        "crop": roi.crop.as_tuple(),
        "side": roi.side,
        "mm": roi.spacing.mean_mm if roi.spacing else None,
        "config": asdict(config),
        "weights": weights,
        "precision": precision,
        "code": code_hash(),
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


@cache
def code_hash() -> str:
    """SHA-256 over the sources of this package: nobody has to remember to raise a version number."""
    digest = hashlib.sha256()
    for path in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()
