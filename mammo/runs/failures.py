"""Why a run failed, for a person: what kind of trouble, in plain words, and what to do about it.

Exceptions are known by their type's name and their words, because nothing above training may import torch.
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

Kind = Literal[
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
OUR_FAULT_ON_THE_GPU = ("device-side assert",)
"""An index out of range in a kernel: CUDA calls it an error of its own, and no other GPU would do better."""

NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT})
FULL = ("no space left on device", "disk is full", "disk quota exceeded", "enospc")

UNAVAILABLE = (LabelStudioError, ImageUnavailable, StorageUnavailable, WeightsUnavailable, PromotionConflict)

IN_WORDS: dict[Kind, str] = {
    "out_of_memory": "the memory of the GPU or of the machine did not suffice, with half the batch either: "
    "close what else uses it, or take a recipe with a smaller batch",
    "lost_gpu": "the GPU stopped answering: look at `nvidia-smi` and the system log, then resume the run",
    "disk_full": "the disk is full: make room (`yolo-mlsam models gc`), then resume the run",
    "unavailable": "something that the run needs did not answer: see that it runs, then resume the run",
    "killed": "the process was killed again and again at the same place, most likely by the system for want of "
    "memory: look at the system log (`dmesg`), then resume the run",
    "bug": "this is a fault of ours: please report it with the run's log; the champion keeps serving",
}


@dataclass(frozen=True, kw_only=True)
class Failure:
    """What went wrong."""

    kind: Kind
    sentence: str
    """For a person: what happened and what to do. No path, no patient."""


def classify(error: BaseException) -> Failure:
    """The failure that an exception means, looking through what caused it."""
    chain = list(_chain(error))
    for kind, test in (
        ("disk_full", _is_full),
        ("out_of_memory", _is_out_of_memory),
        ("lost_gpu", _is_lost_gpu),
    ):
        if any(test(each) for each in chain):
            return Failure(kind=kind, sentence=IN_WORDS[kind])  # type: ignore[arg-type, index]
    if isinstance(error, InvalidSettings | UnusableRuntime):
        return Failure(kind="settings", sentence=str(error))
    if isinstance(error, UNAVAILABLE):
        return Failure(kind="unavailable", sentence=f"{error}: {IN_WORDS['unavailable']}")
    if isinstance(error, ProcessKilled):
        return Failure(kind="killed", sentence=str(error))
    if isinstance(error, MammoError):
        return Failure(kind="bad_data", sentence=str(error))
    return Failure(kind="bug", sentence=f"{type(error).__name__}: {IN_WORDS['bug']}")


def killed() -> Failure:
    """A run whose process was killed too often without having come further."""
    return Failure(kind="killed", sentence=IN_WORDS["killed"])


def _chain(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    link: BaseException | None = error
    while link is not None and id(link) not in seen:
        seen.add(id(link))
        yield link
        link = link.__cause__ or link.__context__


def _is_full(error: BaseException) -> bool:
    if isinstance(error, OSError) and error.errno in NO_ROOM:
        return True
    return _says(error, FULL)


def _is_out_of_memory(error: BaseException) -> bool:
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    if isinstance(error, OSError):
        return error.errno == errno.ENOMEM
    return _is_of_a_library(error) and _says(error, OUT_OF_MEMORY)


def _is_lost_gpu(error: BaseException) -> bool:
    return _is_of_a_library(error) and _says(error, LOST_GPU) and not _says(error, OUR_FAULT_ON_THE_GPU)


def _is_of_a_library(error: BaseException) -> bool:
    """Torch and OpenVINO raise RuntimeErrors, OpenCV an Exception of its own; others may say anybody's words."""
    return isinstance(error, RuntimeError) or type(error).__module__ == "cv2"


def _says(error: BaseException, words: Iterable[str]) -> bool:
    text = str(error).lower()
    return any(each in text for each in words)
