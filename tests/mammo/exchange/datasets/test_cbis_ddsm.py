from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from mammo.dicom import read_mammogram
from mammo.errors import MammoError
from tests.mammo.exchange.datasets.miniatures import film, mask_film
from tests.mammo.exchange.datasets.reading import findings_of, read, summary

TRAIN = "calc_case_description_train_set.csv"
HEADER = [
    "patient_id", "breast density", "left or right breast", "image view", "abnormality id", "abnormality type",
    "calc type", "calc distribution", "assessment", "pathology", "subtlety", "image file path",
    "cropped image file path", "ROI mask file path",
]  # fmt: skip
CASE = "Calc-Training_P_00005_RIGHT_CC"


def table(folder: Path, *rows: dict[str, str], name: str = TRAIN) -> None:
    with (folder / name).open("w", newline="") as file:
        writer = csv.DictWriter(file, HEADER)
        writer.writeheader()
        writer.writerows(dict.fromkeys(HEADER, "") | row for row in rows)


def row(case: str = CASE, number: int = 1, **more: str) -> dict[str, str]:
    """A row as the table of 2017 has it, the line end after the mask's path included."""
    return {
        "patient_id": case.split("_", 1)[1][:7],
        "left or right breast": "RIGHT" if "RIGHT" in case else "LEFT",
        "image view": "CC" if case.endswith("CC") else "MLO",
        "calc type": "PLEOMORPHIC",
        "calc distribution": "CLUSTERED",
        "image file path": f"{case}/1.3.6.1/1.3.6.2/000000.dcm",
        "cropped image file path": f"{case}_{number}/1.3.6.3/1.3.6.4/000000.dcm",
        "ROI mask file path": f"{case}_{number}/1.3.6.3/1.3.6.4/000001.dcm\n",
    } | more


def mask(x: int, y: int) -> np.ndarray[tuple[int, int], np.dtype[np.uint8]]:
    pixels = np.zeros((48, 32), np.uint8)
    pixels[y : y + 4, x : x + 5] = 255
    return pixels


def crop() -> np.ndarray[tuple[int, int], np.dtype[np.uint8]]:
    return np.tile(np.arange(8, dtype=np.uint8) * 30, (8, 1))


def test_every_mask_of_an_image_is_a_cluster(tmp_path: Path) -> None:
    table(tmp_path, row(), row(number=2), name=TRAIN)
    film(tmp_path / CASE / "1.3.6.1/1.3.6.2/000000.dcm", 1)
    for number, made in ((1, mask(3, 4)), (2, mask(20, 30))):
        mask_film(tmp_path / f"{CASE}_{number}/1.3.6.3/1.3.6.4/000000.dcm", crop())
        mask_film(tmp_path / f"{CASE}_{number}/1.3.6.3/1.3.6.4/000001.dcm", made)
    (image,), refusals = read("cbis-ddsm", tmp_path)
    assert not refusals
    assert (image.patient, image.laterality, image.view) == ("P_00005", "R", "CC")
    first, second = findings_of(image)
    for finding, true in ((first, mask(3, 4)), (second, mask(20, 30))):
        assert finding.mask is not None
        np.testing.assert_array_equal(finding.mask.full(read_mammogram(image.file).size) * 255, true)


def test_crop_and_mask_may_be_interchanged_and_lie_in_a_later_downloads_folders(tmp_path: Path) -> None:
    table(
        tmp_path,
        row() | {"ROI mask file path": f"{CASE}_1/1.3.6.3/1.3.6.4/000000.dcm",
                 "cropped image file path": f"{CASE}_1/1.3.6.3/1.3.6.4/000001.dcm"},
    )  # fmt: skip
    root = tmp_path / "CBIS-DDSM"
    film(root / CASE / "08-07-2016-DDSM-NA-1/1.0-full mammogram images-1/1-1.dcm", 1)
    mask_film(root / f"{CASE}_1/08-07-2016-DDSM-NA-2/1.0-ROI mask images-2/1-1.dcm", crop())
    mask_film(root / f"{CASE}_1/08-07-2016-DDSM-NA-2/1.0-ROI mask images-2/1-2.dcm", mask(3, 4))
    (image,), refusals = read("cbis-ddsm", tmp_path)
    assert not refusals
    assert [finding.box.as_tuple() for finding in findings_of(image)] == [(3, 4, 8, 8)]


