"""A small site for tests of trainings: a registry with a starter, a project, and faked networks."""

import json
from types import SimpleNamespace

import pytest

from mammo.annotations import AnnotationStore
from mammo.blobs import Blobs
from mammo.labelstudio.labeling_config import ControlTags
from mammo.models import ModelRegistry
from tests.training.detections import square
from tests.training.fake_networks import FakeNetworks
from tests.training.project import Project
from training.datasets.building import build_dataset_version
from training.datasets.sources import PREFERENCE, ReadOptions
from training.retrain.context import RetrainContext


@pytest.fixture
def world(engine, tmp_path):
    """An empty project, a starter that looks for clusters at x = 40, and trainings that learn to look at x = 5."""
    registry = ModelRegistry(engine, tmp_path / "blobs")
    starter = tmp_path / "starter"
    starter.mkdir()
    manifest = {"version": "starter-1", "threshold": 0.3, "prompt_rule": "robust", "prompt_count": 3}
    (starter / "manifest.json").write_text(json.dumps(manifest))
    (starter / "detector.safetensors").write_text("40")
    (starter / "segmenter.safetensors").write_text("segmenter")
    registry.ensure_starter(starter)
    store = AnnotationStore(engine)
    project, networks = Project(store), FakeNetworks("5")
    context = RetrainContext(
        engine=engine,
        store=store,
        registry=registry,
        blobs=Blobs(tmp_path / "blobs"),
        open_image=project.open_image,
        fingerprint=lambda data: None,
        secret=b"the tests",
        networks=networks,
        runs=tmp_path / "runs",
        models=tmp_path / "models",
    )
    yield SimpleNamespace(
        registry=registry, project=project, networks=networks, context=context, reports=[], ledgers={}
    )
    store.close()


@pytest.fixture
def dataset_of(world):
    """Makes a dataset version of so many patients, whose clusters lie at x = 5."""

    def make(patients):
        for number in range(1, patients + 1):
            world.project.annotate(number, [square(5, 5)], patient=f"{number:016x}")
        context = world.context
        return build_dataset_version(
            context.store,
            context.engine,
            context.blobs,
            project=1,
            options=ReadOptions(
                tags=ControlTags(), prefer=PREFERENCE, with_automatic=False, secret=b"the tests"
            ),
            open_image=context.open_image,
            fingerprint=context.fingerprint,
            progress=lambda *_: None,
        )

    return make
