"""The adapter for `label-studio-ml`, under that package's own server in its environment, before a backend of ours."""

from __future__ import annotations

import os
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn

from backend.app import create_app
from mammo.labelstudio import labeling_config
from mammo.labelstudio.client import WEBHOOK_ACTIONS
from tests.backend.fakes import BASIC, HEIGHT, HOOK, WIDTH, Backend
from tests.required import missing

ROOT = Path(__file__).parent.parent.parent
PYTHON = ROOT / ".venv-label-studio-ml/bin/python"
SERVE = "import sys; from backend.label_studio_ml_adapter import app; app().run(port=int(sys.argv[1]))"
TASK = {"id": 7, "project": 3, "data": {"image": "/x.png", "sha256": "a" * 64}}


@dataclass(frozen=True)
class Adapter:
    """A running adapter and the backend behind it."""

    backend: Backend
    client: httpx.Client
    direct: httpx.Client

    def predict(self, *tasks: dict[str, Any], **body: Any) -> httpx.Response:
        return self.client.post("/predict", json=predict_body(*tasks, **body), headers=BASIC)


def predict_body(*tasks: dict[str, Any], **body: Any) -> dict[str, Any]:
    return {
        "tasks": tasks, "project": "3.1795411016", "label_config": labeling_config(),
        "params": {"login": None, "password": None, "context": None}, **body,
    }  # fmt: skip


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="module")
def adapter() -> Iterator[Adapter]:
    """A backend of ours on fakes, and the package's server with the adapter before it."""
    if not PYTHON.is_file():
        missing("the environment of label-studio-ml", "run `make test`, which installs it")
    backend = Backend()
    config = uvicorn.Config(create_app(backend.services), port=free_port(), log_config=None)
    ours = uvicorn.Server(config)
    thread = threading.Thread(target=ours.run, daemon=True)
    thread.start()
    url, port = f"http://127.0.0.1:{config.port}", free_port()
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "ADAPTER_BACKEND_URL": url, "NO_PROXY": "*"}
    theirs = subprocess.Popen(
        [str(PYTHON), "-c", SERVE, str(port)], env=environment, stderr=subprocess.DEVNULL
    )
    try:
        with (
            httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=30) as client,
            httpx.Client(base_url=url, trust_env=False, timeout=30) as direct,
        ):
            wait_for(client, theirs)
            wait_for(direct, theirs)
            yield Adapter(backend, client, direct)
    finally:
        theirs.kill()
        theirs.wait()
        ours.should_exit = True
        thread.join(10)


def wait_for(client: httpx.Client, process: subprocess.Popen[bytes]) -> None:
    for _ in range(300):
        assert process.poll() is None, "the adapter does not start"
        try:
            if client.get("/health").json()["status"] == "UP":
                return
        except httpx.TransportError:
            time.sleep(0.1)
    pytest.fail("no answer on /health")


def test_setup_names_the_version_that_our_backend_serves(adapter: Adapter) -> None:
    body = {"project": "3.1795411016", "schema": labeling_config(), "hostname": "", "access_token": "t"}
    answer = adapter.client.post("/setup", json=body, headers=BASIC)
    assert answer.json()["model_version"] == "m1"


def test_predictions_are_those_of_our_backend(adapter: Adapter) -> None:
    tasks = [TASK | {"id": n, "data": {"image": "/x.png", "sha256": f"{n:064d}"}} for n in range(3)]
    through = adapter.predict(*tasks).json()["results"]
    assert len(through) == 3
    assert all(result["result"] for result in through)
    assert (
        through == adapter.direct.post("/predict", json=predict_body(*tasks), headers=BASIC).json()["results"]
    )


def test_a_click_is_passed_on_and_comes_back_as_a_suggestion(adapter: Adapter) -> None:
    clicked = {
        "id": "k", "type": "keypointlabels", "from_name": "prompt-point", "to_name": "image",
        "original_width": WIDTH, "original_height": HEIGHT, "image_rotation": 0, "is_positive": True,
        "value": {"x": 10, "y": 30, "width": 0.3, "keypointlabels": ["Cluster"]}, "origin": "manual",
    }  # fmt: skip
    answer = adapter.predict(TASK, params={"context": {"result": [clicked]}})
    (suggestion,) = answer.json()["results"]
    assert [region["type"] for region in suggestion["result"]] == ["polygonlabels"]


@pytest.mark.parametrize("action", [*WEBHOOK_ACTIONS, "START_TRAINING"])
def test_every_event_reaches_the_same_inbox_byte_for_byte(adapter: Adapter, action: str) -> None:
    body = b'{"action": "%s",  "project": {"id": 3}}' % action.encode()
    headers = {**HOOK, "Content-Type": "application/json"}
    answer = adapter.client.post("/webhook", content=body, headers=headers)
    assert (answer.status_code, answer.json()["status"]) == (201, "ok")
    assert adapter.backend.store.events[-1] == (action, body)


def test_health_and_versions_are_those_of_our_backend(adapter: Adapter) -> None:
    for path in ("/health", "/", "/versions"):
        assert (
            adapter.client.get(path, headers=BASIC).json() == adapter.direct.get(path, headers=BASIC).json()
        )


def test_who_asks_for_another_model_version_is_refused(adapter: Adapter) -> None:
    body = {"project": "3.1", "schema": labeling_config(), "extra_params": {"model_version": "m0"}}
    answer = adapter.client.post("/setup", json=body, headers=BASIC)
    assert (answer.status_code, answer.json()["error"]) == (409, "other_model")
    body["extra_params"] = {"model_version": "m1"}
    assert adapter.client.post("/setup", json=body, headers=BASIC).json()["model_version"] == "m1"


@pytest.mark.parametrize("path", ["/predict", "/setup", "/webhook"])
def test_who_has_no_secret_of_our_backend_has_none_of_the_adapter(adapter: Adapter, path: str) -> None:
    body = predict_body(TASK, action="ANNOTATION_CREATED", project="3.1")
    if path == "/webhook":
        body["project"] = {"id": 3}
    answer = adapter.client.post(path, json=body)
    assert answer.status_code == 401
    assert set(answer.json()) == {"error", "message"}


def test_a_failure_is_a_code_and_a_sentence_and_never_a_traceback(adapter: Adapter) -> None:
    store = adapter.backend.store
    store.down = True
    try:
        answer = adapter.client.post(
            "/webhook", json={"action": "ANNOTATION_CREATED", "project": {"id": 3}}, headers=HOOK
        )
    finally:
        store.down = False
    assert answer.status_code == 503
    assert "Traceback" not in answer.text
    assert set(answer.json()) == {"error", "message"}
