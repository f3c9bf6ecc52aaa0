"""The search predicts what has no usable prediction, with models that did not learn from the patients."""

from dataclasses import replace
from types import SimpleNamespace

import pytest
import redis

from mammo.blobs import Blobs
from mammo.errors import Cancelled, InsufficientData, ModelNotFound
from mammo.findings import ImageFindings
from mammo.labelstudio.labeling_config import ControlTags
from mammo.models import STARTER, ModelRegistry
from mammo.runs.payloads import LookAgain
from mammo.settings import Settings
from tests.fakes.label_studio import FakeLabelStudio
from tests.mammo.models.versions import register
from tests.sites import site_of
from tests.training.detections import square
from tests.training.fake_networks import FakeNetworks
from tests.training.project import Project
from training.datasets.building import build_dataset_version
from training.datasets.sources import PREFERENCE, ReadOptions
from worker.looking_again import look_again, stoppable

SEEN = square(40, 30, score=0.9)


class Model:
    """Sees the lesion that is there, and one that nobody has drawn."""

    def __init__(self, version):
        self.version = version

    def prelabel(self, mammogram, *, threshold):
        return ImageFindings(findings=(square(10, 10, score=0.8), SEEN), num_cut=0)


@pytest.fixture
def site(store, engine, tmp_path, monkeypatch):
    registry = ModelRegistry(engine, tmp_path / "blobs")
    registry.ensure_starter(STARTER)
    server, project = FakeLabelStudio(), Project(store)
    server.add_project(1)
    for number in range(1, 9):
        project.annotate(number, [square(10, 10)], patient=f"p{number}", user=7)
        server.add_tasks(1, project.task(number, patient=f"p{number}"))
    images = SimpleNamespace(open=project.open_image, fingerprint=lambda data: None)
    made = site_of(
        Settings(data_dir=tmp_path / "data"),
        engine=engine,
        store=store,
        registry=registry,
        blobs=Blobs(tmp_path / "blobs"),
        images=images,
        label_studio=server.client(),
    )
    loaded = []
    monkeypatch.setattr(
        type(made), "load_model", lambda self, version: loaded.append(version) or Model(version)
    )
    made.__dict__["loaded"], made.__dict__["project"] = loaded, project
    return made


def build(site):
    return build_dataset_version(
        site.store,
        site.engine,
        site.blobs,
        project=1,
        open_image=site.project.open_image,
        options=ReadOptions(tags=ControlTags(), prefer=PREFERENCE, with_automatic=False),
    )


def search(site, predictions=100, report=lambda *_: None, folds=0):
    return look_again(LookAgain(1, predictions, folds), site=site, report=report)


def test_the_champion_predicts_those_from_whom_it_did_not_learn_and_the_starter_the_others(site, tmp_path):
    starter = site.registry.champion().version
    dataset = build(site)
    taught = register(site.registry, tmp_path, "taught", parent=starter, dataset_version=dataset.name)
    site.registry.promote(taught, expected_epoch=site.registry.champion().epoch, reason="x", actor="y")
    summary = search(site)
    assert (summary["images"], summary["compared"], summary["predicted"], summary["left"]) == (8, 8, 8, 0)
    by_version = {version: site.store.prelabels(1, version) for version in (taught, starter)}
    test_tasks = {item.task_id for item in dataset.items if item.fold == "test"}
    assert {each.task for each in by_version[taught]} == test_tasks
    assert {each.task for each in by_version[starter]} == set(range(1, 9)) - test_tasks
    assert all(each.shown_at is None for each in by_version[starter])
    assert len(site.loaded) == 2
    assert site.second_looks.records.ranked(1, limit=99, is_open=True)[0].cause == "missed"
    again = search(site)
    assert again["predicted"] == 0, "stored predictions are used"
    assert set(again["learned"]) == set(range(1, 9)) - test_tasks, (
        "what the champion has learned from is named"
    )
    assert site.second_looks.records.newest_search(1)["serving"] == taught


