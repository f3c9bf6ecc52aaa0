from __future__ import annotations

import io

import numpy as np
import pydicom
import pytest
from pydicom import uid
from pydicom.pixels.decoders.base import get_decoder

from mammo.dicom import read_mammogram
from mammo.dicom.decoding import DECODERS
from tests.mammo.dicom.files import Stored, mammogram_file


def noise() -> Stored:
    return np.random.default_rng(3).integers(0, 4096, (40, 33)).astype(np.uint16)


@pytest.mark.parametrize("syntax", [syntax for syntax, decoder in DECODERS.items() if decoder.plugin])
def test_every_pinned_decoder_is_installed(syntax: uid.UID) -> None:
    assert DECODERS[syntax].plugin in get_decoder(syntax).available_plugins


@pytest.mark.parametrize(
    "syntax", [uid.ImplicitVRLittleEndian, uid.ExplicitVRBigEndian, uid.JPEG2000Lossless]
)
def test_the_transfer_syntax_does_not_change_a_pixel(syntax: uid.UID) -> None:
    dataset = pydicom.dcmread(io.BytesIO(mammogram_file(noise())))
    if syntax == uid.JPEG2000Lossless:
        dataset.compress(syntax, encoding_plugin="pylibjpeg", generate_instance_uid=False)
    elif syntax == uid.ExplicitVRBigEndian:
        dataset.PixelData = noise().astype(">u2").tobytes()
    dataset.file_meta.TransferSyntaxUID = syntax
    out = io.BytesIO()
    pydicom.dcmwrite(
        out,
        dataset,
        implicit_vr=syntax == uid.ImplicitVRLittleEndian,
        little_endian=syntax != uid.ExplicitVRBigEndian,
        force_encoding=True,
    )
    found = np.round(read_mammogram(out.getvalue()).pixels * 4095).astype(np.uint16)
    np.testing.assert_array_equal(found, noise())


def test_lossless_jpeg_is_decoded_by_gdcm() -> None:
    gdcm = pytest.importorskip("gdcm")
    import tempfile
    from pathlib import Path

    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / "a.dcm", Path(folder) / "b.dcm"
        source.write_bytes(mammogram_file(noise()))
        reader = gdcm.ImageReader()
        reader.SetFileName(str(source))
        assert reader.Read()
        change = gdcm.ImageChangeTransferSyntax()
        change.SetTransferSyntax(gdcm.TransferSyntax(gdcm.TransferSyntax.JPEGLosslessProcess14_1))
        change.SetInput(reader.GetImage())
        assert change.Change()
        writer = gdcm.ImageWriter()
        writer.SetFileName(str(target))
        writer.SetFile(reader.GetFile())
        writer.SetImage(change.GetOutput())
        assert writer.Write()
        data = target.read_bytes()
    assert uid.JPEGLosslessSV1.encode() in data[:400]
    found = np.round(read_mammogram(data).pixels * 4095).astype(np.uint16)
    np.testing.assert_array_equal(found, noise())


def test_a_deflated_file_is_inflated() -> None:
    dataset = pydicom.dcmread(io.BytesIO(mammogram_file(noise())))
    dataset.file_meta.TransferSyntaxUID = uid.DeflatedExplicitVRLittleEndian
    out = io.BytesIO()
    dataset.save_as(out, enforce_file_format=True)
    assert len(out.getvalue()) < len(mammogram_file(noise()))
    found = np.round(read_mammogram(out.getvalue()).pixels * 4095).astype(np.uint16)
    np.testing.assert_array_equal(found, noise())
