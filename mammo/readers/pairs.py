"""ReaderPair: how far two readers agree, over the images of a period that both have read."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from mammo.annotations import AnnotationStore
from mammo.labelstudio.project_tags import TagsLookup
from mammo.readers.overlap import Overlap
from mammo.readings import ReadingRecords
from mammo.readings.agreement import Agreement
from mammo.readings.cases import Case, cases_of, complete
from mammo.readings.descriptor_agreement import DescriptorAgreement, descriptor_agreements
from mammo.readings.kappa import Kappa, cohens_kappa, ratings_by_patient


@dataclass(frozen=True, kw_only=True)
class ReaderPair:
    """How far two readers agree."""

    first: str
    """Pseudonym, or the role in a double reading."""

    second: str
    images: int
    agreed: int
    """Images with the same lesions and matching outlines, or without any in both readings."""

    kappa: Kappa
    """Of lesion presence per patient."""

    descriptors: tuple[DescriptorAgreement, ...] = ()
    """Agreement on words of BI-RADS, for each descriptor that one of the two used."""

    def to_json(self) -> dict[str, Any]:
        """Return the pair as a JSON object."""
        return {
            "first": self.first,
            "second": self.second,
            "images": self.images,
            "agreed": self.agreed,
            "patients": self.kappa.patients,
            "kappa": self.kappa.value,
            "descriptors": {each.name: each.to_json() for each in self.descriptors},
        }


@dataclass(frozen=True, kw_only=True)
class ImagesOfPair:
    """The images that two readers have read. Each belongs to the day (UTC) on which the second of both was read."""

    first: str
    second: str
    agreed: tuple[tuple[date, bool], ...]
    """Day of each image, and whether the readers agree on it."""

    independent: tuple[tuple[date, str, Agreement], ...]
    """Day, patient and comparison of each image of which kappa is computed."""

    def within(self, *, since: date | None, until: date | None) -> ReaderPair | None:
        """Return the figures of a period; None without an image in it.

        Args:
            since, until: first and last day (UTC); None: without an end.
        """

        def is_in(day: date) -> bool:
            return (since is None or day >= since) and (until is None or day <= until)

        agreed = [each for day, each in self.agreed if is_in(day)]
        if not agreed:
            return None
        independent = [(patient, each) for day, patient, each in self.independent if is_in(day)]
        present = [(patient, each.present) for patient, each in independent]
        return ReaderPair(
            first=self.first,
            second=self.second,
            images=len(agreed),
            agreed=sum(agreed),
            kappa=cohens_kappa(ratings_by_patient(present).values()),
            descriptors=descriptor_agreements(independent),
        )


def pairs_of_overlaps(
    overlaps: Iterable[Overlap], pseudonym: Callable[[int | None], str]
) -> list[ImagesOfPair]:
    """Return the images of each pair of readers that have read tasks of one project."""
    by_pair: dict[tuple[str, str], list[Overlap]] = {}
    for each in overlaps:
        key = pseudonym(each.first.completed_by), pseudonym(each.second.completed_by)
        by_pair.setdefault(key, []).append(each)

    def day(each: Overlap) -> date:
        return max(each.first.updated_at, each.second.updated_at).date()

    return [
        ImagesOfPair(
            first=first,
            second=second,
            agreed=tuple((day(each), each.agreement.agreed) for each in images),
            independent=tuple((day(each), each.patient, each.agreement) for each in images),
        )
        for (first, second), images in sorted(by_pair.items())
    ]


def pairs_of_double_reading(
    project: int, *, store: AnnotationStore, records: ReadingRecords, tags: TagsLookup
) -> list[ImagesOfPair]:
    """Return the pair of a project's double reading, if it has one.

    The readers agree or not in the round that decides; kappa is that of the first round, the only one in which they
    are independent.
    """
    if project not in records.sources():
        return []
    double = records.find(project)
    cases = cases_of(
        double, corrections=store.corrections, sizes=store.image_sizes, records=records, tags=tags(project)
    ).cases
    return [
        ImagesOfPair(
            first="reader 1 of the double reading",
            second="reader 2",
            agreed=tuple(_decided(cases)),
            independent=tuple(_independent(cases)),
        )
    ]


def _decided(cases: Sequence[Case]) -> Iterable[tuple[date, bool]]:
    for case in cases:
        if case.agreement is not None and case.readings is not None:
            yield max(each.updated_at for each in case.readings).date(), case.agreement.agreed


def _independent(cases: Sequence[Case]) -> Iterable[tuple[date, str, Agreement]]:
    for case in cases:
        readings = complete(case.rounds[0]) if case.rounds else None
        if readings is not None and case.agreements and (agreement := case.agreements[0]) is not None:
            yield max(each.updated_at for each in readings).date(), case.patient, agreement
