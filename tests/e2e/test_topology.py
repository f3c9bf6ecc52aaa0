"""Several hosts as real processes: PostgreSQL, Redis and an S3 store between two backends and two workers.

They share no folder but that of the mammograms.
Label Studio is a stand-in that knows the annotations whose events are sent, and what the project calls a cluster.
Everything else is what runs at a site.
"""

from __future__ import annotations

import json
import os
import secrets
import sys
import time
from dataclasses import dataclass
from importlib.metadata import version as installed_version
from pathlib import Path

import boto3
import httpx
import pytest
from moto.server import ThreadedMotoServer

from cli.demo.processes import Processes, free_port
from mammo.broker import redis_connection
from mammo.database import open_database
from mammo.labelstudio.client import SECRET_HEADER
from mammo.labelstudio.labeling_config import labeling_config
from mammo.models import CHALLENGER, ModelRegistry
from mammo.runs import Runs
from mammo.runs.jobs import JobQueue
from mammo.settings import PREFIX, Settings
from tests.fakes.label_studio import KEY, FakeLabelStudio
from tests.fakes.served import served
from tests.phantom_corrections import correction, imported_phantoms

pytestmark = [pytest.mark.slow, pytest.mark.e2e, pytest.mark.timeout(900)]

PROJECT = 5
SEEDS = range(9400, 9407)
KEYS = {"aws_access_key_id": "key", "aws_secret_access_key": "secret", "region_name": "us-east-1"}
PASSWORD, SECRET = secrets.token_urlsafe(12), secrets.token_urlsafe(12)


@dataclass
class Sites:
    """Two backends and what they share."""

    processes: Processes
    settings: Settings
    urls: tuple[str, str]
    registry: ModelRegistry
    queue: JobQueue
    runs: Runs
    label_studio: FakeLabelStudio

    def health(self, url: str) -> dict:
        return httpx.get(f"{url}/health", timeout=10, trust_env=False).json()

    def serves(self, url: str) -> bool:
        try:
            return self.health(url)["model_version"] is not None
        except httpx.TransportError:
            return False

    def send(self, url: str, body: dict) -> dict:
        """An event, as Label Studio's webhook sends it, of what it then shows."""
        if "annotation" in body:
            task, annotation = body["task"], body["annotation"]
            kept = {"id": task["id"], "project": PROJECT, "data": task["data"], "annotations": [annotation]}
            self.label_studio.tasks.append(kept | {"updated_at": annotation["updated_at"]})
        answer = httpx.post(
            f"{url}/webhook", json=body, headers={SECRET_HEADER: SECRET}, timeout=30, trust_env=False
        )
        assert answer.status_code == 201, answer.text
        return answer.json()

    def serve(self, version: str) -> float:
        """Wait until every backend serves a version; returns the seconds."""
        began = time.monotonic()
        while {self.health(url)["model_version"] for url in self.urls} != {version}:
            assert time.monotonic() - began < 60, [self.health(url) for url in self.urls]
            time.sleep(0.1)
        return time.monotonic() - began


@pytest.fixture(scope="module")
def store_url():
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    host, port = server.get_host_and_port()
    url = f"http://{host}:{port}"
    boto3.client("s3", endpoint_url=url, **KEYS).create_bucket(Bucket="site")
    yield url
    server.stop()


@pytest.fixture(scope="module")
def label_studio():
    fake = FakeLabelStudio()
    fake.projects[PROJECT] = {"id": PROJECT, "label_config": labeling_config()}
    with served(fake) as url:
        yield fake, url


