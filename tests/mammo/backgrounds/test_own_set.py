"""A site's own images: each in a form without patient tags, bad files named, nothing twice."""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from mammo.backgrounds import Backgrounds, BackgroundSet
from mammo.backgrounds.own_set import Outcome, OwnSetOptions, add_own_set
from mammo.dicom import encode_png, patient_key, read_mammogram
from mammo.errors import InvalidBackgrounds, MammoError
from tests.mammo.backgrounds.images import SECRET, dicom, own_options, png
from tests.mammo.dicom.files import mammogram_file, with_elements
from tests.mammo.dicom.patient_files import PLANTED, patient_file
from tests.mammo.dicom.pictures import breast_picture, with_text


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "normals"
    made.mkdir()
    return made


@pytest.fixture
def library(tmp_path: Path) -> Backgrounds:
    return Backgrounds(tmp_path / "backgrounds")


def add(options: OwnSetOptions, library: Backgrounds) -> tuple[Outcome, BackgroundSet | None]:
    return add_own_set(options, library=library), library.find(options.name)


def table(folder: Path, *rows: str) -> Path:
    path = folder / "patients.csv"
    path.write_text("\n".join(["file,patient", *rows]), encoding="utf-8")
    return path


def test_bad_files_are_named_and_the_good_ones_are_added(folder: Path, library: Backgrounds) -> None:
    (folder / "1.dcm").write_bytes(dicom(seed=1))
    (folder / "2.dcm").write_bytes(dicom(seed=2)[:3000])
    (folder / "3.txt").write_text("no image")
    (folder / "4.dcm").write_bytes(dicom(seed=4, for_processing=True, photometric="MONOCHROME1"))
    (folder / "below").mkdir()
    (folder / "below" / "5.dcm").write_bytes(dicom(seed=5, patient="PHANTOM-2"))
    (folder / "6.dcm").symlink_to(folder / "gone")
    outcome, backgrounds = add(own_options(folder), library)
    assert (outcome.num_new, outcome.num_known) == (2, 0)
    assert [line.partition(":")[0] for line in outcome.refused] == [
        str(folder / name) for name in ("2.dcm", "3.txt", "4.dcm", "6.dcm")
    ]
    assert "For Processing" in outcome.refused[2]
    assert backgrounds is not None
    assert (len(backgrounds.backgrounds), backgrounds.num_patients) == (2, 2)
    assert not backgrounds.may_ship


def test_a_dicom_file_keeps_pixels_view_spacing_and_patient_key_and_loses_every_tag(
    folder: Path, library: Backgrounds
) -> None:
    original = patient_file()
    (folder / f"{PLANTED['name']}.dcm").write_bytes(original)
    _, backgrounds = add(own_options(folder, allow_identified=True), library)
    assert backgrounds is not None
    (background,) = backgrounds.backgrounds
    read, expected = background.read(), read_mammogram(original, patient_secret=SECRET)
    np.testing.assert_array_equal(read.pixels, expected.pixels)
    for attribute in ("spacing", "laterality", "view", "depth", "patient"):
        assert getattr(read, attribute) == getattr(expected, attribute)
    assert read.patient == background.patient == patient_key(PLANTED["id"], SECRET)
    for path in library.folder.rglob("*"):
        assert not [text for text in PLANTED.values() if text.encode() in str(path.name).encode()]
        if path.is_file():
            assert [key for key, text in PLANTED.items() if text.encode() in path.read_bytes()] == []


def test_a_file_that_names_its_patient_is_refused_unless_that_is_allowed(
    folder: Path, library: Backgrounds
) -> None:
    """As in an import: the key of its patient would not be that of the site's tasks, which are de-identified."""
    (folder / f"{PLANTED['name']}.dcm").write_bytes(patient_file())
    outcome, backgrounds = add(own_options(folder), library)
    (line,) = outcome.refused
    assert line.startswith("file 1, in order of name: it identifies the patient in PatientName")
    assert not [text for text in PLANTED.values() if text in line]
    assert backgrounds is None
    assert not any(path.is_dir() for path in library.folder.iterdir())


