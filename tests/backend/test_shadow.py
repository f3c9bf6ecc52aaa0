"""A challenger predicts silently beside the champion: never before an answer, never in one, never instead of one."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable

import orjson
import pytest

from backend.backlog import Backlog
from backend.shadow_model import MEMORY_PER_WEIGHT_BYTE, WORKING_MEMORY, ShadowModel
from mammo.errors import InvalidWeights, ModelNotFound
from mammo.labelstudio import labeling_config
from tests.backend.backlogs import is_done_within
from tests.backend.fakes import BASIC, Backend, FakePrelabeller, FakeRegistry

TASKS = [{"id": n, "project": 3, "data": {"image": "/x.png", "sha256": f"{n:064d}"}} for n in range(3)]
PLENTY = 64 * 2**30


class Challengers(FakeRegistry):
    """A challenger that tests move; it takes `seconds()` for each prelabel."""

    def __init__(self, version: str | None = "m2") -> None:
        super().__init__(version)
        self.made: list[FakePrelabeller] = []
        self.seconds: Callable[[], object] = lambda: None

    def find(self) -> str | None:
        return self.champion().version if self.version or self.down else None

    def load(self, version: str) -> FakePrelabeller:
        made = super().load(version)
        made.seconds = self.seconds
        self.made.append(made)
        return made

    def model(self, **changes: object) -> ShadowModel:
        options = {"load": self.load, "size": lambda _: 1000, "free": lambda: PLENTY} | changes
        return ShadowModel(self.find, **options)  # type: ignore[arg-type]


def backend_with(challengers: Challengers, **changes: object) -> Backend:
    return Backend(shadow=challengers.model(), changes=changes)


def work_of(backend: Backend) -> Backlog:
    found = backend.client.app.state.shadow.backlog  # type: ignore[attr-defined]
    assert isinstance(found, Backlog)
    return found


def test_the_challenger_looks_at_the_same_tasks_and_nobody_is_given_what_it_says() -> None:
    backend = backend_with(Challengers())
    with backend.client:
        answers = backend.predict(*TASKS, label_config=labeling_config()).json()["results"]
        assert is_done_within(20, work_of(backend))
        again = backend.predict(*TASKS, label_config=labeling_config()).json()["results"]
    assert {each["model_version"] for each in answers + again} == {"m1"}
    silent = {key: kept.shown_at for key, kept in backend.store.prelabels.items() if key[2] == "m2"}
    assert silent == {(3, n, "m2"): None for n in range(3)}
    assert backend.counted('yolo_mlsam_shadow_predictions_total{outcome="predicted"} 3.0')
    assert backend.counted('yolo_mlsam_predictions_total{outcome="predicted"} 3.0')


def test_the_challenger_begins_when_the_answer_is_out_and_a_request_is_answered_while_it_works() -> None:
    entered, go_on = threading.Event(), threading.Event()
    challengers = Challengers()
    shown: list[list[str]] = []

    def wait() -> None:
        shown.append([key[2] for key in backend.store.prelabels])
        entered.set()
        assert go_on.wait(20)

    backend = backend_with(challengers)
    with backend.client:
        challengers.seconds = lambda: wait() if challengers.made[-1].prelabelled[-1] != "0" * 64 else None
        backend.predict(TASKS[1], label_config=labeling_config())
        assert entered.wait(20)
        (answer,) = backend.predict(TASKS[2], label_config=labeling_config()).json()["results"]
        go_on.set()
        assert is_done_within(20, work_of(backend))
    assert (answer["model_version"], bool(answer["result"])) == ("m1", True)
    assert shown[0] == ["m1"], "the champion's answer was there before the challenger began"


def test_a_challenger_that_fails_costs_no_answer_and_is_not_counted_among_the_predictions() -> None:
    challengers = Challengers()

    def fail() -> None:
        if challengers.made[-1].prelabelled[-1] != "0" * 64:  # not the warm-up's
            raise RuntimeError("out of memory")

    challengers.seconds = fail
    backend = backend_with(challengers)
    with backend.client:
        (answer,) = backend.predict(TASKS[1], label_config=labeling_config()).json()["results"]
        assert is_done_within(20, work_of(backend))
    assert answer["result"]
    assert backend.counted('yolo_mlsam_shadow_predictions_total{outcome="failed"} 1.0')
    text = backend.client.get("/metrics", headers=BASIC).text
    assert 'yolo_mlsam_predictions_total{outcome="failed"}' not in text
    assert [key[2] for key in backend.store.prelabels] == ["m1"]


def test_a_promoted_challenger_shows_what_it_found_as_a_shadow() -> None:
    challengers = Challengers()
    backend = backend_with(challengers)
    with backend.client:
        backend.predict(TASKS[1], label_config=labeling_config())
        assert is_done_within(20, work_of(backend))
        backend.registry.version = "m2"
        backend.host.look()
        (answer,) = backend.predict(TASKS[1], label_config=labeling_config()).json()["results"]
        assert is_done_within(20, work_of(backend))
    assert answer["model_version"] == "m2"
    assert backend.model.prelabelled == ["0" * 64], "only the warm-up: the rest was known"
    assert backend.store.prelabels[3, 1, "m2"].shown_at is not None


def test_blind_tasks_are_looked_at_and_pinned_projects_and_unreadable_images_are_not() -> None:
    challengers = Challengers()
    backend = Backend(
        shadow=challengers.model(),
        parts={"withholding": lambda _, task, __: "blind" if task == 1 else None},
        changes={"project_models": "7=m1"},
    )
    backend.host.look()
    with backend.client:
        (blind,) = backend.predict(TASKS[1], label_config=labeling_config()).json()["results"]
        backend.predict({"id": 9, "data": {"image": "/broken.png"}}, label_config=labeling_config())
        pinned = {"id": 4, "project": 7, "data": {"image": "/x.png", "sha256": "b" * 64}}
        backend.predict(pinned, project="7.1", label_config=labeling_config())
        assert is_done_within(20, work_of(backend))
    assert blind == []
    assert [key for key in backend.store.prelabels if key[2] == "m2"] == [(3, 1, "m2")]
    assert backend.store.prelabels[3, 1, "m2"].shown_at is None


def test_without_the_setting_there_is_no_shadow() -> None:
    backend = Backend()
    with backend.client:
        backend.predict(TASKS[1], label_config=labeling_config())
        assert is_done_within(20, work_of(backend))
    assert [key[2] for key in backend.store.prelabels] == ["m1"]


def test_a_shadow_is_loaded_only_where_memory_allows_it_and_asked_again_later() -> None:
    now, free = [0.0], [MEMORY_PER_WEIGHT_BYTE * 1000 + WORKING_MEMORY - 1]
    challengers = Challengers()
    model = challengers.model(free=lambda: free[0], clock=lambda: now[0])
    assert model.beside("m1") is None
    free[0] += 1
    assert model.beside("m1") is None, "not asked again at once"
    now[0] = 61.0
    loaded = model.beside("m1")
    assert loaded is not None
    assert loaded.version == "m2"
    assert challengers.loads == ["m2"]


def test_a_shadow_that_becomes_the_champion_gives_its_memory_back_and_the_next_one_is_loaded() -> None:
    challengers = Challengers()
    model = challengers.model()
    assert model.beside("m1") is model.beside("m1")
    assert model.beside("m2") is None
    challengers.version = "m3"
    loaded = model.beside("m2")
    assert loaded is not None
    assert loaded.version == "m3"
    assert challengers.loads == ["m2", "m3"]


def test_a_shadow_that_fails_its_self_test_is_not_tried_in_a_loop() -> None:
    now = [0.0]
    challengers = Challengers()

    def refuse(version: str, _: object) -> None:
        raise InvalidWeights(f"{version} finds something else", code="self_test_failed")

    model = challengers.model(check=refuse, clock=lambda: now[0])
    for moment in (0.0, 100.0, 200.0):
        now[0] = moment
        assert model.beside("m1") is None
    assert challengers.loads == ["m2"]


@pytest.mark.parametrize("change", [{"down": True}, {"version": None}])
def test_without_a_registry_or_a_challenger_there_is_no_shadow_and_no_error(
    change: dict[str, object],
) -> None:
    challengers = Challengers()
    model = challengers.model()
    for name, value in change.items():
        setattr(challengers, name, value)
    assert model.beside("m1") is None


def test_the_shadows_thread_has_the_lowest_priority_and_no_other_has() -> None:
    seen: list[int] = []
    done = threading.Event()

    def look() -> None:
        seen.append(os.getpriority(os.PRIO_PROCESS, threading.get_native_id()))
        done.set()

    backend = Backend()
    mine = os.getpriority(os.PRIO_PROCESS, threading.get_native_id())
    with backend.client:
        work_of(backend).add("a", look)
        assert done.wait(20)
    assert seen == [19]
    assert os.getpriority(os.PRIO_PROCESS, threading.get_native_id()) == mine


def test_the_comparison_is_asked_for_over_http() -> None:
    asked: list[tuple[int, list[str]]] = []

    def comparison(project: int, versions: list[str]) -> dict[str, object]:
        asked.append((project, list(versions)))
        if "m9" in versions:
            raise ModelNotFound("the registry holds no m9")
        return {"project": project}

    client = Backend(parts={"comparison": comparison}).client
    assert orjson.loads(client.get("/projects/4/shadow", headers=BASIC).content) == {"project": 4}
    assert client.get("/projects/4/shadow?versions=m1,m9", headers=BASIC).status_code == 404
    assert client.get("/projects/4/shadow?versions=m1", headers=BASIC).status_code == 422
    assert client.get("/projects/4/shadow").status_code == 401
    assert asked == [(4, ["champion", "challenger"]), (4, ["m1", "m9"])]
