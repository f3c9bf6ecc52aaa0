"""Compare how the annotations of a project are read now with its newest dataset version, without opening images.

A new release may read annotations differently, and so does a changed labeling config. Existing dataset versions do not
change, but the next one will differ. This comparison shows how, before it is built.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import sqlalchemy as sa
from sqlalchemy.engine import Engine

from mammo.annotations import AnnotationStore
from mammo.blobs import Blobs
from mammo.database import dataset_item, reading
from mammo.errors import InvalidWeights, MammoError
from mammo.labelstudio.labeling_config import ControlTags
from training.cases import Progress, silent
from training.datasets.annotation_reading import read_annotation
from training.datasets.building import Fingerprint, item_digest
from training.datasets.items import Item, is_about_one_image
from training.datasets.reading_differences import differences
from training.datasets.reread_result import Reread, Rereading
from training.datasets.sources import Candidate, Excluded, ReadOptions, candidates_of
from training.datasets.versions import newest_name, open_dataset_version


def reread(
    project: int,
    *,
    store: AnnotationStore,
    engine: Engine,
    blobs: Blobs,
    options: ReadOptions,
    fingerprint: Fingerprint = lambda _data: None,
    progress: Progress = silent,
) -> Rereading:
    """Read every current correction of a project and compare it with the project's newest dataset version.

    Args:
        fingerprint: detects items that the current rules made of unchanged files; they are not read again.
    """
    newest = _newest(engine, blobs, project)
    candidates, excluded = candidates_of(project, store=store, engine=engine, options=options)
    rows, read_otherwise = [], False
    for index, candidate in enumerate(candidates, 1):
        digests = _digests(candidate, newest, options.tags, fingerprint)
        read_otherwise = read_otherwise or any(each.differ for each in digests)
        rows.append(_reread(candidate, newest, options.tags, is_same=all(each.agree for each in digests)))
        progress(index / len(candidates), f"{index} of {len(candidates)} annotations")
    rows += [_left_out(each, newest) for each in excluded]
    return Rereading(
        project=project,
        version=newest.name,
        problem=newest.problem,
        read_otherwise=read_otherwise,
        rows=tuple(sorted(rows, key=lambda row: (row.task, row.annotation))),
    )


@dataclass(frozen=True, kw_only=True)
class _NewestVersion:
    """The newest dataset version of a project, by annotation."""

    name: str | None = None
    problem: str = ""
    items: Mapping[int, Sequence[Item]] = field(default_factory=dict)
    excluded: Mapping[int, str] = field(default_factory=dict)
    """Codes."""

    digests: Mapping[tuple[int, str], str | None] = field(default_factory=dict)
    """By annotation and image key."""

    def row(self, annotation: int, task: int) -> Reread:
        """An annotation as far as the dataset version describes it."""
        items = self.items.get(annotation, ())
        return Reread(
            annotation=annotation,
            task=task,
            state="absent",
            held=bool(items),
            was=self.excluded.get(annotation, ""),
            before=sum(len(item.findings) for item in items) if items else None,
        )


def _newest(engine: Engine, blobs: Blobs, project: int) -> _NewestVersion:
    columns = dataset_item.c
    with reading(engine) as connection:
        name = newest_name(connection, project)
        rows = connection.execute(
            sa.select(columns.annotation, columns.image, columns.digest).where(columns.dataset == name)
        ).all()
    if name is None:
        return _NewestVersion()
    try:
        dataset = open_dataset_version(name, blobs=blobs)
    except InvalidWeights as error:
        return _NewestVersion(problem=str(error))
    items: dict[int, list[Item]] = {}
    for item in dataset.items:
        items.setdefault(item.annotation_id, []).append(item)
    return _NewestVersion(
        name=name,
        items=items,
        excluded={each.annotation_id: each.code for each in dataset.excluded},
        digests={(row.annotation, row.image): row.digest for row in rows},
    )


def _reread(candidate: Candidate, newest: _NewestVersion, tags: ControlTags, *, is_same: bool) -> Reread:
    """Read one annotation.

    Args:
        is_same: the digests show that reading it again would give the same items.
    """
    correction = candidate.correction
    items = newest.items.get(correction.annotation_id, ())
    row = newest.row(correction.annotation_id, correction.task_id)
    if items and is_same:
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
            images = [
                replace(
                    each,
                    interpretation=replace(
                        each.interpretation, findings=tuple(candidate.findings(each.tags.image_key))
                    ),
                )
                for each in images
            ]
        interpretations = [each.interpretation for each in images]
        row = replace(
            row,
            now=sum(len(each.findings) for each in interpretations),
            crumbs=sum(each.crumbs for each in interpretations),
            deleted=sum(len(each.deleted) for each in interpretations),
        )
        if not items:
            return row
        if not _is_unedited(candidate, items):
            return replace(row, state="edited")
        changes = tuple(differences(images, items))
    except MammoError as error:
        if not is_about_one_image(error):
            raise
        return replace(row, state="refused", now=None, code=error.code, reason=str(error))
    return replace(row, state="changed" if changes else "same", changes=changes)


def _left_out(excluded: Excluded, newest: _NewestVersion) -> Reread:
    row = newest.row(excluded.annotation_id, excluded.task_id)
    return replace(row, state="left_out", code=excluded.code, reason=excluded.reason)


def _is_unedited(candidate: Candidate, items: Sequence[Item]) -> bool:
    """Whether the items were made of this revision of the annotation, from the same source."""
    origins = tuple((each.annotation_id, each.content_hash) for each in candidate.origins)
    return all(
        (item.content_hash, item.source, item.origins)
        == (candidate.correction.content_hash, candidate.source, origins)
        for item in items
    )


@dataclass(frozen=True)
class _Digests:
    """The digests of one image's item (see `training.datasets.items.digest_of`); None: unknown."""

    before: str | None
    now: str | None

    @property
    def agree(self) -> bool:
        """Whether reading again would surely give the same item."""
        return self.now is not None and self.now == self.before

    @property
    def differ(self) -> bool:
        """Whether the item was surely made by other rules, or of another file."""
        return None not in (self.now, self.before) and self.now != self.before


def _digests(
    candidate: Candidate, newest: _NewestVersion, tags: ControlTags, fingerprint: Fingerprint
) -> list[_Digests]:
    """Of every image that the task shows or the dataset version contains; unknown if the annotation was edited."""
    correction = candidate.correction
    items = newest.items.get(correction.annotation_id, ())
    if not items or not _is_unedited(candidate, items):
        return [_Digests(None, None)]
    now: dict[str, str | None] = {item.image_key: None for item in items}
    for on_image in tags.on(correction.task_data):
        now[on_image.image_key] = item_digest(candidate, fingerprint, on_image)
    return [
        _Digests(newest.digests.get((correction.annotation_id, key)), digest) for key, digest in now.items()
    ]
