from datetime import UTC, datetime

import httpx
import pytest
import sqlalchemy as sa

from mammo.annotations import AnnotationStore
from mammo.blinding import Blinding
from mammo.database import reading
from mammo.database.tables import automatic_annotation
from mammo.efforts.effort_records import Efforts
from mammo.errors import LabelStudioError
from mammo.stages import StageLog, StageRules, StageService, audited
from tests.fakes.label_studio import USER, FakeLabelStudio
from tests.mammo.corrected import regions
from tests.mammo.stages.measured import record
from tests.sites import site_of
from tests.training.detections import square
from worker.acceptance import accept_predictions

TASKS = range(1, 61)
FOUND = square(20, 20, name="c1")


class Ward:
    def __init__(self, engine):
        self.engine, self.server = engine, FakeLabelStudio(send=lambda body: self.on_annotate())
        self.on_annotate = lambda: None
        self.server.add_project(1)
        first, *_ = self.server.add_tasks(1, *({"image": f"{task}.png"} for task in TASKS))
        first["annotations"] = [{"id": 1, "was_cancelled": False, "completed_by": USER + 1}]
        self.store = AnnotationStore(engine)
        self.records = []
        self.stages = StageLog(engine)
        self.desk = StageService(
            self.stages,
            efforts=lambda project: Efforts(records=tuple(self.records)),
            served_version=lambda project: "m1",
            rules=lambda project: StageRules(audit_share=0.2),
            can_submit=True,
        )
        for task in TASKS:
            low, empty, cut = task % 10 == 2, task % 10 == 3, task % 10 == 5
            self.store.record_prelabel(
                project=1,
                task=task,
                model_version="m1",
                regions=[] if empty else regions(FOUND),
                score=0.4 if low else 0.95,
                images={"": "a" * 64},
                num_cut=5 if cut else 0,
                shown=task != 4,
            )

    def set(self, stage):
        return self.desk.set(
            1,
            stage,
            actor="me",
            reason="x",
            override=True,
            **({"threshold": 0.9} if stage == "automatic" else {}),
        )

    def submitted(self):
        """Tasks that the service annotated, each once."""
        tasks = [
            row["id"]
            for row in self.server.tasks
            for each in row["annotations"]
            if each["completed_by"] == USER
        ]
        assert len(tasks) == len(set(tasks))
        return set(tasks)

    def accept(self, *, version="m1", shares=None, seconds=0.0):
        client = self.server.client()
        return accept_predictions(
            1,
            version=version,
            site=site_of(
                label_studio=client,
                service_account=client,
                store=self.store,
                engine=self.engine,
                stages=self.desk,
                blinding=Blinding(self.engine, shares or {}),
            ),
            audit_seconds=seconds,
        )


@pytest.fixture
def ward(engine):
    made = Ward(engine)
    yield made
    made.store.close()


@pytest.mark.parametrize("stage", [None, "assisted"])
def test_nothing_is_submitted_in_a_project_that_is_not_automatic(ward, stage):
    if stage:
        ward.set(stage)
    assert ward.accept() == {}
    assert ward.submitted() == set()


def test_sure_predictions_are_submitted_and_the_audit_share_and_all_doubtful_ones_go_to_people(ward):
    ward.set("automatic")
    counts = ward.accept()
    drawn = {task for task in TASKS if audited(1, task, 0.2)}
    doubtful = {task for task in TASKS if task % 10 in (2, 3, 5)} | {1, 4}
    assert drawn - doubtful
    assert ward.submitted() == set(TASKS) - drawn - doubtful
    assert counts == {
        "accepted": len(ward.submitted()),
        "audit": len(drawn - doubtful),
        "low_score": 6,
        "empty": 6,
        "cut": 6,
        "not_prelabelled": 1,
    }
    with reading(ward.engine) as connection:
        named = connection.scalars(sa.select(automatic_annotation.c.task)).all()
    assert set(named) == ward.submitted()


def test_blind_tasks_are_never_submitted(ward):
    blind = Blinding(ward.engine, {1: 0.5})
    with ward.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE prelabel SET shown_at = NULL")
    chosen = {task for task in TASKS if blind.is_blind(1, task, {})}
    with ward.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE prelabel SET shown_at = created_at")
    ward.set("automatic")
    ward.accept(shares={1: 0.5})
    assert chosen
    assert not chosen & ward.submitted()


def test_a_repeated_job_submits_only_what_is_missing(ward):
    ward.set("automatic")

    def refuse(request):
        if request.method == "POST" and len(ward.submitted()) == 3:
            raise httpx.ConnectError("gone")

    ward.server.before = refuse
    with pytest.raises(LabelStudioError):
        ward.accept()
    ward.server.before = lambda request: None
    first = ward.submitted()
    ward.accept()
    assert len(first) == 3
    assert first < ward.submitted()
    assert ward.accept().get("accepted", 0) == 0


def test_predictions_of_another_model_are_not_submitted(ward):
    for task in TASKS:
        ward.store.record_prelabel(
            project=1,
            task=task,
            model_version="m2",
            regions=regions(FOUND),
            score=1.0,
            images={"": "a" * 64},
            num_cut=0,
            shown=True,
        )
    ward.set("automatic")
    assert ward.accept(version="m2") == {"other_model": len(TASKS) - 1}


def test_somebody_who_ends_the_stage_ends_it_between_two_submissions(ward):
    ward.set("automatic")
    ward.on_annotate = lambda: len(ward.submitted()) == 2 and ward.set("semi-automatic")
    assert ward.accept()["accepted"] == 2


def test_bad_audits_end_the_stage_while_predictions_are_being_submitted(ward):
    ward.set("automatic")

    def reviewers_disagree():
        drawn = [task for task in range(1, 1000) if audited(1, task, 0.2)][:12]
        ward.records = [record(task, at=datetime.now(UTC), score=0.95, deleted=1) for task in drawn]

    ward.on_annotate = reviewers_disagree
    assert ward.accept()["accepted"] == 1
    newest = ward.stages.current(1)
    assert (newest.stage, newest.actor) == ("semi-automatic", "yolo-mlsam audit")
    assert ward.accept() == {}
