"""Agreement of two readers on words of BI-RADS, descriptor by descriptor.

Only what both readers say is compared: a descriptor is optional, so silence is no opinion. Morphology, distribution and
suspicion are compared on the lesions that both readers found, density and assessment on the images that both have read.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any

from mammo.labelstudio.config_controls import OF_EXAMS, OF_FINDINGS
from mammo.readings.agreement import Agreement
from mammo.readings.kappa import nominal_kappa, weighted_kappa
from mammo.readings.kappa_interval import KappaInterval, kappa_interval

ORDERED = frozenset({"suspicion", "density"})
"""Descriptors whose words have an order. Morphologies and distributions have one only roughly, and assessment 0 is none
of the degrees."""


@dataclass(frozen=True, kw_only=True)
class DescriptorAgreement:
    """How two readers agree on one descriptor."""

    name: str
    """Key of `OF_FINDINGS` or `OF_EXAMS`."""

    compared: int
    """Lesions, or images for a descriptor of the exam, about which both readers say a word."""

    only_first: int
    """Those about which only the first reader says one."""

    only_second: int
    patients: int
    """Patients of the compared ones."""

    observed: float | None
    """Share of the compared ones with the same word; None when there are none."""

    kappa: KappaInterval
    """Of words without an order."""

    weighted: KappaInterval | None
    """Of ordered words, with linear weights; None for a descriptor whose words have no order."""

    table: dict[tuple[str, str], int]
    """(word of the first reader, word of the second) -> number, in the order of `mammo.bi_rads`."""

    def to_json(self) -> dict[str, Any]:
        """Return the figures as a JSON object."""
        return {
            "compared": self.compared,
            "only_first": self.only_first,
            "only_second": self.only_second,
            "patients": self.patients,
            "observed": self.observed,
            "kappa": self.kappa.value,
            "low": self.kappa.low,
            "high": self.kappa.high,
            "weighted": self.weighted.value if self.weighted else None,
            "weighted_low": self.weighted.low if self.weighted else None,
            "weighted_high": self.weighted.high if self.weighted else None,
            "table": [
                {"first": first, "second": second, "number": number}
                for (first, second), number in self.table.items()
            ],
        }


def descriptor_agreements(readings: Iterable[tuple[str, Agreement]]) -> tuple[DescriptorAgreement, ...]:
    """Return the agreement on each descriptor that any reader used.

    Args:
        readings: patient and comparison of each image.
    """
    pairs = list(readings)
    lesions = [(patient, lesion.words) for patient, agreement in pairs for lesion in agreement.lesions]
    exams = [(patient, agreement.words) for patient, agreement in pairs]
    agreements = [
        _agreement(name, words, [(patient, *said.get(name, (None, None))) for patient, said in stated])
        for descriptors, stated in ((OF_FINDINGS, lesions), (OF_EXAMS, exams))
        for name, words in descriptors.items()
    ]
    return tuple(each for each in agreements if each.compared or each.only_first or each.only_second)


def _agreement(
    name: str, words: tuple[str, ...], said: list[tuple[str, str | None, str | None]]
) -> DescriptorAgreement:
    compared = [
        (patient, (first, second))
        for patient, first, second in said
        if first is not None and second is not None
    ]
    ratings = [pair for _, pair in compared]
    counts = Counter(ratings)
    return DescriptorAgreement(
        name=name,
        compared=len(compared),
        only_first=sum(first is not None and second is None for _, first, second in said),
        only_second=sum(first is None and second is not None for _, first, second in said),
        patients=len({patient for patient, _ in compared}),
        observed=sum(first == second for first, second in ratings) / len(ratings) if ratings else None,
        kappa=kappa_interval(compared, nominal_kappa),
        weighted=(
            kappa_interval(compared, partial(weighted_kappa, order=words)) if name in ORDERED else None
        ),
        table={
            (first, second): counts[first, second]
            for first in words
            for second in words
            if counts[first, second]
        },
    )
