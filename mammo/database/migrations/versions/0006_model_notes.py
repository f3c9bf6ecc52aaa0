"""Who moved an alias, and what is learnt of a model version after it was registered."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    op.add_column("promotion", sa.Column("actor", sa.Text))
    op.create_table(
        "model_note",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), primary_key=True),
        sa.Column("version", sa.String(64), sa.ForeignKey("model_version.version"), nullable=False),
        sa.Column("kind", sa.String(32), nullable=False),
        sa.Column("detail", sa.LargeBinary, nullable=False),
        sa.Column("at", sa.String(32), nullable=False),
    )
    op.create_index("ix_model_note_version", "model_note", ["version"])
