"""Alembic's migrations, oldest first in `versions`; `mammo.database.open_database` applies them.

A released migration is never edited. It describes the past, so it spells out its columns and types and imports nothing
from this package. `tests/mammo/database/test_migrations.py` compares their result with `mammo.database.metadata`.
"""
