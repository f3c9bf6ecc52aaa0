"""Reconciliations leave a record, and revisions are found by task and by annotation."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

RowId = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_index("ix_revision_annotation", "revision", ["annotation"])
    op.create_index("ix_revision_task", "revision", ["task"])
    op.create_table(
        "reconciliation",
        sa.Column("id", RowId, primary_key=True),
        sa.Column("project", sa.BigInteger, nullable=False),
        sa.Column("at", sa.String(32), nullable=False),
        sa.Column("complete", sa.Boolean, nullable=False),
        sa.Column("watermark", sa.String(32)),
        sa.Column("report", sa.LargeBinary, nullable=False),
    )
    op.create_index("ix_reconciliation_project", "reconciliation", ["project"])
