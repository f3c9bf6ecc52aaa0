"""Building a dataset version: new and changed annotations are read, the other items of the newest version reused.

Step 9 of the walk.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

import orjson
import sqlalchemy as sa
import structlog
from sqlalchemy.engine import Connection, Engine

from mammo.annotations import AnnotationStore
from mammo.blobs import Blobs
from mammo.database import dataset_item, dataset_version, insert, reading, writing
from mammo.efforts.effort_records import annotator_pseudonym
from mammo.errors import InsufficientData, InvalidWeights, MammoError
from mammo.geometry import Size
from mammo.images.task_images import of_task
from mammo.labelstudio.labeling_config import ControlTags
from mammo.masks import PixelBudget
from mammo.readings.task_readings import agreed_exam_words
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
from training.datasets.sources import Candidate, Excluded, ReadOptions, candidates_of, hold_back
from training.datasets.versions import DatasetVersion, newest_name, open_dataset_version

log = structlog.get_logger()

Fingerprint = Callable[[Mapping[str, Any]], str | None]
"""Returns a value that changes whenever the image file of a task's data does, without reading it; None: unknown."""

ItemKey = tuple[int, str, str, str | None]
"""Annotation, image key, content hash and digest: all that an item depends on."""


def build_dataset_version(
    store: AnnotationStore,
    engine: Engine,
    blobs: Blobs,
    *,
    project: int,
    options: ReadOptions,
    open_image: OpenImage,
    fingerprint: Fingerprint = lambda _data: None,
    progress: Progress = silent,
) -> DatasetVersion:
    """Freeze the current corrections of a project, including those of its double reading.

    Args:
        open_image: opens every image that is new or may have changed, to check it.
        fingerprint: detects unchanged images; without it every image is opened.

    Raises:
        InsufficientData: the project has no correction at all.
        NeverTrainedFrom: the project must not be trained on.
        StorageUnavailable: the dataset version cannot be stored.
        LabelStudioError: Label Studio does not deliver the images; nothing is stored.
    """
    require_trainable(project, engine=engine)
    last_event = store.last_event()
    builder = _ItemBuilder(
        store,
        project,
        options,
        open_image,
        fingerprint,
        reusable=_newest_items(engine, blobs, project),
        pinned_images=store.pinned_images(project),
    )
    candidates, excluded = candidates_of(project, store=store, engine=engine, options=options)
    if not candidates and not excluded:
        raise InsufficientData(
            f"project {project} has no corrections yet: annotate some tasks first, or run `yolo-mlsam reconcile` if "
            "webhooks were lost"
        )
    items, not_used = builder.read(candidates, progress)
    items, superseded = _one_per_image(items, options.prefer)
    items, held_back = hold_back(_with_folds(engine, blobs, items))
    dataset = _named(project, items, [*excluded, *not_used, *superseded, *held_back], blobs)
    _record(engine, dataset, last_event=last_event, digests=builder.digests)
    if dataset.num_alone:
        log.warning(
            "images without patient and study are assigned to folds one by one",
            project=project,
            images=dataset.num_alone,
        )
    return dataset


def item_digest(candidate: Candidate, fingerprint: Fingerprint, tags: ControlTags) -> str | None:
    """The digest of a candidate's item on one image (see `digest_of`); None when the image cannot be fingerprinted.

    Args:
        tags: of the image.
    """
    correction = candidate.correction
    try:
        file = fingerprint(of_task(correction.task_id, correction.task_data, tags=tags))
    except MammoError:  # opening the image raises it again
        return None
    return None if file is None else digest_of(file, tags=tags, basis=candidate.basis)


@dataclass
class _ItemBuilder:
    """Makes the items of candidates, or reuses those of the newest dataset version."""

    store: AnnotationStore
    project: int
    options: ReadOptions
    open_image: OpenImage
    fingerprint: Fingerprint
    reusable: Mapping[ItemKey, Item]
    pinned_images: Mapping[tuple[int, str], str]
    """SHA-256 of the image that a task showed when it was first opened, by task and image key."""

    digests: dict[tuple[int, str], str | None] = field(default_factory=dict)
    """Of every image seen, by annotation and image key."""

    def read(self, candidates: Sequence[Candidate], progress: Progress) -> tuple[list[Item], list[Excluded]]:
        """Return the items of all candidates, and those that are excluded: automatic ones, and unreadable ones."""
        items: list[Item] = []
        excluded: list[Excluded] = []
        for index, candidate in enumerate(candidates, 1):
            correction = candidate.correction
            if correction.automatic and not self.options.with_automatic:
                reason = "the service submitted it and no person has changed it"
                excluded.append(Excluded.of(correction, AUTOMATIC, reason))
                continue
            try:
                items += self.items_of(candidate)
            except MammoError as error:
                if not is_about_one_image(error):
                    raise
                # A region that cannot be read on one image may belong to another, so the whole annotation is excluded.
                excluded.append(Excluded.of(correction, error.code, str(error)))
            progress(index / len(candidates), f"{index} of {len(candidates)} corrections")
        return items, excluded

    def items_of(self, candidate: Candidate) -> list[Item]:
        """The items of every image of a candidate.

        Raises:
            MammoError: an image cannot be opened or read; see `is_about_one_image`.
        """
        budget = PixelBudget()
        return [
            self._item(candidate, tags, budget) for tags in images_of(candidate.correction, self.options.tags)
        ]

    def _item(self, candidate: Candidate, tags: ControlTags, budget: PixelBudget) -> Item:
        correction, image_key = candidate.correction, tags.image_key
        digest = item_digest(candidate, self.fingerprint, tags)
        self.digests[correction.annotation_id, image_key] = digest
        pinned = self.pinned_images.get((candidate.task, image_key))
        item = self.reusable.get((correction.annotation_id, image_key, correction.content_hash, digest))
        if item is None:
            item = self._make(candidate, tags, pinned, budget)
        if pinned is None:
            self.store.pin_image(self.project, candidate.task, image_key, item.image, size=Size(*item.size))
        return item

    def _make(self, candidate: Candidate, tags: ControlTags, pinned: str | None, budget: PixelBudget) -> Item:
        secret = self.options.secret
        item = make_item(
            candidate.correction,
            self.open_image,
            tags=tags,
            pinned=pinned,
            secret=secret,
            budget=budget,
            findings=candidate.findings(tags.image_key) if candidate.findings else None,
        )
        if not candidate.origins:
            return replace(item, source=candidate.source)
        exam = agreed_exam_words(*candidate.origins, tags)
        readers = [annotator_pseudonym(each.completed_by, secret=secret) for each in candidate.origins]
        return replace(
            item,
            source=candidate.source,
            annotator="+".join(readers),
            updated_at=max(each.updated_at for each in candidate.origins).isoformat(),
            origins=tuple((each.annotation_id, each.content_hash) for each in candidate.origins),
            density=exam.get("density"),
            assessment=exam.get("assessment"),
        )


