"""`/api/v1/notifications` and its page: administrators choose who is notified of what."""

from __future__ import annotations

from typing import Any

import pytest

from mammo.notifications import TOPICS
from tests.backend.api.test_api import program
from tests.backend.console.access import browser, submit
from tests.backend.fakes import Backend

CHANNELS = "/api/v1/notifications/channels"


@pytest.fixture
def backend() -> Backend:
    return Backend(changes={"notification_secret": "a secret of a test"})


def test_a_channel_is_added_tested_listed_and_removed_and_the_trail_says_by_whom(backend: Backend) -> None:
    client = program(backend)
    added = client.post(CHANNELS, json={"kind": "note", "project": 3, "topics": ["promoted"]})
    assert added.status_code == 201, added.text
    number = added.json()["id"]
    tested = client.post(f"{CHANNELS}/{number}/test").json()
    assert (tested["state"], tested["topic"]) == ("delivered", "test")
    assert [each["id"] for each in client.get(CHANNELS).json()["channels"]] == [number]
    assert client.get("/api/v1/notifications/log").json()["messages"][0]["channel"] == number
    assert client.delete(f"{CHANNELS}/{number}").status_code == 200
    assert client.get(CHANNELS).json()["channels"] == []
    trail = backend.services.site.access.trail.newest(limit=2)
    assert [(each.action, each.actor) for each in trail] == [
        ("channel removed", "key of-administrator"),
        ("channel added", "key of-administrator"),
    ]


@pytest.mark.parametrize(
    ("order", "status"),
    [
        ({"kind": "pigeon"}, 422),
        ({"kind": "note", "topics": ["lunch"]}, 422),
        ({"kind": "webhook", "target": "ftp://receiver.example"}, 422),
        ({"kind": "email", "target": "a@b.example"}, 409),
        ({"kind": "note", "quiet_days": 0}, 422),
    ],
)
def test_a_channel_that_is_none_is_refused(backend: Backend, order: Any, status: int) -> None:
    refused = program(backend).post(CHANNELS, json=order)
    assert (refused.status_code, set(refused.json())) == (status, {"error", "message"})


def test_an_unknown_channel_is_refused(backend: Backend) -> None:
    client = program(backend)
    assert client.delete(f"{CHANNELS}/9").status_code == 422
    assert client.post(f"{CHANNELS}/9/test").status_code == 422


def test_a_lead_sees_no_channel(backend: Backend) -> None:
    assert program(backend, "lead").get(CHANNELS).status_code == 403
    client = browser(backend, "lead")
    assert client.get("/console/notifications").status_code == 403
    assert "/console/notifications" not in client.get("/console").text


def test_the_page_adds_tests_and_removes_a_channel_and_hides_what_may_be_secret(backend: Backend) -> None:
    client, path = browser(backend, "administrator"), "/console/notifications"
    form = {"kind": "webhook", "target": "https://receiver.example/hook/token", "topic-promoted": "on"}
    assert submit(client, path, on=path, **form).status_code == 303
    page = client.get(path).text
    assert "https://receiver.example/…" in page
    assert "token" not in page.replace("X-CSRF-Token", "").split("receiver.example")[1][:40]
    (channel,) = backend.services.site.notifications.channels.all()
    assert channel.topics == ("promoted",)
    assert submit(client, path, on=path, kind="note", target="", quiet_days="x").status_code == 422
    assert submit(client, path, on=path, kind="note", target="", project="3").status_code == 303
    assert backend.services.site.notifications.channels.all()[1].topics == TOPICS
    assert submit(client, f"{path}/2/test", on=path).status_code == 303
    assert "delivered" in client.get(path).text
    assert submit(client, f"{path}/1/remove", on=path).status_code == 303
    assert "receiver.example" not in client.get(path).text
