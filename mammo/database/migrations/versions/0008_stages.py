"""Who sees which prelabel and when, the stages of a project, what was annotated without a person, the order of work."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    number = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    op.add_column("prelabel", sa.Column("shown_at", sa.String(32)))
    op.execute("UPDATE prelabel SET shown_at = created_at")
    op.create_table(
        "task_arm",
        sa.Column("project", sa.BigInteger, primary_key=True),
        sa.Column("task", sa.BigInteger, primary_key=True),
        sa.Column("blind", sa.Boolean, nullable=False),
        sa.Column("share", sa.Float, nullable=False),
        sa.Column("decided_at", sa.String(32), nullable=False),
    )
    op.create_table(
        "stage_change",
        sa.Column("id", number, primary_key=True),
        sa.Column("project", sa.BigInteger, nullable=False),
        sa.Column("at", sa.String(32), nullable=False),
        sa.Column("actor", sa.Text, nullable=False),
        sa.Column("before", sa.String(16), nullable=False),
        sa.Column("stage", sa.String(16), nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("overruled", sa.Boolean, nullable=False),
        sa.Column("model_version", sa.String(64)),
        sa.Column("threshold", sa.Float),
        sa.Column("audit_share", sa.Float),
        sa.Column("evidence", sa.LargeBinary, nullable=False),
    )
    op.create_index("ix_stage_change_project", "stage_change", ["project"])
    op.create_table(
        "automatic_annotation",
        sa.Column("project", sa.BigInteger, primary_key=True),
        sa.Column("task", sa.BigInteger, primary_key=True),
        sa.Column("model_version", sa.String(64), primary_key=True),
        sa.Column("account", sa.BigInteger, nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("score", sa.Float, nullable=False),
        sa.Column("threshold", sa.Float, nullable=False),
        sa.Column("annotation", sa.BigInteger),
        sa.Column("decided_at", sa.String(32), nullable=False),
    )
    op.create_table(
        "task_order",
        sa.Column("id", number, primary_key=True),
        sa.Column("project", sa.BigInteger, nullable=False),
        sa.Column("task", sa.BigInteger, nullable=False),
        sa.Column("strategy", sa.String(16), nullable=False),
        sa.Column("rank", sa.Integer, nullable=False),
        sa.Column("stratum", sa.String(16), nullable=False),
        sa.Column("weight", sa.Float, nullable=False),
        sa.Column("score", sa.Float),
        sa.Column("model_version", sa.String(64)),
        sa.Column("at", sa.String(32), nullable=False),
    )
    op.create_index("ix_task_order_project_task", "task_order", ["project", "task"])