def _newest_items(engine: Engine, blobs: Blobs, project: int) -> dict[ItemKey, Item]:
    """The items of the project's newest dataset version that can be reused."""
    with reading(engine) as connection:
        name = newest_name(connection, project)
        if name is None:
            return {}
        rows = connection.execute(
            sa.select(dataset_item).where(dataset_item.c.dataset == name, dataset_item.c.digest.is_not(None))
        ).all()
    if not rows:
        return {}
    try:
        dataset = open_dataset_version(name, blobs=blobs)
    except InvalidWeights as error:
        log.warning("the newest dataset version cannot be read; opening every image", code=error.code)
        return {}
    items = {(item.annotation_id, item.image_key): item for item in dataset.items}
    return {
        (row.annotation, row.image, row.content_hash, row.digest): items[row.annotation, row.image]
        for row in rows
    }


def _one_per_image(items: Sequence[Item], prefer: Sequence[Source]) -> tuple[list[Item], list[Excluded]]:
    """Select one item per image: of the preferred source, of a person before automatic, then the newest."""

    def rank(item: Item) -> tuple[int, bool, str, int]:
        return -prefer.index(item.source), item.annotator != AUTOMATIC, item.updated_at, item.annotation_id

    best: dict[str, Item] = {}
    for item in items:
        other = best.get(item.image)
        if other is None or rank(item) > rank(other):
            best[item.image] = item
    superseded = [
        Excluded.of(
            item, "superseded", f"annotation {best[item.image].annotation_id} of the same image counts"
        )
        for item in items
        if best[item.image] is not item
    ]
    return [item for item in items if best[item.image] is item], superseded


def _with_folds(engine: Engine, blobs: Blobs, items: Sequence[Item]) -> list[Item]:
    positive: dict[str, bool] = {}
    for item in items:
        positive[item.patient] = positive.get(item.patient, False) or bool(item.findings)
    before = folds_before(engine, blobs, ((item.patient, item.image) for item in items))
    folds = assign_folds(engine, positive, before=before)
    return [replace(item, fold=folds[item.patient]) for item in items]


def _named(project: int, items: Iterable[Item], excluded: Iterable[Excluded], blobs: Blobs) -> DatasetVersion:
    """Store the manifest; its SHA-256 is the name of the dataset version."""
    ordered = sorted(excluded, key=lambda each: (each.task_id, each.annotation_id))
    dataset = DatasetVersion("", project, tuple(items), tuple(ordered))
    content = {
        "schema": SCHEMA,
        "project": dataset.project,
        "items": [item.to_json(blobs) for item in dataset.items],
        "excluded": [asdict(each) for each in dataset.excluded],
    }
    manifest = orjson.dumps(content, option=orjson.OPT_SORT_KEYS)
    blobs.put(manifest)
    return replace(dataset, name=hashlib.sha256(manifest).hexdigest())


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
        "num_held_out": dataset.num_patients("test"),
    }
    with writing(engine) as connection:
        new = insert(connection, dataset_version).values(row)
        changed = {name: new.excluded[name] for name in ("last_event", "num_held_out")}
        connection.execute(new.on_conflict_do_update(index_elements=["name"], set_=changed))
        for item in dataset.items:
            annotation, image = item.annotation_id, item.image_key
            _record_item(
                connection, dataset.name, annotation, image, item.content_hash, digests[annotation, image]
            )
            for origin, content in item.origins:
                if (
                    origin != annotation
                ):  # so that the trace of the other reading leads to this dataset version
                    _record_item(connection, dataset.name, origin, image, content, None)


def _record_item(
    connection: Connection, name: str, annotation: int, image: str, content: str, digest: str | None
) -> None:
    row = {"dataset": name, "annotation": annotation, "image": image, "content_hash": content}
    new = insert(connection, dataset_item).values(**row, digest=digest)
    key = ["dataset", "annotation", "image"]
    connection.execute(new.on_conflict_do_update(index_elements=key, set_={"digest": new.excluded.digest}))
