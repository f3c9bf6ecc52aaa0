"""Building a dataset version: what is new is read, what the version before holds is taken over."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime
from typing import Any

import orjson
import sqlalchemy as sa
import structlog
from sqlalchemy.engine import Connection, Engine

from mammo.annotations import AnnotationStore, Correction
from mammo.blobs import Blobs
from mammo.database import dataset_item, dataset_version, insert, reading, writing
from mammo.efforts.effort_records import annotator_pseudonym
from mammo.errors import InsufficientData, InvalidWeights, MammoError
from mammo.images.task_images import of_task
from mammo.labelstudio.labeling_config import ControlTags
from mammo.runs import require_trainable
from training.cases import Progress, silent
from training.datasets.folds import assign_folds, folds_before
from training.datasets.items import (
    AUTOMATIC,
    SCHEMA,
    Item,
    OpenImage,
    Source,
    digest_of,
    images_of,
    is_about_one_image,
    make_item,
)
from training.datasets.sources import Candidate, Excluded, candidates_of, hold_back
from training.datasets.versions import DatasetVersion, open_dataset_version

log = structlog.get_logger()

Fingerprint = Callable[[Mapping[str, Any]], str | None]
"""Says of a task's image, without reading it, what changes whenever its file does; None where nothing is known."""


def build_dataset_version(
    store: AnnotationStore,
    engine: Engine,
    blobs: Blobs,
    *,
    project: int,
    open_image: OpenImage,
    fingerprint: Fingerprint = lambda _data: None,
    secret: bytes = b"",
    tags: ControlTags,
    prefer: Sequence[Source],
    with_automatic: bool,
    progress: Progress = silent,
) -> DatasetVersion:
    """Freeze the present corrections of a project, those of its double reading included.

    Args:
        open_image: opens every image that is new or may have changed, to check it.
        fingerprint: tells which have not; without it every image is opened.
        secret: key of the annotators' and studies' pseudonyms.
        tags: the project's labels and prompt controls.
        prefer: whose word counts for an image that several have read, the first before the next; a source that is
            not named is not used. An image that two readers dispute waits for the arbiter, whatever is preferred.
        with_automatic: hold also annotations that no person has looked at; only ever to train on.

    Raises:
        InsufficientData: there is no correction, not even one to leave out.
        NeverTrainedFrom: no model may learn from the project.
        StorageUnavailable: it cannot be kept.
        LabelStudioError: Label Studio does not hand over its images; nothing is kept.
    """
    require_trainable(project, engine=engine)
    last_event = store.last_event()
    pins = store.pinned_images(project)
    before = _newest_items(engine, blobs, project)
    candidates, excluded = candidates_of(project, store=store, engine=engine, tags=tags, prefer=prefer)
    if not candidates and not excluded:
        raise InsufficientData(
            f"project {project} has no correction yet, so there is nothing to freeze: annotate some tasks first, or "
            "run `yolo-mlsam reconcile` where there are some that its webhooks did not tell of"
        )
    items: list[Item] = []
    digests: dict[tuple[int, str], str | None] = {}
    for index, candidate in enumerate(candidates, 1):
        correction = candidate.correction
        if correction.automatic and not with_automatic:
            excluded.append(
                _excluded(correction, AUTOMATIC, "the service submitted it and no person has changed it")
            )
            continue
        try:
            for on_image in images_of(correction, tags):
                key = on_image.image_key
                digest = _digest(candidate, fingerprint, on_image)
                digests[correction.annotation_id, key] = digest
                known = before.get((correction.annotation_id, key, correction.content_hash, digest))
                pinned = pins.get((candidate.task, key))
                item = known or _item(candidate, open_image, tags=on_image, pinned=pinned, secret=secret)
                items.append(item)
                if pinned is None:
                    store.pin_image(project, candidate.task, key, item.image)
        except MammoError as error:
            if not is_about_one_image(error):
                raise
            # What cannot be read on one image may be of another: the whole annotation waits.
            items = [item for item in items if item.annotation_id != correction.annotation_id]
            excluded.append(_excluded(correction, error.code, str(error)))
        progress(index / len(candidates), f"{index} of {len(candidates)} corrections")
    items, superseded = _one_per_image(items, prefer)
    dataset = _split(engine, blobs, project, items, excluded + superseded)
    kept, held_back = hold_back(dataset.items)
    dataset = replace(dataset, items=kept, excluded=_in_order([*dataset.excluded, *held_back]))
    manifest = _manifest(dataset, blobs)
    dataset = replace(dataset, name=hashlib.sha256(manifest).hexdigest())
    blobs.put(manifest)
    _record(engine, dataset, last_event=last_event, digests=digests)
    if dataset.num_alone:
        log.warning(
            "images without a patient are split one by one", project=project, images=dataset.num_alone
        )
    return dataset


def _digest(candidate: Candidate, fingerprint: Fingerprint, tags: ControlTags) -> str | None:
    try:
        correction = candidate.correction
        found = fingerprint(of_task(correction.task_id, correction.task_data, tags=tags))
    except MammoError:  # opening it will say what is wrong
        return None
    return None if found is None else digest_of(found, tags=tags, basis=candidate.basis)


