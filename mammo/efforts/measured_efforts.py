"""Efforts as they are kept: measured once for a correction and what it is compared with, then read back."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from operator import attrgetter
from typing import Any, NamedTuple

import orjson
import sqlalchemy as sa
from sqlalchemy.engine import Engine

from mammo.annotations import AnnotationStore, Correction, CorrectionOutline, Proposal
from mammo.database import edit_effort as kept
from mammo.database import insert, reading, revision, writing
from mammo.efforts.edit_effort import EditEffort, edit_effort
from mammo.errors import InvalidRegion
from mammo.labelstudio.cluster_regions import require_on_images
from mammo.labelstudio.interpretation import from_regions, interpret
from mammo.labelstudio.labeling_config import ControlTags
from mammo.labelstudio.project_tags import digest_of_tags

Key = tuple[int, int]
"""Number of the correction's row, and of its proposal's, or 0."""

FIGURES = attrgetter("accepted", "edited", "added", "deleted", "dice", "crumbs")

CHUNK = 200
"""Corrections that are opened together."""


class Measured(NamedTuple):
    """The efforts of one correction, or why there are none. A tuple, as there are many."""

    images: tuple[tuple[str, EditEffort], ...] = ()
    """One for each image of the task, with the image's key."""

    code: str = ""
    reason: str = ""
    """Why a region of it, or of what it is compared with, cannot be read."""


def key_of(correction: CorrectionOutline, proposal: Proposal | None) -> Key:
    """What a measurement is kept under."""
    return correction.revision, proposal.id if proposal else 0


def measured_efforts(
    project: int,
    pairs: Sequence[tuple[CorrectionOutline, Proposal | None]],
    *,
    store: AnnotationStore,
    engine: Engine,
    tags: ControlTags,
) -> Iterator[Measured]:
    """The efforts of corrections, in their order; only what was not measured before, with these tags, is opened."""
    by = digest_of_tags(tags)
    kept = _read_back(engine, project, by)
    new = [pair for pair in pairs if key_of(*pair) not in kept]
    for start in range(0, len(new), CHUNK):
        kept |= _keep(engine, _measure(new[start : start + CHUNK], store, tags), by)
    for pair in pairs:
        yield _read(kept[key_of(*pair)])


def _measure(
    new: Sequence[tuple[CorrectionOutline, Proposal | None]], store: AnnotationStore, tags: ControlTags
) -> dict[Key, Measured]:
    contents = store.contents([correction.revision for correction, _ in new])
    prelabels = store.prelabels_by_id([proposal.id for _, proposal in new if proposal])
    found = {}
    for correction, proposal in new:
        proposed = prelabels[proposal.id].regions if proposal else []
        try:
            efforts = _efforts(contents[correction.revision], proposed, tags)
        except InvalidRegion as error:
            found[key_of(correction, proposal)] = Measured(code=error.code, reason=str(error))
        else:
            found[key_of(correction, proposal)] = Measured(tuple(efforts.items()))
    return found


def _efforts(
    content: Correction, proposed: Sequence[Mapping[str, Any]], tags: ControlTags
) -> dict[str, EditEffort]:
    """The effort on each image of the task, by its key.

    Raises:
        InvalidRegion: a region cannot be read.
    """
    efforts = {}
    for on_image in require_on_images(content.result, tags=tags, data=content.task_data):
        left = interpret(content.result, tags=on_image)
        effort = edit_effort(from_regions(proposed, tags=on_image), left.findings)
        efforts[on_image.image_key] = replace(effort, crumbs=left.crumbs)
    return efforts


def _read_back(engine: Engine, project: int, by: str) -> dict[Key, bytes]:
    """What was measured before, with the same tags, as it is written."""
    statement = (
        sa.select(kept.c.revision, kept.c.prelabel, kept.c.efforts)
        .join(revision, revision.c.id == kept.c.revision)
        .where(revision.c.project == project, kept.c.tags == by)
    )
    with reading(engine) as connection:
        return {(row, compared): efforts for row, compared, efforts in connection.execute(statement)}


def _keep(engine: Engine, measured: Mapping[Key, Measured], by: str) -> dict[Key, bytes]:
    """As it is written now."""
    written = {key: _write(each) for key, each in measured.items()}
    rows = [
        {"revision": row, "prelabel": compared, "tags": by, "efforts": efforts}
        for (row, compared), efforts in written.items()
    ]
    with writing(engine) as connection:
        new = insert(connection, kept)
        changed = {name: new.excluded[name] for name in ("tags", "efforts")}
        connection.execute(
            new.on_conflict_do_update(index_elements=["revision", "prelabel"], set_=changed), rows
        )
    return written


def _write(measured: Measured) -> bytes:
    """A list of code, reason, and the image and the figures of each effort in the order of `FIGURES`."""
    images = [[image, *FIGURES(effort)] for image, effort in measured.images]
    return orjson.dumps([measured.code, measured.reason, *images])


def _read(written: bytes) -> Measured:
    code, reason, *images = orjson.loads(written)
    return Measured(
        tuple(
            (
                image,
                EditEffort(
                    accepted=accepted, edited=edited, added=added, deleted=deleted, dice=dice, crumbs=crumbs
                ),
            )
            for image, accepted, edited, added, deleted, dice, crumbs in images
        ),
        code,
        reason,
    )
