"""Readers: known cases, and labels that are probably wrong."""

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"

ROW_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
MOMENT = sa.String(32)


def upgrade() -> None:
    op.create_table(
        "known_case",
        sa.Column("project", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("task", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("truth", ROW_ID, sa.ForeignKey("revision.id"), nullable=False),
        sa.Column("actor", sa.Text, nullable=False),
        sa.Column("named_at", MOMENT, nullable=False),
    )
    op.create_table(
        "label_doubt",
        sa.Column("id", ROW_ID, primary_key=True),
        sa.Column("project", sa.BigInteger, nullable=False),
        sa.Column("task", sa.BigInteger, nullable=False),
        sa.Column("annotation", sa.BigInteger, nullable=False),
        sa.Column("image", sa.String(255), nullable=False),
        sa.Column("revision", ROW_ID, sa.ForeignKey("revision.id"), nullable=False),
        sa.Column("cause", sa.String(16), nullable=False),
        sa.Column("score", sa.Float, nullable=False),
        *(sa.Column(name, sa.Integer) for name in ("x0", "y0", "x1", "y1")),
        sa.Column("distance_mm", sa.Float),
        sa.Column("model_version", sa.String(64), nullable=False),
        sa.Column("found_at", MOMENT, nullable=False),
        sa.Column("sent_at", MOMENT),
        sa.Column("sent_by", sa.Text),
        sa.Column("sent_event", sa.BigInteger),
        sa.Column("answer", sa.String(16)),
        sa.Column("answer_revision", sa.BigInteger),
        sa.Column("answered_at", MOMENT),
    )
    op.create_index("ix_label_doubt_project", "label_doubt", ["project", "sent_at"])
