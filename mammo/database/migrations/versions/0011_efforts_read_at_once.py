"""Edit effort of a whole project is read from indexes and short rows, without what was drawn."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"

RowId = sa.BigInteger().with_variant(sa.Integer(), "sqlite")

VIEW = (
    *("project", "kind", "annotation", "updated_at", "content_hash", "prelabel_version", "id", "task"),
    *("cancelled", "completed_by", "lead_time"),
)
OUTLINE = ("project", "task", "id", "model_version", "score", "created_at", "shown_at")


def upgrade() -> None:
    op.create_index("ix_revision_view", "revision", list(VIEW))
    # The new one begins with the same column.
    op.drop_index("ix_revision_project", "revision")
    op.create_index("ix_prelabel_outline", "prelabel", list(OUTLINE))
    # What it held is computed again.
    op.drop_table("edit_effort")
    op.create_table(
        "edit_effort",
        sa.Column("revision", RowId, sa.ForeignKey("revision.id"), primary_key=True),
        sa.Column("prelabel", sa.BigInteger, primary_key=True),
        sa.Column("tags", sa.String(64), nullable=False),
        sa.Column("efforts", sa.LargeBinary, nullable=False),
    )
    op.create_index("ix_edit_effort_prelabel", "edit_effort", ["prelabel"])
