"""The table of heads that propose words; `mammo.words.records`."""

from __future__ import annotations

import sqlalchemy as sa

from mammo.database.tables import AnyText, UtcTime, metadata

word_head = sa.Table(
    "word_head",  # heads that propose words of BI-RADS, each with the figures that it was measured with
    metadata,
    sa.Column("name", sa.String(64), primary_key=True),
    sa.Column("project", sa.BigInteger, nullable=False, index=True),
    sa.Column("dataset", sa.String(64), nullable=False),
    sa.Column("content", sa.LargeBinary, nullable=False),
    sa.Column("fitted_at", UtcTime, nullable=False),
    sa.Column("on_since", UtcTime),
    sa.Column("on_by", AnyText),
)
