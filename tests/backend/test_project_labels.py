"""The backend as it is wired: effort, trace, shadow comparison and stage of a project with labels of its own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from backend.__main__ import wire
from backend.app import create_app
from mammo.database import open_database
from mammo.models import ModelRegistry
from mammo.settings import Settings
from mammo.site import Site
from tests.backend.fakes import BASIC, PASSWORD, SECRET
from tests.fakes.label_studio import KEY, FakeLabelStudio
from tests.fakes.served import served
from tests.mammo.corrected import CONFIG, correct, show
from tests.mammo.models.versions import register
from tests.training.detections import square

FIRST, SECOND = square(20, 20, name="c1"), square(200, 20, name="c2")
LATER = 60 * 24 * 365 * 5


@pytest.fixture
def site(tmp_path: Path) -> Iterator[tuple[TestClient, FakeLabelStudio]]:
    fake = FakeLabelStudio()
    fake.projects[1] = {"id": 1, "label_config": CONFIG}
    with served(fake) as url:
        settings = Settings.load(
            data_dir=tmp_path,
            auth_password=PASSWORD,
            webhook_secret=SECRET,
            label_studio_url=url,
            label_studio_api_key=KEY,
        )
        services = wire(Site(settings=settings, creates=True))
        registry = ModelRegistry(open_database(settings.database), settings.blobs)
        champion = registry.champion().version
        show(services.store, FIRST, SECOND, version=champion)
        second = register(registry, tmp_path, "a", parent=champion)
        registry.name_challenger(second, reason="run")
        show(services.store, FIRST, version=second, shown=False)
        correct(services.store, FIRST, version=champion, minutes=LATER)
        yield TestClient(create_app(services), raise_server_exceptions=False), fake
        services.site.close()


def get(client: TestClient, path: str) -> dict:
    answer = client.get(path, headers=BASIC)
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_all_that_is_counted_is_counted_with_the_projects_own_label(site) -> None:
    client, _ = site
    (row,) = get(client, "/projects/1/effort")["groups"]
    assert (row["images"], row["accept_rate"], row["deleted_per_image"]) == (1, 0.5, 1.0)
    (deed,) = get(client, "/annotations/3/trace")["history"]
    assert [change["kind"] for change in deed["changes"]] == ["accepted", "deleted"]
    found = get(client, "/projects/1/shadow?versions=champion,challenger")
    assert (found["agreement"]["both"], found["agreement"]["first_only"]) == (1, 1)
    evidence = get(client, "/projects/1/stage")["evidence"]
    assert evidence["prelabelled"]["accept_rate"] == 0.5


def test_where_label_studio_does_not_say_what_a_cluster_is_called_nothing_is_counted(site) -> None:
    client, fake = site
    fake.projects.clear()
    for path in (
        "/projects/1/effort",
        "/annotations/3/trace",
        "/projects/1/shadow?versions=champion,challenger",
    ):
        answer = client.get(path, headers=BASIC)
        assert (answer.status_code, answer.json()["error"]) == (502, "label_studio_404")
        assert "labeling config of project 1 cannot be read" in answer.json()["message"]
    assert "cannot be read" in get(client, "/projects/1/stage")["evidence"]["problem"]
