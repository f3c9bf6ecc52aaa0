"""LabelStudioClient asks for the right things, and leaves a project connected the way we need it."""

from __future__ import annotations

import os
from pathlib import Path

import httpx
import pytest

from mammo.errors import LabelStudioError, UnreadableImage
from mammo.labelstudio.client import IMPORT_BATCH, PAGE, SECRET_HEADER, WEBHOOK_ACTIONS, LabelStudioClient
from mammo.labelstudio.project_connection import TITLE
from tests.fakes.label_studio import KEY, URL, FakeLabelStudio

BACKEND = "http://backend.test:9090"


@pytest.fixture
def server() -> FakeLabelStudio:
    server = FakeLabelStudio()
    server.projects[1] = {"id": 1, "title": "a project", "model_version": ""}
    return server


@pytest.fixture
def client(server: FakeLabelStudio) -> LabelStudioClient:
    return LabelStudioClient(URL, KEY, transport=server.transport)


def connect(client: LabelStudioClient, url: str = BACKEND) -> None:
    client.connect_backend(1, url, user="u", password="p", webhook_secret="s3cret")


def assert_one_right_webhook(server: FakeLabelStudio, url: str = BACKEND) -> None:
    (hook,) = [hook for hook in server.webhooks if hook["url"].startswith(url)]
    assert hook["url"] == f"{url}/webhook"
    assert hook["headers"] == {SECRET_HEADER: "s3cret"}
    assert hook["actions"] == list(WEBHOOK_ACTIONS)
    assert (hook["send_for_all_actions"], hook["send_payload"], hook["is_active"]) == (False, True, True)


def test_connecting_leaves_one_interactive_backend_with_password_and_one_webhook_with_the_secret(
    server: FakeLabelStudio, client: LabelStudioClient
) -> None:
    connect(client)
    (backend,) = server.backends
    assert backend | {"auth_method": "BASIC_AUTH", "basic_auth_user": "u", "basic_auth_pass": "p"} == backend
    assert backend["is_interactive"] is True
    assert_one_right_webhook(server)


@pytest.mark.parametrize("url", [BACKEND, BACKEND + "/"])
def test_connecting_again_repairs_what_is_there_and_adds_nothing(
    server: FakeLabelStudio, client: LabelStudioClient, url: str
) -> None:
    connect(client)
    server.webhooks[0] |= {"headers": {}, "actions": [], "is_active": False}
    server.webhooks.append({**server.webhooks[0], "id": 7})
    server.webhooks.append({"id": 8, "url": "http://somebody.else/webhook", "headers": {}, "actions": []})
    connect(client, url)
    assert len(server.backends) == 1
    assert_one_right_webhook(server)
    assert [hook["id"] for hook in server.webhooks] == [1, 8]


def test_a_webhook_that_somebody_deleted_is_made_again(
    server: FakeLabelStudio, client: LabelStudioClient
) -> None:
    connect(client)
    server.webhooks.clear()
    connect(client)
    assert_one_right_webhook(server)


def test_what_an_earlier_address_of_ours_left_behind_is_removed_and_other_peoples_stay(
    server: FakeLabelStudio, client: LabelStudioClient
) -> None:
    connect(client, "http://old.test:9090")
    other = {"id": 50, "title": "another model", "url": "http://other.test", "model_version": "x"}
    server.backends.append(other)
    server.webhooks.append({"id": 51, "url": "http://other.test/webhook", "headers": {}, "actions": []})
    connect(client)
    assert [row["url"] for row in server.backends] == ["http://other.test", BACKEND]
    assert [hook["url"] for hook in server.webhooks] == ["http://other.test/webhook", f"{BACKEND}/webhook"]


def test_two_rows_to_the_same_address_become_one(server: FakeLabelStudio, client: LabelStudioClient) -> None:
    connect(client)
    server.backends.append({**server.backends[0], "id": 9})
    connect(client)
    assert [row["id"] for row in server.backends] == [1]


def test_annotators_see_the_served_version_once_it_has_predictions_and_the_backends_title_before(
    server: FakeLabelStudio, client: LabelStudioClient
) -> None:
    connect(client)
    assert server.projects[1]["model_version"] == TITLE
    server.versions = {"m0000-zz": 3}
    server.projects[1]["model_version"] = "m0000-zz"
    connect(client)
    assert server.projects[1]["model_version"] == "m0000-zz", "an older version is better than none"
    server.versions = {"m0000-zz": 3, "m0001-aa": 2}
    connect(client)
    assert server.projects[1]["model_version"] == "m0001-aa"


@pytest.mark.parametrize("count", [0, 1, PAGE - 1, PAGE, PAGE + 1, 3 * PAGE])
def test_every_task_comes_once_however_many_pages_there_are(
    server: FakeLabelStudio, client: LabelStudioClient, count: int
) -> None:
    server.tasks = [{"id": n, "data": {"n": n}} for n in range(count)]
    assert [task["id"] for task in client.tasks(1)] == list(range(count))


def test_tasks_are_imported_in_order_and_in_batches(
    server: FakeLabelStudio, client: LabelStudioClient
) -> None:
    project = client.create_project("title", "<View/>")
    assert project in server.projects
    data = [{"image": f"/{n}.png"} for n in range(IMPORT_BATCH + 3)]
    ids = client.import_tasks(project, data)
    assert [task["data"] for task in server.tasks] == data
    assert ids == [task["id"] for task in server.tasks]
    assert client.import_tasks(project, []) == []


def test_a_project_is_found_by_its_whole_title_only(client: LabelStudioClient) -> None:
    first = client.create_project("mammograms", "<View/>")
    client.create_project("mammograms 2", "<View/>")
    client.create_project("mammograms", "<View/>")
    assert client.find_project("mammograms") == first
    assert client.find_project("mammo") is None


def test_a_storage_row_is_made_once(server: FakeLabelStudio, client: LabelStudioClient) -> None:
    assert client.add_local_storage(1, Path("/files/a")) == client.add_local_storage(1, Path("/files/a"))
    assert client.add_local_storage(1, Path("/files/b")) != client.add_local_storage(1, Path("/files/a"))
    assert [row["path"] for row in server.storages] == ["/files/a", "/files/b"]


def test_health_is_a_plain_no_while_the_server_is_away(client: LabelStudioClient) -> None:
    def refuse(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused")

    assert client.health()
    assert not LabelStudioClient(URL, KEY, transport=httpx.MockTransport(refuse)).health()


def test_a_missing_project_is_an_error_with_its_status_as_code(client: LabelStudioClient) -> None:
    with pytest.raises(LabelStudioError, match="answered 404 to GET /api/projects/5/next/") as error:
        client.call("GET", "/api/projects/5/next/")
    assert error.value.code == "label_studio_404"


def test_a_list_that_is_not_there_is_an_error_and_not_an_empty_list(
    server: FakeLabelStudio, client: LabelStudioClient
) -> None:
    server.routes = []
    with pytest.raises(LabelStudioError, match="answered 404"):
        list(client.tasks(99))


def test_an_upload_of_a_name_that_is_no_text_is_refused_before_anything_is_sent(
    server: FakeLabelStudio, client: LabelStudioClient, tmp_path: Path
) -> None:
    files = [tmp_path / "a.png", tmp_path / os.fsdecode(b"\xfc.png")]
    for file in files:
        file.write_bytes(b"x")
    with pytest.raises(UnreadableImage) as caught:
        client.upload_images(1, files)
    assert caught.value.code == "file_name"
    assert server.tasks == []
