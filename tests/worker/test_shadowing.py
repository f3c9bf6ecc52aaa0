from types import SimpleNamespace

import pytest

from mammo.errors import Cancelled, InvalidWeights
from mammo.labelstudio import LabelStudioClient
from mammo.settings import Settings
from tests.fakes.label_studio import KEY, URL
from tests.sites import site_of
from tests.worker.test_prelabelling import FakePrelabeller, label_studio, open_image, pushed, shown
from worker.shadowing import shadow_tasks


@pytest.fixture
def server():
    return label_studio(2)


@pytest.fixture
def site(server, store):
    with LabelStudioClient(URL, KEY, transport=server.transport) as client:
        yield site_of(
            Settings(shadow="challenger"),
            provisional=SimpleNamespace(versions=dict),
            pins=SimpleNamespace(versions=lambda: {9: "m0001-aa"}),
            registry=SimpleNamespace(find=lambda name: "m0002-aa"),
            load_model=lambda version: FakePrelabeller(),
            label_studio=client,
            store=store,
            images=SimpleNamespace(open=open_image),
        )


def quiet(stage, progress, message):
    pass


def test_the_shadow_looks_at_every_task_and_label_studio_hears_nothing_of_it(site, server):
    done = shadow_tasks(1, serving="m0001-aa", site=site, report=quiet)
    assert done == {"version": "m0002-aa", "silent": 2, "failed": {}}
    assert pushed(server) == {1: [], 2: []}
    assert not shown(server)
    kept = site.store.prelabels(1, "m0002-aa")
    assert [(each.task, each.shown_at, len(each.regions) > 0) for each in kept] == [
        (1, None, True),
        (2, None, True),
    ]


@pytest.mark.parametrize(("project", "serving"), [(1, "m0002-aa"), (9, "m0001-aa")])
def test_a_champion_is_not_its_own_shadow_and_pinned_projects_have_none(site, project, serving):
    assert shadow_tasks(project, serving=serving, site=site, report=quiet) is None
    assert site.store.prelabels(project, "m0002-aa") == []


def test_a_shadow_that_does_not_load_does_not_fail_the_prelabelling(site):
    def load(files):
        raise InvalidWeights("damaged")

    site.__dict__["load_model"] = load
    assert shadow_tasks(1, serving="m0001-aa", site=site, report=quiet) is None


def test_a_cancelled_job_is_cancelled_in_the_shadows_turn_too(site):
    def stop(stage, progress, message):
        assert stage == "shadow"
        raise Cancelled("asked to stop")

    with pytest.raises(Cancelled):
        shadow_tasks(1, serving="m0001-aa", site=site, report=stop)


def test_predictions_of_the_shadow_from_when_it_was_champion_are_not_shown_again(site, server):
    server.predictions.append({"id": 1, "task": 1, "model_version": "m0002-aa", "result": []})
    server.predictions.append({"id": 2, "task": 1, "model_version": "m0001-aa", "result": []})
    server.projects[1]["model_version"] = "m0001-aa"
    assert shadow_tasks(1, serving="m0001-aa", site=site, report=quiet)["silent"] == 1
    assert shown(server) == "m0001-aa"
