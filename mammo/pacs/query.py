"""Query: which mammograms of a PACS are meant, and the search for them.

A PACS may ignore what it does not know of a query, and many know no view and no laterality. So it is asked by patient,
accession number, study and date, study by study; whatever it answers is compared with the query here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from mammo.errors import PacsError
from mammo.identifiers import identifier
from mammo.pacs.client import Answer, Level
from mammo.pacs.dicom_json import MAX_UID, UID, has, text, uid

PAGE = 100
"""Matches that are asked for at once."""

MAX_PAGES = 1000

FOR_PRESENTATION = "1.2.840.10008.5.1.4.1.1.1.2"
FOR_PROCESSING = "1.2.840.10008.5.1.4.1.1.1.2.1"
TOMOSYNTHESIS = {f"1.2.840.10008.5.1.4.1.1.13.1.{kind}" for kind in (3, 4, 5)}
BREAST = {"", "BREAST"}

FIELDS = (
    "SOPClassUID", "PresentationIntentType", "ViewPosition", "ImageLaterality", "Laterality", "NumberOfFrames",
    "BodyPartExamined", "IssuerOfPatientID",
)  # fmt: skip

DAY = re.compile(r"\d{4}(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])")


@dataclass(frozen=True, kw_only=True)
class Query:
    """Conditions that an image must all meet; an empty one is none."""

    studies: tuple[str, ...] = ()
    """Study Instance UIDs."""

    patient: str = field(default="", repr=False)
    accession: str = field(default="", repr=False)
    first_day: str = ""
    """YYYYMMDD."""

    last_day: str = ""
    body_part: str = ""
    view: str = ""
    """ViewPosition, for example CC or MLO."""

    laterality: str = ""
    """L or R."""

    only_for_presentation: bool = True
    """Whether raw detector values are left out, with a reason."""

    def __post_init__(self) -> None:
        """Raises ValueError: a condition is not what it should be; the message quotes none that names a patient."""
        if not (self.studies or self.patient or self.accession or self.first_day or self.last_day):
            raise ValueError(
                "name a study, a patient, an accession number or dates; a whole archive is never meant"
            )
        if any(not UID.fullmatch(each) or len(each) > MAX_UID for each in self.studies):
            raise ValueError("expected a Study Instance UID of digits and full stops, at most 64 characters")
        if any(set(each) & set("*?\\") or len(each) > 64 for each in (self.patient, self.accession)):
            raise ValueError("expected one whole patient ID or accession number, without * ? and \\")
        if any(each and not DAY.fullmatch(each) for each in (self.first_day, self.last_day)):
            raise ValueError("expected days as YYYYMMDD or YYYY-MM-DD")
        if self.first_day and self.last_day and self.last_day < self.first_day:
            raise ValueError("the last day is before the first one")
        if self.laterality not in ("", "L", "R"):
            raise ValueError("expected the laterality L or R")


@dataclass(frozen=True, kw_only=True)
class FoundImage:
    """One image of the PACS, as it describes it. Identifies a patient."""

    patient: str = field(repr=False)
    study: str = field(repr=False)
    series: str = field(repr=False)
    instance: str = field(repr=False)
    day: str = field(repr=False)
    accession: str = field(repr=False)
    view: str
    laterality: str
    skipped: str = ""
    """Why it is not imported; empty: it is."""

    is_prior: bool = False
    """Whether it is of an earlier study of a patient whose study was asked for."""

    def to_json(self) -> dict[str, Any]:
        return dict(vars(self))


class SearchedPacs(Protocol):
    """What a search asks of `mammo.pacs.client.PacsClient`."""

    @property
    def host(self) -> str: ...

    def search(
        self,
        level: Level,
        filters: Mapping[str, str],
        *,
        fields: Sequence[str] = (),
        study: str | None = None,
        series: str | None = None,
        limit: int,
        offset: int,
    ) -> list[Answer]: ...

    def metadata(self, study: str, series: str) -> list[Answer]: ...


def find(
    pacs: SearchedPacs, query: Query, *, priors: bool = False, limit: int, offset: int = 0
) -> Iterator[FoundImage]:
    """Yield the images that meet a query, and those of the wrong kind with a reason, study by study, oldest first.

    Args:
        priors: also the earlier studies of the same patients.
        limit: most studies, without the priors.
        offset: studies to leave out before them.

    Raises:
        PacsError: the PACS does not answer or refuses.
    """
    studies = find_studies(pacs, query)[offset : offset + limit]
    yield from images_of(pacs, studies, query, priors=priors)


def find_studies(pacs: SearchedPacs, query: Query) -> list[Answer]:
    """Return the studies that meet a query, oldest first; which of their images do is not asked. Raises as `find`."""
    return sorted(
        _studies(pacs, query), key=lambda each: (text(each, "StudyDate"), uid(each, "StudyInstanceUID"))
    )


def images_of(
    pacs: SearchedPacs, studies: Sequence[Answer], query: Query, *, priors: bool
) -> Iterator[FoundImage]:
    """Yield the images of studies as `find` does; of a study without an image that meets the query, none."""
    seen = {uid(each, "StudyInstanceUID") for each in studies}
    earlier = list[Answer]()
    if priors:
        first_day_of: dict[str, str] = {}
        for study in studies:
            patient, day = text(study, "PatientID"), text(study, "StudyDate")
            first_day_of[patient] = max(day, first_day_of.get(patient, day))
        for patient, day in first_day_of.items():
            if not patient or set(patient) & set("*?\\") or not DAY.fullmatch(day):
                continue
            for prior in _studies(pacs, Query(patient=patient, last_day=day)):
                if text(prior, "StudyDate") < day and uid(prior, "StudyInstanceUID") not in seen:
                    seen.add(uid(prior, "StudyInstanceUID"))
                    earlier.append(prior)
    for study in earlier:
        yield from _images(pacs, study, query, is_prior=True)
    for study in studies:
        yield from _images(pacs, study, query, is_prior=False)


def _studies(pacs: SearchedPacs, query: Query) -> list[Answer]:
    filters = {"ModalitiesInStudy": "MG"}
    if query.patient:
        filters["PatientID"] = query.patient
    if query.accession:
        filters["AccessionNumber"] = query.accession
    if query.first_day or query.last_day:
        filters["StudyDate"] = f"{query.first_day}-{query.last_day}"
    asked = [{"StudyInstanceUID": each} for each in query.studies] or [{}]
    return [
        study
        for more in asked
        for study in _all(pacs, "studies", filters | more, key="StudyInstanceUID")
        if _meets(study, query)
    ]


def _meets(study: Answer, query: Query) -> bool:
    """Whether a study is one that was asked for, whatever the PACS made of the query."""
    day = text(study, "StudyDate")
    return (
        (not query.studies or uid(study, "StudyInstanceUID") in query.studies)
        and (not query.patient or _same(text(study, "PatientID"), query.patient))
        and (not query.accession or _same(text(study, "AccessionNumber"), query.accession))
        and (not query.first_day or query.first_day <= day)
        and (not query.last_day or (bool(day) and day <= query.last_day))
    )


def _same(found: str, asked: str) -> bool:
    return identifier(found) == identifier(asked)


def _images(pacs: SearchedPacs, study: Answer, query: Query, *, is_prior: bool) -> Iterator[FoundImage]:
    study_uid = uid(study, "StudyInstanceUID")
    for series in _all(pacs, "series", {"Modality": "MG"}, key="SeriesInstanceUID", study=study_uid):
        if text(series, "Modality") not in ("MG", ""):
            continue
        series_uid = uid(series, "SeriesInstanceUID")
        uids = {"study": study_uid, "series": series_uid}
        instances = _all(pacs, "instances", {}, key="SOPInstanceUID", fields=FIELDS, **uids)
        if not all(has(each, "SOPClassUID") and has(each, "PresentationIntentType") for each in instances):
            # Of this PACS a search does not say enough.
            instances = [each for each in pacs.metadata(study_uid, series_uid) if uid(each, "SOPInstanceUID")]
        for instance in instances:
            described = {**study, **series, **instance}
            laterality = text(described, "ImageLaterality") or text(described, "Laterality")
            view = text(described, "ViewPosition")
            if (query.view and view != query.view) or (query.laterality and laterality != query.laterality):
                continue
            if query.body_part and text(described, "BodyPartExamined").upper() != query.body_part.upper():
                continue
            yield FoundImage(
                patient=text(described, "PatientID"),
                study=study_uid,
                series=series_uid,
                instance=uid(instance, "SOPInstanceUID"),
                day=text(study, "StudyDate"),
                accession=text(described, "AccessionNumber"),
                view=view,
                laterality=laterality,
                skipped=_reason(described, query),
                is_prior=is_prior,
            )


def _reason(image: Mapping[str, Any], query: Query) -> str:
    """Return why an image is not imported; empty if it is."""
    answer = dict(image)
    kind, frames = text(answer, "SOPClassUID"), text(answer, "NumberOfFrames")
    if kind in TOMOSYNTHESIS:
        return "breast tomosynthesis, of which single slices are no mammograms"
    if frames not in ("", "1"):
        return "an image of several frames"
    if kind == FOR_PROCESSING or text(answer, "PresentationIntentType") == "FOR PROCESSING":
        return "raw detector values (For Processing)" if query.only_for_presentation else ""
    if kind != FOR_PRESENTATION:
        return "no mammogram by its SOP class"
    if text(answer, "BodyPartExamined").upper() not in BREAST:
        return "of another body part than the breast"
    return ""


def _all(
    pacs: SearchedPacs, level: Level, filters: Mapping[str, str], *, key: str, **options: Any
) -> list[Answer]:
    """Return the matches of all pages; a PACS may send fewer at once than it is asked for, or ignore the page."""
    found: dict[str, Answer] = {}
    for _ in range(MAX_PAGES):
        page = pacs.search(level, filters, limit=PAGE, offset=len(found), **options)
        new = {uid(each, key): each for each in page if uid(each, key) and uid(each, key) not in found}
        if not new:
            return list(found.values())
        found |= new
    raise PacsError(
        f"the PACS at {pacs.host} answers more than {len(found)} matches; narrow the query", code="pacs_many"
    )
