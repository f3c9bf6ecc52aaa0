import itertools
from datetime import UTC, datetime, timedelta

import pytest

from mammo.annotations import AnnotationStore
from mammo.efforts.effort_records import Efforts, Unreadable
from mammo.errors import LabelStudioError, StageRefused
from mammo.labelstudio.project_tags import ProjectTags
from mammo.models import ModelRegistry
from mammo.settings import Settings
from mammo.stages import StageLog, StageRules, StageService, audited
from tests.mammo.corrected import CONFIG, correct, show
from tests.mammo.models.versions import register
from tests.mammo.stages.measured import record, records
from tests.training.detections import square


class FakeClient:
    def __init__(self, *, down=False):
        self.fields = []
        self.down = down

    def update_project(self, project, **fields):
        if self.down:
            raise LabelStudioError("gone")
        self.fields.append(fields)


class Site:
    """A stage service whose measurements a test chooses."""

    def __init__(self, engine, *, can_submit=True):
        self.records = []
        self.unreadable = ()
        self.serving = "m1"
        self.client = FakeClient()
        self.log = StageLog(engine)
        self.service = StageService(
            self.log,
            efforts=lambda project: Efforts(records=tuple(self.records), unreadable=self.unreadable),
            served_version=lambda project: self.serving,
            rules=lambda project: StageRules(),
            client=self.client,
            can_submit=can_submit,
        )

    def set(self, stage, **more):
        return self.service.set(1, stage, actor="me@here", reason="the tests", **more)

    def audits(self, count, *, right):
        """Reviews of audited tasks from now on; in `right` of them the prediction was right."""
        drawn = [task for task in range(1, 10_000) if audited(1, task, StageRules().audit_share)][:count]
        at = datetime.now(UTC) + timedelta(minutes=1)
        self.records += [
            record(task, at=at, score=0.95, added=int(index >= right)) for index, task in enumerate(drawn)
        ]


@pytest.fixture
def site(any_engine):
    return Site(any_engine)


@pytest.fixture
def automatic(site):
    site.records = [*records(100), *records(30, start=500, arm="control", dice=0.95)]
    site.set("automatic")
    return site


def test_a_project_that_nobody_decided_on_is_semi_automatic(site):
    report = site.service.show(1)
    assert (report.stage, report.since, report.history) == ("semi-automatic", None, ())


def test_forward_is_refused_until_the_rules_are_met_and_the_refusal_names_them(site):
    with pytest.raises(StageRefused, match="reviewed prelabels: 0, needed at least 50") as refused:
        site.set("automatic")
    assert "--override" in str(refused.value)
    assert site.log.history(1) == []


def test_a_change_keeps_who_when_why_and_the_numbers(automatic):
    (change,) = automatic.log.history(1)
    assert (change.actor, change.before, change.stage) == ("me@here", "semi-automatic", "automatic")
    assert (change.reason, change.overruled, change.model_version) == ("the tests", False, "m1")
    assert change.threshold == change.evidence["calibration"]["threshold"]
    assert change.evidence["prelabelled"]["images"] == 100
    assert change.evidence["control"]["images"] == 30
    assert change.audit_share == StageRules().audit_share


def test_overruling_the_rules_is_possible_and_recorded(site):
    change = site.set("automatic", override=True, threshold=0.9)
    assert (change.overruled, change.threshold) == (True, 0.9)
    with pytest.raises(StageRefused):  # nothing could be accepted
        site.set("automatic", override=True)


def test_a_threshold_of_ones_own_needs_the_override(automatic):
    with pytest.raises(StageRefused, match="not the calibrated one"):
        automatic.set("automatic", threshold=0.51)


def test_back_is_always_possible_and_two_steps_forward_are_not(site):
    assert not site.set("assisted").overruled
    site.records = [*records(100), *records(80, start=500, arm="control", dice=0.95)]
    with pytest.raises(StageRefused, match="semi-automatic comes between"):
        site.set("automatic")
    assert site.set("semi-automatic").before == "assisted"


def test_without_an_account_of_its_own_nothing_is_automatic(any_engine):
    site = Site(any_engine, can_submit=False)
    with pytest.raises(StageRefused, match="SERVICE_API_KEY") as refused:
        site.set("automatic", override=True, threshold=0.9)
    assert refused.value.code == "no_service_account"


@pytest.mark.parametrize("who", [{"actor": " ", "reason": "x"}, {"actor": "me", "reason": ""}])
def test_nobody_and_nothing_change_no_stage(site, who):
    with pytest.raises(StageRefused):
        site.service.set(1, "assisted", **who)


