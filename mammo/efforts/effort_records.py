"""Edit effort of every correction: by model version, project, annotator and week, computed once each.

A correction is compared with the prelabel it was made on: the one whose version Label Studio told, or else the
newest that was shown before the annotation's first revision. A correction without any is the control: somebody read
the image without a prelabel (a blind task, or a project in the assisted stage). It is compared with what the model had
silently said of it by then, where it had: so control and prelabelled images have the same figures.

Annotations that the service itself submitted are nobody's effort.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import cache, partial
from statistics import median
from typing import Literal

from sqlalchemy.engine import Engine

from mammo.annotations import (
    AnnotationStore,
    Correction,
    CorrectionOutline,
    Prelabel,
    Proposal,
    shown_proposal,
    silent_proposal,
)
from mammo.efforts.edit_effort import EditEffort, total_effort
from mammo.efforts.measured_efforts import Measured, measured_efforts
from mammo.labelstudio.labeling_config import ControlTags
from mammo.worklist.order import UNORDERED, strategies

CONTROL = "none"
"""Model version of a correction that no prediction is known for, shown or silent."""

Arm = Literal["prelabelled", "control"]

HASTY_SECONDS = 10.0
"""A prelabel accepted as it is in less time than this may not have been looked at: a sign of automation bias."""


@dataclass(frozen=True, kw_only=True, slots=True)
class EffortRecord:
    """One correction and what it cost."""

    project: int
    task: int
    annotation: int
    model_version: str
    """Of the prelabel, or of the silent prediction; `CONTROL` where there was none."""

    annotator: str
    """A pseudonym, the same for the same person."""

    at: datetime
    lead_time: float | None
    """Seconds the annotator spent, all sessions of the annotation together."""

    effort: EditEffort
    hasty: bool
    """Something was shown and accepted as it was in less than `HASTY_SECONDS`."""

    image: str = ""
    """Which of the task's images; empty for the only one."""

    arm: Arm = "prelabelled"
    """`control`: nothing was shown, and `effort` says how far the silent prediction was from what was drawn."""

    score: float | None = None
    """Of the whole prediction; see `mammo.labelstudio.predictions.priority`."""

    order: str = UNORDERED
    """How the task's turn was chosen."""

    @property
    def week(self) -> date:
        """The Monday of its week, UTC."""
        return self.at.date() - timedelta(days=self.at.weekday())


@dataclass(frozen=True, kw_only=True)
class Unreadable:
    """A correction that cannot be counted, because a region of it or of its prelabel is not understood."""

    task: int
    annotation: int
    code: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class Efforts:
    """What the corrections of a project cost, and those of which nobody can say."""

    records: tuple[EffortRecord, ...] = ()
    unreadable: tuple[Unreadable, ...] = ()


@dataclass(frozen=True, kw_only=True)
class EffortSummary:
    """Some corrections together."""

    images: int
    accept_rate: float | None
    """Of the findings proposed, the part left as it was; None where nothing was proposed."""

    dice: float | None
    """Prelabel to correction, mean over the images with any pixels."""

    added_per_image: float
    deleted_per_image: float
    crumbs: int
    """Parts of masks left out as too small to be meant."""

    lead_time: float | None
    """Median seconds; None where Label Studio told of none."""

    hasty: int


def annotator_pseudonym(user: int | None, *, secret: bytes) -> str:
    """A stable name for a Label Studio user that does not lead back to the account without the secret."""
    if user is None:
        return "unknown"
    return "annotator-" + hmac.new(secret, f"annotator {user}".encode(), hashlib.sha256).hexdigest()[:8]


def effort_records(
    project: int, *, store: AnnotationStore, engine: Engine, secret: bytes, tags: ControlTags
) -> Efforts:
    """A record for each correction of a project; what was computed before is read back.

    Args:
        secret: of the annotators' pseudonyms.
        tags: the project's labels and controls. What was computed with others is computed again.
    """
    compared = list(made_on(project, store))
    pairs = [(correction, proposal) for correction, proposal, _ in compared]
    measured = measured_efforts(project, pairs, store=store, engine=engine, tags=tags)
    orders = strategies(engine, project)
    pseudonym = cache(partial(annotator_pseudonym, secret=secret))
    records: list[EffortRecord] = []
    unreadable: list[Unreadable] = []
    for (correction, proposal, was_shown), found in zip(compared, measured, strict=True):
        if found.code:
            unreadable.append(_unreadable(correction, found))
        records += [
            _record(
                project,
                correction,
                proposal,
                effort,
                image=image,
                annotator=pseudonym(correction.completed_by),
                arm="prelabelled" if was_shown else "control",
                order=orders.get(correction.task_id, UNORDERED),
            )
            for image, effort in found.images
        ]
    return Efforts(records=tuple(records), unreadable=tuple(unreadable))


