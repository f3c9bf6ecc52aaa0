"""Pins: a person keeps a project on one model version, whatever the champion becomes.

Which version serves a project, the first that there is: the one that the settings name (`PROJECT_MODELS`), the one that
it is pinned to here, its provisional one, the champion. The settings go first because whoever runs the server wrote
them; a project of theirs cannot be pinned here, so that no pin is without effect when it is made.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Engine

from mammo.audit import append
from mammo.database import insert, project_pin, reading, writing
from mammo.errors import InvalidWeights, ModelNotFound, PinRefused
from mammo.models.aliases import unknown_version
from mammo.models.manifests import PROVISIONAL
from mammo.models.registry import ModelRegistry
from mammo.models.removal import is_removed, lock

SETTING = "YOLO_MLSAM_PROJECT_MODELS"


@dataclass(frozen=True, kw_only=True)
class Pin:
    """A project that is kept on one model version."""

    project: int
    version: str
    reason: str = ""
    actor: str = ""
    """Who pinned it; empty: the settings."""

    since: datetime | None = None
    """None: since the backend started with the settings."""

    @property
    def is_setting(self) -> bool:
        """Whether the settings pin the project."""
        return not self.actor

    def to_json(self) -> dict[str, Any]:
        """Return the pin as a JSON object, with its time as ISO text."""
        return {
            "project": self.project,
            "version": self.version,
            "by": "settings" if self.is_setting else "person",
            "reason": self.reason or None,
            "actor": self.actor or None,
            "since": self.since.isoformat() if self.since else None,
        }


class ProjectPins:
    """The pins of all projects. Safe to use from several threads and processes."""

    def __init__(self, engine: Engine, registry: ModelRegistry, *, settings: Mapping[int, str]) -> None:
        """
        Args:
            settings: the versions that the settings pin projects to.
        """
        self._engine = engine
        self._registry = registry
        self._settings = settings

    def all(self) -> dict[int, Pin]:
        """Return the pins that hold, by project: those of the settings go before those of people."""
        with reading(self._engine) as connection:
            rows = connection.execute(sa.select(project_pin).order_by(project_pin.c.project)).all()
        pins = {
            row.project: Pin(
                project=row.project,
                version=row.version,
                reason=row.reason,
                actor=row.actor,
                since=row.since,
            )
            for row in rows
        }
        of_settings = {
            project: Pin(project=project, version=version) for project, version in self._settings.items()
        }
        return dict(sorted((pins | of_settings).items()))

    def versions(self) -> dict[int, str]:
        """Return the version of each pinned project."""
        return {project: pin.version for project, pin in self.all().items()}

    def pin(self, project: int, version: str, *, reason: str, actor: str) -> Pin:
        """Pin a project to a version, in place of its earlier pin; recorded in the audit trail.

        Args:
            version: its full name.
            actor: who asks; not empty.

        Raises:
            ModelNotFound: there is no such version.
            PinRefused: the settings pin the project; or the version is provisional, its files are missing or damaged,
                or it has failed its self-test. The code says which.
            StorageUnavailable: the database or the blob store does not answer; nothing was changed.
        """
        self._require_servable(project, version)
        made = Pin(project=project, version=version, reason=reason, actor=actor, since=datetime.now(UTC))
        row = asdict(made)
        with writing(self._engine) as connection:
            lock(connection, version)
            if is_removed(connection, version):  # they may still be there: deleting them takes a while
                raise PinRefused(
                    f"project {project} was not pinned: `models gc` is removing the files of {version}; import its "
                    "bundle to restore them",
                    code="files_removed",
                )
            before = connection.scalar(
                sa.select(project_pin.c.version).where(project_pin.c.project == project)
            )
            statement = insert(connection, project_pin).values(row)
            changes = {key: row[key] for key in ("version", "reason", "actor", "since")}
            connection.execute(statement.on_conflict_do_update(index_elements=["project"], set_=changes))
            change = f"{before} -> {version}" if before else version
            append(
                connection,
                actor=actor,
                action="project pinned",
                subject=f"project {project}",
                reason=f"{change}: {reason}",
            )
        return made

    def unpin(self, project: int, *, reason: str, actor: str) -> str:
        """Let a project follow the champion again; returns the version that it was pinned to.

        Recorded in the audit trail.

        Raises:
            PinRefused: the settings pin the project.
            ModelNotFound: the project is not pinned (code `not_pinned`).
        """
        with writing(self._engine) as connection:
            removed = sa.delete(project_pin).where(project_pin.c.project == project)
            version: str | None = connection.scalar(removed.returning(project_pin.c.version))
            if version is not None:
                append(
                    connection,
                    actor=actor,
                    action="project unpinned",
                    subject=f"project {project}",
                    reason=f"{version}: {reason}",
                )
        if version is not None:
            return version
        if project in self._settings:
            raise self._of_settings(project)
        raise ModelNotFound(
            f"project {project} is not pinned; `yolo-mlsam models list` shows the projects that are",
            code="not_pinned",
        )

    def _require_servable(self, project: int, version: str) -> None:
        if project in self._settings:
            raise self._of_settings(project)
        if version not in self._registry.versions():
            raise unknown_version(version)
        if PROVISIONAL in self._registry.manifest(version):
            raise PinRefused(
                f"model version {version} is provisional: it serves its project until a better one is judged, and "
                "people are warned of it; pin another version",
                code="provisional_version",
            )
        try:
            self._registry.verify(version)
        except InvalidWeights as error:
            raise PinRefused(f"project {project} was not pinned: {error}", code=error.code) from error
        for note in self._registry.notes(version):
            if note.kind == "self_test_failed":
                raise PinRefused(
                    f"model version {version} failed its self-test on {note.detail.get('host', 'a backend')}, and a "
                    f"pinned project has no other model to fall back on; pin another version",
                    code="self_test_failed",
                )

    def _of_settings(self, project: int) -> PinRefused:
        return PinRefused(
            f"the settings pin project {project} to {self._settings[project]}, and go before what is pinned here; "
            f"remove it from {SETTING} and restart the backend first",
            code="pinned_by_settings",
        )
