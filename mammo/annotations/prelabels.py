"""What models proposed, shown to annotators or silent, and the images it was proposed for."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import orjson
import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine

from mammo.annotations.appending import pin_image, replace_prelabel
from mammo.annotations.events import canonical
from mammo.annotations.headers import Champions, Proposal, champions, proposals_by_task
from mammo.annotations.writer import Writer
from mammo.database import image_pin, prelabel, reading


@dataclass(frozen=True, kw_only=True)
class Prelabel:
    """Our own copy of a prediction: Label Studio's copy can be deleted or replaced, and of a silent one it has none."""

    id: int
    """Number of the row."""

    project: int
    task: int
    model_version: str
    regions: list[dict[str, Any]]
    score: float
    image_sha256: str
    """Of the image; of several images the digest of theirs: `digest_of_images`."""

    created_at: datetime
    shown_at: datetime | None = None
    """When annotators were first given it; None: it is silent, nobody has seen it."""


def digest_of_images(images: Mapping[str, str]) -> str:
    """What changes whenever an image of a task does: the SHA-256 of the only one, else one over all."""
    if len(images) == 1:
        return next(iter(images.values()))
    return hashlib.sha256(canonical(dict(images))).hexdigest()


class PrelabelRecords:
    """The part of the annotation store that keeps prelabels."""

    def __init__(self, engine: Engine, writer: Writer) -> None:
        self._engine = engine
        self._writer = writer

    def record_prelabel(
        self,
        *,
        project: int,
        task: int,
        model_version: str,
        regions: Sequence[dict[str, Any]],
        score: float,
        images: Mapping[str, str],
        shown: bool,
    ) -> None:
        """Keep what a model version proposed for a task; a second proposal of the same version replaces it.

        Args:
            images: SHA-256 of each image of the task, by its key.
            shown: annotators are given it; a silent one is kept only to be compared with what they draw.

        Raises:
            StorageUnavailable: it is not kept.
        """
        moment = datetime.now(UTC)
        row = {
            "project": project,
            "task": task,
            "model_version": model_version,
            "regions": canonical(list(regions)),
            "score": score,
            "image_sha256": digest_of_images(images),
            "created_at": moment,
            "shown_at": moment if shown else None,
        }
        self._writer.run(lambda connection: replace_prelabel(connection, row, images))

    def prelabel(self, project: int, task: int, model_version: str) -> Prelabel | None:
        """What a model version proposed for a task; None when it proposed nothing we know of."""
        columns = prelabel.c
        mine = (columns.project == project, columns.task == task, columns.model_version == model_version)
        with reading(self._engine) as connection:
            row = connection.execute(sa.select(prelabel).where(*mine)).one_or_none()
        return None if row is None else _prelabel(row)

    def show_prelabel(self, project: int, task: int, model_version: str) -> None:
        """Note that annotators are given a prelabel that was silent until now; nothing happens to a shown one.

        Raises:
            StorageUnavailable: it is not noted.
        """
        columns = prelabel.c
        mine = (columns.project == project, columns.task == task, columns.model_version == model_version)
        change = sa.update(prelabel).where(*mine, columns.shown_at.is_(None))
        self._writer.run(lambda connection: _execute(connection, change.values(shown_at=datetime.now(UTC))))

    def proposals(self, project: int, *, task: int | None = None) -> Iterator[tuple[int, list[Proposal]]]:
        """All that was proposed in a project, or for one task: task by task, in their order, without regions."""
        with reading(self._engine) as connection:
            yield from proposals_by_task(connection, project, task=task)

    def champions(self) -> Champions:
        """Which version served when."""
        with reading(self._engine) as connection:
            return champions(connection)

    def prelabels_by_id(self, numbers: Sequence[int]) -> dict[int, Prelabel]:
        """Prelabels by the numbers of their rows; a few hundred at most."""
        statement = sa.select(prelabel).where(prelabel.c.id.in_(numbers))
        with reading(self._engine) as connection:
            return {row.id: _prelabel(row) for row in connection.execute(statement)}

    def prelabels(self, project: int, model_version: str) -> list[Prelabel]:
        """All that a model version proposed in a project, shown or silent, by task."""
        mine = (prelabel.c.project == project, prelabel.c.model_version == model_version)
        with reading(self._engine) as connection:
            rows = connection.execute(sa.select(prelabel).where(*mine).order_by(prelabel.c.task)).all()
        return [_prelabel(row) for row in rows]

    def pin_image(self, project: int, task: int, image: str, sha256: str) -> None:
        """Remember an image of a task, unless one is remembered: it is the one that annotators saw first.

        Args:
            image: its key within the task.

        Raises:
            StorageUnavailable: it is not kept.
        """
        self._writer.run(lambda connection: pin_image(connection, project, task, image, sha256))

    def pinned_images(self, project: int) -> dict[tuple[int, str], str]:
        """SHA-256 of each image when it was first seen, by task and the image's key."""
        columns = image_pin.c
        with reading(self._engine) as connection:
            rows = connection.execute(
                sa.select(columns.task, columns.image, columns.sha256).where(columns.project == project)
            )
            return {(row.task, row.image): row.sha256 for row in rows}


def _prelabel(row: sa.Row[Any]) -> Prelabel:
    return Prelabel(**{**row._mapping, "regions": orjson.loads(row.regions)})


def _execute(connection: Connection, statement: sa.Update) -> None:
    connection.execute(statement)
