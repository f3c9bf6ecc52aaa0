"""Which predictions count: only those of models that did not learn from the patient, and of the very images."""

import pytest

from mammo.blobs import Blobs
from mammo.labelstudio.labeling_config import ControlTags
from mammo.labelstudio.rendering import to_regions
from mammo.models import ModelRegistry
from tests.mammo.models.versions import register
from tests.training.detections import square
from tests.training.project import SIZE, Project, sha
from training.datasets.building import build_dataset_version
from training.datasets.sources import PREFERENCE, ReadOptions
from training.second_look import second_look, stored_predictions
from training.second_look.unlearned import Lineage

TAGS = ControlTags()


class Site:
    """A project of eight patients, one image each, with a lesion at the same place."""

    def __init__(self, store, engine, folder):
        self.store, self.engine, self.folder = store, engine, folder
        self.blobs, self.registry = Blobs(folder / "blobs"), ModelRegistry(engine, folder / "blobs")
        self.project = Project(store)
        for number in range(1, 9):
            self.project.annotate(number, [square(10, 10)], patient=f"p{number}")
        self.dataset = self.build()
        self.fold = {item.task_id: item.fold for item in self.dataset.items}

    def build(self):
        return build_dataset_version(
            self.store,
            self.engine,
            self.blobs,
            project=1,
            open_image=self.project.open_image,
            options=ReadOptions(tags=TAGS, prefer=PREFERENCE, with_automatic=False),
        )

    def model(self, name, **manifest):
        return register(self.registry, self.folder, name, **manifest)

    def predict(self, version, task, *findings, image=None, num_cut=0, regions=None):
        self.store.record_prelabel(
            project=1,
            task=task,
            model_version=version,
            regions=regions or to_regions(findings, size=SIZE, tags=TAGS, model_version=version),
            score=0.7,
            images={"": image or sha(task)},
            sizes={"": SIZE},
            num_cut=num_cut,
            shown=False,
        )

    def look(self, *, hasty=()):
        lineage = Lineage(self.registry, self.blobs)
        predictions = stored_predictions(self.dataset, store=self.store, lineage=lineage, tags=TAGS)
        return second_look(self.dataset, predictions, hasty=hasty)


@pytest.fixture
def site(store, engine, tmp_path):
    return Site(store, engine, tmp_path)


def test_a_model_that_learned_from_the_patient_is_not_asked_and_neither_is_its_descendant(site):
    taught = site.model("taught", dataset_version=site.dataset.name)
    child = site.model("child", parent=taught)
    for version in (taught, child):
        for task in site.fold:
            site.predict(version, task)
    look = site.look()
    assert {each.task for each in look.labels} == {task for task, fold in site.fold.items() if fold == "test"}
    assert {each.cause for each in look.labels} == {"nothing-there"}
    assert {each.model_version for each in look.labels} == {child}
    assert 0 < look.num_compared < look.num_images == 8
    assert sum(look.skipped.values()) == look.num_images - look.num_compared


def test_a_model_from_before_the_corrections_is_asked_about_all(site):
    old = site.model("old")
    for task in site.fold:
        site.predict(
            old, task, square(10, 10, score=0.8), *([square(40, 30, score=0.9)] if task == 3 else [])
        )
    look = site.look()
    assert look.num_compared == 8
    # Eight of nine predictions have a label.
    assert (look.labels[0].task, look.labels[0].cause) == (3, "missed")
    assert look.labels[0].score == pytest.approx(0.9 * 9 / 11, abs=1e-4)
    assert {each.score for each in look.labels[1:]} == {0.0}


def test_a_model_of_unknown_training_is_not_asked(site):
    foreign = site.model("foreign", dataset_version="f" * 64)
    orphan = site.model("orphan", parent="m0099-unknown")
    site.predict(foreign, 1)
    site.predict(orphan, 2)
    assert site.look().num_compared == 0


def test_a_prediction_of_other_images_of_a_part_or_that_cannot_be_read_is_counted_and_not_used(site):
    old = site.model("old")
    site.predict(old, 1, image="ab" * 32)
    site.predict(old, 2, num_cut=3)
    unreadable = to_regions([square(10, 10)], size=SIZE, tags=TAGS, model_version=old)
    site.predict(old, 3, regions=[unreadable[0] | {"image_rotation": 90}])
    look = site.look()
    assert look.labels == ()
    assert look.skipped == {
        "no model that did not learn from the patient has predicted it": 5,
        "the prediction is of other images": 1,
        "the prediction does not show all findings": 1,
        "the prediction does not fit the labeling config": 1,
    }


def test_what_was_accepted_in_seconds_is_listed_also_without_a_prediction(site):
    look = site.look(hasty={(4, "")})
    (doubt,) = look.labels
    assert (doubt.task, doubt.cause, doubt.model_version) == (4, "hasty", "")


def test_no_patient_is_in_what_is_listed(site):
    site.predict(site.model("old"), 1)
    look = site.look()
    assert "p1" not in str([each.to_json() for each in look.labels])
