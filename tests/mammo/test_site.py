"""One composition root: every part of an installation is built in `mammo.site` or its bases; reading makes nothing."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest
import sqlalchemy as sa

from mammo.database import SCHEMA, open_database, writing
from mammo.errors import InvalidSettings, LabelStudioError, StorageUnavailable
from mammo.models.provisional import serve
from mammo.site import Site

ROOT = Path(__file__).parents[2]
PRODUCT = ("mammo", "backend", "worker", "training", "cli")
COMPOSED = {
    "AnnotationStore",
    "Backgrounds",
    "Blinding",
    "ImageDownloads.of",
    "JobQueue",
    "LabelStudioClient",
    "ModelRegistry",
    "PacsClient.of",
    "ProjectTags",
    "ReadingService",
    "Retriever",
    "RunService.of",
    "Settings.load",
    "StageService.of",
    "TaskImages",
    "UidMap",
    "WorklistService",
    "Withholding",
    "open_database",
    "redis_connection",
}


def called(tree: ast.Module) -> set[str]:
    """Names of what a module calls: `f` and `A.of`."""
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            names.add(node.func.id)
        elif (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and isinstance(node.func.value, ast.Name)
        ):
            names.add(f"{node.func.value.id}.{node.func.attr}")
    return names


def test_each_part_is_composed_in_the_site_and_nowhere_else() -> None:
    root = ("mammo/site.py", "mammo/site_exchange.py", "mammo/site_storage.py")
    places: dict[str, list[str]] = {name: [] for name in COMPOSED}
    for package in PRODUCT:
        for file in sorted((ROOT / package).rglob("*.py")):
            for name in called(ast.parse(file.read_text())) & COMPOSED:
                places[name].append(file.relative_to(ROOT).as_posix())
    assert {name: [file in root for file in files] for name, files in places.items()} == {
        name: [True] for name in COMPOSED
    }, places


def test_a_part_is_built_once(tmp_path: Path) -> None:
    with Site.load(creates=True, data_dir=tmp_path) as site:
        assert site.store is site.store
        assert site.images is site.images
        assert site.readings.__self__ is site


def test_without_label_studio_what_needs_it_says_what_to_set(tmp_path: Path) -> None:
    with Site.load(creates=True, data_dir=tmp_path) as site:
        assert site.label_studio is None
        for ask in (lambda: site.client, site.readings, lambda: site.worklist):
            with pytest.raises(InvalidSettings, match="YOLO_MLSAM_LABEL_STUDIO_API_KEY"):
                ask()
        with pytest.raises(LabelStudioError, match="labeling config"):
            site.tags(1)


def test_a_command_that_reads_makes_neither_folder_nor_database(tmp_path: Path) -> None:
    with Site.load(data_dir=tmp_path / "data") as site, pytest.raises(StorageUnavailable) as none:
        _ = site.store
    assert none.value.code == "no_database"
    assert "yolo-mlsam serve" in str(none.value)
    assert not (tmp_path / "data").exists()


def test_a_database_of_another_release_is_left_as_it_is(tmp_path: Path) -> None:
    with Site.load(creates=True, data_dir=tmp_path) as site:
        url = site.settings.database
        _ = site.engine
    engine = sa.create_engine(url)
    for schema, code in (("0001", "older_database"), ("9999", "newer_database")):
        with engine.begin() as connection:
            connection.execute(
                sa.text("UPDATE alembic_version SET version_num = :schema"), {"schema": schema}
            )
        with Site.load(data_dir=tmp_path) as site, pytest.raises(StorageUnavailable, match=SCHEMA) as other:
            _ = site.engine
        assert other.value.code == code
        with engine.connect() as connection:
            assert connection.scalar(sa.text("SELECT version_num FROM alembic_version")) == schema
    engine.dispose()


def test_the_starter_is_registered_where_an_installation_is_set_up(tmp_path: Path) -> None:
    with Site.load(creates=True, data_dir=tmp_path) as site:
        assert site.serving(7) == site.registry.champion().version
    with Site.load(data_dir=tmp_path, project_models="7=m0001-aa") as site:
        assert site.serving(7) == "m0001-aa"
        assert site.serving(8).startswith("starter-")
        with writing(site.engine) as connection:
            for project in (7, 9):
                serve(connection, project, "p0002-bb", reason="better", actor="test")
        assert site.serving(7) == "m0001-aa"  # a setting goes before
        assert site.serving(9) == "p0002-bb"


def test_runs_are_listed_without_the_libraries_of_images_and_networks(tmp_path: Path) -> None:
    open_database(f"sqlite:///{tmp_path / 'yolo-mlsam.db'}").dispose()
    script = (
        "import sys; from mammo.site import Site; print(len(Site.load().runs.runs.newest()), *sys.modules)"
    )
    environment = {**os.environ, "YOLO_MLSAM_DATA_DIR": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, check=True)
    number, *modules = done.stdout.decode().split()
    assert number == "0"
    assert {"torch", "pydicom", "scipy", "cv2", "label_studio_sdk"} & set(modules) == set()
