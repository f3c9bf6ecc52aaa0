from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mammo.dicom import read_mammogram
from tests.mammo.exchange.datasets.miniatures import grey_image
from tests.mammo.exchange.datasets.reading import findings_of, read, summary

INFO = """\
MIAS database reference number, a line of prose that is no row
mdb001 G CIRC B 35 25 7
mdb002 G CALC B 10 20 5
mdb002 G CALC M 40 50 3
mdb003 D NORM
mdb004 D CALC M *NOTE 3*
mdb005 F CALC B 10 20 -5
mdb006 F NONSENSE
mdb007 F NORM
"""


def mias(folder: Path) -> Path:
    (folder / "Info.txt").write_text(INFO)
    for number in range(1, 7):
        pixels = np.tile(np.arange(64, dtype=np.uint8), (60, 1))
        pixels[0, 0] = number
        grey_image(folder / f"mdb00{number}.pgm", pixels)
    return folder


def test_y_counts_from_the_bottom(tmp_path: Path) -> None:
    images, _ = read("mias", mias(tmp_path))
    first, second = findings_of(images[1])
    assert first.box.as_tuple() == (5, 35, 15, 45)  # 60 rows: 20 from below is 40 from above
    assert second.box.as_tuple() == (37, 7, 43, 13)
    assert first.mask is None


def test_a_pair_is_one_woman_right_and_left_with_pixels_of_a_fifth_of_a_millimetre(tmp_path: Path) -> None:
    images, _ = read("mias", mias(tmp_path))
    assert [(image.patient, image.laterality, image.view) for image in images] == [
        ("pair-001", "R", "MLO"), ("pair-001", "L", "MLO"), ("pair-002", "R", "MLO"),
    ]  # fmt: skip
    spacing = read_mammogram(images[0].file, spacing=images[0].spacing_mm).spacing
    assert spacing is not None
    assert spacing.mean_mm == 0.2


def test_a_dry_run_counts_and_says_why_rows_stay_out(tmp_path: Path) -> None:
    result = summary("mias", mias(tmp_path))
    assert (result.images, result.clusters, result.without, len(result.patients)) == (3, 2, 2, 2)
    assert result.classes == {"CALC": 2, "CIRC": 1, "NORM": 1}
    reasons = {refusal.where: refusal.reason for refusal in result.refusals}
    assert "position of its calcifications is missing" in reasons["Info.txt, line 6"]
    assert "positive radius" in reasons["Info.txt, line 7"]
    assert "expected image" in reasons["Info.txt, line 8"]
    assert "mdb007.pgm is not in the folder" in reasons["Info.txt, line 9"]
    assert len(reasons) == 4


def test_images_may_be_png_and_the_table_may_have_another_name(tmp_path: Path) -> None:
    mias(tmp_path)
    grey_image(tmp_path / "mdb009.png", np.tile(np.arange(64, dtype=np.uint8), (60, 1)))
    table = tmp_path / "positives.txt"
    table.write_text("mdb009 G CALC B 10 20 5\nmdb004 D CALC M *NOTE 3*\n")
    images, refusals = read("mias", tmp_path, document=table)
    assert [image.file.name for image in images] == ["mdb009.png"]
    assert [refusal.where for refusal in refusals] == ["positives.txt, line 2"]


@pytest.mark.parametrize(
    ("rows", "reason"),
    [
        ("mdb001 G CALC B 10 20 5\nmdb001 G NORM\n", "another one does not"),
        ("mdb001 G CALC B 10 20 5\nmdb001 G CALC B 10 20 5\n", "one of its rows is repeated"),
        ("mdb001 G CALC B\nmdb001 G CIRC B 10 20 5\n", "position of its calcifications is missing"),
        ("mdb001 G CALCC B 10 20 5\nmdb001 G CIRC B 10 20 5\n", "another row of mdb001 cannot be read"),
        ("MDB001 G CALC B 10 20 5\nmdb001 G CIRC B 10 20 5\n", "another row of mdb001 cannot be read"),
        ("mdb001 G CALC B 10 20 0\n", "positive radius"),
        ("mdb007 G NORM\n", "in another case"),
    ],
)
def test_rows_that_contradict_each_other_or_cannot_be_read_keep_their_image_out(
    tmp_path: Path, rows: str, reason: str
) -> None:
    mias(tmp_path)
    grey_image(tmp_path / "x.pgm", np.tile(np.arange(64, dtype=np.uint8), (60, 1)))
    (tmp_path / "x.pgm").rename(tmp_path / "MDB007.PGM")
    (tmp_path / "Info.txt").write_text(rows)
    result = summary("mias", tmp_path)
    assert result.images == 0
    assert any(reason in refusal.reason for refusal in result.refusals)
