from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from pycocotools.coco import COCO

from cli.__main__ import main
from cli.phantom import phantom_command, phantom_options
from mammo.dicom import read_mammogram
from mammo.errors import InvalidSettings
from mammo.exchange.phantom_files import PhantomOptions
from mammo.phantom import Extras, phantom_patient, vendor_b
from tests.mammo.dicom.segmentations import read_segmentation
from tests.mammo.dicom.validator import assert_valid

SMALL = replace(vendor_b(), width=512, height=640)
OPTIONS = PhantomOptions(
    patients=2,
    seed=3,
    appearance=SMALL,
    positive=1.0,
    for_processing=True,
    extras=Extras(marker=True, clip=True, distributions=True),
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("phantoms") / "out"
    phantom_command(OPTIONS, out=out)
    return out


def test_every_file_is_conformant(folder: Path) -> None:
    kinds = {".seg.dcm": "Segmentation", ".raw.dcm": "MammographyImageForProcessing"}
    files = sorted(folder.glob("*.dcm"))
    assert len(files) == 24
    for file in files:
        kind = kinds.get("".join(file.suffixes[-2:]), "MammographyImageForPresentation")
        assert_valid(file, kind)


def test_segmentation_and_json_hold_the_truth_that_was_drawn(folder: Path) -> None:
    drawn = phantom_patient(3, appearance=SMALL, positive=1.0, extras=OPTIONS.extras)
    coco = COCO(str(folder / "coco.json"))
    rows = {row["file_name"]: row for row in coco.dataset["images"]}
    for view in drawn:
        stem = f"PHANTOM-000003_{view.laterality}{view.view}"
        row = rows[f"{stem}.dcm"]
        read = read_segmentation(folder / f"{stem}.seg.dcm")
        annotations = coco.imgToAnns[row["id"]]
        assert len(read.findings) == len(annotations) == len(view.truth) > 0
        for found, annotation, true in zip(read.findings, annotations, view.truth, strict=True):
            assert found.mask is not None
            assert true.mask is not None
            assert found.mask.dice(true.mask) == 1
            np.testing.assert_array_equal(coco.annToMask(annotation), true.mask.full(view.size))
        mammogram = read_mammogram(folder / f"{stem}.dcm")
        assert mammogram.source is not None
        assert mammogram.source.sop_instance_uid == read.image
        # drawn on several threads here, and by the command on one: a grey level in a few pixels depends on that
        marked = np.round(mammogram.pixels * (2**view.bits - 1)) - view.stored
        assert np.abs(marked).max() <= 1
        assert np.count_nonzero(marked) < 100


def test_the_json_names_density_morphology_and_distribution(folder: Path) -> None:
    document = json.loads((folder / "coco.json").read_bytes())
    assert len(document["images"]) == 8
    assert {row["patient"] for row in document["images"]} == {"PHANTOM-000003", "PHANTOM-000004"}
    assert all(row["density"] in "abcd" and row["marker"] for row in document["images"])
    words = [row["attributes"] for row in document["annotations"]]
    assert {word["distribution"] for word in words} <= {"grouped", "linear", "segmental"}
    assert {word["morphology"] for word in words} <= {"punctate", "pleomorphic", "linear", "amorphous"}
    assert len(words) >= 8


def test_raw_detector_values_are_of_the_same_study_and_marked_as_such(folder: Path) -> None:
    picture = read_mammogram(folder / "PHANTOM-000003_LCC.dcm")
    raw = read_mammogram(folder / "PHANTOM-000003_LCC.raw.dcm", convert_for_processing=True)
    assert raw.converted
    assert raw.size == picture.size
    assert raw.source is not None
    assert picture.source is not None
    assert raw.source.study_instance_uid == picture.source.study_instance_uid
    assert raw.source.series_instance_uid != picture.source.series_instance_uid


def test_the_same_options_give_the_same_bytes_and_others_give_other_uids(
    tmp_path: Path, folder: Path
) -> None:
    again, other = tmp_path / "again", tmp_path / "other"
    phantom_command(replace(OPTIONS, patients=1), out=again)
    phantom_command(replace(OPTIONS, patients=1, extras=None), out=other)
    names = [path.name for path in sorted(again.glob("*.dcm"))]
    assert len(names) == 12
    for name in names:
        assert (again / name).read_bytes() == (folder / name).read_bytes()
    uids = [read_mammogram(out / "PHANTOM-000003_LCC.dcm").source for out in (again, other)]
    assert uids[0] != uids[1]


def test_an_unknown_vendor_or_density_is_named_with_what_there_is() -> None:
    plain = {"patients": 1, "seed": 0, "positive": 0.6, "for_processing": False, "extras": False}
    assert phantom_options(vendor="c", density="d", **plain).density == "d"  # type: ignore[arg-type]
    for vendor, density in (("z", None), ("a", "e")):
        with pytest.raises(InvalidSettings, match="expected a --"):
            phantom_options(vendor=vendor, density=density, **plain)  # type: ignore[arg-type]


def test_the_command_draws_what_it_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["phantom", "--vendor", "z", "--out", str(tmp_path / "out")])
    assert caught.value.code == 1
    assert "expected a --vendor of a, b, c, got z" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
