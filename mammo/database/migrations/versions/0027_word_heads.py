"""Heads that propose words of BI-RADS in a project."""

import sqlalchemy as sa
from alembic import op

revision = "0027"
down_revision = "0026"


def upgrade() -> None:
    op.create_table(
        "word_head",
        sa.Column("name", sa.String(64), primary_key=True),
        sa.Column("project", sa.BigInteger, nullable=False, index=True),
        sa.Column("dataset", sa.String(64), nullable=False),
        sa.Column("content", sa.LargeBinary, nullable=False),
        sa.Column("fitted_at", sa.String(32), nullable=False),
        sa.Column("on_since", sa.String(32)),
        sa.Column("on_by", sa.Text),
    )
