"""Curves of a run's trainings; how many patients a dataset version holds out."""

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"


def upgrade() -> None:
    op.create_table(
        "run_curve",
        sa.Column("run", sa.String(64), sa.ForeignKey("run.id"), primary_key=True),
        sa.Column("network", sa.String(16), primary_key=True),
        sa.Column("name", sa.String(40), primary_key=True),
        sa.Column("step", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("value", sa.Float, nullable=False),
    )
    # NULL in the rows that are there: it was not counted.
    op.add_column("dataset_version", sa.Column("num_held_out", sa.Integer))
