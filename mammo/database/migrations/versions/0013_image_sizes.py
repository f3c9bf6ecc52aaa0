"""Sizes of images, with which the sizes that regions state are compared; why a revision cannot be read."""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"


def upgrade() -> None:
    # NULL in the rows that are there: sizes were not recorded, and revisions not checked.
    op.add_column("image_pin", sa.Column("width", sa.Integer))
    op.add_column("image_pin", sa.Column("height", sa.Integer))
    op.add_column("revision", sa.Column("problem", sa.String(32)))
