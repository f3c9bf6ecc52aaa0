"""RoiEmbedding: the features of one region, independent of the prompt, and the cache key of its content."""

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
    """An embedded region. Immutable; threads may share it."""

    roi: Roi
    """Position in the image, and scale."""

    size: Size
    """Size of the whole image."""

    level: Level
    """Level of detail of the region."""

    features: Features
    """In float16, also without a cache, so that a first and a later click use the same numbers."""

    @property
    def spacing(self) -> Spacing | None:
        """Pixel spacing of the image; None when unknown."""
        return self.roi.spacing

    @property
    def num_bytes(self) -> int:
        """Size of the features in memory."""
        return self.features.num_bytes


def embedding_key(pixels: Pixels, roi: Roi, *, config: MlsamConfig, weights: str, precision: str) -> str:
    """Return the cache key of a region's features: a SHA-256, which reveals nothing about the patient.

    It covers everything that determines the features: the pixels of the crop (and with them the window), its position
    and scale, the spacing of the filters, configuration and weights of the network, the number format, and the code of
    this package.

    Args:
        pixels: H x W, float32, the whole image.
        roi: the region.
        config: of the network.
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
    """SHA-256 of the sources of this package, in place of a version number."""
    digest = hashlib.sha256()
    for path in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()
