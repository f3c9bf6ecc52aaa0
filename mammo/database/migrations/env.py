"""Run by Alembic: apply the migrations on the connection of `open_database`, in its transaction."""

from alembic import context

from mammo.database import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata)
context.run_migrations()
