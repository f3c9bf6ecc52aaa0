"""Edit effort of every correction, measured once each, and its summary by model version, annotator, week and so on.

A correction is compared with the prelabel it started from: the one whose version Label Studio reports, or else the
newest shown before the annotation's first revision. A correction without a prelabel belongs to the control arm: the
image was read without help (a blind task, or a project in the assisted stage). It is compared with the silent prelabel
that existed by then, if there is one, so both arms have the same figures.

Automatic annotations are left out: nobody spent effort on them.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import date, datetime, timedelta
from functools import cache, partial
from statistics import median
from typing import Any, Literal, NamedTuple

from sqlalchemy.engine import Engine

from mammo.annotations import (
    AnnotationStore,
    Correction,
    CorrectionHeader,
    Prelabel,
    PrelabelHeader,
    shown_prelabel,
    silent_prelabel,
)
from mammo.efforts.edit_effort import EditEffort, WordCounts, total_effort
from mammo.efforts.measured_efforts import Measured, measured_efforts
from mammo.labelstudio.labeling_config import ControlTags
from mammo.worklist.order import UNORDERED, strategies

CONTROL = "none"
"""Model version in the record of a correction that has neither a shown nor a silent prelabel."""

Arm = Literal["prelabelled", "control"]

HASTY_SECONDS = 10.0
"""A prelabel accepted unchanged in less time than this may not have been looked at: a sign of automation bias."""


@dataclass(frozen=True, kw_only=True, slots=True)
class EffortRecord:
    """Edit effort of one correction on one image."""

    project: int
    task: int
    annotation: int
    model_version: str
    """Model version of the shown or silent prelabel; `CONTROL` if there was none."""

    annotator: str
    """Pseudonym; the same person always has the same one."""

    at: datetime
    """Time of the correction's last change."""

    lead_time: float | None
    """Time the annotator spent in all sessions of the annotation, in seconds."""

    effort: EditEffort
    hasty: bool
    """Whether a shown prelabel with findings was accepted unchanged in less than `HASTY_SECONDS`."""

    image: str = ""
    """Key of the image within the task; empty for a single image."""

    arm: Arm = "prelabelled"
    """`control`: no prelabel was shown, and `effort` compares the silent prelabel with the annotation."""

    score: float | None = None
    """Certainty of the prelabel; see `mammo.labelstudio.predictions`."""

    order: str = UNORDERED
    """Strategy by which the task was placed in the reading order."""

    @property
    def week(self) -> date:
        """Monday of the week of `at`, UTC."""
        return self.at.date() - timedelta(days=self.at.weekday())


@dataclass(frozen=True, kw_only=True)
class Unreadable:
    """A correction that is not counted, because a region of it or of its prelabel cannot be interpreted."""

    task: int
    annotation: int
    code: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class Efforts:
    """Edit effort of a project's corrections, and the corrections that could not be measured."""

    records: tuple[EffortRecord, ...] = ()
    unreadable: tuple[Unreadable, ...] = ()


@dataclass(frozen=True, kw_only=True)
class EffortSummary:
    """Figures over a group of records."""

    images: int
    """Number of records: one per correction and image."""

    accept_rate: float | None
    """Share of the prelabels' findings that were accepted unchanged; None if there were none."""

    dice: float | None
    """Mean Dice of prelabel and correction over the images with masks; None if there are none."""

    added_per_image: float
    deleted_per_image: float
    crumbs: int
    """Parts of masks ignored because they are too small to be intended."""

    lead_time: float | None
    """Median time per annotation, in seconds; None if Label Studio reports none."""

    hasty: int
    """Number of hasty records; see `EffortRecord.hasty`."""

    words: Mapping[str, WordCounts] = field(default_factory=dict)
    """What became of the words of BI-RADS, by descriptor."""

    def to_json(self) -> dict[str, Any]:
        """Return the figures as a JSON object."""
        words = {name: counts._asdict() for name, counts in self.words.items()}
        return {**{each.name: getattr(self, each.name) for each in fields(self)}, "words": words}


class ComparedCorrection(NamedTuple):
    """A correction and the prelabel it is compared with."""

    correction: CorrectionHeader
    prelabel: PrelabelHeader | None
    was_shown: bool
    """Whether annotators were shown the prelabel; if not, the correction belongs to the control arm."""


def annotator_pseudonym(user: int | None, *, secret: bytes) -> str:
    """Return a stable pseudonym of a Label Studio user, which cannot be reversed without the secret."""
    if user is None:
        return "unknown"
    return "annotator-" + hmac.new(secret, f"annotator {user}".encode(), hashlib.sha256).hexdigest()[:8]


def effort_records(
    project: int, *, store: AnnotationStore, engine: Engine, secret: bytes, tags: ControlTags
) -> Efforts:
    """Return the effort of each correction of a project; stored measurements are reused.

    Args:
        secret: Key of the annotators' pseudonyms.
        tags: Labels and controls of the project; measurements made with other tags are repeated.
    """
    compared = list(compared_corrections(project, store))
    pairs = [(correction, prelabel) for correction, prelabel, _ in compared]
    measured = measured_efforts(project, pairs, store=store, engine=engine, tags=tags)
    orders = strategies(engine, project)
    pseudonym = cache(partial(annotator_pseudonym, secret=secret))
    records: list[EffortRecord] = []
    unreadable: list[Unreadable] = []
    for comparison, measurement in zip(compared, measured, strict=True):
        correction = comparison.correction
        if measurement.code:
            unreadable.append(_unreadable(correction, measurement))
        records += [
            _record(
                project,
                comparison,
                effort,
                image=image,
                annotator=pseudonym(correction.completed_by),
                order=orders.get(correction.task_id, UNORDERED),
            )
            for image, effort in measurement.images
        ]
    return Efforts(records=tuple(records), unreadable=tuple(unreadable))


