"""Precision notes: whether a version's detector finds the same in bfloat16 as in float32, as measured at this site.

`training.evaluation.precision_check` measures it, on validation patients; the result is a note of the version. It holds
for the processor, the OpenVINO and the release that it was measured with, and says nothing about others.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

from mammo.processor import has_bfloat16, instruction_sets

if TYPE_CHECKING:
    from mammo.models.registry import Note

PRECISION_CHECK = "precision_check"
"""Kind of the note; `passed` and `sentence` of its detail are the result, `measured_with` is where it holds."""


def measured_with() -> dict[str, Any]:
    """Return what a check holds for, as JSON values."""
    return {
        "processor": list(instruction_sets()),
        "openvino": _installed("openvino"),
        "release": _installed("yolo-mlsam"),
    }


def newest_check(notes: Iterable[Note]) -> Mapping[str, Any] | None:
    """Return the detail of the newest check of a version that holds here; None without one."""
    here = measured_with()
    details = (note.detail for note in notes if note.kind == PRECISION_CHECK)
    return next((each for each in reversed(list(details)) if each.get("measured_with") == here), None)


def allows_bfloat16(notes: Iterable[Note]) -> bool:
    """Return whether a version's detector may compute in bfloat16 on this machine."""
    if not has_bfloat16():
        return False
    check = newest_check(notes)
    return check is not None and check.get("passed") is True


def _installed(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
