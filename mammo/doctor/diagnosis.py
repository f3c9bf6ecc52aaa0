"""Diagnosis: the result of one check."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

State = Literal["ok", "warning", "broken", "skipped", "fixed"]


@dataclass(frozen=True, kw_only=True)
class Diagnosis:
    """One line of the report."""

    check: str
    """Stable name of the check."""

    state: State
    says: str
    """The result as a sentence."""

    remedy: str = ""
    """What to do; empty if nothing needs to be done."""

    repair: Callable[[], object] | None = field(default=None, compare=False, repr=False)
    """Repairs the fault, if that can be done from here; may raise MammoError."""

    def line(self) -> str:
        remedy = f" → {self.remedy}" if self.remedy else ""
        return f"{self.says}{remedy}"


def well(check: str, says: str) -> Diagnosis:
    return Diagnosis(check=check, state="ok", says=says)


def broken(check: str, says: str, remedy: str, repair: Callable[[], object] | None = None) -> Diagnosis:
    return Diagnosis(check=check, state="broken", says=says, remedy=remedy, repair=repair)


def warning(check: str, says: str, remedy: str = "", repair: Callable[[], object] | None = None) -> Diagnosis:
    return Diagnosis(check=check, state="warning", says=says, remedy=remedy, repair=repair)


def skipped(check: str, says: str) -> Diagnosis:
    return Diagnosis(check=check, state="skipped", says=says)
