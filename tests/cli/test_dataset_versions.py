import json
from types import SimpleNamespace

import pytest
from typer.testing import CliRunner

from cli.__main__ import app
from mammo.annotations import AnnotationStore
from mammo.annotations.automatic import AutomaticAnnotation, record_automatic
from mammo.blobs import Blobs
from mammo.database import open_database
from mammo.findings import CLUSTER, Finding
from mammo.geometry import Box
from mammo.labelstudio.labeling_config import ControlTags
from mammo.readings import ReadingRecords, ReadingRules
from mammo.settings import Settings
from mammo.site import Site
from tests.fakes.label_studio import KEY, FakeLabelStudio
from tests.fakes.served import served
from tests.mammo.corrected import CONFIG, correct, regions
from tests.training.detections import square
from tests.training.project import Project
from training.datasets.building import build_dataset_version
from training.datasets.sources import PREFERENCE, ReadOptions


@pytest.fixture
def names(tmp_path, monkeypatch):
    """A data folder with two dataset versions; their names."""
    monkeypatch.setenv("YOLO_MLSAM_DATA_DIR", str(tmp_path))
    settings = Settings.load()
    engine = open_database(settings.database)
    store = AnnotationStore(engine)
    project = Project(store)
    found = []
    for number in (1, 2):
        project.annotate(number, [square(5, 5)] * (2 - number), patient=f"p{number}")
        project.annotate(7, [square(5 * number, 5)], patient=None)
        blobs = Blobs(settings.blobs)
        found.append(
            build_dataset_version(
                store,
                engine,
                blobs,
                project=1,
                open_image=project.open_image,
                options=ReadOptions(tags=ControlTags(), prefer=PREFERENCE, with_automatic=False),
            ).name
        )
    store.close()
    engine.dispose()
    return found


def run(*arguments):
    return CliRunner().invoke(app, ["dataset", *arguments], env={"COLUMNS": "160"})


def test_versions_are_listed_and_shown_by_the_beginning_of_their_name(names):
    listed = run("list").output
    assert all(name[:12] in listed for name in names)
    shown = run("show", names[0][:8]).output
    assert names[0] in shown
    assert "have neither patient nor study" in shown


def test_two_versions_are_compared(names):
    printed = run("diff", *names).output.splitlines()
    assert printed == [
        "added: 1 images (tasks 2)",
        "removed: 0 images",
        "changed: 1 images (tasks 7)",
        "same: 1 images",
    ]


@pytest.mark.parametrize("kind", ["coco", "yolo", "png"])
def test_a_version_is_exported(names, tmp_path, kind):
    out = tmp_path / "out"
    assert "3 images with 2 findings" in run("export", names[1], "--out", str(out), "--format", kind).output
    assert any(out.rglob("*"))
    if kind == "coco":
        content = json.loads((out / "coco.json").read_text())
        assert {image["fold"] for image in content["images"]} <= {"train", "validation", "test"}
        assert len(content["annotations"]) == 2


@pytest.mark.parametrize("kind", ["coco", "yolo", "png"])
def test_an_image_with_a_cluster_that_only_a_point_marks_is_counted_and_not_exported(site, tmp_path, kind):
    marked = Finding(label=CLUSTER, score=1.0, box=Box(40, 30, 41, 31), is_point=True)
    site.annotate(11, [square(5, 5)], patient="p1")
    site.annotate(12, [square(5, 5), marked], patient="p1")
    site.annotate(13, [marked], patient="p1")
    site.store.close()
    built = run("build", "--project", "1").output
    assert "marked by a point only: 2" in " ".join(built.split())
    name = built.split("dataset version ")[1].split()[0]
    out = tmp_path / "out"
    exported = run("export", name, "--out", str(out), "--format", kind)
    assert exported.exit_code == 0, exported.exception
    assert "1 images with 1 findings" in exported.output
    assert exported.output.count("marked by a point only") == 2


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("show", "ffff"), "no dataset version begins with 'ffff'"),
        (("export", "x", "--out", "o", "--format", "seg"), "expected coco, png, yolo"),
    ],
)
def test_a_mistake_is_one_sentence(names, arguments, words):
    result = run(*arguments)
    assert result.exit_code
    assert words in result.output + str(result.exception)


@pytest.mark.parametrize(("setting", "left_out"), [("false", "automatic"), ("true", "foreign_path")])
def test_what_no_person_looked_at_is_built_with_only_where_the_setting_says_so(
    tmp_path, monkeypatch, setting, left_out
):
    monkeypatch.setenv("YOLO_MLSAM_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("YOLO_MLSAM_PATIENT_SECRET", "the tests")
    monkeypatch.setenv("YOLO_MLSAM_TRAIN_ON_AUTOMATIC", setting)
    engine = open_database(Settings.load().database)
    store = AnnotationStore(engine)
    order = AutomaticAnnotation(project=1, task=5, model_version="m1", account=99, score=0.9, threshold=0.8)
    record_automatic(engine, order, regions(square(20, 20)))
    correct(store, square(20, 20), user=99)
    store.close()
    engine.dispose()
    fake = FakeLabelStudio()
    fake.projects[1] = {"id": 1, "label_config": CONFIG}
    with served(fake) as url:
        monkeypatch.setenv("YOLO_MLSAM_LABEL_STUDIO_URL", url)
        monkeypatch.setenv("YOLO_MLSAM_LABEL_STUDIO_API_KEY", KEY)
        built = run("build", "--project", "1")
    assert built.exit_code == 0, built.exception
    assert f"left out: 1 {left_out} (" in built.output


@pytest.fixture
def engine(names):
    engine = open_database(Settings.load().database)
    yield engine
    engine.dispose()


@pytest.fixture
def site(engine, monkeypatch):
    """A project whose images and tags are at hand without Label Studio; closes its store before a command runs."""
    project = Project(AnnotationStore(engine))
    monkeypatch.setattr(Site, "images", SimpleNamespace(open=project.open_image, fingerprint=str))
    monkeypatch.setattr(Site, "tags", staticmethod(lambda _project: ControlTags()))
    yield project
    project.store.close()


@pytest.mark.parametrize(
    "arguments",
    [
        ("dataset", "build", "--project", "1"),
        ("runs", "start", "--project", "1"),
        ("train", "detector", "--recipe", "smoke", "--out", "run", "--dataset"),
        ("train", "segmenter", "--recipe", "smoke", "--out", "run", "--dataset"),
    ],
)
def test_a_readers_project_is_neither_built_nor_trained_from_by_hand(site, engine, names, arguments):
    records = ReadingRecords(engine)
    records.create(2, rules=ReadingRules(), users={})
    records.record_project(2, "reader-1", 1, 1)
    named = (names[0],) if arguments[-1] == "--dataset" else ()
    result = CliRunner().invoke(app, [*arguments, *named])
    assert result.exit_code
    assert "train on project 2" in str(result.exception)
