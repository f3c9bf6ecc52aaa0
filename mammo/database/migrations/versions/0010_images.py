"""A task may show several images: pins and dataset items are of one image each."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"

MOMENT = sa.String(32)
IMAGE = sa.String(255)


def upgrade() -> None:
    # Until now a task showed one image; its key is empty.
    op.create_table(
        "image_pin_new",
        sa.Column("project", sa.BigInteger, primary_key=True),
        sa.Column("task", sa.BigInteger, primary_key=True),
        sa.Column("image", IMAGE, primary_key=True),
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.Column("seen_at", MOMENT, nullable=False),
    )
    op.execute(
        "INSERT INTO image_pin_new (project, task, image, sha256, seen_at) "
        "SELECT project, task, '', sha256, seen_at FROM image_pin"
    )
    op.drop_table("image_pin")
    op.rename_table("image_pin_new", "image_pin")
    op.drop_index("ix_dataset_item_annotation", "dataset_item")
    op.create_table(
        "dataset_item_new",
        sa.Column("dataset", sa.String(64), sa.ForeignKey("dataset_version.name"), primary_key=True),
        sa.Column("annotation", sa.BigInteger, primary_key=True),
        sa.Column("image", IMAGE, primary_key=True),
        sa.Column("content_hash", sa.String(64), nullable=False),
        sa.Column("digest", sa.String(64)),
    )
    op.execute(
        "INSERT INTO dataset_item_new (dataset, annotation, image, content_hash, digest) "
        "SELECT dataset, annotation, '', content_hash, digest FROM dataset_item"
    )
    op.drop_table("dataset_item")
    op.rename_table("dataset_item_new", "dataset_item")
    op.create_index("ix_dataset_item_annotation", "dataset_item", ["annotation"])
