"""ModelRegistry: model versions, their files by SHA-256, and the champion.

A model version is a manifest (JSON: hashes of its files, operating point, where it came from) that never changes.
The champion is an alias that moves by compare-and-set: whoever moves it names the epoch it has seen, so of two
who promote at once exactly one wins. Every move is kept, and any of them can be undone.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import orjson
import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine

from mammo.blobs import Blobs, hash_file
from mammo.database import alias, insert, model_version, promotion, reading, writing
from mammo.errors import InvalidWeights, ModelNotFound, PromotionConflict
from mammo.settings import Bucket

CHAMPION = "champion"
PARTS = ("detector", "segmenter")
VERSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
Move = Literal["promote", "roll_back"]


STARTER = Path(__file__).parent / "starter"
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


@dataclass(frozen=True)
class Alias:
    """Where an alias points, and how often it has moved."""

    version: str
    epoch: int


@dataclass(frozen=True, kw_only=True)
class Promotion:
    """One move of the champion alias."""

    epoch: int
    kind: Move
    version: str
    reason: str
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
            if _alias(connection) is None:
                _move(connection, version, expected_epoch=0, kind="promote", reason="the starter model")
        return version

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
                self._blobs.copy(digest, to=path)
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
        with reading(self._engine) as connection:
            found = _alias(connection)
        if found is None:
            raise ModelNotFound("the registry has no champion yet; register the starter model first")
        return found

    def promote(self, version: str, *, expected_epoch: int, reason: str) -> Alias:
        """Make a version the champion, unless the champion has moved since the caller looked.

        Args:
            expected_epoch: epoch of the champion that the decision was made against; 0: there was none.

        Raises:
            ModelNotFound: no such version.
            PromotionConflict: the champion's epoch is another one; nothing is changed.
        """
        with writing(self._engine) as connection:
            return _move(connection, version, expected_epoch=expected_epoch, kind="promote", reason=reason)

    def roll_back(self, reason: str) -> Alias:
        """Make the previous champion the champion again; once more goes one further back.

        Raises:
            ModelNotFound: there is no earlier champion.
        """
        with writing(self._engine) as connection:
            moves = _history(connection)
            line = _line_of_champions(moves)
            if len(line) < 2:
                raise ModelNotFound("there is no earlier champion to go back to")
            return _move(
                connection, line[-2], expected_epoch=moves[-1].epoch, kind="roll_back", reason=reason
            )

    def history(self) -> list[Promotion]:
        """Every move of the champion alias, oldest first."""
        with reading(self._engine) as connection:
            return _history(connection)

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


def _alias(connection: Connection) -> Alias | None:
    row = connection.execute(sa.select(alias).where(alias.c.name == CHAMPION)).one_or_none()
    return Alias(row.version, row.epoch) if row else None


def _move(connection: Connection, version: str, *, expected_epoch: int, kind: Move, reason: str) -> Alias:
    known = sa.select(model_version.c.number).where(model_version.c.version == version)
    if connection.scalar(known) is None:
        raise ModelNotFound(f"the registry holds no model version {version!r}")
    if expected_epoch == 0:
        first = {"name": CHAMPION, "version": version, "epoch": 1}
        statement = insert(connection, alias).values(first).on_conflict_do_nothing()
    else:
        statement = (
            sa.update(alias)
            .where(alias.c.name == CHAMPION, alias.c.epoch == expected_epoch)
            .values(version=version, epoch=alias.c.epoch + 1)
        )
    epoch = connection.scalar(statement.returning(alias.c.epoch))
    if epoch is None:
        now = _alias(connection)
        raise PromotionConflict(
            f"the champion moved: expected epoch {expected_epoch}, found {now.epoch if now else 0}; "
            "compare against the present champion and promote again"
        )
    move = {"alias": CHAMPION, "epoch": epoch, "kind": kind, "version": version, "reason": reason}
    connection.execute(sa.insert(promotion).values(**move, at=datetime.now(UTC)))
    return Alias(version, epoch)


def _history(connection: Connection) -> list[Promotion]:
    statement = sa.select(promotion).where(promotion.c.alias == CHAMPION).order_by(promotion.c.epoch)
    return [
        Promotion(epoch=row.epoch, kind=row.kind, version=row.version, reason=row.reason, at=row.at)
        for row in connection.execute(statement)
    ]


def _line_of_champions(moves: Sequence[Promotion]) -> list[str]:
    """The champions that a roll back can still return to, the present one last."""
    line: list[str] = []
    for move in moves:
        if move.kind == "roll_back":
            line.pop()
        else:
            line.append(move.version)
    return line
