"""Private files: the data folder is accessible to its owner only, mode 0700, and the files in it, mode 0600.

They hold annotations, pseudonyms and what Label Studio sent. Access is repaired where this process may do so; otherwise
the service does not start, and the message has the command that does.
"""

from __future__ import annotations

import os
import shlex
import stat
from pathlib import Path

from mammo.errors import StorageUnavailable

CONTENTS = frozenset(
    {
        "yolo-mlsam.db",
        "blobs",
        "models",
        "exported",
        "embeddings",
        "downloads",
        "runs",
        "backgrounds",
        "public-weights",
    }
)
"""Names by which a data folder is recognized: it has at least one of them, or is empty."""

OTHERS = 0o077
"""Permission bits of everybody but the owner."""

CODE = "data_folder_not_private"


def make_private(folder: Path, *, create: bool) -> None:
    """Take from everybody but the owner the access to a folder and to the files directly in it.

    A folder without access for others is all that its subfolders need; they are made private too, but not what they
    contain. A folder that is a symbolic link is followed; a link in it is left alone. A folder that others may access,
    and that holds other things than a data folder, is refused and not changed.

    Args:
        create: whether to create a missing folder; otherwise there is nothing to do.

    Raises:
        StorageUnavailable: the folder cannot be made private (code `data_folder_not_private`), or not be created.
    """
    try:
        if create:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        elif not folder.exists():
            return
    except OSError as error:
        reason = f"the data folder {folder} cannot be created ({error.strerror})"
        raise StorageUnavailable(f"{reason}: name another one in YOLO_MLSAM_DATA_DIR") from error
    status = folder.stat()
    if not stat.S_ISDIR(status.st_mode):
        raise StorageUnavailable(f"the data folder {folder} is a file: name a folder in YOLO_MLSAM_DATA_DIR")
    if os.geteuid() not in (0, status.st_uid):
        raise _refusal(folder, "belongs to another user", folder)
    if status.st_mode & OTHERS:
        _require_data_folder(folder)
    _restrict(folder, 0o700, folder)
    for path in sorted(folder.iterdir()):
        if not path.is_symlink() and (path.is_dir() or path.is_file()):
            _restrict(path, 0o700 if path.is_dir() else 0o600, folder)


def make_private_file(path: Path) -> None:
    """Take from everybody but the owner the access to a file, if it exists.

    Raises:
        StorageUnavailable: that is not possible (code `data_folder_not_private`).
    """
    if path.is_file() and not path.is_symlink():
        _restrict(path, 0o600, path)


def _require_data_folder(folder: Path) -> None:
    names = {path.name for path in folder.iterdir()}
    if names and not names & CONTENTS:
        raise StorageUnavailable(
            f"others may access {folder}, which holds other things than a data folder and is left as it is: name a "
            f"folder of its own in YOLO_MLSAM_DATA_DIR, or run `chmod 700 {shlex.quote(str(folder))}`",
            code=CODE,
        )


def _restrict(path: Path, mode: int, folder: Path) -> None:
    """Set the mode of a file or folder that others may access; raise StorageUnavailable if that is not possible."""
    try:
        if not path.stat().st_mode & OTHERS:
            return
        path.chmod(mode)
        if path.stat().st_mode & OTHERS:
            raise _refusal(path, "stays accessible to others, because its file system sets the mode", folder)
    except FileNotFoundError:  # the database has removed its log meanwhile
        return
    except OSError as error:
        reason = f"is accessible to others, and that cannot be changed from here ({error.strerror})"
        raise _refusal(path, reason, folder) from error


def _refusal(path: Path, reason: str, folder: Path) -> StorageUnavailable:
    place, user = shlex.quote(str(folder)), os.geteuid()
    return StorageUnavailable(
        f"{path} {reason}: run `sudo chown -R {user} {place} && sudo chmod -R go= {place}`, on a file system that is "
        "mounted for writing and stores modes, or name another folder in YOLO_MLSAM_DATA_DIR",
        code=CODE,
    )
