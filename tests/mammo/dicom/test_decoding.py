from __future__ import annotations

import io

import numpy as np
import pydicom
import pytest
from pydicom import uid
from pydicom.pixels.decoders.base import get_decoder

from mammo.dicom import read_mammogram
from mammo.dicom.decoding import DECODERS
from mammo.phantom import phantom_view
from tests.mammo.dicom.encoders import ENCODERS, LARGEST_ERROR, encoded
from tests.mammo.dicom.files import Stored, edited, mammogram_file


@pytest.fixture(scope="module")
def phantom() -> Stored:
    return phantom_view(5, clusters=0, num_distractors=0, width=256, height=320, spacing_mm=0.7).stored


def decoded(data: bytes, *, bits: int = 12) -> np.ndarray:  # type: ignore[type-arg]
    """Stored values, as far as float32 keeps them: every one of 2**16."""
    return np.round(read_mammogram(data).pixels.astype(np.float64) * (2**bits - 1)).astype(np.uint16)


@pytest.mark.parametrize("syntax", DECODERS)
def test_every_pinned_decoder_is_installed(syntax: uid.UID) -> None:
    assert DECODERS[syntax].plugin in get_decoder(syntax).available_plugins


def test_no_decoder_comes_from_a_gpl_package() -> None:
    with pytest.raises(ImportError):
        __import__("libjpeg")  # of pylibjpeg-libjpeg


@pytest.mark.parametrize("syntax", ENCODERS, ids=lambda syntax: syntax.name)
def test_the_transfer_syntax_does_not_change_a_pixel(syntax: uid.UID, phantom: Stored) -> None:
    data = encoded(phantom, syntax)
    assert pydicom.dcmread(io.BytesIO(data), stop_before_pixels=True).file_meta.TransferSyntaxUID == syntax
    error = np.abs(decoded(data).astype(int) - phantom)
    if syntax not in LARGEST_ERROR:
        np.testing.assert_array_equal(decoded(data), phantom)
    else:
        assert 0 < error.max() <= LARGEST_ERROR[syntax]


@pytest.mark.parametrize("syntax", [s for s in ENCODERS if s not in LARGEST_ERROR], ids=lambda s: s.name)
def test_noise_of_all_16_bits_and_odd_sides_survive_too(syntax: uid.UID) -> None:
    noise = np.random.default_rng(3).integers(0, 2**16, (41, 33)).astype(np.uint16)
    np.testing.assert_array_equal(decoded(encoded(noise, syntax, bits=16), bits=16), noise)


def test_8_bit_pixels_are_read_in_both_byte_orders() -> None:
    stored = np.random.default_rng(4).integers(0, 256, (48, 32)).astype(np.uint8)

    def narrow(dataset: pydicom.FileDataset) -> None:
        dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 8, 8, 7
        dataset.PixelData = stored.tobytes()
        dataset["PixelData"].VR = "OW"

    little = edited(mammogram_file(), narrow)
    np.testing.assert_array_equal(decoded(little, bits=8), stored)
    dataset = pydicom.dcmread(io.BytesIO(little))
    dataset.PixelData = stored.reshape(-1, 2)[:, ::-1].tobytes()
    dataset.file_meta.TransferSyntaxUID = uid.ExplicitVRBigEndian
    out = io.BytesIO()
    pydicom.dcmwrite(out, dataset, implicit_vr=False, little_endian=False, force_encoding=True)
    np.testing.assert_array_equal(decoded(out.getvalue(), bits=8), stored)


@pytest.mark.parametrize("syntax", [uid.RLELossless, uid.JPEG2000Lossless], ids=lambda syntax: syntax.name)
def test_signed_pixels_survive_compression(syntax: uid.UID) -> None:
    signed = np.random.default_rng(6).integers(-2048, 2048, (48, 32)).astype("<i2")

    def sign(dataset: pydicom.FileDataset) -> None:
        dataset.PixelRepresentation = 1
        dataset.PixelData = signed.tobytes()

    dataset = pydicom.dcmread(io.BytesIO(edited(mammogram_file(), sign)))
    dataset.compress(syntax, encoding_plugin="pylibjpeg", generate_instance_uid=False)
    out = io.BytesIO()
    dataset.save_as(out)
    np.testing.assert_array_equal(decoded(out.getvalue()).astype(int) - 2048, signed)
