"""The pages People and Look again: who may see what, and what their forms do."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from mammo.annotations import AnnotationStore
from mammo.database import open_database
from mammo.efforts.effort_records import Efforts, annotator_pseudonym
from mammo.readers import ProjectReaders
from mammo.readers.tallies import Tally
from mammo.second_looks import LabelDoubt
from tests.backend.console.access import browser, submit, token_in
from tests.backend.fakes import HOOK, Backend
from tests.fakes.label_studio import FakeLabelStudio
from tests.mammo.corrected import CONFIG, START, correct, regions
from tests.training.detections import square

HOSTILE = "<script>alert(1)</script>{{7*7}}"
LAST_WEEK = datetime.now(UTC).date() - timedelta(days=7)
PAGE = "/console/look-again?project=1"
SEARCH = {
    "folds": 5,
    "seed": 3,
    "base": "starter-1",
    "recipe": "provisional",
    "images": 40,
    "compared": 38,
    "skipped": {"the prediction does not show all findings": 2},
    "serving": "m0002-taught",
    "learned": [5],
}


class Clinic(Backend):
    """A backend with project 1, in which user 7 has read task 5."""

    server: FakeLabelStudio
    reader: str


@pytest.fixture
def clinic(tmp_path: Any) -> Iterator[Clinic]:
    engine = open_database(f"sqlite:///{tmp_path / 'data' / 'site.db'}")
    server, store = FakeLabelStudio(), AnnotationStore(engine)
    server.projects[1] = {"id": 1, "label_config": CONFIG}
    server.add_tasks(1, *({"image": f"/data/{number}.png"} for number in range(1, 6)))
    server.users = [{"id": 7, "first_name": "Ada", "last_name": "Reader"}]
    correct(store, square(20, 20), task=5, annotation=3)
    made = Clinic(
        engine=engine,
        store=store,  # type: ignore[arg-type]
        changes={"data_dir": tmp_path / "data", "label_studio_url": "http://label-studio.test:8080"},
        parts={
            "label_studio": server.client(),
            "efforts": lambda _: Efforts(),
            "make_room": lambda: None,
            "readers": lambda project: figures(made.reader),
        },
    )
    made.server = server
    made.reader = annotator_pseudonym(7, secret=made.services.settings.annotator_secret)
    yield made
    engine.dispose()


def figures(reader: str) -> ProjectReaders:
    read = Tally(
        images=12, annotations=12, prelabelled=12, accepted=9, edited=2, added=1, seconds=[60.0] * 12
    )
    early = Tally(images=500, annotations=500)
    return ProjectReaders(
        days={(reader, LAST_WEEK): read, (reader, date(2020, 1, 1)): early},
        images_of_pairs=(),
        unreadable=0,
        num_known_cases=0,
        names={reader: HOSTILE},
        tasks=40,
        done=15,
    )


def doubt(clinic: Clinic) -> None:
    revision = clinic.services.store.correction_headers(1)[0].revision
    raised = LabelDoubt(
        task=5, annotation=3, image="", revision=revision, cause="missed", score=0.9, box=square(200, 20).box
    )
    clinic.services.site.second_looks.records.replace(1, [raised], search=SEARCH)


def test_who_annotated_what_last_week_and_how_much_is_left_is_on_one_page(clinic: Clinic) -> None:
    page = browser(clinic, "viewer").get("/console/people?project=1").text
    assert "25 of 40 tasks" in page
    assert clinic.reader in page
    assert ">12<" in page
    assert ">12 min<" in page
    assert "500" not in page, "of another year"
    everything = browser(clinic, "viewer", name="bob").get("/console/people?period=all").text
    assert ">512<" in everything
    only = browser(clinic, "viewer", name="eve").get("/console/people?since=2020-01-01&until=2020-12-31").text
    assert ">500<" in only


def test_names_are_for_administrators_and_a_hostile_one_is_shown_not_run(clinic: Clinic) -> None:
    for role in ("viewer", "lead"):
        page = browser(clinic, role, name=role).get("/console/people?project=1").text  # type: ignore[arg-type]
        assert clinic.reader in page
        assert "alert" not in page
    client = browser(clinic, "administrator")
    page = client.get("/console/people?project=1").text
    assert "&lt;script&gt;alert(1)&lt;/script&gt;{{7*7}}" in page
    assert "<script>alert" not in page
    answer = client.get("/api/v1/projects/1/readers").json()
    assert answer["readers"][0]["name"] == HOSTILE
    assert answer["left"] == 25


@pytest.mark.parametrize("path", ["/console/people?project=77", "/console/look-again?project=77"])
def test_an_unknown_project_is_404_and_a_wrong_period_422(clinic: Clinic, path: str) -> None:
    client = browser(clinic, "viewer")
    assert client.get(path).status_code == 404
    assert client.get("/console/people?period=ever").status_code == 422


def test_a_lead_sends_doubts_back_and_the_webhook_brings_the_answer(clinic: Clinic) -> None:
    doubt(clinic)
    client = browser(clinic, "lead")
    page = client.get(PAGE).text
    assert "a lesion may have been missed" in page
    assert "the precision of these doubts is unknown here" in page
    sent = submit(client, "/console/look-again/send", on=PAGE, project="1", limit="20")
    assert sent.headers["Location"] == f"{PAGE}&sent=1"
    assert clinic.server.tabs[1]["data"]["title"] == "Second look: Ada Reader"
    assert clinic.client.post("/webhook", content=updated(), headers=HOOK).status_code == 201
    page = client.get(PAGE).text
    assert "the label was changed" in page
    assert "100 %" in page.replace("100%", "100 %")
    assert client.get("/api/v1/projects/1/second-looks").json()["precision"]["all"][0]["changed"] == 1


def updated() -> bytes:
    """The event of the annotation, to which its reader has added a lesion."""
    moment = START + timedelta(minutes=9)
    annotation = {
        "id": 3,
        "task": 5,
        "result": regions(square(20, 20), square(200, 20, name="new")),
        "was_cancelled": False,
        "updated_at": moment.isoformat(),
        "completed_by": 7,
        "lead_time": 90.0,
    }
    event = {
        "action": "ANNOTATION_UPDATED",
        "project": {"id": 1},
        "task": {"id": 5, "data": {"image": "/data/5.png"}},
        "annotation": annotation,
    }
    return json.dumps(event).encode()


def test_a_search_is_asked_for_by_page_and_by_api(clinic: Clinic) -> None:
    client = browser(clinic, "lead")
    answer = submit(client, "/console/look-again/search", on=PAGE, project="1", folds="0")
    assert answer.headers["Location"] == PAGE
    page = client.get(PAGE).text
    assert "A search is running, 50 %" in page.replace("50%", "50 %")
    headers = {"X-CSRF-Token": token_in(page)}
    path = "/api/v1/projects/1/second-looks"
    assert client.post(path, headers=headers, json={"folds": 5, "seed": 7}).status_code == 202
    assert [(each.predictions, each.folds, each.seed) for each in clinic.queue.searches] == [
        (200, 0, 0),
        (200, 5, 7),
    ]
    assert client.post(path, headers=headers, json={"folds": 1}).status_code == 422
    assert submit(client, "/console/look-again/search", on=PAGE, project="1", folds="21").status_code == 422
    assert client.get(path).json()["job"]["state"] in ("started", "finished")


def test_a_search_is_cancelled_by_page_and_by_api(clinic: Clinic) -> None:
    client = browser(clinic, "lead")
    submit(client, "/console/look-again/search", on=PAGE, project="1", folds="5")
    assert "Cancel the search" in client.get(PAGE).text
    assert submit(client, "/console/look-again/cancel", on=PAGE, project="1").headers["Location"] == PAGE
    page = client.get(PAGE).text
    assert "Cancel the search" not in page
    headers = {"X-CSRF-Token": token_in(page)}
    refused = client.post("/api/v1/projects/1/second-looks/cancel", headers=headers)
    assert (refused.status_code, clinic.queue.searches) == (409, [])


def test_the_page_says_how_doubts_were_found_and_which_images_the_serving_model_has_learned_from(
    clinic: Clinic,
) -> None:
    doubt(clinic)
    client = browser(clinic, "viewer")
    page = client.get(PAGE).text
    assert "Out of fold: 5 folds of patients (seed 3)" in page
    assert "38 of 40 images were compared" in page
    assert "m0002-taught has learned from it" in page
    assert client.get("/api/v1/projects/1/second-looks").json()["search"]["learned"] == [5]


def test_a_viewer_reads_and_sends_nothing(clinic: Clinic) -> None:
    doubt(clinic)
    client = browser(clinic, "viewer")
    assert client.get(PAGE).text.count("<form") == 1, "log out"
    for path in ("/console/look-again/send", "/console/look-again/search"):
        assert submit(client, path, on=PAGE, project="1", limit="1").status_code == 403
    assert clinic.server.tabs == []
    lead = browser(clinic, "lead", name="lena")
    for limit in ("0", "501", "x", ""):
        assert submit(lead, "/console/look-again/send", on=PAGE, project="1", limit=limit).status_code == 422