def test_a_dry_run_counts_and_says_why_rows_stay_out(tmp_path: Path) -> None:
    good, other, gone = CASE, "Calc-Training_P_00007_LEFT_MLO", "Calc-Training_P_00009_LEFT_CC"
    table(
        tmp_path,
        row(good),
        row(other, **{"calc distribution": "N/A"}),
        row(gone),
        row("Calc-Training_P_00011_LEFT_CC", **{"image file path": "../../etc/passwd"}),
        row("Calc-Training_P_00013_LEFT_CC", **{"calc distribution": "DIFFUSELY_SCATTERED\x1b[2J"}),
    )
    film(tmp_path / good / "1.3.6.1/1.3.6.2/000000.dcm", 1)
    mask_film(tmp_path / f"{good}_1/1.3.6.3/1.3.6.4/000001.dcm", mask(3, 4))
    result = summary("cbis-ddsm", tmp_path)
    assert (result.images, result.clusters, result.masks, result.patients) == (1, 1, 1, {"P_00005"})
    assert result.classes == {"PLEOMORPHIC": 1}
    lines = "\n".join(map(str, result.refusals))
    for reason in ("the distribution N/A is not a cluster", "not in the folder", "leaves the folder"):
        assert reason in lines
    assert len(result.refusals) == 4
    assert "\x1b" not in lines


def test_a_mask_of_another_size_or_none_at_all_refuses_the_image(tmp_path: Path) -> None:
    table(tmp_path, row())
    film(tmp_path / CASE / "1.3.6.1/1.3.6.2/000000.dcm", 1)
    mask_film(tmp_path / f"{CASE}_1/1.3.6.3/1.3.6.4/000000.dcm", crop())
    mask_film(tmp_path / f"{CASE}_1/1.3.6.3/1.3.6.4/000001.dcm", np.zeros((48, 32), np.uint8))
    result = summary("cbis-ddsm", tmp_path)
    assert result.images == 0
    assert "no mask of the image's size" in result.refusals[0].reason


def test_another_folder_is_recognised_as_such(tmp_path: Path) -> None:
    with pytest.raises(MammoError, match="calc_case_description_train_set"):
        read("cbis-ddsm", tmp_path)


@pytest.mark.parametrize(
    ("second", "reason"),
    [
        ({"patient_id": "P_00006"}, "different values of 'patient_id'"),
        ({"left or right breast": "LEFT"}, "different values of"),
        ({"image view": "MLO"}, "different values of"),
        ({"ROI mask file path": f"{CASE}_1/1.3.6.3/1.3.6.4/000001.dcm"}, "the same mask"),
        ({"ROI mask file path": f"{CASE}_9/1.3.6.3/1.3.6.4/000001.dcm"}, "no mask of the image's size"),
    ],
)
def test_rows_that_contradict_each_other_or_lack_a_mask_keep_their_image_out(
    tmp_path: Path, second: dict[str, str], reason: str
) -> None:
    table(tmp_path, row(), row(number=2) | second)
    film(tmp_path / CASE / "1.3.6.1/1.3.6.2/000000.dcm", 1)
    mask_film(tmp_path / f"{CASE}_1/1.3.6.3/1.3.6.4/000001.dcm", mask(3, 4))
    if "_9" not in second.get("ROI mask file path", ""):
        mask_film(tmp_path / f"{CASE}_2/1.3.6.3/1.3.6.4/000001.dcm", mask(20, 30))
    result = summary("cbis-ddsm", tmp_path)
    assert result.images == 0
    assert reason in result.refusals[0].reason


def test_two_masks_that_may_be_one_abnormalitys_refuse_the_image(tmp_path: Path) -> None:
    table(tmp_path, row())
    film(tmp_path / CASE / "1.3.6.1/1.3.6.2/000000.dcm", 1)
    for number, made in ((1, mask(3, 4)), (2, mask(20, 30))):
        mask_film(tmp_path / f"{CASE}_1/08-07-2016/mask-images/1-{number}.dcm", made)
    result = summary("cbis-ddsm", tmp_path)
    assert result.images == 0
    assert "several masks" in result.refusals[0].reason