def test_text_over_the_breast_is_no_background(folder: Path, library: Backgrounds) -> None:
    written = with_text(breast_picture(), "DOE 4711", (60, 420))
    (folder / "1.dcm").write_bytes(mammogram_file(written))
    (folder / "2.dcm").write_bytes(
        mammogram_file(np.random.default_rng(0).integers(0, 9, (16, 16)).astype(np.uint16))
    )
    outcome, _ = add(own_options(folder), library)
    assert "looks like text lies over the breast" in outcome.refused[0]


def with_comment(content: bytes, comment: bytes) -> bytes:
    """A PNG with a text block before its pixels."""
    chunk = b"tEXtComment\0" + comment
    block = struct.pack(">L", len(chunk) - 4) + chunk + struct.pack(">L", zlib.crc32(chunk))
    return content[:33] + block + content[33:]


def test_a_plain_image_keeps_its_values_and_loses_what_is_written_beside_them(
    folder: Path, library: Backgrounds
) -> None:
    deep = breast_picture(seed=3) * 16
    (folder / "a.png").write_bytes(with_comment(png(), b"Hermine Quatermain"))
    (folder / "b.png").write_bytes(encode_png(deep))
    (folder / "c.jpg").write_bytes(
        cv2.imencode(".jpg", (breast_picture(seed=4) // 16).astype(np.uint8))[1].tobytes()
    )
    cv2.imwrite(str(folder / "d.tif"), breast_picture(seed=5) * 16)
    patients = table(folder, "a.png,1", "b.png,1", "c.jpg,2.0", "d.tif, 3 ")
    outcome, backgrounds = add(own_options(folder, patients=patients, spacing_mm=0.1), library)
    assert (outcome.num_new, outcome.refused) == (4, [])
    assert backgrounds is not None
    stored = {each.path.read_bytes() for each in backgrounds.backgrounds}
    assert not any(b"Quatermain" in content for content in stored)
    expected = {
        read_mammogram(folder / name).pixels.tobytes() for name in ("a.png", "b.png", "c.jpg", "d.tif")
    }
    assert {each.read().pixels.tobytes() for each in backgrounds.backgrounds} == expected
    assert sorted(each.read().depth for each in backgrounds.backgrounds) == [8, 8, 16, 16]
    assert {each.patient for each in backgrounds.backgrounds} == {patient_key(p, SECRET) for p in "123"}
    assert backgrounds.spacing_range_mm == (0.1, 0.1)


def test_a_file_without_a_spacing_or_a_patient_is_refused(folder: Path, library: Backgrounds) -> None:
    (folder / "a.png").write_bytes(png())
    (folder / "b.dcm").write_bytes(with_elements(dicom(), ImagerPixelSpacing=None))
    patients = table(folder, "a.png,1")
    outcome, backgrounds = add(own_options(folder, patients=patients), library)
    assert [line.rpartition("/")[2] for line in outcome.refused] == [
        f"{name}: the file states no pixel spacing; give it with --spacing" for name in ("a.png", "b.dcm")
    ]
    assert backgrounds is None
    patients.unlink()
    (folder / "b.dcm").write_bytes(with_elements(dicom(), PatientID=""))
    outcome, backgrounds = add(own_options(folder, spacing_mm=0.1), library)
    assert all("its patient is unknown" in line for line in outcome.refused)
    assert (len(outcome.refused), backgrounds) == (2, None)


def test_a_given_spacing_is_for_files_that_state_none(folder: Path, library: Backgrounds) -> None:
    (folder / "a.png").write_bytes(png())
    (folder / "b.dcm").write_bytes(dicom())
    _, backgrounds = add(own_options(folder, patients=table(folder, "a.png,1"), spacing_mm=0.1), library)
    assert backgrounds is not None
    assert backgrounds.spacing_range_mm == (0.07, 0.1)


def test_the_table_takes_precedence_over_the_patient_id_and_names_what_is_not_there(
    folder: Path, library: Backgrounds
) -> None:
    (folder / "sub").mkdir()
    (folder / "sub" / "fünf.dcm").write_bytes(dicom(patient="ANONYMOUS"))
    patients = table(folder.parent, "sub\\fu\u0308nf.dcm,4711", "gone.dcm,1", "sub/fünf.dcm,")
    outcome, backgrounds = add(own_options(folder, patients=patients), library)
    assert outcome.refused == ["the table of patients names gone.dcm, which is not in the folder"]
    assert backgrounds is not None
    assert backgrounds.backgrounds[0].patient == patient_key("4711", SECRET)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("file;patient\na.png;1", "'file' is missing"),
        ("file,patient\na.png,1\na.png,2", "line 3: the file has another patient"),
        ("file,patient\na.png,1,2", "more cells than the header"),
    ],
)
def test_a_table_that_can_be_read_in_two_ways_is_refused(
    folder: Path, library: Backgrounds, text: str, message: str
) -> None:
    (folder / "a.png").write_bytes(png())
    patients = folder / "patients.csv"
    patients.write_text(text)
    with pytest.raises(MammoError, match=message):
        add(own_options(folder, patients=patients, spacing_mm=0.1), library)
    assert library.sets() == []


