"""Results for the PACS: the outbox, and what the PACS holds."""

import sqlalchemy as sa
from alembic import op

revision = "0021"
down_revision = "0020"

ROW_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
MOMENT = sa.String(32)
UID = sa.String(64)


def upgrade() -> None:
    op.create_table(
        "pacs_result",
        sa.Column("id", ROW_ID, primary_key=True),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("subject", UID, nullable=False),
        sa.Column("content", sa.String(64), nullable=False),
        sa.Column("num_findings", sa.Integer, nullable=False),
        sa.Column("study", UID, nullable=False),
        sa.Column("series", UID, nullable=False),
        sa.Column("image", UID, nullable=False),
        sa.Column("width", sa.Integer, nullable=False),
        sa.Column("height", sa.Integer, nullable=False),
        sa.Column("sop_class", UID, nullable=False),
        sa.Column("sop_instance", UID, nullable=False, unique=True),
        sa.Column("result_series", UID, nullable=False),
        sa.Column("predecessor", UID, nullable=False),
        sa.Column("body", sa.LargeBinary, nullable=False),
        sa.Column("actor", sa.Text, nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("due_at", MOMENT),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("ended_at", MOMENT),
        sa.Column("problem", sa.Text),
    )
    op.create_index("ix_pacs_result_due", "pacs_result", ["state", "due_at"])
    op.create_index("ix_pacs_result_subject", "pacs_result", ["kind", "subject"])
