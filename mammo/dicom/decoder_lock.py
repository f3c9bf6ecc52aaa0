"""The lock of a decoder process: it gives up all system calls that decoding does not need, for good.

A codec that a hostile image has taken over can then open no file and no socket, and start no program. The lock is a
seccomp filter, which libseccomp writes for this processor. This file imports no module of this project, because
`decoder_process` loads it by its path.
"""

from __future__ import annotations

import ctypes
import errno
import os
import subprocess
import sys
from pathlib import Path

LIBRARY = "libseccomp.so.2"

SYSTEM_CALLS = (
    # memory
    "brk", "madvise", "mmap", "mprotect", "mremap", "munmap",
    # the pipes that are open
    "close", "fcntl", "fstat", "lseek", "poll", "ppoll", "read", "readv", "write", "writev",
    # locks, time and signals of this process
    "clock_gettime", "clock_gettime64", "clock_nanosleep", "futex", "futex_time64", "getpid", "getrandom", "getrusage",
    "gettid", "gettimeofday", "nanosleep", "restart_syscall", "rt_sigaction", "rt_sigprocmask", "rt_sigreturn",
    "sched_getaffinity", "sched_yield", "sigaltstack",
    "exit", "exit_group",
)  # fmt: skip
"""All that decoding needs of the kernel. Not among it: `openat`, `socket`, `connect`, `execve`, `clone` and `kill`."""

ALLOW, REFUSE, SYNC_THREADS = 0x7FFF0000, 0x00050000 | errno.EPERM, 4
"""Of libseccomp: SCMP_ACT_ALLOW, SCMP_ACT_ERRNO(EPERM), and the attribute SCMP_FLTATR_CTL_TSYNC."""


def lock() -> str | None:
    """Lock this process; return why that is not possible here, None if it is locked.

    A refused call fails with EPERM, so that a codec which asks for something needless goes on.
    """
    try:
        seccomp = ctypes.CDLL(LIBRARY)
    except OSError:
        return f"{LIBRARY} is not installed"
    seccomp.seccomp_init.restype = ctypes.c_void_p
    rules = ctypes.c_void_p(seccomp.seccomp_init(REFUSE))
    seccomp.seccomp_attr_set(rules, SYNC_THREADS, 1)
    for name in SYSTEM_CALLS:
        number = seccomp.seccomp_syscall_resolve_name(name.encode())
        seccomp.seccomp_rule_add_array(
            rules, ALLOW, number, 0, None
        )  # fails for a call that this processor lacks
    if seccomp.seccomp_load(rules) != 0:
        return "the kernel accepts no seccomp filter"
    try:  # what was asked for is tried out
        os.close(os.open("/", os.O_RDONLY))
    except PermissionError:
        return None
    return "the kernel does not apply its seccomp filter"


def unlocked() -> str | None:
    """Return why decoder processes of this machine cannot be locked; None if they can. Tries it out in a process."""
    done = subprocess.run(  # noqa: S603 - this very file
        [sys.executable, "-I", str(Path(__file__))],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={},
    )
    if done.returncode != 0:
        return f"a process that locks itself ended with exit code {done.returncode}"
    return done.stdout.strip() or None


if __name__ == "__main__":
    sys.stdout.write(lock() or "")
