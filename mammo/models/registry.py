"""ModelRegistry: model versions, their files by SHA-256, and what is known of them.

A model version is a manifest (JSON: hashes of its files, operating point, where it came from) that never changes.
What is learnt of it later (a verdict, a failed self-test, that its files were given up) is noted beside it. Which one
serves is the alias `champion`: see `mammo.models.aliases`.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine

from mammo.blobs import Blobs, hash_file
from mammo.database import insert, model_note, model_version, reading, writing
from mammo.errors import InvalidWeights, ModelNotFound
from mammo.models import aliases
from mammo.models.aliases import CHALLENGER, CHAMPION, PREVIOUS, Alias, AliasName, Promotion
from mammo.settings import Bucket

PARTS = ("detector", "segmenter")
VERSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")

STARTER = Path(__file__).parents[1] / "starter"
"""Folder of the model that ships with the package."""


@dataclass(frozen=True, kw_only=True)
class ModelFiles:
    """A model version's files on this machine, verified, with its operating point."""

    version: str
    detector: Path
    segmenter: Path
    threshold: float
    """Least detector score of a finding, in [0, 1]."""

    prompt_rule: str
    """A key of `mammo.prompts.PROMPT_RULES`."""

    prompt_count: int
    """Point prompts per box."""

    presence_threshold: float = 0.0
    """Least probability of a lesion for a detection to become a mask, in [0, 1]; 0: every detection does."""


@dataclass(frozen=True, kw_only=True)
class Note:
    """What was learnt of a model version after it was registered."""

    version: str
    kind: str
    """`verdict`, `self_test_failed` or `files_removed`."""

    detail: dict[str, Any]
    at: datetime


