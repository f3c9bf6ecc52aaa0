"""The table of results for the PACS; `mammo.pacs.outbox` says what it means."""

from __future__ import annotations

import sqlalchemy as sa

from mammo.database.tables import AnyText, RowId, UtcTime, metadata

pacs_result = sa.Table(
    "pacs_result",  # the outbox, and afterwards the log of what the PACS holds; the UIDs are those of the site's files
    metadata,
    sa.Column("id", RowId, primary_key=True),
    sa.Column("kind", sa.String(16), nullable=False),
    sa.Column(
        "subject", sa.String(64), nullable=False
    ),  # the image that it is about; for a CAD report the study
    sa.Column("content", sa.String(64), nullable=False),  # digest: equal when nothing has changed
    sa.Column("num_findings", sa.Integer, nullable=False),
    sa.Column("study", sa.String(64), nullable=False),
    sa.Column("series", sa.String(64), nullable=False),
    sa.Column("image", sa.String(64), nullable=False),
    sa.Column("width", sa.Integer, nullable=False),
    sa.Column("height", sa.Integer, nullable=False),
    sa.Column("sop_class", sa.String(64), nullable=False),
    sa.Column("sop_instance", sa.String(64), nullable=False, unique=True),
    sa.Column("result_series", sa.String(64), nullable=False),
    sa.Column("predecessor", sa.String(64), nullable=False),  # its sop_instance; empty: the first version
    sa.Column("body", sa.LargeBinary, nullable=False),  # the DICOM file, deflated
    sa.Column("actor", AnyText, nullable=False),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("attempts", sa.Integer, nullable=False),
    sa.Column("due_at", UtcTime),
    sa.Column("created_at", UtcTime, nullable=False),
    sa.Column("ended_at", UtcTime),
    sa.Column("problem", AnyText),
    sa.Index("ix_pacs_result_due", "state", "due_at"),
    sa.Index("ix_pacs_result_subject", "kind", "subject"),
)
