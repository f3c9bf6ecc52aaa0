"""The backup of docs/deployment.md as it stands there, on a real PostgreSQL; a script stands in for Compose."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from mammo.annotations import AnnotationStore
from mammo.blobs import Blobs
from mammo.database import open_database
from tests.mammo.corrected import correct, show
from tests.postgres_server import PostgresServer, postgres_programs
from tests.training.detections import square

ROOT = Path(__file__).parents[2]
MANUAL = ROOT / "docs/deployment.md"
STAND_IN = """#!/bin/sh
# What Compose does for the blocks of the manual: run a program of a container, and copy files out of a volume.
place() {
    echo "$1" | sed -e "s#^backend:/data#$SITE/data#" -e "s#^label-studio:/label-studio/data#$SITE/label-studio#"
}
test "$1" = compose; shift
case "$1" in
    exec) test "$2 $3" = "-T postgres"; shift 3; exec "$@" ;;
    cp) exec cp -a "$(place "$2")" "$3" ;;
    run)
        while [ "$1" != --entrypoint ]; do shift; done
        program="$2"; service="$3"; shift 3
        [ "$service" = admin ] && service=backend
        for word; do shift; set -- "$@" "$(place "$service:$word" | sed "s#^$service:##")"; done
        exec "$program" "$@" ;;
    *) exit 9 ;;
esac
"""


class Server:
    """One server with Docker: its PostgreSQL, its volumes and its folder of the compose file."""

    def __init__(self, folder: Path, secrets: Path | None = None) -> None:
        self.folder = folder
        (folder / "data").mkdir(parents=True)
        (folder / "label-studio").mkdir()
        self.postgres = PostgresServer(listens=True).start()
        with psycopg.connect(
            self.postgres.url("postgres").replace("+psycopg", ""), autocommit=True
        ) as connection:
            connection.execute("CREATE ROLE postgres SUPERUSER LOGIN")
        if secrets:
            shutil.copytree(secrets, folder / "secrets")
        subprocess.run([sys.executable, ROOT / "deploy/make_env.py", folder], check=True, capture_output=True)
        program = folder / "bin/docker"
        program.parent.mkdir()
        program.write_text(STAND_IN)
        program.chmod(0o755)
        self.run(f"sh {ROOT}/deploy/postgres/roles.sh")

    def run(self, commands: str, **variables: object) -> None:
        environment = {
            "PATH": f"{self.folder}/bin:{postgres_programs()}:/usr/local/bin:/usr/bin:/bin",
            "PGUSER": "tests",
        }
        environment |= {"PGHOST": str(self.postgres.folder), "PGPORT": str(self.postgres.port)}
        environment |= {"SECRETS": f"{self.folder}/secrets", "SITE": str(self.folder)}
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", commands],
            cwd=self.folder,
            env=environment | {name: str(value) for name, value in variables.items()},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr

    def url(self, role: str, database: str) -> str:
        password = (self.folder / f"secrets/postgres_{role}_password").read_text()
        return f"postgresql+psycopg://{role}:{password}@127.0.0.1:{self.postgres.port}/{database}"

    def destroy(self) -> None:
        self.postgres.stop()
        shutil.rmtree(self.postgres.folder, ignore_errors=True)


@pytest.fixture
def servers(tmp_path) -> Iterator[tuple[Server, Server]]:
    old = Server(tmp_path / "old")
    new = Server(tmp_path / "new", old.folder / "secrets")
    yield old, new
    for each in (old, new):
        each.destroy()


def block(title: str) -> str:
    (found,) = re.findall(rf"```bash\n(# {title}:.*?)```", MANUAL.read_text(encoding="utf-8"), re.DOTALL)
    return found


def test_a_new_server_has_everything_of_the_old_one_as_the_same_roles(servers, tmp_path):
    old, new = servers
    engine = open_database(old.url("yolo_mlsam", "mlsam"))
    store = AnnotationStore(engine)
    finding = square(20, 20, name="c1")
    show(store, finding, version="m1")
    correct(store, finding, version="m1")
    digest = Blobs(old.folder / "data/blobs").put(b"weights")
    (old.folder / "label-studio/media").mkdir()
    (old.folder / "label-studio/media/upload.png").write_bytes(b"picture")
    theirs = old.url("label_studio", "labelstudio").replace("+psycopg", "")
    with psycopg.connect(theirs) as connection:
        connection.execute("CREATE TABLE task (id serial PRIMARY KEY, word text)")
        connection.execute("CREATE EXTENSION pg_trgm")
        connection.execute("INSERT INTO task (word) VALUES ('read')")

    old.run(block("Back up, Docker"), BACKUP=tmp_path / "backup")  # the services go on
    store.close()
    engine.dispose()
    new.run(block("Restore, Docker"), BACKUP=tmp_path / "backup")

    engine = open_database(new.url("yolo_mlsam", "mlsam"))
    store = AnnotationStore(engine)
    assert len(list(store.corrections(1))) == 1
    correct(store, finding, annotation=4, task=6, version="m1")
    store.close()
    engine.dispose()
    assert Blobs(new.folder / "data/blobs").read(digest) == b"weights"
    assert (new.folder / "label-studio/media/upload.png").read_bytes() == b"picture"
    with psycopg.connect(new.url("label_studio", "labelstudio").replace("+psycopg", "")) as connection:
        connection.execute("ALTER TABLE task ADD COLUMN more text")
        assert connection.execute("INSERT INTO task (word) VALUES ('new') RETURNING id").fetchone() == (2,)
    kept = {file.name: file.read_text() for file in (tmp_path / "backup/secrets").iterdir()}
    assert kept == {file.name: file.read_text() for file in (old.folder / "secrets").iterdir()}
    assert os.access(tmp_path / "backup/.env", os.R_OK)
