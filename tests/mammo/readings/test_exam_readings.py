"""A double reading of exams: one case per exam, compared view by view, with words, up to the dataset version."""

import hashlib
from dataclasses import replace

import numpy as np
import pytest

from mammo.blobs import Blobs
from mammo.dicom import Mammogram
from mammo.exam_views import EXAM_VIEWS
from mammo.labelstudio.descriptors import exam_descriptors, exam_regions
from mammo.labelstudio.exam_config import exam_config
from mammo.labelstudio.interpretation import interpret_images
from mammo.labelstudio.labeling_config import ControlTags
from mammo.labelstudio.prediction_check import validation_errors
from mammo.labelstudio.rendering import truth_regions
from mammo.readings import summarise
from tests.mammo.readings.clinic import PEOPLE, SIZE, Clinic
from tests.mammo.readings.drawing import lesion
from training.datasets.building import build_dataset_version
from training.datasets.sources import PREFERENCE, ReadOptions

TAGS = ControlTags.read(exam_config())
IMAGES = {each.image: each for each in (TAGS, *TAGS.siblings)}
HERE, NEAR, ELSEWHERE = lesion(10, 10, 30, 30), lesion(11, 10, 31, 30), lesion(50, 50, 70, 70)


@pytest.fixture
def clinic(engine, tmp_path):
    """Two exams: one with all views, one without LCC."""
    clinic = Clinic(engine, tmp_path, images=0, rounds=1, consensus="union")
    clinic.site.rows[clinic.source]["label_config"] = exam_config()
    for number, missing in enumerate(("", "LCC")):
        data = {"patient": f"p{number}"}
        for view in EXAM_VIEWS:
            data |= {view.key: "" if view.name == missing else f"{number}-{view.name}.png"}
            data |= {view.fact_key("spacing_mm"): 0.1}
        clinic.cases.append(clinic.site._task(clinic.source, data))
    clinic.create()
    yield clinic
    clinic.store.close()


def read(clinic, role, case, views, **exam):
    """Submit a reading: findings by view, and words about the exam."""
    task, moment = clinic.task(role, case), clinic.site.clock().isoformat()
    result = exam_regions(exam, TAGS)
    for view, findings in views.items():
        named = [replace(each, id=f"{role}-{index}") for index, each in enumerate(findings)]
        result += truth_regions(named, size=SIZE, tags=IMAGES[view], source="hand")
    number = clinic.site.number()
    annotation = {
        "id": number,
        "result": result,
        "was_cancelled": False,
        "updated_at": moment,
        "lead_time": 30.0,
    }
    annotation["completed_by"] = 10 + list(PEOPLE).index(role)
    clinic.site.by_id[task]["annotations"][number] = annotation
    clinic.site.by_id[task]["updated_at"] = clinic.site.clock()
    return number


def dataset(clinic, folder):
    def open_image(data):
        sha256 = hashlib.sha256(data["image"].encode()).hexdigest()
        pixels = np.zeros((SIZE.height, SIZE.width), np.float32)
        facts = {"spacing": None, "laterality": None, "view": None, "patient": None, "depth": 12}
        return Mammogram(pixels=pixels, sha256=sha256, **facts)

    return build_dataset_version(
        clinic.store,
        clinic.engine,
        Blobs(folder / "blobs"),
        project=clinic.source,
        open_image=open_image,
        options=ReadOptions(tags=TAGS, prefer=PREFERENCE, with_automatic=False, secret=b"secret"),
    )


def by_view(prediction, data):
    return {
        tags.image: list(each.findings)
        for tags, each in interpret_images(prediction["result"], tags=TAGS, data=data, sizes={})
    }


