"""Checkpoints: the state of a training run, from which it resumes after a kill at any moment.

They are private to one run: written and read by the same code, never served or shared, and removed when the run ends.
Reading executes no code (`weights_only`). Each file starts with the SHA-256 of its content, so a torn file is detected
and skipped.
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
"""Number of files kept; the last but one is the fallback for a torn last one."""

_DIGEST = hashlib.sha256().digest_size


@dataclass(frozen=True)
class Checkpoint:
    """The state of a run after a number of epochs or steps."""

    epochs: int
    """Completed epochs (or steps), from 1."""

    state: dict[str, Any]
    """Tensors, numbers and strings, nested in dictionaries and lists."""


@dataclass(frozen=True)
class Checkpoints:
    """The checkpoints of one run."""

    folder: Path
    key: str
    """Identifies the run; checkpoints of another key are skipped."""

    def save(self, epochs: int, state: dict[str, Any]) -> None:
        """Write a checkpoint, atomically and durably: it survives a power cut once this returns.

        Raises:
            OSError: the disk is full, or the folder cannot be written.
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
        """The newest intact checkpoint of this run; None if there is none."""
        for path in self._newest_first():
            content = path.read_bytes()
            if hashlib.sha256(content[_DIGEST:]).digest() != content[:_DIGEST]:
                continue
            try:
                stored = torch.load(io.BytesIO(content[_DIGEST:]), map_location="cpu", weights_only=True)
            except (RuntimeError, pickle.UnpicklingError):  # intact, but written by another release of torch
                continue
            if stored["key"] == self.key:
                return Checkpoint(stored["epochs"], stored["state"])
        return None

    def remove(self) -> None:
        """Remove all files, at the end of the run."""
        for path in [*self._newest_first(), *self.folder.glob(".*.part")]:
            path.unlink()
        if self.folder.is_dir():
            self.folder.rmdir()

    def _newest_first(self) -> list[Path]:
        return sorted(self.folder.glob("*.checkpoint"), reverse=True)
