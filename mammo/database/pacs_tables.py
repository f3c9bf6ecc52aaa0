"""The tables of images from a PACS; `mammo.pacs` says what they mean."""

from __future__ import annotations

import sqlalchemy as sa

from mammo.database.tables import AnyText, RowId, UtcTime, metadata

pacs_instance = sa.Table(
    "pacs_instance",  # which image of the PACS an image of the site is
    metadata,
    sa.Column("instance", sa.String(64), primary_key=True),  # SOP Instance UID of the site's file
    sa.Column("study", sa.String(64), nullable=False, index=True),  # of the site's file
    sa.Column("original", sa.LargeBinary, nullable=False),  # encrypted: UIDs and PatientID at the PACS
    sa.Column("created_at", UtcTime, nullable=False),
)

pacs_import = sa.Table(
    "pacs_import",  # imports that somebody asked for at the console or over HTTP
    metadata,
    sa.Column("id", RowId, primary_key=True),
    sa.Column("project", sa.BigInteger, nullable=False),
    sa.Column("asked", sa.LargeBinary, nullable=False),  # encrypted: the conditions, which may name patients
    sa.Column("what", sa.Text, nullable=False),  # the same for people, without any patient
    sa.Column("actor", AnyText, nullable=False),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("outcome", AnyText),  # JSON: counts, and reasons without any patient
    sa.Column("problem", AnyText),
    sa.Column("created_at", UtcTime, nullable=False),
    sa.Column("ended_at", UtcTime),
)
