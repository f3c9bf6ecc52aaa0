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
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import date, datetime, timedelta
from statistics import median
from typing import Literal

import orjson
import sqlalchemy as sa
from sqlalchemy.engine import Engine

from mammo.annotations import AnnotationStore, Correction, Prelabel
from mammo.database import edit_effort as kept
from mammo.database import insert, reading, writing
from mammo.edit_effort import EditEffort, edit_effort, total_effort
from mammo.errors import InvalidRegion
from mammo.labelstudio.interpretation import from_regions, interpret, require_on_images
from mammo.labelstudio.labeling_config import ControlTags
from mammo.labelstudio.project_tags import digest_of_tags
from mammo.work_order import UNORDERED, strategies

CONTROL = "none"
"""Model version of a correction that no prediction is known for, shown or silent."""

Arm = Literal["prelabelled", "control"]

HASTY_SECONDS = 10.0
"""A prelabel accepted as it is in less time than this may not have been looked at: a sign of automation bias."""


@dataclass(frozen=True, kw_only=True)
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
    by = digest_of_tags(tags)
    with reading(engine) as connection:
        rows = connection.execute(sa.select(kept))
        known = {(row.revision, row.prelabel, row.image): row.effort for row in rows}
    records: list[EffortRecord] = []
    unreadable: list[Unreadable] = []
    orders = strategies(engine, project)
    for correction in store.corrections(project):
        if correction.automatic:
            continue
        shown = prelabel_of(correction, store)
        prelabel = shown or store.silent_prelabel(
            correction.project_id, correction.task_id, begun(correction, store)
        )
        try:
            images = require_on_images(correction.result, tags=tags, data=correction.task_data)
            of_images = []
            for on_image in images:
                key = correction.revision, prelabel.id if prelabel else 0, on_image.image_key
                effort = _read_back(known.get(key), by)
                if effort is None:
                    effort = _effort(correction, prelabel, on_image)
                    _keep(engine, key, effort, by)
                of_images.append((on_image.image_key, effort))
        except InvalidRegion as error:
            unreadable.append(_unreadable(correction, error))
            continue
        for image, effort in of_images:
            record = _record(correction, prelabel, effort, secret)
            if shown is None:
                record = replace(record, arm="control", hasty=False)
            order = orders.get(correction.task_id, UNORDERED)
            records.append(replace(record, image=image, order=order))
    return Efforts(records=tuple(records), unreadable=tuple(unreadable))


def prelabel_of(correction: Correction, store: AnnotationStore) -> Prelabel | None:
    """The prelabel that a correction was made on, as far as is known."""
    project, task = correction.project_id, correction.task_id
    if correction.prelabel_version:
        told = store.prelabel(project, task, correction.prelabel_version)
        if told:
            return told
    return store.prelabel_before(project, task, begun(correction, store))


def begun(correction: Correction, store: AnnotationStore) -> datetime:
    """The moment of an annotation's first revision."""
    written = [told.content for told in store.history(correction.annotation_id) if told.content]
    return min((content.updated_at for content in written), default=correction.updated_at)


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


def _effort(correction: Correction, prelabel: Prelabel | None, tags: ControlTags) -> EditEffort:
    proposed = from_regions(prelabel.regions, tags=tags) if prelabel else []
    left = interpret(correction.result, tags=tags)
    return replace(edit_effort(proposed, left.findings), crumbs=left.crumbs)


def _read_back(effort: bytes | None, by: str) -> EditEffort | None:
    """An effort as it is kept; None where there is none, or it was computed with other tags."""
    if effort is None:
        return None
    content = orjson.loads(effort)
    return EditEffort(**content) if content.pop("by", None) == by else None


def _keep(engine: Engine, key: tuple[int, int, str], effort: EditEffort, by: str) -> None:
    row = {
        "revision": key[0],
        "prelabel": key[1],
        "image": key[2],
        "effort": orjson.dumps(asdict(effort) | {"by": by}),
    }
    with writing(engine) as connection:
        new = insert(connection, kept).values(row)
        same = ["revision", "prelabel", "image"]
        connection.execute(
            new.on_conflict_do_update(index_elements=same, set_={"effort": new.excluded.effort})
        )


def _unreadable(correction: Correction, error: InvalidRegion) -> Unreadable:
    return Unreadable(
        task=correction.task_id, annotation=correction.annotation_id, code=error.code, reason=str(error)
    )


def _record(
    correction: Correction, prelabel: Prelabel | None, effort: EditEffort, secret: bytes
) -> EffortRecord:
    quick = correction.lead_time is not None and correction.lead_time < HASTY_SECONDS
    return EffortRecord(
        project=correction.project_id,
        task=correction.task_id,
        annotation=correction.annotation_id,
        model_version=prelabel.model_version if prelabel else CONTROL,
        annotator=annotator_pseudonym(correction.completed_by, secret=secret),
        at=correction.updated_at,
        lead_time=correction.lead_time,
        effort=effort,
        hasty=bool(effort.accepted and effort.untouched and quick),
        score=prelabel.score if prelabel else None,
    )
