import json
from dataclasses import replace

import pytest
import torch

from benchmarks.paper.cross_validation import (
    ARMS,
    CrossvalPlan,
    cached_boxes,
    image_truth,
    measure_image,
    patient_folds,
    table_5,
)
from benchmarks.paper.segmenter_tables import PAPER_TABLE3, SWITCHES, RowPlan, row_config, table_3, table_4
from mammo.errors import InsufficientData, InvalidWeights
from mammo.findings import CLUSTER, Finding
from mammo.geometry import Box
from mammo.segmenter import Segmenter
from mammo.segmenter.config import TABLE3
from mammo.segmenter.network import new_network
from mammo.segmenter.weights import load_segmenter, save_segmenter
from tests.training.segmenter_cases import CENTRE, case
from training.cases import silent
from training.segmenter.growth import grown
from training.segmenter.recipes import segmenter_smoke
from training.segmenter.rois import cut_rois

SMOKE = replace(segmenter_smoke(), policy="hq", steps=2, negatives=0.0, second_click=0.0)
SAM = replace(SMOKE.config, hq_token=False, combine="sam", presence=False)
CASES = [case(seed) for seed in range(1, 6)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("tables")


@pytest.fixture(scope="module")
def start(folder):
    path = folder / "sam.safetensors"
    save_segmenter(path, new_network(SAM, seed=5), facts={})
    return path


@pytest.fixture(scope="module")
def rois(folder):
    return cut_rois(CASES, folder / "rois", config=SAM)


def plan(rois, seeds=(0, 1)):
    return RowPlan(recipe=SMOKE, seeds=seeds, train=rois[:3], test=rois[3:])


@pytest.mark.parametrize("row", TABLE3)
def test_a_row_differs_from_the_start_by_its_switches_alone(row):
    config = row_config(SAM, row)
    assert {name: getattr(config, name) for name in SWITCHES} == {
        name: getattr(TABLE3[row], name) for name in SWITCHES
    }
    assert (config.encoder, config.input_size, config.channels) == ("smoke", 64, "contrast")
    assert config.combine == "hq"


def test_a_grown_network_keeps_what_the_start_knows():
    sam = new_network(SAM, seed=5)
    network = grown(sam, row_config(SAM, "MLSAM"), seed=1)
    ours = network.state_dict()
    assert all(torch.equal(ours[name], tensor) for name, tensor in sam.state_dict().items())
    assert any("compress_mid_feat" in name for name in ours)
    other = grown(sam, row_config(SAM, "MLSAM"), seed=2).state_dict()
    assert not torch.equal(
        other["mask_decoder.compress_mid_feat.0.weight"], ours["mask_decoder.compress_mid_feat.0.weight"]
    )


def test_a_start_of_another_encoder_is_refused():
    with pytest.raises(InvalidWeights, match="does not fit"):
        grown(new_network(SAM, seed=0), replace(row_config(SAM, "MLSAM"), input_size=128), seed=0)


@pytest.mark.slow
def test_table_3_has_the_papers_rows_beside_ours_and_goes_on_where_it_was(folder, start, rois):
    where = folder / "table-3"
    report = table_3(start, plan(rois), folder=where, facts={"data": "discs"}, progress=silent)
    (table,) = report.tables
    assert [row[0] for row in table.rows] == list(TABLE3)
    assert [row[1] for row in table.rows] == [str(PAPER_TABLE3[row][0]) for row in TABLE3]
    assert report.facts["test"] == "2 patients, 2 clusters"
    weights = sorted(where.glob("*/segmenter.safetensors"))
    assert len(weights) == 12
    before = [path.stat().st_mtime_ns for path in weights]
    seen = []
    again = table_3(
        start, plan(rois), folder=where, facts={"data": "discs"}, progress=lambda f, m: seen.append((f, m))
    )
    assert again.to_markdown("") == report.to_markdown("")
    assert [path.stat().st_mtime_ns for path in weights] == before
    assert not any("step" in message for _, message in seen)
    assert seen[-1][0] == 1.0
    paths = report.write(folder / "report", name="table-3")
    assert len(json.loads(paths[1].read_text())["figures"]["MLSAM"]["1"]) == 2


def test_only_what_is_added_to_the_sam_has_learnt(folder, start, rois):
    where = folder / "one-row"
    table_4({"vit_b": start}, plan(rois, (0,)), folder=where, facts={}, progress=silent)
    sam, row = (
        load_segmenter(path)[0].state_dict()
        for path in (start, where / "vit_b-MLSAM-0/segmenter.safetensors")
    )
    assert all(torch.equal(row[name], tensor) for name, tensor in sam.items())


def test_table_4_names_pixels_and_compares_with_the_papers_encoder(folder, start, rois):
    report = table_4({"vit_b": start}, plan(rois, (0,)), folder=folder / "one-row", facts={}, progress=silent)
    (table,) = report.tables
    assert [row[:2] for row in table.rows] == [["HQ-SAM", "vit_b"], ["MLSAM", "vit_b"]]
    assert table.rows[1][2].startswith("71.34")
    assert "ours FPR (pixels)" in table.columns


def test_folds_hold_patients_and_are_alike():
    cases = [replace(case(i), patient=f"p{i // 2}", truth=case(i).truth * (i % 3)) for i in range(40)]
    fold_of = patient_folds(cases, count=5, seed=0)
    assert set(fold_of) == {f"p{i}" for i in range(20)}
    sizes = [list(fold_of.values()).count(fold) for fold in range(5)]
    assert sizes == [4] * 5
    clusters = [sum(len(c.truth) for c in cases if fold_of[c.patient] == fold) for fold in range(5)]
    assert max(clusters) - min(clusters) <= 2
    assert patient_folds(cases, count=5, seed=1) != fold_of


def test_too_few_patients_cannot_be_folded():
    with pytest.raises(InsufficientData, match="5 patients"):
        patient_folds(CASES[:3], count=5, seed=0)


def boxes(mammogram):
    return [Box(CENTRE.x - 18, CENTRE.y - 18, CENTRE.x + 18, CENTRE.y + 18)]


@pytest.mark.slow
def test_table_5_runs_both_arms_over_every_patient_once(folder, start, rois):
    crossval = CrossvalPlan(recipe=SMOKE, cases=CASES, rois=rois, detect=boxes, folds=5)
    report = table_5(start, crossval, folder=folder / "table-5", facts={}, progress=silent)
    (table,) = report.tables
    assert [row[0] for row in table.rows] == list(ARMS)
    assert table.rows[1][1] == "87.46 / 13.44 / 88.33 / 86.78"
    for arm in ARMS:
        images = [score["image"] for fold in report.figures[arm] for score in fold]
        assert sorted(images) == sorted(case.image for case in CASES)
    again = table_5(start, crossval, folder=folder / "table-5", facts={}, progress=silent)
    assert again.to_markdown("") == report.to_markdown("")


def test_a_cluster_that_no_box_found_counts_nothing(start):
    segmenter = Segmenter.load(start)
    score = measure_image(segmenter, CASES[0], detect=lambda mammogram: [], points=True)
    assert (score.dice, score.found) == ((0.0,), False)
    assert score.clusters[0].tpr == 0.0
    beside = replace(CASES[0], truth=(Finding(label=CLUSTER, score=1.0, box=Box(0, 0, 9, 9)),))
    assert measure_image(segmenter, beside, detect=boxes, points=True).dice == ()


def test_an_image_with_nothing_but_a_marked_place_is_neither_positive_nor_negative():
    place = (Box(0, 0, 9, 9),)
    both, normal = replace(CASES[0], uncertain=place), replace(CASES[1], truth=())
    only_a_place = replace(CASES[2], truth=(), uncertain=place)
    truth = image_truth([both, normal, only_a_place])
    assert truth == {both.image: True, normal.image: False}


def test_a_mask_where_only_a_place_is_marked_is_not_judged(start):
    segmenter = Segmenter(load_segmenter(start)[0])
    (found,) = boxes(CASES[0].read())
    marked = replace(CASES[0], truth=(), uncertain=(found,))
    assert not measure_image(segmenter, marked, detect=boxes, points=True).found


def test_a_detector_is_asked_once_per_image(tmp_path):
    images = []

    def detect(mammogram):
        images.append(mammogram.sha256)
        return boxes(mammogram)

    mammogram = CASES[0].read()
    first = cached_boxes(detect, tmp_path / "boxes.json", of="m1")(mammogram)
    again = cached_boxes(detect, tmp_path / "boxes.json", of="m1")(mammogram)
    assert first == again == boxes(mammogram)
    assert len(images) == 1
    assert cached_boxes(detect, tmp_path / "boxes.json", of="m2")(mammogram) == boxes(mammogram)
    assert len(images) == 2, "boxes of another detector are not taken"
