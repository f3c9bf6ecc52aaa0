from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom import uid

from mammo.deidentification.deidentify import Deidentifier
from mammo.dicom import projection, read_mammogram
from mammo.dicom.identity import identifying
from mammo.errors import UnreadableImage, UnsupportedImage
from tests.mammo.dicom.files import edited, mammogram_file, with_elements
from tests.mammo.dicom.patient_files import PLANTED, patient_file
from tests.mammo.dicom.pictures import breast_picture, with_text
from tests.mammo.dicom.validator import assert_valid

KEY = b"a key of at least 16 bytes"


def parsed(data: bytes) -> pydicom.FileDataset:
    return pydicom.dcmread(io.BytesIO(data))


def leaks(data: bytes) -> list[str]:
    lower = data.lower()
    wide = lower.replace(b"\0", b"")
    return [
        name
        for name, value in PLANTED.items()
        if value.lower().encode() in lower or value.lower().encode() in wide
    ]


def test_the_test_plants_what_it_looks_for() -> None:
    assert len(PLANTED) >= 17
    assert set(PLANTED) - set(leaks(patient_file())) == {"high bits"}


def test_no_planted_identifier_is_in_any_byte_of_the_output() -> None:
    done = Deidentifier(KEY)(patient_file())
    assert leaks(done.content) == []
    assert leaks(done.name.encode()) == []
    pixels = np.frombuffer(parsed(done.content).PixelData, "<u2")
    assert pixels.max() < 2**12, "nothing above the stored bits"


def test_what_a_reader_needs_is_unchanged() -> None:
    data = patient_file(view="MLO", laterality="R", photometric="MONOCHROME1", window=(2000, 1500))
    before, after = (read_mammogram(d) for d in (data, Deidentifier(KEY)(data).content))
    np.testing.assert_array_equal(before.pixels, after.pixels)
    assert (after.view, after.laterality, after.depth, after.spacing) == ("MLO", "R", 12, before.spacing)
    header = parsed(Deidentifier(KEY)(data).content)
    assert (header.WindowCenter, header.WindowWidth) == (2000, 1500)


def test_the_output_says_how_it_was_made() -> None:
    header = parsed(Deidentifier(KEY)(patient_file()).content)
    assert header.PatientIdentityRemoved == "YES"
    assert header.LongitudinalTemporalInformationModified == "MODIFIED"
    assert header.BurnedInAnnotation == "NO"
    codes = [
        (item.CodeValue, item.CodingSchemeDesignator) for item in header.DeidentificationMethodCodeSequence
    ]
    assert codes == [(code, "DCM") for code in ("113100", "113101", "113107", "113108")]
    assert header.PatientAge == "080Y"
    assert identifying(header) == ()


@pytest.mark.parametrize("view", ["CC", "MLO"])
@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
def test_a_validator_finds_no_error(tmp_path: Path, view: str, photometric: str) -> None:
    stored = breast_picture()
    stored = 4095 - stored if photometric == "MONOCHROME1" else stored
    data = patient_file(stored.astype(np.uint16), view=view, photometric=photometric)
    (tmp_path / "a.dcm").write_bytes(Deidentifier(KEY)(data).content)
    assert_valid(tmp_path / "a.dcm", "MammographyImageForPresentation")


def test_files_of_one_patient_stay_together_and_references_hold() -> None:
    first, second = (parsed(Deidentifier(KEY)(patient_file(instance=n)).content) for n in (1, 2))
    assert first.PatientID == second.PatientID
    assert first.StudyInstanceUID == second.StudyInstanceUID
    assert first.SOPInstanceUID != second.SOPInstanceUID
    assert second.ReferencedImageSequence[0].ReferencedSOPInstanceUID == first.SOPInstanceUID
    assert second.file_meta.MediaStorageSOPInstanceUID == second.SOPInstanceUID
    secret = b"a secret of the site"
    assert len({read_mammogram(Deidentifier(KEY)(patient_file(instance=n)).content, patient_secret=secret).patient
                for n in (1, 2)}) == 1  # fmt: skip


def test_another_key_gives_another_person_and_the_same_key_the_same_bytes() -> None:
    data = patient_file()
    assert Deidentifier(KEY)(data).content == Deidentifier(KEY)(data).content
    one, other = (
        parsed(Deidentifier(KEY)(data).content),
        parsed(Deidentifier(b"another key, 16 bytes")(data).content),
    )
    assert one.PatientID != other.PatientID
    assert one.SOPInstanceUID != other.SOPInstanceUID
    assert KEY not in Deidentifier(KEY)(data).content


def test_time_between_two_examinations_is_kept_and_their_dates_are_not() -> None:
    dates = ("20230301", "20240301")
    moved = [parsed(Deidentifier(KEY)(patient_file(study_date=date)).content).StudyDate for date in dates]
    days = [np.datetime64(f"{d[:4]}-{d[4:6]}-{d[6:]}") for d in (*dates, *moved)]
    assert days[1] - days[0] == days[3] - days[2]
    assert days[0] > days[2]


def test_text_beside_the_breast_is_blanked_in_the_file() -> None:
    done = Deidentifier(KEY)(patient_file(with_text(breast_picture(), "DOE 4711", (460, 60), size=0.8)))
    assert done.concern is None
    assert done.num_blanked > 300
    plain = read_mammogram(patient_file())
    np.testing.assert_array_equal(read_mammogram(done.content).pixels, plain.pixels)


