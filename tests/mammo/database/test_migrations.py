"""The migrations make the schema that the code expects, on both databases, from nothing and from what is there."""

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from mammo.database import SCHEMA, metadata, open_database, reading, writing
from mammo.errors import StorageUnavailable

TABLES = (
    "event",
    "revision",
    "prelabel",
    "model_version",
    "alias",
    "promotion",
    "patient_fold",
    "dataset_version",
)
INDEXES = ("ix_revision_annotation", "ix_revision_task", "ix_revision_view", "ix_prelabel_outline")
"""Those that came later, on tables that were there before."""


def scripts():
    config = Config()
    config.set_main_option("script_location", "mammo:database/migrations")
    return ScriptDirectory.from_config(config)


def test_the_code_names_the_newest_migration_and_there_is_one_line_of_them():
    assert scripts().get_heads() == [SCHEMA]


@pytest.mark.parametrize("database", ["engine", "postgres"])
def test_the_migrations_add_up_to_the_schema_that_the_code_reads(database, request):
    engine = request.getfixturevalue(database)
    with reading(engine) as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []


def test_a_database_from_before_there_were_migrations_is_taken_over_with_its_content(tmp_path):
    url = f"sqlite:///{tmp_path / 'old.db'}"
    old = open_database(url)
    with writing(old) as connection:
        connection.exec_driver_sql(
            "INSERT INTO event (key, action, received_at, body) VALUES ('k', 'A', 'now', 'x')"
        )
        for index in INDEXES:
            connection.exec_driver_sql(f"DROP INDEX {index}")
        connection.exec_driver_sql("ALTER TABLE event DROP COLUMN headers")
        connection.exec_driver_sql("ALTER TABLE promotion DROP COLUMN actor")
        connection.exec_driver_sql("ALTER TABLE revision DROP COLUMN problem")
        connection.exec_driver_sql("ALTER TABLE dataset_version DROP COLUMN num_held_out")
        for column in ("shown_at", "num_cut"):
            connection.exec_driver_sql(f"ALTER TABLE prelabel DROP COLUMN {column}")
        connection.exec_driver_sql("DROP TABLE alembic_version")
        for table in set(metadata.tables) - set(TABLES):
            connection.exec_driver_sql(f"DROP TABLE {table}")
    old.dispose()
    engine = open_database(url)
    with reading(engine) as connection:
        assert connection.exec_driver_sql("SELECT key, headers FROM event").all() == [("k", None)]
        assert connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar() == SCHEMA
    engine.dispose()


def test_a_database_of_a_newer_release_is_refused_and_left_as_it_is(engine):
    with writing(engine) as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(StorageUnavailable, match="start that release") as refused:
        open_database(str(engine.url))
    assert refused.value.code == "newer_database"
    with reading(engine) as connection:
        assert connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar() == "9999"


def test_a_migration_that_fails_leaves_nothing_behind(tmp_path):
    url = f"sqlite:///{tmp_path / 'torn.db'}"
    engine = sa.create_engine(url)
    with (
        engine.begin() as connection
    ):  # the second migration cannot add the column: the first must not stay either
        connection.exec_driver_sql(
            "CREATE TABLE event (id INTEGER PRIMARY KEY, project INTEGER, headers BLOB)"
        )
    with pytest.raises(StorageUnavailable):
        open_database(url)
    assert sa.inspect(engine).get_table_names() == ["event"]
    engine.dispose()
