"""ProcessGroup: this process among those that train a segmenter together, each with a copy of the network."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

import torch
import torch.distributed as dist

TIMEOUT = timedelta(hours=12)
"""How long the processes wait for the first one, which encodes and validates. `torchrun` detects a dead process."""


@dataclass(frozen=True)
class ProcessGroup:
    """The rank of this process, and the size of its group."""

    rank: int = 0
    size: int = 1

    @classmethod
    def current(cls) -> ProcessGroup:
        """Torch's process group; a group of one if there is none."""
        if dist.is_available() and dist.is_initialized():
            return cls(dist.get_rank(), dist.get_world_size())
        return cls()

    @property
    def is_first(self) -> bool:
        """Whether this process cuts regions, encodes, validates and writes for all."""
        return self.rank == 0

    def wait(self) -> None:
        """Wait until all processes have reached this point."""
        if self.size > 1:
            dist.barrier()


@contextmanager
def joined_process_group() -> Iterator[None]:
    """Join the group if `torchrun` started this process: by nccl with one GPU each, by gloo without GPUs."""
    if not dist.is_torchelastic_launched():
        yield
        return
    if torch.cuda.is_available():
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    dist.init_process_group("nccl" if torch.cuda.is_available() else "gloo", timeout=TIMEOUT)
    try:
        yield
    finally:
        dist.destroy_process_group()