@pytest.fixture(scope="module")
def sites(tmp_path_factory, postgres_server, _shared_redis, store_url, label_studio):
    folder = tmp_path_factory.mktemp("sites")
    fake, label_studio_url = label_studio
    (folder / "mammograms").mkdir()
    shared = {
        "database_url": postgres_server.new_database(),
        "redis_url": _shared_redis.url,
        "blob_store": "s3://site/mlsam",
        "s3_endpoint": store_url,
        "s3_access_key": "key",
        "s3_secret_key": "secret",
        "auth_password": PASSWORD,
        "webhook_secret": SECRET,
        "patient_secret": "the topology's test",
        "mammogram_root": str(folder / "mammograms"),
        "label_studio_url": label_studio_url,
        "label_studio_api_key": KEY,
        "recipe": "smoke",
        "threads": "1",
    }
    common = {key: value for key, value in os.environ.items() if not key.startswith(PREFIX)}
    common |= {f"{PREFIX}{name.upper()}": value for name, value in shared.items()}

    def host(name: str, **own: str) -> dict[str, str]:
        return common | {f"{PREFIX}DATA_DIR": str(folder / name)} | own

    ports = free_port(), free_port()
    urls = tuple(f"http://127.0.0.1:{port}" for port in ports)
    settings = Settings.load(data_dir=folder / "here", **shared)
    with Processes(folder / "logs") as processes:
        for name, port in zip(("backend-a", "backend-b"), ports, strict=True):
            processes.launch(
                name,
                [sys.executable, "-m", "backend"],
                environment=host(name, **{f"{PREFIX}PORT": str(port)}),
            )
        for name in ("worker-a", "worker-b"):
            processes.launch(name, [sys.executable, "-m", "worker"], environment=host(name))
        engine = open_database(settings.database)
        sites = Sites(
            processes,
            settings,
            urls,
            ModelRegistry(engine, settings.blobs),
            JobQueue(redis_connection(_shared_redis.url)),
            Runs(engine),
            fake,
        )
        for name, url in zip(("backend-a", "backend-b"), urls, strict=True):
            processes.wait_until(name, lambda url=url: sites.serves(url), within=180)
        yield sites


@pytest.fixture(scope="module")
def cases(sites):
    """Seven patients of four small views each, as tasks, with their truth."""
    root, secret = sites.settings.mammogram_root, sites.settings.patient_secret.get_secret_value().encode()
    return imported_phantoms(root, seeds=SEEDS, patient_secret=secret)


def test_both_backends_serve_the_same_champion_and_the_same_answer(sites, cases):
    data, _ = cases[0]
    body = {
        "tasks": [{"id": 1, "data": data}],
        "project": f"{PROJECT}.1",
        "label_config": labeling_config(),
        "params": {"context": None},
    }
    answers = [
        httpx.post(
            f"{url}/predict", json=body, auth=("label-studio", PASSWORD), timeout=100, trust_env=False
        ).json()
        for url in sites.urls
    ]
    (first, second) = (answer["results"][0] for answer in answers)
    assert first["model_version"] == second["model_version"] == sites.registry.champion().version
    assert first["score"] == pytest.approx(second["score"], abs=1e-4)
    assert len(first["result"]) == len(second["result"])


def test_corrections_that_reach_either_backend_become_one_run_on_one_of_the_workers(sites, cases):
    for number, (data, case) in enumerate(cases, 1):
        sites.send(sites.urls[number % 2], correction(number, data, case, project=PROJECT))
    start = {"action": "START_TRAINING", "project": {"id": PROJECT}}
    for url in sites.urls:
        sites.send(url, start)
    run = sites.queue.active(PROJECT)
    assert run is not None
    while sites.queue.active(PROJECT) == run:
        time.sleep(0.5)
    status = sites.queue.status(run)
    assert status.result is not None, (status, logs(sites, "worker-a"), logs(sites, "worker-b"))
    assert status.result["images"]["test"] >= 4
    challenger = status.result["challenger"]
    assert sites.registry.alias(CHALLENGER).version == challenger
    assert [note.kind for note in sites.registry.notes(challenger)][-1:] == ["verdict"]
    runtimes = sites.registry.manifest(challenger)["runtimes"]
    assert runtimes["torch"] == installed_version("torch")
    assert runtimes["detector"] in ("torch", "openvino"), "what was opened, not the setting"
    assert runtimes["segmenter"].startswith(f"torch {runtimes['torch']}")
    began = [name for name in ("worker-a", "worker-b") if "stage=detector" in logs(sites, name)]
    assert len(began) == 1, "two triggers are one run"


