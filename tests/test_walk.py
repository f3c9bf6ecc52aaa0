"""The thirteen steps in one process: real DICOM, pipeline, regions, backend, store, dataset version, gate and registry;
fake networks, queue and Label Studio."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from fastapi.testclient import TestClient

from backend.app import create_app
from backend.metrics import Metrics
from backend.model_host import ModelHost
from backend.retrain_triggers import RetrainTriggers
from backend.services import Services
from mammo.annotations import AnnotationStore
from mammo.blobs import Blobs
from mammo.dicom import write_mammogram
from mammo.exchange.importing import import_mammogram
from mammo.images.task_images import TaskImages
from mammo.labelstudio.interpretation import from_regions
from mammo.labelstudio.labeling_config import ControlTags, labeling_config
from mammo.labelstudio.rendering import truth_regions
from mammo.models import ModelRegistry
from mammo.runs import RunLedger, Runs, claim
from mammo.settings import Settings
from tests.fakes.label_studio import FakeLabelStudio
from tests.fakes.networks import (
    BLIND,
    FakeDetector,
    FakeNetworks,
    FakeSegmenter,
    fake_prelabeller,
)
from tests.fakes.queue import FakeQueue
from tests.sites import site_of
from training.retrain.context import RetrainContext
from training.retrain.recipes import RECIPES
from training.retrain.retrain import retrain
from worker.prelabelling import prelabel_tasks

PROJECT = 7
PATIENTS = 8
SECRET = b"a secret of the test"


def mammogram_with_a_cluster(seed: int) -> np.ndarray:
    """A 12-bit half disc of tissue with eight bright dots in 4 mm."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[:320, :256]
    tissue = (columns**2 + (rows - 160) ** 2 < 150**2) * (0.3 + 0.05 * rng.standard_normal((320, 256)))
    y, x = rng.integers(100, 200), rng.integers(20, 80)
    for dy, dx in rng.integers(0, 40, (8, 2)):
        tissue[y + dy : y + dy + 4, x + dx : x + dx + 4] = 0.9
    return (np.clip(tissue, 0, 1) * 4095).astype(np.uint16)


def ledger_of(engine) -> RunLedger:
    """Of the project's active run, taken up here; of a new one where there is none."""
    runs = Runs(engine)
    asked = runs.request(PROJECT, recipe="demo", reason="a test", trigger="button")
    return RunLedger(engine, claim(runs, asked.run, owner="nowhere/1/1"))


@pytest.fixture
def world(tmp_path: Path, engine):
    """Everything wired as the entry points do it."""
    root, starter = tmp_path / "mammograms", tmp_path / "starter"
    root.mkdir()
    starter.mkdir()
    for name in ("detector", "segmenter"):
        (starter / f"{name}.safetensors").write_bytes(BLIND + name.encode())
    serving = {"threshold": 0.2, "prompt_rule": "robust", "prompt_count": 3}
    (starter / "manifest.json").write_text(json.dumps({"version": "starter-0", **serving}))
    settings = Settings.load(
        data_dir=tmp_path / "data",
        auth_password="password",
        webhook_secret="secret",
        mammogram_root=root,
        recipe="demo",
    )
    registry = ModelRegistry(engine, settings.blobs)
    registry.ensure_starter(starter)
    images = TaskImages(root=root, downloads=None, patient_secret=SECRET)
    host = ModelHost(
        registry, load=lambda v: fake_prelabeller(registry.files(v, into=settings.models)), every=0.05
    )
    store = AnnotationStore(engine)
    queue = FakeQueue()
    site = site_of(settings, engine=engine, store=store, queue=queue)
    triggers = RetrainTriggers.of(settings, site.runs, store, metrics=Metrics())
    services = Services(site=site, triggers=triggers, host=host, images=images)
    yield engine, services, registry
    store.close()