def prelabel_of(correction: Correction, store: AnnotationStore) -> Prelabel | None:
    """The prelabel that a correction was made on, as far as is known."""
    proposals = dict(store.proposals(correction.project_id, task=correction.task_id))
    told = correction.prelabel_version
    mine = proposals.get(correction.task_id, ())
    shown = shown_proposal(mine, told=told, begun=begun(correction, store))
    return store.prelabels_by_id([shown.id]).get(shown.id) if shown else None


def begun(correction: Correction, store: AnnotationStore) -> datetime:
    """The moment of an annotation's first revision."""
    written = [told.content for told in store.history(correction.annotation_id) if told.content]
    moments = [content.updated_at for content in written if content.project_id == correction.project_id]
    return min(moments, default=correction.updated_at)


def made_on(
    project: int, store: AnnotationStore
) -> Iterator[tuple[CorrectionOutline, Proposal | None, bool]]:
    """Each correction with what it is compared with, and whether that was shown."""
    # In this order: what is proposed or promoted meanwhile is later than the corrections, and changes nothing of them.
    corrections = store.outlined_corrections(project)
    champions = store.champions()
    proposals = store.proposals(project)
    task, proposed = 0, list[Proposal]()
    # Both are in the order of tasks.
    for correction in corrections:
        while task < correction.task_id:
            task, proposed = next(proposals, (correction.task_id, []))
        mine = proposed if task == correction.task_id else ()
        shown = shown_proposal(mine, told=correction.prelabel_version, begun=correction.begun)
        compared = shown or silent_proposal(mine, begun=correction.begun, champions=champions)
        yield correction, compared, shown is not None


def summarise(records: Sequence[EffortRecord]) -> EffortSummary:
    """The figures of some corrections.

    Raises:
        ValueError: there are none.
    """
    if not records:
        raise ValueError("there is nothing to summarise")
    total = total_effort([record.effort for record in records])
    proposed = total.accepted + total.edited + total.deleted
    # All images of an annotation have its lead time.
    by_annotation = {record.annotation: record.lead_time for record in records}
    times = [seconds for seconds in by_annotation.values() if seconds is not None]
    return EffortSummary(
        images=len(records),
        accept_rate=total.accepted / proposed if proposed else None,
        dice=total.dice,
        added_per_image=total.added / len(records),
        deleted_per_image=total.deleted / len(records),
        crumbs=total.crumbs,
        lead_time=median(times) if times else None,
        hasty=sum(record.hasty for record in records),
    )


GROUPS: dict[str, Callable[[EffortRecord], str]] = {
    "model": lambda record: record.model_version,
    "annotator": lambda record: record.annotator,
    "week": lambda record: record.week.isoformat(),
    "project": lambda record: str(record.project),
    "arm": lambda record: record.arm,
    "order": lambda record: record.order,
}
"""What records can be grouped by."""


def grouped(records: Iterable[EffortRecord], by: Sequence[str]) -> dict[tuple[str, ...], EffortSummary]:
    """A summary for each group, in the order of the groups' names.

    Args:
        by: keys of `GROUPS`.

    Raises:
        ValueError: an unknown key.
    """
    unknown = [name for name in by if name not in GROUPS]
    if unknown:
        raise ValueError(f"cannot group by {', '.join(unknown)}; possible are {', '.join(GROUPS)}")
    groups: dict[tuple[str, ...], list[EffortRecord]] = {}
    for record in records:
        groups.setdefault(tuple(GROUPS[name](record) for name in by), []).append(record)
    return {name: summarise(members) for name, members in sorted(groups.items())}


def _unreadable(correction: CorrectionOutline, found: Measured) -> Unreadable:
    return Unreadable(
        task=correction.task_id, annotation=correction.annotation_id, code=found.code, reason=found.reason
    )


def _record(
    project: int,
    correction: CorrectionOutline,
    proposal: Proposal | None,
    effort: EditEffort,
    *,
    image: str,
    annotator: str,
    arm: Arm,
    order: str,
) -> EffortRecord:
    quick = correction.lead_time is not None and correction.lead_time < HASTY_SECONDS
    return EffortRecord(
        project=project,
        task=correction.task_id,
        annotation=correction.annotation_id,
        image=image,
        model_version=proposal.model_version if proposal else CONTROL,
        annotator=annotator,
        at=correction.updated_at,
        lead_time=correction.lead_time,
        effort=effort,
        hasty=bool(arm == "prelabelled" and effort.accepted and effort.untouched and quick),
        arm=arm,
        score=proposal.score if proposal else None,
        order=order,
    )
