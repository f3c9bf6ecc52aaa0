"""Images are pinned, and a dataset item keeps what it depends on besides its correction."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    op.add_column("dataset_item", sa.Column("digest", sa.String(64)))
    op.create_table(
        "image_pin",
        sa.Column("project", sa.BigInteger, primary_key=True),
        sa.Column("task", sa.BigInteger, primary_key=True),
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.Column("seen_at", sa.String(32), nullable=False),
    )
