from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cli.__main__ import main
from mammo.dicom import patient_key
from mammo.exchange.datasets.contents import DatasetOptions
from mammo.exchange.datasets.reading import Summary, read_dataset
from mammo.exchange.datasets.tasks import TaskWriter
from mammo.labelstudio import ControlTags, LabelStudioClient, from_regions
from mammo.labelstudio.descriptors import exam_descriptors
from mammo.labelstudio.exam_config import exam_config
from tests.cli.test_import_dataset import SECRET, Studio
from tests.fakes.label_studio import KEY, URL
from tests.mammo.exchange.datasets.miniatures import digital, region_list, write
from tests.mammo.exchange.datasets.test_cbis_ddsm import film, mask, mask_film, table
from tests.mammo.exchange.datasets.test_cbis_ddsm import row as cbis_row
from tests.mammo.exchange.datasets.test_inbreast import SQUARE
from tests.mammo.exchange.datasets.test_vindr import CALC, row, vindr
from tests.mammo.exchange.exam_files import change

TAGS = ControlTags.read(exam_config())
VIEWS = {each.value: each for each in (TAGS, *TAGS.siblings)}


@pytest.fixture
def studio() -> Studio:
    studio = Studio()
    studio.projects[1]["label_config"] = exam_config()
    return studio


@pytest.fixture
def client(studio: Studio) -> Iterator[LabelStudioClient]:
    with LabelStudioClient(URL, KEY, transport=studio.transport) as client:
        yield client


def imported(client: LabelStudioClient, folder: Path, kind: str) -> Summary:
    writer = TaskWriter(client, 1, kind=kind, root=folder, twins=folder / "t", patient_secret=SECRET)
    return read_dataset(DatasetOptions(kind=kind, folder=folder), writer, tags=writer.tags)


def inbreast(folder: Path) -> Path:
    """Two women, the first with three views, of which the R CC has a cluster."""
    names = {
        "1_aa_MG_R_CC": "1.2.1",
        "2_aa_MG_L_CC": "1.2.1",
        "3_aa_MG_L_ML": "1.2.1",
        "4_bb_MG_L_CC": "1.2.2",
    }
    for seed, (name, study) in enumerate(names.items()):
        digital(folder / "AllDICOMs" / f"{name}_ANON.dcm", seed, study_uid=study)
    write(folder / "AllXML" / "1.xml", region_list(("Cluster", SQUARE)))
    return folder


def test_findings_lie_on_the_views_of_their_exam(
    tmp_path: Path, studio: Studio, client: LabelStudioClient
) -> None:
    found = imported(client, inbreast(tmp_path), "inbreast")
    assert (found.images, found.clusters, found.without, found.refusals) == (4, 1, 3, [])
    exams = {task["data"]["patient"]: task for task in studio.tasks}
    exam = exams[patient_key("inbreast/aa", SECRET)]
    assert [bool(exam["data"][key]) for key in ("rcc", "lcc", "rmlo", "lmlo")] == [True, True, False, True]
    assert exam["data"]["dataset"] == "inbreast"
    (annotation,) = exam["annotations"]
    assert {each["from_name"] for each in annotation["result"]} == {"outline-RCC"}
    (cluster,) = from_regions(annotation["result"], tags=VIEWS["rcc"])
    assert cluster.box.as_tuple() == (4, 6, 10, 12)
    assert from_regions(annotation["result"], tags=VIEWS["lcc"]) == []
    assert len(exams) == 2


def test_words_of_a_data_set_become_those_of_findings_and_exam(
    tmp_path: Path, studio: Studio, client: LabelStudioClient
) -> None:
    names = {"RCC": ("R", "CC"), "LCC": ("L", "CC")}
    for seed, name in enumerate(names):
        digital(tmp_path / f"{name}.dcm", seed, study_uid="1.2.1")
    images = [
        {
            "id": number,
            "file_name": f"{name}.dcm",
            "patient": "p",
            "laterality": side,
            "view": view,
            "density": "B",
        }
        for number, (name, (side, view)) in enumerate(names.items(), start=1)
    ]
    annotation = {"id": 1, "image_id": 2, "category_id": 1, "bbox": [3, 4, 8, 9]}
    annotation["attributes"] = {"morphology": "vascular", "suspicion": "2"}
    document = {"images": images, "annotations": [annotation], "categories": [{"id": 1, "name": "Cluster"}]}
    (tmp_path / "coco.json").write_text(json.dumps(document))
    assert imported(client, tmp_path, "coco").refusals == []
    (task,) = studio.tasks
    (result,) = [each["result"] for each in task["annotations"]]
    (cluster,) = from_regions(result, tags=VIEWS["lcc"])
    assert cluster.descriptors == {"morphology": "vascular", "suspicion": "2"}
    assert exam_descriptors(result, TAGS).stated == {"density": "b"}
    images[0]["density"] = "c"
    (tmp_path / "coco.json").write_text(json.dumps(document))
    studio.tasks.clear()
    (refused, _) = imported(client, tmp_path, "coco").refusals
    assert "different words as density" in refused.reason