def test_a_second_run_adds_nothing_twice_and_corrects_the_patient(folder: Path, library: Backgrounds) -> None:
    (folder / "a.png").write_bytes(png())
    (folder / "b.dcm").write_bytes(dicom())
    (folder / "copy of b.dcm").write_bytes(dicom())
    outcome, first = add(own_options(folder, patients=table(folder, "a.png,1"), spacing_mm=0.1), library)
    assert (outcome.num_new, outcome.num_known) == (2, 0)
    (folder / "c.dcm").write_bytes(dicom(seed=1))
    outcome, second = add(own_options(folder, patients=table(folder, "a.png,2"), spacing_mm=0.1), library)
    assert (outcome.num_new, outcome.num_known, outcome.refused) == (1, 2, [])
    assert first is not None
    assert second is not None
    assert {each.sha256 for each in first.backgrounds} < {each.sha256 for each in second.backgrounds}
    assert patient_key("2", SECRET) in {each.patient for each in second.backgrounds}
    assert patient_key("1", SECRET) not in {each.patient for each in second.backgrounds}


def test_one_image_of_two_patients_is_left_out(folder: Path, library: Backgrounds) -> None:
    (folder / "a.png").write_bytes(png())
    (folder / "b.png").write_bytes(png())
    patients = table(folder, "a.png,1", "b.png,2")
    outcome, backgrounds = add(own_options(folder, patients=patients, spacing_mm=0.1), library)
    assert "of different patients" in outcome.refused[0]
    assert (outcome.num_new, backgrounds) == (0, None)
    assert not any(path.is_dir() for path in library.folder.iterdir())


def test_a_set_has_one_licence_and_no_public_name(folder: Path, library: Backgrounds) -> None:
    (folder / "a.dcm").write_bytes(dicom())
    options = own_options(folder)
    add(options, library)
    with pytest.raises(InvalidBackgrounds, match="exists under another licence, 'consent of 2026'") as other:
        add(replace(options, licence="research only"), library)
    assert other.value.code == "other_licence"
    with pytest.raises(InvalidBackgrounds, match="monai is the name of a public set"):
        add(replace(options, name="monai"), library)
    with pytest.raises(InvalidBackgrounds, match="expected as name"):
        add(replace(options, name="../ours"), library)


def test_an_interrupted_run_keeps_what_it_has_added(folder: Path, library: Backgrounds) -> None:
    for seed in range(4):
        (folder / f"{seed}.dcm").write_bytes(dicom(seed=seed))

    def interrupted(finished: Any, total: int) -> Iterator[Any]:
        assert total == 4
        yield next(iter(finished))
        raise KeyboardInterrupt

    outcome = Outcome()
    with pytest.raises(KeyboardInterrupt):
        add_own_set(own_options(folder), library=library, outcome=outcome, progress=interrupted)
    assert outcome.num_new == 1
    assert len(library.get("ours").backgrounds) == 1
    assert len(list((library.folder / "ours").iterdir())) == 2
    outcome, _ = add(own_options(folder), library)
    assert (outcome.num_new, outcome.num_known) == (3, 1)


def test_a_file_name_that_is_no_text_is_no_obstacle(folder: Path, library: Backgrounds) -> None:
    (folder / os.fsdecode(b"rechts_\xfcber.dcm")).write_bytes(dicom())
    outcome, _ = add(own_options(folder), library)
    assert (outcome.num_new, outcome.refused) == (1, [])


def test_a_file_over_the_limit_is_refused(folder: Path, library: Backgrounds) -> None:
    (folder / "a.dcm").write_bytes(dicom())
    outcome, _ = add(own_options(folder, max_bytes=2**16), library)
    assert "exceeds the limit of 65536 bytes" in outcome.refused[0]
