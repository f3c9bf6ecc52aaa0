"""The commands of the operations manual, run as they stand there: what they restore is the site that was backed up."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
import sqlalchemy as sa

from mammo.annotations import AnnotationStore
from mammo.blobs import Blobs
from mammo.database import metadata, open_database, reading
from mammo.efforts.effort_records import effort_records
from mammo.models import ModelRegistry
from tests.mammo.corrected import SECRET, TAGS, correct, show
from tests.mammo.models.versions import register
from tests.training.detections import square

MANUAL = Path(__file__).parent.parent / "docs/operations.md"
FIRST, SECOND = square(20, 20, name="c1"), square(200, 20, name="c2")


def commands(title: str) -> str:
    """The block of shell commands in the manual that begins with a comment."""
    blocks = re.findall(r"```bash\n(# (.+?):.*?)```", MANUAL.read_text(encoding="utf-8"), re.DOTALL)
    (found,) = (block for block, name in blocks if name == title)
    return found


def run(title: str, **variables: object) -> None:
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", commands(title)],
        env={"PATH": "/usr/local/bin:/usr/bin:/bin", **{key: str(value) for key, value in variables.items()}},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def content(engine: sa.Engine) -> dict[str, list[tuple]]:
    """Every row of every table."""
    with reading(engine) as connection:
        tables = {table.name: table for table in metadata.sorted_tables}
        names = set(sa.inspect(connection).get_table_names())
        assert names == set(tables) | {"alembic_version"}
        return {
            name: sorted(map(tuple, connection.execute(sa.select(t))), key=repr) for name, t in tables.items()
        }


def blobs_of(folder: Path) -> dict[str, int]:
    return {kept.digest: kept.bytes for kept in Blobs(folder).all()}


@pytest.fixture(params=["SQLite", "PostgreSQL"])
def places(request, tmp_path):
    """Two empty places for a database: as our URL, and as the tools of the database call it."""
    if request.param == "SQLite":
        files = [tmp_path / name / "yolo-mlsam.db" for name in ("old", "new")]
        return request.param, [(f"sqlite:///{file}", str(file)) for file in files]
    server = request.getfixturevalue("postgres_server")
    urls = [server.new_database() for _ in range(2)]
    return request.param, [(url, url.replace("+psycopg", "")) for url in urls]


def test_a_restored_site_has_the_same_store_the_same_registry_and_the_same_champion(places, tmp_path):
    kind, ((url, place), (new_url, new_place)) = places
    engine = open_database(url)
    store, registry = AnnotationStore(engine), ModelRegistry(engine, tmp_path / "old" / "blobs")
    first, second = (register(registry, tmp_path, name, licence="x") for name in "ab")
    epoch = registry.promote(first, expected_epoch=0, reason="the first").epoch
    registry.promote(second, expected_epoch=epoch, reason="better")
    registry.note(second, "verdict", {"promoted": True})
    show(store, FIRST, SECOND, version=second)
    correct(store, FIRST, version=second)
    before = effort_records(1, store=store, engine=engine, secret=SECRET, tags=TAGS)

    # The services go on running: the store is open, and what it wrote may still lie in SQLite's log.
    run(f"Back up, {kind}", DATA=tmp_path / "old", DATABASE=place, BACKUP=tmp_path / "backup")
    kept, files = content(engine), blobs_of(tmp_path / "old" / "blobs")
    correct(store, SECOND, annotation=4, task=6, version=second)  # after the backup
    store.close()
    engine.dispose()

    run(f"Restore, {kind}", DATA=tmp_path / "new", DATABASE=new_place, BACKUP=tmp_path / "backup")
    restored = open_database(new_url)
    assert content(restored) == kept
    assert blobs_of(tmp_path / "new" / "blobs") == files
    assert len(files) == 4
    again = ModelRegistry(restored, tmp_path / "new" / "blobs")
    assert again.champion().version == second
    assert again.files(second, into=tmp_path / "unpacked").detector.read_bytes() == b"detector b"
    assert [(move.version, move.reason) for move in again.history()] == [
        (first, "the first"),
        (second, "better"),
    ]
    store = AnnotationStore(restored)
    assert effort_records(1, store=store, engine=restored, secret=SECRET, tags=TAGS) == before
    correct(store, FIRST, SECOND, annotation=5, task=7, version=second)  # it goes on: numbers follow on
    assert len(list(store.corrections(1))) == 2
    assert again.roll_back("it goes on").version == first
    store.close()
    restored.dispose()
