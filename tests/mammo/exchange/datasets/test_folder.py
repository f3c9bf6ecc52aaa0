from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mammo.errors import InvalidSettings, MammoError
from mammo.exchange.datasets.patients import SUGGESTION
from tests.mammo.dicom.files import mammogram_file, with_elements
from tests.mammo.exchange.datasets.miniatures import digital, grey_image, picture, write
from tests.mammo.exchange.datasets.reading import PATTERN, findings_of, read, summary


def mask(
    *corners: tuple[int, int], value: int = 255, shape: tuple[int, int] = (48, 32)
) -> np.ndarray[tuple[int, int], np.dtype[np.uint8]]:
    pixels = np.zeros(shape, np.uint8)
    for x, y in corners:
        pixels[y : y + 4, x : x + 3] = value
    return pixels


def test_every_part_of_a_mask_is_a_cluster_and_a_mask_of_zeros_says_none(tmp_path: Path) -> None:
    digital(tmp_path / "images" / "p1_a.dcm", 1)
    grey_image(tmp_path / "masks" / "p1_a.png", mask((3, 4), (20, 30), value=1))
    digital(tmp_path / "images" / "p2" / "b.dcm", 2)
    grey_image(tmp_path / "masks" / "p2" / "b_mask.png", mask())
    grey_image(tmp_path / "images" / "p3_c.png", np.tile(np.arange(32, dtype=np.uint16) * 900, (48, 1)))
    grey_image(tmp_path / "masks" / "p3_c.mask.png", mask((7, 8)))
    images, refusals = read("folder", tmp_path, patient_pattern=PATTERN)
    assert not refusals
    assert [image.patient for image in images] == ["p1", "p2", "p3"]
    boxes = [[finding.box.as_tuple() for finding in findings_of(image)] for image in images]
    assert sorted(boxes[0]) == [(3, 4, 6, 8), (20, 30, 23, 34)]
    assert boxes[1:] == [[], [(7, 8, 10, 12)]]
    result = summary("folder", tmp_path, patient_pattern=PATTERN)
    assert (result.images, result.clusters, result.masks, result.without) == (3, 3, 3, 1)


def test_an_image_is_refused_without_a_mask_a_patient_or_the_right_size(tmp_path: Path) -> None:
    for seed, name in enumerate(
        ("p1_none.dcm", "noone.dcm", "p3_small.dcm", "p4_broken.dcm", "p5_same.dcm", "p6_same.dcm")
    ):
        digital(tmp_path / "images" / name, min(seed, 4))
        if seed:
            small = name == "p3_small.dcm"
            grey_image(
                tmp_path / "masks" / f"{Path(name).stem}.png",
                mask((3, 4), shape=(24, 16) if small else (48, 32)),
            )
    write(tmp_path / "masks" / "p4_broken.png", b"\x89PNG\r\n\x1a\nbroken")
    result = summary("folder", tmp_path, patient_pattern=PATTERN)
    assert result.images == 1
    reasons = {refusal.where: refusal.reason for refusal in result.refusals}
    assert "no mask" in reasons["p1_none.dcm"]
    assert "identifies the patient" in reasons["noone.dcm"]
    assert "another size" in reasons["p3_small.dcm"]
    assert "p4_broken.dcm" in reasons
    assert "the same image as p5_same.dcm" in reasons["p6_same.dcm"]


def test_files_that_name_their_patient_stay_out_unless_that_is_wanted(tmp_path: Path) -> None:
    for seed, name in enumerate(("a_1.dcm", "b_2.dcm", "doe-4711_3.dcm")):
        data = mammogram_file(picture(seed), patient_id="DOE-4711")
        write(tmp_path / "images" / name, with_elements(data, PatientIdentityRemoved=None))
        grey_image(tmp_path / "masks" / f"{Path(name).stem}.png", mask((3, 4)))
    result = summary("folder", tmp_path, patient_pattern=PATTERN)
    assert result.images == 0
    lines = [str(refusal) for refusal in result.refusals]
    assert ["PatientID" in line for line in lines[:2]] == [True, True]
    assert "its path contains" in lines[2]
    assert not any("4711" in line for line in lines)
    allowed = summary("folder", tmp_path, allow_identified=True)
    assert allowed.images == 3
    assert len(allowed.patients) == 1  # PatientID says it better than the path


def test_a_link_out_of_the_folder_is_not_followed(tmp_path: Path) -> None:
    folder = tmp_path / "set"
    digital(tmp_path / "secret_x.dcm", 1)
    (folder / "images").mkdir(parents=True)
    grey_image(folder / "masks" / "secret_x.png", mask((3, 4)))
    (folder / "images" / "secret_x.dcm").symlink_to(tmp_path / "secret_x.dcm")
    images, refusals = read("folder", folder)
    assert not images
    assert "leaves the folder" in refusals[0].reason


def test_another_folder_is_recognised_as_such(tmp_path: Path) -> None:
    with pytest.raises(MammoError, match="images and masks"):
        read("folder", tmp_path)


def one_image(folder: Path, name: str = "p1_a.png") -> None:
    grey_image(folder / "images" / name, np.tile(np.arange(32, dtype=np.uint16) * 900, (48, 1)))


@pytest.mark.parametrize("name", ["p1_a.PNG", "p1_a_mask.Png", "p1_a.mask.TIF"])
def test_an_ending_in_capitals_is_an_ending(tmp_path: Path, name: str) -> None:
    one_image(tmp_path)
    grey_image(tmp_path / "x.png" if name.lower().endswith("png") else tmp_path / "x.tif", mask((3, 4)))
    (tmp_path / "masks").mkdir()
    next(tmp_path.glob("x.*")).rename(tmp_path / "masks" / name)
    assert summary("folder", tmp_path).clusters == 1


