"""Trace: from an annotation back to the prelabel it started from, and on to the models trained on it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Engine

from mammo.annotations import AnnotationEvent, AnnotationStore, Correction, Prelabel
from mammo.annotations.automatic import automatic_revisions
from mammo.database import dataset_item, dataset_version, reading
from mammo.efforts.edit_effort import Change, changes
from mammo.efforts.effort_records import annotator_pseudonym, prelabel_of
from mammo.errors import InvalidRegion, UnknownAnnotation
from mammo.identifiers import pseudonym
from mammo.labelstudio.descriptors import exam_descriptors
from mammo.labelstudio.interpretation import from_regions, interpret_images
from mammo.labelstudio.labeling_config import ControlTags
from mammo.labelstudio.project_tags import TagsLookup
from mammo.models import ModelRegistry

PART_DELETED = "deleted as a whole, because a part of it was deleted or erased"
"""Note of a finding that the annotator deleted only in part."""


@dataclass(frozen=True, kw_only=True)
class ShownPrelabel:
    """The prelabel that the annotator was shown."""

    model_version: str
    created_at: datetime
    score: float
    image_sha256: str
    findings: list[dict[str, Any]]
    """Each with `image`, `id`, `score`, `box` [x0, y0, x1, y1] and `prompts` [[x, y], ...], in pixels."""

    num_cut: int | None
    """Number of findings that it did not show; None: stored by a release that did not count them."""

    problem: str = ""
    """Why there are no findings, if a region cannot be interpreted; otherwise empty."""


@dataclass(frozen=True, kw_only=True)
class HistoryEntry:
    """One event in the history of an annotation."""

    action: str
    received_at: datetime
    updated_at: datetime | None
    """Label Studio's time of the change; None for a deletion."""

    annotator: str
    lead_time: float | None
    cancelled: bool
    changes: list[Change] | None
    """Changes against the prelabel, finding by finding; None for a deletion, or if a region cannot be interpreted."""

    descriptors: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """`morphology`, `distribution`, `suspicion` and `lesion` that are stated, by the id of the finding."""

    comments: Mapping[str, str | None] = field(default_factory=dict, repr=False)
    """What was written about a finding, by its id; None if that was not asked for."""

    exam: Mapping[str, str] = field(default_factory=dict)
    """`density` and `assessment` of the exam that are stated."""

    crumbs: int = 0
    """Parts of masks that were ignored because they are too small to be visible or intended."""

    problem: str = ""
    """Why a region of the annotation or of its prelabel cannot be interpreted; otherwise empty."""

    def to_json(self) -> dict[str, Any]:
        """Return the entry as a JSON object; times stay `datetime`."""
        fields = asdict(self)
        fields["told_at"], fields["done_at"] = fields.pop("received_at"), fields.pop("updated_at")
        return fields


@dataclass(frozen=True, kw_only=True)
class DatasetUse:
    """A dataset version that contains the annotation, and the models trained on it."""

    dataset_version: str
    created_at: datetime
    current: bool
    """Whether it contains the newest revision of the annotation, not an older one."""

    model_versions: list[dict[str, Any]]
    """Each with `version`, `run`, `recipe`, and `champion`: whether it has been champion."""


@dataclass(frozen=True, kw_only=True)
class Trace:
    """Origin and use of one annotation."""

    annotation: int
    task: int | None
    project: int | None
    patient: str
    """What people read in place of the patient key; empty if the task states no patient."""

    present: bool
    """Whether it is part of the current view: neither deleted nor skipped."""

    automatic: bool
    """Whether the service submitted it and no person has changed it."""

    prelabel: ShownPrelabel | None
    """The prelabel it started from; None if none is known."""

    history: list[HistoryEntry]
    dataset_uses: list[DatasetUse]
    second_looks: Sequence[Mapping[str, Any]] = ()
    """Doubts about it that were sent back to its reader, with their causes and answers; `mammo.second_looks`."""

    def to_json(self) -> dict[str, Any]:
        """Return the trace as a JSON object; times stay `datetime`."""
        fields = asdict(self)
        fields["history"] = [entry.to_json() for entry in self.history]
        fields["trainings"] = fields.pop("dataset_uses")
        return fields


