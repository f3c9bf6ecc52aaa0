"""Summary: how far a double reading is, and how well the two readers agree."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from mammo.readings.cases import Case, Cases
from mammo.readings.kappa import Kappa, by_patient, cohens_kappa
from mammo.readings.records import DoubleReading


@dataclass(frozen=True, kw_only=True)
class LesionFigures:
    """What the readers drew, over the cases that both have read."""

    cases: int
    both: int
    """Lesions that both saw."""

    only_first: int
    only_second: int
    mean_dice: float | None
    """Over the lesions that both drew; one marked by a point has no outline to compare. So the next two."""

    mean_boundary_mm: float | None
    """And of images that state their spacing."""

    mean_boundary_px: float | None


@dataclass(frozen=True)
class Summary:
    """The present state of one double reading."""

    double: DoubleReading
    cases: tuple[Case, ...]
    strangers: dict[str, int]

    @property
    def outcomes(self) -> dict[str, int]:
        """Cases by outcome."""
        return dict(sorted(Counter(case.outcome for case in self.cases).items()))

    @property
    def waiting_for(self) -> dict[str, int]:
        """Cases by what they wait for: a reader, a step of ours, or the arbiter."""
        return dict(sorted(Counter(name for case in self.cases for name in self._waits(case)).items()))

    @property
    def against(self) -> dict[str, int]:
        """Cases that the readers disagree on, by why; a case may have several reasons."""
        disputed = [case.agreement for case in self.cases if case.agreement and not case.agreement.agreed]
        return dict(sorted(Counter(why for each in disputed for why in each.against).items()))

    @property
    def lesions(self) -> LesionFigures:
        """Of the readings that decide now."""
        return lesion_figures(self.cases)

    @property
    def kappa(self) -> Kappa:
        """Presence per patient, of the first round: the only one in which the readers are independent.

        Counts the images that both have read, and patients with at least one of them.
        """
        first = [(case.patient, case.agreements[0]) for case in self.cases if case.agreements]
        said = [(patient, agreement.present) for patient, agreement in first if agreement is not None]
        return cohens_kappa(by_patient(said).values())

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        lesions, kappa = self.lesions, self.kappa
        return {
            "project": self.double.source,
            "rules": self.double.rules.to_json(),
            "desks": [
                {"role": role, "round": number, "project": desk.project, "tasks": len(desk.tasks)}
                for (role, number), desk in sorted(self.double.desks.items())
            ],
            "outcomes": self.outcomes,
            "waiting_for": self.waiting_for,
            "against": self.against,
            "strangers": self.strangers,
            "lesions": {name: getattr(lesions, name) for name in LesionFigures.__dataclass_fields__},
            "kappa": {
                "value": kappa.value,
                "observed": kappa.observed,
                "patients": kappa.patients,
                "both": kappa.both,
                "only_first": kappa.only_first,
                "only_second": kappa.only_second,
                "neither": kappa.neither,
            },
            "cases": [_row(case) for case in self.cases],
        }

    def _waits(self, case: Case) -> list[str]:
        if case.outcome == "waiting" or (case.outcome == "disagreed" and case.asked > (case.decided_in or 0)):
            said = case.rounds[case.asked - 1] if case.asked else ()
            return [f"reader-{1 + index}" for index, each in enumerate(said) if each is None]
        due = case.due(self.double.rules)
        if due:
            return ["second-look" if due == "round" else "arbitrate"]
        return ["arbiter"] if case.outcome == "disagreed" else []


def summarise(double: DoubleReading, cases: Cases) -> Summary:
    """The figures of a double reading."""
    return Summary(double, cases.cases, {str(role): count for role, count in cases.strangers.items()})


def lesion_figures(cases: Sequence[Case]) -> LesionFigures:
    """Figures over the cases that were compared."""
    compared = [case.agreement for case in cases if case.agreement is not None]
    lesions = [lesion for agreement in compared for lesion in agreement.lesions]
    return LesionFigures(
        cases=len(compared),
        both=len(lesions),
        only_first=sum(len(agreement.only_first) for agreement in compared),
        only_second=sum(len(agreement.only_second) for agreement in compared),
        mean_dice=_mean([lesion.dice for lesion in lesions if lesion.dice is not None]),
        mean_boundary_mm=_mean([each.boundary_mm for each in lesions if each.boundary_mm is not None]),
        mean_boundary_px=_mean([each.boundary_px for each in lesions if each.boundary_px is not None]),
    )


def _mean(values: Sequence[float]) -> float | None:
    return round(fmean(values), 4) if values else None


def _row(case: Case) -> dict[str, Any]:
    agreement = case.agreement
    return {
        "case": case.case,
        "outcome": case.outcome,
        "round": case.decided_in,
        "asked": case.asked,
        "with_arbiter": case.with_arbiter,
        "dice": agreement.worst_dice if agreement else None,
        "against": list(agreement.against) if agreement else [],
        "problem": case.problem,
    }
