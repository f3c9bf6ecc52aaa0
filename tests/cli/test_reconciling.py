"""`yolo-mlsam reconcile`, with a Label Studio that has one annotation nobody told of and a webhook that is off."""

import json

import httpx
import pytest
from typer.testing import CliRunner

from cli.__main__ import app
from mammo.annotations import AnnotationStore
from mammo.blobs import Blobs
from mammo.database import open_database
from mammo.errors import InvalidSettings
from mammo.findings import CLUSTER, Finding
from mammo.labelstudio import LabelStudioClient
from mammo.labelstudio.labeling_config import ControlTags
from mammo.settings import Settings
from tests.fakes.label_studio import KEY, URL, FakeLabelStudio
from tests.mammo.labelstudio.drawn import SIZE, A, B, filled, rectangle
from tests.mammo.labelstudio.test_older_prelabels import sent
from tests.training.earlier_release import freeze_as_before
from tests.training.project import mammogram
from training.datasets.building import build_dataset_version
from training.datasets.sources import PREFERENCE, ReadOptions

MOMENT = "2026-11-27T08:00:00+00:00"


@pytest.fixture
def server():
    """Its project 4 is connected, but its webhook is off; of its task 5 nobody told us."""
    server = FakeLabelStudio()
    server.add_project(4)
    with server.client() as client:
        client.connect_backend(4, "http://backend.test", user="u", password="p", webhook_secret="the secret")
    server.webhooks[0]["is_active"] = False
    server.tasks.append({"id": 5, "project": 4, "data": {"image": "/data/5.png"}, "updated_at": MOMENT})
    show(server, [[]])
    return server


@pytest.fixture
def run(tmp_path, monkeypatch, server):
    monkeypatch.setattr(
        "mammo.labelstudio.LabelStudioClient",
        lambda url, key: LabelStudioClient(url, key, transport=server.transport),
    )
    monkeypatch.setenv("YOLO_MLSAM_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("YOLO_MLSAM_LABEL_STUDIO_URL", URL)
    monkeypatch.setenv("YOLO_MLSAM_LABEL_STUDIO_API_KEY", KEY)
    monkeypatch.setenv("YOLO_MLSAM_WEBHOOK_SECRET", "the secret")
    open_database(Settings.load().database).dispose()
    return lambda *arguments: CliRunner().invoke(app, ["reconcile", *arguments], env={"COLUMNS": "200"})


def test_what_was_lost_is_found_and_the_webhook_is_put_right(run):
    (report,) = json.loads(run("4", "--json").stdout)
    assert (report["project"], report["missing"], report["stale"], report["deleted"]) == (4, 1, 0, 0)
    assert report["webhook"] == ["deactivated"]


def test_a_person_reads_a_table_and_the_second_look_finds_nothing(run):
    assert "was deactivated" in run("4").output
    (report,) = json.loads(run("--json").stdout)
    assert (report["project"], report["missing"]) == (4, 0), "every project that is known"


def test_without_label_studios_address_it_says_what_to_set(run, monkeypatch):
    monkeypatch.setenv("YOLO_MLSAM_LABEL_STUDIO_URL", "")
    result = run("4")
    assert isinstance(result.exception, InvalidSettings)
    assert "YOLO_MLSAM_LABEL_STUDIO_URL" in str(result.exception)


def show(server, results):
    """Label Studio shows these annotations of task 5, from number 3 on."""
    whole = {"was_cancelled": False, "updated_at": MOMENT, "completed_by": 1}
    server.tasks[0]["annotations"] = [
        whole | {"id": number, "result": result} for number, result in enumerate(results, 3)
    ]


@pytest.fixture
def upgraded(run, server, tmp_path):
    """Project 4, whose newest dataset version an earlier release made: the mask of a deleted finding was one."""
    show(server, [[each for each in sent() if each["id"] != "b"]])
    run("4", "--no-reread")
    settings = Settings.load(data_dir=tmp_path)
    engine, blobs = open_database(settings.database), Blobs(settings.blobs)
    store = AnnotationStore(engine)
    made = build_dataset_version(
        store,
        engine,
        blobs,
        project=4,
        open_image=lambda data: mammogram(5, size=SIZE),
        options=ReadOptions(tags=ControlTags(), prefer=PREFERENCE, with_automatic=False),
    )
    store.close()
    (item,) = made.items
    left = Finding(label=CLUSTER, score=1.0, box=B, mask=filled(B))
    name = freeze_as_before(engine, blobs, made, {3: [*item.truth, left]})
    engine.dispose()
    return name


def test_what_the_newest_dataset_version_took_otherwise_is_printed(run, upgraded):
    result = run("4")
    assert result.exit_code == 0
    assert (
        f"compared with dataset version {upgraded[:12]}: 0 unchanged, 1 changed (findings: 1 gone"
        in result.output
    )
    assert "gone: no. 2 at 60,20-90,60; 1 deleted with one of their parts" in result.output
    (report,) = json.loads(run("4", "--json").stdout)
    assert (report["reread"]["changed"], report["reread"]["findings"]["gone"]) == (1, 1)
    (row,) = report["reread"]["annotations"]
    assert (row["annotation"], row["before"], row["now"], row["changes"][0]["box"]) == (
        3,
        2,
        1,
        [60, 20, 90, 60],
    )


def test_nothing_is_read_anew_if_nobody_wants_it(run, upgraded):
    assert "dataset version" not in run("4", "--no-reread").output
    (report,) = json.loads(run("4", "--json", "--no-reread").stdout)
    assert "reread" not in report


def test_of_many_refusals_a_person_sees_twenty_and_a_program_all(run, server):
    foreign = rectangle(A)
    foreign["value"]["rectanglelabels"] = ["Kalk"]
    show(server, [[foreign]] * 25)
    output = run("4").output
    assert output.count("unknown_label: a region has the label 'Kalk'") == 20
    assert "0 readable, 25 refused (25 unknown_label)" in output
    assert "and 5 more; --json lists all" in output
    (report,) = json.loads(run("4", "--json").stdout)
    assert len(report["reread"]["annotations"]) == 25


def test_a_labeling_config_that_is_not_to_be_had_is_said_and_the_repairs_are_told(run, server):
    def away(request):
        return httpx.Response(503) if request.url.path == "/api/projects/4/" else None

    server.before = away
    result = run("4")
    assert result.exit_code == 0
    assert "was deactivated" in result.output
    assert "annotations could not be reread: the labeling config of project 4 cannot be read" in result.output
    (report,) = json.loads(run("4", "--json").stdout)
    assert report["reread"] is None
    assert report["reread_problem"].startswith("label_studio_503: ")
