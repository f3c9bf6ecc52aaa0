"""deploy/postgres/roles.sh on a real PostgreSQL: each program has a role that owns its database and no more."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from textwrap import dedent

import psycopg
import pytest
import yaml

from mammo.annotations import AnnotationStore
from mammo.database import open_database
from tests.mammo.corrected import correct, show
from tests.postgres_server import PostgresServer, postgres_programs
from tests.training.detections import square

DEPLOY = Path(__file__).parents[2] / "deploy"
SCRIPT, KUBERNETES = DEPLOY / "postgres/roles.sh", DEPLOY / "kubernetes"
OURS, THEIRS = ("yolo_mlsam", "mlsam"), ("label_studio", "labelstudio")
FINDING = square(20, 20, name="c1")


@pytest.fixture
def server() -> Iterator[PostgresServer]:
    """One of its own: roles belong to a whole server. Whoever connects over TCP needs the role's password."""
    made = PostgresServer(listens=True).start()
    yield made
    made.stop()
    shutil.rmtree(made.folder, ignore_errors=True)


@pytest.fixture
def secrets(tmp_path: Path) -> Path:
    for role, _ in (OURS, THEIRS):
        (tmp_path / f"postgres_{role}_password").write_text(f"of {role}'s\n")
    return tmp_path


def run(server: PostgresServer, *command: object, **options: object) -> None:
    environment = os.environ | {"PGHOST": str(server.folder), "PGPORT": str(server.port), "PGUSER": "tests"}
    environment["PATH"] = f"{postgres_programs()}:{os.environ['PATH']}"
    environment |= options.pop("env", {})
    done = subprocess.run(list(map(str, command)), env=environment, capture_output=True, text=True, **options)
    assert (done.returncode, done.stderr) == (0, "")


def make_roles(server: PostgresServer, secrets: Path) -> None:
    run(server, "sh", SCRIPT, env={"SECRETS": str(secrets)})


def connect(server: PostgresServer, role: str, database: str, password: str | None = None):
    return psycopg.connect(
        host="127.0.0.1",
        port=server.port,
        user=role,
        dbname=database,
        password=f"of {role}'s" if password is None else password,
        autocommit=True,
    )


@pytest.mark.parametrize(("role", "database"), [OURS, THEIRS])
def test_a_role_makes_tables_in_its_database_and_can_do_nothing_else(server, secrets, role, database):
    make_roles(server, secrets)
    make_roles(server, secrets)  # twice does no harm
    other = next(each for _, each in (OURS, THEIRS) if each != database)
    with connect(server, role, database) as connection:
        connection.execute("CREATE TABLE t (id bigserial PRIMARY KEY, word text)")
        connection.execute("CREATE EXTENSION pg_trgm")  # as Label Studio does
        connection.execute("CREATE EXTENSION btree_gin")
        for refused in (
            "CREATE ROLE r",
            "CREATE DATABASE d",
            "ALTER ROLE tests PASSWORD 'x'",
            "COPY t FROM '/etc/passwd'",
            "COPY t TO PROGRAM 'id'",
            "SELECT pg_read_file('/etc/passwd')",
            "SELECT rolpassword FROM pg_authid",
            "SET ROLE tests",
            f"DROP DATABASE {other}",
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(refused)
    with pytest.raises(psycopg.OperationalError, match="permission denied for database"):
        connect(server, role, other)
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        connect(server, role, database, password="wrong")


def test_what_an_earlier_release_kept_as_a_superuser_becomes_the_roles(server, secrets):
    """Its superuser owned both databases and all in them."""
    with psycopg.connect(server.url("postgres").replace("+psycopg", ""), autocommit=True) as connection:
        connection.execute("CREATE DATABASE mlsam")
        connection.execute("CREATE DATABASE labelstudio")
    engine = open_database(server.url("mlsam"))
    store = AnnotationStore(engine)
    show(store, FINDING, version="m1")
    correct(store, FINDING, version="m1")
    store.close()
    engine.dispose()
    theirs = """
        CREATE EXTENSION pg_trgm;
        CREATE TYPE colour AS ENUM ('red', 'green');
        CREATE TABLE task (id serial PRIMARY KEY, number int GENERATED ALWAYS AS IDENTITY, paint colour);
        CREATE INDEX ON task USING gin ((id::text) gin_trgm_ops);
        CREATE SEQUENCE loose;
        CREATE VIEW red AS SELECT * FROM task WHERE paint = 'red';
        CREATE MATERIALIZED VIEW counted AS SELECT count(*) FROM task;
        CREATE FUNCTION twice(int) RETURNS int LANGUAGE sql AS 'SELECT 2 * $1';
    """
    with psycopg.connect(server.url("labelstudio").replace("+psycopg", "")) as connection:
        connection.execute(theirs)
    make_roles(server, secrets)

    with connect(server, *THEIRS) as connection:
        connection.execute("ALTER TABLE task ADD COLUMN word text")
        connection.execute("INSERT INTO task (paint) VALUES ('red')")
        connection.execute("ALTER TYPE colour ADD VALUE 'blue'")
        connection.execute("REFRESH MATERIALIZED VIEW counted")
        connection.execute("DROP FUNCTION twice(int)")
        connection.execute("DROP VIEW red")
        connection.execute("DROP SEQUENCE loose")
    url = f"postgresql+psycopg://yolo_mlsam:of yolo_mlsam's@127.0.0.1:{server.port}/mlsam"
    engine = open_database(url)  # it migrates as its owner
    store = AnnotationStore(engine)
    assert len(list(store.corrections(1))) == 1
    correct(store, FINDING, annotation=4, task=6, version="m1")
    assert len(list(store.corrections(1))) == 2
    store.close()
    engine.dispose()
    with connect(server, *OURS) as connection:
        strangers = connection.execute(
            "SELECT relname FROM pg_class JOIN pg_namespace n ON n.oid = relnamespace"
            " WHERE nspname = 'public' AND relkind IN ('r', 'S', 'v') AND pg_get_userbyid(relowner) <> 'yolo_mlsam'"
        ).fetchall()
    assert strangers == []


def test_a_new_password_counts_after_the_next_run(server, secrets):
    make_roles(server, secrets)
    (secrets / "postgres_yolo_mlsam_password").write_text("another")
    make_roles(server, secrets)
    connect(server, *OURS, password="another").close()
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        connect(server, *OURS)


def test_keda_counts_runs_and_reads_nothing_else(server, secrets):
    make_roles(server, secrets)
    open_database(f"postgresql+psycopg://yolo_mlsam:of yolo_mlsam's@127.0.0.1:{server.port}/mlsam").dispose()
    manual = (KUBERNETES / "README.md").read_text()
    (commands,) = re.findall(r"```sql\n(.*?)```", manual, re.DOTALL)
    run(server, "psql", "--quiet", "--set", "ON_ERROR_STOP=1", "--dbname", "postgres", input=dedent(commands))
    triggers = next(
        each
        for each in yaml.safe_load_all((KUBERNETES / "scaling.yaml").read_text())
        if each["kind"] == "ScaledObject"
    )["spec"]["triggers"]
    (query,) = [each["metadata"]["query"] for each in triggers if each["type"] == "postgresql"]
    with connect(server, "scaler", "mlsam", password="...") as connection:
        assert connection.execute(query).fetchone() == (0,)
        for refused in ("SELECT * FROM model_version", "DELETE FROM run", "CREATE TABLE t (id int)"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(refused)
    with pytest.raises(psycopg.OperationalError, match="permission denied for database"):
        connect(server, "scaler", "labelstudio", password="...")
