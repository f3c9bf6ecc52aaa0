"""Trace: from an annotation back to the prelabel it was made on, and on to the models that learned from it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Engine

from mammo.annotations import AnnotationStore, Correction, Prelabel, Told
from mammo.annotations.automatic import automatic_revisions
from mammo.database import dataset_item, dataset_version, reading
from mammo.efforts.edit_effort import Change, changes
from mammo.efforts.effort_records import annotator_pseudonym, prelabel_of
from mammo.errors import InvalidRegion, UnknownAnnotation
from mammo.labelstudio.cluster_regions import require_on_images
from mammo.labelstudio.interpretation import from_regions, interpret
from mammo.labelstudio.labeling_config import ControlTags
from mammo.labelstudio.project_tags import TagsLookup
from mammo.models import ModelRegistry

PART_DELETED = "a part of it was deleted or erased, and so the whole"


@dataclass(frozen=True, kw_only=True)
class ShownPrelabel:
    """What the annotator was shown."""

    model_version: str
    created_at: datetime
    score: float
    image_sha256: str
    findings: list[dict[str, Any]]
    """`image`, `id`, `score`, `box` [x0, y0, x1, y1] and `prompts` [[x, y], ...] of each, in pixels."""

    problem: str = ""
    """Why there are no findings, where a region cannot be read."""


@dataclass(frozen=True, kw_only=True)
class Deed:
    """One thing that was done to the annotation, as it was told."""

    action: str
    told_at: datetime
    done_at: datetime | None
    """Label Studio's moment; None for a deletion."""

    annotator: str
    lead_time: float | None
    cancelled: bool
    changes: list[Change] | None
    """Against the prelabel, finding by finding; None for a deletion, or where a region cannot be read."""

    crumbs: int = 0
    """Parts of masks that were left out as too small to be seen or meant."""

    problem: str = ""
    """Why a region of it, or of the prelabel, cannot be read, so that nothing is learned from it."""


@dataclass(frozen=True, kw_only=True)
class Training:
    """A dataset version that holds the annotation, and what was trained on it."""

    dataset_version: str
    created_at: datetime
    current: bool
    """It holds the annotation as it is now, not an older revision."""

    model_versions: list[dict[str, Any]]
    """`version`, `run`, `recipe`, and `champion`: it has served."""


@dataclass(frozen=True, kw_only=True)
class Trace:
    """The whole chain of one annotation."""

    annotation: int
    task: int | None
    project: int | None
    present: bool
    """It is part of the current view: neither deleted nor skipped."""

    automatic: bool
    """The service submitted it and no person has changed it."""

    prelabel: ShownPrelabel | None
    """None: it was made without one, as far as is known."""

    history: list[Deed]
    trainings: list[Training]

    def to_json(self) -> dict[str, Any]:
        """Plain values; moments stay `datetime`."""
        return asdict(self)


def trace(
    annotation: int,
    *,
    store: AnnotationStore,
    engine: Engine,
    registry: ModelRegistry,
    secret: bytes,
    tags: TagsLookup,
) -> Trace:
    """Follow one annotation.

    Args:
        secret: of the annotators' pseudonyms.
        tags: names the control tags of the annotation's project.

    Raises:
        UnknownAnnotation: nothing was ever told of it.
        LabelStudioError: the project's tags are not to be had.
    """
    history = store.history(annotation)
    written = [told.content for told in history if told.content]
    if not written:
        raise UnknownAnnotation(
            f"nothing is known of annotation {annotation}; its number is in Label Studio's address bar "
            "(`annotation=`), and `yolo-mlsam reconcile` fetches what webhooks did not tell"
        )
    newest = max(written, key=lambda content: content.updated_at)
    alive = {
        heading.annotation: heading for heading in store.outline(newest.project_id, tasks=[newest.task_id])
    }
    prelabel, names = prelabel_of(newest, store), tags(newest.project_id)
    with reading(engine) as connection:
        automatic = bool(automatic_revisions(connection, newest.project_id, {newest.revision}))
    return Trace(
        annotation=annotation,
        task=newest.task_id,
        project=newest.project_id,
        present=annotation in alive and not alive[annotation].cancelled,
        automatic=automatic,
        prelabel=_shown(prelabel, list(names.on(newest.task_data))) if prelabel else None,
        history=[_deed(told, prelabel, secret, names) for told in history],
        trainings=_trainings(annotation, newest, engine, registry),
    )


def _shown(prelabel: Prelabel, images: Sequence[ControlTags]) -> ShownPrelabel:
    problem, found = "", []
    try:
        found = [
            (each.image_key, finding)
            for each in images
            for finding in from_regions(prelabel.regions, tags=each)
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
            for image, finding in found
        ],
        problem=problem,
    )


def _deed(told: Told, prelabel: Prelabel | None, secret: bytes, tags: ControlTags) -> Deed:
    content = told.content
    deed = Deed(
        action=told.action,
        told_at=told.received_at,
        done_at=content.updated_at if content else None,
        annotator=annotator_pseudonym(content.completed_by if content else None, secret=secret),
        lead_time=content.lead_time if content else None,
        cancelled=told.cancelled,
        changes=None,
    )
    if content is None:
        return deed
    try:
        return _compared(deed, content, prelabel, tags)
    except InvalidRegion as error:
        return replace(deed, problem=str(error))


def _compared(deed: Deed, content: Correction, prelabel: Prelabel | None, tags: ControlTags) -> Deed:
    """With what was changed on each image of the task.

    Raises:
        InvalidRegion: a region cannot be read.
    """
    images = require_on_images(content.result, tags=tags, data=content.task_data)
    told: list[Change] = []
    crumbs = 0
    for on_image in images:
        proposed = from_regions(prelabel.regions, tags=on_image) if prelabel else []
        left = interpret(content.result, tags=on_image)
        crumbs += left.crumbs
        for change in changes(proposed, left.findings):
            note = PART_DELETED if change.kind == "deleted" and change.finding in left.deleted else ""
            told.append(replace(change, image=on_image.image_key, note=note))
    return replace(deed, changes=told, crumbs=crumbs)


def _trainings(
    annotation: int, newest: Correction, engine: Engine, registry: ModelRegistry
) -> list[Training]:
    statement = (
        sa.select(dataset_item.c.dataset, dataset_item.c.content_hash, dataset_version.c.created_at)
        .join(dataset_version, dataset_item.c.dataset == dataset_version.c.name)
        .where(dataset_item.c.annotation == annotation)
        .order_by(dataset_version.c.created_at)
    )
    with reading(engine) as connection:
        rows = connection.execute(statement).all()
    manifests = {version: registry.manifest(version) for version in registry.versions()} if rows else {}
    served = {move.version for move in registry.history()} if rows else set()
    return [
        Training(
            dataset_version=row.dataset,
            created_at=row.created_at,
            current=row.content_hash == newest.content_hash,
            model_versions=[
                {
                    "version": version,
                    "run": manifest.get("run"),
                    "recipe": manifest.get("recipe"),
                    "champion": version in served,
                }
                for version, manifest in manifests.items()
                if manifest.get("dataset_version") == row.dataset
            ],
        )
        for row in rows
    ]
