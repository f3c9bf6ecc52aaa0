"""Aliases: `champion`, `challenger` and `previous` point at model versions and move by compare-and-set.

Whoever moves the champion names the epoch (count of moves) that he has seen, so of two who promote at once exactly one
wins. Every move of every alias is kept with its reason and with who made it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from mammo.database import alias, insert, model_version, promotion
from mammo.errors import ModelNotFound, PromotionConflict

AliasName = Literal["champion", "challenger", "previous"]
CHAMPION: AliasName = "champion"
"""The version that serves."""

CHALLENGER: AliasName = "challenger"
"""The version that was trained last, whatever the gate said of it."""

PREVIOUS: AliasName = "previous"
"""The champion before this one."""

Move = Literal["promote", "roll_back", "train", "follow"]


@dataclass(frozen=True)
class Alias:
    """Where an alias points, and how often it has moved."""

    version: str
    epoch: int


@dataclass(frozen=True, kw_only=True)
class Promotion:
    """One move of an alias."""

    alias: str
    epoch: int
    kind: Move
    version: str
    reason: str
    actor: str
    """Who moved it: `gate`, or a person's name on a machine; empty in moves from before this was kept."""

    at: datetime


def find(connection: Connection, name: AliasName) -> Alias | None:
    row = connection.execute(sa.select(alias).where(alias.c.name == name)).one_or_none()
    return Alias(row.version, row.epoch) if row else None


def move_champion(
    connection: Connection, version: str, *, expected_epoch: int, kind: Move, reason: str, actor: str
) -> Alias:
    """Move the champion, and let `previous` follow.

    Raises:
        ModelNotFound: no such version.
        PromotionConflict: the champion's epoch is another one; nothing is changed.
    """
    before = find(connection, CHAMPION)
    after = _move(
        connection, CHAMPION, version, expected_epoch=expected_epoch, kind=kind, reason=reason, actor=actor
    )
    if before is not None and before.version != version:
        point(connection, PREVIOUS, before.version, kind="follow", reason=reason, actor=actor)
    return after


def point(
    connection: Connection, name: AliasName, version: str, *, kind: Move, reason: str, actor: str
) -> Alias:
    """Move an alias that nobody competes for.

    Raises:
        ModelNotFound: no such version.
    """
    now = find(connection, name)
    if now is not None and now.version == version:
        return now
    epoch = now.epoch if now else 0
    return _move(connection, name, version, expected_epoch=epoch, kind=kind, reason=reason, actor=actor)


def history(connection: Connection, name: AliasName | None = None) -> list[Promotion]:
    """Moves of one alias, or of all, oldest first."""
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


def line_of_champions(moves: Sequence[Promotion]) -> list[str]:
    """The champions that a roll back can still return to, the present one last."""
    line: list[str] = []
    for move in moves:
        if move.kind == "roll_back":
            line.pop()
        else:
            line.append(move.version)
    return line


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
    known = sa.select(model_version.c.number).where(model_version.c.version == version)
    if connection.scalar(known) is None:
        raise ModelNotFound(f"the registry holds no model version {version!r}")
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
        now = find(connection, name)
        raise PromotionConflict(
            f"the {name} moved: expected epoch {expected_epoch}, found {now.epoch if now else 0}; "
            "compare against the present champion and promote again"
        )
    move = {"alias": name, "epoch": epoch, "kind": kind, "version": version, "reason": reason, "actor": actor}
    connection.execute(sa.insert(promotion).values(**move, at=datetime.now(UTC)))
    return Alias(version, epoch)
