import threading

import pytest

from backend.metrics import Metrics
from backend.reconciling import Reconciler
from mammo.annotations import Reconciliation
from mammo.errors import LabelStudioError, StorageUnavailable


class Looks:
    """Remembers which projects were looked at; projects in `broken` fail."""

    def __init__(self, *projects, broken=()):
        self.known, self.broken, self.seen = list(projects), dict(broken), []
        self.enough = threading.Event()

    def look(self, project):
        self.seen.append(project)
        if len(self.seen) >= 3:
            self.enough.set()
        if project in self.broken:
            raise self.broken[project]
        return Reconciliation(project=project, complete=True, missing=2, stale=1)


def reconciler(looks, *, every=0.0, metrics=None):
    return Reconciler(looks.look, projects=lambda: looks.known, every=every, metrics=metrics or Metrics())


@pytest.mark.parametrize("error", [LabelStudioError("gone", code="label_studio_404"), KeyError("odd")])
def test_a_project_that_fails_does_not_keep_the_others_waiting(error):
    looks, metrics = Looks(1, 2, 3, broken={2: error}), Metrics()
    reconciler(looks, metrics=metrics).round()
    assert looks.seen == [1, 2, 3]
    text = metrics.text(serving=None).decode()
    assert 'yolo_mlsam_reconciliations_total{outcome="failed"} 1.0' in text
    assert 'yolo_mlsam_repairs_total{kind="missing"} 4.0' in text


def test_a_database_that_is_away_ends_the_round_and_not_the_schedule():
    def projects():
        raise StorageUnavailable("the database is gone")

    Reconciler(Looks().look, projects=projects, every=0, metrics=Metrics()).round()


def test_it_looks_at_the_start_and_again_on_schedule_until_it_is_stopped():
    looks = Looks(1)
    running = reconciler(looks, every=0.01)
    running.start()
    assert looks.enough.wait(10)
    running.stop()
    after = len(looks.seen)
    assert not looks.enough.clear()
    assert not looks.enough.wait(0.1)
    assert len(looks.seen) == after


def test_a_schedule_of_zero_is_none():
    looks = Looks(1)
    running = reconciler(looks)
    running.start()
    running.stop()
    assert looks.seen == []


def test_a_webhook_that_was_wrong_is_counted_and_put_right_before_the_look():
    looks, metrics, told = Looks(1, 2), Metrics(), []

    def repair(project):
        told.append((project, list(looks.seen)))
        return ["deactivated"] if project == 2 else []

    Reconciler(looks.look, projects=lambda: [1, 2], every=0, metrics=metrics, repair_webhook=repair).round()
    assert told == [(1, []), (2, [1])]
    assert 'yolo_mlsam_repairs_total{kind="webhook"} 1.0' in metrics.text(serving=None).decode()
