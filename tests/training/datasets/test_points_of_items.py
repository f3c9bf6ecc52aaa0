"""Clusters that only a point marks, in the items of a dataset version."""

from dataclasses import replace

import pytest
import sqlalchemy as sa

from mammo.annotations import AnnotationStore
from mammo.blobs import Blobs
from mammo.database import patient_fold, reading
from mammo.findings import POINT_REACH_MM
from mammo.geometry import Box
from mammo.labelstudio import ControlTags
from tests.mammo.readings.drawing import point
from tests.training.detections import square
from tests.training.project import Project
from training.datasets.building import build_dataset_version
from training.datasets.sources import PREFERENCE, ReadOptions
from training.datasets.versions import open_dataset_version


@pytest.fixture
def project(engine):
    project = Project(AnnotationStore(engine))
    yield project
    project.store.close()


@pytest.fixture
def blobs(tmp_path):
    return Blobs(tmp_path / "blobs")


@pytest.fixture
def build(engine, project, blobs):
    return lambda: build_dataset_version(
        project.store,
        engine,
        blobs,
        project=1,
        open_image=project.open_image,
        options=ReadOptions(tags=ControlTags(), prefer=PREFERENCE, with_automatic=False),
    )


def test_a_cluster_that_only_a_point_marks_is_a_place_and_no_truth(project, build, blobs):
    project.annotate(1, [square(5, 5), point(50, 40)], patient="p1", spacing_mm=2.0)
    project.annotate(2, [point(50, 40)], patient="p1")
    for dataset in (build(), open_dataset_version(build().name, blobs=blobs)):
        both, alone = dataset.items
        (finding,) = both.truth
        assert finding.mask.dice(square(5, 5).mask) == 1.0
        assert (
            [each.box for each in both.points] == [each.box for each in alone.points] == [Box(50, 40, 51, 41)]
        )
        assert alone.truth == ()
        assert not alone.unexplained
        first, second = dataset.cases(both.fold, open_image=project.open_image)
        assert (len(first.truth), len(first.uncertain), len(second.truth), len(second.uncertain)) == (
            1,
            1,
            0,
            1,
        )
        assert dataset.num_findings(both.fold) == 1, "nothing is learned from a place"


@pytest.mark.parametrize(
    ("spacing", "half"),
    [(0.1, 110), ([0.2, 0.1], 110), ([0.1, 0.2], 110), (None, round(POINT_REACH_MM / 0.07))],
)
def test_a_cluster_reaches_11_mm_around_a_marked_place_and_not_out_of_the_image(
    build, project, spacing, half
):
    project.annotate(1, [point(50, 40)], patient="p1")
    (item,) = build().items
    x, y, size = 400, 300, (1000, 480)
    found = ({"box": [x, y, x + 1, y + 1], "mask": None, "point": True},)
    (place,) = replace(item, findings=found, spacing_mm=spacing, size=size).uncertain
    assert place == Box(x - half, y - half, x + half + 1, min(y + half + 1, 480))


def test_a_patient_with_nothing_but_a_marked_place_is_positive_when_folds_are_dealt(project, build, engine):
    project.annotate(1, [point(50, 40)], patient="p1")
    project.annotate(2, [], patient="p2")
    build()
    with reading(engine) as connection:
        rows = connection.execute(sa.select(patient_fold.c.patient, patient_fold.c.positive)).all()
    assert sorted(row.positive for row in rows) == [False, True]
