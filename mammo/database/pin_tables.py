"""The table of projects that are pinned to a model version; `mammo.models.pins`."""

from __future__ import annotations

import sqlalchemy as sa

from mammo.database.tables import AnyText, UtcTime, metadata

project_pin = sa.Table(
    "project_pin",  # the model version that a person has pinned a project to
    metadata,
    sa.Column("project", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("version", sa.String(64), nullable=False),
    sa.Column("reason", AnyText, nullable=False),
    sa.Column("actor", AnyText, nullable=False),
    sa.Column("since", UtcTime, nullable=False),
)
