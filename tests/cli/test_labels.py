import json

import pytest
from typer.testing import CliRunner

from cli.__main__ import app
from mammo.errors import ModelNotFound
from mammo.labelstudio.labeling_config import ControlTags, labeling_config
from mammo.site import Site
from tests.fakes.label_studio import KEY, FakeLabelStudio
from tests.fakes.served import served
from tests.mammo.models.versions import register
from tests.training.detections import square
from tests.training.project import SIZE, Project, sha
from training.datasets.building import build_dataset_version
from training.datasets.sources import PREFERENCE, ReadOptions


@pytest.fixture(autouse=True)
def environment(tmp_path, monkeypatch):
    monkeypatch.setenv("YOLO_MLSAM_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("YOLO_MLSAM_PATIENT_SECRET", "the tests")
    fake = FakeLabelStudio()
    fake.projects[1] = {"id": 1, "label_config": labeling_config(), "model_version": ""}
    with served(fake) as url:
        monkeypatch.setenv("YOLO_MLSAM_LABEL_STUDIO_URL", url)
        monkeypatch.setenv("YOLO_MLSAM_LABEL_STUDIO_API_KEY", KEY)
        yield


def call(*arguments):
    return CliRunner().invoke(app, ["labels", "look-again", *arguments], env={"COLUMNS": "200"})


def test_doubted_labels_are_listed_strongest_first_and_as_json(tmp_path):
    with Site.load(creates=True) as site:
        project = Project(site.store)
        project.annotate(1, [square(10, 10)], patient="Doe^Jane")
        project.annotate(2, [], patient="p2")
        build_dataset_version(
            site.store,
            site.engine,
            site.blobs,
            project=1,
            open_image=project.open_image,
            options=ReadOptions(tags=ControlTags(), prefer=PREFERENCE, with_automatic=False),
        )
        version = register(site.registry, tmp_path, "old")
        for task, regions in ((1, []), (2, project_regions(version))):
            site.store.record_prelabel(
                project=1,
                task=task,
                model_version=version,
                regions=regions,
                score=0.9,
                images={"": sha(task)},
                sizes={"": SIZE},
                num_cut=0,
                shown=False,
            )
    printed = call("--project", "1")
    assert printed.exit_code == 0, printed.exception
    assert "2 of 2 images were compared, 2 doubts" in printed.output
    listed = json.loads(call("--project", "1", "--json").output)
    assert [(each["task"], each["cause"]) for each in listed["labels"]] == [
        (2, "missed"),
        (1, "nothing-there"),
    ]
    assert listed["labels"][0]["box"] == [30, 20, 40, 30]
    assert "Jane" not in printed.output + json.dumps(listed)
    assert len(json.loads(call("--project", "1", "--json", "--limit", "1").output)["labels"]) == 1


def project_regions(version):
    from mammo.labelstudio.rendering import to_regions

    return to_regions([square(30, 20, score=0.9)], size=SIZE, tags=ControlTags(), model_version=version)


def test_a_project_without_a_dataset_version_is_told_how_to_make_one():
    with Site.load(creates=True) as site:
        assert site.engine
    error = call("--project", "1").exception
    assert isinstance(error, ModelNotFound)
    assert "dataset build --project 1" in str(error)
