import pytest
import sqlalchemy as sa
import structlog
from hypothesis import given
from hypothesis import strategies as st

from mammo.annotations import AnnotationStore
from mammo.blinding import Blinding, patient_or_task, uniform_hash
from mammo.database import task_arm, writing
from mammo.errors import StorageUnavailable
from tests.mammo.corrected import show
from tests.training.detections import square


@given(st.integers(1, 2**40), st.text(max_size=20), st.floats(0, 1), st.floats(0, 1))
def test_a_larger_share_keeps_whom_a_smaller_one_had_drawn(project, key, one, other):
    small, large = sorted((one, other))
    selected = uniform_hash("blind", project, key)
    assert 0 <= selected < 1
    assert selected == uniform_hash("blind", project, key)
    if selected < small:
        assert selected < large


def test_the_share_is_met_and_projects_and_purposes_are_drawn_apart():
    tasks = range(4000)
    blind = {task for task in tasks if uniform_hash("blind", 1, f"task {task}") < 0.1}
    assert len(blind) == pytest.approx(400, abs=60)  # three standard deviations
    for purpose, project in (("blind", 2), ("audit", 1)):
        other = {task for task in tasks if uniform_hash(purpose, project, f"task {task}") < 0.1}
        assert len(blind & other) == pytest.approx(40, abs=20)


def test_all_views_of_a_patient_fall_alike():
    assert patient_or_task(1, {"patient": "p"}) == patient_or_task(2, {"patient": "p"})
    assert patient_or_task(1, {}) != patient_or_task(2, {})
    assert patient_or_task(1, {"patient": 4700}) == patient_or_task(2, {"patient": "4700 "}) == "patient 4700"


def test_a_patient_that_cannot_be_read_is_drawn_by_its_task_and_said():
    with structlog.testing.capture_logs() as logged:
        assert patient_or_task(1, {"patient": ["p"]}) == "task 1"
    assert [line["task"] for line in logged] == [1]
    assert patient_or_task(1, {"patient": " "}) == "task 1"


def test_what_was_decided_once_holds_whatever_the_share_becomes(any_engine):
    def decisions(share):
        return {task for task in range(60) if Blinding(any_engine, {1: share}).is_blind(1, task, {})}

    first = decisions(0.3)
    assert 5 < len(first) < 35
    assert decisions(0.9) == first == decisions(0.0)


def test_without_a_share_nothing_is_decided_and_nothing_blind(any_engine):
    assert not Blinding(any_engine, {2: 1.0}).is_blind(1, 5, {})
    assert Blinding(any_engine, {1: 1.0}).is_blind(1, 5, {})


def test_a_task_that_was_ever_shown_with_a_prelabel_is_not_blind(any_engine):
    store = AnnotationStore(any_engine)
    show(store, square(5, 5), task=5)
    store.record_prelabel(
        project=1,
        task=6,
        model_version="m1",
        regions=[],
        score=0.5,
        images={"": "a" * 64},
        num_cut=0,
        shown=False,
    )
    store.close()
    blinding = Blinding(any_engine, {1: 1.0})
    assert [blinding.is_blind(1, task, {}) for task in (5, 6)] == [False, True]


def test_while_the_database_is_away_the_selection_stands(engine, monkeypatch):
    blinding = Blinding(engine, {1: 0.5})

    def away(*_):
        raise StorageUnavailable("locked")

    with monkeypatch.context() as patch:
        patch.setattr(blinding, "_decision", away)
        selected = [blinding.is_blind(1, task, {}) for task in range(20)]
    assert selected == [blinding.is_blind(1, task, {}) for task in range(20)]
    with writing(engine) as connection:
        assert connection.scalar(sa.select(sa.func.count()).select_from(task_arm)) == 20
