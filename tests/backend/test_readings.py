import orjson
import pytest

from tests.backend.fakes import BASIC, HOOK, Backend
from tests.mammo.double_reading.clinic import PEOPLE, Clinic
from tests.mammo.double_reading.drawing import lesion

HERE, ELSEWHERE = lesion(10, 10, 30, 30), lesion(50, 50, 70, 70)


@pytest.fixture
def clinic(engine, tmp_path):
    made = Clinic(engine, tmp_path, rounds=1)
    yield made
    made.store.close()


@pytest.fixture
def call(clinic):
    client = Backend(more={"reading_room": clinic.room}).client
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
    with clinic.room._alone():
        assert call("POST", f"{path}/sync").status_code == 409


@pytest.mark.parametrize("path", ["/readings", "/projects/1/reading"])
def test_strangers_learn_nothing_and_without_label_studio_it_is_said(path):
    assert Backend().client.get(path).status_code == 401
    assert Backend().client.get(path, headers=BASIC).json()["error"] == "no_label_studio"


@pytest.mark.parametrize(("blind", "asked"), [(True, 0), (False, 1)])
def test_a_readers_annotation_starts_no_training_of_the_readers_project(blind, asked):
    backend = Backend(changes={"train_after": 1}, more={"is_read_blind": lambda project: blind})
    backend.store.num_corrections = 5
    body = {"action": "ANNOTATION_CREATED", "project": {"id": 3}, "annotation": {}, "task": {}}
    assert backend.client.post("/webhook", content=orjson.dumps(body), headers=HOOK).status_code == 201
    assert len(backend.queue.asked) == asked
