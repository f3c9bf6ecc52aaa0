"""Why a run failed, for a person: the kind of failure, what happened, and what to do.

Exceptions are recognised by type name and message, because this package must not import torch.
"""

from __future__ import annotations

import errno
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from mammo.errors import (
    ImageUnavailable,
    InvalidSettings,
    LabelStudioError,
    MammoError,
    ProcessKilled,
    PromotionConflict,
    StorageUnavailable,
    UnusableRuntime,
    WeightsUnavailable,
)

FailureKind = Literal[
    "out_of_memory", "bad_data", "lost_gpu", "disk_full", "unavailable", "settings", "killed", "bug"
]

OUT_OF_MEMORY = (
    "out of memory",
    "can't allocate memory",
    "cannot allocate memory",
    "unable to allocate",
    "insufficient memory",  # OpenCV
    "cublas_status_alloc_failed",
    "cudnn_status_alloc_failed",
)
LOST_GPU = (
    "cuda error",
    "cudnn error",
    "cublas",
    "nccl",
    "no cuda-capable device",
    "no cuda gpus are available",
    "no nvidia driver",
    "fallen off the bus",
    "driver shutting down",
)
DEVICE_ASSERT = ("device-side assert",)
"""An index out of range in a kernel: a bug that CUDA reports as an error, and that another GPU would repeat."""

DISK_FULL_ERRNOS = frozenset({errno.ENOSPC, errno.EDQUOT})
DISK_FULL = ("no space left on device", "disk is full", "disk quota exceeded", "enospc")

UNAVAILABLE = (LabelStudioError, ImageUnavailable, StorageUnavailable, WeightsUnavailable, PromotionConflict)

ADVICE: dict[FailureKind, str] = {
    "out_of_memory": "the GPU or the machine ran out of memory, with half the batch size too: "
    "stop other programs that use it, or choose a recipe with a smaller batch",
    "lost_gpu": "the GPU stopped responding: check `nvidia-smi` and the system log, then resume the run",
    "disk_full": "the disk is full: free space (`yolo-mlsam models gc`), then resume the run",
    "unavailable": "a service that the run needs did not respond: make sure that it is running, then resume the run",
    "killed": "the process was killed repeatedly at the same point, most likely by the system for lack of "
    "memory: check the system log (`dmesg`), then resume the run",
    "bug": "this is a bug in yolo-mlsam: please report it with the run's log; the champion keeps serving",
}


@dataclass(frozen=True, kw_only=True)
class Failure:
    """Why a run failed."""

    kind: FailureKind
    sentence: str
    """What happened and what to do, for a person; contains no path and no patient."""


def classify(error: BaseException) -> Failure:
    """Return the failure of an exception, taking its causes into account."""
    chain = list(_chain(error))
    for kind, test in (
        ("disk_full", _is_disk_full),
        ("out_of_memory", _is_out_of_memory),
        ("lost_gpu", _is_lost_gpu),
    ):
        if any(test(each) for each in chain):
            return Failure(kind=kind, sentence=ADVICE[kind])  # type: ignore[arg-type, index]
    if isinstance(error, InvalidSettings | UnusableRuntime):
        return Failure(kind="settings", sentence=str(error))
    if isinstance(error, UNAVAILABLE):
        return Failure(kind="unavailable", sentence=f"{error}: {ADVICE['unavailable']}")
    if isinstance(error, ProcessKilled):
        return Failure(kind="killed", sentence=str(error))
    if isinstance(error, MammoError):
        return Failure(kind="bad_data", sentence=str(error))
    return Failure(kind="bug", sentence=f"{type(error).__name__}: {ADVICE['bug']}")


def killed() -> Failure:
    """Return the failure of a run whose process was killed too often without progress."""
    return Failure(kind="killed", sentence=ADVICE["killed"])


def _chain(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    link: BaseException | None = error
    while link is not None and id(link) not in seen:
        seen.add(id(link))
        yield link
        link = link.__cause__ or link.__context__


def _is_disk_full(error: BaseException) -> bool:
    if isinstance(error, OSError) and error.errno in DISK_FULL_ERRNOS:
        return True
    return _mentions(error, DISK_FULL)


def _is_out_of_memory(error: BaseException) -> bool:
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    if isinstance(error, OSError):
        return error.errno == errno.ENOMEM
    return _is_library_error(error) and _mentions(error, OUT_OF_MEMORY)


def _is_lost_gpu(error: BaseException) -> bool:
    return _is_library_error(error) and _mentions(error, LOST_GPU) and not _mentions(error, DEVICE_ASSERT)


def _is_library_error(error: BaseException) -> bool:
    """Return whether torch, OpenVINO (RuntimeError) or OpenCV raised the error; other messages prove nothing."""
    return isinstance(error, RuntimeError) or type(error).__module__ == "cv2"


def _mentions(error: BaseException, phrases: Iterable[str]) -> bool:
    text = str(error).lower()
    return any(phrase in text for phrase in phrases)
