from dataclasses import asdict
from datetime import UTC, datetime

import pytest

from mammo.efforts.edit_effort import EditEffort
from mammo.efforts.effort_records import EffortRecord, Efforts, Unreadable
from mammo.trace import Trace
from tests.backend.fakes import BASIC, Backend

MONDAY = datetime(2026, 11, 23, 8, tzinfo=UTC)


def record(version, annotator="annotator-a", *, accepted=1):
    effort = EditEffort(accepted=accepted, edited=1, added=0, deleted=0, dice=0.5)
    where = {"project": 4, "task": 1, "annotation": 1, "at": MONDAY, "lead_time": 20.0, "hasty": False}
    return EffortRecord(model_version=version, annotator=annotator, effort=effort, **where)


def get(path, **parts):
    return Backend(parts=parts).client.get(path, headers=BASIC)


def test_a_trace_is_json():
    fields = {"annotation": 3, "task": 5, "project": 1, "present": True, "automatic": False, "prelabel": None}
    fields["patient"] = "7K4M-2QX9"
    found = Trace(**fields, history=[], dataset_uses=[])
    answer = get("/annotations/3/trace", trace=lambda annotation: found)
    assert answer.json() == {**fields, "history": [], "trainings": [], "second_looks": []}


@pytest.mark.parametrize("path", ["/annotations/3/trace", "/projects/4/effort"])
def test_strangers_learn_nothing(path):
    assert Backend().client.get(path).status_code == 401


@pytest.mark.parametrize(("path", "status"), [("/annotations/99/trace", 404), ("/annotations/0/trace", 422)])
def test_what_is_not_known_is_said(path, status):
    answer = get(path)
    assert answer.status_code == status
    assert answer.json()["message"]


def test_effort_is_grouped_as_asked():
    lost = Unreadable(task=9, annotation=8, code="invalid_region", reason="the image was rotated")
    efforts = Efforts(
        records=(record("m1"), record("m1", "annotator-b", accepted=3), record("m2")), unreadable=(lost,)
    )
    answer = get("/projects/4/effort", efforts=lambda project: efforts).json()
    assert answer["project"] == 4
    assert [(row["model"], row["images"], row["accept_rate"]) for row in answer["groups"]] == [
        ("m1", 2, pytest.approx(4 / 6)),
        ("m2", 1, 0.5),
    ]
    assert answer["unreadable"] == [asdict(lost)]
    both = get("/projects/4/effort?by=week,annotator", efforts=lambda project: efforts).json()["groups"]
    assert [(row["week"], row["annotator"], row["images"]) for row in both] == [
        ("2026-11-23", "annotator-a", 2),
        ("2026-11-23", "annotator-b", 1),
    ]


@pytest.mark.parametrize("by", ["day", "model,model", ",", "x" * 200])
def test_an_unknown_grouping_is_refused(by):
    assert get(f"/projects/4/effort?by={by}", efforts=lambda project: Efforts()).status_code == 422
