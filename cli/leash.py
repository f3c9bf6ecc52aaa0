"""Run a program that stops when we do: `python -m cli.leash PARENT PROGRAM ARGUMENTS...`.

The program gets SIGTERM when process PARENT dies, even by SIGKILL, so a killed demo leaves no orphan.
This is a module of its own because the switch must be set in the child, and code between fork and exec is unsafe
in a parent with threads.
"""

from __future__ import annotations

import os
import signal
import sys

from mammo.leash import die_with


def main() -> None:
    """Set the switch, then become the program."""
    die_with(int(sys.argv[1]), by=signal.SIGTERM)
    os.execvp(sys.argv[2], sys.argv[2:])  # noqa: S606 - the command comes from our own Supervisor


if __name__ == "__main__":
    main()