class ModelRegistry:
    """Safe to share between threads, and between processes that share the database and the folder."""

    def __init__(self, engine: Engine, blobs: Path | Bucket) -> None:
        self._engine = engine
        self._blobs = Blobs(blobs)

    def register(self, *, detector: Path, segmenter: Path, manifest: Mapping[str, Any]) -> str:
        """Keep a model version; returns its name, for example `m0002-3fa9c2d1`. Twice the same is once.

        Args:
            detector: safetensors file.
            segmenter: safetensors file.
            manifest: JSON values; needs `threshold`, `prompt_rule` and `prompt_count`, may have a
                `presence_threshold`; anything else is kept.

        Raises:
            ValueError: the manifest lacks a key or is not JSON.
            StorageUnavailable: it is not registered.
        """
        content = self._keep_files(detector, segmenter, manifest)
        digest = hashlib.sha256(_canonical(content)).hexdigest()
        with writing(self._engine) as connection:
            return _insert_version(connection, content, digest, name=None)

    def ensure_starter(self, folder: Path) -> str:
        """Register the starter model under the version in its own manifest; champion if there is none yet.

        Args:
            folder: holds `manifest.json`, `detector.safetensors` and `segmenter.safetensors`.

        Raises:
            InvalidWeights: a file is missing, or the version is taken by other files.
        """
        try:
            manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
            name = manifest.pop("version")
            content = self._keep_files(
                folder / "detector.safetensors", folder / "segmenter.safetensors", manifest
            )
        except (OSError, ValueError, KeyError, AttributeError) as error:
            raise InvalidWeights(f"the starter model in {folder.name} cannot be read: {error}") from error
        digest = hashlib.sha256(_canonical({**content, "version": name})).hexdigest()
        with writing(self._engine) as connection:
            version = _insert_version(connection, content, digest, name=name)
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

    def take_over(self, manifest: Mapping[str, Any], *, detector: Path, segmenter: Path) -> str:
        """Register a version of another site under the name it has there; returns the name. Twice is once.

        Args:
            manifest: as `manifest` returned it there.

        Raises:
            InvalidWeights: the name is no name, or is taken by another version.
            ValueError: the manifest lacks a key or is not JSON.
            StorageUnavailable: it is not registered.
        """
        told = {key: value for key, value in manifest.items() if key not in ("version", "created_at")}
        name = str(manifest.get("version", ""))
        content = self._keep_files(detector, segmenter, told)
        digests = [
            hashlib.sha256(_canonical(each)).hexdigest() for each in (content, {**content, "version": name})
        ]
        with writing(self._engine) as connection:
            known = sa.select(model_version.c.version).where(
                model_version.c.version == name, model_version.c.content_hash.in_(digests)
            )
            if connection.scalar(known) is not None:
                return name
            return _insert_version(connection, content, digests[1], name=name)

    def files(self, version: str, *, into: Path) -> ModelFiles:
        """Unpack a version's files; every byte is verified, also of files that are there already.

        Args:
            into: folder of unpacked models; the files go to a folder of the version's name.

        Raises:
            ModelNotFound: no such version.
            InvalidWeights: a file is missing from the blob store or damaged.
            StorageUnavailable: `into` cannot be written.
        """
        manifest = self.manifest(version)
        paths = {part: into / version / f"{part}.safetensors" for part in PARTS}
        for part, path in paths.items():
            digest = manifest[part]["sha256"]
            if not path.is_file() or hash_file(path) != digest:
                try:
                    self._blobs.copy(digest, to=path)
                except InvalidWeights as error:
                    if any(note.kind == "files_removed" for note in self.notes(version)):
                        raise InvalidWeights(
                            f"the files of {version} were removed by `models gc`; import its bundle to have it again",
                            code="files_removed",
                        ) from error
                    raise
        return ModelFiles(
            version=version,
            detector=paths["detector"],
            segmenter=paths["segmenter"],
            threshold=manifest["threshold"],
            prompt_rule=manifest["prompt_rule"],
            prompt_count=manifest["prompt_count"],
            presence_threshold=manifest.get("presence_threshold", 0.0),
        )

    def manifest(self, version: str) -> dict[str, Any]:
        """The manifest of a version, with `version` and `created_at` (ISO, UTC) added.

        Raises:
            ModelNotFound: no such version.
        """
        statement = sa.select(model_version).where(model_version.c.version == version)
        with reading(self._engine) as connection:
            row = connection.execute(statement).one_or_none()
        if row is None:
            raise ModelNotFound(f"the registry holds no model version {version!r}")
        return {**orjson.loads(row.manifest), "version": version, "created_at": row.created_at.isoformat()}

    def find(self, name: str) -> str | None:
        """The version that an alias points at, or the version of that very name; None: there is none."""
        if name in (CHAMPION, CHALLENGER, PREVIOUS):
            found = self.alias(name)
            return found.version if found else None
        return name if name in self.versions() else None

    def versions(self) -> list[str]:
        """Every version, newest last."""
        statement = sa.select(model_version.c.version).order_by(model_version.c.number)
        with reading(self._engine) as connection:
            return list(connection.scalars(statement))

    def champion(self) -> Alias:
        """The version that serves.

        Raises:
            ModelNotFound: nothing was promoted yet.
        """
        found = self.alias(CHAMPION)
        if found is None:
            raise ModelNotFound("the registry has no champion yet; register the starter model first")
        return found

    def alias(self, name: AliasName) -> Alias | None:
        """Where an alias points; None before its first move."""
        with reading(self._engine) as connection:
            return aliases.find(connection, name)

    def promote(self, version: str, *, expected_epoch: int, reason: str, actor: str = "gate") -> Alias:
        """Make a version the champion, unless the champion has moved since the caller looked.

        Args:
            expected_epoch: epoch of the champion that the decision was made against; 0: there was none.
            actor: who decided; kept in the history.

        Raises:
            ModelNotFound: no such version.
            PromotionConflict: the champion's epoch is another one; nothing is changed.
        """
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
        """Make the previous champion the champion again; once more goes one further back.

        Raises:
            ModelNotFound: there is no earlier champion.
        """
        with writing(self._engine) as connection:
            moves = aliases.history(connection, CHAMPION)
            line = aliases.line_of_champions(moves)
            if len(line) < 2:
                raise ModelNotFound("there is no earlier champion to go back to")
            return aliases.move_champion(
                connection,
                line[-2],
                expected_epoch=moves[-1].epoch,
                kind="roll_back",
                reason=reason,
                actor=actor,
            )

    def name_challenger(self, version: str, *, reason: str) -> Alias:
        """Point the alias `challenger` at a version that was just trained.

        Raises:
            ModelNotFound: no such version.
        """
        with writing(self._engine) as connection:
            return aliases.point(
                connection, CHALLENGER, version, kind="train", reason=reason, actor="training"
            )

    def history(self, name: AliasName | None = CHAMPION) -> list[Promotion]:
        """Every move of an alias, oldest first; of all aliases with None."""
        with reading(self._engine) as connection:
            return aliases.history(connection, name)

    def note(self, version: str, kind: str, detail: Mapping[str, Any]) -> None:
        """Keep what was learnt of a version; the same of the same is kept once.

        Args:
            kind: see `Note.kind`.
            detail: JSON values.

        Raises:
            ModelNotFound: no such version.
        """
        row = {"version": version, "kind": kind, "detail": _canonical(detail)}
        self.manifest(version)
        with writing(self._engine) as connection:
            known = sa.select(model_note.c.id).filter_by(**row)
            if connection.scalar(known) is None:
                connection.execute(sa.insert(model_note).values(**row, at=datetime.now(UTC)))

    def notes(self, version: str | None = None) -> list[Note]:
        """What was learnt of one version, or of all, oldest first."""
        statement = sa.select(model_note).order_by(model_note.c.id)
        if version is not None:
            statement = statement.where(model_note.c.version == version)
        with reading(self._engine) as connection:
            rows = connection.execute(statement).all()
        return [
            Note(version=row.version, kind=row.kind, detail=orjson.loads(row.detail), at=row.at)
            for row in rows
        ]

    def _keep_files(self, detector: Path, segmenter: Path, manifest: Mapping[str, Any]) -> dict[str, Any]:
        threshold, rule, count = (manifest.get(k) for k in ("threshold", "prompt_rule", "prompt_count"))
        if not isinstance(threshold, int | float) or not isinstance(rule, str) or not isinstance(count, int):
            raise ValueError(
                "a manifest needs a threshold (number), a prompt_rule (text), a prompt_count (int)"
            )
        content = dict(manifest)
        for part, path in zip(PARTS, (detector, segmenter), strict=True):
            content[part] = {"sha256": self._blobs.put(path), "bytes": path.stat().st_size}
        return content


