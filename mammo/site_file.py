"""Site file: the settings of one installation in one file, which holds secrets and is its owner's alone (mode 0600).

Each line is `YOLO_MLSAM_<SETTING>='value'`, as in an env file; `${…}` is not replaced. What the environment sets counts
more than the file. Relative paths in it are relative to the file's folder, so that a command means the same wherever it
is started.
"""

from __future__ import annotations

import os
import shlex
import stat
from collections.abc import Collection, Mapping
from io import StringIO
from pathlib import Path

from dotenv.parser import parse_stream

from mammo.atomic_files import replacing
from mammo.errors import InvalidSettings

NAME = "yolo-mlsam.env"
"""Name of the file that is found in the working directory."""

MAX_BYTES = 2**20


def find_site_file(named: Path | None) -> Path | None:
    """Return the settings file, absolute: the one that is named, else that of the working directory, else None.

    Raises:
        InvalidSettings: the named file does not exist.
    """
    if named is not None:
        if not named.is_file():
            raise InvalidSettings(
                f"the settings file {named} does not exist: `yolo-mlsam init` writes one; name it in --site or "
                "YOLO_MLSAM_SITE"
            )
        return named.resolve()
    here = Path(NAME)
    return here.resolve() if here.is_file() else None


def read_site_file(file: Path, *, variables: Collection[str], paths: Collection[str]) -> dict[str, str]:
    """Return the values of a settings file by variable.

    Args:
        variables: the variables that it may set.
        paths: those whose values are paths; a relative one is returned relative to the file's folder.

    Raises:
        InvalidSettings: others may access the file, it belongs to another user, or a line is not understood; the
            message names the line, never its value.
    """
    _require_private(file)
    try:
        text = file.read_bytes()[: MAX_BYTES + 1].decode()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise InvalidSettings(f"the settings file {file} cannot be read: {reason}") from None
    if len(text) > MAX_BYTES:
        raise InvalidSettings(f"the settings file {file} is larger than {MAX_BYTES} bytes")
    values: dict[str, str] = {}
    for line in parse_stream(StringIO(text)):
        number = line.original.line + (len(line.original.string) - len(line.original.string.lstrip("\n")))
        if line.error or (line.key is not None and line.value is None):
            raise InvalidSettings(f"{file}, line {number}: expected NAME='value'")
        if line.key is None or line.value is None:  # a comment or an empty line
            continue
        if line.key not in variables:
            raise InvalidSettings(
                f"{file}, line {number}: {line.key} is no setting that this file may hold; docs/settings.md lists them"
            )
        if line.key in values:
            raise InvalidSettings(f"{file}, line {number}: {line.key} is set a second time")
        is_relative = line.key in paths and line.value and not os.path.isabs(line.value)
        values[line.key] = str(file.parent / line.value) if is_relative else line.value
    return values


def write_site_file(file: Path, values: Mapping[str, str], *, comment: str) -> None:
    """Write a settings file that only its owner may access.

    Args:
        file: its folder exists.
        values: by variable; no value has a line break.
        comment: the first line, without `#`.
    """
    lines = [f"# {comment}\n"]
    for name, value in values.items():
        if "\n" in value or "\r" in value:
            raise ValueError(f"the value of {name} has a line break")
        escaped = value.replace("\\", "\\\\").replace("'", "\\'")
        lines.append(f"{name}='{escaped}'\n")
    with replacing(file, mode=0o600, durable=True) as part:
        part.write_text("".join(lines), encoding="utf-8")


def _require_private(file: Path) -> None:
    status = file.stat()
    if status.st_uid not in (os.geteuid(), 0):
        raise InvalidSettings(
            f"the settings file {file} belongs to another user, who could send your secrets elsewhere: name your own "
            "in --site or YOLO_MLSAM_SITE"
        )
    if stat.S_IMODE(status.st_mode) & 0o077:
        raise InvalidSettings(
            f"others may access the settings file {file}, which holds secrets: run `chmod 600 {shlex.quote(str(file))}`"
        )
