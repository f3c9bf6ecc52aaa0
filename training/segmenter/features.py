"""Features: what a frozen encoder says of every view, computed once and kept on disk, so that an epoch runs only the
decoder.

Shards of `SHARD` views, float16 safetensors, read through mmap: an epoch takes one view of every entry, and those lie
in consecutive shards. Each shard names the encoder and the views it was made of, and one of its views is encoded again
when it is opened: what does not agree is made anew.
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
from training.segmenter.encoder_split import Kept

SHARD = 64
"""Views of one file."""

TOLERANCE = 1e-2
"""Greatest difference from a fresh encode, as a part of the level's greatest value: float16 on another machine."""

KEY = "features"

Planes = Callable[[int], np.ndarray[Any, np.dtype[np.float32]]]
"""The planes of a view by its number, 3 x S x S."""

Encode = Callable[[Tensor], Kept]
"""B x 3 x S x S -> what is kept, B x ... each."""


@dataclass(frozen=True)
class Features:
    """An open store; safe to read from one thread."""

    folder: Path
    key: str
    count: int
    """Views."""

    def read(self, numbers: Sequence[int], *, device: torch.device) -> dict[str, Tensor]:
        """The kept tensors of some views, float32, stacked in the order of `numbers`."""
        rows: dict[str, list[Tensor]] = {}
        for number in numbers:
            shard, row = divmod(number, SHARD)
            with safe_open(_path(self.folder, shard), framework="pt") as file:
                for name in file.keys():  # noqa: SIM118 (a safe_open is no dictionary)
                    rows.setdefault(name, []).append(file.get_slice(name)[row : row + 1])
        return {name: torch.cat(parts).to(device).float() for name, parts in rows.items()}


def keep_features(
    folder: Path,
    *,
    key: str,
    count: int,
    planes: Planes,
    encode: Encode,
    device: torch.device,
    progress: Progress,
) -> Features:
    """Make the store, or complete and check the one that is there.

    Args:
        key: names the encoder's weights and the views; a shard of another key is made anew.
        count: number of views.
        progress: told after every shard.

    Raises:
        TrainingDiverged: a feature is no number, or too large for float16.
    """
    folder.mkdir(parents=True, exist_ok=True)
    shards = range((count + SHARD - 1) // SHARD)
    for shard in shards:
        progress(shard / len(shards), f"encoding views, shard {shard + 1} of {len(shards)}")
        numbers = range(shard * SHARD, min(count, (shard + 1) * SHARD))
        if _is_sound(_path(folder, shard), f"{key}/{shard}", numbers, planes, encode, device):
            continue
        _write(_path(folder, shard), f"{key}/{shard}", numbers, planes, encode, device)
        if not _is_sound(_path(folder, shard), f"{key}/{shard}", numbers, planes, encode, device):
            raise TrainingDiverged(
                "the encoder's output does not survive float16; train with policy 'all', which keeps nothing"
            )
    return Features(folder, key, count)


def weights_key(parts: Sequence[Any], tensors: Sequence[Tensor]) -> str:
    """SHA-256 over JSON values and tensors."""
    digest = hashlib.sha256(json.dumps(parts, sort_keys=True).encode())
    for tensor in tensors:
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def _write(
    path: Path, key: str, numbers: range, planes: Planes, encode: Encode, device: torch.device
) -> None:
    rows: dict[str, list[Tensor]] = {}
    for number in numbers:
        for name, level in _fresh(number, planes, encode, device).items():
            rows.setdefault(name, []).append(level.half().cpu())
    levels = {name: torch.cat(parts).contiguous() for name, parts in rows.items()}
    with replacing(path) as part:
        save_file(levels, part, metadata={KEY: key})


def _is_sound(
    path: Path, key: str, numbers: range, planes: Planes, encode: Encode, device: torch.device
) -> bool:
    """Whether a shard is whole, of this run, and says of one of its views what the encoder says now."""
    if not path.is_file():
        return False
    row = (numbers.start // SHARD) % len(numbers)
    try:
        with safe_open(path, framework="pt") as file:
            if (file.metadata() or {}).get(KEY) != key:
                return False
            kept = {name: file.get_slice(name)[row : row + 1].float() for name in file.keys()}  # noqa: SIM118
    except (OSError, SafetensorError):
        return False
    fresh = {
        name: level.float().cpu() for name, level in _fresh(numbers[row], planes, encode, device).items()
    }
    return kept.keys() == fresh.keys() and all(_agree(kept[name], fresh[name]) for name in kept)


def _agree(kept: Tensor, fresh: Tensor) -> bool:
    if kept.shape != fresh.shape:
        return False
    most = float(fresh.abs().max())
    return bool((kept - fresh).abs().max() <= TOLERANCE * max(most, 1e-6))  # False for NaN and infinity


@torch.no_grad()
def _fresh(number: int, planes: Planes, encode: Encode, device: torch.device) -> Kept:
    return encode(torch.from_numpy(planes(number))[None].to(device))


def _path(folder: Path, shard: int) -> Path:
    return folder / f"shard-{shard:05}.safetensors"
