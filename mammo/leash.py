"""The leash: a process that must not outlive the one that started it is told by the kernel (Linux).

Even a killed parent, which can tell nobody, leaves no orphan.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def die_with(parent: int, *, by: signal.Signals = signal.SIGKILL) -> None:
    """From here on this process gets a signal when its parent dies, however that dies. It outlives an `exec`.

    Args:
        parent: process id of the parent; if it is gone already, this process ends now.
        by: the signal; SIGTERM lets a process put things in order first.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, by)
    if os.getppid() != parent:
        os._exit(1)