@pytest.mark.parametrize(
    ("names", "reason"),
    [
        (("p1_a.png", "p1_a_mask.png"), "it has 2 masks"),
        (("p1_a.png", "p1_a.tif"), "it has 2 masks"),
        (("p1_A.png",), "another case of its name"),
        (("other.png",), "it has no mask"),
    ],
)
def test_an_image_with_several_masks_or_none_of_its_name_is_refused(
    tmp_path: Path, names: tuple[str, ...], reason: str
) -> None:
    one_image(tmp_path)
    for name in names:
        grey_image(tmp_path / "masks" / name, mask((3, 4)))
    result = summary("folder", tmp_path)
    assert result.images == 0
    assert reason in result.refusals[0].reason


def test_two_images_that_share_a_mask_are_refused_and_a_mask_without_an_image_is_told(tmp_path: Path) -> None:
    one_image(tmp_path, "p1_a.png")
    one_image(tmp_path, "p1_a.tif")
    grey_image(tmp_path / "masks" / "p1_a.png", mask((3, 4)))
    grey_image(tmp_path / "masks" / "p9_z.png", mask((3, 4)))
    result = summary("folder", tmp_path, patient_pattern=PATTERN)
    assert result.images == 0
    assert [refusal.where for refusal in result.refusals] == ["p1_a.png", "p1_a.tif", "masks/p9_z.png"]


def test_slips_of_the_brush_are_counted_and_alone_they_refuse_the_image(tmp_path: Path) -> None:
    one_image(tmp_path)
    pixels = mask((3, 4))
    pixels[40, 20:23] = 255
    grey_image(tmp_path / "masks" / "p1_a.png", pixels)
    result = summary("folder", tmp_path)
    assert (result.clusters, result.small_parts) == (1, [3])
    pixels[:20] = 0
    grey_image(tmp_path / "masks" / "p1_a.png", pixels)
    result = summary("folder", tmp_path)
    assert result.images == 0
    assert "so it is unclear whether there is a cluster" in result.refusals[0].reason


UPLOADS = ("1a2b3c4d-p1_LCC.png", "2b3c4d5e-p1_RCC.png", "3c4d5e6f-p2_LCC.png")


def uploads(folder: Path, *names: str) -> Path:
    for seed, name in enumerate(names):
        digital(folder / "images" / f"{Path(name).with_suffix('')}.dcm", seed)
        grey_image(folder / "masks" / f"{Path(name).with_suffix('')}.png", mask((3, 4)))
    return folder


@pytest.mark.parametrize(
    "names",
    [
        UPLOADS,
        tuple(f"images/{name}" for name in UPLOADS),
        tuple(f"upload/3/{name}" for name in UPLOADS),
        ("a.png", "b.png"),
        ("p1_LCC.png", "p1_RCC.png", "p2_LCC.png"),
    ],
)
def test_nobody_is_named_by_a_folder_or_a_hash_unless_a_pattern_says_so(
    tmp_path: Path, names: tuple[str, ...]
) -> None:
    result = summary("folder", uploads(tmp_path, *names))
    assert result.images == 0
    assert not result.patients
    question = result.refusals[-1]
    assert question.where == "patients"
    assert "--patient-pattern" in question.reason
    assert Path(sorted(names)[0]).stem in question.reason


@pytest.mark.parametrize(
    ("options", "patients"),
    [
        ({"patient_pattern": SUGGESTION}, {"p1", "p2"}),
        ({"patient_pattern": "(.+)"}, {f"images/{Path(name).stem}.dcm" for name in UPLOADS}),
        ({"one_patient": True}, {"everyone in set"}),
    ],
)
def test_a_pattern_each_file_or_one_patient_can_be_said(
    tmp_path: Path, options: dict[str, Any], patients: set[str]
) -> None:
    uploads(tmp_path / "set", *(f"images/{name}" for name in UPLOADS))
    result = summary("folder", tmp_path / "set", **options)
    assert (result.images, result.patients, result.refusals) == (3, patients, [])


@pytest.mark.parametrize("pattern", [PATTERN, r"^(images)", r"(p)\d"])
def test_a_pattern_that_finds_one_patient_in_all_paths_has_found_something_else(
    tmp_path: Path, pattern: str
) -> None:
    uploads(tmp_path, *(f"images/{name}" for name in UPLOADS))
    result = summary("folder", tmp_path, patient_pattern=pattern)
    assert result.images == 0
    assert "finds one patient" in result.refusals[-1].reason


def test_files_that_say_whose_they_are_need_no_pattern(tmp_path: Path) -> None:
    for seed, name in enumerate(("a.dcm", "b.dcm", "c.dcm")):
        write(tmp_path / "images" / name, mammogram_file(picture(seed), patient_id=f"P{seed // 2}"))
        grey_image(tmp_path / "masks" / f"{Path(name).stem}.png", mask((3, 4)))
    result = summary("folder", tmp_path)
    assert (result.images, len(result.patients), result.refusals) == (3, 2, [])


def test_a_pattern_and_one_patient_contradict_each_other(tmp_path: Path) -> None:
    with pytest.raises(InvalidSettings, match="not both"):
        summary("folder", uploads(tmp_path, "a.png"), patient_pattern="(.)", one_patient=True)
