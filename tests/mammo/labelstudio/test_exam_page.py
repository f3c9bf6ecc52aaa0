"""The list of tasks of a project of exams says what a reader chooses by, and no digest."""

from __future__ import annotations

from typing import Any

from mammo.exam_views import EXAM_VIEWS
from mammo.exchange.exam_tasks import ExamFacts, exam_task_data
from mammo.geometry import Spacing
from mammo.labelstudio.exam_page import exam_columns, exam_tab

REGION = {"original_width": 100, "type": "polygonlabels", "to_name": "RCC"}


def task_data() -> dict[str, Any]:
    view = EXAM_VIEWS[0]
    image = {"image": "/data/twin.png", "mammogram": "a.dcm", "sha256": "a" * 64, "spacing_mm": [0.1, 0.1]}
    facts = ExamFacts(patient="p1", exam="0f3a")
    return exam_task_data({view: image}, facts=facts, spacings={view: Spacing(0.1, 0.1, "imager")})


def test_the_tab_shows_pictures_views_findings_note_score_and_version_and_no_digest() -> None:
    hidden = set(exam_tab()["hiddenColumns"]["explore"])
    shown = {key for key in task_data() if f"tasks:data.{key}" not in hidden}
    assert shown == {"patient", "views", "findings", "note", *(view.key for view in EXAM_VIEWS)}
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
    assert exam_columns([]) == {"findings": 0, "note": ""}
