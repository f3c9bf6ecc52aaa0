"""Provisional models that serve one project each, and learning curves."""

import sqlalchemy as sa
from alembic import op

revision = "0023"
down_revision = "0021"

ROW_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
MOMENT = sa.String(32)


def upgrade() -> None:
    op.create_table(
        "provisional_model",
        sa.Column("project", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("version", sa.String(64), nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("since", MOMENT, nullable=False),
    )
    op.create_table(
        "learning_curve",
        sa.Column("id", ROW_ID, primary_key=True),
        sa.Column("project", sa.BigInteger, nullable=False),
        sa.Column("run", sa.String(64), nullable=False),
        sa.Column("content", sa.LargeBinary, nullable=False),
        sa.Column("at", MOMENT, nullable=False),
    )
    op.create_index("ix_learning_curve_project", "learning_curve", ["project"])