def _canonical(content: Mapping[str, Any]) -> bytes:
    try:
        return orjson.dumps(content, option=orjson.OPT_SORT_KEYS)
    except orjson.JSONEncodeError as error:
        raise ValueError(f"a manifest holds JSON values only: {error}") from error


def _insert_version(
    connection: Connection, content: Mapping[str, Any], digest: str, *, name: str | None
) -> str:
    """Insert under a name, or under the next number; returns the name it is known by."""
    known = sa.select(model_version.c.version).where(model_version.c.content_hash == digest)
    while (found := connection.scalar(known)) is None:
        number = (connection.scalar(sa.select(sa.func.max(model_version.c.number))) or 0) + 1
        version = name if name is not None else f"m{number:04d}-{digest[:8]}"
        if not isinstance(version, str) or not VERSION.fullmatch(version):
            raise InvalidWeights(f"{version!r} is no name for a model version")
        row = {
            "version": version,
            "number": number,
            "content_hash": digest,
            "manifest": _canonical(content),
            "created_at": datetime.now(UTC),
        }
        fresh = insert(connection, model_version).values(row).on_conflict_do_nothing()
        if connection.scalar(fresh.returning(model_version.c.version)) is not None:
            return version
        taken = sa.select(model_version.c.content_hash).where(model_version.c.version == version)
        if connection.scalar(taken) not in (None, digest):
            raise InvalidWeights(f"model version {version} is registered with other files already")
    return str(found)