def test_only_so_many_are_predicted_at_once_and_the_next_search_goes_on(site):
    build(site)
    first, second = search(site, predictions=3), search(site, predictions=100)
    assert (first["predicted"], first["left"], first["compared"]) == (3, 5, 3)
    assert (second["predicted"], second["left"], second["compared"]) == (5, 0, 8)


def test_a_label_that_was_corrected_since_is_not_doubted(site):
    build(site)
    site.project.annotate(2, [square(10, 10), SEEN], patient="p2", user=7)
    search(site)
    doubted = {each.task for each in site.second_looks.records.ranked(1, limit=99, is_open=True)}
    assert doubted == {1, 3, 4, 5, 6, 7, 8}


def test_readers_who_differ_are_both_asked(site):
    site.project.annotate(3, [], patient="p3", user=8, annotation=300)
    build(site)
    search(site)
    differ = [
        each
        for each in site.second_looks.records.ranked(1, limit=99, is_open=True)
        if each.cause == "readers-differ"
    ]
    assert {each.annotation for each in differ} == {3, 300}
    assert {each.user for each in differ} == {7, 8}
    assert {each.score for each in differ} == {0.5}


def test_a_cancelled_search_changes_no_doubt_and_one_without_a_dataset_says_how_to_make_it(site):
    with pytest.raises(ModelNotFound, match="dataset build"):
        search(site)
    build(site)

    def cancel(*_):
        raise Cancelled("enough")

    with pytest.raises(Cancelled):
        search(site, report=cancel)
    assert site.second_looks.records.ranked(1, limit=99, is_open=True) == []
    assert search(site)["doubts"] == 8


def test_out_of_fold_the_newest_version_that_knows_none_of_the_patients_is_taught_without_each_fold(
    site, tmp_path, monkeypatch
):
    starter = site.registry.champion().version
    dataset = build(site)
    taught = register(site.registry, tmp_path, "taught", parent=starter, dataset_version=dataset.name)
    site.registry.promote(taught, expected_epoch=site.registry.champion().epoch, reason="x", actor="y")
    networks, files = FakeNetworks("40"), site.registry.files
    monkeypatch.setattr("training.retrain.networks.Networks", lambda **_: networks)
    start = tmp_path / "start"
    start.write_text("10")
    monkeypatch.setattr(
        site.registry, "files", lambda version, into: replace(files(version, into=into), detector=start)
    )
    summary = search(site, folds=4)
    assert (summary["compared"], summary["folds"], summary["base"]) == (8, 4, starter)
    assert [len(set(call[1])) for call in networks.calls] == [6, 6, 6, 6]
    assert {call[2] for call in networks.calls} == {"10"}
    newest = site.second_looks.records.newest_search(1)
    assert (newest["seed"], newest["serving"], newest["dataset_version"]) == (0, taught, dataset.name)
    doubts = site.second_looks.records.ranked(1, limit=99, is_open=True)
    assert {each.model_version for each in doubts} == {f"out of fold (4) from {starter}"}
    assert {each.cause for each in doubts} == {"outline"}, "30 pixels beside the label"
    assert not list(site.settings.runs.iterdir()), "it held pixels of patients"


def test_out_of_fold_needs_a_version_that_is_known_to_have_learned_from_nobody(site, monkeypatch):
    build(site)
    monkeypatch.setattr("worker.looking_again._champions", lambda _: [])
    with pytest.raises(InsufficientData, match="models list"):
        search(site, folds=4)


def test_a_search_ends_once_somebody_has_cancelled_it_and_survives_a_queue_that_is_away():
    heard = []

    def away():
        raise redis.ConnectionError

    stoppable(lambda *report: heard.append(report), away)("predicting", 0.1, "")
    with pytest.raises(Cancelled, match="cancelled by lena"):
        stoppable(lambda *report: heard.append(report), lambda: "lena")("predicting", 0.2, "")
    assert len(heard) == 2
