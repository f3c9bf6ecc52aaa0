"""Double readings: their rules, the projects and tasks made for them, and what two readings agreed on."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    op.create_table(
        "double_reading",
        sa.Column("source", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("definition", sa.LargeBinary, nullable=False),
        sa.Column("created_at", sa.String(32), nullable=False),
    )
    op.create_table(
        "reading_project",
        sa.Column("source", sa.BigInteger, sa.ForeignKey("double_reading.source"), primary_key=True),
        sa.Column("role", sa.String(16), primary_key=True),
        sa.Column("round", sa.Integer, primary_key=True),
        sa.Column("project", sa.BigInteger, nullable=False, unique=True),
    )
    op.create_table(
        "reading_task",
        sa.Column("project", sa.BigInteger, sa.ForeignKey("reading_project.project"), primary_key=True),
        sa.Column("case", sa.BigInteger, primary_key=True),
        sa.Column("task", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "reading_agreement",
        sa.Column("first", sa.String(64), primary_key=True),
        sa.Column("second", sa.String(64), primary_key=True),
        sa.Column("rules", sa.String(64), primary_key=True),
        sa.Column("detail", sa.LargeBinary, nullable=False),
    )
