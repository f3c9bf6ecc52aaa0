"""The newest search of a project for labels that are probably wrong: how it was made, and what it compared."""

import sqlalchemy as sa
from alembic import op

revision = "0029"
down_revision = "0027"


def upgrade() -> None:
    op.create_table(
        "label_search",
        sa.Column("project", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("content", sa.LargeBinary, nullable=False),
        sa.Column("at", sa.String(32), nullable=False),
    )
