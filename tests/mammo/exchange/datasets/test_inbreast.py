from __future__ import annotations

from pathlib import Path

import pytest

from mammo.errors import MammoError
from tests.mammo.exchange.datasets.miniatures import digital, region_list, write
from tests.mammo.exchange.datasets.reading import findings_of, read, summary

SQUARE = [(4.0, 6.0), (10.0, 6.0), (10.0, 12.0), (4.0, 12.0)]


def inbreast(folder: Path, **regions: bytes) -> Path:
    """Two women; the first image has the regions."""
    root = folder / "INbreast Release 1.0"
    digital(root / "AllDICOMs" / "20586908_6c613a14b80a8591_MG_R_CC_ANON.dcm", 1, laterality="R")
    digital(root / "AllDICOMs" / "20586934_6c613a14b80a8591_MG_L_ML_ANON.dcm", 2, view="MLO")
    digital(root / "AllDICOMs" / "22427682_d713ef5849f98b6c_MG_L_CC_ANON.dcm", 3)
    (root / "AllXML").mkdir()
    for name, data in regions.items():
        write(root / "AllXML" / f"{name.removeprefix('x')}.xml", data)
    return folder


def test_outlines_named_cluster_come_in_and_single_calcifications_are_counted(tmp_path: Path) -> None:
    regions = region_list(
        ("Cluster", SQUARE), ("Calcification", [(5, 7)]), ("Mass", SQUARE), ("Calcification", [(20, 30)])
    )
    images, refusals = read("inbreast", inbreast(tmp_path, x20586908=regions))
    assert not refusals
    assert [(image.patient, image.laterality, image.view) for image in images] == [
        ("6c613a14b80a8591", "R", "CC"), ("6c613a14b80a8591", "L", "MLO"), ("d713ef5849f98b6c", "L", "CC"),
    ]  # fmt: skip
    (cluster,) = findings_of(images[0])
    assert cluster.box.as_tuple() == (4, 6, 10, 12)
    assert cluster.mask is not None
    assert cluster.mask.area == 36
    result = summary("inbreast", tmp_path)
    assert (result.images, result.clusters, result.without, len(result.patients)) == (3, 1, 2, 2)
    assert result.classes == {"Cluster": 1, "Calcification": 2, "Mass": 1, "normal": 2}


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (
            b'<?xml version="1.0"?><!DOCTYPE plist [<!ENTITY a "b">]><plist><string>&a;</string></plist>',
            "entities",
        ),
        ('<?xml version="1.0" encoding="utf-16"?><plist/>'.encode("utf-16"), "UTF-16"),
        (b"<plist><dict>", "not a property list"),
        (b"<plist><array/></plist>", "not a property list"),
        (b"", "not a property list"),
        (region_list(("Cluster", SQUARE)).replace(b"(4.000000, 6", b"(nan, 6"), "coordinate"),
        (region_list(("Cluster", SQUARE)).replace(b"(4.000000, 6", b"(9e99, 6"), "coordinate"),
        (region_list(("Cluster", SQUARE[:2])), "fewer than three points"),
        (region_list(("Cluster", [(x + 500, y) for x, y in SQUARE])), "outside the image"),
    ],
)
def test_a_broken_list_of_regions_keeps_its_image_out_and_no_other(
    tmp_path: Path, data: bytes, reason: str
) -> None:
    result = summary("inbreast", inbreast(tmp_path, x20586908=data))
    assert result.images == 2
    (refusal,) = result.refusals
    assert refusal.where == "20586908.xml"
    assert reason in refusal.reason


def test_the_document_type_that_osirix_writes_is_read(tmp_path: Path) -> None:
    data = region_list(("Cluster", SQUARE))
    assert b"<!DOCTYPE plist PUBLIC" in data
    assert summary("inbreast", inbreast(tmp_path, x20586908=data)).clusters == 1


def test_a_file_with_another_name_is_refused_and_another_folder_recognised(tmp_path: Path) -> None:
    inbreast(tmp_path, x20586908=region_list(("Cluster", SQUARE)))
    digital(tmp_path / "INbreast Release 1.0" / "AllDICOMs" / "x.dcm", 9)
    _, refusals = read("inbreast", tmp_path)
    assert [refusal.where for refusal in refusals] == ["x.dcm"]
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(MammoError, match="AllDICOMs"):
        read("inbreast", empty)


@pytest.mark.parametrize(
    ("regions", "reason"),
    [
        ([("Calcification", [(5, 7)])], "it has calcifications, but no outlined cluster"),
        ([("Calcification", SQUARE), ("Mass", SQUARE)], "it has calcifications, but no outlined cluster"),
        ([("Cluster", [(5, 7)])], "fewer than three points"),
        ([("Cluster", SQUARE), ("Cluster 2", SQUARE)], "named 'cluster 2'"),
        ([("Point 1", [(5, 7)])], "named 'point 1'"),
        ([("Microcalcifications", SQUARE)], "may or may not mean a cluster"),
        ([], "is empty"),
    ],
)
def test_an_ambiguous_image_is_left_out_and_is_no_example_of_none(
    tmp_path: Path, regions: list[tuple[str, list[tuple[float, float]]]], reason: str
) -> None:
    result = summary("inbreast", inbreast(tmp_path, x20586908=region_list(*regions)))
    assert (result.images, result.clusters, result.without) == (2, 0, 2)
    (refusal,) = result.refusals
    assert reason in refusal.reason


def test_other_findings_and_no_list_say_that_there_is_no_cluster(tmp_path: Path) -> None:
    regions = region_list(("Mass", SQUARE), ("Espiculated Region", SQUARE), ("Assymetry", SQUARE))
    result = summary("inbreast", inbreast(tmp_path, x20586908=regions))
    assert (result.images, result.without, result.refusals) == (3, 3, [])


@pytest.mark.parametrize("name", ["20586908.XML", "20586908 (1).xml", "20586908.xml.bak"])
def test_a_list_under_another_name_is_not_no_list(tmp_path: Path, name: str) -> None:
    inbreast(tmp_path, x22427682=region_list(("Mass", SQUARE)))
    write(tmp_path / "INbreast Release 1.0" / "AllXML" / name, region_list(("Cluster", SQUARE)))
    result = summary("inbreast", tmp_path)
    assert result.images == 2
    assert name in result.refusals[0].reason


def test_two_files_of_one_image_are_refused_and_so_is_a_release_without_lists(tmp_path: Path) -> None:
    root = tmp_path / "INbreast Release 1.0"
    inbreast(tmp_path, x22427682=region_list(("Mass", SQUARE)))
    digital(root / "AllDICOMs" / "20586908_ffffffffffffffff_MG_R_CC_ANON.dcm", 7, laterality="R")
    result = summary("inbreast", tmp_path)
    assert result.images == 2
    assert [("several files" in refusal.reason) for refusal in result.refusals] == [True, True]
    (root / "AllXML" / "22427682.xml").unlink()
    with pytest.raises(MammoError, match="contains no XML file"):
        summary("inbreast", tmp_path)
