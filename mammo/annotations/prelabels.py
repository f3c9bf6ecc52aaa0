"""Prelabels: predictions of models, shown to annotators or silent, and the images they were made for."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine

from mammo.annotations.appending import pin_image, replace_prelabel
from mammo.annotations.headers import (
    ChampionHistory,
    PrelabelHeader,
    champion_history,
    prelabel_headers_by_task,
)
from mammo.annotations.writer import Writer
from mammo.database import image_pin, prelabel, reading
from mammo.geometry import Size
from mammo.lenient_json import canonical, loads

NO_SIZES: Mapping[str, Size] = MappingProxyType({})


@dataclass(frozen=True, kw_only=True)
class Prelabel:
    """This service's copy of a prediction; Label Studio's can be deleted or replaced, or has never existed (silent)."""

    id: int
    """Row id."""

    project: int
    task: int
    model_version: str
    regions: list[dict[str, Any]]
    score: float
    """Certainty; see `mammo.labelstudio.predictions`."""

    image_sha256: str
    """SHA-256 of the task's image; for several images, `digest_of_images`."""

    created_at: datetime
    num_cut: int | None
    """Number of findings of the model that it does not show; None: stored by a release that did not count them."""

    shown_at: datetime | None = None
    """When annotators were first shown it; None: it is silent, nobody has seen it."""


def digest_of_images(images: Mapping[str, str]) -> str:
    """Return a digest of a task's images: the SHA-256 of a single image, else one over all.

    Args:
        images: SHA-256 of each image by its key.
    """
    if len(images) == 1:
        return next(iter(images.values()))
    return hashlib.sha256(canonical(dict(images))).hexdigest()


class PrelabelRecords:
    """The part of the annotation store that holds prelabels."""

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
        num_cut: int,
        shown: bool,
        sizes: Mapping[str, Size] = NO_SIZES,
    ) -> None:
        """Store a model version's prediction for a task; a second one of the same version replaces the first.

        Args:
            regions: Label Studio regions of the prediction.
            images: SHA-256 of each image of the task, by its key.
            num_cut: Number of findings that the prediction does not show; see `mammo.findings.ImageFindings`.
            shown: Whether annotators are shown it. A silent one is only compared with their annotations.
            sizes: Size of each image, by its key, as far as it is known.

        Raises:
            StorageUnavailable: The prelabel was not stored.
        """
        now = datetime.now(UTC)
        row = {
            "project": project,
            "task": task,
            "model_version": model_version,
            "regions": canonical(list(regions)),
            "score": score,
            "image_sha256": digest_of_images(images),
            "created_at": now,
            "num_cut": num_cut,
            "shown_at": now if shown else None,
        }
        self._writer.run(lambda connection: replace_prelabel(connection, row, images, sizes))

    def prelabel(self, project: int, task: int, model_version: str) -> Prelabel | None:
        """Return a model version's prelabel of a task; None if none is stored."""
        with reading(self._engine) as connection:
            row = connection.execute(
                sa.select(prelabel).where(*_key(project, task, model_version))
            ).one_or_none()
        return None if row is None else _prelabel(row)

    def show_prelabel(self, project: int, task: int, model_version: str) -> None:
        """Record that a silent prelabel is now shown to annotators; a shown one keeps its time.

        Raises:
            StorageUnavailable: The change was not stored.
        """
        silent = (*_key(project, task, model_version), prelabel.c.shown_at.is_(None))
        change = sa.update(prelabel).where(*silent)
        self._writer.run(lambda connection: _execute(connection, change.values(shown_at=datetime.now(UTC))))

    def prelabel_headers(
        self, project: int, *, task: int | None = None
    ) -> Iterator[tuple[int, list[PrelabelHeader]]]:
        """Yield the prelabels of a project or of one task, without regions, task by task in ascending order."""
        with reading(self._engine) as connection:
            yield from prelabel_headers_by_task(connection, project, task=task)

    def champions(self) -> ChampionHistory:
        """Return which model version was champion at which time."""
        with reading(self._engine) as connection:
            return champion_history(connection)

    def prelabels_by_id(self, ids: Sequence[int]) -> dict[int, Prelabel]:
        """Return prelabels by row id; a few hundred at most."""
        statement = sa.select(prelabel).where(prelabel.c.id.in_(ids))
        with reading(self._engine) as connection:
            return {row.id: _prelabel(row) for row in connection.execute(statement)}

    def prelabels(self, project: int, model_version: str) -> list[Prelabel]:
        """Return a model version's prelabels of a project, shown or silent, by task."""
        condition = (prelabel.c.project == project, prelabel.c.model_version == model_version)
        with reading(self._engine) as connection:
            rows = connection.execute(sa.select(prelabel).where(*condition).order_by(prelabel.c.task)).all()
        return [_prelabel(row) for row in rows]

    def pin_image(self, project: int, task: int, image: str, sha256: str, *, size: Size) -> None:
        """Record the SHA-256 and the size of a task's image when it is first shown; later calls change nothing.

        Args:
            image: Key of the image within the task.

        Raises:
            StorageUnavailable: The image was not recorded.
        """
        self._writer.run(lambda connection: pin_image(connection, project, task, image, sha256, size=size))

    def pinned_images(self, project: int) -> dict[tuple[int, str], str]:
        """Return the SHA-256 of each image when it was first shown, by task and image key."""
        columns = image_pin.c
        with reading(self._engine) as connection:
            rows = connection.execute(
                sa.select(columns.task, columns.image, columns.sha256).where(columns.project == project)
            )
            return {(row.task, row.image): row.sha256 for row in rows}


def _key(project: int, task: int, model_version: str) -> tuple[sa.ColumnElement[bool], ...]:
    columns = prelabel.c
    return columns.project == project, columns.task == task, columns.model_version == model_version


def _prelabel(row: sa.Row[Any]) -> Prelabel:
    return Prelabel(**{**row._mapping, "regions": loads(row.regions)})


def _execute(connection: Connection, statement: sa.Update) -> None:
    connection.execute(statement)
