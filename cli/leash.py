"""Run a program that stops when we do: `python -m cli.leash PROGRAM ARGUMENTS...` (Linux).

The kernel sends SIGTERM to the program when its parent dies, even by SIGKILL, so a killed demo leaves no orphan.
This is a module of its own because the switch must be set in the child, and code between fork and exec is unsafe
in a parent with threads.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def main() -> None:
    """Set the switch, then become the program."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    os.execvp(sys.argv[1], sys.argv[1:])  # noqa: S606 - the command comes from our own Supervisor


if __name__ == "__main__":
    main()
