import errno

import pytest

from mammo.errors import InsufficientData, InvalidSettings, LabelStudioError, StorageUnavailable
from mammo.runs import classify


class OutOfMemoryError(RuntimeError):
    """As torch names it."""


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"), "out_of_memory"),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory"), "out_of_memory"),
        (MemoryError(), "out_of_memory"),
        (RuntimeError("CUDA error: device-side assert triggered"), "lost_gpu"),
        (RuntimeError("No CUDA GPUs are available"), "lost_gpu"),
        (OSError(errno.ENOSPC, "No space left on device"), "disk_full"),
        (InsufficientData("only 1 patient"), "bad_data"),
        (LabelStudioError("gone"), "unavailable"),
        (InvalidSettings("no such recipe"), "settings"),
        (ZeroDivisionError("by zero"), "bug"),
        (RuntimeError("shapes differ"), "bug"),
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
