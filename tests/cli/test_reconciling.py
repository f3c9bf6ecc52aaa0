"""`yolo-mlsam reconcile`, with a Label Studio that has one annotation nobody told of and a webhook that is off."""

import json

import pytest
from typer.testing import CliRunner

from cli.__main__ import app
from mammo.errors import InvalidSettings

MOMENT = "2026-11-27T08:00:00+00:00"


class LabelStudio:
    """As `LabelStudioClient`, for one project."""

    def __init__(self, url, key):
        assert (url, key) == ("http://label-studio.test", "key")

    def repair_webhook(self, project, *, secret):
        assert secret == "the secret"
        return ["deactivated"]

    def outlines(self, project, *, since=None):
        yield {
            "id": 5,
            "data": {"image": "/data/5.png"},
            "updated_at": MOMENT,
            "annotations": [{"id": 3, "updated_at": MOMENT}],
        }

    def annotations(self, task):
        return [{"id": 3, "result": [], "was_cancelled": False, "updated_at": MOMENT, "completed_by": 1}]

    def close(self):
        pass


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.setattr("cli.reconciling.LabelStudioClient", LabelStudio)
    monkeypatch.setenv("YOLO_MLSAM_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("YOLO_MLSAM_LABEL_STUDIO_URL", "http://label-studio.test")
    monkeypatch.setenv("YOLO_MLSAM_LABEL_STUDIO_API_KEY", "key")
    monkeypatch.setenv("YOLO_MLSAM_WEBHOOK_SECRET", "the secret")
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
