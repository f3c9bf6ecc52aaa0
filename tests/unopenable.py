"""Files that cannot be opened: one of each kind, and a thread without root's right to open everything."""

from __future__ import annotations

import ctypes
import os
import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

KINDS = ("closed", "device", "folder", "gone", "loop", "pipe", "socket")
"""Names of the files, without suffix, in order of name."""

CAP_VERSION_3 = 0x20080522
OPENS_EVERYTHING = 1 << 1 | 1 << 2
"""CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH."""


def make_unopenable(folder: Path, *, name: str) -> list[Path]:
    """Make one file of each kind that cannot be opened; to be used `without_privilege`.

    Args:
        name: with `{}` for the kind.
    """
    folder.mkdir(parents=True, exist_ok=True)
    paths = {kind: folder / name.format(kind) for kind in KINDS}
    paths["closed"].write_bytes(b"\0" * 1000)
    paths["closed"].chmod(0)
    paths["device"].symlink_to("/dev/zero")
    paths["folder"].mkdir()
    paths["gone"].symlink_to(folder / "nothing")
    paths["loop"].symlink_to(paths["loop"])
    os.mkfifo(paths["pipe"])
    previous = Path.cwd()
    with socket.socket(socket.AF_UNIX) as server:
        os.chdir(folder)  # the address of a socket is short
        try:
            server.bind(paths["socket"].name)
        finally:
            os.chdir(previous)
    return list(paths.values())


@contextmanager
def without_privilege() -> Iterator[None]:
    """Open files as an ordinary user does, in this thread and in those that it starts; for tests that run as root."""
    libc = ctypes.CDLL(None, use_errno=True)
    header = struct.pack("=Ii", CAP_VERSION_3, 0)
    data = ctypes.create_string_buffer(24)
    assert libc.capget(header, data) == 0
    before = data.raw
    effective, *others = struct.unpack("=6I", before)
    try:
        assert libc.capset(header, struct.pack("=6I", effective & ~OPENS_EVERYTHING, *others)) == 0
        yield
    finally:
        assert libc.capset(header, before) == 0
