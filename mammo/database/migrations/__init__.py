"""Alembic's migrations of the database, oldest first in `versions`; `mammo.database.open_database` applies them.

A migration that has been released is never edited: it describes the past, so it names columns and types itself and
imports nothing of ours. `tests/mammo/database/test_migrations.py` holds their sum against `mammo.database.metadata`.
"""
