"""Summary: progress of a double reading, and agreement of the two readers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from mammo.readings.agreement import Agreement
from mammo.readings.cases import Case, Cases
from mammo.readings.descriptor_agreement import DescriptorAgreement, descriptor_agreements
from mammo.readings.kappa import Kappa, cohens_kappa, nominal_kappa, ratings_by_patient
from mammo.readings.kappa_interval import KappaInterval, kappa_interval
from mammo.readings.records import DoubleReading


@dataclass(frozen=True, kw_only=True)
class LesionFigures:
    """Agreement on lesions, over the cases that both readers have read."""

    cases: int
    """Cases compared."""

    both: int
    """Lesions that both readers found."""

    only_first: int
    """Lesions that only the first reader found."""

    only_second: int
    """Lesions that only the second reader found."""

    mean_dice: float | None
    """Mean Dice of the lesions that both readers outlined; lesions marked by a point have no outline to compare."""

    mean_boundary_mm: float | None
    """Mean boundary distance of the same lesions in mm, where the image states its pixel spacing."""

    mean_boundary_px: float | None
    """Mean boundary distance of the same lesions in pixels."""


@dataclass(frozen=True)
class Summary:
    """The current state of one double reading."""

    double: DoubleReading
    cases: tuple[Case, ...]
    ignored: dict[str, int]
    """Annotations by role that do not count, because another user made them in the reader's project."""

    @property
    def outcomes(self) -> dict[str, int]:
        """Number of cases by outcome."""
        return dict(sorted(Counter(case.outcome for case in self.cases).items()))

    @property
    def waiting_for(self) -> dict[str, int]:
        """Number of cases by what they wait for: a reader, a step of this service, or the arbiter."""
        return dict(sorted(Counter(name for case in self.cases for name in self._waiting_for(case)).items()))

    @property
    def disagreements(self) -> dict[str, int]:
        """Number of cases by the criterion on which the readers disagree; a case may fail several."""
        agreements = [case.agreement for case in self.cases if case.agreement]
        return dict(sorted(Counter(failed for each in agreements for failed in each.disagreements).items()))

    @property
    def lesions(self) -> LesionFigures:
        """Figures of the decisive round of each case."""
        return lesion_figures(self.cases)

    @property
    def kappa(self) -> Kappa:
        """Cohen's kappa of lesion presence per patient in the first round, the only one with independent readers.

        Covers the images that both readers have read.
        """
        return cohens_kappa(self._presence.values())

    @property
    def kappa_interval(self) -> KappaInterval:
        """The same kappa with its 95 % interval."""
        return kappa_interval(list(self._presence.items()), nominal_kappa)

    @property
    def descriptors(self) -> tuple[DescriptorAgreement, ...]:
        """Agreement on the words of BI-RADS in the first round, for each descriptor that a reader used."""
        return descriptor_agreements(self._first_round)

    @property
    def _first_round(self) -> list[tuple[str, Agreement]]:
        """Patient and comparison of each image that both readers have read in the first round."""
        first_round = [(case.patient, case.agreements[0]) for case in self.cases if case.agreements]
        return [(patient, agreement) for patient, agreement in first_round if agreement is not None]

    @property
    def _presence(self) -> Mapping[str, tuple[bool, bool]]:
        """Whether each reader found a lesion, by patient."""
        return ratings_by_patient((patient, agreement.present) for patient, agreement in self._first_round)

    def to_json(self) -> dict[str, Any]:
        """Return the summary as a JSON object."""
        lesions, kappa, interval = self.lesions, self.kappa, self.kappa_interval
        return {
            "project": self.double.source,
            "rules": self.double.rules.to_json(),
            "desks": [
                {"role": role, "round": round_number, "project": project.id, "tasks": len(project.tasks)}
                for (role, round_number), project in sorted(self.double.projects.items())
            ],
            "outcomes": self.outcomes,
            "waiting_for": self.waiting_for,
            "against": self.disagreements,
            "strangers": self.ignored,
            "lesions": {name: getattr(lesions, name) for name in LesionFigures.__dataclass_fields__},
            "kappa": {
                "value": kappa.value,
                "low": interval.low,
                "high": interval.high,
                "observed": kappa.observed,
                "patients": kappa.patients,
                "both": kappa.both,
                "only_first": kappa.only_first,
                "only_second": kappa.only_second,
                "neither": kappa.neither,
            },
            "descriptors": {each.name: each.to_json() for each in self.descriptors},
            "cases": [_row(case) for case in self.cases],
        }

    def _waiting_for(self, case: Case) -> list[str]:
        if case.outcome == "waiting" or (case.outcome == "disagreed" and case.has_open_round):
            readings = case.rounds[-1] if case.rounds else ()
            return [f"reader-{number}" for number, reading in enumerate(readings, 1) if reading is None]
        step = case.next_step(self.double.rules)
        if step:
            return ["second-look" if step == "round" else "arbitrate"]
        return ["arbiter"] if case.outcome == "disagreed" else []


def summarise(double: DoubleReading, cases: Cases) -> Summary:
    """Return the summary of a double reading."""
    return Summary(double, cases.cases, {str(role): count for role, count in cases.ignored.items()})


def lesion_figures(cases: Sequence[Case]) -> LesionFigures:
    """Return the lesion figures of the cases that both readers have read."""
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
        "case": case.id,
        "outcome": case.outcome,
        "round": case.decisive_round,
        "asked": case.num_assigned_rounds,
        "with_arbiter": case.has_arbiter_task,
        "dice": agreement.worst_dice if agreement else None,
        "against": list(agreement.disagreements) if agreement else [],
        "problem": case.problem,
    }
