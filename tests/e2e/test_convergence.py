"""Two real backends follow the champion: one is told over Redis and never looks, one has no Redis and only looks."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from cli.demo.processes import Processes, free_port
from mammo.annotations import AnnotationStore
from mammo.database import open_database
from mammo.exchange.importing import import_mammogram
from mammo.labelstudio import labeling_config
from mammo.models import ModelRegistry
from mammo.phantom import vendor_b
from mammo.settings import PREFIX
from tests.mammo.labelstudio.fake_label_studio import KEY, FakeLabelStudio
from tests.mammo.labelstudio.served import served
from training.cases import silent
from training.phantom_cases import write_phantom_patients

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(1200)]

PASSWORD = "the password of this test"
HOUR = "3600"


@dataclass
class Site:
    environment: dict[str, str]
    urls: tuple[str, str]
    registry: ModelRegistry
    store: AnnotationStore
    challenger: str
    mammograms: Path

    def serving(self) -> list[str | None]:
        return [
            httpx.get(f"{url}/health", timeout=10, trust_env=False).json()["model_version"]
            for url in self.urls
        ]

    def models(self, *words: str) -> str:
        """`yolo-mlsam models ...`, in a process of its own."""
        done = subprocess.run(
            [sys.executable, "-m", "cli", "models", *words],
            env=self.environment,
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout

    def seconds_until(self, version: str, *, within: float) -> float:
        began = time.monotonic()
        while self.serving() != [version, version]:
            assert time.monotonic() - began < within, self.serving()
            time.sleep(0.05)
        return time.monotonic() - began


@pytest.fixture(scope="module")
def label_studio_url():
    """What the project of the shadow calls a cluster."""
    fake = FakeLabelStudio()
    fake.projects[5] = {"id": 5, "label_config": labeling_config()}
    with served(fake) as url:
        yield url


@pytest.fixture(scope="module")
def site(tmp_path_factory, _shared_redis, label_studio_url):
    folder = tmp_path_factory.mktemp("convergence")
    (folder / "mammograms").mkdir()
    common = {key: value for key, value in os.environ.items() if not key.startswith(PREFIX)}
    values = {
        "DATA_DIR": folder / "data",
        "REDIS_URL": _shared_redis.url,
        "AUTH_PASSWORD": PASSWORD,
        "WEBHOOK_SECRET": "the secret of this test",
        "PATIENT_SECRET": "the patients of this test",
        "MAMMOGRAM_ROOT": folder / "mammograms",
        "THREADS": "1",
        "RUNTIME": "torch",  # nothing to export first
        "SHADOW": "challenger",
        "LABEL_STUDIO_URL": label_studio_url,
        "LABEL_STUDIO_API_KEY": KEY,
    }
    common |= {PREFIX + name: str(value) for name, value in values.items()}
    told = {PREFIX + "RELOAD_SECONDS": HOUR}
    alone = {PREFIX + "RELOAD_SECONDS": "2", PREFIX + "REDIS_URL": f"unix://{folder / 'no.sock'}"}
    ports = free_port(), free_port()
    urls = tuple(f"http://127.0.0.1:{port}" for port in ports)
    with Processes(folder / "logs") as processes:
        for name, port, own in zip(("told", "alone"), ports, (told, alone), strict=True):
            processes.launch(
                name,
                [sys.executable, "-m", "backend"],
                environment=common | own | {PREFIX + "PORT": str(port)},
            )
        for name, url in zip(("told", "alone"), urls, strict=True):

            def serves(url: str = url) -> bool:
                try:
                    return httpx.get(f"{url}/health", trust_env=False).json()["model_version"] is not None
                except httpx.TransportError:
                    return False

            processes.wait_until(name, serves, within=500)
        engine = open_database(f"sqlite:///{folder / 'data' / 'yolo-mlsam.db'}")
        registry = ModelRegistry(engine, folder / "data" / "blobs")
        starter = registry.champion().version
        files = registry.files(starter, into=folder / "models")
        kept = registry.manifest(starter)
        manifest = {key: kept[key] for key in ("prompt_rule", "prompt_count", "self_test") if key in kept}
        challenger = registry.register(
            detector=files.detector,
            segmenter=files.segmenter,
            manifest={**manifest, "threshold": files.threshold, "parent": starter},
        )
        registry.name_challenger(challenger, reason="the test")
        store = AnnotationStore(engine)
        yield Site(common, urls, registry, store, challenger, folder / "mammograms")
        store.close()


def test_a_challenger_looks_at_what_the_champion_answered_and_stays_silent(site, record_property):
    write_phantom_patients(
        site.mammograms,
        seeds=range(9500, 9501),
        appearance=vendor_b(),
        positive=1.0,
        patient_secret=b"the patients of this test",
        progress=silent,
    )
    file = min(site.mammograms.rglob("*.dcm"))
    data = import_mammogram(
        file, root=site.mammograms, files=site.mammograms.parent, patient_secret=b"the patients of this test"
    )
    body = {"tasks": [{"id": 1, "data": data}], "project": "5.1", "label_config": labeling_config()}
    champion = site.registry.champion().version
    began = time.monotonic()
    answer = httpx.post(
        f"{site.urls[0]}/predict", json=body, auth=("label-studio", PASSWORD), timeout=100, trust_env=False
    ).json()
    record_property("seconds_to_the_answer", round(time.monotonic() - began, 2))
    (shown,) = answer["results"]
    assert shown["model_version"] == champion
    while site.store.prelabel(5, 1, site.challenger) is None:
        assert time.monotonic() - began < 120
        time.sleep(0.2)
    quiet, kept = site.store.prelabel(5, 1, site.challenger), site.store.prelabel(5, 1, champion)
    assert quiet.shown_at is None
    assert kept.shown_at is not None
    assert len(quiet.regions) == len(kept.regions), "they are the same weights"
    told = site.models("shadow", "--project", "5")
    assert "1 tasks predicted by both" in told
    assert re.search(r" 0 of \S+ only, 0 of ", told)


def test_a_promotion_reaches_both_within_ten_seconds(site, record_property):
    site.models("promote", site.challenger, "--reason", "the test")
    record_property("seconds_until_served", round(site.seconds_until(site.challenger, within=10.0), 2))


def test_one_command_rolls_back_and_is_served_within_ten_seconds(site, record_property):
    starter = next(each for each in site.registry.versions() if each != site.challenger)
    told = site.models("rollback", "--reason", "the test")
    assert "look for it now" in told
    record_property("seconds_until_served", round(site.seconds_until(starter, within=10.0), 2))
