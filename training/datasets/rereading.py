"""Re-reading: what the stored annotations of a project mean now, against what its newest dataset version took them for.

A release may read an annotation otherwise than the one before, and somebody may change the labeling config. Nothing of
an old dataset version changes by that, but the next one differs; what will be different is known before it is built,
and without opening an image.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import sqlalchemy as sa
from sqlalchemy.engine import Engine

from mammo.annotations import AnnotationStore
from mammo.blobs import Blobs
from mammo.database import dataset_item, dataset_version, reading
from mammo.errors import InvalidWeights, MammoError
from mammo.images.task_images import of_task
from mammo.labelstudio.labeling_config import ControlTags
from training.cases import Progress, silent
from training.datasets.annotation_reading import read_annotation
from training.datasets.building import Fingerprint
from training.datasets.items import Item, Source, digest_of, is_about_one_image
from training.datasets.reading_differences import differences
from training.datasets.reread_result import Reread, Rereading
from training.datasets.sources import Candidate, Excluded, candidates_of
from training.datasets.versions import open_dataset_version


def reread(
    project: int,
    *,
    store: AnnotationStore,
    engine: Engine,
    blobs: Blobs,
    tags: ControlTags,
    prefer: Sequence[Source],
    fingerprint: Fingerprint = lambda _data: None,
    progress: Progress = silent,
) -> Rereading:
    """Read every current correction of a project and compare it with the project's newest dataset version.

    Args:
        tags: the project's labels and prompt controls.
        prefer: whose word counts for an image that several have read; see `build_dataset_version`.
        fingerprint: what was frozen by this very reading, of a file that has not changed, is not read again.
    """
    frozen = _newest(engine, blobs, project)
    candidates, left_out = candidates_of(project, store=store, engine=engine, tags=tags, prefer=prefer)
    rows, read_otherwise = [], False
    for index, candidate in enumerate(candidates, 1):
        digests = _digests(candidate, frozen, tags, fingerprint)
        read_otherwise = read_otherwise or any(each.differ for each in digests)
        rows.append(_reread(candidate, frozen, tags, is_read_so=all(each.agree for each in digests)))
        progress(index / len(candidates), f"{index} of {len(candidates)} annotations")
    rows += [_left_out(each, frozen) for each in left_out]
    return Rereading(
        project=project,
        version=frozen.name,
        problem=frozen.problem,
        read_otherwise=read_otherwise,
        rows=tuple(sorted(rows, key=lambda row: (row.task, row.annotation))),
    )


@dataclass(frozen=True, kw_only=True)
class _Frozen:
    """The newest dataset version of a project, by annotation."""

    name: str | None = None
    problem: str = ""
    items: Mapping[int, Sequence[Item]] = field(default_factory=dict)
    left_out: Mapping[int, str] = field(default_factory=dict)
    """Codes."""

    digests: Mapping[tuple[int, str], str | None] = field(default_factory=dict)


def _newest(engine: Engine, blobs: Blobs, project: int) -> _Frozen:
    columns = dataset_version.c
    newest = (
        sa.select(columns.name).where(columns.project == project).order_by(columns.created_at.desc()).limit(1)
    )
    held = dataset_item.c
    with reading(engine) as connection:
        name = connection.scalar(newest)
        rows = connection.execute(
            sa.select(held.annotation, held.image, held.digest).where(held.dataset == name)
        ).all()
    if name is None:
        return _Frozen()
    try:
        dataset = open_dataset_version(name, blobs=blobs)
    except InvalidWeights as error:
        return _Frozen(problem=str(error))
    items: dict[int, list[Item]] = {}
    for item in dataset.items:
        items.setdefault(item.annotation_id, []).append(item)
    return _Frozen(
        name=name,
        items=items,
        left_out={each.annotation_id: each.code for each in dataset.excluded},
        digests={(row.annotation, row.image): row.digest for row in rows},
    )


def _reread(candidate: Candidate, frozen: _Frozen, tags: ControlTags, *, is_read_so: bool) -> Reread:
    correction = candidate.correction
    items = frozen.items.get(correction.annotation_id, ())
    row = Reread(
        annotation=correction.annotation_id,
        task=correction.task_id,
        state="absent",
        held=bool(items),
        was=frozen.left_out.get(correction.annotation_id, ""),
        before=sum(len(item.findings) for item in items) if items else None,
    )
    if items and is_read_so:
        return replace(
            row,
            state="same",
            now=row.before,
            crumbs=sum(item.crumbs for item in items),
            deleted=sum(item.deleted for item in items),
        )
    try:
        images = read_annotation(correction, tags)
        if candidate.findings is not None:
            agreed = tuple(candidate.findings())
            images = [replace(each, said=replace(each.said, findings=agreed)) for each in images]
        row = replace(
            row,
            now=sum(len(each.said.findings) for each in images),
            crumbs=sum(each.said.crumbs for each in images),
            deleted=sum(len(each.said.deleted) for each in images),
        )
        if not items:
            return row
        if not _is_unedited(candidate, items):
            return replace(row, state="edited")
        told = tuple(differences(images, items))
    except MammoError as error:
        if not is_about_one_image(error):
            raise
        return replace(row, state="refused", now=None, code=error.code, reason=str(error))
    return replace(row, state="changed" if told else "same", changes=told)


def _left_out(excluded: Excluded, frozen: _Frozen) -> Reread:
    items = frozen.items.get(excluded.annotation_id, ())
    return Reread(
        annotation=excluded.annotation_id,
        task=excluded.task_id,
        state="left_out",
        held=bool(items),
        was=frozen.left_out.get(excluded.annotation_id, ""),
        before=sum(len(item.findings) for item in items) if items else None,
        code=excluded.code,
        reason=excluded.reason,
    )


def _is_unedited(candidate: Candidate, items: Sequence[Item]) -> bool:
    """Whether the version holds the very words that are there now, and for the same reason."""
    origins = tuple((each.annotation_id, each.content_hash) for each in candidate.origins)
    return all(
        (item.content_hash, item.source, item.origins)
        == (candidate.correction.content_hash, candidate.source, origins)
        for item in items
    )


@dataclass(frozen=True)
class _Digests:
    """What the item of one image depends on; see `training.datasets.items.digest_of`."""

    then: str | None
    now: str | None
    """None: not known."""

    @property
    def agree(self) -> bool:
        """It was made by this very reading."""
        return self.now is not None and self.now == self.then

    @property
    def differ(self) -> bool:
        """It was made by another reading, or of another file."""
        return None not in (self.now, self.then) and self.now != self.then


def _digests(
    candidate: Candidate, frozen: _Frozen, tags: ControlTags, fingerprint: Fingerprint
) -> list[_Digests]:
    """Of every image that the task shows or that the version holds; nothing is known of an annotation edited since."""
    correction = candidate.correction
    items = frozen.items.get(correction.annotation_id, ())
    if not items or not _is_unedited(candidate, items):
        return [_Digests(None, None)]
    now: dict[str, str | None] = {item.image_key: None for item in items}
    for on_image in tags.on(correction.task_data):
        try:
            file = fingerprint(of_task(correction.task_id, correction.task_data, tags=on_image))
        except MammoError:  # reading it will say what is wrong
            file = None
        digest = None if file is None else digest_of(file, tags=on_image, basis=candidate.basis)
        now[on_image.image_key] = digest
    return [
        _Digests(frozen.digests.get((correction.annotation_id, key)), digest) for key, digest in now.items()
    ]
