"""`python -m training.leash PARENT PROGRAM ARGUMENTS...`: a program that never outlives who started it (Linux).

The kernel kills it when its parent dies, however that dies. This is a program of its own, in front of the other,
because importing torch takes seconds in which a parent can die, and code between fork and exec is unsafe.
"""

from __future__ import annotations

import os
import sys

from mammo.leash import die_with


def leashed(program: list[str], *, parent: int) -> list[str]:
    """The command of a program that dies with its parent.

    The kernel means the thread that starts it; start it from one that lives as long as the process does.

    Args:
        parent: process id of who will start it.
    """
    return [sys.executable, "-m", "training.leash", str(parent), *program]


def main(parent: int, program: list[str]) -> None:
    """Set the switch, which outlives the exec, then become the program; end now if the parent is gone already."""
    die_with(parent)
    os.execv(program[0], program)  # noqa: S606 - the command comes from our own code


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:])