def test_a_drop_in_audited_quality_sends_the_project_back_and_says_so(automatic):
    automatic.audits(20, right=19)
    assert automatic.service.audit(1) is None
    automatic.records = automatic.records[:-20]
    automatic.audits(20, right=17)
    change = automatic.service.audit(1)
    assert (change.stage, change.actor) == ("semi-automatic", "yolo-mlsam audit")
    assert "0.85" in change.reason
    assert (change.evidence["audits"], change.evidence["audits_right"]) == (20, 17)
    assert automatic.log.stage(1) == "semi-automatic"
    assert automatic.service.audit(1) is None


def test_only_tasks_that_were_drawn_are_audits(automatic):
    at = datetime.now(UTC) + timedelta(minutes=1)
    undrawn = [task for task in range(1, 200) if not audited(1, task, StageRules().audit_share)]
    automatic.records += [record(task, at=at, score=0.95, added=1) for task in undrawn[:40]]
    assert automatic.service.audit(1) is None


def test_another_model_ends_the_automatic_stage(automatic):
    automatic.serving = "m2"
    assert "m2 serves" in automatic.service.audit(1).reason


def test_two_people_cannot_change_a_stage_at_once(site):
    since = site.log.current(1)
    site.set("assisted")
    with pytest.raises(StageRefused, match="changed in the meantime"):
        site.log.add(1, "automatic", since=since, actor="other", reason="x", evidence={})


def test_label_studio_hides_predictions_in_the_assisted_stage_and_its_absence_stops_nothing(site):
    site.set("assisted")
    assert site.client.fields == [{"show_collab_predictions": False}]
    site.client.down = True
    assert site.set("semi-automatic", override=True).stage == "semi-automatic"


class Studio:
    """Label Studio, which may be away, with a project that has its own label."""

    def __init__(self):
        self.down = False

    def project(self, project):
        if self.down:
            raise LabelStudioError("gone")
        return {"label_config": CONFIG}


@pytest.fixture
def installed(any_engine, tmp_path):
    """The service of an installation with three prelabels: one accepted, one of two findings deleted, one added."""
    studio, store = Studio(), AnnotationStore(any_engine)
    registry = ModelRegistry(any_engine, tmp_path / "blobs")
    version = register(registry, tmp_path, "a")
    registry.promote(version, expected_epoch=0, reason="first")
    one, two = square(20, 20, name="c1"), square(200, 20, name="c2")
    for task, shown, left in ((5, [one], [one]), (6, [one, two], [one]), (7, [one], [one, two])):
        show(store, *shown, task=task, version=version)
        correct(store, *left, annotation=task, task=task, version=version)
    service = StageService.of(
        Settings(),
        store=store,
        engine=any_engine,
        client=None,
        tags=ProjectTags(studio, clock=itertools.count(0.0, 60.0).__next__),
        served_version=lambda _: version,
    )
    yield service, studio
    store.close()


def test_evidence_is_counted_with_the_projects_own_label(installed):
    service, _ = installed
    figures = service.show(1).evidence.prelabelled
    assert (figures.images, figures.accept_rate) == (3, 3 / 4)
    assert (figures.added_per_image, figures.deleted_per_image) == (1 / 3, 1 / 3)
    assert figures.dice == pytest.approx((1 + 2 / 3 + 2 / 3) / 3)


def test_while_label_studio_is_away_a_project_goes_back_only_and_nothing_is_proposed(installed):
    service, studio = installed
    studio.down = True
    report = service.show(1)
    assert (report.proposal.stage, report.proposal.checks) == ("semi-automatic", ())
    assert "labeling config of project 1 cannot be read" in report.evidence.problem
    with pytest.raises(LabelStudioError, match="gone"):
        service.set(1, "automatic", actor="me", reason="sure", override=True, threshold=0.9)
    change = service.set(1, "assisted", actor="me", reason="new scanner")
    assert "cannot be read" in change.evidence["problem"]
    with pytest.raises(LabelStudioError):
        service.set(1, "semi-automatic", actor="me", reason="back again")


def test_corrections_that_cannot_be_read_are_counted_in_the_evidence(site):
    site.records = [*records(5)]
    site.unreadable = (Unreadable(task=9, annotation=8, code="invalid_region", reason="rotated"),)
    assert site.service.show(1).evidence.unreadable == 1
    assert site.set("assisted").evidence["unreadable"] == 1
