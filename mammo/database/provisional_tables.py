"""The tables of provisional models and of learning curves; `mammo.models.provisional` and `mammo.learning_curves`."""

from __future__ import annotations

import sqlalchemy as sa

from mammo.database.tables import AnyText, RowId, UtcTime, metadata

provisional_model = sa.Table(
    "provisional_model",  # the provisional model version that serves a project instead of the champion
    metadata,
    sa.Column("project", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("version", sa.String(64), nullable=False),
    sa.Column("reason", AnyText, nullable=False),
    sa.Column("since", UtcTime, nullable=False),
)

learning_curve = sa.Table(
    "learning_curve",  # the learning curves of projects, as they were computed; append-only
    metadata,
    sa.Column("id", RowId, primary_key=True),
    sa.Column("project", sa.BigInteger, nullable=False, index=True),
    sa.Column("run", sa.String(64), nullable=False),
    sa.Column("content", sa.LargeBinary, nullable=False),
    sa.Column("at", UtcTime, nullable=False),
)