def _item(
    candidate: Candidate,
    open_image: OpenImage,
    *,
    tags: ControlTags,
    pinned: str | None,
    secret: bytes,
) -> Item:
    correction = candidate.correction
    findings = candidate.findings() if candidate.findings else None
    item = make_item(correction, open_image, tags=tags, pinned=pinned, secret=secret, findings=findings)
    if not candidate.origins:
        return replace(item, source=candidate.source)
    names = [annotator_pseudonym(each.completed_by, secret=secret) for each in candidate.origins]
    return replace(
        item,
        source=candidate.source,
        annotator="+".join(names),
        updated_at=max(each.updated_at for each in candidate.origins).isoformat(),
        origins=tuple((each.annotation_id, each.content_hash) for each in candidate.origins),
    )


def _newest_items(engine: Engine, blobs: Blobs, project: int) -> dict[tuple[int, str, str, str | None], Item]:
    """The items of the project's newest dataset version that can be taken over, by all that they depend on."""
    columns = dataset_version.c
    newest = (
        sa.select(columns.name).where(columns.project == project).order_by(columns.created_at.desc()).limit(1)
    )
    with reading(engine) as connection:
        name = connection.scalar(newest)
        held = sa.select(dataset_item).where(
            dataset_item.c.dataset == name, dataset_item.c.digest.is_not(None)
        )
        rows = connection.execute(held).all() if name else []
    if not rows:
        return {}
    try:
        items = {
            (item.annotation_id, item.image_key): item
            for item in open_dataset_version(str(name), blobs=blobs).items
        }
    except InvalidWeights as error:  # every image is opened again, then
        log.warning("the dataset version before cannot be read", code=error.code)
        return {}
    return {
        (row.annotation, row.image, row.content_hash, row.digest): items[row.annotation, row.image]
        for row in rows
    }


def _split(
    engine: Engine, blobs: Blobs, project: int, items: Sequence[Item], excluded: Sequence[Excluded]
) -> DatasetVersion:
    positive: dict[str, bool] = {}
    for item in items:
        positive[item.patient] = positive.get(item.patient, False) or bool(item.findings)
    before = folds_before(engine, blobs, ((item.patient, item.image) for item in items))
    folds = assign_folds(engine, positive, before=before)
    return DatasetVersion(
        "",
        project,
        tuple(replace(item, fold=folds[item.patient]) for item in items),
        _in_order(excluded),
    )


def _in_order(excluded: Sequence[Excluded]) -> tuple[Excluded, ...]:
    return tuple(sorted(excluded, key=lambda each: (each.task_id, each.annotation_id)))


def _one_per_image(items: Sequence[Item], prefer: Sequence[Source]) -> tuple[list[Item], list[Excluded]]:
    """The newest annotation of the best source of each image, of a person if there is one: it has one truth, however
    many people or tasks showed it."""

    def weight(item: Item) -> tuple[int, bool, str, int]:
        return -prefer.index(item.source), item.annotator != AUTOMATIC, item.updated_at, item.annotation_id

    newest: dict[str, Item] = {}
    for item in items:
        known = newest.get(item.image)
        if known is None or weight(item) > weight(known):
            newest[item.image] = item
    kept = [item for item in items if newest[item.image] is item]
    older = [
        Excluded(
            task_id=item.task_id,
            annotation_id=item.annotation_id,
            code="superseded",
            reason=f"annotation {newest[item.image].annotation_id} of the same image counts",
        )
        for item in items
        if newest[item.image] is not item
    ]
    return kept, older


def _excluded(correction: Correction, code: str, reason: str) -> Excluded:
    return Excluded(
        task_id=correction.task_id, annotation_id=correction.annotation_id, code=code, reason=reason
    )


def _manifest(dataset: DatasetVersion, blobs: Blobs) -> bytes:
    content = {
        "schema": SCHEMA,
        "project": dataset.project,
        "items": [item.to_json(blobs) for item in dataset.items],
        "excluded": [asdict(each) for each in dataset.excluded],
    }
    return orjson.dumps(content, option=orjson.OPT_SORT_KEYS)


def _record(
    engine: Engine, dataset: DatasetVersion, *, last_event: int, digests: Mapping[tuple[int, str], str | None]
) -> None:
    row = {
        "name": dataset.name,
        "project": dataset.project,
        "num_items": len(dataset.items),
        "num_excluded": len(dataset.excluded),
        "last_event": last_event,
        "created_at": datetime.now(UTC),
    }
    with writing(engine) as connection:
        new = insert(connection, dataset_version).values(row)
        connection.execute(
            new.on_conflict_do_update(index_elements=["name"], set_={"last_event": new.excluded.last_event})
        )
        for item in dataset.items:
            key = item.image_key
            _record_item(
                connection,
                dataset.name,
                item.annotation_id,
                key,
                item.content_hash,
                digests[item.annotation_id, key],
            )
            for annotation, content in item.origins:
                if annotation != item.annotation_id:  # so that its trace leads here as well
                    _record_item(connection, dataset.name, annotation, key, content, None)


def _record_item(
    connection: Connection, name: str, annotation: int, image: str, content: str, digest: str | None
) -> None:
    held = {"dataset": name, "annotation": annotation, "image": image, "content_hash": content}
    new = insert(connection, dataset_item).values(**held, digest=digest)
    same = ["dataset", "annotation", "image"]
    connection.execute(new.on_conflict_do_update(index_elements=same, set_={"digest": new.excluded.digest}))
