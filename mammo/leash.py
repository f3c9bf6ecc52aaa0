"""The leash: a process that must not outlive the one that started it is told by the kernel (Linux).

Even a killed parent, which can tell nobody, leaves no orphan. `python -m mammo.leash PARENT SIGNAL PROGRAM
ARGUMENTS...` puts a whole program on it. That is a program of its own, in front of the other, because the other takes
seconds to import what it needs, in which a parent can die, and code between fork and exec is unsafe.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from collections.abc import Sequence

PR_SET_PDEATHSIG = 1


def leashed(program: Sequence[str], *, parent: int, by: signal.Signals = signal.SIGKILL) -> list[str]:
    """The command of a program that dies with its parent.

    The kernel means the thread that starts it; start it from one that lives as long as the process does.

    Args:
        parent: process id of who will start it.
        by: as in `die_with`.
    """
    return [sys.executable, "-m", "mammo.leash", str(parent), str(int(by)), *program]


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


def main(parent: int, by: signal.Signals, program: list[str]) -> None:
    """Set the switch, then become the program."""
    die_with(parent, by=by)
    os.execvp(program[0], program)  # noqa: S606 - the command comes from our own code


if __name__ == "__main__":
    main(int(sys.argv[1]), signal.Signals(int(sys.argv[2])), sys.argv[3:])
