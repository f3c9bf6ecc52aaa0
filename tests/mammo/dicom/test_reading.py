from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from mammo.dicom import patient_key, read_mammogram
from mammo.geometry import Size
from tests.mammo.dicom.files import PATIENT, Stored, gradient, mammogram_file, with_elements

SECRET = b"a secret of the site"


@st.composite
def stored_images(draw: st.DrawFn) -> tuple[Stored, int]:
    bits = draw(st.integers(10, 16))
    shape = draw(st.tuples(st.integers(16, 24), st.integers(16, 24)))
    stored = draw(arrays(np.uint16, shape, elements=st.integers(0, 2**bits - 1)))
    stored[0, 0], stored[-1, -1] = 0, 2**bits - 1  # never constant
    return stored, bits


@settings(max_examples=40, deadline=None)
@given(
    stored_images(),
    st.sampled_from(["MONOCHROME1", "MONOCHROME2"]),
    st.sampled_from(["explicit", "rle", "jpeg-ls"]),
)
def test_what_is_written_is_read_back_bit_for_bit(
    image: tuple[Stored, int], photometric: str, syntax: str
) -> None:
    stored, bits = image
    mammogram = read_mammogram(mammogram_file(stored, bits=bits, photometric=photometric, syntax=syntax))
    top = 2**bits - 1
    values = np.round(mammogram.pixels.astype(np.float64) * top).astype(np.int64)
    np.testing.assert_array_equal(
        values, top - stored.astype(np.int64) if photometric == "MONOCHROME1" else stored
    )
    assert mammogram.depth == bits
    assert mammogram.pixels.dtype == np.float32
    assert (mammogram.pixels.min(), mammogram.pixels.max()) == (0, 1)


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
@pytest.mark.parametrize("shape", ["INVERSE", "IDENTITY", None])
def test_the_presentation_lut_shape_does_not_invert_a_second_time(
    photometric: str, shape: str | None
) -> None:
    dense_at_the_end = photometric == "MONOCHROME2"
    data = with_elements(mammogram_file(photometric=photometric), PresentationLUTShape=shape)
    first, last = read_mammogram(data).pixels[0, [0, -1]]
    assert (first < last) == dense_at_the_end


def test_a_mammogram_carries_its_facts() -> None:
    data = mammogram_file(laterality="R", view="MLO", spacing_mm=0.085)
    mammogram = read_mammogram(data, patient_secret=SECRET)
    assert mammogram.size == Size(32, 48)
    assert (mammogram.laterality, mammogram.view) == ("R", "MLO")
    assert mammogram.sha256 == hashlib.sha256(data).hexdigest()
    assert mammogram.spacing is not None
    assert (mammogram.spacing.row_mm, mammogram.spacing.source) == (0.085, "imager")
    assert mammogram.patient == patient_key(PATIENT, SECRET)


def test_a_path_and_its_bytes_are_the_same_mammogram(tmp_path: Path) -> None:
    path = tmp_path / "a.dcm"
    path.write_bytes(mammogram_file())
    np.testing.assert_array_equal(read_mammogram(path).pixels, read_mammogram(path.read_bytes()).pixels)


def test_without_a_secret_nobody_is_named() -> None:
    assert read_mammogram(mammogram_file()).patient is None
    assert read_mammogram(with_elements(PatientID=""), patient_secret=SECRET).patient is None


@pytest.mark.parametrize(
    ("code", "scheme", "view"),
    [("R-10226", "SRT", "MLO"), ("399260004", "SCT", "ML"), ("nonsense", "SCT", "CC")],
)
def test_the_view_is_its_code_else_its_position(
    code: str, scheme: str, view: Literal["MLO", "ML", "CC"]
) -> None:
    data = mammogram_file(view="CC")

    def edit(dataset: object) -> None:
        item = dataset.ViewCodeSequence[0]  # type: ignore[attr-defined]
        item.CodeValue, item.CodingSchemeDesignator = code, scheme

    from tests.mammo.dicom.files import edited

    assert read_mammogram(edited(data, edit)).view == view


def test_an_unknown_laterality_or_view_is_none_and_not_a_guess() -> None:
    data = with_elements(ImageLaterality="X", ViewCodeSequence=None, ViewPosition="SIDEWAYS")
    mammogram = read_mammogram(data)
    assert mammogram.laterality is None
    assert mammogram.view is None


def test_padding_is_air_and_not_tissue() -> None:
    stored = gradient()
    stored[:, :4] = 4095
    stored[:, 4:] //= 2
    mammogram = read_mammogram(with_elements(mammogram_file(stored), PixelPaddingValue=4095))
    assert (mammogram.pixels[:, :4] == 0).all()
    assert mammogram.pixels[:, 5:].min() > 0


def test_signed_values_keep_their_order() -> None:
    signed = np.linspace(-2048, 2047, 32).astype("<i2")
    data = with_elements(PixelRepresentation=1, PixelData=np.tile(signed, (48, 1)).tobytes())
    pixels = read_mammogram(data).pixels
    np.testing.assert_allclose(pixels[0], (signed.astype(float) + 2048) / 4095, atol=1e-6)


def test_bits_above_the_stored_ones_are_not_brightness() -> None:
    dirty = gradient() | np.uint16(0xF000)
    data = with_elements(PixelData=dirty.astype("<u2").tobytes())
    np.testing.assert_array_equal(read_mammogram(data).pixels, read_mammogram(mammogram_file()).pixels)


def test_a_falling_rescale_slope_inverts_once() -> None:
    rising = read_mammogram(mammogram_file()).pixels
    falling = read_mammogram(with_elements(RescaleSlope="-1")).pixels
    np.testing.assert_allclose(falling, 1 - rising, atol=1e-6)


@pytest.mark.parametrize("start", [0, 128])
def test_a_file_that_lost_its_preamble_or_meta_header_is_still_read(start: int) -> None:
    data = mammogram_file()
    meta_end = 144 + int.from_bytes(data[140:144], "little")
    cut = data[132:] if start == 0 else data[meta_end:]
    np.testing.assert_array_equal(read_mammogram(cut).pixels, read_mammogram(data).pixels)


def test_padding_of_signed_pixels_may_be_labelled_unsigned() -> None:
    signed = np.linspace(-1000, 2047, 32).astype("<i2")
    signed[:4] = -2048
    data = with_elements(
        PixelRepresentation=1, PixelData=np.tile(signed, (48, 1)).tobytes(), PixelPaddingValue=2**16 - 2048
    )
    pixels = read_mammogram(data).pixels
    assert (pixels[:, :4] == 0).all()
    assert pixels[0, 4] > 0


def test_a_patient_id_with_a_backslash_is_still_one_patient() -> None:
    keys = {
        read_mammogram(mammogram_file(patient_id=name), patient_secret=SECRET).patient
        for name in ("A\\B", "A\\C", "A")
    }
    assert len(keys) == 3
    assert None not in keys
