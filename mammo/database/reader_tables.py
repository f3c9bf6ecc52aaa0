"""The tables of known cases (see `mammo.readers`), and of searches and doubted labels (see `mammo.second_looks`)."""

from __future__ import annotations

import sqlalchemy as sa

from mammo.database.tables import AnyText, ImageKey, RowId, UtcTime, metadata

known_case = sa.Table(
    "known_case",  # tasks whose true findings an administrator has named, to see whether readers find them
    metadata,
    sa.Column("project", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("task", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("truth", sa.ForeignKey("revision.id"), nullable=False),
    sa.Column("actor", AnyText, nullable=False),
    sa.Column("named_at", UtcTime, nullable=False),
)

label_doubt = sa.Table(
    "label_doubt",  # labels that are probably wrong; those that were sent back stay, with their answers
    metadata,
    sa.Column("id", RowId, primary_key=True),
    sa.Column("project", sa.BigInteger, nullable=False),
    sa.Column("task", sa.BigInteger, nullable=False),
    sa.Column("annotation", sa.BigInteger, nullable=False),
    sa.Column("image", ImageKey, nullable=False),
    sa.Column("revision", sa.ForeignKey("revision.id"), nullable=False),  # the doubted one
    sa.Column("cause", sa.String(16), nullable=False),
    sa.Column("score", sa.Float, nullable=False),
    sa.Column("x0", sa.Integer),
    sa.Column("y0", sa.Integer),
    sa.Column("x1", sa.Integer),
    sa.Column("y1", sa.Integer),
    sa.Column("distance_mm", sa.Float),
    sa.Column("model_version", sa.String(64), nullable=False),
    sa.Column("found_at", UtcTime, nullable=False),
    sa.Column("sent_at", UtcTime),
    sa.Column("sent_by", AnyText),
    sa.Column("sent_event", sa.BigInteger),  # newest event when it was sent; an answer is newer
    sa.Column("answer", sa.String(16)),
    sa.Column("answer_revision", sa.BigInteger),
    sa.Column("answered_at", UtcTime),
    sa.Index("ix_label_doubt_project", "project", "sent_at"),
)

label_search = sa.Table(
    "label_search",  # the newest search of each project for labels that are probably wrong, as JSON
    metadata,
    sa.Column("project", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("content", sa.LargeBinary, nullable=False),
    sa.Column("at", UtcTime, nullable=False),
)
