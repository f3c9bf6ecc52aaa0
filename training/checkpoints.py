"""Checkpoints: where a run stands, kept so that it can go on after a kill in any moment, a torn file included.

They are private to one run: written and read by the same code on the same machine, never served, never shared, and
removed when the run ends. Reading executes nothing (`weights_only`), and a file counts only when its SHA-256 does.
"""

from __future__ import annotations

import hashlib
import io
import pickle
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from mammo.atomic_files import replacing

GENERATIONS = 2
"""Newest files kept. The one before the last is what a torn last one falls back to."""

_DIGEST = hashlib.sha256().digest_size


@dataclass(frozen=True)
class Checkpoint:
    """The state after so many epochs."""

    epochs: int
    """Whole epochs done, from 1."""

    state: dict[str, Any]
    """Tensors, numbers and strings, in dictionaries and lists."""


@dataclass(frozen=True)
class Checkpoints:
    """The checkpoints of one run."""

    folder: Path
    key: str
    """Names what is trained on what: checkpoints of another key are not of this run, and are passed over."""

    def save(self, epochs: int, state: dict[str, Any]) -> None:
        """Write a checkpoint; it appears whole or not at all, and survives a power cut once this returns.

        Raises:
            OSError: no room, or the folder cannot be written.
        """
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        buffer = io.BytesIO()
        torch.save({"key": self.key, "epochs": epochs, "state": state}, buffer)
        content = buffer.getbuffer()
        path = self.folder / f"{epochs:06d}.checkpoint"
        with replacing(path, durable=True) as part, part.open("wb") as file:
            file.write(hashlib.sha256(content).digest())
            file.write(content)
        for old in self._newest_first()[GENERATIONS:]:
            old.unlink()

    def latest(self) -> Checkpoint | None:
        """The newest checkpoint that is whole and of this run; None: start from the beginning."""
        for path in self._newest_first():
            content = path.read_bytes()
            if hashlib.sha256(content[_DIGEST:]).digest() != content[:_DIGEST]:
                continue
            try:
                stored = torch.load(io.BytesIO(content[_DIGEST:]), map_location="cpu", weights_only=True)
            except (RuntimeError, pickle.UnpicklingError):  # whole, but of another release of torch
                continue
            if stored["key"] == self.key:
                return Checkpoint(stored["epochs"], stored["state"])
        return None

    def remove(self) -> None:
        """Remove them all: the run is done."""
        for path in self._newest_first():
            path.unlink()
        for left in self.folder.glob(".*.part"):
            left.unlink()
        if self.folder.is_dir():
            self.folder.rmdir()

    def _newest_first(self) -> list[Path]:
        return sorted(self.folder.glob("*.checkpoint"), reverse=True)
