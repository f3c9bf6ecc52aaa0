"""The table of images from a PACS; `mammo.pacs` says what it means."""

from __future__ import annotations

import sqlalchemy as sa

from mammo.database.tables import UtcTime, metadata

pacs_instance = sa.Table(
    "pacs_instance",  # which image of the PACS an image of the site is
    metadata,
    sa.Column("instance", sa.String(64), primary_key=True),  # SOP Instance UID of the site's file
    sa.Column("study", sa.String(64), nullable=False, index=True),  # of the site's file
    sa.Column("original", sa.LargeBinary, nullable=False),  # encrypted: UIDs and PatientID at the PACS
    sa.Column("created_at", UtcTime, nullable=False),
)
