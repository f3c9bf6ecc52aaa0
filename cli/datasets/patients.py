"""Who a file shows, where only its path can say: a person's views must stay on one side of a split."""

from __future__ import annotations

import re

from mammo.errors import InvalidSettings

MAX_PATH = 1000


def patient_pattern(pattern: str) -> re.Pattern[str]:
    """The compiled pattern.

    Raises:
        InvalidSettings: no regular expression with exactly one group.
    """
    try:
        compiled = re.compile(pattern)
    except re.error:
        raise InvalidSettings("--patient-pattern is no regular expression") from None
    if compiled.groups != 1:
        raise InvalidSettings("--patient-pattern needs exactly one group, the patient")
    return compiled


def patient_of(path: str, pattern: re.Pattern[str]) -> str:
    """The patient that a path names; empty when it names none."""
    match = pattern.search(path[:MAX_PATH])
    return (match[1] or "").strip() if match else ""
