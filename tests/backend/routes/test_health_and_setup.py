"""/health, /setup and /versions: from memory, one version string, no secrets given to strangers."""

from __future__ import annotations

import pytest

from tests.backend.fakes import BASIC, HOOK, PASSWORD, Backend, FakeRegistry

PROTECTED = [
    ("POST", "/setup"),
    ("GET", "/versions"),
    ("POST", "/predict"),
    ("GET", "/metrics"),
    ("POST", "/webhook"),
]


@pytest.mark.parametrize("path", ["/", "/health"])
def test_health_is_open_and_names_the_version_that_serves(path: str) -> None:
    answer = Backend().client.get(path)
    assert answer.status_code == 200
    assert answer.json() | {"status": "UP", "model_version": "m1"} == answer.json()


def test_health_answers_up_while_no_model_is_loaded_and_says_why() -> None:
    answer = Backend(registry=FakeRegistry(None)).client.get("/health")
    assert answer.status_code == 200
    assert answer.json()["model_version"] is None
    assert answer.json()["problem"] == "model_not_found"


def test_setup_versions_and_predict_name_the_same_version() -> None:
    backend = Backend()
    project = {
        "project": "3.1",
        "schema": "<View/>",
        "hostname": "http://ls",
        "access_token": "t",
        "extra_params": None,
    }
    setup = backend.client.post("/setup", json=project, headers=BASIC)
    assert setup.json() == {"model_version": "m1"}
    assert backend.client.get("/versions", headers=BASIC).json() == {"versions": ["m1"]}
    (result,) = backend.predict({"id": 1, "data": {}}).json()["results"]
    assert result["model_version"] == "m1"


@pytest.mark.parametrize("path", ["/setup", "/predict"])
def test_without_a_model_the_answer_is_503_and_when_to_come_back(path: str) -> None:
    backend = Backend(registry=FakeRegistry(None))
    answer = backend.client.post(path, json={"tasks": []}, headers=BASIC)
    assert (answer.status_code, answer.json()["error"]) == (503, "model_not_loaded")
    assert int(answer.headers["Retry-After"]) > 0


@pytest.mark.parametrize(("method", "path"), PROTECTED)
@pytest.mark.parametrize(
    "header",
    [
        None,
        "Basic",
        "Basic !!!",
        "Basic bGFiZWwtc3R1ZGlvOndyb25n",
        "Basic /////w==",
        "Basic \xff\xfe",
        f"Token {PASSWORD}",
    ],
)
def test_everything_else_is_closed_without_the_right_password(
    method: str, path: str, header: str | None
) -> None:
    backend = Backend()
    answer = backend.client.request(
        method,
        path,
        json={"action": "X"},
        headers={"Authorization": header.encode("latin-1")} if header else {},
    )
    assert answer.status_code == 401
    assert answer.json()["error"] == "http_401"
    assert answer.headers["WWW-Authenticate"].startswith("Basic")
    assert backend.store.events == []


@pytest.mark.parametrize("path", ["/health", "/nothing/here", "/setup"])
def test_every_answer_carries_the_security_headers(path: str) -> None:
    headers = Backend().client.get(path).headers
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["X-Frame-Options"] == "DENY"
    assert headers["Content-Security-Policy"].startswith("default-src 'none'")


def test_there_is_no_api_description_for_strangers() -> None:
    client = Backend().client
    for path in ("/redoc", "/openapi.json"):
        assert client.get(path).status_code == 401
        assert client.get(path, headers=BASIC).status_code == 404


def test_the_lifespan_starts_the_model_host_and_closes_the_store() -> None:
    backend = Backend()
    backend.registry.version = "m2"
    with backend.client as client:
        for _ in range(1000):
            if client.get("/health").json()["model_version"] == "m2":
                break
        assert client.get("/health").json()["model_version"] == "m2"
        assert not backend.store.closed
    assert backend.store.closed


def test_metrics_show_the_queues_and_that_the_broker_is_away() -> None:
    backend = Backend()
    assert backend.counted('yolo_mlsam_queue_jobs{state="waiting"} 2.0')
    assert backend.counted('yolo_mlsam_queue_jobs{state="unserved"} 1.0')
    assert backend.counted("yolo_mlsam_workers 3.0")
    assert backend.counted("yolo_mlsam_broker_up 1.0")
    backend.queue.down = True
    assert backend.counted("yolo_mlsam_broker_up 0.0")
    assert not backend.counted('yolo_mlsam_queue_jobs{state="waiting"} 2.0')


def test_health_says_that_corrections_cannot_be_kept_and_tries_again_by_itself() -> None:
    backend = Backend()
    backend.store.down = True
    event = {"action": "ANNOTATION_CREATED", "annotation": {}, "project": {"id": 3}, "task": {}}
    assert backend.client.post("/webhook", json=event, headers=HOOK).status_code == 503
    assert backend.client.get("/health").json()["problem"] == "storage_unavailable"
    backend.store.down = False
    assert backend.client.get("/health").json()["problem"] == "storage_unavailable", "what is known so far"
    assert backend.client.get("/health").json()["problem"] is None
