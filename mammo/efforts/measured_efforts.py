"""Stored measurements of edit effort: made once per correction and compared prelabel, then read back."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from operator import attrgetter
from typing import Any, NamedTuple

import orjson
import sqlalchemy as sa
from sqlalchemy.engine import Engine

from mammo.annotations import AnnotationStore, Correction, CorrectionHeader, PrelabelHeader
from mammo.database import edit_effort as edit_effort_table
from mammo.database import insert, reading, revision, writing
from mammo.efforts.edit_effort import EditEffort, WordCounts, edit_effort
from mammo.errors import InvalidRegion
from mammo.labelstudio.descriptors import exam_descriptors
from mammo.labelstudio.interpretation import from_regions, interpret_images
from mammo.labelstudio.labeling_config import ControlTags
from mammo.labelstudio.project_tags import digest_of_tags

Key = tuple[int, int]
"""Row id of the correction's revision, and of the prelabel it is compared with, or 0."""

FIGURES = attrgetter("accepted", "edited", "added", "deleted", "dice", "crumbs")

CHUNK = 200
"""Corrections whose content is read by one statement."""


class Measured(NamedTuple):
    """Efforts of one correction, or why it cannot be measured. A tuple, because there are many."""

    images: tuple[tuple[str, EditEffort], ...] = ()
    """Key and effort of each image of the task."""

    code: str = ""
    """Error code if a region of the correction or of its prelabel cannot be interpreted; otherwise empty."""

    reason: str = ""


def key_of(correction: CorrectionHeader, prelabel: PrelabelHeader | None) -> Key:
    """Return the key of a measurement."""
    return correction.revision, prelabel.id if prelabel else 0


def measured_efforts(
    project: int,
    pairs: Sequence[tuple[CorrectionHeader, PrelabelHeader | None]],
    *,
    store: AnnotationStore,
    engine: Engine,
    tags: ControlTags,
) -> Iterator[Measured]:
    """Yield the efforts of corrections, in their order; reads only content not yet measured with these tags."""
    digest = digest_of_tags(tags)
    stored = _stored(engine, project, digest)
    new = [pair for pair in pairs if key_of(*pair) not in stored]
    for start in range(0, len(new), CHUNK):
        stored |= _store(engine, _measure(new[start : start + CHUNK], store, tags), digest)
    for pair in pairs:
        yield _decode(stored[key_of(*pair)])


def _measure(
    new: Sequence[tuple[CorrectionHeader, PrelabelHeader | None]], store: AnnotationStore, tags: ControlTags
) -> dict[Key, Measured]:
    contents = store.contents([correction.revision for correction, _ in new])
    prelabels = store.prelabels_by_id([header.id for _, header in new if header])
    measured = {}
    for correction, header in new:
        regions = prelabels[header.id].regions if header else []
        try:
            efforts = _efforts(contents[correction.revision], regions, tags)
        except InvalidRegion as error:
            measurement = Measured(code=error.code, reason=str(error))
        else:
            measurement = Measured(tuple(efforts.items()))
        measured[key_of(correction, header)] = measurement
    return measured


def _efforts(
    content: Correction, prelabel_regions: Sequence[Mapping[str, Any]], tags: ControlTags
) -> dict[str, EditEffort]:
    """Return the effort on each image of the task, by image key.

    Raises:
        InvalidRegion: A region cannot be interpreted.
    """
    efforts: dict[str, EditEffort] = {}
    # Words about the exam are counted once, with its first image.
    exams = exam_descriptors(prelabel_regions, tags).stated, exam_descriptors(content.result, tags).stated
    for image_tags, corrected in interpret_images(
        content.result, tags=tags, data=content.task_data, sizes=content.sizes
    ):
        effort = edit_effort(
            from_regions(prelabel_regions, tags=image_tags),
            corrected.findings,
            exams=({}, {}) if efforts else exams,
        )
        efforts[image_tags.image_key] = replace(effort, crumbs=corrected.crumbs)
    return efforts


def _stored(engine: Engine, project: int, digest: str) -> dict[Key, bytes]:
    """Return the stored measurements of a project that were made with these tags, encoded."""
    columns = edit_effort_table.c
    statement = (
        sa.select(columns.revision, columns.prelabel, columns.efforts)
        .join(revision, revision.c.id == columns.revision)
        .where(revision.c.project == project, columns.tags == digest)
    )
    with reading(engine) as connection:
        return {(row, prelabel): efforts for row, prelabel, efforts in connection.execute(statement)}


def _store(engine: Engine, measured: Mapping[Key, Measured], digest: str) -> dict[Key, bytes]:
    """Store measurements, and return them encoded."""
    encoded = {key: _encode(each) for key, each in measured.items()}
    rows = [
        {"revision": row, "prelabel": prelabel, "tags": digest, "efforts": efforts}
        for (row, prelabel), efforts in encoded.items()
    ]
    with writing(engine) as connection:
        new = insert(connection, edit_effort_table)
        changed = {name: new.excluded[name] for name in ("tags", "efforts")}
        connection.execute(
            new.on_conflict_do_update(index_elements=["revision", "prelabel"], set_=changed), rows
        )
    return encoded


def _encode(measured: Measured) -> bytes:
    """Encode a measurement as JSON: code, reason, then for each image its key, figures (`FIGURES`) and words."""
    images = [
        [image, *FIGURES(effort), [[name, list(counts)] for name, counts in effort.words]]
        for image, effort in measured.images
    ]
    return orjson.dumps([measured.code, measured.reason, *images])


def _decode(encoded: bytes) -> Measured:
    code, reason, *images = orjson.loads(encoded)
    return Measured(
        tuple(
            (
                image,
                EditEffort(
                    accepted=accepted,
                    edited=edited,
                    added=added,
                    deleted=deleted,
                    dice=dice,
                    crumbs=crumbs,
                    words=tuple((name, WordCounts(*counts)) for name, counts in words),
                ),
            )
            for image, accepted, edited, added, deleted, dice, crumbs, words in images
        ),
        code,
        reason,
    )