def follow(sites, url: str, run: str):
    """The run's server-sent events, as (kind, content), while it lasts."""
    with httpx.stream(
        "GET", f"{url}/runs/{run}/events", auth=("label-studio", PASSWORD), timeout=120, trust_env=False
    ) as answer:
        kind = ""
        for line in answer.iter_lines():
            if line.startswith("event: "):
                kind = line[7:]
            elif line.startswith("data: "):
                yield kind, json.loads(line[6:])


def test_a_run_that_is_cancelled_on_one_backend_stops_its_worker_and_goes_on_when_it_is_resumed(
    sites, record_property
):
    def post(url: str, path: str, **body: str) -> dict:
        auth = ("label-studio", PASSWORD)
        answer = httpx.post(f"{url}{path}", json=body, auth=auth, timeout=30, trust_env=False)
        assert answer.is_success, answer.text
        return answer.json()

    first, second = sites.urls
    run = post(first, f"/projects/{PROJECT}/runs", reason="the test")["run"]
    states, cancelled_at = [], 0.0
    for kind, told in follow(sites, second, run):
        if kind == "run":
            states.append(told["state"])
            if told["state"] == "detector" and not cancelled_at:
                cancelled_at = time.monotonic()
                assert post(second, f"/runs/{run}/cancel", reason="enough")["state"] == "cancelled"
    assert states[-1] == "cancelled"
    while sites.queue.active(PROJECT) is not None:  # until the worker has let go of it
        assert time.monotonic() - cancelled_at < 60
        time.sleep(0.05)
    record_property("seconds_to_cancel", round(time.monotonic() - cancelled_at, 1))

    dataset = sites.runs.results(run)["dataset"]
    assert post(first, f"/runs/{run}/resume", reason="after all") == {"run": run}
    last = [told for kind, told in follow(sites, second, run) if kind == "run"][-1]
    assert last["state"] in ("kept", "promoted"), (last, logs(sites, "worker-a"), logs(sites, "worker-b"))
    assert sites.runs.results(run)["dataset"] == dataset
    texts = [each.text for each in sites.runs.events(run)]
    assert "enough" in texts
    assert "after all" in texts


def test_a_promotion_and_a_roll_back_reach_every_backend(sites, record_property):
    challenger = sites.registry.alias(CHALLENGER).version
    before = sites.registry.champion()
    if before.version == challenger:  # the gate has promoted it already
        before = sites.registry.roll_back("the test begins with the starter")
        sites.serve(before.version)
    sites.registry.promote(challenger, expected_epoch=before.epoch, reason="the test", actor="test")
    record_property("seconds_to_a_new_champion", sites.serve(challenger))
    back = sites.registry.roll_back("the test")
    assert back.version == before.version
    record_property("seconds_to_the_old_one", sites.serve(back.version))
    for url in sites.urls:
        assert sites.health(url)["problem"] is None


def test_what_left_one_host_is_whole_on_the_others(sites, tmp_path):
    """Weights came to the backends through the bucket alone; the hosts share no folder."""
    challenger = sites.registry.alias(CHALLENGER).version
    here = sites.registry.files(challenger, into=tmp_path)
    folder = sites.settings.data_dir.parent
    for name in ("backend-a", "backend-b"):
        there = folder / name / "models" / challenger / "detector.safetensors"
        assert there.read_bytes() == here.detector.read_bytes()
        assert not (folder / name / "blobs").exists()


def logs(sites: Sites, name: str) -> str:
    return Path(sites.processes.log(name)).read_text(errors="replace")[-4000:]
