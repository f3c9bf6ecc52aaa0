"""How many findings a prelabel does not show is stored with it."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    # NULL in the rows that are there: they were not counted.
    op.add_column("prelabel", sa.Column("num_cut", sa.Integer))
