"""How much memory this process may still take: of the machine, of its container, and of the GPU where one is used."""

from __future__ import annotations

import sys
from pathlib import Path

import psutil

CGROUP = Path("/sys/fs/cgroup")
"""Where a container sees its limit (cgroup 2)."""


def free_memory(cgroup: Path = CGROUP) -> int:
    """Bytes that are free for one more model; the least of machine, container and GPU."""
    free = [int(psutil.virtual_memory().available)]
    try:
        limit = int((cgroup / "memory.max").read_text())  # the word `max` where there is none
        free.append(max(limit - int((cgroup / "memory.current").read_text()), 0))
    except (OSError, ValueError):
        pass
    torch = sys.modules.get("torch")  # who has loaded no network has no GPU to ask
    if torch is not None and torch.cuda.is_available():
        free.append(int(torch.cuda.mem_get_info()[0]))
    return min(free)