def test_text_over_the_breast_is_not_called_clean() -> None:
    done = Deidentifier(KEY)(patient_file(with_text(breast_picture(), "DOE^JANE", (60, 420))))
    assert done.concern == "text"
    header = parsed(done.content)
    assert header.BurnedInAnnotation == "YES"
    assert "113101" not in [item.CodeValue for item in header.DeidentificationMethodCodeSequence]


@pytest.mark.parametrize("syntax", ["rle", "jpeg-ls"])
def test_a_compressed_file_stays_compressed_and_its_pixels_too(syntax: str) -> None:
    data = mammogram_file(breast_picture(), syntax=syntax)
    done = Deidentifier(KEY)(data)
    assert parsed(done.content).file_meta.TransferSyntaxUID == uid.RLELossless
    np.testing.assert_array_equal(read_mammogram(done.content).pixels, read_mammogram(data).pixels)


def test_signed_pixels_and_their_padding_survive() -> None:
    signed = breast_picture().astype(np.int32) - 2048
    data = with_elements(
        mammogram_file(breast_picture()),
        PixelRepresentation=1, PixelData=signed.astype("<i2").tobytes(), PixelPaddingValue=2**16 - 2048,
    )  # fmt: skip
    done = Deidentifier(KEY)(data)
    np.testing.assert_array_equal(read_mammogram(done.content).pixels, read_mammogram(data).pixels)
    assert parsed(done.content).PixelPaddingValue == -2048


def test_raw_detector_values_are_taken_too() -> None:
    counts = np.round(4095 * np.exp(breast_picture() / -1000.0)).astype(np.uint16)
    written = with_text(counts, "DOE 4711", (460, 60), value=0, size=0.8)
    data = with_elements(
        mammogram_file(written), PresentationIntentType="FOR PROCESSING",
        PixelIntensityRelationship="LIN", PixelIntensityRelationshipSign=1,
    )  # fmt: skip
    done = Deidentifier(KEY)(data)
    assert done.num_blanked > 300
    np.testing.assert_array_equal(
        np.frombuffer(parsed(done.content).PixelData, "<u2").reshape(counts.shape), counts
    )


def test_a_lookup_table_that_is_a_message_is_dropped_and_one_that_is_a_curve_is_kept() -> None:
    def table(raw: bytes) -> bytes:
        def edit(dataset: pydicom.FileDataset) -> None:
            item = pydicom.Dataset()
            item.add_new("LUTDescriptor", "US", [len(raw) // 2, 0, 12])
            item.add_new("LUTData", "OW", raw)
            dataset.VOILUTSequence = [item]

        return edited(mammogram_file(breast_picture()), edit)

    message = table(b"Hermine Quatermain was here.")
    assert "VOILUTSequence" not in parsed(Deidentifier(KEY)(message).content)
    curve = np.arange(4096).astype("<u2").tobytes()
    assert parsed(Deidentifier(KEY)(table(curve)).content).VOILUTSequence[0].LUTData == curve


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"\x89PNG\r\n\x1a\n" + bytes(100), "not_dicom"),
        (with_elements(SOPClassUID=uid.CTImageStorage), "wrong_sop_class"),
        (with_elements(SOPInstanceUID="../../etc/passwd"), "missing_attribute"),
        (with_elements(StudyInstanceUID=None), "missing_attribute"),
    ],
)
def test_what_cannot_be_cleaned_is_refused(data: bytes, code: str) -> None:
    with pytest.raises(UnreadableImage) as caught:
        Deidentifier(KEY)(data)
    assert caught.value.code == code
    assert isinstance(caught.value, UnsupportedImage) == (code in ("not_dicom", "wrong_sop_class"))


def test_a_name_cannot_pass_for_a_code_or_a_machine() -> None:
    """The name and the hospital are gone from where they belong: nobody can know them by comparing."""
    gone = dict.fromkeys(("PatientName", "InstitutionName", "PatientComments"))
    data = with_elements(patient_file(), **gone)
    assert {"name", "hospital"} <= set(leaks(data))
    done = Deidentifier(KEY)(data)
    assert leaks(done.content) == []
    assert parsed(done.content).ImageType == ["DERIVED", "PRIMARY", ""]


def test_maker_and_model_are_kept_as_far_as_they_are_known() -> None:
    data = with_elements(
        mammogram_file(breast_picture()),
        Manufacturer="HOLOGIC, Inc.",
        ManufacturerModelName="Selenia Dimensions of Springfield",
    )
    header = parsed(Deidentifier(KEY)(data).content)
    assert (header.Manufacturer, header.ManufacturerModelName) == ("HOLOGIC INC", "SELENIA DIMENSIONS")


def test_a_class_named_only_in_the_meta_header_is_written_out() -> None:
    data = with_elements(mammogram_file(breast_picture()), SOPClassUID=None)
    assert parsed(Deidentifier(KEY)(data).content).SOPClassUID.name.startswith("Digital Mammography")


@pytest.mark.parametrize("code", ["399055006", "R-102D7", "399226006"])
def test_a_spot_or_rolled_view_does_not_become_a_standard_view(code: str) -> None:
    def edit(dataset: pydicom.FileDataset) -> None:
        item = pydicom.Dataset()
        item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = code, "SCT", "DOE"
        dataset.ViewCodeSequence[0].ViewModifierCodeSequence = pydicom.Sequence([item])

    done = Deidentifier(KEY)(edited(mammogram_file(), edit))
    before = projection.modifier(parsed(edited(mammogram_file(), edit)))
    assert projection.modifier(parsed(done.content)) == before != ""
