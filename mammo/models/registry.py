"""ModelRegistry: model versions, their files by SHA-256, and notes about them (step 12 of the walk).

A model version is an immutable manifest: JSON with the hashes of its files, its operating point and its origin. Later
facts (a verdict, a failed self-test, the removal of its files) are recorded as notes. The alias `champion` names the
version that serves; see `mammo.models.aliases`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
import sqlalchemy as sa
from sqlalchemy.engine import Engine

from mammo.blobs import Blobs, hash_file
from mammo.database import model_note, model_version, reading, writing
from mammo.errors import InvalidWeights, ModelNotFound
from mammo.models import aliases
from mammo.models.aliases import CHALLENGER, CHAMPION, PREVIOUS, Alias, AliasName, Promotion
from mammo.models.manifests import PARTS, problem_of, problem_of_name, problem_of_settings
from mammo.models.precision_notes import allows_bfloat16
from mammo.models.removal import remove_files, removed_versions, restore_files
from mammo.models.version_rows import canonical_manifest, insert_version
from mammo.printable import printable
from mammo.settings import Bucket

UNUSABLE = "unusable"
"""Key that `ModelRegistry.manifest` adds to the manifest of a version that cannot be used, with the reason."""

STARTER = Path(__file__).parents[1] / "starter"
"""Folder of the model that ships with the package."""


@dataclass(frozen=True, kw_only=True)
class ModelFiles:
    """Verified files of a model version on this machine, and its operating point."""

    version: str
    detector: Path
    segmenter: Path
    threshold: float
    """Lowest detector score of a finding, in [0, 1]."""

    prompt_rule: str
    """A key of `mammo.prompts.PROMPT_RULES`."""

    prompt_count: int
    """Point prompts per box."""

    presence_threshold: float = 0.0
    """Lowest presence probability of a detection that becomes a mask, in [0, 1]; 0: every detection does."""

    bfloat16: bool = False
    """Whether a stored check allows its detector to compute in bfloat16 here; see `mammo.models.precision_notes`."""


@dataclass(frozen=True, kw_only=True)
class Note:
    """A fact about a model version, recorded after its registration."""

    version: str
    kind: str
    """`verdict`, `precision_check`, `self_test_failed`, `files_removed` or `files_restored`."""

    detail: dict[str, Any]
    at: datetime


class ModelRegistry:
    """Registers model versions and moves aliases. Safe to use from several threads and processes."""

    def __init__(self, engine: Engine, blobs: Path | Bucket) -> None:
        self._engine = engine
        self._blobs = Blobs(blobs)

    def register(self, *, detector: Path, segmenter: Path, manifest: Mapping[str, Any]) -> str:
        """Register a model version; returns its name, such as `m0002-3fa9c2d1`. The same content is registered once.

        Args:
            detector: safetensors file.
            segmenter: safetensors file.
            manifest: JSON object with `threshold`, `prompt_rule` and `prompt_count`, optionally `presence_threshold`;
                other keys are stored too.

        Raises:
            ValueError: The manifest lacks a key, has an invalid one, or is not JSON.
            StorageUnavailable: The version was not registered.
        """
        if problem := problem_of_settings(manifest):
            raise ValueError(f"this manifest cannot be registered: {problem}")
        content = self._store_files(detector, segmenter, manifest)
        digest = hashlib.sha256(canonical_manifest(content)).hexdigest()
        with writing(self._engine) as connection:
            return insert_version(connection, content, digest, name=None)

    def ensure_starter(self, folder: Path) -> str:
        """Register the starter model under the version in its manifest, and make it champion if there is none.

        Args:
            folder: Folder with `manifest.json`, `detector.safetensors` and `segmenter.safetensors`.

        Raises:
            InvalidWeights: A file is missing, or the version is registered with other files.
        """
        try:
            manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
            name = manifest.pop("version")
            if problem := problem_of_settings(manifest):
                raise ValueError(problem)
            content = self._store_files(
                folder / "detector.safetensors", folder / "segmenter.safetensors", manifest
            )
        except (OSError, ValueError, KeyError, AttributeError) as error:
            raise InvalidWeights(
                f"the starter model in {folder.name} cannot be read ({error}); install the package again"
            ) from error
        digest = hashlib.sha256(canonical_manifest({**content, "version": name})).hexdigest()
        with writing(self._engine) as connection:
            version = insert_version(connection, content, digest, name=name)
            if aliases.find(connection, CHAMPION) is None:
                aliases.move_champion(
                    connection,
                    version,
                    expected_epoch=0,
                    kind="promote",
                    reason="the starter model",
                    actor="starter",
                )
        return version

    def register_foreign(self, manifest: Mapping[str, Any], *, detector: Path, segmenter: Path) -> str:
        """Register a version of another installation under its name there; returns the name. Repeats change nothing.

        Args:
            manifest: The result of `manifest` there.

        Raises:
            InvalidWeights: The manifest has an invalid value (code `invalid_manifest`), or the name is registered with
                other files.
            ValueError: The manifest is not JSON.
            StorageUnavailable: The version was not registered.
        """
        if problem := problem_of_name(manifest.get("version")) or problem_of_settings(manifest):
            raise InvalidWeights(f"this version cannot be registered: {problem}", code="invalid_manifest")
        name = str(manifest["version"])
        original = {key: value for key, value in manifest.items() if key not in ("version", "created_at")}
        content = self._store_files(detector, segmenter, original)
        digests = [
            hashlib.sha256(canonical_manifest(each)).hexdigest()
            for each in (content, {**content, "version": name})
        ]
        with writing(self._engine) as connection:
            registered = sa.select(model_version.c.version).where(
                model_version.c.version == name, model_version.c.content_hash.in_(digests)
            )
            if connection.scalar(registered) is not None:
                restore_files(connection, name)
                return name
            return insert_version(connection, content, digests[1], name=name)

    def files(self, version: str, *, into: Path) -> ModelFiles:
        """Copy a version's files to this machine; every byte is verified, also of files copied before.

        Args:
            into: Folder of all models; the files go to a subfolder with the version's name.

        Raises:
            ModelNotFound: The version does not exist.
            InvalidWeights: A file is missing from the blob store, or damaged; or the version cannot be used (code
                `unusable_version`).
            StorageUnavailable: `into` cannot be written.
        """
        manifest = self.manifest(version)
        require_usable(manifest)
        paths = {part: into / version / f"{part}.safetensors" for part in PARTS}
        with self._named_if_removed(version):
            for part, path in paths.items():
                digest = manifest[part]["sha256"]
                if not path.is_file() or hash_file(path) != digest:
                    self._blobs.copy(digest, to=path)
        return ModelFiles(
            version=version,
            detector=paths["detector"],
            segmenter=paths["segmenter"],
            threshold=manifest["threshold"],
            prompt_rule=manifest["prompt_rule"],
            prompt_count=manifest["prompt_count"],
            presence_threshold=manifest.get("presence_threshold", 0.0),
            bfloat16=allows_bfloat16(self.notes(version)),
        )

    def verify(self, version: str) -> None:
        """Verify every byte of a version's files in the blob store.

        Raises:
            ModelNotFound: The version does not exist.
            InvalidWeights: A file is missing, or damaged; or the version cannot be used.
            StorageUnavailable: The blob store does not respond.
        """
        manifest = self.manifest(version)
        require_usable(manifest)
        with self._named_if_removed(version):
            for part in PARTS:
                self._blobs.verify(manifest[part]["sha256"])

    @contextmanager
    def _named_if_removed(self, version: str) -> Iterator[None]:
        """Say of a missing file that `models gc` removed it, if it did."""
        try:
            yield
        except InvalidWeights as error:
            if removed_versions(self.notes(version)):
                raise InvalidWeights(
                    f"the files of {version} were removed by `models gc`; import its bundle to restore them",
                    code="files_removed",
                ) from error
            raise

    def manifest(self, version: str) -> dict[str, Any]:
        """Return the manifest of a version; `version`, `created_at` (ISO, UTC) and, if need be, `UNUSABLE` are added.

        Raises:
            ModelNotFound: The version does not exist.
        """
        statement = sa.select(model_version).where(model_version.c.version == version)
        with reading(self._engine) as connection:
            row = connection.execute(statement).one_or_none()
        if row is None:
            raise aliases.unknown_version(version)
        return _manifest(row)

    def find(self, name: str) -> str | None:
        """Return the version of an alias or of a version name; None if there is none."""
        if name in (CHAMPION, CHALLENGER, PREVIOUS):
            alias = self.alias(name)
            return alias.version if alias else None
        return name if name in self.versions() else None

    def versions(self) -> list[str]:
        """Return all versions, newest last."""
        statement = sa.select(model_version.c.version).order_by(model_version.c.number)
        with reading(self._engine) as connection:
            return list(connection.scalars(statement))

    def champion(self) -> Alias:
        """Return the champion, the version that serves.

        Raises:
            ModelNotFound: Nothing has been promoted yet.
        """
        champion = self.alias(CHAMPION)
        if champion is None:
            raise ModelNotFound("the registry has no champion yet; register the starter model first")
        return champion

    def alias(self, name: AliasName) -> Alias | None:
        """Return an alias; None before its first move."""
        with reading(self._engine) as connection:
            return aliases.find(connection, name)

    def promote(self, version: str, *, expected_epoch: int, reason: str, actor: str = "gate") -> Alias:
        """Make a version the champion, unless the champion has moved since the decision.

        Args:
            expected_epoch: Epoch of the champion that the version was compared with; 0 if there was none.
            actor: Author of the decision; recorded in the history.

        Raises:
            ModelNotFound: The version does not exist.
            InvalidWeights: The version cannot be used (code `unusable_version`), or is provisional (code
                `provisional_version`).
            PromotionConflict: The champion has another epoch; nothing was changed.
        """
        require_usable(self.manifest(version))
        with writing(self._engine) as connection:
            return aliases.move_champion(
                connection,
                version,
                expected_epoch=expected_epoch,
                kind="promote",
                reason=reason,
                actor=actor,
            )

    def roll_back(self, reason: str, *, actor: str = "") -> Alias:
        """Make the previous champion the champion again; a second call goes back one more.

        Raises:
            ModelNotFound: There is no earlier champion.
            InvalidWeights: The previous champion cannot be used (code `unusable_version`); nothing was changed.
        """
        with writing(self._engine) as connection:
            moves = aliases.history(connection, CHAMPION)
            champions = aliases.champion_stack(moves)
            if len(champions) < 2:
                raise ModelNotFound("there is no earlier champion to roll back to; nothing was changed")
            before = sa.select(model_version).where(model_version.c.version == champions[-2])
            require_usable(_manifest(connection.execute(before).one()))
            return aliases.move_champion(
                connection,
                champions[-2],
                expected_epoch=moves[-1].epoch,
                kind="roll_back",
                reason=reason,
                actor=actor,
            )

    def name_challenger(self, version: str, *, reason: str) -> Alias:
        """Point the alias `challenger` at a version that was just trained.

        Raises:
            ModelNotFound: The version does not exist.
        """
        with writing(self._engine) as connection:
            return aliases.point(
                connection, CHALLENGER, version, kind="train", reason=reason, actor="training"
            )

    def history(self, name: AliasName | None = CHAMPION) -> list[Promotion]:
        """Return the moves of an alias, or of all aliases with None, oldest first."""
        with reading(self._engine) as connection:
            return aliases.history(connection, name)

    def note(self, version: str, kind: str, detail: Mapping[str, Any]) -> None:
        """Record a note about a version; an identical note is recorded once.

        Args:
            kind: See `Note.kind`.
            detail: JSON object.

        Raises:
            ModelNotFound: The version does not exist.
        """
        row = {"version": version, "kind": kind, "detail": canonical_manifest(detail)}
        self.manifest(version)
        with writing(self._engine) as connection:
            recorded = sa.select(model_note.c.id).filter_by(**row)
            if connection.scalar(recorded) is None:
                connection.execute(sa.insert(model_note).values(**row, at=datetime.now(UTC)))

    def remove_files(self, version: str) -> bool:
        """Record that a version's files are removed, unless it is used by now; see `mammo.models.removal`."""
        return remove_files(self._engine, version)

    def notes(self, version: str | None = None) -> list[Note]:
        """Return the notes about one version, or about all, oldest first."""
        statement = sa.select(model_note).order_by(model_note.c.id)
        if version is not None:
            statement = statement.where(model_note.c.version == version)
        with reading(self._engine) as connection:
            rows = connection.execute(statement).all()
        return [
            Note(version=row.version, kind=row.kind, detail=orjson.loads(row.detail), at=row.at)
            for row in rows
        ]

    def _store_files(self, detector: Path, segmenter: Path, manifest: Mapping[str, Any]) -> dict[str, Any]:
        content = dict(manifest)
        for part, path in zip(PARTS, (detector, segmenter), strict=True):
            content[part] = {"sha256": self._blobs.put(path), "bytes": path.stat().st_size}
        return content


def require_usable(manifest: Mapping[str, Any]) -> None:
    """Refuse a version that cannot be used.

    Args:
        manifest: Result of `ModelRegistry.manifest`.

    Raises:
        InvalidWeights: It cannot be used (code `unusable_version`).
    """
    if UNUSABLE in manifest:
        raise InvalidWeights(
            f"model version {printable(manifest['version'])} cannot be used: {manifest[UNUSABLE]}; promote another one",
            code="unusable_version",
        )


def _manifest(row: sa.Row[Any]) -> dict[str, Any]:
    """Return the manifest in a row; the database may hold one that this release would not register."""
    try:
        content = orjson.loads(row.manifest)
        canonical_manifest(content)  # nested no deeper than what is registered
    except ValueError:
        content = None
    stated = (
        {key: value for key, value in content.items() if key != UNUSABLE} if isinstance(content, dict) else {}
    )
    facts = {"version": row.version, "created_at": row.created_at.isoformat()}
    problem = problem_of(row.version, content)
    return {**stated, **facts, **({UNUSABLE: problem} if problem else {})}