def prelabel_of(correction: Correction, store: AnnotationStore) -> Prelabel | None:
    """Return the prelabel that a correction started from; None if none is known."""
    headers = dict(store.prelabel_headers(correction.project_id, task=correction.task_id))
    shown = shown_prelabel(
        headers.get(correction.task_id, ()),
        reported_version=correction.prelabel_version,
        first_updated_at=first_updated_at(correction, store),
    )
    return store.prelabels_by_id([shown.id]).get(shown.id) if shown else None


def first_updated_at(correction: Correction, store: AnnotationStore) -> datetime:
    """Return the time of an annotation's earliest revision."""
    revisions = [event.content for event in store.history(correction.annotation_id) if event.content]
    times = [each.updated_at for each in revisions if each.project_id == correction.project_id]
    return min(times, default=correction.updated_at)


def compared_corrections(project: int, store: AnnotationStore) -> Iterator[ComparedCorrection]:
    """Yield each correction of a project with the prelabel it is compared with, by task."""
    # Corrections are read first: prelabels and promotions added meanwhile are later and do not affect them.
    corrections = store.correction_headers(project)
    champions = store.champions()
    headers_by_task = store.prelabel_headers(project)
    task, headers = 0, list[PrelabelHeader]()
    # Merge join: corrections and prelabels are both sorted by task.
    for correction in corrections:
        while task < correction.task_id:
            task, headers = next(headers_by_task, (correction.task_id, []))
        candidates = headers if task == correction.task_id else ()
        shown = shown_prelabel(
            candidates,
            reported_version=correction.prelabel_version,
            first_updated_at=correction.first_updated_at,
        )
        prelabel = shown or silent_prelabel(
            candidates, first_updated_at=correction.first_updated_at, champions=champions
        )
        yield ComparedCorrection(correction, prelabel, was_shown=shown is not None)


def summarise(records: Sequence[EffortRecord]) -> EffortSummary:
    """Return the figures of a group of records.

    Raises:
        ValueError: There are no records.
    """
    if not records:
        raise ValueError("cannot summarise 0 effort records; pass at least one")
    total = total_effort([record.effort for record in records])
    # All images of an annotation share its lead time.
    lead_times = {record.annotation: record.lead_time for record in records}
    times = [seconds for seconds in lead_times.values() if seconds is not None]
    return EffortSummary(
        images=len(records),
        accept_rate=total.accept_rate,
        dice=total.dice,
        added_per_image=total.added / len(records),
        deleted_per_image=total.deleted / len(records),
        crumbs=total.crumbs,
        lead_time=median(times) if times else None,
        hasty=sum(record.hasty for record in records),
        words=dict(total.words),
    )


GROUPS: dict[str, Callable[[EffortRecord], str]] = {
    "model": lambda record: record.model_version,
    "annotator": lambda record: record.annotator,
    "week": lambda record: record.week.isoformat(),
    "project": lambda record: str(record.project),
    "arm": lambda record: record.arm,
    "order": lambda record: record.order,
}
"""Group name of a record by grouping key."""


def grouped(records: Iterable[EffortRecord], by: Sequence[str]) -> dict[tuple[str, ...], EffortSummary]:
    """Return a summary of each group, sorted by group name.

    Args:
        by: Keys of `GROUPS`.

    Raises:
        ValueError: A key is unknown.
    """
    unknown = [name for name in by if name not in GROUPS]
    if unknown:
        raise ValueError(f"cannot group by {', '.join(unknown)}; possible keys: {', '.join(GROUPS)}")
    groups: dict[tuple[str, ...], list[EffortRecord]] = {}
    for record in records:
        groups.setdefault(tuple(GROUPS[name](record) for name in by), []).append(record)
    return {name: summarise(members) for name, members in sorted(groups.items())}


def _unreadable(correction: CorrectionHeader, measurement: Measured) -> Unreadable:
    return Unreadable(
        task=correction.task_id,
        annotation=correction.annotation_id,
        code=measurement.code,
        reason=measurement.reason,
    )


def _record(
    project: int,
    comparison: ComparedCorrection,
    effort: EditEffort,
    *,
    image: str,
    annotator: str,
    order: str,
) -> EffortRecord:
    correction, prelabel, was_shown = comparison
    quick = correction.lead_time is not None and correction.lead_time < HASTY_SECONDS
    return EffortRecord(
        project=project,
        task=correction.task_id,
        annotation=correction.annotation_id,
        image=image,
        model_version=prelabel.model_version if prelabel else CONTROL,
        annotator=annotator,
        at=correction.updated_at,
        lead_time=correction.lead_time,
        effort=effort,
        hasty=bool(was_shown and effort.accepted and effort.untouched and quick),
        arm="prelabelled" if was_shown else "control",
        score=prelabel.score if prelabel else None,
        order=order,
    )
