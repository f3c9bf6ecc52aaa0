"""Runs: retrains as rows with a state, what their stages came to, what happened to them, and what asked for them."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"

ROW_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
MOMENT = sa.String(32)


def upgrade() -> None:
    op.create_table(
        "run",
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("project", sa.BigInteger, nullable=False),
        sa.Column("active_project", sa.BigInteger, unique=True),
        sa.Column("recipe", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("trigger", sa.String(16), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("attempt", sa.Integer, nullable=False),
        sa.Column("stalled", sa.Integer, nullable=False),
        sa.Column("owner", sa.Text),
        sa.Column("claimed_at", MOMENT),
        sa.Column("claimed_progress", sa.Float, nullable=False),
        sa.Column("heartbeat_at", MOMENT),
        sa.Column("progress", sa.Float, nullable=False),
        sa.Column("stage", sa.String(32), nullable=False),
        sa.Column("message", sa.Text, nullable=False),
        sa.Column("failure", sa.String(16)),
        sa.Column("error", sa.Text),
        sa.Column("job", sa.String(100)),
        sa.Column("not_before", MOMENT),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("ended_at", MOMENT),
    )
    op.create_index("ix_run_project", "run", ["project"])
    op.create_index("ix_run_state", "run", ["state"])
    op.create_table(
        "run_stage",
        sa.Column("run", sa.String(64), sa.ForeignKey("run.id"), primary_key=True),
        sa.Column("stage", sa.String(32), primary_key=True),
        sa.Column("attempt", sa.Integer, nullable=False),
        sa.Column("result", sa.LargeBinary, nullable=False),
        sa.Column("at", MOMENT, nullable=False),
    )
    op.create_table(
        "run_event",
        sa.Column("id", ROW_ID, primary_key=True),
        sa.Column("run", sa.String(64), sa.ForeignKey("run.id"), nullable=False),
        sa.Column("at", MOMENT, nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("state", sa.String(16)),
        sa.Column("text", sa.Text, nullable=False),
    )
    op.create_index("ix_run_event_run", "run_event", ["run"])
    op.create_table(
        "run_trigger",
        sa.Column("id", ROW_ID, primary_key=True),
        sa.Column("key", sa.String(120), unique=True),
        sa.Column("project", sa.BigInteger, nullable=False),
        sa.Column("run", sa.String(64), sa.ForeignKey("run.id"), nullable=False),
        sa.Column("trigger", sa.String(16), nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("started", sa.Boolean, nullable=False),
        sa.Column("at", MOMENT, nullable=False),
    )
    op.create_index("ix_run_trigger_project", "run_trigger", ["project"])