def trace(
    annotation: int,
    *,
    store: AnnotationStore,
    engine: Engine,
    registry: ModelRegistry,
    secret: bytes,
    tags: TagsLookup,
    comments: bool = False,
) -> Trace:
    """Trace one annotation.

    Args:
        secret: Key of the annotators' pseudonyms.
        tags: Returns the control tags of the annotation's project.
        comments: Whether to tell what people wrote about findings, which may name a patient.

    Raises:
        UnknownAnnotation: The store has no event of the annotation.
        LabelStudioError: The project's tags cannot be fetched.
    """
    events = store.history(annotation)
    revisions = [event.content for event in events if event.content]
    if not revisions:
        raise UnknownAnnotation(
            f"annotation {annotation} is unknown; its id is in Label Studio's address bar (`annotation=`), and "
            "`yolo-mlsam reconcile` fetches annotations whose webhooks were lost"
        )
    newest = max(revisions, key=lambda content: content.updated_at)
    existing = {
        header.annotation: header
        for header in store.revision_headers(newest.project_id, tasks=[newest.task_id])
    }
    prelabel, project_tags = prelabel_of(newest, store), tags(newest.project_id)
    with reading(engine) as connection:
        automatic = bool(automatic_revisions(connection, newest.project_id, {newest.revision}))
    return Trace(
        annotation=annotation,
        task=newest.task_id,
        project=newest.project_id,
        patient=pseudonym(newest.task_data.get("patient")),
        present=annotation in existing and not existing[annotation].cancelled,
        automatic=automatic,
        prelabel=_shown(prelabel, list(project_tags.on(newest.task_data))) if prelabel else None,
        history=[
            _history_entry(event, prelabel, secret, project_tags, with_comments=comments) for event in events
        ],
        dataset_uses=_dataset_uses(annotation, newest, engine, registry),
    )


def _shown(prelabel: Prelabel, images: Sequence[ControlTags]) -> ShownPrelabel:
    problem, findings = "", []
    try:
        findings = [
            (image.image_key, finding)
            for image in images
            for finding in from_regions(prelabel.regions, tags=image)
        ]
    except InvalidRegion as error:
        problem = str(error)
    return ShownPrelabel(
        model_version=prelabel.model_version,
        created_at=prelabel.created_at,
        score=prelabel.score,
        image_sha256=prelabel.image_sha256,
        findings=[
            {
                "image": image,
                "id": finding.id,
                "score": finding.score,
                "box": list(finding.box.as_tuple()),
                "prompts": [[point.x, point.y] for point in finding.prompts],
            }
            for image, finding in findings
        ],
        num_cut=prelabel.num_cut,
        problem=problem,
    )


def _history_entry(
    event: AnnotationEvent,
    prelabel: Prelabel | None,
    secret: bytes,
    tags: ControlTags,
    *,
    with_comments: bool,
) -> HistoryEntry:
    content = event.content
    entry = HistoryEntry(
        action=event.action,
        received_at=event.received_at,
        updated_at=content.updated_at if content else None,
        annotator=annotator_pseudonym(content.completed_by if content else None, secret=secret),
        lead_time=content.lead_time if content else None,
        cancelled=event.cancelled,
        changes=None,
    )
    if content is None:
        return entry
    try:
        return _with_changes(entry, content, prelabel, tags, with_comments=with_comments)
    except InvalidRegion as error:
        return replace(entry, problem=str(error))


def _with_changes(
    entry: HistoryEntry,
    content: Correction,
    prelabel: Prelabel | None,
    tags: ControlTags,
    *,
    with_comments: bool,
) -> HistoryEntry:
    """Add the changes on each image of the task.

    Raises:
        InvalidRegion: A region cannot be interpreted.
    """
    all_changes: list[Change] = []
    crumbs, descriptors, comments = 0, dict[str, dict[str, str]](), dict[str, str | None]()
    for image_tags, after in interpret_images(
        content.result, tags=tags, data=content.task_data, sizes=content.sizes
    ):
        before = from_regions(prelabel.regions, tags=image_tags) if prelabel else []
        crumbs += after.crumbs
        descriptors |= {each.id: each.attributes for each in after.findings if each.attributes}
        comments |= {
            each.id: each.comment if with_comments else None for each in after.findings if each.comment
        }
        for change in changes(before, after.findings):
            note = PART_DELETED if change.kind == "deleted" and change.finding in after.deleted else ""
            all_changes.append(replace(change, image=image_tags.image_key, note=note))
    exam = exam_descriptors(content.result, tags).stated
    return replace(
        entry, changes=all_changes, crumbs=crumbs, descriptors=descriptors, comments=comments, exam=exam
    )


def _dataset_uses(
    annotation: int, newest: Correction, engine: Engine, registry: ModelRegistry
) -> list[DatasetUse]:
    statement = (
        sa.select(dataset_item.c.dataset, dataset_item.c.content_hash, dataset_version.c.created_at)
        .join(dataset_version, dataset_item.c.dataset == dataset_version.c.name)
        .where(dataset_item.c.annotation == annotation)
        .order_by(dataset_version.c.created_at)
    )
    with reading(engine) as connection:
        rows = connection.execute(statement).all()
    manifests = {version: registry.manifest(version) for version in registry.versions()} if rows else {}
    champions = {move.version for move in registry.history()} if rows else set()
    return [
        DatasetUse(
            dataset_version=row.dataset,
            created_at=row.created_at,
            current=row.content_hash == newest.content_hash,
            model_versions=[
                {
                    "version": version,
                    "run": manifest.get("run"),
                    "recipe": manifest.get("recipe"),
                    "champion": version in champions,
                }
                for version, manifest in manifests.items()
                if manifest.get("dataset_version") == row.dataset
            ],
        )
        for row in rows
    ]
