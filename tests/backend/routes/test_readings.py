from datetime import UTC, datetime

import orjson
import pytest

from mammo.readings import ReadingRecords, ReadingRules
from tests.backend.fakes import BASIC, HOOK, Backend
from tests.mammo.readings.clinic import PEOPLE, Clinic
from tests.mammo.readings.drawing import lesion

HERE, ELSEWHERE = lesion(10, 10, 30, 30), lesion(50, 50, 70, 70)


@pytest.fixture
def clinic(engine, tmp_path):
    made = Clinic(engine, tmp_path, rounds=1)
    yield made
    made.store.close()


@pytest.fixture
def call(clinic):
    client = Backend(parts={"label_studio": clinic.site, "readings": lambda: clinic.service}).client
    return lambda method, path, **body: client.request(method, path, headers=BASIC, **body)


def test_a_double_reading_runs_over_http_from_its_beginning_to_the_arbiter(clinic, call):
    path = f"/projects/{clinic.source}/reading"
    assert call("GET", path).status_code == 404
    begun = call("POST", path, json={"rules": {"rounds": 1}, "readers": PEOPLE})
    assert begun.status_code == 201
    assert begun.json()["outcomes"] == {"waiting": 3}
    assert call("GET", "/readings").json() == {"projects": [clinic.source]}
    case = clinic.cases[0]
    clinic.both_read(case, [HERE], [ELSEWHERE])
    assert call("POST", f"{path}/sync").json()["repaired"] == 2
    assert call("POST", f"{path}/arbitrate").json()["added"] == {"arbiter": 1}
    state = call("GET", path).json()
    assert state["waiting_for"] == {"arbiter": 1, "reader-1": 2, "reader-2": 2}
    assert call("PATCH", path, json={"least_dice": 0.5}).json()["rules"]["least_dice"] == 0.5


def test_what_cannot_be_is_refused(clinic, call):
    path = f"/projects/{clinic.source}/reading"
    assert call("POST", path, json={"rules": {"consensus": "majority"}}).status_code == 422
    assert call("POST", path, json={"readers": {"arbiter": "nobody@example.org"}}).status_code == 409
    assert call("POST", path, json={}).status_code == 201
    assert call("POST", f"{path}/publish").status_code == 422
    with clinic.service._exclusive():
        assert call("POST", f"{path}/sync").status_code == 409


@pytest.mark.parametrize("path", ["/readings", "/projects/1/reading"])
def test_strangers_learn_nothing_and_without_label_studio_it_is_said(path):
    assert Backend().client.get(path).status_code == 401
    assert Backend().client.get(path, headers=BASIC).json()["error"] == "no_label_studio"


READERS_PROJECT, SOURCE = 3, 2


@pytest.fixture
def site():
    """A backend that knows a double reading of project 2, read in project 3."""
    backend = Backend(changes={"train_after": 1})
    backend.store.num_corrections = 5
    records = ReadingRecords(backend.services.site.engine)
    records.create(SOURCE, rules=ReadingRules(), users={})
    records.record_project(SOURCE, "reader-1", 1, READERS_PROJECT)
    return backend


@pytest.mark.parametrize(("project", "asked"), [(READERS_PROJECT, 0), (SOURCE, 1)])
def test_a_readers_annotation_starts_no_training_of_the_readers_project(site, project, asked):
    body = {"action": "ANNOTATION_CREATED", "project": {"id": project}, "annotation": {}, "task": {}}
    assert site.client.post("/webhook", content=orjson.dumps(body), headers=HOOK).status_code == 201
    assert len(site.queue.asked) == asked


def test_the_button_says_why_a_readers_project_is_not_trained_from(site):
    body = {"action": "START_TRAINING", "project": {"id": READERS_PROJECT}}
    answer = site.client.post("/webhook", content=orjson.dumps(body), headers=HOOK).json()
    assert not answer["training"]["queued"]
    assert "train on project 2" in answer["training"]["reason"]
    assert not site.queue.asked


def test_http_refuses_a_readers_project(site):
    answer = site.client.post(f"/projects/{READERS_PROJECT}/runs", json={}, headers=BASIC)
    assert (answer.status_code, answer.json()["error"]) == (409, "never_trained_from")
    assert not site.queue.asked
    assert site.client.post(f"/projects/{SOURCE}/runs", json={}, headers=BASIC).status_code == 202


def test_the_schedule_passes_a_readers_project_over(site):
    assert site.services.triggers.start_by_schedule(READERS_PROJECT, datetime.now(UTC)) is None
    assert site.services.triggers.start_by_schedule(SOURCE, datetime.now(UTC)) is not None
    assert len(site.queue.asked) == 1
