"""Projects that stay with an older model version are served by it, or told clearly that they are not."""

from __future__ import annotations

from typing import Any

from backend.model_host import ProjectVersions
from tests.backend.fakes import BASIC, Backend

TASK = {"id": 7, "data": {"image": "/x.png", "sha256": "a" * 64}}


def setup(backend: Backend, project: str, **body: Any) -> Any:
    return backend.client.post("/setup", json={"project": project, **body}, headers=BASIC)


def test_a_pinned_project_is_served_by_its_version_and_the_others_by_the_champion() -> None:
    backend = Backend(changes={"project_models": "3=m0"})
    assert setup(backend, "3.1795411016").json() == {"model_version": "m0"}
    assert setup(backend, "4.1795411016").json() == {"model_version": "m1"}
    (pinned,) = backend.predict(TASK).json()["results"]
    (free,) = backend.predict(TASK, project="4.1795411016").json()["results"]
    assert (pinned["model_version"], free["model_version"]) == ("m0", "m1")
    assert backend.client.get("/versions", headers=BASIC).json() == {"versions": ["m0", "m1"]}


def test_a_new_champion_leaves_a_pinned_project_alone() -> None:
    backend = Backend(changes={"project_models": "3=m0"})
    backend.registry.version = "m2"
    backend.host.look()
    assert setup(backend, "3.1").json() == {"model_version": "m0"}
    assert setup(backend, "4.1").json() == {"model_version": "m2"}


def test_a_pinned_version_that_does_not_load_is_never_replaced_by_another_one() -> None:
    backend = Backend(changes={"project_models": "3=gone"})
    backend.registry.broken = {"gone"}
    backend.host = type(backend.host)(
        backend.registry,
        load=backend.registry.load,
        every=1,
        projects=ProjectVersions(before_first_look={3: "gone"}),
    )
    backend.host.look()
    object.__setattr__(backend.services, "host", backend.host)
    answer = backend.predict(TASK)
    assert (answer.status_code, answer.json()["error"]) == (503, "model_not_loaded")
    assert setup(backend, "3.1").status_code == 503
    assert setup(backend, "4.1").json() == {"model_version": "m1"}


def test_a_connection_that_asks_for_another_version_than_the_one_that_serves_is_refused() -> None:
    backend = Backend(changes={"project_models": "3=m0"})
    assert setup(backend, "3.1", extra_params={"model_version": "m0"}).status_code == 200
    refused = setup(backend, "4.1", extra_params={"model_version": "m0"})
    assert (refused.status_code, refused.json()["error"]) == (409, "other_model")
    assert "yolo-mlsam models pin" in refused.json()["message"]
