"""The schema of the first release.

Every statement says IF NOT EXISTS: databases made before there were migrations have these tables and no version.
"""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

RowId = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "event",
        sa.Column("id", RowId, primary_key=True),
        sa.Column("key", sa.String(64), nullable=False, unique=True),
        sa.Column("action", sa.Text, nullable=False),
        sa.Column("project", sa.BigInteger),
        sa.Column("received_at", sa.String(32), nullable=False),
        sa.Column("body", sa.LargeBinary, nullable=False),
        if_not_exists=True,
    )
    op.create_table(
        "revision",
        sa.Column("id", RowId, primary_key=True),
        sa.Column("event", RowId, sa.ForeignKey("event.id"), nullable=False),
        sa.Column("kind", sa.String(20), nullable=False),
        sa.Column("project", sa.BigInteger),
        sa.Column("annotation", sa.BigInteger),
        sa.Column("task", sa.BigInteger),
        sa.Column("updated_at", sa.String(32)),
        sa.Column("cancelled", sa.Boolean, nullable=False),
        sa.Column("content_hash", sa.String(64), nullable=False),
        sa.Column("result", sa.LargeBinary),
        sa.Column("task_data", sa.LargeBinary),
        sa.Column("completed_by", sa.BigInteger),
        sa.Column("lead_time", sa.Float),
        sa.Column("prelabel_version", sa.Text),
        if_not_exists=True,
    )
    op.create_table(
        "prelabel",
        sa.Column("id", RowId, primary_key=True),
        sa.Column("project", sa.BigInteger, nullable=False),
        sa.Column("task", sa.BigInteger, nullable=False),
        sa.Column("model_version", sa.String(64), nullable=False),
        sa.Column("regions", sa.LargeBinary, nullable=False),
        sa.Column("score", sa.Float, nullable=False),
        sa.Column("image_sha256", sa.String(64), nullable=False),
        sa.Column("created_at", sa.String(32), nullable=False),
        sa.UniqueConstraint("project", "task", "model_version"),
        if_not_exists=True,
    )
    op.create_table(
        "model_version",
        sa.Column("version", sa.String(64), primary_key=True),
        sa.Column("number", sa.Integer, nullable=False, unique=True),
        sa.Column("content_hash", sa.String(64), nullable=False, unique=True),
        sa.Column("manifest", sa.LargeBinary, nullable=False),
        sa.Column("created_at", sa.String(32), nullable=False),
        if_not_exists=True,
    )
    op.create_table(
        "alias",
        sa.Column("name", sa.String(32), primary_key=True),
        sa.Column("version", sa.String(64), sa.ForeignKey("model_version.version"), nullable=False),
        sa.Column("epoch", sa.BigInteger, nullable=False),
        if_not_exists=True,
    )
    op.create_table(
        "promotion",
        sa.Column("id", RowId, primary_key=True),
        sa.Column("alias", sa.String(32), nullable=False),
        sa.Column("epoch", sa.BigInteger, nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("version", sa.String(64), sa.ForeignKey("model_version.version"), nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("at", sa.String(32), nullable=False),
        sa.UniqueConstraint("alias", "epoch"),
        if_not_exists=True,
    )
    op.create_table(
        "patient_fold",
        sa.Column("patient", sa.String(64), primary_key=True),
        sa.Column("fold", sa.String(16), nullable=False),
        sa.Column("positive", sa.Boolean, nullable=False),
        sa.Column("assigned_at", sa.String(32), nullable=False),
        if_not_exists=True,
    )
    op.create_table(
        "dataset_version",
        sa.Column("name", sa.String(64), primary_key=True),
        sa.Column("project", sa.BigInteger, nullable=False),
        sa.Column("num_items", sa.Integer, nullable=False),
        sa.Column("num_excluded", sa.Integer, nullable=False),
        sa.Column("last_event", sa.BigInteger, nullable=False),
        sa.Column("created_at", sa.String(32), nullable=False),
        if_not_exists=True,
    )
    for table, column in (
        ("event", "project"),
        ("revision", "event"),
        ("revision", "project"),
        ("dataset_version", "project"),
    ):
        op.create_index(f"ix_{table}_{column}", table, [column], if_not_exists=True)
