"""FeatureCache: the output of the frozen encoder for every view, computed once, so that a step runs only the decoder.

Shards of `SHARD` views as float16 safetensors, read through mmap: an epoch uses one view of every entry, which lie in
consecutive shards. Each shard records the encoder and the views that it was made of. When it is opened, one of its
views is encoded again; a shard that does not match is replaced.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from mammo.atomic_files import replacing
from mammo.errors import TrainingDiverged
from training.cases import Progress
from training.segmenter.encoder_split import FrozenFeatures

SHARD = 64
"""Number of views per file."""

TOLERANCE = 1e-2
"""Maximum difference from a new computation, relative to the maximum of the level: float16, on another machine."""

KEY = "features"
"""Metadata entry of a shard that holds its key."""

Planes = Callable[[int], np.ndarray[Any, np.dtype[np.float32]]]
"""Returns the planes of a view by its number, 3 x S x S."""

Encode = Callable[[Tensor], FrozenFeatures]
"""Returns the features of B x 3 x S x S planes, each B x ..."""


@dataclass(frozen=True)
class FeatureCache:
    """A folder of shards; to be read from one thread."""

    folder: Path
    key: str
    """Identifies the encoder's weights and the views; shards of another key are replaced."""

    count: int
    """Number of views."""

    def read(self, numbers: Sequence[int], *, device: torch.device) -> dict[str, Tensor]:
        """The features of some views, float32, stacked in the order of `numbers`."""
        rows: dict[str, list[Tensor]] = {}
        for number in numbers:
            shard, row = divmod(number, SHARD)
            with safe_open(self.path(shard), framework="pt") as file:
                for name in file.keys():  # noqa: SIM118 (a safe_open is no dictionary)
                    rows.setdefault(name, []).append(file.get_slice(name)[row : row + 1])
        return {name: torch.cat(parts).to(device).float() for name, parts in rows.items()}

    def path(self, shard: int) -> Path:
        return self.folder / f"shard-{shard:05}.safetensors"


def fill_cache(
    cache: FeatureCache, *, planes: Planes, encode: Encode, device: torch.device, progress: Progress
) -> None:
    """Compute the missing shards, and check the existing ones.

    Args:
        progress: called before every shard.

    Raises:
        TrainingDiverged: a feature is not finite, or too large for float16.
    """
    cache.folder.mkdir(parents=True, exist_ok=True)

    def encode_view(number: int) -> FrozenFeatures:
        with torch.no_grad():
            return encode(torch.from_numpy(planes(number))[None].to(device))

    shards = range((cache.count + SHARD - 1) // SHARD)
    for shard in shards:
        progress(shard / len(shards), f"encoding views, shard {shard + 1} of {len(shards)}")
        numbers = range(shard * SHARD, min(cache.count, (shard + 1) * SHARD))
        path, key = cache.path(shard), f"{cache.key}/{shard}"
        if _is_valid(path, key, numbers, encode_view):
            continue
        _write(path, key, numbers, encode_view)
        if not _is_valid(path, key, numbers, encode_view):
            raise TrainingDiverged(
                "the encoder's output cannot be stored as float16; train with policy 'all', which stores nothing"
            )


def weights_key(parts: Sequence[Any], tensors: Sequence[Tensor]) -> str:
    """SHA-256 of JSON values and tensors."""
    digest = hashlib.sha256(json.dumps(parts, sort_keys=True).encode())
    for tensor in tensors:
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def _write(path: Path, key: str, numbers: range, encode_view: Callable[[int], FrozenFeatures]) -> None:
    rows: dict[str, list[Tensor]] = {}
    for number in numbers:
        for name, level in encode_view(number).items():
            rows.setdefault(name, []).append(level.half().cpu())
    levels = {name: torch.cat(parts).contiguous() for name, parts in rows.items()}
    with replacing(path) as part:
        save_file(levels, part, metadata={KEY: key})


def _is_valid(path: Path, key: str, numbers: range, encode_view: Callable[[int], FrozenFeatures]) -> bool:
    """Whether a shard is intact, has the key, and agrees with the encoder on one of its views."""
    if not path.is_file():
        return False
    row = (numbers.start // SHARD) % len(numbers)
    try:
        with safe_open(path, framework="pt") as file:
            if (file.metadata() or {}).get(KEY) != key:
                return False
            stored = {name: file.get_slice(name)[row : row + 1].float() for name in file.keys()}  # noqa: SIM118
    except (OSError, SafetensorError):
        return False
    computed = {name: level.float().cpu() for name, level in encode_view(numbers[row]).items()}
    return stored.keys() == computed.keys() and all(_agree(stored[name], computed[name]) for name in stored)


def _agree(stored: Tensor, computed: Tensor) -> bool:
    if stored.shape != computed.shape:
        return False
    largest = float(computed.abs().max())
    return bool(
        (stored - computed).abs().max() <= TOLERANCE * max(largest, 1e-6)
    )  # False for NaN and infinity
