import errno
import sqlite3
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from mammo.errors import (
    ImageUnavailable,
    InsufficientData,
    InvalidSettings,
    InvalidTrainingData,
    LabelStudioError,
    ProcessKilled,
    StorageUnavailable,
    TrainingDiverged,
    UnusableRuntime,
    WeightsUnavailable,
)
from mammo.runs import classify


class OutOfMemoryError(RuntimeError):
    """As torch names it."""


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"), "out_of_memory"),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory"), "out_of_memory"),
        (MemoryError(), "out_of_memory"),
        (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate`"), "out_of_memory"),
        (RuntimeError("CUDA error: unspecified launch failure"), "lost_gpu"),
        (RuntimeError("cuDNN error: CUDNN_STATUS_EXECUTION_FAILED"), "lost_gpu"),
        (RuntimeError("No CUDA GPUs are available"), "lost_gpu"),
        (OSError(errno.ENOSPC, "No space left on device"), "disk_full"),
        (InsufficientData("only 1 patient"), "bad_data"),
        (LabelStudioError("gone"), "unavailable"),
        (InvalidSettings("no such recipe"), "settings"),
        (ProcessKilled("process 2 of 2 was killed"), "killed"),
        (ZeroDivisionError("by zero"), "bug"),
        (RuntimeError("shapes differ"), "bug"),
        (RuntimeError("CUDA error: device-side assert triggered"), "bug"),
        (ValueError("out of memory is a word that a label may hold"), "bug"),
        (UnusableRuntime("OpenVINO is not installed"), "settings"),
        (WeightsUnavailable("the server of the weights is away"), "unavailable"),
        (ImageUnavailable("the image server is away"), "unavailable"),
        (InvalidTrainingData("a mask that does not lie in its image"), "bad_data"),
        (TrainingDiverged("the loss is no number any more"), "bad_data"),
    ],
)
def test_every_trouble_has_its_kind_and_a_sentence(error, kind):
    failure = classify(error)
    assert failure.kind == kind
    assert len(failure.sentence) > 10


def test_the_cause_of_an_error_tells_more_than_the_error():
    error = StorageUnavailable("the blob store cannot take a file now")
    error.__cause__ = OSError(errno.ENOSPC, "No space left on device")
    assert classify(error).kind == "disk_full"


def test_a_bug_never_shows_its_words_which_may_hold_a_patient():
    assert "Doe" not in classify(ValueError("PatientName=Doe^Jane")).sentence


TOO_MUCH = 1 << 50
"""More bytes than any machine has."""


def torch_wants_too_much():
    torch.empty(TOO_MUCH)


def numpy_wants_too_much():
    np.empty(TOO_MUCH)


def opencv_wants_too_much():
    cv2.resize(np.zeros((1, 1), np.uint8), (1 << 20, 1 << 30))


def torch_wants_too_much_of_a_gpu():
    raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has 8 GiB")


def the_gpu_is_lost():
    raise torch.AcceleratorError("CUDA error: unspecified launch failure\nCompile with TORCH_USE_CUDA_DSA")


def another_gpu_is_lost():
    raise torch.distributed.DistBackendError("NCCL error in: ProcessGroupNCCL.cpp:3, unhandled cuda error")


def the_disk_is_full():
    Path("/dev/full").write_bytes(b"a checkpoint")


def the_disk_of_the_database_is_full():
    connection = sqlite3.connect(":memory:")
    connection.execute("pragma max_page_count = 2")
    connection.execute("create table t (x)")
    connection.execute("insert into t values (zeroblob(100000))")


def shapes_differ():
    torch.ones(2) @ torch.ones(3)


@pytest.mark.parametrize(
    ("happen", "kind"),
    [
        (torch_wants_too_much, "out_of_memory"),
        (numpy_wants_too_much, "out_of_memory"),
        (opencv_wants_too_much, "out_of_memory"),
        (torch_wants_too_much_of_a_gpu, "out_of_memory"),
        (the_gpu_is_lost, "lost_gpu"),
        (another_gpu_is_lost, "lost_gpu"),
        (the_disk_is_full, "disk_full"),
        (the_disk_of_the_database_is_full, "disk_full"),
        (shapes_differ, "bug"),
    ],
    ids=lambda each: getattr(each, "__name__", each),
)
def test_what_a_library_raises_has_its_kind(happen, kind):
    with pytest.raises(Exception) as raised:  # noqa: PT011 - what it is, is the claim
        happen()
    assert classify(raised.value).kind == kind
