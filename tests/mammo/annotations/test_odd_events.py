"""An event with text or numbers that one program takes and another refuses is kept on both databases."""

import json
from datetime import UTC, datetime

import pytest
import sqlalchemy as sa

from mammo.annotations import AnnotationStore
from mammo.database import event, reading
from tests.hostile_text import ODD_TEXTS
from tests.mammo.annotations.bodies import annotation, written

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)


@pytest.fixture
def store(any_engine):
    made = AnnotationStore(any_engine)
    yield made
    made.close()


@pytest.mark.parametrize("text", ODD_TEXTS)
def test_an_event_with_odd_text_is_kept_on_both_databases_and_its_annotation_read_back_equal(
    store, any_engine, text
):
    region = {"id": text, "type": "textarea", "value": {"text": [text], "x": float("inf"), "n": 2**70}}
    _, body = written(3, 5, result=[region], prediction={"model_version": text})
    body["task"]["data"]["note"] = text
    sent = json.dumps(body).encode()
    headers = {"user-agent": text.encode("utf-8", "replace").decode("latin-1")}
    receipt = store.append(sent, action="ANNOTATION_CREATED", received_at=NOW, headers=headers)
    assert (receipt.project, receipt.num_revisions) == (1, 1)
    (correction,) = store.corrections(1)
    assert correction.result == [region]
    assert correction.task_data["note"] == text
    assert correction.prelabel_version == text
    assert store.correction_headers(1)[0].prelabel_version == text
    assert [each.content for each in store.history(3)] == [correction]
    with reading(any_engine) as connection:
        assert connection.scalars(sa.select(event.c.body)).one() == sent
    assert store.append(sent, action="ANNOTATION_CREATED", received_at=NOW).duplicate


@pytest.mark.parametrize("number", [2**63, 2**64, -(2**70), 10**400, 1e400, float("nan"), 1.5, True])
def test_an_event_with_a_number_that_is_no_id_is_kept_and_gives_no_correction(store, any_engine, number):
    for odd in (
        written(number, 5)[1],
        written(3, number)[1],
        {**written(3, 5)[1], "annotation": {**annotation(3, 5), "task": number}},
    ):
        sent = json.dumps(odd).encode()
        store.append(sent, action="ANNOTATION_CREATED", received_at=NOW)
    body = {**written(4, 5, completed_by=number, lead_time=number)[1], "project": {"id": number}}
    store.append(json.dumps(body).encode(), action="ANNOTATION_CREATED", received_at=NOW)
    store.append(
        json.dumps({"annotations": [{"id": number}]}).encode(),
        action="ANNOTATIONS_DELETED",
        received_at=NOW,
    )
    with reading(any_engine) as connection:
        assert connection.scalar(sa.select(sa.func.count()).select_from(event)) == 5
    assert store.corrections(1) == []
