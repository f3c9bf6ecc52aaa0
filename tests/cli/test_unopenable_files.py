"""A file that cannot be opened stops no other file, and no pipe hangs; its reason is said, and the exit code is 2."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest

from cli.__main__ import main
from mammo.backgrounds import Backgrounds
from mammo.backgrounds.own_set import add_own_set
from mammo.exchange.importing import ImportOptions, import_files
from mammo.labelstudio import ControlTags
from tests.mammo.backgrounds.images import dicom as background
from tests.mammo.backgrounds.images import own_options
from tests.mammo.dicom.patient_files import patient_file
from tests.mammo.exchange.datasets.miniatures import digital, grey_image, region_list, write
from tests.mammo.exchange.datasets.reading import read, summary
from tests.mammo.exchange.import_files import SECRET, FakeTasks, dicom
from tests.training.image_files import view, write_normals
from tests.unopenable import KINDS, make_unopenable, without_privilege
from training.cases import silent
from training.evaluation.image_cases import ImageSource, read_evaluation_set
from training.evaluation.patient_grouping import PatientGrouping

FILES = [kind for kind in KINDS if kind != "folder"]
"""What a walk over a folder finds: it enters a folder that has the name of a file."""

REASONS = (
    "Permission denied",
    "it is a device",
    "does not exist",
    "symbolic links",
    "it is a pipe",
    "it is a socket",
)
"""Of `FILES`."""


LEAVES = "leaves the folder"
"""Reason of a link out of a data set."""


def run(*arguments: object) -> int:
    with without_privilege(), pytest.raises(SystemExit) as end:
        main([str(each) for each in arguments])
    return int(end.value.code or 0)


def all_are_said(messages: Iterable[object], **other: str) -> None:
    """Assert that each file of `FILES` has a message with its reason, or with another one that is given."""
    lines = [str(each) for each in messages]
    for kind, reason in (dict(zip(FILES, REASONS, strict=True)) | other).items():
        assert [line for line in lines if kind in line and reason in line], (kind, reason, lines)


def test_prelabel(tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("YOLO_MLSAM_RUNTIME", "torch")  # needs no export of the networks
    write_normals(tmp_path, 1, 2)
    bad = make_unopenable(tmp_path, name="{}.png")
    files = [tmp_path / "normal_1.png", *bad, tmp_path / "normal_2.png"]
    assert run("prelabel", *files, "--out", tmp_path / "out", "--model", "starter", "--spacing", "0.2") == 2
    reports = {path.stem: json.loads(path.read_text()) for path in (tmp_path / "out").glob("*.json")}
    assert [name for name, report in sorted(reports.items()) if report["error"]] == sorted(FILES)
    assert {"normal_1", "normal_2"} < reports.keys()
    all_are_said(capfd.readouterr().err.splitlines())


def test_import(tmp_path: Path) -> None:
    root = tmp_path / "root"
    dicom(root / "good.dcm")
    bad = make_unopenable(root, name="{}.dcm")
    client = FakeTasks()
    options = ImportOptions(root=root, twins=tmp_path / "twins", patient_secret=SECRET)
    with without_privilege():
        outcome = import_files(
            [*bad, root / "good.dcm"], project=7, client=client, tags=ControlTags(), options=options
        )
    assert (outcome.num_new, len(outcome.refused)) == (1, len(KINDS))
    all_are_said(outcome.refused)


def test_deidentify(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("YOLO_MLSAM_PATIENT_SECRET", "a key of at least 16 bytes")
    (tmp_path / "in").mkdir()
    make_unopenable(tmp_path / "in", name="{}.dcm")
    (tmp_path / "in" / "z.dcm").write_bytes(patient_file())
    assert run("deidentify", tmp_path / "in", "--out", tmp_path / "out") == 2
    output = capfd.readouterr()
    assert f"1 files written, 0 of them to needs-a-human, {len(FILES)} refused" in output.out
    for number, reason in enumerate(REASONS, start=1):
        assert f"file {number}, in order of name: unreadable_file" in output.err
        assert reason in output.err


def test_backgrounds_add(tmp_path: Path) -> None:
    folder = tmp_path / "normals"
    folder.mkdir()
    make_unopenable(folder, name="{}.dcm")
    (folder / "z.dcm").write_bytes(background())
    (folder / "patients.csv").write_text("file,patient\nz.dcm,p1\n")
    options = own_options(folder, patients=folder / "patients.csv")
    with without_privilege():
        outcome = add_own_set(options, library=Backgrounds(tmp_path / "backgrounds"))
    assert (outcome.num_new, len(outcome.refused)) == (1, len(FILES))
    all_are_said(outcome.refused)


@pytest.mark.parametrize("suffix", [".png", ""])
def test_evaluate_images(tmp_path: Path, suffix: str) -> None:
    """A file without suffix may be DICOM."""
    write_normals(tmp_path / "normals", 1)
    make_unopenable(tmp_path / "normals", name="{}" + suffix)
    source = ImageSource(
        normals=tmp_path / "normals", positives=None, spacing_mm=0.2, patients=PatientGrouping.parse("file")
    )
    with without_privilege():
        evaluation = read_evaluation_set(source, progress=silent)
    assert evaluation.num_normals == 1
    all_are_said(evaluation.left_out)


def test_import_dataset_of_images_that_cannot_be_opened(tmp_path: Path) -> None:
    digital(tmp_path / "images" / "p1_good.dcm", 1)
    make_unopenable(tmp_path / "images", name="p1_{}.dcm")
    for kind in ("good", *KINDS):
        grey_image(tmp_path / "masks" / f"p1_{kind}.png", np.zeros((48, 32), np.uint8))
    with without_privilege():
        result = summary("folder", tmp_path, one_patient=True)
    assert result.images == 1
    all_are_said(result.refusals, device=LEAVES, loop="path cannot be resolved")


def test_import_dataset_of_masks_that_cannot_be_opened(tmp_path: Path) -> None:
    for number, kind in enumerate(("good", *KINDS)):
        digital(tmp_path / "images" / f"p1_{kind}.dcm", number)
    grey_image(tmp_path / "masks" / "p1_good.png", np.zeros((48, 32), np.uint8))
    make_unopenable(tmp_path / "masks", name="p1_{}.png")
    with without_privilege():
        result = summary("folder", tmp_path, one_patient=True)
    assert result.images == 1
    all_are_said(result.refusals, device=LEAVES, loop="path cannot be resolved", folder="it has no mask")


def test_import_dataset_of_labels_that_cannot_be_opened(tmp_path: Path) -> None:
    write(tmp_path / "classes.txt", "Cluster\n")
    for number, kind in enumerate(("good", *KINDS)):
        digital(tmp_path / "images" / f"p1_{kind}.dcm", number)
    write(tmp_path / "labels" / "p1_good.txt", "")
    make_unopenable(tmp_path / "labels", name="p1_{}.txt")
    with without_privilege():
        result = summary("yolo", tmp_path, one_patient=True)
    assert result.images == 1
    all_are_said(
        result.refusals, device=LEAVES, loop="path cannot be resolved", folder="it has no label file"
    )


def test_import_dataset_takes_no_image_for_normal_whose_regions_cannot_be_opened(tmp_path: Path) -> None:
    root, square = tmp_path / "INbreast", [(4.0, 6.0), (10.0, 6.0), (10.0, 12.0), (4.0, 12.0)]
    write(root / "AllXML" / "9.xml", region_list(("Cluster", square)))
    numbers = {kind: str(number) for number, kind in enumerate(KINDS)}
    for path in make_unopenable(root / "AllXML", name="{}.xml"):
        if path.stem == "loop":
            path.unlink()
            path = path.with_name(f"{numbers['loop']}.xml")
            path.symlink_to(path)
        else:
            path.rename(path.with_name(f"{numbers[path.stem]}.xml"))
    for number in (*numbers.values(), "9"):
        digital(root / "AllDICOMs" / f"{number}_6c613a14b80a8591_MG_R_CC_ANON.dcm", int(number))
    with without_privilege():
        images, refusals = read("inbreast", tmp_path)
    assert [image.where for image in images if image.classes != ("normal",)] == ["9.xml"]
    kinds = {f"{number}.xml": kind for kind, number in numbers.items()}
    all_are_said(f"{kinds[each.where]}: {each.reason}" for each in refusals)


def test_import_dataset_says_which_folder_it_could_not_enter(tmp_path: Path) -> None:
    digital(tmp_path / "images" / "p1_good.dcm", 1)
    grey_image(tmp_path / "masks" / "p1_good.png", np.zeros((48, 32), np.uint8))
    (tmp_path / "images" / "p2").mkdir(mode=0)
    with without_privilege():
        result = summary("folder", tmp_path, one_patient=True)
    assert result.images == 1
    assert [str(each) for each in result.refusals] == [
        "images/p2: the folder cannot be read, so its files are missing"
    ]


def test_a_coco_file_may_name_files_that_cannot_be_opened(tmp_path: Path) -> None:
    bad = make_unopenable(tmp_path, name="{}.png")
    write_normals(tmp_path, 1)
    names = ["normal_1.png", *(path.name for path in bad)]
    document = {
        "images": [
            {"id": number, "file_name": name, "width": view(1, clusters=0).size.width,
             "height": view(1, clusters=0).size.height}
            for number, name in enumerate(names)
        ],
        "annotations": [],
        "categories": [{"id": 1, "name": "Cluster"}],
    }  # fmt: skip
    write(tmp_path / "coco.json", json.dumps(document))
    with without_privilege():
        result = summary("coco", tmp_path, spacing_mm=0.2, one_patient=True)
    assert result.images == 1, result.refusals
    assert len(result.refusals) == len(KINDS)
    all_are_said(
        (f"{names[int(each.where.rpartition(' ')[2])]}: {each.reason}" for each in result.refusals),
        device=LEAVES,
        loop="cannot be resolved",
        folder="not in the folder",
    )
