"""Rows of model versions: how a manifest becomes one."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import orjson
import sqlalchemy as sa
from sqlalchemy import Connection

from mammo.database import insert, model_version
from mammo.errors import InvalidWeights
from mammo.models.manifests import PROVISIONAL, problem_of_name
from mammo.models.removal import restore_files


def canonical_manifest(content: Mapping[str, Any]) -> bytes:
    """Return a manifest as JSON with sorted keys; raises ValueError: it contains other values."""
    try:
        return orjson.dumps(content, option=orjson.OPT_SORT_KEYS)
    except orjson.JSONEncodeError as error:
        raise ValueError(f"a manifest must contain JSON values only: {error}") from error


def insert_version(
    connection: Connection, content: Mapping[str, Any], digest: str, *, name: str | None
) -> str:
    """Insert a version under a name, or under the next number, unless its content is registered; returns its name.

    A provisional version is named `p0003-...`, any other `m0003-...`.
    """
    registered = sa.select(model_version.c.version).where(model_version.c.content_hash == digest)
    while (existing := connection.scalar(registered)) is None:
        number = (connection.scalar(sa.select(sa.func.max(model_version.c.number))) or 0) + 1
        letter = "p" if PROVISIONAL in content else "m"
        version = name if name is not None else f"{letter}{number:04d}-{digest[:8]}"
        if problem := problem_of_name(version):
            raise InvalidWeights(problem)
        row = {
            "version": version,
            "number": number,
            "content_hash": digest,
            "manifest": canonical_manifest(content),
            "created_at": datetime.now(UTC),
        }
        new_row = insert(connection, model_version).values(row).on_conflict_do_nothing()
        if connection.scalar(new_row.returning(model_version.c.version)) is not None:
            return version
        other_hash = sa.select(model_version.c.content_hash).where(model_version.c.version == version)
        if connection.scalar(other_hash) not in (None, digest):
            raise InvalidWeights(f"model version {version} is already registered with other files")
    restore_files(connection, str(existing))
    return str(existing)
