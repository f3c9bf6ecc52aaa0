"""From an annotation to the dataset versions that hold it, and edit effort that is computed once."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"

RowId = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "dataset_item",
        sa.Column("dataset", sa.String(64), sa.ForeignKey("dataset_version.name"), primary_key=True),
        sa.Column("annotation", sa.BigInteger, primary_key=True),
        sa.Column("content_hash", sa.String(64), nullable=False),
    )
    op.create_index("ix_dataset_item_annotation", "dataset_item", ["annotation"])
    op.create_table(
        "edit_effort",
        sa.Column("revision", RowId, sa.ForeignKey("revision.id"), primary_key=True),
        sa.Column("prelabel", sa.BigInteger, primary_key=True),
        sa.Column("effort", sa.LargeBinary, nullable=False),
    )
