from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mammo.errors import MammoError
from tests.cli.datasets.miniatures import digital, grey_image, picture, write
from tests.cli.datasets.reading import findings_of, read, summary
from tests.mammo.dicom.files import mammogram_file, with_elements


def mask(
    *corners: tuple[int, int], value: int = 255, shape: tuple[int, int] = (48, 32)
) -> np.ndarray[tuple[int, int], np.dtype[np.uint8]]:
    made = np.zeros(shape, np.uint8)
    for x, y in corners:
        made[y : y + 4, x : x + 3] = value
    return made


def test_every_part_of_a_mask_is_a_cluster_and_a_mask_of_zeros_says_none(tmp_path: Path) -> None:
    digital(tmp_path / "images" / "p1_a.dcm", 1)
    grey_image(tmp_path / "masks" / "p1_a.png", mask((3, 4), (20, 30), value=1))
    digital(tmp_path / "images" / "p2" / "b.dcm", 2)
    grey_image(tmp_path / "masks" / "p2" / "b_mask.png", mask())
    grey_image(tmp_path / "images" / "p3_c.png", np.tile(np.arange(32, dtype=np.uint16) * 900, (48, 1)))
    grey_image(tmp_path / "masks" / "p3_c.mask.png", mask((7, 8)))
    images, refusals = read("folder", tmp_path)
    assert not refusals
    assert [image.patient for image in images] == ["p1", "p2", "p3"]
    boxes = [[finding.box.as_tuple() for finding in findings_of(image)] for image in images]
    assert sorted(boxes[0]) == [(3, 4, 6, 8), (20, 30, 23, 34)]
    assert boxes[1:] == [[], [(7, 8, 10, 12)]]
    found = summary("folder", tmp_path)
    assert (found.images, found.clusters, found.masks, found.without) == (3, 3, 3, 1)


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
    found = summary("folder", tmp_path)
    assert found.images == 1
    reasons = {refusal.where: refusal.reason for refusal in found.refusals}
    assert "no mask" in reasons["p1_none.dcm"]
    assert "names a patient" in reasons["noone.dcm"]
    assert "another size" in reasons["p3_small.dcm"]
    assert "p4_broken.dcm" in reasons
    assert "the same image as p5_same.dcm" in reasons["p6_same.dcm"]


def test_files_that_name_their_patient_stay_out_unless_that_is_wanted(tmp_path: Path) -> None:
    for seed, name in enumerate(("a_1.dcm", "b_2.dcm", "doe-4711_3.dcm")):
        data = mammogram_file(picture(seed), patient_id="DOE-4711")
        write(tmp_path / "images" / name, with_elements(data, PatientIdentityRemoved=None))
        grey_image(tmp_path / "masks" / f"{Path(name).stem}.png", mask((3, 4)))
    found = summary("folder", tmp_path)
    assert found.images == 0
    lines = [str(refusal) for refusal in found.refusals]
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
