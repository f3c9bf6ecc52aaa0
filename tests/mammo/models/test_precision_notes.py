from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from mammo.models import Note, precision_notes
from mammo.models.precision_notes import PRECISION_CHECK, allows_bfloat16, measured_with, newest_check


@pytest.fixture(autouse=True)
def _a_processor_with_bfloat16(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precision_notes, "has_bfloat16", lambda: True)


def note(passed: object, **changes: Any) -> Note:
    detail = {"passed": passed, "measured_with": measured_with()} | changes
    return Note(version="v", kind=PRECISION_CHECK, detail=detail, at=datetime.now(UTC))


def test_the_newest_check_that_holds_here_decides() -> None:
    elsewhere = note(True, measured_with=measured_with() | {"processor": ["another"]})
    assert allows_bfloat16([note(False), note(True)])
    assert not allows_bfloat16([note(True), note(False)])
    assert not allows_bfloat16([note(False), elsewhere])
    assert newest_check([elsewhere]) is None


@pytest.mark.parametrize("passed", [None, 1, "true", {}])
def test_only_a_plain_yes_counts(passed: object) -> None:
    assert not allows_bfloat16([note(passed)])