def test_a_mammogram_walks_the_whole_loop(world, tmp_path: Path):
    engine, services, registry = world
    settings, store, images = services.settings, services.store, services.images
    with TestClient(create_app(services), raise_server_exceptions=False) as http:

        def webhook(body: dict) -> None:
            answer = http.post("/webhook", json=body, headers={"X-Yolo-Mlsam-Secret": "secret"})
            assert answer.status_code == 201, answer.text

        server = FakeLabelStudio(send=webhook)
        server.add_project(PROJECT)
        label_studio = server.client()

        # Before the walk: DICOM files become tasks with twins.
        data = []
        for seed in range(PATIENTS):
            file = settings.mammogram_root / f"{seed}.dcm"
            write_mammogram(
                file,
                mammogram_with_a_cluster(seed),
                laterality="L",
                view="CC",
                spacing_mm=0.1,
                bits=12,
                patient_id=f"P{seed}",
            )
            data.append(
                import_mammogram(file, root=settings.mammogram_root, files=tmp_path, patient_secret=SECRET)
            )
        tasks = label_studio.import_tasks(PROJECT, data)
        assert all((tmp_path / item["image"].split("?d=")[1]).is_file() for item in data)
        assert len({item["patient"] for item in data}) == PATIENTS

        # 1 to 6: the worker prelabels with the starter, which sees nothing right; the backend answers the same.
        def prelabel(version: str) -> None:
            prelabeller = fake_prelabeller(registry.files(version, into=settings.models))
            outcome = prelabel_tasks(
                PROJECT,
                prelabeller,
                site=site_of(settings, label_studio=label_studio, store=store, images=images),
                report=lambda *_: None,
                withheld=lambda *_: None,
            )
            assert outcome["predicted"] == PATIENTS
            assert server.projects[PROJECT]["model_version"] == version

        prelabel("starter-0")
        services.host.look()
        answer = http.post(
            "/predict",
            json={
                "tasks": list(label_studio.tasks(PROJECT)),
                "project": f"{PROJECT}.1",
                "label_config": labeling_config(),
            },
            auth=(settings.auth_user, "password"),
        )
        assert answer.status_code == 200, answer.text
        served = answer.json()["results"]
        pushed = [label_studio.predictions(task)[0] for task in tasks]
        assert [(p["model_version"], p["result"]) for p in served] == [
            (p["model_version"], p["result"]) for p in pushed
        ]

        # 7, 8: the expert corrects; every correction is in the store once its webhook is answered.
        truth = {}
        for task, item in zip(tasks, data, strict=True):
            mammogram = images.open(item)
            (detection,) = FakeDetector().detect(mammogram.pixels, threshold=0.2, spacing=None)
            mask = FakeSegmenter().segment(mammogram.pixels, box=detection.box).mask
            (finding,) = from_regions(label_studio.predictions(task)[0]["result"], tags=ControlTags())
            assert mask is not None
            assert mask.box is not None
            truth[task] = type(finding)(label=finding.label, score=1.0, box=mask.box, mask=mask, id="drawn")
            label_studio.annotate(
                task,
                truth_regions([truth[task]], size=mammogram.size, tags=ControlTags(), source="expert"),
                lead_time=10.0,
            )
        corrections = store.corrections(PROJECT)
        assert {c.task_id for c in corrections} == set(tasks)
        for correction in corrections:
            (kept,) = from_regions(correction.result, tags=ControlTags())
            assert kept.box == truth[correction.task_id].box
            assert kept.mask.dice(truth[correction.task_id].mask) == 1.0

        # 9, 10: the button starts one run, pressed twice or not.
        server.start_training(PROJECT)
        server.start_training(PROJECT)
        (order,) = services.queue.asked
        networks = FakeNetworks()
        stages = []
        summary = retrain(
            order,
            run="run-1",
            recipe=RECIPES[order.recipe],
            context=RetrainContext(
                engine=engine,
                store=store,
                registry=registry,
                blobs=Blobs(settings.blobs),
                open_image=images.open,
                fingerprint=images.fingerprint,
                secret=b"the tests",
                networks=networks,
                runs=settings.runs,
                models=settings.models,
            ),
            report=lambda stage, fraction, message: stages.append((fraction, stage)),
            tags=ControlTags(),
            ledger=ledger_of(engine),
        )
        assert sum(summary["images"].values()) == PATIENTS
        assert summary["images"]["test"] >= 2
        assert len(networks.trained_on["detector"]) == summary["images"]["train"]
        assert stages == sorted(stages, key=lambda pair: pair[0]), "progress never goes back"

        # 11, 12: seeing beats blindness on the held-out patients, so the challenger is the champion now.
        assert summary["verdict"]["promote"], summary["verdict"]["reason"]
        assert summary["verdict"]["challenger"]["sensitivity_1"] == 1.0
        assert registry.champion().version == summary["challenger"]

        # 13: the backend loads it; new predictions stand beside the old ones and show what the expert drew.
        services.host.look()
        assert http.get("/health").json()["model_version"] == summary["challenger"]
        prelabel(summary["challenger"])
        for task in tasks:
            old, new = label_studio.predictions(task)
            assert old["model_version"] == "starter-0"
            (finding,) = from_regions(new["result"], tags=ControlTags())
            assert finding.box.iou(truth[task].box) > 0.5


def test_a_run_on_too_few_patients_says_how_many_more_it_needs(world):
    engine, services, registry = world
    from mammo.errors import InsufficientData
    from mammo.runs.payloads import Retrain

    with pytest.raises(InsufficientData, match="annotate some tasks first"):
        retrain(
            Retrain(PROJECT, "demo", "test"),
            run="run-2",
            recipe=RECIPES["demo"],
            context=RetrainContext(
                engine=engine,
                store=services.store,
                registry=registry,
                blobs=Blobs(services.settings.blobs),
                open_image=services.images.open,
                fingerprint=services.images.fingerprint,
                secret=b"the tests",
                networks=FakeNetworks(),
                runs=services.settings.runs,
                models=services.settings.models,
            ),
            report=lambda *_: None,
            tags=ControlTags(),
            ledger=ledger_of(engine),
        )
