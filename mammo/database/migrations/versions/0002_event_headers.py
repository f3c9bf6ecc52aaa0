"""An event keeps the headers it came with, as far as they say what was sent and by what."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.add_column("event", sa.Column("headers", sa.LargeBinary))
