"""Free memory for this process: of the machine, of its container, and of the GPU where one is used."""

from __future__ import annotations

import sys
from pathlib import Path

import psutil

CGROUP = Path("/sys/fs/cgroup")
"""Folder with the container's memory limit (cgroup v2)."""


def free_memory(cgroup: Path = CGROUP) -> int:
    """Return the bytes that another model could use: the minimum over machine, container and GPU."""
    free = [int(psutil.virtual_memory().available)]
    try:
        limit = int((cgroup / "memory.max").read_text())  # A ValueError for `max`: there is no limit.
        free.append(max(limit - int((cgroup / "memory.current").read_text()), 0))
    except (OSError, ValueError):
        pass
    torch = sys.modules.get("torch")  # A process without torch uses no GPU.
    if torch is not None and torch.cuda.is_available():
        free.append(int(torch.cuda.mem_get_info()[0]))
    return min(free)
