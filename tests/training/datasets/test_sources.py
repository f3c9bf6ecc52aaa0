"""Sources of truth of a dataset version: two readers and an arbiter, in a Label Studio in memory."""

import hashlib
from types import SimpleNamespace

import numpy as np
import pytest

from mammo.blobs import Blobs
from mammo.dicom import Mammogram
from mammo.efforts.effort_records import annotator_pseudonym
from mammo.errors import InvalidSettings
from mammo.labelstudio.labeling_config import ControlTags
from tests.mammo.readings.clinic import SIZE, Clinic
from tests.mammo.readings.drawing import lesion, point
from training.datasets.building import build_dataset_version
from training.datasets.sources import PREFERENCE, ReadOptions, preference
from training.datasets.versions import open_dataset_version

HERE, NEAR, ELSEWHERE = lesion(10, 10, 30, 30), lesion(12, 10, 32, 30), lesion(50, 50, 70, 70)


@pytest.fixture
def site(engine, tmp_path):
    clinic = Clinic(engine, tmp_path, rounds=1, consensus="union")
    clinic.create()
    opened = []

    def open_image(data):
        opened.append(data["image"])
        return Mammogram(
            pixels=np.zeros((SIZE.height, SIZE.width), np.float32),
            spacing=None,
            laterality=None,
            view=None,
            patient=None,
            sha256=hashlib.sha256(data["image"].encode()).hexdigest(),
            depth=12,
        )

    def build(prefer=PREFERENCE):
        clinic.service.sync(clinic.source)
        return build_dataset_version(
            clinic.store,
            engine,
            Blobs(tmp_path / "blobs"),
            project=clinic.source,
            open_image=open_image,
            fingerprint=lambda data: data["image"],
            options=ReadOptions(tags=ControlTags(), prefer=prefer, with_automatic=False, secret=b"secret"),
        )

    yield SimpleNamespace(clinic=clinic, build=build, opened=opened, blobs=Blobs(tmp_path / "blobs"))
    clinic.store.close()


def of(dataset, clinic, case):
    """(source, boxes) of the item of a case; None if it is excluded."""
    shown = hashlib.sha256(clinic.site.by_id[case]["data"]["image"].encode()).hexdigest()
    found = [item for item in dataset.items if item.image == shown]
    return (found[0].source, [finding.box.as_tuple() for finding in found[0].truth]) if found else None


def test_the_arbiter_comes_before_consensus_and_consensus_before_single_annotations(site):
    clinic, (arbitrated, agreed, single) = site.clinic, site.clinic.cases
    clinic.site.annotate(agreed, [ELSEWHERE], user=99)  # in the source project, by somebody else
    clinic.both_read(arbitrated, [HERE], [ELSEWHERE])
    clinic.both_read(agreed, [HERE], [NEAR])
    clinic.read("reader-2", single, [])
    clinic.service.arbitrate(clinic.source)
    waiting = site.build()
    assert of(waiting, clinic, arbitrated) is None
    assert waiting.why_excluded == {"disputed": 2, "superseded": 1}
    clinic.read("arbiter", arbitrated, [ELSEWHERE])
    dataset = site.build()
    assert of(dataset, clinic, arbitrated) == ("arbiter", [ELSEWHERE.box.as_tuple()])
    assert of(dataset, clinic, agreed) == ("consensus", [(10, 10, 32, 30)])
    assert of(dataset, clinic, single) == ("single", [])
    assert dataset.sources == {"arbiter": 1, "consensus": 1, "single": 1}
    assert open_dataset_version(dataset.name, blobs=site.blobs) == dataset


def test_a_consensus_names_both_readings_and_both_readers(site):
    clinic, case = site.clinic, site.clinic.cases[0]
    readings = clinic.both_read(case, [HERE], [NEAR])
    (item,) = site.build().items
    assert [annotation for annotation, _ in item.origins] == list(readings)
    assert item.annotator == "+".join(annotator_pseudonym(user, secret=b"secret") for user in (10, 11))


def test_the_consensus_of_a_point_and_an_outline_is_the_outline_and_of_two_points_a_place(site):
    clinic, (outlined, marked, _) = site.clinic, site.clinic.cases
    clinic.both_read(outlined, [HERE], [point(12, 12)])
    clinic.both_read(marked, [point(12, 12)], [point(14, 12)])
    items = {item.task_id: item for item in site.build().items}
    assert {item.source for item in items.values()} == {"consensus"}
    by_truth = sorted(items.values(), key=lambda item: len(item.truth))
    assert [[each.box.as_tuple() for each in item.truth] for item in by_truth] == [[], [HERE.box.as_tuple()]]
    assert [[each.box.as_tuple() for each in item.points] for item in by_truth] == [[(13, 12, 14, 13)], []]


def test_what_is_not_named_is_not_used_and_a_dispute_is_not_settled_by_taking_one_side(site):
    clinic, (disputed, agreed, single) = site.clinic, site.clinic.cases
    clinic.both_read(disputed, [HERE], [ELSEWHERE])
    clinic.both_read(agreed, [HERE], [HERE])
    clinic.read("reader-1", single, [HERE])
    dataset = site.build(("arbiter", "consensus"))
    assert dataset.sources == {"consensus": 1}
    assert dataset.why_excluded == {"disputed": 2, "source_not_used": 1}
    assert of(site.build(("single",)), clinic, disputed) is None


def test_an_image_is_opened_again_only_when_its_source_changes(site):
    clinic, case = site.clinic, site.clinic.cases[0]
    clinic.both_read(case, [HERE], [NEAR])
    first = site.build()
    assert site.build() == first
    assert len(site.opened) == 1
    clinic.service.records.change_rules(clinic.source, consensus="intersection")
    assert of(site.build(), clinic, case) == ("consensus", [(12, 10, 30, 30)])
    assert len(site.opened) == 2


def test_the_setting_is_read_in_its_order_and_nothing_else_is_taken():
    assert preference("consensus, single") == ("consensus", "single")
    with pytest.raises(InvalidSettings, match="arbiter, consensus, single"):
        preference("arbiter,majority")
