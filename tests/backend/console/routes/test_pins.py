"""A project is pinned and unpinned on the console and over HTTP; who did it and why is shown."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from backend.model_moves import pin, unpin
from mammo.models import STARTER, ModelRegistry, Pin
from tests.backend.api.test_api import program
from tests.backend.console.access import browser, submit
from tests.backend.fakes import Backend
from tests.mammo.exchange.import_files import FakeTasks
from tests.mammo.models.versions import register

HOSTILE = "<script>alert(1)</script>"


class WithVersions(Backend):
    second: str


@pytest.fixture
def backend(tmp_path: Path, engine: Any) -> WithVersions:
    registry = ModelRegistry(engine, tmp_path / "blobs")
    registry.ensure_starter(STARTER)
    announced: list[str] = []
    label_studio = FakeTasks()  # with project 7
    label_studio.server.add_project(9)
    made = WithVersions(
        engine=engine,
        changes={"project_models": "9=m0"},
        parts={
            "registry": registry,
            "label_studio": label_studio,
            "announce_champion": announced.append,
            "make_room": lambda: None,
        },
    )
    made.second = register(registry, tmp_path, "a")
    return made


def test_a_project_is_pinned_shown_and_unpinned_on_the_console(backend: WithVersions) -> None:
    client = browser(backend, "administrator", name="anna")
    runs = backend.services.site.runs.runs
    runs.cancel(runs.request(7, recipe="smoke", reason="first", trigger="cli").run)
    done = submit(
        client, "/console/pins", on="/console/models", project="7", version=backend.second, reason=HOSTILE
    )
    assert (done.status_code, done.headers["Location"]) == (303, "/console/models#pins"), done.text
    page = client.get("/console/models").text
    assert HOSTILE not in page
    assert "&lt;script&gt;" in page
    assert "YOLO_MLSAM_PROJECT_MODELS" in page  # the pin of project 9
    overview = client.get("/console").text
    assert "pinned</strong> by <bdi>anna</bdi>" in overview
    assert "It is not loaded, so this project gets no prelabels yet" in overview
    assert "Pinned in</dt><dd>project 7" in client.get(f"/console/models/{backend.second}").text
    undone = submit(client, "/console/pins/remove", on="/console/models", project="7", reason="over")
    assert undone.status_code == 303
    assert backend.services.site.pins.versions() == {9: "m0"}


def test_a_version_is_typed_by_its_beginning_if_only_one_begins_so(
    backend: WithVersions, tmp_path: Path
) -> None:
    registry = cast(ModelRegistry, backend.services.site.registry)
    third = register(registry, tmp_path, "b")
    client = browser(backend, "administrator")
    page = client.get("/console/models").text
    assert f'<option value="{third}"></option>' in page
    form = {"project": "7", "reason": "x"}
    refused = submit(client, "/console/pins", on="/console/models", version="m", **form)
    assert (refused.status_code, "2 versions begin with m" in refused.text) == (404, True), refused.text
    assert submit(client, "/console/pins", on="/console/models", version=third[:5], **form).status_code == 303
    assert backend.services.site.pins.versions()[7] == third


@pytest.mark.parametrize(
    ("fields", "status", "said"),
    [
        ({"project": "9"}, 409, "the settings pin project 9"),
        ({"project": "8"}, 404, "has no project 8"),
        ({"project": "07"}, 422, "choose a project"),
        ({"version": "m9999-00000000"}, 404, "no model version"),
        ({"reason": " "}, 422, "give a reason"),
    ],
)
def test_a_pin_that_would_have_no_effect_is_refused_with_the_reason(
    backend: WithVersions, fields: dict[str, str], status: int, said: str
) -> None:
    client = browser(backend, "administrator")
    form = {"project": "7", "version": backend.second, "reason": "x", **fields}
    refused = submit(client, "/console/pins", on="/console/models", **form)
    assert (refused.status_code, said.lower() in refused.text.lower()) == (status, True), refused.text
    assert backend.services.site.pins.versions() == {9: "m0"}


def test_the_same_over_http_for_administrators_only(backend: WithVersions) -> None:
    order = {"version": backend.second, "reason": "the trial ends with it"}
    viewer = browser(backend, "viewer")
    assert "/console/pins" not in viewer.get("/console/models").text
    client = program(backend)
    pinned = client.post("/api/v1/projects/7/pin", json=order).json()
    assert (pinned["version"], pinned["actor"]) == (backend.second, "key of-administrator")
    assert [each["project"] for each in client.get("/api/v1/pins").json()["pins"]] == [7, 9]
    done = client.post("/api/v1/projects/7/unpin", json={"reason": "over"}).json()
    assert done == {"project": 7, "unpinned_from": backend.second}
    assert client.post("/api/v1/projects/7/unpin", json={"reason": "again"}).status_code == 404
    assert (
        client.post("/api/v1/projects/9/unpin", json={"reason": "x"}).json()["error"] == "pinned_by_settings"
    )
    assert client.post("/api/v1/projects/7/pin", json={"version": backend.second}).status_code == 422
    assert program(backend, "lead").post("/api/v1/projects/7/pin", json=order).status_code == 403


def test_a_pin_that_was_made_does_not_fail_for_want_of_a_champion() -> None:
    told: list[str] = []
    site = SimpleNamespace(
        label_studio=None,
        registry=SimpleNamespace(find=lambda name: name),
        pins=SimpleNamespace(
            pin=lambda project, version, **_: Pin(project=project, version=version),
            unpin=lambda project, **_: "m0002",
        ),
        make_room=lambda: None,
        announce_champion=told.append,
    )
    assert pin(cast(Any, site), 7, "m0002", reason="x", actor="anna").version == "m0002"
    assert unpin(cast(Any, site), 7, reason="x", actor="anna") == "m0002"
    assert len(told) == 2
