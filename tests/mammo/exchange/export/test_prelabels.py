from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cli.prelabel import describe
from mammo.exchange.export.labelled_image import LabelledImage, Refusal
from mammo.exchange.export.prelabels import find_image, read_prelabels
from mammo.findings import ImageFindings
from mammo.geometry import Spacing
from tests.mammo.dicom.files import PATIENT, mammogram_file
from tests.mammo.exchange.export.labelled_images import BOX_ONLY, SIZE, ring


def prelabelled(
    folder: Path, name: str = "case", *, file: str | None = None, num_cut: int = 0
) -> dict[str, Any]:
    """An image and its prelabels, as the command leaves them in one folder; the JSON's content."""
    (folder / f"{name}.dcm").write_bytes(mammogram_file())
    report = describe(
        Path(file or f"some/where/{name}.dcm"),
        "m0003-aa",
        spacing=Spacing(0.07, 0.07, "imager"),
        found=ImageFindings(findings=(ring(3, 4), BOX_ONLY), num_cut=num_cut),
        size=SIZE,
        error=None,
    )
    (folder / f"{name}.json").write_text(json.dumps(report))
    return report


def test_prelabels_come_back_with_the_image_beside_them(tmp_path: Path) -> None:
    prelabelled(tmp_path)
    (image,) = read_prelabels([tmp_path / "case.json"], images=None)
    assert isinstance(image, LabelledImage)
    assert (image.name, image.file_name, image.size) == ("case", "case.dcm", SIZE)
    assert (image.origin.made_by, image.origin.version) == ("automatic", "m0003-aa")
    expected = ring(3, 4)
    first, second = image.findings
    assert first.mask is not None
    assert expected.mask is not None
    np.testing.assert_array_equal(first.mask.full(SIZE), expected.mask.full(SIZE))
    assert (second.box, second.mask, second.score) == (BOX_ONLY.box, None, 0.5)
    assert PATIENT not in repr(image.facts)


def test_an_image_says_how_many_findings_its_prelabel_does_not_show(tmp_path: Path) -> None:
    report = prelabelled(tmp_path, "cut", num_cut=3)
    prelabelled(tmp_path, "whole")
    del report["num_cut"]  # as earlier releases wrote it
    (tmp_path / "old.json").write_text(json.dumps(report))
    facts = [
        image.facts for image in read_prelabels([tmp_path], images=None) if isinstance(image, LabelledImage)
    ]
    assert [each.get("num_cut") for each in facts] == [3, None, None]


def test_a_folder_is_all_its_json_files_and_images_may_lie_elsewhere(tmp_path: Path) -> None:
    results, images = tmp_path / "results", tmp_path / "images" / "some" / "where"
    results.mkdir()
    images.mkdir(parents=True)
    for name in ("a", "b"):
        prelabelled(results, name)
        (results / f"{name}.dcm").rename(images / f"{name}.dcm")
    items = list(read_prelabels([results], images=tmp_path / "images"))
    assert [image.file_name for image in items if isinstance(image, LabelledImage)] == [
        "some/where/a.dcm", "some/where/b.dcm",
    ]  # fmt: skip
    refused = list(read_prelabels([results], images=None))
    assert [type(item) for item in refused] == [Refusal, Refusal]
    assert "--images" in str(refused[0])


@pytest.mark.parametrize(
    "stated",
    ["../secret.png", "/etc/passwd", "a/../../secret.png", "link.png", "", "..", "x\0.png", "C:\\secret.png"],
)
def test_no_path_in_a_json_leads_out_of_the_folder(tmp_path: Path, stated: str) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    (tmp_path / "secret.png").write_bytes(b"secret")
    (folder / "link.png").symlink_to(tmp_path / "secret.png")
    assert find_image(stated, folder) is None


def change(key: str, value: Any) -> Callable[[dict[str, Any]], None]:
    def edit(report: dict[str, Any]) -> None:
        report["findings"][0][key] = value

    return edit


@pytest.mark.parametrize(
    ("edit", "reason"),
    [
        (lambda report: report.update(error="damaged"), "could not be read"),
        (lambda report: report.update(findings=7), "expected a report of"),
        (lambda report: report.pop("model_version"), "expected a report of"),
        (change("box", [0, 0, 33, 48]), "outside the image"),
        (change("box", [5, 5, 5, 9]), "x0 < x1"),
        (change("box", [0, 0, 2**60, 4]), "expected a report of"),
        (change("score", 2), "expected a report of"),
        (change("mask", {"size": [48, 32], "counts": [48 * 32 + 1]}), "whose sum is"),
        (change("mask", {"size": [4800, 3200], "counts": "o" * 50}), "RLE of the image's size"),
    ],
)
def test_a_broken_file_is_refused_with_its_reason_and_the_others_are_read(
    tmp_path: Path, edit: Callable[[dict[str, Any]], None], reason: str
) -> None:
    report = prelabelled(tmp_path, "bad")
    edit(report)
    (tmp_path / "bad.json").write_text(json.dumps(report))
    prelabelled(tmp_path, "good")
    bad, good = read_prelabels([tmp_path], images=None)
    assert isinstance(bad, Refusal)
    assert reason in bad.reason
    assert isinstance(good, LabelledImage)


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b"[" * 100_000, b"null", b"[1]"])
def test_what_is_no_json_of_ours_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.json").write_bytes(content)
    (refusal,) = read_prelabels([tmp_path / "x.json"], images=None)
    assert isinstance(refusal, Refusal)
    assert "expected a report of" in refusal.reason


def test_both_spacings_of_pixels_that_are_not_square_go_on(tmp_path: Path) -> None:
    report = prelabelled(tmp_path)
    report |= {"spacing_mm": 0.15, "spacing_row_column_mm": [0.1, 0.2]}
    (tmp_path / "case.json").write_text(json.dumps(report))
    (image,) = read_prelabels([tmp_path], images=None)
    assert isinstance(image, LabelledImage)
    assert image.facts["spacing_mm"] == (0.1, 0.2)


def test_a_json_file_with_a_name_that_is_no_text_is_exported_under_a_harmless_one(tmp_path: Path) -> None:
    prelabelled(tmp_path)
    (tmp_path / "case.json").rename(tmp_path / os.fsdecode(b"\xfcber.json"))
    (image,) = read_prelabels([tmp_path], images=None)
    assert isinstance(image, LabelledImage)
    assert image.name == "ber"


@pytest.mark.parametrize("stated", ["loop.dcm", "x" * 300, "loop.dcm/a.dcm"])
def test_an_image_that_nobody_can_look_up_is_not_there(tmp_path: Path, stated: str) -> None:
    (tmp_path / "loop.dcm").symlink_to("loop.dcm")
    assert find_image(stated, tmp_path) is None
