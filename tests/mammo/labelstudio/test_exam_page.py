"""The list of tasks of a project of exams says what a reader chooses by, and no digest."""

from __future__ import annotations

from typing import Any

from mammo.exam_views import EXAM_VIEWS
from mammo.exchange.exam_tasks import ExamFacts, exam_task_data
from mammo.geometry import Spacing
from mammo.labelstudio.exam_config import exam_config
from mammo.labelstudio.exam_page import exam_columns, exam_tab, named_patient
from mammo.labelstudio.shown_version import version_results

KEY = "0123456789abcdef"
REGION = {"original_width": 100, "type": "polygonlabels", "to_name": "RCC"}


def task_data() -> dict[str, Any]:
    view = EXAM_VIEWS[0]
    image = {"image": "/data/twin.png", "mammogram": "a.dcm", "sha256": "a" * 64, "spacing_mm": [0.1, 0.1]}
    facts, spacings = ExamFacts(patient=KEY, exam="0f3a"), {view: Spacing(0.1, 0.1, "imager")}
    before = exam_task_data({view: image}, facts=facts, spacings=spacings)
    return exam_task_data({view: image}, facts=facts, spacings=spacings, prior=before)


def test_the_tab_shows_pictures_views_findings_note_score_and_version_and_no_digest() -> None:
    hidden = set(exam_tab()["hiddenColumns"]["explore"])
    shown = {key for key in task_data() if f"tasks:data.{key}" not in hidden}
    assert shown == {"pseudonym", "views", "findings", "note", *(view.key for view in EXAM_VIEWS)}
    assert {"tasks:predictions_score", "tasks:predictions_model_versions"}.isdisjoint(hidden)


def test_a_task_names_the_views_that_it_has() -> None:
    data = task_data()
    assert (data["views"], data["findings"], data["note"]) == ("R CC", "", "")


def test_findings_are_counted_once_each_and_notes_are_said_once() -> None:
    choice = REGION | {"id": "RCC-1", "type": "choices"}
    note = {"type": "textarea", "value": {"text": ["The model found 31 clusters.", "Look closely."]}}
    link = {"type": "relation", "from_id": "RCC-1", "to_id": "RCC-2"}
    result = [REGION | {"id": "RCC-1"}, choice, REGION | {"id": "RCC-2"}, note, note, link]
    assert exam_columns(result) == {"findings": 2, "note": "The model found 31 clusters. Look closely."}
    version = version_results(exam_config(), version="m0002-3fa9c2d1")
    assert exam_columns([*result, *version]) == exam_columns(result)
    assert exam_columns([]) == {"findings": 0, "note": ""}


def test_readers_see_a_pseudonym_wherever_the_patient_is_named_and_the_key_stays() -> None:
    data = task_data()
    assert data["pseudonym"] == "04HM-ASW9"
    assert data["exam_title"].startswith("Patient 04HM-ASW9, ")
    assert "Patient 04HM-ASW9, " in data["prior"]
    assert {name for name, value in data.items() if KEY in str(value)} == {"patient"}


def test_a_task_of_an_earlier_release_gets_the_pseudonym_and_keeps_the_rest() -> None:
    today = task_data()
    older = {
        name: value.replace("04HM-ASW9", KEY) if isinstance(value, str) else value
        for name, value in today.items()
        if name != "pseudonym"
    }
    assert older | named_patient(older) == today
    assert today | named_patient(today) == today
    assert named_patient({"exam_title": "Exam of a phantom"}) == {"exam_title": "Exam of a phantom"}
