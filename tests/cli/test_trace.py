import json

import pytest
from typer.testing import CliRunner

from cli.__main__ import app
from mammo.annotations import AnnotationStore
from mammo.database import open_database
from mammo.settings import Settings
from tests.fakes.label_studio import KEY, FakeLabelStudio
from tests.fakes.served import served
from tests.mammo.corrected import CONFIG, correct, show
from tests.training.detections import square


@pytest.fixture
def studio():
    """Label Studio, with the project of the correction."""
    fake = FakeLabelStudio()
    fake.projects[1] = {"id": 1, "label_config": CONFIG}
    with served(fake) as url:
        yield url


@pytest.fixture
def site(tmp_path, monkeypatch, studio):
    """A data folder with one prelabel and its correction."""
    monkeypatch.setenv("YOLO_MLSAM_LABEL_STUDIO_URL", studio)
    monkeypatch.setenv("YOLO_MLSAM_LABEL_STUDIO_API_KEY", KEY)
    monkeypatch.setenv("YOLO_MLSAM_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("YOLO_MLSAM_PATIENT_SECRET", "the tests")
    engine = open_database(Settings.load().database)
    store = AnnotationStore(engine)
    show(store, square(20, 20, name="c1"), square(200, 20, name="c2"))
    correct(store, square(20, 20, name="c1"))
    store.close()
    engine.dispose()


def run(*arguments):
    return CliRunner().invoke(app, list(arguments), env={"COLUMNS": "160"})


def test_a_group_that_there_is_none_of_is_refused_with_those_there_are(site):
    answer = run("effort", "--by", "model,vendor")
    assert answer.exit_code == 2
    assert "cannot group by vendor; allowed are model, annotator" in " ".join(answer.output.split())


def test_a_trace_is_printed_for_a_person(site):
    printed = run("trace", "3").output
    for words in (
        "task 5",
        "prelabel of m1",
        "c1: accepted",
        "c2: deleted",
        "not in any dataset version yet",
    ):
        assert words in printed


def test_effort_is_a_table_or_json(site):
    assert "50%" in run("effort").output
    (row,) = json.loads(run("effort", "--by", "annotator", "--json").output)
    assert row["images"] == 1
    assert row["annotator"].startswith("annotator-")


def test_an_unknown_annotation_is_one_sentence(site):
    result = run("trace", "99")
    assert result.exit_code
    assert "annotation 99 is unknown" in str(result.exception)


@pytest.mark.parametrize("command", [("trace", "3"), ("effort",)])
def test_without_label_studio_nothing_is_counted_and_the_error_says_what_is_missing(
    site, monkeypatch, command
):
    monkeypatch.setenv("YOLO_MLSAM_LABEL_STUDIO_URL", "http://127.0.0.1:9")
    away = run(*command)
    assert away.exit_code == 1
    assert "labeling config of project 1 cannot be read" in str(away.exception)
    assert away.output == ""
    monkeypatch.setenv("YOLO_MLSAM_LABEL_STUDIO_URL", "")
    assert "set YOLO_MLSAM_LABEL_STUDIO_URL" in str(run(*command).exception)


def test_what_cannot_be_read_is_said_beside_the_table_and_in_the_trace(site):
    store = AnnotationStore(open_database(Settings.load().database))
    correct(store, square(20, 20, name="c1"), annotation=4, task=6, turned=True)
    store.close()
    answer = run("effort")
    assert "50%" in answer.stdout
    assert "not counted: annotation 4 of task 6, project 1: the image was rotated" in answer.stderr
    assert "cannot be read: the image was rotated" in run("trace", "4").output


def test_a_trace_says_that_a_prelabel_did_not_show_all_findings(site, tmp_path):
    assert "not shown" not in run("trace", "3").output
    engine = open_database(Settings.load().database)
    store = AnnotationStore(engine)
    show(store, square(20, 20, name="c1"), task=6, num_cut=31)
    correct(store, square(20, 20, name="c1"), annotation=4, task=6)
    store.close()
    engine.dispose()
    assert "31 findings of lower score were not shown" in run("trace", "4").output
