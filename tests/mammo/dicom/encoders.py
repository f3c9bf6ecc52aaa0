"""One mammogram in every transfer syntax that we read, produced by encoders instead of files in the repository."""

from __future__ import annotations

import io
import tempfile
from collections.abc import Callable
from pathlib import Path

import gdcm
import numpy as np
import pydicom
from pydicom import uid
from pydicom.dataset import FileDataset

from tests.mammo.dicom.files import Stored, mammogram_file


def encoded(stored: Stored, syntax: uid.UID, *, bits: int = 12) -> bytes:
    """The bytes of a mammogram whose pixels are `stored`, in a transfer syntax."""
    return ENCODERS[syntax](stored, syntax, bits)


def _native(stored: Stored, syntax: uid.UID, bits: int) -> bytes:
    dataset = _dataset(stored, bits)
    if syntax == uid.ExplicitVRBigEndian:
        dataset.PixelData = stored.astype(">u2").tobytes()
    return _written(dataset, syntax)


def _written(dataset: FileDataset, syntax: uid.UID) -> bytes:
    dataset.file_meta.TransferSyntaxUID = syntax
    out = io.BytesIO()
    pydicom.dcmwrite(
        out,
        dataset,
        implicit_vr=syntax == uid.ImplicitVRLittleEndian,
        little_endian=syntax != uid.ExplicitVRBigEndian,
        force_encoding=True,
    )
    return out.getvalue()


def _deflated(stored: Stored, syntax: uid.UID, bits: int) -> bytes:
    dataset = _dataset(stored, bits)
    dataset.file_meta.TransferSyntaxUID = syntax
    out = io.BytesIO()
    dataset.save_as(out, enforce_file_format=True)
    return out.getvalue()


def _compressed(plugin: str, **options: float) -> Callable[[Stored, uid.UID, int], bytes]:
    def encode(stored: Stored, syntax: uid.UID, bits: int) -> bytes:
        dataset = _dataset(stored, bits)
        dataset.compress(syntax, encoding_plugin=plugin, generate_instance_uid=False, **options)
        out = io.BytesIO()
        dataset.save_as(out, enforce_file_format=True)
        return out.getvalue()

    return encode


def _by_gdcm(stored: Stored, syntax: uid.UID, bits: int) -> bytes:
    """JPEG Lossless, which pydicom cannot encode."""
    process = {
        uid.JPEGLossless: gdcm.TransferSyntax.JPEGLosslessProcess14,
        uid.JPEGLosslessSV1: gdcm.TransferSyntax.JPEGLosslessProcess14_1,
    }[syntax]
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / "a.dcm", Path(folder) / "b.dcm"
        source.write_bytes(mammogram_file(stored, bits=bits))
        reader = gdcm.ImageReader()
        reader.SetFileName(str(source))
        assert reader.Read()
        change = gdcm.ImageChangeTransferSyntax()
        change.SetTransferSyntax(gdcm.TransferSyntax(process))
        change.SetInput(reader.GetImage())
        assert change.Change()
        writer = gdcm.ImageWriter()
        writer.SetFileName(str(target))
        writer.SetFile(reader.GetFile())
        writer.SetImage(change.GetOutput())
        assert writer.Write()
        return target.read_bytes()


def _dataset(stored: Stored, bits: int) -> FileDataset:
    return pydicom.dcmread(io.BytesIO(mammogram_file(np.ascontiguousarray(stored), bits=bits)))


ENCODERS: dict[uid.UID, Callable[[Stored, uid.UID, int], bytes]] = {
    uid.ImplicitVRLittleEndian: _native,
    uid.ExplicitVRLittleEndian: _native,
    uid.ExplicitVRBigEndian: _native,
    uid.DeflatedExplicitVRLittleEndian: _deflated,
    uid.RLELossless: _compressed("pylibjpeg"),
    uid.JPEGLSLossless: _compressed("pyjpegls"),
    uid.JPEGLSNearLossless: _compressed("pyjpegls", jls_error=2),
    uid.JPEG2000Lossless: _compressed("pylibjpeg"),
    uid.JPEG2000: _compressed("pylibjpeg", j2k_cr=[4]),
    uid.JPEGLossless: _by_gdcm,
    uid.JPEGLosslessSV1: _by_gdcm,
}
LARGEST_ERROR = {uid.JPEGLSNearLossless: 2, uid.JPEG2000: 120}
"""Of a stored value, for the syntaxes that lose something."""
