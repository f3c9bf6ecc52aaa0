"""Opens files that come from outside: regular files only, and without waiting.

A pipe without a writer blocks the process that opens it, some devices act when they are opened, and `/dev/zero` never
ends. Every reason is an OSError whose `strerror` is fit for a message, so that one bad file among many is reported and
the others are read.
"""

from __future__ import annotations

import errno
import os
import stat
from io import BufferedReader
from pathlib import Path

FLAGS = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
"""The file may become a pipe between the check and the opening; O_NONBLOCK has no effect on regular files."""

KINDS = {
    stat.S_IFDIR: (errno.EISDIR, "it is a folder"),
    stat.S_IFIFO: (errno.EINVAL, "it is a pipe"),
    stat.S_IFSOCK: (errno.EINVAL, "it is a socket"),
    stat.S_IFCHR: (errno.EINVAL, "it is a device"),
    stat.S_IFBLK: (errno.EINVAL, "it is a device"),
}
"""Error of each kind that is not a regular file."""


def open_input(path: Path) -> BufferedReader:
    """Open a regular file for reading; symbolic links are followed.

    Raises:
        OSError: it does not exist, may not be read, or is a folder, a pipe, a socket or a device.
    """
    try:
        mode = os.stat(path).st_mode
        if stat.S_ISDIR(mode):
            os.scandir(path).close()  # a folder that may not be read is refused for that
        _require_regular(mode)
        descriptor = os.open(path, FLAGS)
    except FileNotFoundError:
        if os.path.islink(path):
            raise FileNotFoundError(errno.ENOENT, "it is a link to a file that does not exist") from None
        raise
    except ValueError:  # a null byte, or characters that no file name can have
        raise OSError(errno.EINVAL, "its name is not a valid file name") from None
    try:
        _require_regular(os.fstat(descriptor).st_mode)
        return os.fdopen(descriptor, "rb")
    except BaseException:
        os.close(descriptor)
        raise


def read_input(path: Path, *, max_bytes: int) -> bytes:
    """Read a regular file.

    Raises:
        OSError: see `open_input`; or it has more than `max_bytes` bytes (errno `EFBIG`).
    """
    with open_input(path) as file:
        content = file.read(max_bytes + 1)
    if len(content) > max_bytes:
        raise OSError(errno.EFBIG, f"it has more than {max_bytes} bytes")
    return content


def _require_regular(mode: int) -> None:
    if not stat.S_ISREG(mode):
        raise OSError(*KINDS.get(stat.S_IFMT(mode), (errno.EINVAL, "it is not a regular file")))
