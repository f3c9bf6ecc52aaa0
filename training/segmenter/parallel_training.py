"""Training of a segmenter by several processes of one job, one per GPU, or a few that share the CPUs.

The job cuts the regions, starts `training.segmenter.launcher` on the run folder, and receives progress and failures as
`training.segmenter.process_messages`. The processes die with the job, however it ends. A resumed run starts at its last
checkpoint, with any number of processes.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import torch
from pydantic import TypeAdapter

from mammo.errors import InvalidSettings, ProcessKilled
from mammo.leash import leashed
from mammo.segmenter.network import Mlsam
from mammo.segmenter.weights import save_segmenter
from training.cases import Measure, Progress
from training.segmenter.process_messages import failure_of, parse_message
from training.segmenter.recipes import SegmenterRecipe

REQUEST, START, LOG = "order.json", "start.safetensors", "processes.log"
"""Files in the run folder: the request, the start weights, and the other output of the processes."""


@dataclass(frozen=True, kw_only=True)
class TrainingRequest:
    """The training that the processes share; the folders `train` and `validation` beside its file hold the regions."""

    recipe: SegmenterRecipe
    start: str
    """File name of the start weights."""

    start_competes: bool
    facts: dict[str, Any]

    @classmethod
    def read(cls, path: Path) -> TrainingRequest:
        return TypeAdapter(TrainingRequest).validate_json(path.read_bytes())

    def write(self, path: Path) -> None:
        path.write_bytes(orjson.dumps(self))


def require_equal_shares(num_processes: int, *, batch: int) -> None:
    """Check that this number of processes can train together on this machine.

    Raises:
        InvalidSettings: there are fewer GPUs than processes, or the batch cannot be divided equally.
    """
    gpus = torch.cuda.device_count() if torch.cuda.is_available() else num_processes
    if num_processes > gpus:
        raise InvalidSettings(
            f"YOLO_MLSAM_TRAIN_PROCESSES is {num_processes}, but this worker sees {gpus} GPU(s) and each process needs "
            "its own; lower it, or make more GPUs visible to the worker (CUDA_VISIBLE_DEVICES)"
        )
    if batch % num_processes:
        raise InvalidSettings(
            f"YOLO_MLSAM_TRAIN_PROCESSES is {num_processes}, which does not divide the recipe's batch of {batch} "
            "regions; use a divisor"
        )


def train_in_processes(
    network: Mlsam,
    *,
    num_processes: int,
    recipe: SegmenterRecipe,
    folder: Path,
    start_competes: bool,
    facts: dict[str, Any],
    progress: Progress,
    measure: Measure,
) -> Path:
    """Train a network on the regions in `folder/train` and `folder/validation`; returns the weights file.

    Call it from the main thread: the processes are killed when the calling thread ends.

    Raises:
        InvalidSettings: see `require_equal_shares`.
        ProcessKilled: a process was killed by a signal.
        MammoError: the error of the first process that failed.
        OSError, MemoryError, RuntimeError, ProcessFailed: a process failed otherwise, with its error message.
        Cancelled: raised by `progress`; the processes are killed.
    """
    require_equal_shares(num_processes, batch=recipe.batch)
    save_segmenter(folder / START, network, facts={})
    request = TrainingRequest(recipe=recipe, start=START, start_competes=start_competes, facts=facts)
    request.write(folder / REQUEST)
    failures: list[Exception] = []
    with _launcher(folder, num_processes) as launcher:
        assert launcher.stdout is not None
        for line in launcher.stdout:
            message = parse_message(line)
            if "progress" in message:
                progress(message["progress"], message["message"])
            elif "measured" in message:
                measure(message["measured"], message["step"], message["value"])
            elif (failure := failure_of(message, num_processes=num_processes)) is not None:
                failures.append(failure)
        code = launcher.wait()
    if code:
        killed = [each for each in failures if isinstance(each, ProcessKilled)]
        raise (killed or failures or [_unexplained(code, folder / LOG)])[0]
    return folder / "segmenter.safetensors"


@contextmanager
def _launcher(folder: Path, num_processes: int) -> Iterator[subprocess.Popen[bytes]]:
    """Start the launcher, and kill it at the end of the block; its processes die with it."""
    threads = str(max(1, (os.cpu_count() or 1) // num_processes))
    command = [
        sys.executable,
        "-m",
        "training.segmenter.launcher",
        str(num_processes),
        str(folder / REQUEST),
    ]
    with (
        (folder / LOG).open("wb") as log,
        subprocess.Popen(  # noqa: S603 - the command is ours
            leashed(command, parent=os.getpid()),
            # All processes are on this host, so an unresolvable host name must not matter.
            env={"OMP_NUM_THREADS": threads, "GLOO_SOCKET_IFNAME": "lo", **os.environ},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=log,
        ) as launcher,
    ):
        try:
            yield launcher
        finally:
            launcher.kill()


def _unexplained(code: int, log: Path) -> RuntimeError:
    output = log.read_text(encoding="utf-8", errors="replace")[-4000:]
    return RuntimeError(f"the training processes ended with {code}: {output}")
