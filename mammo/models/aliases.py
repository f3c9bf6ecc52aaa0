"""Aliases: `champion`, `challenger` and `previous` point at model versions and move by compare-and-set.

A move of the champion names the epoch (number of moves) that its decision was based on, so of two concurrent promotions
exactly one succeeds. Every move of every alias is recorded with its reason and author.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

import orjson
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from mammo.audit import Action, append
from mammo.database import alias, insert, model_version, promotion
from mammo.errors import InvalidWeights, ModelNotFound, PromotionConflict
from mammo.models.manifests import PROVISIONAL

AliasName = Literal["champion", "challenger", "previous"]
CHAMPION: AliasName = "champion"
"""The version that serves."""

CHALLENGER: AliasName = "challenger"
"""The version trained last, whatever the gate's verdict."""

PREVIOUS: AliasName = "previous"
"""The champion before the present one."""

Move = Literal["promote", "roll_back", "train", "follow"]


@dataclass(frozen=True)
class Alias:
    """The version that an alias points at."""

    version: str
    epoch: int
    """Number of moves of the alias."""


@dataclass(frozen=True, kw_only=True)
class Promotion:
    """One move of an alias."""

    alias: str
    epoch: int
    kind: Move
    version: str
    reason: str
    actor: str
    """Author of the move: `gate`, or a person's name on a machine; empty for moves of early releases."""

    at: datetime


def find(connection: Connection, name: AliasName) -> Alias | None:
    """Return an alias; None before its first move."""
    row = connection.execute(sa.select(alias).where(alias.c.name == name)).one_or_none()
    return Alias(row.version, row.epoch) if row else None


def move_champion(
    connection: Connection, version: str, *, expected_epoch: int, kind: Move, reason: str, actor: str
) -> Alias:
    """Move the champion, and point `previous` at its predecessor.

    Raises:
        ModelNotFound: The version does not exist.
        InvalidWeights: The version is a provisional one (code `provisional_version`).
        PromotionConflict: The champion has another epoch; nothing was changed.
    """
    _refuse_provisional(connection, version)
    before = find(connection, CHAMPION)
    after = _move(
        connection, CHAMPION, version, expected_epoch=expected_epoch, kind=kind, reason=reason, actor=actor
    )
    if before is not None and before.version != version:
        point(connection, PREVIOUS, before.version, kind="follow", reason=reason, actor=actor)
    action: Action = "model rolled back" if kind == "roll_back" else "model promoted"
    append(connection, actor=actor, action=action, subject=version, reason=reason)
    return after


def point(
    connection: Connection, name: AliasName, version: str, *, kind: Move, reason: str, actor: str
) -> Alias:
    """Move an alias without a concurrency check; an alias that already points at the version does not move.

    Raises:
        ModelNotFound: The version does not exist.
    """
    current = find(connection, name)
    if current is not None and current.version == version:
        return current
    epoch = current.epoch if current else 0
    return _move(connection, name, version, expected_epoch=epoch, kind=kind, reason=reason, actor=actor)


def history(connection: Connection, name: AliasName | None = None) -> list[Promotion]:
    """Return the moves of one alias, or of all, oldest first."""
    statement = sa.select(promotion).order_by(promotion.c.id)
    if name is not None:
        statement = statement.where(promotion.c.alias == name)
    return [
        Promotion(
            alias=row.alias,
            epoch=row.epoch,
            kind=row.kind,
            version=row.version,
            reason=row.reason,
            actor=row.actor or "",
            at=row.at,
        )
        for row in connection.execute(statement)
    ]


def champion_stack(moves: Sequence[Promotion]) -> list[str]:
    """Return the present champion, last, and before it the champions that roll backs can return to."""
    stack: list[str] = []
    for move in moves:
        if move.kind == "roll_back":
            stack.pop()
        else:
            stack.append(move.version)
    return stack


def unknown_version(version: str) -> ModelNotFound:
    """Return the error of a model version that is not in the registry."""
    return ModelNotFound(
        f"the registry has no model version {version!r}; `yolo-mlsam models list` shows those it has"
    )


def _refuse_provisional(connection: Connection, version: str) -> None:
    """Refuse a champion that has learned from patients who are held out for the gate."""
    manifest = connection.scalar(
        sa.select(model_version.c.manifest).where(model_version.c.version == version)
    )
    try:
        content = orjson.loads(manifest or b"{}")
    except ValueError:  # such a version is refused where its manifest is read
        return
    if isinstance(content, dict) and PROVISIONAL in content:
        raise InvalidWeights(
            f"model version {version} is provisional: it learned from patients that the gate holds out, and serves "
            f"project {content[PROVISIONAL]} only; with patients enough, `yolo-mlsam runs start` trains one that can "
            "become champion",
            code="provisional_version",
        )


def _move(
    connection: Connection,
    name: AliasName,
    version: str,
    *,
    expected_epoch: int,
    kind: Move,
    reason: str,
    actor: str,
) -> Alias:
    number = sa.select(model_version.c.number).where(model_version.c.version == version)
    if connection.scalar(number) is None:
        raise unknown_version(version)
    if expected_epoch == 0:
        first = {"name": name, "version": version, "epoch": 1}
        statement = insert(connection, alias).values(first).on_conflict_do_nothing()
    else:
        statement = (
            sa.update(alias)
            .where(alias.c.name == name, alias.c.epoch == expected_epoch)
            .values(version=version, epoch=alias.c.epoch + 1)
        )
    epoch = connection.scalar(statement.returning(alias.c.epoch))
    if epoch is None:
        current = find(connection, name)
        raise PromotionConflict(
            f"the {name} has moved: expected epoch {expected_epoch}, found {current.epoch if current else 0}; "
            "compare with the present champion and promote again"
        )
    move = {"alias": name, "epoch": epoch, "kind": kind, "version": version, "reason": reason, "actor": actor}
    connection.execute(sa.insert(promotion).values(**move, at=datetime.now(UTC)))
    return Alias(version, epoch)