def test_a_second_run_imports_nothing_and_an_interrupted_one_goes_on(
    tmp_path: Path, studio: Studio, client: LabelStudioClient
) -> None:
    imported(client, inbreast(tmp_path), "inbreast")
    again = imported(client, tmp_path, "inbreast")
    assert (again.images, again.already, len(studio.tasks)) == (4, 4, 2)
    studio.tasks[0]["annotations"].clear()  # the task was made, and its annotation was not
    imported(client, tmp_path, "inbreast")
    assert [len(task["annotations"]) for task in studio.tasks] == [1, 1]
    digital(tmp_path / "AllDICOMs" / "5_bb_MG_R_CC_ANON.dcm", 9, study_uid="1.2.2")
    later = imported(client, tmp_path, "inbreast")
    assert len(studio.tasks) == 2
    assert {"shows some of the images of its exam" in each.reason for each in later.refusals} == {True}
    assert len(later.refusals) == 2


def test_an_exam_has_the_pictures_of_the_womans_exam_before_it(
    tmp_path: Path, studio: Studio, client: LabelStudioClient
) -> None:
    exams = {"1_aa_MG_R_CC": ("1.2.1", "2023"), "2_aa_MG_L_CC": ("1.2.1", "2023")}
    exams |= {"3_aa_MG_R_CC": ("1.2.2", "2024"), "4_bb_MG_R_CC": ("1.2.3", "2022")}
    for seed, (name, (study, year)) in enumerate(exams.items()):
        file = tmp_path / "AllDICOMs" / f"{name}_ANON.dcm"
        digital(file, seed, study_uid=study)
        change(file, StudyDate=f"{year}0102")
    write(tmp_path / "AllXML" / "1.xml", region_list(("Cluster", SQUARE)))
    for _ in range(2):
        assert imported(client, tmp_path, "inbreast").refusals == []
    first, *others = sorted(
        (task["data"] for task in studio.tasks), key=lambda data: data["lcc"], reverse=True
    )
    (other,) = [data for data in others if data["patient"] != first["patient"]]
    (later,) = [data for data in others if data["patient"] == first["patient"]]
    assert all(first[key] in later["prior"] for key in ("rcc", "lcc"))
    assert "<img" not in first["prior"] + other["prior"]


def test_a_study_of_vindr_is_an_exam_whose_boxes_are_outlined(
    tmp_path: Path, studio: Studio, client: LabelStudioClient
) -> None:
    rows = [
        row(box=(3, 4, 11, 13), finding_categories=CALC),
        row(image="i2", laterality="R"),
        row("s2", "i3", view_position="ML"),
    ]
    found = imported(client, vindr(tmp_path, *rows), "vindr")
    (task,) = studio.tasks
    (cluster,) = from_regions(task["annotations"][0]["result"], tags=VIEWS["lmlo"])
    assert (cluster.box.as_tuple(), cluster.mask) == ((3, 4, 11, 13), None)
    (refused,) = found.refusals
    assert "its view is ML of L" in refused.reason


def test_the_images_of_a_patient_of_cbis_ddsm_are_an_exam(
    tmp_path: Path, studio: Studio, client: LabelStudioClient
) -> None:
    cases = ("Calc-Training_P_00005_RIGHT_CC", "Calc-Training_P_00005_RIGHT_MLO")
    table(tmp_path, *map(cbis_row, cases))
    for seed, case in enumerate(cases):
        film(tmp_path / case / "1.3.6.1" / "1.3.6.2" / "000000.dcm", seed)
        mask_film(tmp_path / f"{case}_1" / "1.3.6.3" / "1.3.6.4" / "000001.dcm", mask(8, 8 + seed))
    found = imported(client, tmp_path, "cbis-ddsm")
    assert found.refusals == []
    (task,) = studio.tasks
    ids = [each["id"] for each in task["annotations"][0]["result"]]
    assert len(ids) == len(set(ids)) == 2, "the data set numbers the regions of each image"
    for key, top in (("rcc", 8), ("rmlo", 9)):
        (cluster,) = from_regions(task["annotations"][0]["result"], tags=VIEWS[key])
        assert cluster.box.as_tuple() == (8, top, 13, top + 4)


def test_a_dry_run_groups_and_writes_nothing(tmp_path: Path) -> None:
    options: Any = DatasetOptions(kind="inbreast", folder=inbreast(tmp_path))
    digital(tmp_path / "AllDICOMs" / "6_aa_MG_R_CC_ANON.dcm", 9, study_uid="1.2.1")
    found = read_dataset(options, None, tags=TAGS)
    assert (found.images, found.clusters) == (1, 0)
    assert {each.reason for each in found.refusals} == {"its exam has several images of R CC"}


def test_the_command_groups_without_a_project_when_it_is_told_to(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = inbreast(tmp_path)
    digital(folder / "AllDICOMs" / "6_bb_MG_L_CC_ANON.dcm", 9, study_uid="1.2.2")
    for screen, images, code in (
        ("exam", "3 images of 1 patients", 2),
        ("image", "5 images of 2 patients", 0),
    ):
        arguments = ["import-dataset", "inbreast", str(folder), "--dry-run"]
        with pytest.raises(SystemExit) as caught:
            main([*arguments, *(["--screen", "exam"] if screen == "exam" else [])])
        assert caught.value.code == code
        assert images in capsys.readouterr().out
    with pytest.raises(SystemExit):
        main([*arguments, "--screen", "four"])
