"""Projects that a person has pinned to a model version; topic `run-refused` of channels that are told everything."""

import sqlalchemy as sa
from alembic import op

revision = "0026"
down_revision = "0024"

EVERYTHING = "run-finished,run-failed,promoted,rolled-back,sent-back,corrections-stopped,disk-nearly-full"


def upgrade() -> None:
    op.create_table(
        "project_pin",
        sa.Column("project", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("version", sa.String(64), nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("actor", sa.Text, nullable=False),
        sa.Column("since", sa.String(32), nullable=False),
    )
    channel = sa.table("notification_channel", sa.column("topics"))
    more = EVERYTHING.replace("run-failed,", "run-failed,run-refused,")
    op.execute(sa.update(channel).where(channel.c.topics == EVERYTHING).values(topics=more))
