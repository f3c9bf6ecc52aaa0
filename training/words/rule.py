"""WordRule: which words a head may propose in a project, and what is missing for the others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

THRESHOLDS = (0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95)
"""Probabilities from which a word may count as sure. Which one is chosen on folds of the patients to train on."""


@dataclass(frozen=True, kw_only=True)
class Agreement:
    """How often two readers of a project say the same word about a finding."""

    compared: int
    """Findings about which both say a word."""

    observed: float
    """Share with the same word, in [0, 1]."""


@dataclass(frozen=True, kw_only=True)
class WordRule:
    """The rule of docs/experiments.md, 2026-12-01. A word that is filled in is easily accepted, so it asks for much."""

    min_findings: int = 50
    """Findings of a word that people described and a model outlined."""

    min_patients: int = 30
    """Patients with such findings."""

    bar: float = 0.9
    """Lower limit of the precision where readers have not been compared: they seldom agree more often."""

    least_bar: float = 0.8
    """The same where they have been, and agree less often: a word that is wrong more often is worse than none."""

    min_compared: int = 50
    """Findings on which two readers must have been compared, for their agreement to be the bar."""

    def bar_of(self, agreement: Agreement | None) -> float:
        """Return the lower limit that the precision of a descriptor's words must reach."""
        if agreement is None or agreement.compared < self.min_compared:
            return self.bar
        return max(self.least_bar, agreement.observed)

    def missing(
        self,
        word: str,
        *,
        num_findings: int,
        num_patients: int,
        num_sure: int,
        precision: float | None,
        low: float,
        bar: float,
    ) -> list[str]:
        """Return what is missing for a word, in parts of a sentence; empty if it may be proposed.

        Args:
            num_findings, num_patients: described and outlined, held-out ones included.
            num_sure: held-out findings of which the head is sure that it is this word.
            precision: share of these that are; None without any.
            low: lower limit of that share, in [0, 1].
        """
        parts = []
        if num_findings < self.min_findings:
            parts.append(f"{self.min_findings - num_findings} more findings of {word!r}")
        if num_patients < self.min_patients:
            parts.append(f"findings of {self.min_patients - num_patients} more patients")
        if parts:
            return parts
        if precision is None:
            return ["a head that is ever sure of it: it was of no held-out finding"]
        if low < bar:
            return [
                f"a lower limit of its precision of {bar:.2f}: where the head is sure, {precision:.2f} of {num_sure} "
                f"held-out findings are right, with a lower limit of {low:.2f}"
            ]
        return []


def in_words(word: str, missing: Sequence[str], *, precision: float | None, low: float, num_sure: int) -> str:
    """Return in a sentence whether a word may be proposed, and why."""
    if missing:
        return f"{word}: not proposed, it needs {' and '.join(missing)}"
    return (
        f"{word}: may be proposed, where the head is sure, {precision:.2f} (at least {low:.2f}) of {num_sure} held-out "
        "findings are right"
    )
