"""A segmenter trained by several processes of one job: one for each GPU, or a few that share the processors.

The job cuts the regions and hands a folder to `torch.distributed.run`; it hears how far the first process is, and the
others' weights are the same. The processes die with the job, however that dies, and a run that is taken up again goes
on from its last checkpoint, with as many processes or with another number.
"""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import torch
from pydantic import TypeAdapter

from mammo import errors
from mammo.errors import InvalidSettings, MammoError, ProcessKilled
from mammo.leash import leashed
from mammo.runs import classify
from mammo.segmenter.network import Mlsam
from mammo.segmenter.weights import save_segmenter
from training.cases import Progress
from training.segmenter.recipes import SegmenterRecipe

MARK = "mlsam "
"""Begin of the lines that are for the job."""

ORDER, START, LOG = "order.json", "start.safetensors", "processes.log"
"""In the run folder: what is trained, the weights it begins with, and what the processes say besides."""


FROM_OUTSIDE = (-signal.SIGKILL, -signal.SIGTERM)
"""Ends that a process does not bring about itself; a crash (SIGSEGV, SIGABRT) is told by what it printed."""


class ProcessFailed(Exception):
    """A training process failed by a fault of ours; in its words."""


@dataclass(frozen=True, kw_only=True)
class Order:
    """What the processes train; the regions lie beside it."""

    recipe: SegmenterRecipe
    start: str
    """Name of the file of the start."""

    start_competes: bool
    facts: dict[str, Any]

    @classmethod
    def read(cls, path: Path) -> Order:
        """An order from its file."""
        return TypeAdapter(Order).validate_json(path.read_bytes())

    def write(self, path: Path) -> None:
        path.write_bytes(orjson.dumps(self))


def require_shares(count: int, *, batch: int) -> None:
    """That so many processes can train together here.

    Raises:
        InvalidSettings: more processes than GPUs, or a batch that cannot be shared equally.
    """
    gpus = torch.cuda.device_count() if torch.cuda.is_available() else count
    if count > gpus:
        raise InvalidSettings(
            f"YOLO_MLSAM_TRAIN_PROCESSES is {count}, but this worker sees {gpus} GPU(s) and each process needs its "
            "own; lower it, or let the worker see more (CUDA_VISIBLE_DEVICES)"
        )
    if batch % count:
        raise InvalidSettings(
            f"YOLO_MLSAM_TRAIN_PROCESSES is {count}, which does not divide the recipe's batch of {batch} regions; "
            "take a divisor"
        )


def train_in_processes(
    network: Mlsam,
    *,
    count: int,
    recipe: SegmenterRecipe,
    folder: Path,
    start_competes: bool,
    facts: dict[str, Any],
    progress: Progress,
) -> Path:
    """Train a network on the regions in `folder/train` and `folder/validation`; returns the weights file.

    Call it from the main thread: the processes are killed when the calling thread ends.

    Raises:
        InvalidSettings: see `require_shares`.
        ProcessKilled: a process was killed by a signal.
        MammoError: what stopped the first process that failed, as it raised it.
        OSError, MemoryError, RuntimeError, ProcessFailed: a process failed otherwise, in its words.
        Cancelled: raised by `progress`; the processes are killed.
    """
    require_shares(count, batch=recipe.batch)
    save_segmenter(folder / START, network, facts={})
    order = folder / ORDER
    Order(recipe=recipe, start=START, start_competes=start_competes, facts=facts).write(order)
    threads = str(max(1, (os.cpu_count() or 1) // count))
    failures: list[Exception] = []
    with (
        (folder / LOG).open("wb") as log,
        subprocess.Popen(  # noqa: S603 - the command is ours
            leashed(
                [sys.executable, "-m", "training.segmenter.launcher", str(count), str(order)],
                parent=os.getpid(),
            ),
            # All are on this host; a name that resolves to nothing must not matter.
            env={"OMP_NUM_THREADS": threads, "GLOO_SOCKET_IFNAME": "lo", **os.environ},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=log,
        ) as launcher,
    ):
        try:
            assert launcher.stdout is not None
            for line in launcher.stdout:
                told = _told(line)
                if "progress" in told:
                    progress(told["progress"], told["message"])
                elif (failure := as_error(told, count=count)) is not None:
                    failures.append(failure)
            code = launcher.wait()
        finally:
            launcher.kill()  # its ranks die with it
    if code:
        killed = [each for each in failures if isinstance(each, ProcessKilled)]
        raise (killed or failures or [_unexplained(code, folder / LOG)])[0]
    return folder / "segmenter.safetensors"


def tell(**what: Any) -> None:
    """Say something to the job, from one of its processes: one line, written at once."""
    sys.stdout.write(MARK + orjson.dumps(what).decode() + "\n")
    sys.stdout.flush()


def as_told(error: Exception) -> dict[str, Any]:
    """What a process tells of why it fails; what `as_error` in the job makes of it is classified alike."""
    if isinstance(error, MammoError):
        return {"failed": type(error).__name__, "code": error.code, "message": str(error)}
    return {"failed": None, "kind": classify(error).kind, "message": f"{type(error).__name__}: {error}"}


def as_error(told: dict[str, Any], *, count: int) -> Exception | None:
    """The failure that a process told of; None where it told of something else, or was only the messenger."""
    if "failed" in told:
        message = told["message"]
        if told["failed"]:
            known: MammoError = getattr(errors, told["failed"])(message, code=told["code"])
            return known
        if told["kind"] == "disk_full":
            return OSError(errno.ENOSPC, message)
        if told["kind"] == "out_of_memory":
            return MemoryError(message)
        return (
            RuntimeError(f"CUDA error: {message}") if told["kind"] == "lost_gpu" else ProcessFailed(message)
        )
    if told.get("ended") not in FROM_OUTSIDE:
        return None
    name = signal.Signals(-told["ended"]).name
    return ProcessKilled(
        f"training process {told['rank'] + 1} of {count} was killed ({name}), most likely by the system for want of "
        "memory: look at the system log (`dmesg`), then resume the run"
    )


def _unexplained(code: int, log: Path) -> RuntimeError:
    words = log.read_text(encoding="utf-8", errors="replace")[-4000:]
    return RuntimeError(f"the training processes ended with {code}: {words}")


def _told(line: bytes) -> dict[str, Any]:
    """What a process says to the job; empty for what somebody else prints."""
    text = line.decode(errors="replace")
    return dict(orjson.loads(text.removeprefix(MARK))) if text.startswith(MARK) else {}
