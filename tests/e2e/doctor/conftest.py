"""A ward for doctor's tests: a connected project, and what each test must leave behind."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from cli.demo.embedded_redis import start_redis
from cli.demo.label_studio_server import wait_for_label_studio
from cli.demo.processes import Processes, free_port
from cli.demo.stack import Stack
from mammo.database import open_database
from mammo.labelstudio import LabelStudioClient, labeling_config
from mammo.settings import Settings
from tests.backend.fakes import PASSWORD, SECRET
from tests.e2e.site import Ward, picture, serving


@pytest.fixture(scope="module")
def ward(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ward]:
    """A project that is in order: connected, one task, one prediction of the served version."""
    wait_for_label_studio(stack.processes, stack.label_studio)
    folder = tmp_path_factory.mktemp("ward")
    with Processes(folder / "logs") as processes:
        redis = start_redis(processes, folder / "redis")
        port = free_port()
        settings = Settings.load(
            data_dir=folder / "data",
            redis_url=redis.url,
            port=port,
            auth_password=PASSWORD,
            webhook_secret=SECRET,
            label_studio_url=stack.label_studio.url,
            label_studio_api_key=stack.label_studio.api_key,
        )
        open_database(settings.database).dispose()
        client = LabelStudioClient(stack.label_studio.url, stack.label_studio.api_key)
        images = folder / "images"
        images.mkdir()
        (images / "scan.png").write_bytes(picture())
        project = client.create_project("ward", labeling_config())
        client.upload_images(project, [images / "scan.png"])
        with serving(settings, port) as backend:
            made = Ward(stack.label_studio, client, settings, backend, f"http://127.0.0.1:{port}", project)
            made.push("m1")
            made.look().reconnect()
            yield made
        client.close()


@pytest.fixture(autouse=True)
def in_order(ward: Ward) -> Iterator[None]:
    """Every test begins and ends with a project that is in order."""
    assert ward.broken() == {}
    yield
    ward.look().reconnect()
    assert ward.broken() == {}
