"""Annotations that no person has reviewed: never tested on, trained on only if enabled, and always marked."""

import pytest

from mammo.annotations import AnnotationStore
from mammo.annotations.automatic import AutomaticAnnotation, record_automatic
from mammo.blobs import Blobs
from mammo.labelstudio import ControlTags, truth_regions
from tests.training.detections import square
from tests.training.project import SIZE, Project
from training.datasets.building import build_dataset_version
from training.datasets.sources import PREFERENCE, ReadOptions
from training.datasets.versions import open_dataset_version

DRAWN = [square(5, 5, 8)]
RESULT = truth_regions(DRAWN, size=SIZE, tags=ControlTags(), source="m1")
ROBOT = 99
PATIENTS = [f"{number:016x}" for number in range(7)]


class Site:
    def __init__(self, engine, folder):
        self.engine, self.store, self.blobs = engine, AnnotationStore(engine), Blobs(folder)
        self.project = Project(self.store)

    def submitted(self, task, patient, **more):
        """An annotation by the service's own account."""
        order = AutomaticAnnotation(
            project=1, task=task, model_version="m1", account=ROBOT, score=0.9, threshold=0.8
        )
        record_automatic(self.engine, order, RESULT)
        self.project.annotate(task, DRAWN, patient=patient, result=RESULT, user=ROBOT, **more)

    def build(self, *, with_automatic=False):
        return build_dataset_version(
            self.store,
            self.engine,
            self.blobs,
            project=1,
            open_image=self.project.open_image,
            options=ReadOptions(tags=ControlTags(), prefer=PREFERENCE, with_automatic=with_automatic),
        )


@pytest.fixture
def site(engine, tmp_path):
    site = Site(engine, tmp_path / "blobs")
    yield site
    site.store.close()


def test_it_is_left_out_and_named_unless_it_is_asked_for(site):
    site.project.annotate(1, DRAWN, patient=PATIENTS[0])
    site.submitted(2, PATIENTS[0])
    dataset = site.build()
    assert [item.task_id for item in dataset.items] == [1]
    assert dataset.why_excluded == {"automatic": 1}
    with_it = site.build(with_automatic=True)
    assert [(item.task_id, item.annotator == "automatic") for item in with_it.items] == [
        (1, False),
        (2, True),
    ]
    assert open_dataset_version(with_it.name, blobs=site.blobs) == with_it
    assert with_it.name != dataset.name
    assert site.build() == dataset, "what was asked for once does not come back by itself"


def test_it_is_never_tested_or_validated_on(site):
    for number, patient in enumerate(PATIENTS, 1):
        site.project.annotate(number, DRAWN, patient=patient)
        site.submitted(100 + number, patient)
    dataset = site.build(with_automatic=True)
    folds = {item.patient: item.fold for item in dataset.items}
    unseen = [item for item in dataset.items if item.annotator == "automatic"]
    assert {item.fold for item in unseen} == {"train"}
    assert len(unseen) == sum(fold == "train" for fold in folds.values())
    assert dataset.why_excluded == {"automatic": len(PATIENTS) - len(unseen)}


def test_what_a_person_drew_on_the_same_image_wins_however_old(site):
    site.project.annotate(1, [square(30, 20, 12)], patient=PATIENTS[0], annotation=50)
    site.submitted(1, PATIENTS[0], annotation=51)
    (item,) = site.build(with_automatic=True).items
    assert item.annotation_id == 50
