"""Efforts as they are kept: measured once for a correction and what it is compared with, then read back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import orjson
import sqlalchemy as sa
from sqlalchemy.engine import Engine

from mammo.annotations import AnnotationStore, Correction, CorrectionOutline, Proposal
from mammo.database import edit_effort as kept
from mammo.database import insert, reading, revision, writing
from mammo.edit_effort import EditEffort, edit_effort
from mammo.errors import InvalidRegion
from mammo.labelstudio.interpretation import from_regions, interpret, require_on_images
from mammo.labelstudio.labeling_config import ControlTags
from mammo.labelstudio.project_tags import digest_of_tags

Key = tuple[int, int]
"""Number of the correction's row, and of its proposal's, or 0."""

CHUNK = 200
"""Corrections that are opened together."""


@dataclass(frozen=True)
class Measured:
    """The efforts of one correction, or why there are none."""

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
) -> dict[Key, Measured]:
    """The efforts of corrections; only what was not measured before, with these tags, is opened."""
    by = digest_of_tags(tags)
    found = _read_back(engine, project, by)
    new = [pair for pair in pairs if key_of(*pair) not in found]
    for start in range(0, len(new), CHUNK):
        measured = _measure(new[start : start + CHUNK], store, tags)
        _keep(engine, measured, by)
        found |= measured
    return found


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


def _read_back(engine: Engine, project: int, by: str) -> dict[Key, Measured]:
    """What was measured before, with the same tags."""
    statement = (
        sa.select(kept.c.revision, kept.c.prelabel, kept.c.effort)
        .join(revision, revision.c.id == kept.c.revision)
        .where(revision.c.project == project)
    )
    found = {}
    with reading(engine) as connection:
        for row, compared, effort in connection.execute(statement).all():
            content = orjson.loads(effort)
            if content.get("by") == by:
                images = tuple((image, EditEffort(**each)) for image, each in content["images"])
                found[row, compared] = Measured(images, content["code"], content["reason"])
    return found


def _keep(engine: Engine, measured: Mapping[Key, Measured], by: str) -> None:
    rows = [
        {"revision": row, "prelabel": compared, "effort": orjson.dumps(asdict(each) | {"by": by})}
        for (row, compared), each in measured.items()
    ]
    if not rows:
        return
    with writing(engine) as connection:
        new = insert(connection, kept)
        same = ["revision", "prelabel"]
        upsert = new.on_conflict_do_update(index_elements=same, set_={"effort": new.excluded.effort})
        connection.execute(upsert, rows)
