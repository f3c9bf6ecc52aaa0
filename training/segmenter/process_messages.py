"""Messages of training processes to their job: lines of JSON on stdout, marked by a prefix."""

from __future__ import annotations

import errno
import signal
import sys
from typing import Any

import orjson

from mammo import errors
from mammo.errors import MammoError, ProcessKilled
from mammo.runs import classify

MARK = "mlsam "
"""Prefix of the lines that are messages."""

EXTERNAL_SIGNALS = (-signal.SIGKILL, -signal.SIGTERM)
"""Exit codes of a process that was killed from outside. After a crash (SIGSEGV, SIGABRT), its output gives the
reason."""


class ProcessFailed(Exception):
    """A training process failed because of a bug; carries its error message."""


def send_message(**fields: Any) -> None:
    """Send a message to the job; written as one line and flushed.

    Either `progress` and `message`; `measured` (a name), `step` and `value`; the fields of `failure_fields`; or `ended`
    (exit code) and `rank`.
    """
    sys.stdout.write(MARK + orjson.dumps(fields).decode() + "\n")
    sys.stdout.flush()


def parse_message(line: bytes) -> dict[str, Any]:
    """The fields of a message; empty for a line that is none."""
    text = line.decode(errors="replace")
    return dict(orjson.loads(text.removeprefix(MARK))) if text.startswith(MARK) else {}


def failure_fields(error: Exception) -> dict[str, Any]:
    """Describe why a process fails; `failure_of` restores an error that `classify` treats alike."""
    if isinstance(error, MammoError):
        return {"failed": type(error).__name__, "code": error.code, "message": str(error)}
    return {"failed": None, "kind": classify(error).kind, "message": f"{type(error).__name__}: {error}"}


def failure_of(fields: dict[str, Any], *, num_processes: int) -> Exception | None:
    """The failure that a message reports; None for other messages, and for the end of a process that only followed."""
    if "failed" in fields:
        message = fields["message"]
        if fields["failed"]:
            error: MammoError = getattr(errors, fields["failed"])(message, code=fields["code"])
            return error
        if fields["kind"] == "disk_full":
            return OSError(errno.ENOSPC, message)
        if fields["kind"] == "out_of_memory":
            return MemoryError(message)
        if fields["kind"] == "lost_gpu":
            return RuntimeError(f"CUDA error: {message}")
        return ProcessFailed(message)
    if fields.get("ended") not in EXTERNAL_SIGNALS:
        return None
    name = signal.Signals(-fields["ended"]).name
    return ProcessKilled(
        f"training process {fields['rank'] + 1} of {num_processes} was killed ({name}), most likely by the system "
        "because memory ran out: look at the system log (`dmesg`), then resume the run"
    )