def test_readers_of_an_exam_agree_view_by_view_and_their_common_words_are_the_truth(clinic, tmp_path):
    whole, _ = clinic.cases
    here = replace(HERE, morphology="amorphous", suspicion="4A", comment="by Mrs Doe")
    near = replace(NEAR, morphology="amorphous", suspicion="4B")
    read(clinic, "reader-1", whole, {"LCC": [here], "LMLO": [ELSEWHERE]}, density="b", assessment="4A")
    read(clinic, "reader-2", whole, {"LMLO": [ELSEWHERE], "LCC": [near]}, density="b", assessment="4B")
    clinic.service.sync(clinic.source)
    assert clinic.outcome(whole) == "agreed"
    summary = summarise(clinic.service.records.find(clinic.source), clinic.service.cases(clinic.source))
    assert (summary.lesions.cases, summary.lesions.both) == (1, 2)
    compared = {each.name: (each.compared, each.observed) for each in summary.descriptors}
    assert compared == {
        "morphology": (1, 1.0),
        "suspicion": (1, 0.0),
        "density": (1, 1.0),
        "assessment": (1, 0.0),
    }
    items = {item.image_key: item for item in dataset(clinic, tmp_path).items}
    assert set(items) == {view.name for view in EXAM_VIEWS}
    assert {item.source for item in items.values()} == {"consensus"}
    boxes = {view: [each.box.as_tuple() for each in item.truth] for view, item in items.items()}
    assert boxes == {
        "RCC": [],
        "LCC": [(10, 10, 31, 30)],
        "RMLO": [],
        "LMLO": [ELSEWHERE.box.as_tuple()],
    }
    assert items["LCC"].truth[0].descriptors == {"morphology": "amorphous"}
    assert {(item.density, item.assessment) for item in items.values()} == {("b", None)}


def test_a_lesion_in_another_view_is_a_dispute_and_the_arbiter_sees_both_with_their_words(clinic, tmp_path):
    _, partial = clinic.cases
    told = replace(HERE, morphology="skin", comment="by Mrs Doe")
    read(clinic, "reader-1", partial, {"RCC": [told]}, density="a")
    read(clinic, "reader-2", partial, {"RMLO": [HERE]}, density="c")
    assert clinic.service.arbitrate(clinic.source).added == {"arbiter": 1}
    task = clinic.site.by_id[clinic.task("arbiter", partial)]
    assert "Doe" not in str(task["predictions"])
    shown = [by_view(each, task["data"]) for each in task["predictions"]]
    assert sorted([view for view, found in each.items() if found] for each in shown) == [["RCC"], ["RMLO"]]
    words = {str(each["RCC"][0].descriptors) for each in shown if each["RCC"]}
    assert words == {str({"morphology": "skin"})}
    stated = [exam_descriptors(each["result"], TAGS).stated["density"] for each in task["predictions"]]
    assert sorted(stated) == ["a", "c"]
    for prediction in task["predictions"]:
        assert validation_errors(prediction, config=exam_config()) == []
    read(clinic, "arbiter", partial, {"RCC": [told]}, density="a")
    clinic.service.sync(clinic.source)
    items = {item.image_key: item for item in dataset(clinic, tmp_path).items}
    assert set(items) == {"RCC", "RMLO", "LMLO"}
    assert items["RCC"].truth[0].descriptors == {"morphology": "skin"}
    assert {(item.source, item.density) for item in items.values()} == {("arbiter", "a")}
    assert "Doe" not in str(items)


def test_a_view_that_one_reader_did_not_see_makes_no_agreement(clinic):
    whole, _ = clinic.cases
    clinic.site.by_id[clinic.task("reader-1", whole)]["data"]["lmlo"] = ""
    read(clinic, "reader-1", whole, {"RCC": [HERE]})
    read(clinic, "reader-2", whole, {"RCC": [HERE], "LMLO": [ELSEWHERE]})
    clinic.service.sync(clinic.source)
    (case, _) = clinic.service.cases(clinic.source).cases
    assert (case.id, case.outcome) == (whole, "unreadable")
    assert "different images: RCC, LCC, RMLO and RCC, LCC, RMLO, LMLO" in case.problem


def test_readers_are_not_told_what_the_model_has_found_in_the_source(engine, tmp_path):
    clinic = Clinic(engine, tmp_path, images=0, rounds=1, consensus="union")
    clinic.site.rows[clinic.source]["label_config"] = exam_config()
    exam = {view.key: f"{view.name}.png" for view in EXAM_VIEWS} | {"patient": "p1"}
    said = {"findings": 3, "note": "2 more", "prior": "<p></p>"}
    clinic.cases.append(clinic.site._task(clinic.source, exam | said))
    double = clinic.create()
    (task,) = clinic.site.tasks(double.project("reader-1").id)
    assert (task["data"]["findings"], task["data"]["note"], task["data"]["prior"]) == ("", "", "<p></p>")
    clinic.store.close()
