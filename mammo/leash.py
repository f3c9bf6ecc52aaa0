"""The leash: on Linux the kernel sends a child process a signal when its parent dies, so no orphan is left.

This holds for a killed parent as well, which cannot signal anybody itself. `python -m mammo.leash PARENT SIGNAL
PROGRAM ARGUMENTS...` sets the signal and then becomes the program. It is a small program of its own because the
parent could die during the seconds that the actual program needs for its imports, and because running code between
fork and exec is unsafe.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from collections.abc import Sequence

PR_SET_PDEATHSIG = 1
"""Option of prctl(2): signal that the kernel sends when the parent dies."""


def leashed(program: Sequence[str], *, parent: int, by: signal.Signals = signal.SIGKILL) -> list[str]:
    """Return the command line of a program that dies with its parent.

    The kernel regards the thread that starts the program as its parent. Start it from a thread that lives as long as
    the process.

    Args:
        program: program and arguments.
        parent: process id of the process that will start it.
        by: signal that ends it; see `die_with`.
    """
    return [sys.executable, "-m", "mammo.leash", str(parent), str(int(by)), *program]


def die_with(parent: int, *, by: signal.Signals = signal.SIGKILL) -> None:
    """Let the kernel signal this process when its parent dies for any reason. The setting survives `exec`.

    Args:
        parent: process id of the parent; if it has died already, this process exits now.
        by: the signal; SIGTERM lets the process clean up first.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, by)
    if os.getppid() != parent:
        os._exit(1)


def main(parent: int, by: signal.Signals, program: list[str]) -> None:
    """Set the death signal, then replace this process with the program."""
    die_with(parent, by=by)
    os.execvp(program[0], program)  # noqa: S606 - the command comes from our own code


if __name__ == "__main__":
    main(int(sys.argv[1]), signal.Signals(int(sys.argv[2])), sys.argv[3:])
